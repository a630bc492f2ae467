//! A small value that is copied out in one section.
//!
//! # Algorithm
//!
//! The cell is a pointer to a block that holds the value and never changes. A reader loads
//! the pointer and copies what it leads to in one section. A writer swaps the pointer,
//! fences, and frees the old block: a section that had loaded the old pointer has either
//! copied all of it by then, or was restarted by the fence and finds the new one.
//!
//! ```text
//! reader, in a section              writer
//!   p = pointer (acquire)             old = swap(pointer, new) (acq_rel)
//!   copy *p                           fence: sections restart        [PRIVATE_EXPEDITED alone
//!   end                               wait for counted readers        does not restart them]
//! reader, counted                     free old
//!   seen = true; raise a count; full fence
//!   p = pointer; copy *p; lower it
//! ```
//!
//! Nothing is published by a reader in a section, so there is nothing to look for and nobody
//! to wait for. Where there are no sections, or none that can be fenced, the pointer leads
//! nowhere, so that a reader asks nothing but what its section came to; the block is at
//! another pointer then. Counted readers, whom a fence does not restart, are a domain of their own
//! ([`ReclaimDomain`]), which writers ask only in a process that ever had one: a writer's
//! fence, and the full one in raising a count, decide that either the writer sees `seen`, or
//! the reader the new pointer.
//!
//! The torture test takes the fence away, and replaces it by one that does not restart
//! sections: both show reads of freed blocks.

use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::panic::RefUnwindSafe;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error};

use percid_rseq::Refusal;
use percid_rseq::section::{self, retry};

use crate::domain::sections;
use crate::fork_lock::{ForkLock, Locked};
use crate::{Barriers, Invariant, ReclaimDomain};

/// A small value that many threads read and few replace: *the old value is freed before
/// [`replace`](Self::replace) returns, whatever readers do.*
///
/// For a word of configuration, a route, a pointer and a length: anything that is `Copy`.
/// A read copies it, so no reader holds anything, and none can hold anything up.
///
/// ```
/// use percid_shootdown::CopyCell;
///
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// struct Route { gateway: u32, metric: u32 }
///
/// let route = CopyCell::new(Route { gateway: 1, metric: 10 });
/// assert_eq!(route.read().metric, 10);
/// let old = route.replace(Route { gateway: 2, metric: 5 });
/// assert_eq!((old.gateway, route.read().gateway), (1, 2));
/// route.update(|route| Route { metric: route.metric + 1, ..route });
/// assert_eq!(route.read().metric, 6);
/// ```
///
/// A cell of one type is not one of another, also where only lifetimes differ: what is put
/// there must live as long as what is read:
///
/// ```
/// # use percid_shootdown::CopyCell;
/// fn rename<'a>(cell: &CopyCell<&'a str>, name: &'a str) {
///     cell.replace(name);
/// }
/// ```
///
/// ```compile_fail
/// # use percid_shootdown::CopyCell;
/// fn rename<'a>(cell: &CopyCell<&'static str>, name: &'a str) {
///     cell.replace(name);
/// }
/// ```
///
/// # Cost
///
/// A read is one section: three loads, a plain store, and the copy; for values of at most 8
/// bytes the copy is one load. Nothing that other threads see is written.
///
/// To replace it is an allocation, a swap and a fence of the kernel
/// ([`Barriers`]): 0.3 microseconds when no other thread of the process runs, about 10 when
/// one does. Writers at the same time share fences.
///
/// Thirty-two bytes in place, and a block of the value's size. A read takes no id and there
/// is nothing per cid, so a cell belongs to no [`Domain`](percid::Domain): members of one
/// read it as everybody does, at no cost to the domain.
///
/// # Fallback
///
/// A thread that cannot run sections reads under a count, for which `replace` waits: two
/// read-modify-writes and a fence. Where the kernel refuses the fence although it allowed it
/// before, `replace` leaks the old block: 8 bytes or the value's size.
///
/// # Fork and signals
///
/// `read` may be called in signal handlers. `replace` and `update` allocate and may wait, so
/// they must not. A child of `fork` has its parent's value. If another thread was just
/// reading under a count at the fork (see above), `replace` and `update` wait for it in the
/// child, for ever.
pub struct CopyCell<T: Copy + Send> {
    /// What sections follow: to the block, or nowhere.
    pointer: AtomicPtr<u8>,
    /// Null, or where the block is that sections are not to find. One or the other from the
    /// cell's beginning to its end.
    counted: AtomicPtr<u8>,
    /// How often it was replaced. It only grows: what a writer has seen never comes again.
    version: AtomicU64,
    writers: ForkLock<()>,
    /// Has a value, and takes and gives others: invariant.
    value: PhantomData<(T, Invariant<T>)>,
}

// SAFETY: threads get copies, made while the block stays; those may be sent.
unsafe impl<T: Copy + Send> Sync for CopyCell<T> {}

/// What a panic can interrupt is `update`'s closure, which runs before anything is changed.
impl<T: Copy + Send> RefUnwindSafe for CopyCell<T> {}

/// Readers that are counted, of all cells.
static COUNTED: ReclaimDomain = ReclaimDomain::new();

/// Whether there ever was one.
static SEEN: AtomicBool = AtomicBool::new(false);

/// Blocks that were unlinked and are not freed.
static UNFREED: AtomicU64 = AtomicU64::new(0);

impl<T: Copy + Send> CopyCell<T> {
    /// A block is whole words: small values are read by one load.
    const BLOCK: Layout = {
        let size = if size_of::<T>() < 8 {
            8
        } else {
            size_of::<T>()
        };
        let align = if align_of::<T>() < 8 {
            8
        } else {
            align_of::<T>()
        };
        match Layout::from_size_align(size.next_multiple_of(8), align) {
            Ok(layout) => layout,
            Err(_) => panic!("a value too large for memory"),
        }
    };

    /// A cell with a value.
    #[must_use]
    pub fn new(value: T) -> CopyCell<T> {
        let block = Self::block(value);
        let (pointer, counted) = match sections() {
            true => (block, ptr::null_mut()),
            false => (section::nowhere(), block),
        };
        CopyCell {
            pointer: AtomicPtr::new(pointer),
            counted: AtomicPtr::new(counted),
            version: AtomicU64::new(0),
            writers: ForkLock::new(()),
            value: PhantomData,
        }
    }

    /// A copy of the value.
    #[inline]
    #[must_use]
    pub fn read(&self) -> T {
        match self.copy() {
            Ok(value) => value,
            Err(_) => self.read_slow(),
        }
    }

    /// One section.
    #[inline(always)]
    fn copy(&self) -> Result<T, Refusal> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the pointer leads nowhere, or to a block that was written before it was
        // linked with release ordering, and that is freed after a fence.
        unsafe {
            if size_of::<T>() <= 8 {
                let bits = section::load_through(&self.pointer)?;
                // By way of a pointer: a value that is one stays one.
                let bits: *const u8 = ptr::with_exposed_provenance(bits as usize);
                let from = (&raw const bits).cast::<u8>();
                ptr::copy_nonoverlapping(from, value.as_mut_ptr().cast(), size_of::<T>());
            } else {
                section::copy_through(&self.pointer, value.as_mut_ptr().cast(), size_of::<T>())?;
            }
            // SAFETY: a copy of a whole value, bit by bit.
            Ok(value.assume_init())
        }
    }

    #[cold]
    #[inline(never)]
    fn read_slow(&self) -> T {
        match retry(|| self.copy()) {
            Ok(value) => value,
            Err(_) => self.read_counted(),
        }
    }

    /// Reads as where there are no sections.
    #[doc(hidden)]
    pub fn read_counted(&self) -> T {
        // Ordering: Relaxed; the full fence of `enter_counted` follows.
        SEEN.store(true, Ordering::Relaxed);
        let _guard = COUNTED.enter_counted();
        let block = self.place().load(Ordering::Acquire);
        // SAFETY: linked when it was loaded under the guard; freed after it.
        unsafe { block.cast::<T>().read() }
    }

    /// Leaves another value, and returns the old one, which nobody reads any more.
    pub fn replace(&self, value: T) -> T {
        let new = Self::block(value);
        let writing = self.write();
        let old = self.swap(new);
        drop(writing);
        self.free(old)
    }

    /// Replaces the value by what `change` makes of it; returns the old one.
    ///
    /// `change` is called again if another thread has replaced the value meanwhile.
    pub fn update(&self, mut change: impl FnMut(T) -> T) -> T {
        loop {
            let writing = self.write();
            let seen = self.version.load(Ordering::Relaxed);
            // SAFETY: blocks are unlinked under the lock only, and freed after that.
            let value = unsafe { self.place().load(Ordering::Relaxed).cast::<T>().read() };
            drop(writing);
            let new = Self::block(change(value));
            let writing = self.write();
            if self.version.load(Ordering::Relaxed) == seen {
                let old = self.swap(new);
                drop(writing);
                return self.free(old);
            }
            drop(writing);
            // SAFETY: never linked.
            unsafe { dealloc(new, Self::BLOCK) };
        }
    }

    /// The value, which is shared with nobody.
    #[must_use]
    pub fn into_inner(self) -> T {
        let this = ManuallyDrop::new(self);
        let block = this.place().load(Ordering::Relaxed);
        // SAFETY: the cell is this thread's alone, and is not dropped.
        unsafe {
            let value = block.cast::<T>().read();
            dealloc(block, Self::BLOCK);
            value
        }
    }

    /// Whether sections find the block.
    fn has_sections(&self) -> bool {
        // Ordering: Relaxed. Null for ever, or never.
        self.counted.load(Ordering::Relaxed).is_null()
    }

    /// The pointer to the block.
    fn place(&self) -> &AtomicPtr<u8> {
        match self.has_sections() {
            true => &self.pointer,
            false => &self.counted,
        }
    }

    /// The writers' lock.
    // Ordering: Relaxed, for the version, here and elsewhere: it changes under the lock.
    fn write(&self) -> Locked<'_, ()> {
        let mut writing = self.writers.lock();
        if writing.was_inherited() {
            // Whoever had it where this process comes from may have changed the pointer.
            self.version.fetch_add(1, Ordering::Relaxed);
        }
        writing
    }

    /// Under the writers' lock.
    // Ordering: AcqRel: releases the new block, acquires the old one.
    fn swap(&self, new: *mut u8) -> *mut u8 {
        self.version.fetch_add(1, Ordering::Relaxed);
        self.place().swap(new, Ordering::AcqRel)
    }

    /// A block with a value. Its last bytes are initialised, too: they are copied.
    fn block(value: T) -> *mut u8 {
        // SAFETY: a block has at least 8 bytes.
        let block = unsafe { alloc_zeroed(Self::BLOCK) };
        if block.is_null() {
            handle_alloc_error(Self::BLOCK);
        }
        // SAFETY: large enough and aligned.
        unsafe { block.cast::<T>().write(value) };
        block
    }

    /// Frees a block that was unlinked, when nobody reads it any more.
    fn free(&self, block: *mut u8) -> T {
        // SAFETY: not freed yet.
        let value = unsafe { block.cast::<T>().read() };
        UNFREED.fetch_add(1, Ordering::Relaxed);
        let barriers = Barriers::process();
        let point = barriers.point();
        if self.has_sections() && barriers.wait_for_one_that_started_after(point).is_err() {
            return value;
        }
        // Ordering: Relaxed; the point is a full fence, as is the one before a counted
        // reader loads the pointer.
        if SEEN.load(Ordering::Relaxed) {
            COUNTED.synchronize();
        }
        // SAFETY: unlinked by the caller. Sections that had found it have ended or were
        // restarted, and counted readers have left.
        unsafe { dealloc(block, Self::BLOCK) };
        UNFREED.fetch_sub(1, Ordering::Relaxed);
        value
    }

    /// Old values of all cells that are not freed: those of calls under way at this moment,
    /// and those that had to be leaked because the kernel refused a fence.
    #[must_use]
    pub fn unfreed() -> u64 {
        UNFREED.load(Ordering::Relaxed)
    }
}

impl<T: Copy + Send> Drop for CopyCell<T> {
    fn drop(&mut self) {
        // SAFETY: the cell is this thread's alone.
        unsafe { dealloc(self.place().load(Ordering::Relaxed), Self::BLOCK) };
    }
}

impl<T: Copy + Send + Default> Default for CopyCell<T> {
    fn default() -> CopyCell<T> {
        CopyCell::new(T::default())
    }
}

impl<T: Copy + Send> From<T> for CopyCell<T> {
    fn from(value: T) -> CopyCell<T> {
        CopyCell::new(value)
    }
}

impl<T: Copy + Send + fmt::Debug> fmt::Debug for CopyCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CopyCell").field(&self.read()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_parents_thread_left_is_not_taken_for_unchanged() {
        let cell = CopyCell::new(1);
        let mut calls = 0;
        let old = cell.update(|value| {
            calls += 1;
            if calls == 1 {
                // What a child finds that is forked here, if another thread replaces the
                // value at that moment.
                cell.replace(10);
                cell.writers.hold_as_an_ancestor();
            }
            value + 1
        });
        assert_eq!((old, cell.read(), calls), (10, 11, 2));
    }
}
