//! What stands before a shared value: its counts, and where it may be cached.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

use super::home::Home;
use super::protocol::Object;

/// What a cell's own reference counts for: more than the readers that there can be, so
/// that the count is not zero before those that counted themselves outside are counted in.
pub(super) const BIAS: u64 = 1 << 32;

/// Slots that have a bit of their own; the last bit stands for all others.
pub(super) const EXACT: u32 = 64 * 3 - 1;

/// A cache line of its own: values and their neighbours are read by everybody.
#[repr(C, align(64))]
pub(super) struct Header {
    /// Counted references, and [`BIAS`] for each cell.
    pub(super) count: AtomicU64,
    /// Marks that are to be resolved, and 1 for the shootdown, whose lock goes with it.
    pub(super) pending: AtomicU32,
    /// Whether leases are to take the object out of their slots: its cell has given it up.
    pub(super) stale: AtomicBool,
    /// Whether a cell has ever held it.
    pub(super) shown: AtomicBool,
    /// Whether a slot has ever cached it. Bits of the mask go, this stays.
    cached: AtomicBool,
    /// Bytes of the allocation before it.
    before: u8,
    /// The slots that may hold it, by number.
    pub(super) mask: [AtomicU64; 3],
    /// The next one on a list.
    pub(super) next: AtomicU64,
    kind: &'static Kind,
    home: &'static Home,
}

const _: () = assert!(size_of::<Header>() == 64);

/// What is known of a value's type.
struct Kind {
    /// Of the allocation.
    layout: Layout,
    /// Where the value is, and how long.
    value: (usize, usize),
    drop: unsafe fn(*mut u8),
}

/// A header and its value.
#[repr(C)]
pub(super) struct Shell<T> {
    header: Header,
    value: T,
}

impl<T> Shell<T> {
    const KIND: &'static Kind = &Kind {
        layout: Self::LAYOUT,
        value: (core::mem::offset_of!(Shell<T>, value), size_of::<T>()),
        drop: drop_value::<T>,
    };

    /// Allocators have a fast path for what needs no more alignment than they give to all:
    /// such an allocation is longer, and the header stands where a cache line begins in it.
    const LAYOUT: Layout = {
        let shell = Layout::new::<Shell<T>>();
        let room = LINE - EVERYWHERE;
        if shell.align() > LINE {
            shell
        } else {
            match Layout::from_size_align(shell.size() + room, EVERYWHERE) {
                Ok(layout) => layout,
                Err(_) => panic!("a value that is too long"),
            }
        }
    };

    /// An object with one counted reference.
    pub(super) fn allocate(home: &'static Home, value: T) -> NonNull<Header> {
        // SAFETY: not empty: there is a header in it.
        let start = unsafe { alloc(Self::LAYOUT) };
        if start.is_null() {
            handle_alloc_error(Self::LAYOUT);
        }
        let before = start.addr().next_multiple_of(LINE) - start.addr();
        let shell = Shell {
            header: Header {
                count: AtomicU64::new(1),
                pending: AtomicU32::new(1),
                stale: AtomicBool::new(false),
                shown: AtomicBool::new(false),
                cached: AtomicBool::new(false),
                before: before as u8,
                mask: [const { AtomicU64::new(0) }; 3],
                next: AtomicU64::new(0),
                kind: Self::KIND,
                home,
            },
            value,
        };
        // SAFETY: the allocation has room for the shell behind at most so many bytes, and
        // the place is aligned: to a cache line, or by the allocator to more than that.
        let header = unsafe {
            let place = start.add(before).cast::<Shell<T>>();
            place.write(shell);
            NonNull::new_unchecked(place.cast::<Header>())
        };
        let address = header.as_ptr().expose_provenance();
        assert!(address >> 48 == 0, "an address beyond 48 bits");
        header
    }
}

/// A cache line.
const LINE: usize = 64;

/// The alignment that allocators give to everything.
const EVERYWHERE: usize = 16;

/// # Safety
///
/// A value of this type, which nobody uses again.
unsafe fn drop_value<T>(value: *mut u8) {
    // SAFETY: the caller's contract.
    unsafe { core::ptr::drop_in_place(value.cast::<T>()) };
}

/// Where the value of an object is.
pub(super) fn value_of<T>(header: NonNull<Header>) -> NonNull<T> {
    // SAFETY: an object is a shell of its type, so this stays within its allocation.
    unsafe {
        header
            .byte_add(core::mem::offset_of!(Shell<T>, value))
            .cast()
    }
}

impl Header {
    /// The object by its name.
    ///
    /// # Safety
    ///
    /// It is alive for `'a`.
    pub(super) unsafe fn named<'a>(object: Object) -> &'a Header {
        // SAFETY: the name is the address of a header, which the caller keeps alive.
        unsafe { named(object).as_ref() }
    }

    #[inline]
    pub(super) fn home(&self) -> &'static Home {
        self.home
    }

    /// The caller's reference becomes a cell's.
    pub(super) fn show(&self) {
        // The count first: whoever has shown it meanwhile, and given that back, was counted
        // then, or is seen to have shown it.
        // Ordering: Acquire pairs with the AcqRel of `give_back`: what was done under the
        // references that went.
        let alone = self.count.load(Ordering::Acquire) == 1;
        if alone && !self.shown.load(Ordering::Relaxed) {
            // Nobody else has a reference, and no cell has ever lent one out.
            self.shown.store(true, Ordering::Relaxed);
            self.count.store(BIAS, Ordering::Relaxed);
        } else {
            self.shown.store(true, Ordering::Relaxed);
            // Ordering: Relaxed: counted already.
            self.count.fetch_add(BIAS - 1, Ordering::Relaxed);
        }
    }

    /// A cell's reference becomes the caller's.
    pub(super) fn hide(&self) {
        // Ordering: Relaxed: one is left.
        self.count.fetch_sub(BIAS - 1, Ordering::Relaxed);
    }

    /// Gives so much of an object's count back; whether that was the last of it. Otherwise
    /// others may free it at once: it is named by a pointer, for a reference that is passed
    /// promises that it stays.
    ///
    /// # Safety
    ///
    /// The caller's count.
    // Ordering: AcqRel: the last one sees what was done under all others.
    pub(super) unsafe fn give_back(header: NonNull<Header>, given: u64) -> bool {
        let header = header.as_ptr();
        // SAFETY: counted, so alive up to the end of this block.
        let (count, cached) = unsafe { (&(*header).count, &(*header).cached) };
        // If nothing else is counted, and no slot has ever had it, then nobody else has a
        // reference to count from. The mask does not say that: a lease may be upgraded and
        // its slot's bit cleared after the count was looked at.
        // Ordering: Acquire pairs with the AcqRel of an install that gave its count back:
        // it is seen to have cached the object. One that has not is counted.
        if count.load(Ordering::Acquire) == given && !cached.load(Ordering::Relaxed) {
            return true;
        }
        count.fetch_sub(given, Ordering::AcqRel) == given
    }

    /// A slot is about to cache it, by a count that is given back afterwards.
    // Ordering: Relaxed. The count is given back with Release: see `give_back`.
    pub(super) fn cache(&self) {
        if !self.cached.load(Ordering::Relaxed) {
            self.cached.store(true, Ordering::Relaxed);
        }
    }

    /// Whether no slot is left that may have it, as who saw its count fall to zero may ask.
    // Ordering: Acquire pairs with the AcqRel of `clear`: who cleared the bit has used the
    // object before. The words change by read-modify-writes only, so a 0 that is read
    // synchronizes with every clear before it.
    pub(super) fn is_in_no_mask(&self) -> bool {
        self.mask
            .iter()
            .all(|word| word.load(Ordering::Acquire) == 0)
    }
}

/// The header that a name is the address of.
pub(super) fn named(object: Object) -> NonNull<Header> {
    let header = core::ptr::with_exposed_provenance_mut(object.0 as usize);
    NonNull::new(header).expect("the name of an object")
}

/// What stands for an object in cells and slots.
pub(super) fn name_of(header: NonNull<Header>) -> Object {
    Object(header.as_ptr().addr() as u64)
}

/// An object that is gone: its value dropped, its memory not yet given back.
pub(super) struct Remains {
    header: *mut u8,
    before: usize,
    kind: &'static Kind,
}

// SAFETY: memory that nobody else uses.
unsafe impl Send for Remains {}

/// What dead memory is filled with.
const POISON: u8 = 0x5d;

impl Remains {
    /// Takes an object apart, all but its value.
    ///
    /// # Safety
    ///
    /// Nobody reaches the object any more.
    pub(super) unsafe fn of(object: Object) -> Remains {
        // SAFETY: alive until its memory is given back.
        let header = unsafe { Header::named(object) };
        Remains {
            header: core::ptr::with_exposed_provenance_mut(object.0 as usize),
            before: header.before.into(),
            kind: header.kind,
        }
    }

    /// Drops the value.
    ///
    /// # Safety
    ///
    /// Once.
    pub(super) unsafe fn drop_value(&self) {
        let (offset, _) = self.kind.value;
        // SAFETY: the shell's value, which the caller drops once.
        unsafe { (self.kind.drop)(self.header.add(offset)) };
    }

    fn bytes(&self) -> (*mut u8, usize) {
        let (offset, length) = self.kind.value;
        // SAFETY: within the allocation.
        (unsafe { self.header.add(offset) }, length)
    }

    /// Fills the value, so that whoever reads it all the same sees that.
    pub(super) fn poison(&self) {
        let (first, length) = self.bytes();
        // SAFETY: the value's memory, which has no owner.
        unsafe { core::ptr::write_bytes(first, POISON, length) };
    }

    /// Whether nobody has written to it since.
    pub(super) fn is_poisoned(&self) -> bool {
        let (first, length) = self.bytes();
        // SAFETY: as `poison`, which initialized it.
        let bytes = unsafe { core::slice::from_raw_parts(first, length) };
        bytes.iter().all(|&byte| byte == POISON)
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, so many bytes before the header.
        unsafe { dealloc(self.header.sub(self.before), self.kind.layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lazy::{LazyDomain, Policy, Shared};

    /// Who finds its own count alone, and then the mask empty, may have overlooked a lease
    /// that was upgraded in between: so what was cached is always counted down.
    #[test]
    fn what_was_cached_is_counted_down() {
        let domain = LazyDomain::new(Policy::new());
        for cached in [false, true] {
            let header = domain.share(1).into_header();
            // SAFETY: alive, by the count that is given back and then made again.
            unsafe {
                let object = header.as_ref();
                if cached {
                    object.cache();
                }
                assert!(Header::give_back(header, 1));
                let left = u64::from(!cached);
                assert_eq!(object.count.swap(1, Ordering::Relaxed), left);
                drop(Shared::<i32>::from_header(header));
            }
        }
    }
}
