//! Which counter has which word.
//!
//! # Algorithm
//!
//! Entries are made one after the other, under the file's lock: first the bytes of the
//! name, then its length, which makes the entry valid. So readers need no lock, and who
//! dies in between leaves an entry that is still free. Nothing is ever removed.

use std::sync::atomic::Ordering;

use super::layout::{COUNTERS, ENTRY_WORDS, NAME_BYTES};
use super::mapping::Mapping;
use super::{FileError, counter};

/// A counter of a file and what it has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Total {
    /// Its name.
    pub name: String,
    /// What was added to it.
    pub total: u64,
}

/// The index of the counter of that name, which is made if there is none.
pub(super) fn find_or_make(mapping: &Mapping, name: &str) -> Result<usize, FileError> {
    if name.is_empty() || name.len() > NAME_BYTES || name.chars().any(char::is_control) {
        return Err(FileError::Name);
    }
    let find = || {
        for index in 0..COUNTERS {
            match self::name(mapping, index) {
                Some(known) if known == name.as_bytes() => return Ok(index),
                Some(_) => {}
                None => return Err(index),
            }
        }
        Err(COUNTERS)
    };
    if let Ok(index) = find() {
        return Ok(index);
    }
    let _lock = mapping.lock()?;
    let index = match find() {
        Err(COUNTERS) => return Err(FileError::Full),
        Err(free) => free,
        found => return found.or(Err(FileError::Full)),
    };
    mapping.allocate(index)?;
    let mut bytes = [0; NAME_BYTES];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    for (word, chunk) in (1..ENTRY_WORDS).zip(bytes.as_chunks::<8>().0) {
        // Ordering: Relaxed. The length publishes them.
        let text = u64::from_ne_bytes(*chunk);
        mapping.entry(index, word).store(text, Ordering::Relaxed);
    }
    // Ordering: Release pairs with the Acquire in `name`: who sees the length sees the
    // bytes.
    let length = mapping.entry(index, 0);
    length.store(name.len() as u64, Ordering::Release);
    Ok(index)
}

/// The name of a counter; `None` if there is none.
// Ordering: Acquire pairs with the Release in `find_or_make`.
fn name(mapping: &Mapping, index: usize) -> Option<Vec<u8>> {
    let length = mapping.entry(index, 0).load(Ordering::Acquire) as usize;
    if length == 0 {
        return None;
    }
    let words = (1..ENTRY_WORDS).map(|word| mapping.entry(index, word).load(Ordering::Relaxed));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
    bytes.truncate(length);
    Some(bytes)
}

/// All counters, in the order in which they were made.
pub(super) fn totals(mapping: &Mapping) -> Vec<Total> {
    let names = (0..COUNTERS).map_while(|index| name(mapping, index));
    names
        .enumerate()
        .map(|(index, name)| Total {
            // Whoever may write the file may have written anything; a terminal shall not
            // obey it.
            name: String::from_utf8_lossy(&name).replace(char::is_control, "\u{fffd}"),
            total: counter::sum(mapping, index),
        })
        .collect()
}
