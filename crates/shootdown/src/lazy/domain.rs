//! The domain of lazy references.

use core::fmt;
use std::sync::OnceLock;

use percid::ArenaError;

use super::cell::LazyCell;
use super::home::Home;
use super::policy::{Policy, ShootdownStats};
use super::shared::Shared;

/// Values that share slots, lists and policies. Most programs need the
/// [process's](LazyDomain::process) only.
///
/// ```
/// use percid_shootdown::lazy::{LazyDomain, Policy};
///
/// let tenants = LazyDomain::new(Policy::new().batch(8));
/// let tenant = tenants.cell(String::from("first"));
/// tenant.store(tenants.share(String::from("second")));
/// tenants.flush();
/// assert_eq!(tenants.stats().freed, 1);
/// ```
///
/// # Shapes and units
///
/// Four slots of 32 bytes in each active cid's stripe. A cell uses one of them first, and
/// the others when that one is in use. The slots of a domain that is dropped are not freed
/// but used for the next one.
///
/// # Fallback
///
/// Where there are no sections or no fences, every lease is counted: a load is then three
/// atomic read-modify-writes, its drop one.
///
/// # Fork and signals
///
/// A child of `fork` that finds a shootdown under way in its parent leaks the values of
/// that one, and goes on.
pub struct LazyDomain {
    home: &'static Home,
    /// What an earlier domain of this home had done.
    before: ShootdownStats,
}

impl LazyDomain {
    /// The process's domain, with the default policy.
    ///
    /// # Panics
    ///
    /// If there is no memory for its slots.
    #[must_use]
    pub fn process() -> &'static LazyDomain {
        static PROCESS: OnceLock<LazyDomain> = OnceLock::new();
        PROCESS.get_or_init(|| LazyDomain::new(Policy::new()))
    }

    /// A domain of its own.
    ///
    /// # Panics
    ///
    /// If there is no memory for its slots.
    #[must_use]
    pub fn new(policy: Policy) -> LazyDomain {
        LazyDomain::try_new(policy).expect("slots for lazy references")
    }

    /// A domain of its own.
    ///
    /// # Errors
    ///
    /// If there is no memory for its slots.
    pub fn try_new(policy: Policy) -> Result<LazyDomain, ArenaError> {
        let home = Home::new(policy)?;
        Ok(LazyDomain {
            home,
            before: home.counts.stats(),
        })
    }

    /// A value in this domain.
    #[must_use]
    pub fn share<T: Send + Sync + 'static>(&self, value: T) -> Shared<T> {
        Shared::in_home(self.home, value)
    }

    /// A cell in this domain, with a value.
    #[must_use]
    pub fn cell<T: Send + Sync + 'static>(&self, value: T) -> LazyCell<T> {
        LazyCell::from_shared(self.share(value))
    }

    /// Shoots down what waits to be, and drops what is to be dropped. On return all values
    /// that were given up before, and are not leased, are dropped, unless another thread
    /// is at it.
    pub fn flush(&self) {
        self.home.tend(true);
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> ShootdownStats {
        self.home.counts.stats().since(self.before)
    }

    /// Whether values are cached in slots here; without, every lease is counted.
    #[must_use]
    pub fn caches(&self) -> bool {
        self.home.caches
    }
}

impl Drop for LazyDomain {
    fn drop(&mut self) {
        self.home.give_up();
    }
}

impl fmt::Debug for LazyDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyDomain")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
