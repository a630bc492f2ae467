//! The current sequence, for all locks of a space.

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;

use super::futex::Futex;
use super::lock::{self, ObjectLock};
use crate::sync::atomic::Ordering;

/// Somebody sleeps until the sequence goes on.
pub(super) const SLEEPERS: u64 = 1;

/// The first sequence: even, and not that of a lock that was never write-locked.
const FIRST: u64 = 2;

/// What the locks of many objects have in common: one writer at a time, who locks as many
/// of them as he likes and releases all with one store.
///
/// The kernel's address space with its areas, and their locks, is one.
///
/// ```
/// use percid::{LockSpace, Locked};
///
/// let space = LockSpace::new();
/// let areas: Vec<_> = (0..3).map(|start| Locked::new(&space, start)).collect();
///
/// let writer = space.begin_write();
/// *areas[0].write(&writer) += 10;
/// *areas[1].write(&writer) += 10;
/// assert!(areas[0].read_try().is_none());
/// assert_eq!(*areas[2].read_try().expect("not locked"), 2);
/// writer.end_write();
/// assert_eq!(*areas[0].read_try().expect("released"), 10);
/// ```
///
/// # Cost
///
/// A begin and an end are one read-modify-write each, and a system call where somebody
/// sleeps. 8 bytes; keep them on a line that nobody writes to: every reader loads them.
///
/// # Panics
///
/// After 2^47 write sections.
///
/// # Fallback
///
/// Elsewhere than on Linux sleepers look again every 50 microseconds.
///
/// # Fork and signals
///
/// Not for signal handlers. In a child of `fork` what another thread had locked stays
/// locked.
pub struct LockSpace {
    pub(super) sequence: Futex,
}

impl LockSpace {
    /// A space in which nothing is locked.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> LockSpace {
        LockSpace {
            sequence: Futex::new(FIRST << 1),
        }
    }

    /// A space in which nothing is locked.
    #[cfg(loom)]
    #[must_use]
    #[allow(clippy::new_without_default, reason = "for models")]
    pub fn new() -> LockSpace {
        LockSpace {
            sequence: Futex::new(FIRST << 1),
        }
    }

    /// The space's writer, once there is no other. Waits for a moment by spinning, and
    /// then asleep; in no particular order.
    ///
    /// # Panics
    ///
    /// When the space is used up.
    pub fn begin_write(&self) -> WriteSection<'_> {
        loop {
            if let Some(section) = self.try_begin_write() {
                return section;
            }
            if !self.sequence.spin(|word| !is_written(word)) {
                // Ordering: Relaxed. The exchange and the kernel look again.
                let word = self.sequence.word.load(Ordering::Relaxed);
                if is_written(word) {
                    self.sequence.sleep_saying(word, SLEEPERS);
                }
            }
        }
    }

    /// The space's writer, unless there is one.
    ///
    /// # Panics
    ///
    /// When the space is used up.
    #[must_use = "dropping the section ends it"]
    pub fn try_begin_write(&self) -> Option<WriteSection<'_>> {
        // Ordering: Relaxed. The exchange decides.
        let word = self.sequence.word.load(Ordering::Relaxed);
        if is_written(word) {
            return None;
        }
        let sequence = (word >> 1) + 1;
        assert!(sequence < lock::NO_SEQUENCE, "the lock space is used up");
        // Ordering: Acquire pairs with the Release of the end: a writer has what the one
        // before did. Nobody sleeps for an even sequence, so the bit is not set.
        let begun = self.sequence.word.compare_exchange(
            word,
            sequence << 1,
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        begun.is_ok().then(|| WriteSection {
            space: self,
            sequence,
            not_sync: PhantomData,
        })
    }

    /// Whether there is a writer at this moment.
    #[must_use]
    pub fn is_written(&self) -> bool {
        is_written(self.sequence.word.load(Ordering::Relaxed))
    }
}

fn is_written(word: u64) -> bool {
    word >> 1 & 1 != 0
}

#[cfg(not(loom))]
impl Default for LockSpace {
    fn default() -> LockSpace {
        LockSpace::new()
    }
}

impl fmt::Debug for LockSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockSpace")
            .field("written", &self.is_written())
            .finish()
    }
}

/// The time of a space's writer. Ends when it is dropped.
///
/// Another thread may go on with it, but not two at a time. Forgotten, it leaves what it
/// has locked locked for ever, and the space without another writer.
#[must_use = "dropping the section ends it"]
pub struct WriteSection<'s> {
    space: &'s LockSpace,
    sequence: u64,
    /// Two threads could mark one lock at the same time, and the second would not wait
    /// for the readers.
    not_sync: PhantomData<Cell<()>>,
}

impl WriteSection<'_> {
    /// Locks an object of this space until the section ends: marks it, so that readers
    /// that come now fail, and waits for those that are there. At once, if this section
    /// has locked it already.
    ///
    /// Do not call it with one of its read guards in hand: it would wait for ever.
    pub fn lock(&self, lock: &ObjectLock) {
        lock.write(self.sequence);
    }

    /// Releases every lock that was taken, with one store, and wakes who sleeps.
    pub fn end_write(self) {}

    /// Whether it is a section of that space.
    #[cfg(not(loom))]
    pub(super) fn is_of(&self, space: &LockSpace) -> bool {
        core::ptr::eq(self.space, space)
    }

    #[cfg(not(loom))]
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl Drop for WriteSection<'_> {
    #[inline]
    fn drop(&mut self) {
        let sequence = &self.space.sequence;
        // Ordering: Release pairs with the Acquire of readers and of the next writer.
        let before = sequence
            .word
            .swap((self.sequence + 1) << 1, Ordering::Release);
        if before & SLEEPERS != 0 {
            sequence.wake_all();
        }
    }
}

impl fmt::Debug for WriteSection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteSection").finish_non_exhaustive()
    }
}
