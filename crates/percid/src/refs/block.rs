//! The allocation that a counted object is in.
//!
//! A header stands before every object: the count, the weak references, and what to do
//! with an object whose type is not known any more. All references together have one weak
//! reference, so the allocation outlives the object for as long as anybody may look at
//! the count.

use alloc::boxed::Box;
use core::mem::{self, ManuallyDrop};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

use super::core::Core;
use crate::scope::{Process, Scope};
use crate::sync::abort;

/// What stands before every counted object.
pub(super) struct Header<S: Scope> {
    core: Core<S::Gate>,
    /// Weak references, and one for all references together.
    weaks: AtomicUsize,
    form: &'static Form<S>,
}

const _: () = assert!(mem::size_of::<Header<Process>>() == 40);

/// What to do with an object whose type is not known any more.
struct Form<S: Scope> {
    /// Drops the object and leaves its memory.
    release: unsafe fn(NonNull<Header<S>>),
    /// Frees the memory.
    free: unsafe fn(NonNull<Header<S>>),
}

/// An allocation: what is held is the object itself, or an `Arc` of it.
#[repr(C)]
pub(super) struct Block<H, S: Scope> {
    header: Header<S>,
    held: ManuallyDrop<H>,
}

impl<H, S: Scope> Block<H, S> {
    const FORM: Form<S> = Form {
        release: |header| {
            let block = header.cast::<Block<H, S>>().as_ptr();
            // SAFETY: the header is the first field of a block of this type, and the
            // pointer is one to the whole of it. The caller was the last to use the object.
            unsafe { ManuallyDrop::drop(&mut (*block).held) };
        },
        free: |header| {
            let block = header.cast::<Block<H, S>>().as_ptr();
            // SAFETY: as above, and it came from a box. The object has been dropped, and
            // the caller was the last to use the rest.
            drop(unsafe { Box::from_raw(block) });
        },
    };

    /// One reference, its owner's; where what is held stands, and its header.
    pub(super) fn allocate(held: H, gate: S::Gate) -> (NonNull<H>, NonNull<Header<S>>) {
        let block = Box::new(Block {
            header: Header {
                core: Core::new(gate),
                weaks: AtomicUsize::new(1),
                form: &Self::FORM,
            },
            held: ManuallyDrop::new(held),
        });
        let block = NonNull::from(Box::leak(block));
        // SAFETY: a field of a fresh block.
        let held = unsafe { NonNull::new_unchecked(&raw mut (*block.as_ptr()).held) };
        // `ManuallyDrop` is transparent.
        (held.cast(), block.cast())
    }
}

/// The count of a block. A reference to the count alone: all of it is atomic or in a cell,
/// so it may outlive the block by the end of a `put`, as the counts of `Arc` do.
///
/// # Safety
///
/// The block is allocated, until the last access through what is returned.
#[inline(always)]
pub(super) unsafe fn core_of<'a, S: Scope>(header: NonNull<Header<S>>) -> &'a Core<S::Gate> {
    // SAFETY: the caller's contract.
    unsafe { &(*header.as_ptr()).core }
}

/// One weak reference more.
///
/// # Safety
///
/// The block is allocated.
pub(super) unsafe fn add_weak<S: Scope>(header: NonNull<Header<S>>) {
    // SAFETY: the caller's contract.
    let weaks = unsafe { &(*header.as_ptr()).weaks };
    // Ordering: Relaxed. The caller has one already, or a reference.
    if weaks.fetch_add(1, Ordering::Relaxed) > isize::MAX as usize {
        abort();
    }
}

/// Drops the object, and then the weak reference that all references had together: also
/// when the object's drop panics.
///
/// # Safety
///
/// The last reference has gone, and this is its holder.
#[cold]
#[inline(never)]
pub(super) unsafe fn release<S: Scope>(header: NonNull<Header<S>>) {
    struct Last<S: Scope>(NonNull<Header<S>>);
    impl<S: Scope> Drop for Last<S> {
        fn drop(&mut self) {
            // SAFETY: the weak reference of all references, given back once.
            unsafe { give_back_weak(self.0) };
        }
    }
    let _last = Last(header);
    // SAFETY: the weak reference above keeps the block; the object is dropped once, for
    // the last reference goes once.
    unsafe { ((*header.as_ptr()).form.release)(header) };
}

/// # Safety
///
/// The caller has a weak reference, and gives it back.
pub(super) unsafe fn give_back_weak<S: Scope>(header: NonNull<Header<S>>) {
    // SAFETY: a weak reference keeps the block.
    let weaks = unsafe { &(*header.as_ptr()).weaks };
    // Ordering: Release pairs with the fence: what others did with the block comes before
    // it is freed.
    if weaks.fetch_sub(1, Ordering::Release) == 1 {
        fence(Ordering::Acquire);
        // SAFETY: that was the last one. The count is in the atomic mode since its kill,
        // so no section looks at its gate that has not committed.
        unsafe { ((*header.as_ptr()).form.free)(header) };
    }
}
