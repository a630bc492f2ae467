//! A cell that holds a shared value, and hands out leases.

mod storing;

use percid::Place;

pub use self::storing::Named;
use self::storing::show;
use super::domain::LazyDomain;
use super::held::{Held, name_in};
use super::home::Home;
use super::lease::{Lease, leave_unused};
use super::object::{Header, name_of};
use super::protocol::{Install, Slot, drive};
use super::real::Real;
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
