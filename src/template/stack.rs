//! A guard against running out of stack: a template may nest deeper than any thread's stack.

/// Measures the stack used since it was made, by the addresses of local variables.
///
/// Counting calls would not do: how much a level takes depends on the build and on what is nested.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack {
    start: usize,
    bytes_max: usize,
}

impl Stack {
    /// From here on at most that many bytes may be used. The thread must have them.
    pub(super) fn new(bytes_max: usize) -> Self {
        Stack { start: address_here(), bytes_max }
    }

    /// Whether nothing more may be nested.
    pub(super) fn is_spent(&self) -> bool {
        address_here().abs_diff(self.start) > self.bytes_max
    }
}

#[inline(never)]
fn address_here() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_is_spent_once_the_bytes_are_used() {
        fn descend(stack: &Stack) -> usize {
            if stack.is_spent() { 0 } else { 1 + std::hint::black_box(descend(stack)) }
        }
        let levels = descend(&Stack::new(100_000));
        assert!((100..100_000).contains(&levels), "{levels}");
        assert!(!Stack::new(1000).is_spent());
    }
}
