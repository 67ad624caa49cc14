//! Until when this process may write: a local check right before each write.
//!
//! [`super::lease`] extends it with each renewal of the lease. What is in flight when it ends cannot be called back; the
//! fences of the release records hold without it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Clones share one mandate.
#[derive(Clone, Debug, Default)]
pub struct Mandate(Arc<Mutex<Extent>>);

#[derive(Clone, Copy, Debug, Default)]
enum Extent {
    /// There is no election.
    #[default]
    Unlimited,
    Until(Instant),
    Ended,
}

/// A write that was not sent. It says nothing about the release: whoever leads carries on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not sent, because this controller does not hold the lease of its election any more")]
pub struct NoMandate;

impl Mandate {
    /// For a process that must be elected first.
    pub fn none() -> Self {
        Mandate(Arc::new(Mutex::new(Extent::Ended)))
    }

    pub fn extend(&self, until: Instant) {
        self.set(Extent::Until(until));
    }

    pub fn end(&self) {
        self.set(Extent::Ended);
    }

    /// # Errors
    /// [`NoMandate`] from the moment on that it ended.
    pub fn check(&self, now: Instant) -> Result<(), NoMandate> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Extent::Unlimited => Ok(()),
            Extent::Until(until) if now < until => Ok(()),
            Extent::Until(_) | Extent::Ended => Err(NoMandate),
        }
    }

    fn set(&self, extent: Extent) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = extent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn mandate_ends_by_itself() {
        let now = Instant::now();
        assert_eq!(Mandate::default().check(now), Ok(()));
        let mandate = Mandate::none();
        let of_writes = mandate.clone();
        assert_eq!(of_writes.check(now), Err(NoMandate));
        mandate.extend(now + Duration::from_secs(30));
        assert_eq!(of_writes.check(now + Duration::from_secs(29)), Ok(()));
        assert_eq!(of_writes.check(now + Duration::from_secs(30)), Err(NoMandate));
        mandate.end();
        assert_eq!(of_writes.check(now), Err(NoMandate));
    }
}
