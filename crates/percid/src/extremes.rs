//! The least and the greatest of a stripe's values, as words that only grow.

use percid_rseq::section::{self, Index, WordAddress};
use percid_rseq::{Refusal, portable};

use crate::arena::{ArenaError, Operation};
use crate::room::Room;
use crate::scope::Scope;

/// Raises a word to a value, if that is greater.
///
/// Two sections, the second one only where the value is a new extreme: a load, and a
/// store if the word still holds what was loaded. The id may be another one by then; the
/// store is right on any stripe that holds a smaller value. Words only grow, so a value
/// that was not greater on one stripe never will be of those of all.
struct Raise {
    word: usize,
    value: u64,
}

impl Operation for Raise {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Index, const SHIFT: u32>(
        &self,
        index: I,
        first: WordAddress,
    ) -> Result<(), Refusal> {
        let word = first.offset(self.word);
        // SAFETY: the caller's contract.
        let seen = unsafe { section::load::<I, SHIFT>(index, word)? };
        if seen >= self.value {
            return Ok(());
        }
        // SAFETY: as above.
        unsafe { section::compare_store::<I, SHIFT>(index, word, seen, self.value) }
    }
}

/// Raises a word of a room to a value, if that is greater.
///
/// # Errors
///
/// If there is no memory.
///
/// # Safety
///
/// The room has such a word, which changes by this function only.
#[inline(always)]
pub(crate) unsafe fn raise<S: Scope>(
    room: &Room<S>,
    word: usize,
    value: u64,
) -> Result<(), ArenaError> {
    // SAFETY: the caller's contract.
    match unsafe { room.run(&Raise { word, value }) } {
        Ok(()) => Ok(()),
        Err(_) => raise_slow(room, word, value),
    }
}

/// On the fallback, or after another thread of the same id has raised it meanwhile: there
/// it counts as well.
#[cold]
#[inline(never)]
fn raise_slow<S: Scope>(room: &Room<S>, word: usize, value: u64) -> Result<(), ArenaError> {
    let stripe = room.fallback()?;
    // Ordering: Relaxed. An extreme publishes nothing but itself.
    stripe.words()[word].fetch_max(value, core::sync::atomic::Ordering::Relaxed);
    Ok(())
}

/// The greatest that a word of a room was raised to; 0 if it never was.
pub(crate) fn greatest<S: Scope>(room: &Room<S>, word: usize) -> u64 {
    let stripes = room.stripes();
    stripes
        .map(|stripe| portable::load(&stripe.words()[word]))
        .max()
        .unwrap_or(0)
}
