//! The lock in an object.

use core::fmt;

use super::futex::Futex;
use super::space::{LockSpace, SLEEPERS};
use crate::sync::atomic::Ordering;

const READERS: u64 = (1 << 14) - 1;

/// The write section lends what is guarded.
pub(super) const BORROWED: u64 = 1 << 14;

/// The writer sleeps until the readers have gone.
pub(super) const DRAINING: u64 = 1 << 15;

const SEQUENCE: u32 = 16;

/// Sequences are below this.
pub(super) const NO_SEQUENCE: u64 = 1 << (64 - SEQUENCE);

/// From here on further readers are turned away. So many more would have to come at the
/// same time to overflow the count.
const CROWD: u64 = READERS / 2;

/// A reader-writer lock of 8 bytes, for embedding in the object that it guards.
///
/// Readers never wait for a writer unless they ask to: [`read_try`](ObjectLock::read_try)
/// fails at once when the object is write-locked. The writer is the
/// [`LockSpace`]'s, of which there is one at a time; it releases all objects together.
///
/// ```
/// use percid::{LockSpace, ObjectLock};
///
/// static SPACE: LockSpace = LockSpace::new();
/// static LOCK: ObjectLock = ObjectLock::new();
///
/// let reader = LOCK.read_try(&SPACE).expect("nobody writes");
/// drop(reader);
/// let writer = SPACE.begin_write();
/// assert!(LOCK.read_try(&SPACE).is_some(), "not this one yet");
/// writer.lock(&LOCK);
/// assert!(LOCK.read_try(&SPACE).is_none());
/// writer.end_write();
/// assert!(LOCK.read_try(&SPACE).is_some());
/// ```
///
/// The lock itself guards nothing: [`Locked`](crate::Locked) does. It belongs to one
/// space, and cannot tell if it is read or locked with another; then readers and writer
/// do not exclude each other.
///
/// # Cost
///
/// A reader: one read-modify-write to come and one to go, neither of which is ever tried
/// again, and two loads of the space's word. Two readers of one object still move its
/// line. A writer: one exchange for each object.
///
/// # Shapes and units
///
/// Up to 8191 readers at a time; those that are forgotten count, too.
///
/// # Placement
///
/// Who locks an object writes to its line. Objects that share a line, or a lock that
/// shares one with what others read, slow each other down several times: align objects
/// to 64 bytes (`#[repr(align(64))]`), as `percid bench lock` shows.
///
/// # Fallback
///
/// As [`LockSpace`].
///
/// # Fork and signals
///
/// `read_try` may be called from a signal handler, and its guard dropped there. In a child
/// of `fork` the readers that other threads were stay.
///
/// # Source
///
/// The kernel's per-VMA locks: S. Baghdasaryan (Linux 6.4).
pub struct ObjectLock {
    pub(super) futex: Futex,
}

impl ObjectLock {
    /// A lock that nobody has.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> ObjectLock {
        ObjectLock {
            futex: Futex::new(0),
        }
    }

    /// A lock that nobody has.
    #[cfg(loom)]
    #[must_use]
    #[allow(clippy::new_without_default, reason = "for models")]
    pub fn new() -> ObjectLock {
        ObjectLock {
            futex: Futex::new(0),
        }
    }

    /// Reads the object until the guard is dropped; `None` if it is write-locked. Never
    /// waits.
    ///
    /// `None` as well beyond 8191 readers.
    #[inline]
    #[must_use = "without the guard that is returned nothing is locked"]
    pub fn read_try(&self, space: &LockSpace) -> Option<ReadGuard<'_>> {
        // While there is a writer, who would fail anyway does not write to the lock.
        // Ordering: Relaxed. Only spares the addition.
        let now = space.sequence.word.load(Ordering::Relaxed) >> 1;
        if now & 1 != 0 && self.futex.word.load(Ordering::Relaxed) >> SEQUENCE == now {
            return None;
        }
        // Ordering: Acquire pairs with the Release of `write`'s mark, so that the load
        // below is not older than a mark that is found here.
        let before = self.futex.word.fetch_add(1, Ordering::Acquire);
        // Ordering: Acquire pairs with the Release of the section's end: what the writer
        // did to an object that was released is there.
        let now = space.sequence.word.load(Ordering::Acquire) >> 1;
        let guard = ReadGuard { lock: self };
        if before >> SEQUENCE == now || before & READERS >= CROWD {
            return turned_away(guard);
        }
        Some(guard)
    }

    /// Reads the object until the guard is dropped. While it is write-locked this waits,
    /// for a moment by spinning, and then asleep.
    ///
    /// Do not call it in the space's own write section: it would wait for ever.
    ///
    /// # Panics
    ///
    /// If there are 8191 readers.
    #[inline]
    pub fn read(&self, space: &LockSpace) -> ReadGuard<'_> {
        match self.read_try(space) {
            Some(guard) => guard,
            None => self.read_slow(space),
        }
    }

    #[cold]
    #[inline(never)]
    fn read_slow(&self, space: &LockSpace) -> ReadGuard<'_> {
        loop {
            // Ordering: Relaxed, here and below. Whoever goes on tries again.
            let word = self.futex.word.load(Ordering::Relaxed);
            assert!(
                word & READERS < CROWD,
                "too many readers; were guards forgotten?"
            );
            let locked_in = word >> SEQUENCE;
            let is_over = |word: u64| word >> 1 != locked_in;
            if !space.sequence.spin(is_over) {
                let now = space.sequence.word.load(Ordering::Relaxed);
                if !is_over(now) {
                    space.sequence.sleep_saying(now, SLEEPERS);
                }
            }
            if let Some(guard) = self.read_try(space) {
                return guard;
            }
        }
    }

    /// Marks it with the sequence of the write section, and waits for its readers.
    pub(super) fn write(&self, sequence: u64) {
        // Ordering: Relaxed. Only this section marks with its sequence.
        let mut word = self.futex.word.load(Ordering::Relaxed);
        if word >> SEQUENCE == sequence {
            return;
        }
        loop {
            let marked = sequence << SEQUENCE | word & READERS;
            // Ordering: Release pairs with the Acquire of readers: whoever finds the mark
            // finds the space's sequence no older. Acquire: if there is no reader left,
            // what they did comes before this.
            match self.futex.word.compare_exchange_weak(
                word,
                marked,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) if marked & READERS == 0 => return,
                Ok(_) => break self.drain(),
                Err(now) => word = now,
            }
        }
    }

    /// Waits until no reader is left.
    #[cold]
    #[inline(never)]
    pub(super) fn drain(&self) {
        let is_free = |word: u64| word & READERS == 0;
        if self.futex.spin(is_free) {
            return;
        }
        loop {
            // Ordering: Acquire pairs with the Release of the readers that have gone.
            let word = self.futex.word.load(Ordering::Acquire);
            if is_free(word) {
                if word & DRAINING != 0 {
                    // Ordering: Relaxed. It says only that nobody sleeps any more.
                    self.futex.word.fetch_and(!DRAINING, Ordering::Relaxed);
                }
                return;
            }
            self.futex.sleep_saying(word, DRAINING);
        }
    }
}

/// A reader that came too late goes again, as any other.
#[cold]
#[inline(never)]
fn turned_away(guard: ReadGuard<'_>) -> Option<ReadGuard<'_>> {
    drop(guard);
    None
}

#[cfg(not(loom))]
impl Default for ObjectLock {
    fn default() -> ObjectLock {
        ObjectLock::new()
    }
}

impl fmt::Debug for ObjectLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.futex.word.load(Ordering::Relaxed);
        f.debug_struct("ObjectLock")
            .field("readers", &(word & READERS))
            .finish_non_exhaustive()
    }
}

/// An object is not written while this lives.
///
/// Forgotten, it keeps the writer waiting for ever.
#[must_use = "the object is released when this is dropped"]
pub struct ReadGuard<'a> {
    lock: &'a ObjectLock,
}

#[cfg(all(test, loom))]
impl ReadGuard<'_> {
    /// Of a reader that is counted.
    pub(super) fn of(lock: &ObjectLock) -> ReadGuard<'_> {
        ReadGuard { lock }
    }
}

impl Drop for ReadGuard<'_> {
    // Ordering: Release pairs with the Acquire of the writer that waits for this reader,
    // or marks the lock after it.
    #[inline]
    fn drop(&mut self) {
        let before = self.lock.futex.word.fetch_sub(1, Ordering::Release);
        if before & (READERS | DRAINING) == DRAINING | 1 {
            self.lock.futex.wake_all();
        }
    }
}

impl fmt::Debug for ReadGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadGuard").field(self.lock).finish()
    }
}
