//! A cell that holds a shared value, and hands out leases.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use super::domain::LazyDomain;
use super::inner::{Inner, Real};
use super::lease::Lease;
use super::object::{BIAS, Header, name_of};
use super::protocol::{Install, Slot, drive};
use super::shared::Shared;
use super::slots::WAYS;

/// A value that many threads read, and that is replaced now and then: a configuration, a
/// routing table, the state of a tenant.
///
/// Drop of a replaced value runs before [`store`](LazyCell::store) returns, if no lease is
/// out; otherwise when the last lease ends.
///
/// ```
/// use percid_shootdown::lazy::{LazyCell, Shared};
///
/// let routes = LazyCell::new(vec!["a", "b"]);
/// let lease = routes.load();
/// routes.store(Shared::new(vec!["c"]));
/// assert_eq!(*lease, ["a", "b"]);
/// assert_eq!(*routes.load(), ["c"]);
/// ```
///
/// # Cost
///
/// A load that finds the value in its cid's slot: two loads of the cell and one section,
/// and one more for the lease's drop; no atomic read-modify-write and no fence. The first
/// load of a value by each cid: five read-modify-writes. A store: two of them, and, if a
/// slot has cached the old value, one fence of all running threads (about 10
/// microseconds).
///
/// # Fallback
///
/// Where there are no sections or no fences: see [`LazyDomain`].
///
/// # Panics
///
/// Storing a value of another domain does.
///
/// # Fork and signals
///
/// Loads may be used in signal handlers. So may stores, inside of
/// [`in_handler`](super::in_handler). A value that other threads were just loading when a
/// process forked is not freed in the child.
///
/// # Source
///
/// N. Piggin's lazy TLB shootdown (Linux 6.4), for cids in the place of CPUs. The API is
/// arc-swap's. Counting outside: D. Sharp's and A. Kogan's split reference counts.
pub struct LazyCell<T> {
    /// The object's address, 64 bytes as the unit, and above it the readers that have
    /// counted themselves here and not yet in the object.
    word: AtomicU64,
    way: usize,
    domain: Arc<Inner>,
    value: PhantomData<Shared<T>>,
}

/// One reader that has counted itself outside. There are fewer than four million threads,
/// so the count ends in the word.
const OUTSIDE: u64 = 1 << 42;

/// The object in a word.
#[inline(always)]
fn object_in(word: u64) -> u64 {
    (word << 22) >> 16
}

fn header_in(word: u64) -> NonNull<Header> {
    let header = core::ptr::with_exposed_provenance_mut(object_in(word) as usize);
    NonNull::new(header).expect("a cell always holds something")
}

fn word_of(header: NonNull<Header>) -> u64 {
    name_of(header).0 >> 6
}

impl<T: Send + Sync + 'static> LazyCell<T> {
    /// A cell in the process's domain.
    #[must_use]
    pub fn new(value: T) -> LazyCell<T> {
        LazyDomain::process().cell(value)
    }
}

impl<T> LazyCell<T> {
    /// A cell that holds a value already shared, in its domain.
    #[must_use]
    pub fn from_shared(value: Shared<T>) -> LazyCell<T> {
        let header = value.into_header();
        // SAFETY: its counted reference is this cell's now.
        let object = unsafe { header.as_ref() };
        let domain: *const Inner = object.domain();
        object.count.fetch_add(BIAS - 1, Ordering::Relaxed);
        // SAFETY: domains are made as Arcs, and the object has a reference.
        let domain = unsafe {
            Arc::increment_strong_count(domain);
            Arc::from_raw(domain)
        };
        LazyCell {
            word: AtomicU64::new(word_of(header)),
            way: domain.next_way(),
            domain,
            value: PhantomData,
        }
    }

    /// The value, by a lease.
    #[inline]
    pub fn load(&self) -> Lease<T> {
        // Ordering: Acquire pairs with the Release of stores: what the object is.
        let word = self.word.load(Ordering::Acquire);
        let object = object_in(word);
        if let Some(slot) = self.domain.slots.hit(self.way, object) {
            return self.hit(slot, object);
        }
        self.load_slow()
    }

    /// A slot was taken that holds what the cell held before.
    // Ordering: Acquire. It need not be ordered after the section's commit for others: the
    // shootdown of the object comes after a store to the cell and has a fence. If this load
    // comes before that fence, so does the commit, which the shootdown then sees.
    #[inline(always)]
    fn hit(&self, slot: Slot, object: u64) -> Lease<T> {
        let again = self.word.load(Ordering::Acquire);
        if object_in(again) == object {
            let header = core::ptr::with_exposed_provenance_mut(object as usize);
            // SAFETY: an address that a cell held is not null. The slot is taken and holds
            // the object, which therefore is not freed before it is left; the cell holds
            // it, so it is of the cell's type.
            return unsafe { Lease::of_slot(NonNull::new_unchecked(header), slot) };
        }
        self.hit_late(slot, object)
    }

    /// The cell holds something else by now.
    #[cold]
    #[inline(never)]
    fn hit_late(&self, slot: Slot, object: u64) -> Lease<T> {
        // SAFETY: taken, and not handed out.
        if unsafe { self.domain.slots.leave(slot) }.is_err() {
            // SAFETY: as above.
            unsafe {
                self.domain
                    .leave_slow(slot, super::protocol::Object(object), false);
            }
        }
        self.load_slow()
    }

    /// Each way in turn; then a counted reference, and an idle slot for it.
    #[cold]
    #[inline(never)]
    fn load_slow(&self) -> Lease<T> {
        let ways = || (0..WAYS).map(|turn| (self.way + turn) % WAYS);
        if self.domain.caches {
            let object = object_in(self.word.load(Ordering::Acquire));
            for way in ways() {
                let Some(slot) = self.domain.slots.hit(way, object) else {
                    continue;
                };
                if object_in(self.word.load(Ordering::Acquire)) == object {
                    let header = core::ptr::with_exposed_provenance_mut(object as usize);
                    // SAFETY: as in `hit`.
                    return unsafe { Lease::of_slot(NonNull::new_unchecked(header), slot) };
                }
                // SAFETY: taken, and not handed out.
                if unsafe { self.domain.slots.leave(slot) }.is_err() {
                    // SAFETY: as above.
                    unsafe {
                        self.domain
                            .leave_slow(slot, super::protocol::Object(object), false);
                    }
                }
                break;
            }
        }
        self.domain.counts.misses.inc();
        let shared = self.load_counted();
        if self.domain.caches {
            let idle = ways().find_map(|way| {
                let held = self.domain.slots.peek(way)?;
                Some((self.domain.slots.hit(way, held)?, held))
            });
            if let Some((slot, held)) = idle {
                return self.install(shared, slot, held);
            }
        }
        self.domain.counts.counted.inc();
        Lease::counted(shared)
    }

    /// Caches what is counted in a slot that was taken.
    fn install(&self, shared: Shared<T>, slot: Slot, held: u64) -> Lease<T> {
        let header = shared.into_header();
        let clears = self.domain.policy.clear_bits;
        let install = Install::new(slot, held, name_of(header), clears);
        // The count is given back in there; from then on the slot holds the object.
        drive(
            install,
            &mut Real {
                inner: &self.domain,
                force: false,
            },
        );
        // SAFETY: installed.
        let lease = unsafe { Lease::of_slot(header, slot) };
        self.domain.tend(false);
        lease
    }

    /// The value, by a counted reference.
    #[must_use]
    pub fn load_counted(&self) -> Shared<T> {
        // Ordering: AcqRel. Acquire for the object; Release orders nothing here, but keeps
        // the chain of read-modify-writes one that a store's Acquire synchronizes with.
        let word = self.word.fetch_add(OUTSIDE, Ordering::AcqRel);
        let header = header_in(word);
        // SAFETY: counted outside: whoever takes the object out of the cell counts this in
        // before it gives the cell's own count back, which is more than readers can owe.
        let object = unsafe { header.as_ref() };
        object.count.fetch_add(1, Ordering::Relaxed);
        let mut now = self.word.load(Ordering::Relaxed);
        loop {
            if object_in(now) != object_in(word) || now < OUTSIDE {
                // Counted in by a store, so this is one too many. (If the object has come
                // back to the cell meanwhile, it is anybody's.) Never the last one.
                object.count.fetch_sub(1, Ordering::Release);
                break;
            }
            // Ordering: Release pairs with the Acquire of a store: it sees the count.
            let given = self.word.compare_exchange_weak(
                now,
                now - OUTSIDE,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            match given {
                Ok(_) => break,
                Err(other) => now = other,
            }
        }
        // SAFETY: just counted.
        unsafe { Shared::from_header(header) }
    }

    /// Replaces the value.
    ///
    /// # Panics
    ///
    /// If the value is of another domain. Then nothing has changed.
    pub fn store(&self, new: Shared<T>) {
        let new = self.adopt(new);
        // Ordering: AcqRel. Release publishes the object; Acquire pairs with readers that
        // have counted themselves.
        let old = self.word.swap(new, Ordering::AcqRel);
        self.settle(old, 0);
    }

    /// Replaces the value, and returns the former one.
    ///
    /// # Panics
    ///
    /// As [`store`](LazyCell::store).
    #[must_use]
    pub fn swap(&self, new: Shared<T>) -> Shared<T> {
        let new = self.adopt(new);
        // Ordering: as in `store`.
        let old = self.word.swap(new, Ordering::AcqRel);
        self.settle(old, 1);
        // SAFETY: one reference was kept for it.
        unsafe { Shared::from_header(header_in(old)) }
    }

    /// Replaces the value if it is `current`, and returns that one.
    ///
    /// # Errors
    ///
    /// `new`, if the cell holds something else.
    ///
    /// # Panics
    ///
    /// As [`store`](LazyCell::store).
    pub fn compare_and_swap(
        &self,
        current: &impl Named<T>,
        new: Shared<T>,
    ) -> Result<Shared<T>, Shared<T>> {
        let expected = name_of(current.object()).0;
        let header = new.header();
        let new = self.adopt(new);
        let mut now = self.word.load(Ordering::Relaxed);
        while object_in(now) == expected {
            // Ordering: as in `store`. The current object is kept alive by who named it, so
            // its address is not another's.
            let swapped =
                self.word
                    .compare_exchange_weak(now, new, Ordering::AcqRel, Ordering::Relaxed);
            match swapped {
                Ok(old) => {
                    self.settle(old, 1);
                    // SAFETY: one reference was kept for it.
                    return Ok(unsafe { Shared::from_header(header_in(old)) });
                }
                Err(other) => now = other,
            }
        }
        // SAFETY: adopted by nobody: the cell's count becomes the caller's again.
        unsafe {
            header.as_ref().count.fetch_sub(BIAS - 1, Ordering::Relaxed);
            Err(Shared::from_header(header))
        }
    }

    /// Replaces the value by what `update` makes of it, as often as it takes; returns the
    /// former one. A panic in `update` changes nothing.
    ///
    /// ```
    /// # use percid_shootdown::lazy::LazyCell;
    /// let hits = LazyCell::new(1);
    /// let old = hits.rcu(|hits| hits + 1);
    /// assert_eq!((*old, *hits.load()), (1, 2));
    /// ```
    pub fn rcu(&self, mut update: impl FnMut(&T) -> T) -> Shared<T> {
        loop {
            let current = self.load();
            let new = Shared::in_domain(&self.domain, update(&current));
            if let Ok(old) = self.compare_and_swap(&current, new) {
                return old;
            }
        }
    }

    /// The caller's reference becomes a cell's.
    fn adopt(&self, new: Shared<T>) -> u64 {
        // SAFETY: counted.
        let object = unsafe { new.header().as_ref() };
        assert!(
            core::ptr::eq(object.domain(), Arc::as_ptr(&self.domain)),
            "a value of another domain"
        );
        // Ordering: Relaxed: counted already.
        object.count.fetch_add(BIAS - 1, Ordering::Relaxed);
        if self.domain.policy.switch_away {
            object.stale.store(0, Ordering::Relaxed);
        }
        word_of(new.into_header())
    }

    /// What was in the cell is there no longer: counts in who has counted itself outside,
    /// and gives the cell's count back, all but `kept` references.
    fn settle(&self, old: u64, kept: u64) {
        let header = header_in(old);
        // SAFETY: the cell's count is still there.
        let object = unsafe { header.as_ref() };
        if self.domain.policy.switch_away {
            object.stale.store(1, Ordering::Relaxed);
        }
        let outside = old >> 42;
        let given = BIAS - outside - kept;
        // Ordering: AcqRel, as all counts.
        if object.count.fetch_sub(given, Ordering::AcqRel) == given {
            self.domain.condemn(object);
        }
    }
}

/// A reference that names the object it is to: what
/// [`compare_and_swap`](LazyCell::compare_and_swap) compares with.
pub trait Named<T>: sealed::Named {}

impl<T> Named<T> for Lease<T> {}
impl<T> Named<T> for Shared<T> {}

mod sealed {
    use core::ptr::NonNull;

    use super::Header;

    pub trait Named {
        #[allow(private_interfaces, reason = "sealed")]
        fn object(&self) -> NonNull<Header>;
    }
}

impl<T> sealed::Named for Lease<T> {
    #[allow(private_interfaces, reason = "sealed")]
    fn object(&self) -> NonNull<Header> {
        self.header()
    }
}

impl<T> sealed::Named for Shared<T> {
    #[allow(private_interfaces, reason = "sealed")]
    fn object(&self) -> NonNull<Header> {
        self.header()
    }
}

impl<T> Drop for LazyCell<T> {
    fn drop(&mut self) {
        let word = *self.word.get_mut();
        self.settle(word, 0);
    }
}

impl<T: fmt::Debug> fmt::Debug for LazyCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LazyCell").field(&*self.load()).finish()
    }
}
