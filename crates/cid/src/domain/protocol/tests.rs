//! The procedures one at a time, over plain memory: what each row of their tables
//! does. What happens between threads is the checker's.

use core::cell::{Cell, RefCell};

use super::*;
use crate::domain::{Bitmap, Policy, victim};

/// A domain that one thread uses.
struct Plain {
    cpu: Cell<Option<u32>>,
    bound: Cell<u32>,
    fences: Cell<bool>,
    opens: Cell<bool>,
    slots: RefCell<Vec<SlotWord>>,
    ids: Bitmap<2>,
    asked: RefCell<Vec<Request>>,
}

impl Plain {
    /// Slots with these words; the ids are set.
    fn new(bound: u32, slots: &[SlotWord]) -> Plain {
        let ids = Bitmap::new();
        slots
            .iter()
            .filter_map(|word| word.cid())
            .for_each(|cid| ids.set(cid));
        Plain {
            cpu: Cell::new(Some(0)),
            bound: Cell::new(bound),
            fences: Cell::new(true),
            opens: Cell::new(true),
            slots: RefCell::new(slots.to_vec()),
            ids,
            asked: RefCell::default(),
        }
    }

    fn states(&self) -> Vec<SlotState> {
        self.slots
            .borrow()
            .iter()
            .map(|word| word.state())
            .collect()
    }

    fn acquire(&self, former: Option<Place>) -> Outcome {
        drive(Acquire::new(Policy::default(), former), self)
    }

    fn asked(&self, request: Request) -> bool {
        self.asked.borrow().contains(&request)
    }
}

impl Shared for Plain {
    fn perform(&self, request: Request) -> Answer {
        self.asked.borrow_mut().push(request);
        let mut slots = self.slots.borrow_mut();
        match request {
            Request::Cpu => Answer::Cpu(self.cpu.get()),
            Request::Bound => Answer::Bound(self.bound.get()),
            Request::Load { slot } => Answer::Word(slots[slot as usize]),
            Request::Look { slot } => Answer::Seen {
                word: slots[slot as usize],
                aged: slot % 2 == 0,
            },
            Request::Swap { slot, old, new } => {
                let word = &mut slots[slot as usize];
                let swapped = *word == old;
                if swapped {
                    *word = new;
                }
                Answer::Swapped(swapped)
            }
            Request::Claim { below } => Answer::Claimed(self.ids.claim_lowest(below)),
            Request::Open { .. } => Answer::Opened(self.opens.get()),
            Request::Clear { cid } => {
                self.ids.clear(cid);
                Answer::Done
            }
            Request::ClearAll => {
                self.ids.clear_all();
                Answer::Done
            }
            Request::Set { cid } => {
                self.ids.set(cid);
                Answer::Done
            }
            Request::Victim { thief, bound } => {
                Answer::Victim(victim(slots.iter().map(|&word| (word, 0)), thief, bound, 0))
            }
            Request::Fence { .. } | Request::FenceAll => Answer::Fenced(self.fences.get()),
            Request::Done(_) => panic!("a procedure that has ended asks for nothing"),
        }
    }
}

const UNSET: SlotWord = SlotWord::UNSET;
const NONE: SlotState = SlotState::Unset;

fn valid(cid: u32) -> SlotWord {
    UNSET.valid(cid)
}

fn lazy(cid: u32) -> SlotWord {
    valid(cid).to_lazy()
}

fn at(slot: u32, cid: u32) -> Outcome {
    Outcome::Retry(Some(Place { slot, cid }))
}

#[test]
fn an_unset_slot_gets_the_lowest_free_id() {
    let domain = Plain::new(4, &[UNSET, valid(0), valid(2)]);
    assert_eq!(domain.acquire(None), at(0, 1));
    assert_eq!(domain.states()[0], SlotState::Valid(1));
    assert_eq!(domain.ids.count(), 3);
}

#[test]
fn an_id_whose_stripe_cannot_be_opened_is_given_back() {
    let domain = Plain::new(4, &[UNSET, valid(0)]);
    domain.opens.set(false);
    assert_eq!(domain.acquire(None), Outcome::Fallback);
    assert_eq!(domain.states()[0], NONE);
    assert_eq!(domain.ids.count(), 1);
}

#[test]
fn only_a_claimed_id_is_opened() {
    let opened = |domain: &Plain| {
        let asked = domain.asked.borrow();
        asked.iter().any(|it| matches!(it, Request::Open { .. }))
    };
    let claimed = Plain::new(4, &[UNSET]);
    assert_eq!(claimed.acquire(None), at(0, 0));
    assert!(opened(&claimed));
    let rescued = Plain::new(4, &[lazy(1), valid(0)]);
    let moved = Plain::new(4, &[lazy(2), valid(0)]);
    let stolen = Plain::new(1, &[UNSET, valid(0)]);
    for domain in [rescued, moved, stolen] {
        assert_ne!(domain.acquire(None), Outcome::Fallback);
        assert!(!opened(&domain));
    }
}

#[test]
fn a_valid_slot_is_left_alone() {
    let domain = Plain::new(4, &[valid(3)]);
    assert_eq!(domain.acquire(None), at(0, 3));
}

#[test]
fn a_lazy_slot_is_rescued_if_no_lower_id_is_free() {
    let domain = Plain::new(4, &[lazy(1), valid(0)]);
    assert_eq!(domain.acquire(None), at(0, 1));
    assert!(!domain.asked(Request::Fence { cpu: 0 }));
}

#[test]
fn a_lazy_slot_moves_to_a_lower_id_behind_a_fence() {
    let domain = Plain::new(4, &[lazy(2), valid(0)]);
    assert_eq!(domain.acquire(None), at(0, 1));
    assert!(domain.asked(Request::Fence { cpu: 0 }));
    assert!(!domain.ids.is_set(2) && domain.ids.is_set(1));
}

#[test]
fn a_move_whose_fence_fails_changes_nothing() {
    let domain = Plain::new(4, &[lazy(2), valid(0)]);
    domain.fences.set(false);
    assert_eq!(domain.acquire(None), Outcome::Fallback);
    assert_eq!(domain.states(), [SlotState::Lazy(2), SlotState::Valid(0)]);
    assert!(domain.ids.is_set(2) && !domain.ids.is_set(1));
}

#[test]
fn an_id_at_the_bound_is_exchanged_or_dropped() {
    let exchanged = Plain::new(2, &[lazy(2), valid(0)]);
    assert_eq!(exchanged.acquire(None), at(0, 1));
    assert!(!exchanged.ids.is_set(2));
    for word in [valid(2), lazy(2)] {
        let dropped = Plain::new(1, &[word, valid(0)]);
        assert_eq!(dropped.acquire(None), Outcome::Retry(None));
        assert_eq!(dropped.states(), [NONE, SlotState::Valid(0)]);
        assert!(!dropped.ids.is_set(2));
        let unfenced = Plain::new(1, &[word, valid(0)]);
        unfenced.fences.set(false);
        assert_eq!(unfenced.acquire(None), Outcome::Fallback);
        assert!(unfenced.ids.is_set(2));
    }
}

#[test]
fn a_full_bound_is_stolen_from_lazy_slots_first() {
    let domain = Plain::new(2, &[UNSET, valid(0), lazy(1)]);
    assert_eq!(domain.acquire(None), at(0, 1));
    assert_eq!(
        domain.states(),
        [SlotState::Valid(1), SlotState::Valid(0), NONE]
    );
    assert!(domain.asked(Request::Fence { cpu: 2 }));
    assert_eq!(domain.ids.count(), 2);
}

#[test]
fn with_nobody_to_steal_from_the_fallback_it_is() {
    let domain = Plain::new(1, &[UNSET, UNSET]);
    domain.ids.set(0);
    assert_eq!(domain.acquire(None), Outcome::Fallback);
    domain.cpu.set(None);
    assert_eq!(domain.acquire(None), Outcome::Fallback);
}

#[test]
fn a_former_id_comes_along() {
    let domain = Plain::new(4, &[UNSET, valid(1), valid(3)]);
    let former = Place { slot: 2, cid: 3 };
    assert_eq!(domain.acquire(Some(former)), at(0, 3));
    assert_eq!(
        domain.states(),
        [SlotState::Valid(3), SlotState::Valid(1), NONE]
    );
    // Not one that is another's by now.
    let domain = Plain::new(4, &[UNSET, valid(1), valid(2)]);
    assert_eq!(domain.acquire(Some(former)), at(0, 0));
    // And not if the policy says so.
    let domain = Plain::new(4, &[UNSET, valid(1), valid(3)]);
    assert_eq!(
        drive(Acquire::new(Policy::V6, Some(former)), &domain),
        at(0, 0)
    );
}

#[test]
fn a_scan_takes_what_the_scan_before_has_marked() {
    let domain = Plain::new(8, &[valid(0), valid(1), UNSET, lazy(3)]);
    let scan = || drive(Scan::<64>::new(Depth::All, 0..4), &domain);
    let done = Outcome::Scanned { above: false };
    assert_eq!(scan(), done);
    assert_eq!(
        domain.states(),
        [SlotState::Lazy(0), SlotState::Lazy(1), NONE, NONE]
    );
    // One word: a fence of its CPU only.
    assert!(domain.asked(Request::Fence { cpu: 3 }) && !domain.asked(Request::FenceAll));
    assert_eq!(domain.acquire(None), at(0, 0));
    assert_eq!(scan(), done);
    assert_eq!(domain.states(), [SlotState::Lazy(0), NONE, NONE, NONE]);
    assert_eq!(domain.ids.count(), 1);
}

#[test]
fn a_periodic_scan_spares_what_is_fresh() {
    let domain = Plain::new(8, &[valid(0), valid(1), lazy(2), lazy(3)]);
    drive(Scan::<64>::new(Depth::Aged, 0..4), &domain);
    let expected = [
        SlotState::Lazy(0),
        SlotState::Valid(1),
        NONE,
        SlotState::Lazy(3),
    ];
    assert_eq!(domain.states(), expected);
}

#[test]
fn one_fence_serves_a_batch() {
    let slots: Vec<SlotWord> = (0..10).map(lazy).collect();
    let domain = Plain::new(64, &slots);
    drive(Scan::<4>::new(Depth::All, 0..10), &domain);
    assert_eq!(domain.ids.count(), 0);
    let asked = domain.asked.borrow();
    let fences = asked.iter().filter(|&&it| it == Request::FenceAll).count();
    assert_eq!(fences, 3);
}

#[test]
fn a_scan_takes_nothing_without_a_fence() {
    let domain = Plain::new(8, &[lazy(0), lazy(1), lazy(2)]);
    domain.fences.set(false);
    drive(Scan::<2>::new(Depth::All, 0..3), &domain);
    assert_eq!(domain.ids.count(), 3);
}

#[test]
fn leaving_drops_what_is_above_the_bound_and_no_more() {
    let domain = Plain::new(2, &[valid(3), lazy(0), lazy(2), valid(1)]);
    let outcome = drive(Compact::<2>::leaving(0..4), &domain);
    assert_eq!(outcome, Outcome::Scanned { above: false });
    assert_eq!(
        domain.states(),
        [NONE, SlotState::Lazy(0), NONE, SlotState::Valid(1)]
    );
    assert_eq!(domain.ids.highest(), Some(1));
}

#[test]
fn compacting_leaves_no_idle_id() {
    let domain = Plain::new(8, &[valid(5), valid(1), valid(3)]);
    drive(Compact::<64>::forced(0..3), &domain);
    assert_eq!(domain.ids.count(), 0);
    assert_eq!(domain.acquire(None), at(0, 0));
}

#[test]
fn a_child_keeps_what_slots_hold() {
    let domain = Plain::new(8, &[valid(5), UNSET, lazy(3)]);
    domain.ids.set(0);
    assert_eq!(drive(Reset::new(0..3), &domain), Outcome::Rebuilt);
    assert_eq!((domain.ids.count(), domain.ids.is_set(0)), (2, false));
}

#[test]
#[should_panic = "no answer to"]
fn another_answer_is_refused() {
    Acquire::new(Policy::default(), None).answer(Answer::Done);
}
