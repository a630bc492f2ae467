//! A lease: a reference that need not be counted.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;
use std::sync::Arc;

use super::home::Home;
use super::object::{Header, name_of, value_of};
use super::protocol::{Empty, NONE, Slot, drive, is_marked};
use super::real::Real;
use super::shared::{Shared, give_back};
use super::slots::{COUNTED, LOOK};

/// What [`LazyCell::load`](super::LazyCell::load) returns: the value, for as long as this
/// lives.
///
/// It may be kept for hours, sent to another thread, held across an `.await`, and taken
/// again while it is held. It holds its own value, and holds nothing else up.
///
/// ```
/// use percid_shootdown::lazy::{LazyCell, Lease, Shared};
///
/// let tenant = LazyCell::new(String::from("first"));
/// let lease = tenant.load();
/// let counted = Lease::upgrade(&lease).expect("the cell has it, too");
/// tenant.store(Shared::new(String::from("second")));
/// std::thread::spawn(move || assert_eq!(*lease, "first")).join().unwrap();
/// assert_eq!(*counted, "first");
/// ```
///
/// # Cost
///
/// Its drop is a store and a load.
///
/// # Forgotten
///
/// A lease that is forgotten keeps its value for ever, and one of the slots of a cid.
///
/// # Fork and signals
///
/// May be taken and dropped in signal handlers, inside of
/// [`in_handler`](super::in_handler): outside of it either may shoot down and run
/// destructors. A child of `fork` keeps the leases of its thread;
/// those of other threads are forgotten there.
pub struct Lease<T> {
    header: NonNull<Header>,
    /// Where it is held, or `COUNTED`.
    slot: Slot,
    value: PhantomData<Arc<T>>,
}

// SAFETY: it may be used by any thread, and dropped there, too.
unsafe impl<T: Send + Sync> Send for Lease<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Lease<T> {}

impl<T> Lease<T> {
    /// # Safety
    ///
    /// The caller holds the slot, which holds the live object, of this type; it becomes
    /// this.
    #[inline(always)]
    pub(super) unsafe fn of_slot(header: NonNull<Header>, slot: Slot) -> Lease<T> {
        Lease {
            header,
            slot,
            value: PhantomData,
        }
    }

    pub(super) fn counted(shared: Shared<T>) -> Lease<T> {
        Lease {
            header: shared.into_header(),
            slot: COUNTED,
            value: PhantomData,
        }
    }

    pub(super) fn header(&self) -> NonNull<Header> {
        self.header
    }

    /// Whether it is counted, for want of a slot.
    #[must_use]
    pub fn is_counted(this: &Self) -> bool {
        this.slot == COUNTED
    }

    /// A counted reference to the same value; none if the last one is gone, so that this
    /// lease is what keeps the value alive.
    #[must_use]
    pub fn upgrade(this: &Self) -> Option<Shared<T>> {
        // SAFETY: leased, so alive.
        let header = unsafe { this.header.as_ref() };
        header.references.upgrade().then(|| {
            // SAFETY: just counted.
            unsafe { Shared::from_header(this.header) }
        })
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: leased, so alive.
        unsafe { value_of::<T>(self.header).as_ref() }
    }
}

impl<T> Drop for Lease<T> {
    #[inline(always)]
    fn drop(&mut self) {
        let Lease { header, slot, .. } = *self;
        if slot.0 & LOOK != 0 {
            // SAFETY: this lease's, and this is the end of it.
            return unsafe { end_slow(header, slot) };
        }
        // SAFETY: this lease's slot. From here on the object may be gone.
        if unsafe { slot.leave() } != name_of(header).0 {
            nudge(slot);
        }
    }
}

/// Ends a lease that is counted, or by a slot that may be emptied, or of a domain's own ids.
///
/// # Safety
///
/// The caller holds the slot, which holds the object; or counts it.
#[cold]
#[inline(never)]
unsafe fn end_slow(header: NonNull<Header>, slot: Slot) {
    if slot == COUNTED {
        // SAFETY: counted, and this is the end of it.
        return unsafe { give_back(header) };
    }
    // SAFETY: leased, so alive.
    let object = unsafe { header.as_ref() };
    let home = object.home();
    // Ordering: Relaxed: a hint.
    match object.references.stale.load(Ordering::Relaxed) {
        // SAFETY: the caller's contract.
        true => unsafe { empty(home, header, slot) },
        // SAFETY: as above.
        false if home.is_scoped() => unsafe { depart(home, header, slot) },
        false => {
            // SAFETY: as above.
            if unsafe { slot.leave() } != name_of(header).0 {
                home.nudge();
            }
        }
    }
}

/// Ends a lease, and takes its object out of its slot, which has left its cell.
///
/// # Safety
///
/// The caller holds the slot, which holds the object.
#[cold]
#[inline(never)]
unsafe fn empty(home: &'static Home, header: NonNull<Header>, slot: Slot) {
    /// Another object may be all that keeps the slots, and this one is soon not kept.
    struct Kept(&'static Home);

    impl Drop for Kept {
        fn drop(&mut self) {
            self.0.give_up();
        }
    }

    let _kept = home.is_scoped().then(|| {
        home.handles.hold();
        Kept(home)
    });
    // SAFETY: leased, so alive.
    unsafe { header.as_ref() }.references.note_emptied();
    drive(Empty::new(slot, name_of(header)), &mut Real::leaving(home));
    // SAFETY: still the caller's.
    if unsafe { slot.leave() } != NONE || home.nudged.load(Ordering::Relaxed) {
        home.nudge();
    }
}

/// Ends a lease by a slot that may be gone as soon as it is left: see `protocol::shootdown`.
///
/// # Safety
///
/// The caller holds the slot, which holds the object.
#[inline]
unsafe fn depart(home: &'static Home, header: NonNull<Header>, slot: Slot) {
    // Ordering: Acquire, so that the look at the slot comes after it: pairs with the
    // Release of who has announced its marks.
    let before = home.announced.load(Ordering::Acquire);
    let is_marked = slot.pointer() != name_of(header).0;
    // SAFETY: the caller's contract.
    unsafe { slot.depart() };
    // Ordering: Relaxed: after the store, as a shootdown's fence sees to.
    if is_marked || home.announced.load(Ordering::Relaxed) != before {
        home.nudge();
    }
}

/// The slot that was just left held something else than what it was left with: a mark, for
/// whose sake somebody has kept it in mind; or what the next holder put there.
#[cold]
#[inline(never)]
fn nudge(slot: Slot) {
    if let Some(home) = slot.home() {
        home.nudge();
    }
}

/// Leaves a slot that was taken, and held something else than what was wanted.
///
/// # Safety
///
/// The caller holds the slot.
pub(super) unsafe fn leave_unused(slot: Slot) {
    // SAFETY: the caller's contract.
    if is_marked(unsafe { slot.leave() }) {
        nudge(slot);
    }
}

impl<T: fmt::Debug> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::super::protocol::{Request, Shared};
    use super::super::{LazyDomain, Policy};
    use super::*;

    /// The check finds a slot that leads to an object that is freed, and ends the process.
    #[test]
    fn a_slot_that_leads_to_a_dead_object_is_found() {
        const THIS: &str = "lazy::lease::tests::a_slot_that_leads_to_a_dead_object_is_found";
        let domain = LazyDomain::new(Policy::new().check(true));
        let cell = domain.cell(7);
        let lease = cell.load();
        if Lease::is_counted(&lease) {
            return println!("nothing is cached here");
        }
        if std::env::var_os("PERCID_TEST_INSIDE").is_none() {
            let this = std::env::current_exe().expect("the path of this test");
            let mut command = Command::new(this);
            command.env("PERCID_TEST_INSIDE", "1");
            let output = command.args(["--exact", THIS, "--nocapture"]).output();
            let output = output.expect("this test, once more");
            let said = String::from_utf8_lossy(&output.stderr);
            // SIGABRT.
            assert_eq!(output.status.signal(), Some(6), "{said}");
            return assert!(said.contains("a slot leads to an object"), "{said}");
        }
        let object = name_of(lease.header);
        // SAFETY: leased, so alive.
        let home = unsafe { lease.header.as_ref() }.home();
        drop(lease);
        // What is forgotten in the mutant that does not look at the object's mask.
        Real::new(home, false).perform(Request::Free(object));
    }
}
