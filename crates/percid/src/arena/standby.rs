//! Words for counters that must count although there is no arena.
//!
//! A static counter cannot return an error. Where the system refuses address
//! space its word is one of these: shared by all threads, changed by atomic
//! read-modify-writes, part of the program's own zeroed data, so that it costs
//! nothing until it is used.

use core::sync::atomic::{AtomicU64, Ordering};

use super::free_list::FreeList;

/// How many there are, and one that is never used.
const WORDS: u32 = 1 << 16;

static STANDBY: [AtomicU64; WORDS as usize] = [const { AtomicU64::new(0) }; WORDS as usize];

static FREE: FreeList = FreeList::new(1);

pub(super) fn word(index: u32) -> &'static AtomicU64 {
    &STANDBY[index as usize]
}

/// A word that reads zero; `None` if all are in use.
pub(super) fn allocate() -> Option<u32> {
    // A free word holds its own link.
    if let Some(index) = FREE.pop(word) {
        // Ordering: Relaxed. Whoever publishes the index publishes the zero.
        word(index).store(0, Ordering::Relaxed);
        return Some(index);
    }
    match FREE.fresh(WORDS, |_| Ok::<(), core::convert::Infallible>(())) {
        Ok(index) => index,
    }
}

pub(super) fn free(index: u32) {
    FREE.push(index, word(index));
}

pub(super) fn used() -> u32 {
    FREE.used()
}
