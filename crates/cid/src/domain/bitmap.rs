//! The ids that are taken: a bit each, the lowest free one handed out.
//!
//! # Algorithm
//!
//! Words of 64 bits, from the lowest. A claim loads a word, picks its lowest zero
//! below the bound, and sets it by CAS; a word that is full leads to the next one. A
//! CAS that fails means that another thread has changed the word, so somebody always
//! gets on; but this thread may not, so after eight failures in one claim it
//! gives up ([`Claim::Contended`]) and its operation takes the fallback. Nobody
//! waits.
//!
//! What is exact: an id is handed out to one owner until it is cleared, and within
//! one word it was the lowest free when it was claimed. What is not: words are read
//! one after the other, so an id below may become free meanwhile, and `Full` means
//! that each word was full at *some* moment.
//!
//! Source: the kernel's `__mm_cid_get`, version 6 of the `mm_cid` patches, where a
//! lock takes over after the first failure; `Contended` stands in its place.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Failed CAS attempts of one claim after which it gives up.
const TRIES: u32 = if cfg!(loom) { 1 } else { 8 };

/// What came of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claim {
    /// This id is the caller's until it clears it.
    Id(u32),
    /// All are taken.
    Full,
    /// Others were faster too often.
    Contended,
}

/// A set of `64 * WORDS` ids: 8192 if not said otherwise.
///
/// ```
/// use percid_cid::domain::{Bitmap, Claim};
///
/// let ids: Bitmap = Bitmap::new();
/// assert_eq!(ids.claim_lowest(2), Claim::Id(0));
/// assert_eq!(ids.claim_lowest(2), Claim::Id(1));
/// assert_eq!(ids.claim_lowest(2), Claim::Full);
/// ids.clear(0);
/// assert_eq!((ids.is_set(0), ids.count(), ids.highest()), (false, 1, Some(1)));
/// ```
#[derive(Debug)]
pub struct Bitmap<const WORDS: usize = 128> {
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Bitmap<WORDS> {
    /// Number of ids.
    pub const CAPACITY: u32 = 64 * WORDS as u32;

    /// Every id free.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Bitmap<WORDS> {
        Bitmap {
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// Every id free.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> Bitmap<WORDS> {
        Bitmap {
            words: core::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    fn word(&self, cid: u32) -> &AtomicU64 {
        &self.words[(cid / 64) as usize]
    }

    /// Takes the lowest free id below `below` (or below the capacity).
    // Ordering: Acquire pairs with the Release of `clear`: what was done under the id
    // before it was freed, and in the slot it was taken from, happened before.
    pub fn claim_lowest(&self, below: u32) -> Claim {
        let mut tries = TRIES;
        for (word, base) in self.words.iter().zip((0..below).step_by(64)) {
            let mut taken = word.load(Ordering::Relaxed);
            loop {
                let bit = taken.trailing_ones();
                if bit == 64 || base + bit >= below {
                    break;
                }
                let wanted = taken | 1 << bit;
                match word.compare_exchange(taken, wanted, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => return Claim::Id(base + bit),
                    Err(now) => taken = now,
                }
                tries -= 1;
                if tries == 0 {
                    return Claim::Contended;
                }
            }
        }
        Claim::Full
    }

    /// Frees an id.
    ///
    /// # Panics
    ///
    /// If there is no such id.
    // Ordering: Release, as `claim_lowest` says.
    pub fn clear(&self, cid: u32) {
        self.clear_in(cid, Ordering::Release);
    }

    /// The mutant of the loom model.
    #[cfg(all(test, loom))]
    pub(crate) fn clear_relaxed(&self, cid: u32) {
        self.clear_in(cid, Ordering::Relaxed);
    }

    fn clear_in(&self, cid: u32, order: Ordering) {
        let before = self.word(cid).fetch_and(!(1 << (cid % 64)), order);
        debug_assert!(before >> (cid % 64) & 1 == 1, "id {cid} was freed twice");
    }

    /// Takes an id that is known to be free: for the child of a fork.
    ///
    /// # Panics
    ///
    /// If there is no such id.
    // Ordering: Relaxed. The child is alone.
    pub fn set(&self, cid: u32) {
        let before = self.word(cid).fetch_or(1 << (cid % 64), Ordering::Relaxed);
        debug_assert!(before >> (cid % 64) & 1 == 0, "two slots hold id {cid}");
    }

    /// Frees every id, whoever held it: for the child of a fork.
    // Ordering: Relaxed. The child is alone.
    pub fn clear_all(&self) {
        for word in &self.words {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Whether an id is taken at this moment.
    ///
    /// # Panics
    ///
    /// If there is no such id.
    #[must_use]
    pub fn is_set(&self, cid: u32) -> bool {
        self.word(cid).load(Ordering::Relaxed) >> (cid % 64) & 1 == 1
    }

    /// Number of ids taken; racy, word by word.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.words
            .iter()
            .map(|word| word.load(Ordering::Relaxed).count_ones())
            .sum()
    }

    /// The lowest id that is free; racy, word by word.
    #[must_use]
    pub fn lowest_free(&self) -> Option<u32> {
        self.words.iter().enumerate().find_map(|(index, word)| {
            let free = word.load(Ordering::Relaxed).trailing_ones();
            (free < 64).then(|| index as u32 * 64 + free)
        })
    }

    /// The highest id taken; racy, word by word.
    #[must_use]
    pub fn highest(&self) -> Option<u32> {
        (0..WORDS).rev().find_map(|index| {
            let taken = self.words[index].load(Ordering::Relaxed);
            (taken != 0).then(|| index as u32 * 64 + taken.ilog2())
        })
    }
}

impl<const WORDS: usize> Default for Bitmap<WORDS> {
    fn default() -> Bitmap<WORDS> {
        Bitmap::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn hands_out_all_and_then_none() {
        let ids: Bitmap<2> = Bitmap::new();
        for cid in 0..100 {
            assert_eq!(ids.claim_lowest(100), Claim::Id(cid));
        }
        assert_eq!(ids.claim_lowest(100), Claim::Full);
        assert_eq!((ids.count(), ids.highest()), (100, Some(99)));
        assert_eq!(ids.lowest_free(), Some(100));
        for cid in [99, 64, 63] {
            ids.clear(cid);
            assert!(!ids.is_set(cid));
            assert_eq!(ids.lowest_free(), Some(cid));
            assert_eq!(ids.claim_lowest(u32::MAX), Claim::Id(cid));
        }
        ids.clear_all();
        assert_eq!((ids.count(), ids.highest()), (0, None));
    }

    #[test]
    fn nothing_is_claimed_at_the_bound() {
        let ids: Bitmap<2> = Bitmap::new();
        assert_eq!(ids.claim_lowest(0), Claim::Full);
        ids.set(0);
        assert_eq!(ids.claim_lowest(1), Claim::Full);
        (1..64).for_each(|cid| ids.set(cid));
        assert_eq!(ids.claim_lowest(64), Claim::Full);
        assert_eq!(ids.claim_lowest(65), Claim::Id(64));
        assert_eq!(ids.claim_lowest(Bitmap::<2>::CAPACITY), Claim::Id(65));
    }

    #[test]
    fn threads_never_share_an_id() {
        const THREADS: u32 = 4;
        let ids: Bitmap<1> = Bitmap::new();
        let owners = [const { AtomicU64::new(0) }; THREADS as usize];
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        match ids.claim_lowest(THREADS) {
                            Claim::Id(cid) => {
                                let owner = &owners[cid as usize];
                                assert_eq!(owner.fetch_add(1, Ordering::Relaxed), 0);
                                owner.fetch_sub(1, Ordering::Relaxed);
                                ids.clear(cid);
                            }
                            Claim::Full => panic!("an id for each thread"),
                            Claim::Contended => {}
                        }
                    }
                });
            }
        });
        assert_eq!(ids.count(), 0);
    }
}
