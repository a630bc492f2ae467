//! Locks in objects, released together by the space that the objects are in.
//!
//! | file | its one idea |
//! | --- | --- |
//! | `lock` | [`ObjectLock`]: readers, and the sequence it was write-locked in |
//! | `space` | [`LockSpace`]: the current sequence |
//! | `locked` | [`Locked`]: a lock and what it guards |
//! | `futex` | a word that is slept on |
//!
//! # Algorithm
//!
//! | word | bits | name |
//! | --- | --- | --- |
//! | lock | 0 to 13 | readers |
//! | | 14 | [`lock::BORROWED`]: the write section lends what is guarded |
//! | | 15 | [`lock::DRAINING`]: the writer sleeps until the readers have gone |
//! | | 16 to 63 | the sequence in which it was write-locked last; 0: never |
//! | space | 0 | [`space::SLEEPERS`]: somebody sleeps until the sequence goes on |
//! | | 1 to 63 | the sequence: odd while there is a writer; from 2 on |
//!
//! A lock is write-locked while its sequence is the space's. Lock sequences are odd or 0,
//! so nothing is locked while there is no writer, and the one store that ends a write
//! section unlocks all that it has locked. Sequences never come again: after 2^47 write
//! sections a space is used up.
//!
//! A *reader* adds itself to the lock, and then compares the sequence that it found there
//! with the space's. If they are the same it takes itself off again: it fails. If the
//! lock was marked before it came, the addition has acquired the mark, and so the load
//! that follows sees the sequence of that mark or a later one. If it came first, the
//! writer finds it.
//!
//! A *writer* marks the lock in one exchange, and then waits until no reader is left:
//! those that come now fail, and only for a moment count as readers.
//!
//! Nobody misses a wake-up: who wants to sleep says so in the very word that is slept on,
//! by an exchange that fails if the word has changed, and who changes it finds that in
//! the value that the change replaced.
//!
//! The loom models run this code, with mutants that are found: a reader that compares
//! first and adds itself then, a writer that drains first and marks then, or not at all;
//! an end, a mark and a reader's leave that release nothing; sleepers that say nothing,
//! and an end that looks for them before it stores.
//!
//! Source: the kernel's per-VMA locks with a sequence for the whole address space (S.
//! Baghdasaryan, Linux 6.4), with the lock back in the object it guards.

mod futex;
mod lock;
#[cfg(not(loom))]
mod locked;
#[cfg(all(test, loom))]
mod loom;
mod space;

#[cfg_attr(loom, allow(unused_imports, reason = "only the models run"))]
pub use lock::{ObjectLock, ReadGuard};
#[cfg(not(loom))]
pub use locked::{Locked, LockedMut, LockedRef};
#[cfg_attr(loom, allow(unused_imports, reason = "only the models run"))]
pub use space::{LockSpace, WriteSection};
