//! Grace periods: when what was retired may be freed.
//!
//! # Algorithm
//!
//! A reader enters in the phase of that moment and leaves its seat, or its count, when it
//! is done. A grace period chooses the other phase, and is over when no reader of the old
//! one is left. It frees what was retired before it began.
//!
//! ```text
//! reader, in a section                      grace period, one at a time
//!   p = chosen (acquire)                      take what came late
//!   the first free seat of p is taken         chosen = the other phase     (1)
//! ... load pointers ...                       phase = the same             (2)
//!   seat = 0 (release)                        fence: sections restart, full barriers
//!                                             take the bags of the old phase
//! reader, counted                             until for every stripe, its number
//!   p = phase                                 loaded after the fence and again each time:
//!   count of p += 1; full fence                 no seat of it is taken,
//!   phase is still p: inside                    and the old phase's count is 0 (acquire)
//!   otherwise count of p -= 1, again          free
//! ... load pointers ...
//!   count of p -= 1 (release)               retirement
//!                                             unlink; full fence           (3)
//!                                             in a section: push to the bag of `chosen`
//!                                             refused: to what came late, under its lock
//! ```
//!
//! **Why that is enough.** After the fence no section can commit the old phase: it committed
//! before, and its seat is visible to whoever returns from the fence; or it restarted and
//! has loaded the new one. So the old phase's seats only become fewer. A counted reader that
//! raised the old count too late to be seen looks at `phase` behind a full fence, and finds
//! the new one. A reader in the new phase has loaded it (acquire) after the choice, and
//! cannot find what was unlinked before. A reader in the old phase from before the *last*
//! grace period does not exist: grace periods are serialised from choice to end.
//!
//! What is freed was unlinked before the choice: what came late was taken before it; a bag
//! of the old phase was pushed to by sections that loaded the old phase after the unlinking
//! and a full fence (3), so a reader that has seen the new phase sees the unlinking, too.
//! Without (3) the load may pass the store: the object is in the old bag, while a reader of
//! the new phase has just found it.
//!
//! (1) before (2): between the two, sections are in the new phase and counted readers in the
//! old one. The other way round a counted reader is in the new phase while sections still
//! retire to the old one what it has found.
//!
//! Where the kernel keeps the ids, `chosen` is a [`Part`](percid::Part): the limit is in the
//! same word, so whoever raises it does so by a read-modify-write, as the choice is one. By a
//! load and a store it could bring the old phase back.
//!
//! `checker` visits every state of small domains, and finds each of these left out.
//!
//! **Fork.** A child finds the lock free, whoever held it (`ForkLock`); then it cannot tell
//! how far a choice had come. So it makes `phase` what `chosen` says, and runs a grace
//! period of the other phase that chooses nothing before it goes on. Seats and counts of
//! threads that it does not have are never left: a grace period that waits for one waits for
//! ever, and what is retired in that child then stays. Its own guards are safe.

use core::mem;
use core::sync::atomic::{AtomicU64, Ordering, fence};

use percid::{Process, Scope};
use percid_rseq::generation;

use super::ReclaimDomain;
use super::retired::{Retired, destroy_all};
use super::stripe::{self, FIRST, other, part_of};
use crate::fork_lock::Locked;
use crate::{Barriers, Point, counted};

/// Looks at the readers right after the fence, before it is left to the next caller: what
/// readers that are quick need to leave.
const LOOKS: u32 = 32;

/// The most objects for which room is kept from one grace period to the next.
const KEPT: usize = 4096;

/// What grace periods are at. Behind a lock.
#[derive(Default)]
pub(crate) struct Grace {
    waiting: Option<Waiting>,
    /// Numbers of grace periods whose objects are being destroyed, and in which process: a
    /// child has none of its parent's other threads.
    destroying: Vec<(u32, u64)>,
    /// Room for the objects of the next one. Taken from the heap each time it would have the
    /// heap put together, each time, what it keeps for small objects.
    space: Vec<Retired>,
}

impl Grace {
    pub(crate) const EMPTY: Grace = Grace {
        waiting: None,
        destroying: Vec::new(),
        space: Vec::new(),
    };
}

/// A grace period that has begun and is not over.
struct Waiting {
    number: u64,
    /// Whose readers are waited for.
    old: u64,
    objects: Vec<Retired>,
    /// A fence that began after this is still owed.
    owed: Option<Point>,
}

/// What a step of the grace periods came to: objects to destroy outside the lock. Of two at
/// the most: one that had begun before, and one that began and ended in that step.
#[must_use = "its objects are to be destroyed"]
pub(crate) struct Over<'a, S: Scope = Process> {
    _ended: [Option<Ended<'a, S>>; 2],
}

/// A grace period that is over. Dropping it destroys what it frees, and says so.
struct Ended<'a, S: Scope> {
    domain: &'a ReclaimDomain<S>,
    number: u64,
    objects: Vec<Retired>,
}

impl<S: Scope> Drop for Ended<'_, S> {
    fn drop(&mut self) {
        /// Even if a destructor panics.
        struct Destroyed<'e, 'a, S: Scope>(&'e mut Ended<'a, S>);

        impl<S: Scope> Drop for Destroyed<'_, '_, S> {
            fn drop(&mut self) {
                let Ended {
                    domain,
                    number,
                    objects,
                } = &mut *self.0;
                let mut grace = domain.grace();
                grace.destroying.retain(|(_, one)| one != number);
                if (grace.space.capacity()..=KEPT).contains(&objects.capacity()) {
                    grace.space = mem::take(objects);
                }
            }
        }

        let ended = Destroyed(self);
        // SAFETY: the argument above.
        unsafe { destroy_all(&mut ended.0.objects) };
    }
}

/// Whether sections may be used by readers: they can be fenced. Asked once.
#[inline(always)]
pub(crate) fn sections() -> bool {
    // Ordering: Relaxed. The answer is the number itself.
    match SECTIONS.load(Ordering::Relaxed) {
        UNASKED => sections_slow(),
        known => known == FENCED,
    }
}

const UNASKED: u64 = 0;
const FENCED: u64 = 1;
const UNFENCED: u64 = 2;

static SECTIONS: AtomicU64 = AtomicU64::new(UNASKED);

/// What percid says of fences: it has tried whether they restart sections.
#[cold]
fn sections_slow() -> bool {
    let works = percid_cid::backend().source != percid_cid::Source::Thread && percid_cid::fences();
    let answer = if works { FENCED } else { UNFENCED };
    // Ordering: Relaxed, as above. The first answer stands, for cells and domains are made
    // by it.
    match SECTIONS.compare_exchange(UNASKED, answer, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => works,
        Err(first) => first == FENCED,
    }
}

impl<S: Scope> ReclaimDomain<S> {
    /// Lets sections enter, where they can be fenced and nobody is at work on phases at this
    /// moment.
    pub(super) fn open(&self) {
        if !self.is_open()
            && sections()
            && let Some(grace) = self.try_grace()
        {
            self.open_under(&grace);
        }
    }

    /// In the phase of this moment: nobody has entered in a section yet, nor retired in one.
    fn open_under(&self, _: &Locked<'_, Grace>) {
        if self.is_open() || !sections() {
            return;
        }
        // Ordering: Relaxed. Whoever has the lock alone changes it.
        let phase = self.phase.load(Ordering::Relaxed);
        if !self.part.lead_to(&self.room, part_of(phase)) {
            // Ordering: Release, as in `begin`.
            self.chosen.0.store(phase, Ordering::Release);
        }
    }

    /// Whether sections may enter.
    pub(super) fn is_open(&self) -> bool {
        // Ordering: Relaxed, both: what sections load says it to them.
        self.part.leads() || self.chosen.0.load(Ordering::Relaxed) != 0
    }

    /// The phase that sections are in, if they may enter.
    fn chosen(&self) -> Option<u64> {
        if self.part.leads() {
            let is_first = self.part.leads_to(&self.room, part_of(FIRST));
            return Some(if is_first { FIRST } else { other(FIRST) });
        }
        // Ordering: Relaxed. Asked under the lock.
        Some(self.chosen.0.load(Ordering::Relaxed)).filter(|&phase| phase != 0)
    }

    /// What grace periods are at, if nobody is at work on it.
    fn try_grace(&self) -> Option<Locked<'_, Grace>> {
        self.grace.try_lock().map(|grace| self.inherited(grace))
    }

    /// What grace periods are at.
    fn grace(&self) -> Locked<'_, Grace> {
        self.inherited(self.grace.lock())
    }

    /// Sets right what a thread had half done that this process does not have.
    fn inherited<'a>(&self, mut grace: Locked<'a, Grace>) -> Locked<'a, Grace> {
        if grace.was_inherited() {
            if let Some(chosen) = self.chosen() {
                // Ordering: Release, as in `begin`.
                self.phase.store(chosen, Ordering::Release);
            }
            let old = other(self.phase.load(Ordering::Relaxed));
            // No number of its own, which `next_number` may have promised already: that is
            // for a grace period that waits for the readers of both phases.
            // Ordering: as in `begin`.
            let number = self.begun.load(Ordering::SeqCst);
            grace.waiting = Some(Waiting {
                number,
                old,
                objects: Vec::new(),
                owed: Some(Barriers::process().point()),
            });
        }
        grace
    }

    /// Brings grace periods forward as far as that goes without waiting for readers. With
    /// `always` one begins although nothing is retired.
    pub(crate) fn advance(&self, always: bool) -> Over<'_, S> {
        let Some(mut grace) = self.try_grace() else {
            return Over {
                _ended: [None, None],
            };
        };
        let before = self.end(&mut grace, 1);
        let mut now = None;
        if grace.waiting.is_none() && (always || self.has_retired()) {
            self.open_under(&grace);
            grace.waiting = Some(self.begin(mem::take(&mut grace.space)));
            now = self.end(&mut grace, LOOKS);
        }
        Over {
            _ended: [before, now],
        }
    }

    /// Whether there is something for a grace period to free.
    fn has_retired(&self) -> bool {
        let phase = self.phase.load(Ordering::Relaxed);
        let bagged = |stripe| stripe::bagged(&stripe, phase) != 0;
        !self.late.lock().is_empty() || self.room.stripes().any(bagged)
    }

    /// Begins a grace period: takes what came late, then chooses the other phase.
    fn begin(&self, mut objects: Vec<Retired>) -> Waiting {
        {
            let mut late = self.late.lock();
            objects.append(&mut late);
            late.shrink_to(KEPT);
        }
        // Ordering: Relaxed. Whoever has the lock alone changes it.
        let old = self.phase.load(Ordering::Relaxed);
        // Ordering: SeqCst pairs with `next_number`: who read a smaller one unlinked before
        // the choice.
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        // Ordering: Release pairs with the section's acquiring load: who enters in the new
        // phase sees what was unlinked before. First this one, then `phase`: see above.
        if self.part.leads() {
            self.part.lead_to(&self.room, part_of(other(old)));
        } else if self.chosen.0.load(Ordering::Relaxed) != 0 {
            self.chosen.0.store(other(old), Ordering::Release);
        }
        self.phase.store(other(old), Ordering::Release);
        // The point is a full fence: it pairs with the one of counted readers.
        let owed = Some(Barriers::process().point());
        Waiting {
            number,
            old,
            objects,
            owed,
        }
    }

    /// Ends the grace period that has begun, if its readers have left.
    fn end(&self, grace: &mut Grace, looks: u32) -> Option<Ended<'_, S>> {
        let waiting = grace.waiting.as_mut()?;
        if !self.fenced(waiting) || !(0..looks).any(|_| self.is_left(waiting.old)) {
            return None;
        }
        let Waiting {
            number, objects, ..
        } = grace.waiting.take()?;
        // Ordering: Release pairs with the Acquire of `has_ended`.
        self.ended.store(number, Ordering::Release);
        if objects.is_empty() {
            grace.space = objects;
            return None;
        }
        grace.destroying.push((generation(), number));
        Some(Ended {
            domain: self,
            number,
            objects,
        })
    }

    /// Fences the old phase's sections out, if that is still to be done, and takes what
    /// they retired; whether it is done.
    fn fenced(&self, waiting: &mut Waiting) -> bool {
        let Some(point) = waiting.owed else {
            return true;
        };
        if sections() {
            let barriers = Barriers::process();
            if barriers.wait_for_one_that_started_after(point).is_err() {
                return false;
            }
            for stripe in self.room.stripes() {
                // SAFETY: another phase was chosen before the point, and fenced. One thread
                // has the lock.
                unsafe { stripe::collect(&stripe, waiting.old, &mut waiting.objects) };
            }
        } else {
            fence(Ordering::SeqCst);
        }
        waiting.owed = None;
        true
    }

    /// Whether no reader of the phase is left. Loads the number of stripes: some may have
    /// been opened since the last look.
    fn is_left(&self, phase: u64) -> bool {
        self.room
            .stripes()
            .all(|stripe| stripe::is_left(&stripe, phase))
            && counted::is_left(&self.crowd[stripe::count_of(phase)])
    }

    /// The number of the first grace period that begins after everything that the caller
    /// has done.
    // Ordering: the fence pairs with the read-modify-write in `begin`.
    pub(crate) fn next_number(&self) -> u64 {
        fence(Ordering::SeqCst);
        self.begun.load(Ordering::Relaxed) + 1
    }

    /// Whether a grace period has ended.
    pub(crate) fn has_ended(&self, number: u64) -> bool {
        self.ended.load(Ordering::Acquire) >= number
    }

    /// Whether what it frees has been destroyed.
    pub(crate) fn has_destroyed(&self, number: u64) -> bool {
        let under_way = |one: &(u32, u64)| one.0 == generation() && one.1 <= number;
        self.has_ended(number) && !self.grace().destroying.iter().any(under_way)
    }

    /// Objects that wait, and whether for readers.
    pub(super) fn unfreed(&self) -> (usize, bool) {
        let late = self.late.lock().len();
        let grace = self.grace();
        let taken = grace.waiting.as_ref().map(|waiting| waiting.objects.len());
        let bagged: usize = self
            .room
            .stripes()
            .map(|stripe| stripe::bagged(&stripe, FIRST) + stripe::bagged(&stripe, other(FIRST)))
            .sum();
        (late + taken.unwrap_or(0) + bagged, taken.is_some())
    }

    /// Everything that waits, where nobody reads or retires any more.
    pub(super) fn take_all(&mut self) -> Vec<Retired> {
        let mut all = mem::take(self.late.get_mut());
        if let Some(waiting) = self.grace.get_mut().waiting.take() {
            all.extend(waiting.objects);
        }
        for stripe in self.room.stripes() {
            for phase in [FIRST, other(FIRST)] {
                // SAFETY: the domain is this thread's alone, so there is no section.
                unsafe { stripe::collect(&stripe, phase, &mut all) };
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As large as it was needed, but not for ever.
    #[test]
    fn room_for_objects_is_kept_within_bounds() {
        unsafe fn nothing(_: *mut u8) {}
        let domain = ReclaimDomain::new();
        let retire = |count: usize| {
            for _ in 0..count {
                // SAFETY: nothing is there.
                unsafe { domain.retire_with(core::ptr::null_mut(), nothing) };
            }
        };
        let kept = || domain.grace.lock().space.capacity();
        let guard = domain.enter_counted();
        retire(3 * KEPT);
        drop(guard);
        domain.barrier();
        assert_eq!(domain.stats().unfreed, 0);
        assert!(kept() <= KEPT, "{}", kept());
        retire(10);
        domain.barrier();
        assert!((1..=KEPT).contains(&kept()), "{}", kept());
        assert!(domain.late.lock().capacity() <= KEPT);
    }

    /// A thread of a parent may have been between the two words of a choice.
    #[test]
    fn whoever_takes_the_lock_over_ends_a_choice_that_was_half_made() {
        let looks: [fn(&ReclaimDomain); 3] = [
            |domain| assert_eq!(domain.stats().holding, 0),
            |domain| drop(domain.enter_counted()),
            |domain| domain.flush(),
        ];
        for (number, look) in looks.into_iter().enumerate() {
            let domain = ReclaimDomain::new();
            drop(domain.enter());
            domain.grace.hold_as_an_ancestor();
            if domain.part.leads() {
                domain.part.lead_to(&domain.room, part_of(other(FIRST)));
            } else if domain.is_open() {
                domain.chosen.0.store(other(FIRST), Ordering::Release);
            }
            look(&domain);
            domain.synchronize();
            let phase = domain.phase.load(Ordering::Relaxed);
            assert_eq!(domain.chosen().unwrap_or(phase), phase, "{number}");
            assert_eq!(domain.stats().holding, 0);
        }
    }

    /// Who waits in a child waits for readers who came in after the fork, too.
    #[test]
    fn a_grace_period_that_was_inherited_frees_nothing_of_its_heirs() {
        let domain = ReclaimDomain::new();
        drop(domain.enter());
        for counted in [false, true] {
            domain.grace.hold_as_an_ancestor();
            let guard = if counted {
                domain.enter_counted()
            } else {
                domain.enter()
            };
            let number = domain.next_number();
            (0..10).for_each(|_| drop(domain.advance(true)));
            assert!(!domain.has_ended(number), "{guard:?} is there");
            drop(guard);
            (0..10).for_each(|_| drop(domain.advance(true)));
            assert!(domain.has_ended(number));
        }
    }
}
