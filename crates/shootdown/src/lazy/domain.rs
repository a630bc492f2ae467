//! The domain of lazy references.

use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use percid::{ArenaError, Domain};

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
/// but used for the next one; those [in a domain of ids](LazyDomain::in_domain) go back to
/// it.
///
/// # Fallback
///
/// Where there are no sections or no fences, every lease is counted: a load is then three
/// atomic read-modify-writes, its drop one.
///
/// # Fork and signals
///
/// A child of `fork` that finds a shootdown under way in its parent leaks the values of
/// that one, and goes on. Handlers: see [`in_handler`](super::in_handler).
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
        static PROCESS: AtomicPtr<LazyDomain> = AtomicPtr::new(ptr::null_mut());
        // Of several that are made at the same time the first is everybody's. Nobody waits for
        // who makes it: a child of `fork` may not have that thread.
        // Ordering: Acquire pairs with the Release of whoever made it.
        let mut found = PROCESS.load(Ordering::Acquire);
        if found.is_null() {
            // Without a look at what handlers have left: no destructor runs here.
            let home = Home::new(None, Policy::new()).expect("slots for lazy references");
            let mine = Box::into_raw(Box::new(LazyDomain::of_home(home)));
            let (null, order) = (ptr::null_mut(), Ordering::AcqRel);
            found = match PROCESS.compare_exchange(null, mine, order, Ordering::Acquire) {
                Ok(_) => mine,
                Err(first) => {
                    // SAFETY: made above, and nobody else's.
                    drop(unsafe { Box::from_raw(mine) });
                    first
                }
            };
        }
        // SAFETY: leaked, and not null.
        unsafe { &*found }
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
        LazyDomain::make(None, policy)
    }

    /// A domain of its own whose slots are by the ids of a [`percid::Domain`], which it keeps
    /// alive.
    ///
    /// What it has in stripes then grows with the threads of that domain, however many there
    /// are beside: four threads of a pool in a process of four hundred cache a value in four
    /// slots at the most, and where the kernel keeps no ids there are slots nevertheless.
    /// Cells, values and leases are as those of other domains, and may be used by any
    /// thread.
    ///
    /// ```
    /// use percid::{Bound, Domain};
    /// use percid_shootdown::lazy::{LazyDomain, Policy};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Domain::builder().bound(Bound::Strict).build()?;
    /// let lazy = LazyDomain::in_domain(&pool, Policy::new())?;
    /// let table = lazy.cell(vec![1, 2]);
    /// std::thread::scope(|scope| {
    ///     let worker = || {
    ///         let _joined = pool.join();
    ///         table.load().len()
    ///     };
    ///     let workers = [scope.spawn(worker), scope.spawn(worker)];
    ///     table.store(lazy.share(vec![1, 2, 3]));
    ///     for worker in workers {
    ///         assert!(worker.join().is_ok_and(|found| found == 2 || found == 3));
    ///     }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cost
    ///
    /// A load is out of line, a section and a few loads; a lease's drop two loads more. Of
    /// the 1 MiB that each stripe of the domain has, it takes 128 bytes. They go back when it
    /// is dropped with all of its cells and values.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or all words of the domain are in use.
    pub fn in_domain(ids: &Domain, policy: Policy) -> Result<LazyDomain, ArenaError> {
        LazyDomain::make(Some(ids), policy)
    }

    fn make(ids: Option<&Domain>, policy: Policy) -> Result<LazyDomain, ArenaError> {
        // What handlers have left may be all that a home is not used again for. Nothing is
        // in hand yet: a destructor may panic.
        Home::take_over();
        Home::new(ids, policy).map(LazyDomain::of_home)
    }

    fn of_home(home: &'static Home) -> LazyDomain {
        LazyDomain {
            home,
            before: home.counts.stats(),
        }
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
    /// is at it, or this is called by a destructor: they are dropped after it then.
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
        self.home.slots().caches()
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
