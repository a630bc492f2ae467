//! What a procedure has in hand while it works in a home: the lock, batches, marks, and what
//! they save. `requests` carries out what the protocol asks for.

mod requests;

use core::sync::atomic::Ordering;

use percid_rseq::generation;

use super::home::Home;
use super::object::Header;
use super::protocol::{NONE, Object, Slot};
use crate::{Barriers, Point};

/// What the owner of the lock works on.
#[derive(Default)]
pub(super) struct Working {
    /// The process that counts what waits, by its generation.
    process: u32,
    /// Objects, by their links.
    batch: u64,
    /// Marks of this batch, or of what else is looked at.
    marks: Vec<(Slot, Object)>,
    /// Marks that were left to holders.
    kept: Vec<(Slot, Object)>,
    /// A batch that waits for somebody's fence: objects, marks, and since when.
    parked: u64,
    parked_marks: Vec<(Slot, Object)>,
    since: Option<Point>,
    /// Who asks for a fence.
    askers: Askers,
    /// Those that share another's, which is yet to be made.
    sharers: u64,
    /// Who asks for what waits, and in how many batches they came.
    parked_askers: u64,
    parked_batches: u64,
}

/// Objects of a batch.
#[derive(Default)]
struct Askers {
    /// Those that a slot may hold, and the last one of them.
    possible: u64,
    last_possible: Option<Object>,
    /// Those that one does.
    certain: u64,
    last_certain: Option<Object>,
}

impl Askers {
    fn note_possible(&mut self, object: Object) {
        self.possible += u64::from(self.last_possible.replace(object) != Some(object));
    }

    fn note_certain(&mut self, object: Object) {
        self.certain += u64::from(self.last_certain.replace(object) != Some(object));
    }
}

/// A domain, for a procedure to work in.
pub(super) struct Real<'a> {
    home: &'a Home,
    force: bool,
    /// Whether a slot is emptied, not used again.
    leaves: bool,
    /// Whether the parked batch has been looked at.
    looked: bool,
    /// Objects to drop, by their links.
    dead: u64,
}

impl Working {
    pub(super) fn new() -> Working {
        Working {
            process: generation(),
            ..Working::default()
        }
    }

    /// What a child finds.
    #[cfg(test)]
    pub(super) fn is_of_another_process(&mut self) {
        self.process = 0;
    }
}

impl<'a> Real<'a> {
    pub(super) fn new(home: &'a Home, force: bool) -> Real<'a> {
        Real {
            home,
            force,
            leaves: false,
            looked: false,
            dead: NONE,
        }
    }

    /// For who takes an object out of a slot.
    pub(super) fn leaving(home: &'a Home) -> Real<'a> {
        Real {
            leaves: true,
            ..Real::new(home, false)
        }
    }

    /// What nobody reaches any more.
    pub(super) fn dead(self) -> u64 {
        self.dead
    }

    /// # Safety
    ///
    /// The caller has the lock.
    unsafe fn working(&mut self) -> &mut Working {
        // SAFETY: the caller has the lock, and this is borrowed from a procedure's driver
        // that makes one request at a time.
        unsafe { &mut *self.home.working.get() }
    }

    fn try_lock(&mut self) -> bool {
        let me = generation();
        // Ordering: SeqCst, as `Tend` says; Acquire for `working`.
        let taken = self
            .home
            .lock
            .compare_exchange(0, me, Ordering::SeqCst, Ordering::SeqCst);
        match taken {
            Ok(_) => true,
            Err(owner) if owner == me => false,
            Err(owner) => {
                // A child of `fork`: the owner is a thread of its parent. What it worked on
                // is leaked, and slots that it has marked hold nothing that is used again.
                let lock = &self.home.lock;
                let taken = lock.compare_exchange(owner, me, Ordering::SeqCst, Ordering::SeqCst);
                if taken.is_ok() {
                    // SAFETY: locked. What was there may be half changed: it is not dropped.
                    unsafe { self.home.working.get().write(Working::default()) };
                    self.home.parked.store(0, Ordering::Relaxed);
                }
                taken.is_ok()
            }
        }
    }

    fn batch(&mut self) {
        let first = self.home.dying.take();
        // SAFETY: the list was taken as a whole, and nobody frees what is on it.
        let objects = unsafe { length(first) };
        let waiting = &self.home.waiting;
        let taken = objects.cast_signed();
        let left = waiting.fetch_sub(taken, Ordering::SeqCst) - taken;
        // SAFETY: locked.
        let working = unsafe { self.working() };
        // What threads of the parent had yet to count, or had in hand.
        if core::mem::replace(&mut working.process, generation()) != generation() {
            waiting.fetch_sub(left, Ordering::SeqCst);
        }
        if objects > 0 {
            self.home.counts.shootdowns.inc();
        }
        // SAFETY: locked.
        let working = unsafe { self.working() };
        working.batch = first;
        working.askers = Askers::default();
    }

    /// The slots of the batch have been looked at: how many of its objects ask for a fence.
    fn asked(&mut self) -> u64 {
        let filters = self.home.policy.filters();
        // SAFETY: locked.
        let askers = core::mem::take(&mut unsafe { self.working() }.askers);
        let asked = if filters {
            askers.certain
        } else {
            askers.possible
        };
        let counts = &self.home.counts;
        counts.asked.add(asked);
        let spared = askers.possible.saturating_sub(asked);
        counts.saved_by_filter.barriers.add(spared);
        asked
    }

    fn fence(&self, since: Option<Point>) -> bool {
        let barriers = Barriers::process();
        let point = since.unwrap_or_else(|| barriers.point());
        self.home.counts.barriers.inc();
        barriers.wait_for_one_that_started_after(point).is_ok()
    }

    fn park(&mut self) -> bool {
        let home = self.home;
        let asked = self.asked();
        if self.force || home.policy.quiesce() == 0 || !home.has_handles() {
            // They share a fence, which is made now.
            // SAFETY: locked.
            unsafe { self.working() }.sharers = asked.saturating_sub(1);
            return false;
        }
        // SAFETY: locked.
        let working = unsafe { self.working() };
        let first = core::mem::take(&mut working.batch);
        // SAFETY: both lists are of who has the lock; what is on them has not had its own
        // mark lowered yet.
        let objects = unsafe {
            append(&mut working.parked, first);
            length(first)
        };
        working.parked_marks.append(&mut working.marks);
        working.parked_askers += asked;
        working.parked_batches += 1;
        // After the marks. What waits already waits a little longer.
        working.since = Some(Barriers::process().point());
        // Ordering: SeqCst, as all that is looked at after unlocking. Who has given the last
        // handle up meanwhile has nudged, too, and so is heard.
        home.parked.fetch_add(objects as u32, Ordering::SeqCst);
        // It is looked at again if it is too long by now.
        self.looked = objects_may_wait(home);
        true
    }

    /// What waits for a fence waits no longer, if there has been one.
    fn unpark(&mut self) -> bool {
        let home = self.home;
        self.looked = true;
        // SAFETY: locked.
        let since = unsafe { self.working() }.since;
        let Some(point) = since else {
            return false;
        };
        let made = if Barriers::process().has_served(point) {
            0
        } else {
            let may_wait = !self.force && home.has_handles() && objects_may_wait(home);
            if may_wait || !self.fence(since) {
                return false;
            }
            1
        };
        // SAFETY: locked.
        let working = unsafe { self.working() };
        let asked = core::mem::take(&mut working.parked_askers);
        let batches = core::mem::take(&mut working.parked_batches);
        // Without somebody else's fence quiescing is one larger batch.
        let (quiesced, fences) = match made {
            0 => (batches, batches),
            made => (0, made),
        };
        home.counts.saved_by_quiesce.barriers.add(quiesced);
        let shared = asked.saturating_sub(fences);
        home.counts.saved_by_batch.barriers.add(shared);
        working.since = None;
        working.batch = core::mem::take(&mut working.parked);
        working.marks.append(&mut working.parked_marks);
        home.parked.store(0, Ordering::Relaxed);
        true
    }
}

/// Whether what is parked need not have a fence of its own yet.
fn objects_may_wait(home: &Home) -> bool {
    home.parked.load(Ordering::Relaxed) < home.policy.quiesce()
}

/// The objects from one on, by their links.
///
/// # Safety
///
/// They are on a list that is the caller's, and alive by their own marks for as long as the
/// iterator is used.
unsafe fn objects(first: u64) -> impl Iterator<Item = &'static Header> {
    let mut next = first;
    core::iter::from_fn(move || {
        let object = Object(next);
        (object.0 != NONE).then(|| {
            // SAFETY: the caller's contract.
            let header = unsafe { Header::named(object) };
            next = header.next.load(Ordering::Relaxed);
            header
        })
    })
}

/// # Safety
///
/// As [`objects`].
unsafe fn length(first: u64) -> u64 {
    // SAFETY: the caller's contract.
    unsafe { objects(first) }.count() as u64
}

/// Puts a list behind another.
///
/// # Safety
///
/// As [`objects`], for both.
unsafe fn append(list: &mut u64, first: u64) {
    // SAFETY: the caller's contract.
    match unsafe { objects(*list) }.last() {
        None => *list = first,
        Some(last) => last.next.store(first, Ordering::Relaxed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::Policy;
    use super::super::protocol::{Answer, Request, Shared};
    use super::*;

    /// It is counted when the fence is made, and not each time that one is refused.
    #[test]
    fn a_batch_that_is_postponed_has_saved_nothing() {
        let home = Home::new(None, Policy::new()).expect("room for slots");
        let saved = &home.counts.saved_by_batch.barriers;
        let before = saved.sum();
        let mut real = Real::new(home, true);
        assert!(real.try_lock());
        for _ in 0..2 {
            // SAFETY: locked.
            unsafe { real.working() }.askers.certain = 3;
            assert!(!real.park());
        }
        assert_eq!(saved.sum(), before);
        let Answer::Is(is_made) = real.perform(Request::Fence) else {
            unreachable!("whether it was made");
        };
        assert_eq!(saved.sum(), before + 2 * u64::from(is_made));
        real.perform(Request::Unlock);
        home.give_up();
    }
}
