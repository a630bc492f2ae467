//! Whom to steal an id from.
//!
//! Slots that are LAZY, the oldest mark first: nobody has used the id since. Then
//! VALID ones, the oldest slow path first: their owner has kept it the longest.
//! Among equals the first one after the hand, which the driver moves past each
//! victim, so that thieves do not all go for the same.
//!
//! The answer is a hint. The thief reads the victim's word again, and the machine is
//! sound whatever slot it is given.

use super::word::{SlotState, SlotWord};

/// Picks the victim among `slots`: each one's word and the time of its last change.
/// `thief` is never picked, nor a slot whose id is at or above `bound`.
///
/// ```
/// use percid_cid::domain::{SlotWord, victim};
///
/// let valid = |cid| SlotWord::UNSET.valid(cid);
/// let slots = [(valid(0), 5), (valid(1), 9), (valid(2).to_lazy(), 8)];
/// // The only LAZY one, although it changed later than slot 0.
/// assert_eq!(victim(slots, 1, 3, 0), Some(2));
/// // Its id is of no use below a bound of 2.
/// assert_eq!(victim(slots, 1, 2, 0), Some(0));
/// ```
pub fn victim(
    slots: impl IntoIterator<Item = (SlotWord, u64)>,
    thief: u32,
    bound: u32,
    hand: u32,
) -> Option<u32> {
    slots
        .into_iter()
        .zip(0..)
        .filter(|&(_, slot)| slot != thief)
        .filter_map(|((word, changed), slot)| match word.state() {
            SlotState::Lazy(cid) if cid < bound => Some((false, changed, slot < hand, slot)),
            SlotState::Valid(cid) if cid < bound => Some((true, changed, slot < hand, slot)),
            _ => None,
        })
        .min()
        .map(|(.., slot)| slot)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn slots() -> [(SlotWord, u64); 5] {
        let valid = |cid| SlotWord::UNSET.valid(cid);
        [
            (valid(0), 4),
            (valid(1), 2),
            (SlotWord::UNSET, 0),
            (valid(3), 2),
            (valid(4).to_lazy(), 9),
        ]
    }

    #[test]
    fn lazy_first_then_the_oldest_after_the_hand() {
        assert_eq!(victim(slots(), 0, 9, 0), Some(4));
        assert_eq!(victim(slots(), 0, 4, 0), Some(1));
        assert_eq!(victim(slots(), 0, 4, 2), Some(3));
        assert_eq!(victim(slots(), 1, 2, 0), Some(0));
        assert_eq!(victim(slots(), 0, 1, 0), None);
    }
}
