//! A value that readers can tell to be whole, and whose drops are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use percid_shootdown::lazy::{LazyDomain, Policy};

/// A number that is there twice, until it is dropped.
pub(crate) struct Twice(AtomicUsize, AtomicUsize, Arc<AtomicUsize>);

impl Twice {
    pub(crate) fn new(number: usize, drops: &Arc<AtomicUsize>) -> Twice {
        let number = || AtomicUsize::new(number);
        Twice(number(), number(), Arc::clone(drops))
    }

    pub(crate) fn is_whole(&self) -> bool {
        let first = self.0.load(Ordering::Relaxed);
        first == self.1.load(Ordering::Relaxed) && first != usize::MAX
    }
}

impl Drop for Twice {
    fn drop(&mut self) {
        self.0.store(usize::MAX, Ordering::Relaxed);
        self.2.fetch_add(1, Ordering::Relaxed);
    }
}

/// One that looks at every slot after each shootdown.
pub(crate) fn domain() -> LazyDomain {
    LazyDomain::new(Policy::new().check(true))
}
