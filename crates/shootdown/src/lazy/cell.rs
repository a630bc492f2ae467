//! A cell that holds a shared value, and hands out leases.

use percid::Place;

use super::domain::LazyDomain;
use super::held::{Held, given, is_lent, name_in, word};
use super::home::Home;
use super::lease::{Lease, leave_unused};
use super::object::{Header, Shell, name_of};
use super::protocol::{Install, Slot, drive};
use super::real::Real;
use super::references::{References, Sound};
use super::shared::Shared;
use super::slots::WAYS;
use crate::Invariant;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

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
/// Values may be replaced by who has a reference to the cell, so a cell of one type is not
/// one of another, also where only lifetimes differ:
///
/// ```
/// # use percid_shootdown::lazy::LazyCell;
/// fn route<'a>(cell: &'a LazyCell<&'static str>) -> &'a LazyCell<&'static str> {
///     cell
/// }
/// ```
///
/// ```compile_fail
/// # use percid_shootdown::lazy::LazyCell;
/// fn route<'a>(cell: &'a LazyCell<&'static str>) -> &'a LazyCell<&'a str> {
///     cell // who gets this might store what does not live as long
/// }
/// ```
///
/// # Cost
///
/// A load that finds the value in its cid's slot: one section and two loads; the lease's
/// drop: a store and a load; no atomic read-modify-write and no fence. The first load of a
/// value by each cid: six read-modify-writes. A store: one, and, if a slot has cached the
/// old value, some more and one fence of all running threads (about 10 microseconds).
///
/// # Fallback
///
/// Where there are no sections or no fences: see [`LazyDomain`]. Where the ids are those
/// of a table, a load is two sections.
///
/// # Panics
///
/// Storing a value of another domain does.
///
/// # Fork and signals
///
/// Loads and stores may be used in signal handlers, inside of
/// [`in_handler`](super::in_handler). A value that other threads were just loading when a
/// process forked is not freed in the child.
///
/// # Source
///
/// N. Piggin's lazy TLB shootdown (Linux 6.4), for cids in the place of CPUs. The API is
/// arc-swap's. Counting outside: D. Sharp's and A. Kogan's split reference counts.
pub struct LazyCell<T> {
    /// The object's address, 64 bytes as the unit.
    held: Held,
    /// Where the slot is that is tried first.
    place: Place,
    way: u32,
    home: &'static Home,
    /// Has a value, and takes and gives others: invariant.
    value: PhantomData<(Shared<T>, Invariant<T>)>,
}

/// The unit of addresses, in bits.
const UNIT: u32 = 6;

/// The object in what a cell holds.
#[inline(always)]
fn object_in(word: u64) -> u64 {
    name_in(word) << UNIT
}

fn header_in(word: u64) -> NonNull<Header> {
    let header = core::ptr::with_exposed_provenance_mut(object_in(word) as usize);
    NonNull::new(header).expect("a cell always holds something")
}

/// The object's part of what a cell holds.
fn cell_name(header: NonNull<Header>) -> u64 {
    name_of(header).0 >> UNIT
}

/// The caller's reference becomes a cell's, which holds this.
///
/// # Safety
///
/// It is the caller's.
unsafe fn show(header: NonNull<Header>) -> u64 {
    // SAFETY: counted.
    let object = unsafe { header.as_ref() };
    let alone = object.references.show();
    // What is alone is taken apart without a look at it: see `settle`.
    word::<Sound>(cell_name(header), alone && object.is_pooled())
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
        let home = object.home();
        let way = home.hold();
        LazyCell {
            // SAFETY: as above.
            held: Held::new(unsafe { show(header) }),
            place: home.slots().place(home.slots().first(way)),
            way: way as u32,
            home,
            value: PhantomData,
        }
    }

    /// The value, by a lease.
    #[inline(always)]
    pub fn load(&self) -> Lease<T> {
        let Some(slot) = Slot::take(self.place) else {
            return self.load_slow();
        };
        let held = slot.pointer();
        // Ordering: Acquire pairs with the Release of stores: what the object is. It need
        // not be ordered after the section's commit for others: the shootdown of the object
        // comes after a store to the cell and has a fence. If this load comes before that
        // fence, so does the commit, which the shootdown then sees.
        let word = self.held.load(Ordering::Acquire);
        // With readers counted outside it is another number, and the slow path's business.
        if word << UNIT == held {
            let header = core::ptr::with_exposed_provenance_mut(held as usize);
            // SAFETY: what a cell holds is not null. The slot is taken and holds the
            // object, unmarked, which therefore is not freed before it is left; the cell
            // holds it, so it is of the cell's type.
            return unsafe { Lease::of_slot(NonNull::new_unchecked(header), slot) };
        }
        self.load_other(slot, held)
    }

    /// A slot was taken that holds something else, or so it looks.
    #[cold]
    #[inline(never)]
    fn load_other(&self, slot: Slot, held: u64) -> Lease<T> {
        if !self.home.slots().caches() {
            // SAFETY: taken, and not handed out.
            unsafe { leave_unused(slot) };
            return self.load_uncached();
        }
        match self.lease_of(slot, held) {
            Ok(lease) => lease,
            Err(slot) => match self.find(1) {
                Some(lease) => {
                    // SAFETY: taken, and not handed out.
                    unsafe { leave_unused(slot) };
                    lease
                }
                None => self.miss(Some((slot, held))),
            },
        }
    }

    /// No slot was taken: it is in use, or the section was refused.
    #[cold]
    #[inline(never)]
    fn load_slow(&self) -> Lease<T> {
        if !self.home.slots().caches() {
            return self.load_uncached();
        }
        // Where sections find their ids elsewhere than the inline one looks.
        let slots = self.home.slots();
        if let Some(slot) = slots.take(slots.first(self.way as usize)) {
            let held = slot.pointer();
            return match self.lease_of(slot, held) {
                Ok(lease) => lease,
                Err(slot) => self.load_other(slot, held),
            };
        }
        match self.find(1) {
            Some(lease) => lease,
            None => self.miss(None),
        }
    }

    /// A lease where no slot may have the value: there is no fence, so nobody could take it
    /// away again.
    fn load_uncached(&self) -> Lease<T> {
        self.home.counts.misses.inc();
        self.home.counts.counted.inc();
        Lease::counted(self.load_counted())
    }

    /// The ways after the first `skipped`, by their first words.
    fn ways(&self, skipped: usize) -> impl Iterator<Item = usize> {
        (skipped..WAYS).map(|turn| self.home.slots().first(self.way as usize + turn))
    }

    /// A lease by a slot that was taken, if the cell holds what it holds.
    fn lease_of(&self, slot: Slot, held: u64) -> Result<Lease<T>, Slot> {
        // Ordering: as in `load`.
        if object_in(self.held.load(Ordering::Acquire)) != held {
            return Err(slot);
        }
        let header = core::ptr::with_exposed_provenance_mut(held as usize);
        // SAFETY: as in `load`.
        Ok(unsafe { Lease::of_slot(NonNull::new_unchecked(header), slot) })
    }

    /// Looks for the value in this cid's other slots.
    fn find(&self, skipped: usize) -> Option<Lease<T>> {
        let slots = self.home.slots();
        let object = object_in(self.held.load(Ordering::Relaxed));
        let mut ways = self.ways(skipped);
        let first = ways.find(|&first| slots.peek(first) == Some(object))?;
        let slot = slots.take(first)?;
        match self.lease_of(slot, slot.pointer()) {
            Ok(lease) => Some(lease),
            Err(slot) => {
                // SAFETY: taken, and not handed out.
                unsafe { leave_unused(slot) };
                None
            }
        }
    }

    /// A counted reference, and an idle slot for it.
    fn miss(&self, taken: Option<(Slot, u64)>) -> Lease<T> {
        self.home.counts.misses.inc();
        let shared = self.load_counted();
        let taken = taken.or_else(|| {
            let slots = self.home.slots();
            let slot = self.ways(0).find_map(|first| slots.take(first))?;
            Some((slot, slot.pointer()))
        });
        match taken {
            Some((slot, held)) => self.install(shared, slot, held),
            None => {
                self.home.counts.counted.inc();
                Lease::counted(shared)
            }
        }
    }

    /// Caches what is counted in a slot that was taken.
    fn install(&self, shared: Shared<T>, slot: Slot, held: u64) -> Lease<T> {
        let header = shared.into_header();
        slot.belongs_to(self.home);
        let clears = self.home.policy.clears_bits();
        let install = Install::new(slot, held, name_of(header), clears);
        // The count is given back in there; from then on the slot holds the object.
        drive(install, &mut Real::new(self.home, false));
        // SAFETY: installed.
        let lease = unsafe { Lease::of_slot(header, slot) };
        self.home.tend(false);
        lease
    }

    /// The value, by a counted reference.
    #[must_use]
    pub fn load_counted(&self) -> Shared<T> {
        let name = self.held.count(|name| {
            // SAFETY: counted in the cell: it stays for so long.
            &unsafe { header_in(name).as_ref() }.references
        });
        // SAFETY: just counted.
        unsafe { Shared::from_header(header_in(name)) }
    }

    /// Replaces the value.
    ///
    /// # Panics
    ///
    /// If the value is of another domain. Then nothing has changed.
    pub fn store(&self, new: Shared<T>) {
        let new = self.adopt(new);
        let old = self.held.swap(new);
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
        let old = self.held.swap(new);
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
        let expected = cell_name(current.object());
        let header = new.header();
        let new = self.adopt(new);
        // The current object is kept alive by who named it, so its address is not
        // another's.
        if let Some(old) = self.held.exchange(expected, new) {
            self.settle(old, 1);
            // SAFETY: one reference was kept for it.
            return Ok(unsafe { Shared::from_header(header_in(old)) });
        }
        // SAFETY: adopted by nobody: the cell's count becomes the caller's again.
        unsafe {
            header.as_ref().references.hide();
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
    ///
    /// What it makes is dropped at any time, so it borrows nothing:
    ///
    /// ```compile_fail
    /// # use percid_shootdown::lazy::LazyCell;
    /// fn rename<'a>(cell: &LazyCell<&'a str>, name: &'a str) {
    ///     cell.rcu(|_| name);
    /// }
    /// ```
    pub fn rcu(&self, mut update: impl FnMut(&T) -> T) -> Shared<T>
    where
        T: Send + Sync + 'static,
    {
        loop {
            let current = self.load();
            let new = Shared::in_home(self.home, update(&current));
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
            core::ptr::eq(object.home(), self.home),
            "a value of another domain"
        );
        if self.home.looks() {
            object.references.stale.store(false, Ordering::Relaxed);
        }
        // SAFETY: this reference.
        unsafe { show(new.into_header()) }
    }

    /// What was in the cell is there no longer: counts in who has counted itself outside,
    /// and gives the cell's count back, all but `kept` references.
    fn settle(&self, old: u64, kept: u64) {
        let header = header_in(old);
        if kept == 0 && !is_lent(old) {
            // Nobody else has ever had a reference. Nothing of it is read here: its cache line
            // may be another thread's, which costs as much as all the rest.
            // SAFETY: so it is this thread's alone; such a value, in a pool: see `show`.
            return unsafe { self.home.take_apart(header, Shell::<T>::remains(header)) };
        }
        // SAFETY: the cell's count is still there.
        let object = unsafe { header.as_ref() };
        if self.home.looks() {
            object.references.stale.store(true, Ordering::Relaxed);
        }
        // SAFETY: the cell's count, less what was counted outside of it; who gives the last
        // one is alone in seeing that.
        unsafe {
            if References::give_back(Header::references(header), given(old, kept)) {
                self.home.condemn(header);
            }
        }
    }
}

/// A reference that names the object it is to: what
/// [`compare_and_swap`](LazyCell::compare_and_swap) compares with.
///
/// ```
/// use percid_shootdown::lazy::{LazyCell, Shared};
///
/// let cell = LazyCell::new(1);
/// let lease = cell.load();
/// let old = cell.compare_and_swap(&lease, Shared::new(2)).expect("still there");
/// assert!(cell.compare_and_swap(&old, Shared::new(3)).is_err(), "2 is there by now");
/// ```
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
        /// The handle goes, also if the value panics when it is dropped.
        struct GiveUp(&'static Home);

        impl Drop for GiveUp {
            fn drop(&mut self) {
                self.0.give_up();
            }
        }

        let _handle = GiveUp(self.home);
        let word = self.held.get_mut();
        self.settle(word, 0);
    }
}

impl<T: fmt::Debug> fmt::Debug for LazyCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LazyCell").field(&*self.load()).finish()
    }
}
