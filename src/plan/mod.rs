//! What to do next about one release: a pure function of what is seen and what is asked.
//!
//! [`decide`] looks at [`Observed`] and [`Desired`] and names exactly one [`Action`] with its [`Reason`]. The shell
//! carries it out, which gives an [`Outcome`], looks again and decides again. Nothing is remembered between two
//! decisions but what the cluster stores; so a crash between any two steps changes no answer, and rolling back is
//! simply the next decision after a failure.

pub mod action;
pub mod decide;
pub mod desired;
pub mod health;
pub mod hooks;
pub mod observed;
pub mod outcome;
pub mod prune;
pub mod reason;
pub mod rules;

pub use action::{Action, Decision};
pub use decide::decide;
pub use desired::{Asks, Claim, Desired, FailFast, Policy, Target};
pub use health::{Cause, Health};
pub use hooks::{HookRules, HookState, TestFilter, TestRules};
pub use observed::{Comparison, FailedAttempt, Observed};
pub use outcome::{Failure, FailureClass, ForcedField, Notice, Outcome};
pub use reason::Reason;
pub use rules::Rules;
