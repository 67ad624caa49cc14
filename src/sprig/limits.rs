//! What one call may cost. Charts are untrusted input: a short template must not make gigabytes.
//!
//! Go has none of these limits; they lie far above what any chart does. Each call also takes its share from the
//! render's budget ([`Host::spend`]).

use crate::template::func::{Fault, Host, WALK_DEPTH_MAX};

/// The longest text one call may make.
pub(super) const TEXT_BYTES_MAX: usize = 64 << 20;
/// The longest list one call may make.
pub(super) const ITEMS_MAX: usize = 1 << 20;
/// The longest random text one call may make.
pub(super) const RANDOM_BYTES_MAX: usize = 1 << 20;
/// How deep containers may nest for functions that walk them: a map that holds itself has no end, and each level takes
/// some of the thread's stack.
pub(super) const DEPTH_MAX: usize = WALK_DEPTH_MAX;

/// How much text counts as one step of the render's budget.
const TEXT_BYTES_PER_STEP: usize = 256;
/// How many list items count as one step.
const ITEMS_PER_STEP: usize = 16;

/// Takes the cost of making a text, before it is made.
///
/// # Errors
/// The text would be too long, or the render's budget is spent.
pub(super) fn spend_on_text(host: &dyn Host, function: &str, bytes: Option<usize>) -> Result<(), Fault> {
    match bytes {
        Some(bytes) if bytes <= TEXT_BYTES_MAX => host.spend((bytes / TEXT_BYTES_PER_STEP) as u64),
        _ => Err(Fault::Budget(format!("{function} would make a text longer than {} MiB", TEXT_BYTES_MAX >> 20))),
    }
}

/// Takes the cost of making a list, before it is made: a step even for an empty one, as there may be very many.
///
/// # Errors
/// The list would be too long, or the render's budget is spent.
pub(super) fn spend_on_items(host: &dyn Host, function: &str, items: u128) -> Result<(), Fault> {
    match usize::try_from(items) {
        Ok(items) if items <= ITEMS_MAX => host.spend(1 + (items / ITEMS_PER_STEP) as u64),
        _ => Err(Fault::Budget(format!("{function} would make a list of more than {ITEMS_MAX} items"))),
    }
}

/// The error of walking into containers nested too deep.
pub(super) fn too_deep(function: &str) -> Fault {
    Fault::Budget(format!("{function} met values nested more than {DEPTH_MAX} deep"))
}
