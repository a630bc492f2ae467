//! The requests of the protocol, carried out in a home.

use core::sync::atomic::Ordering;

use super::super::corrupt;
use super::super::object::{Header, named};
use super::super::protocol::{Answer, NONE, Object, Request, Shared, Slot};
use super::super::slots::{ACTIVE, POINTER};
use super::Real;

// SAFETY (of the objects named here): a procedure names only what its caller counts, what
// a mark, its own or the shootdown's, keeps alive, or what a slot that it holds has.
impl Shared for Real<'_> {
    fn perform(&mut self, request: Request) -> Answer {
        let home = self.home;
        let counts = &home.counts;
        let word = |slot: Slot, word| {
            // Ordering: Acquire pairs with the Releases of holders that leave.
            Answer::Word(slot.word(word).load(Ordering::Acquire))
        };
        // SAFETY: see above.
        let header = |object| unsafe { Header::named(object) };
        match request {
            Request::Active(slot) => word(slot, ACTIVE),
            Request::Pointer(slot) => word(slot, POINTER),
            Request::Holds(slot, object) => {
                counts.visits.inc();
                let holds = word(slot, POINTER) == Answer::Word(object.0);
                if !holds {
                    counts.saved_by_filter.visits.inc();
                }
                Answer::Is(holds)
            }
            // Ordering: AcqRel: who takes a marked pointer away sees what came before the
            // mark, and who finds the new one what came before it.
            Request::Replace(slot, new) => {
                Answer::Word(slot.word(POINTER).swap(new, Ordering::AcqRel))
            }
            Request::Exchange { slot, old, new } => {
                let exchanged = slot.word(POINTER).compare_exchange(
                    old,
                    new,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                Answer::Is(exchanged.is_ok())
            }
            Request::SetBit(object, slot) => {
                home.slots().set(header(object), slot);
                Answer::Done
            }
            Request::ClearBit(object, slot) => {
                let saved = match self.leaves {
                    true => &counts.saved_by_switch_away,
                    false => &counts.saved_by_clear_bits,
                };
                // SAFETY: who empties the slot, or uses it again, holds it, and has found the
                // object there.
                unsafe { home.slots().clear(object, slot, &saved.visits) };
                Answer::Done
            }
            Request::InMask(object, after) => {
                let slot = home.slots().in_mask(header(object), after);
                if slot.is_some() {
                    // SAFETY: locked.
                    unsafe { self.working() }.askers.note_possible(object);
                }
                Answer::Slot(slot)
            }
            Request::GiveBack(object) => Answer::Is(header(object).references.give_cached_back()),
            Request::Condemn(object) => {
                // SAFETY: the caller gave its last count back.
                unsafe { home.push_dying(named(object)) };
                Answer::Done
            }
            Request::Nudge => {
                // Ordering: SeqCst, as `Tend` says.
                home.nudged.store(true, Ordering::SeqCst);
                Answer::Done
            }
            // Ordering: Relaxed: with the lock.
            Request::Raise(object) => {
                header(object)
                    .references
                    .pending
                    .fetch_add(1, Ordering::Relaxed);
                Answer::Done
            }
            Request::Lower(object) => Answer::Is(
                header(object)
                    .references
                    .pending
                    .fetch_sub(1, Ordering::Relaxed)
                    == 1,
            ),
            Request::Free(object) => {
                if home.policy.checks() && home.slots().lead_to(object) {
                    corrupt("a slot leads to an object that is freed");
                }
                header(object).next.store(self.dead, Ordering::Relaxed);
                self.dead = object.0;
                Answer::Done
            }
            Request::TryLock => Answer::Is(self.try_lock()),
            Request::Unlock => {
                // SAFETY: locked.
                unsafe { self.working() }.batch = NONE;
                // Of a batch that needed no fence.
                self.asked();
                // Ordering: SeqCst, as `Tend` says; Release for `working`.
                home.lock.swap(0, Ordering::SeqCst);
                Answer::Done
            }
            Request::Recall => {
                // Ordering: SeqCst, as `Tend` says: before the marks are looked at.
                home.nudged.swap(false, Ordering::SeqCst);
                // SAFETY: locked.
                let working = unsafe { self.working() };
                working.marks.append(&mut working.kept);
                Answer::Done
            }
            Request::Unpark => Answer::Is(self.unpark()),
            Request::Batch => {
                self.batch();
                Answer::Done
            }
            Request::Park => Answer::Is(self.park()),
            Request::Postpone => {
                counts.refused.inc();
                // SAFETY: locked.
                let mut next = core::mem::take(&mut unsafe { self.working() }.batch);
                while next != NONE {
                    let object = Object(next);
                    next = header(object).next.load(Ordering::Relaxed);
                    // SAFETY: of the batch, whose marks were lifted.
                    unsafe { home.push_dying(named(object)) };
                }
                Answer::Done
            }
            Request::Note(slot, object) => {
                counts.marks.inc();
                // SAFETY: locked.
                let working = unsafe { self.working() };
                working.askers.note_certain(object);
                working.marks.push((slot, object));
                Answer::Done
            }
            // SAFETY: locked.
            Request::Noted => Answer::Mark(unsafe { self.working() }.marks.pop()),
            Request::Keep(slot, object) => {
                counts.left_to_holders.inc();
                // SAFETY: locked.
                unsafe { self.working() }.kept.push((slot, object));
                Answer::Done
            }
            Request::Next(after) => {
                let next = match after {
                    // SAFETY: locked.
                    None => unsafe { self.working() }.batch,
                    Some(object) => header(object).next.load(Ordering::Relaxed),
                };
                Answer::Object((next != NONE).then_some(Object(next)))
            }
            Request::Announce => {
                // Ordering: Release for the marks before it, which who leaves a slot looks
                // for after it. The fence follows.
                home.announced.fetch_add(1, Ordering::Release);
                Answer::Done
            }
            Request::Fence => {
                let is_made = self.fence(None);
                // SAFETY: locked.
                let sharers = core::mem::take(&mut unsafe { self.working() }.sharers);
                // A batch that is postponed asks again.
                if is_made {
                    counts.saved_by_batch.barriers.add(sharers);
                }
                Answer::Is(is_made)
            }
            Request::Nudged => Answer::Is(home.nudged.load(Ordering::SeqCst)),
            // What is parked is looked at once. Who gives the last handle up nudges.
            Request::Work => {
                Answer::Is(home.has_work(self.force) || home.has_parked() && !self.looked)
            }
            Request::Done(_) => unreachable!("nothing to be done"),
        }
    }
}
