//! What stands before a shared value: its counts, and where it may be cached.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::alloc::{Layout, dealloc};
use std::sync::Arc;

use super::inner::Inner;
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
    /// Marks that are to be resolved, and 1 for the shootdown.
    pub(super) pending: AtomicU32,
    /// Whether leases are to take the object out of their slots: its cell has given it up.
    pub(super) stale: AtomicU32,
    /// The slots that may hold it, by number.
    pub(super) mask: [AtomicU64; 3],
    /// The next one on a list.
    pub(super) next: AtomicU64,
    kind: &'static Kind,
    domain: NonNull<Inner>,
}

const _: () = assert!(size_of::<Header>() == 64);

/// What is known of a value's type.
struct Kind {
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
        layout: Layout::new::<Shell<T>>(),
        value: (core::mem::offset_of!(Shell<T>, value), size_of::<T>()),
        drop: drop_value::<T>,
    };

    /// An object with one counted reference.
    pub(super) fn allocate(domain: &Arc<Inner>, value: T) -> NonNull<Header> {
        let domain = Arc::into_raw(Arc::clone(domain)).cast_mut();
        let shell = Box::new(Shell {
            header: Header {
                count: AtomicU64::new(1),
                pending: AtomicU32::new(1),
                stale: AtomicU32::new(0),
                mask: [const { AtomicU64::new(0) }; 3],
                next: AtomicU64::new(0),
                kind: Self::KIND,
                // SAFETY: what an Arc points to is not null.
                domain: unsafe { NonNull::new_unchecked(domain) },
            },
            value,
        });
        let header = NonNull::from(Box::leak(shell)).cast::<Header>();
        let address = header.as_ptr().expose_provenance();
        assert!(address >> 48 == 0, "an address beyond 48 bits");
        header
    }
}

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
        let header = core::ptr::with_exposed_provenance::<Header>(object.0 as usize);
        // SAFETY: the name is the address of a header, which the caller keeps alive.
        unsafe { &*header }
    }

    pub(super) fn name(&self) -> Object {
        name_of(NonNull::from(self))
    }

    #[inline]
    pub(super) fn domain(&self) -> &Inner {
        // SAFETY: the object holds a reference to its domain.
        unsafe { self.domain.as_ref() }
    }

    /// Whether no slot has ever cached it, as who saw its count fall to zero may ask.
    // Ordering: Relaxed. Bits were set before the counts were given back whose end the
    // caller has acquired.
    pub(super) fn was_never_cached(&self) -> bool {
        self.mask
            .iter()
            .all(|word| word.load(Ordering::Relaxed) == 0)
    }
}

/// What stands for an object in cells and slots.
pub(super) fn name_of(header: NonNull<Header>) -> Object {
    Object(header.as_ptr().addr() as u64)
}

/// An object that is gone: its value dropped, its memory not yet given back.
pub(super) struct Remains {
    start: *mut u8,
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
    pub(super) unsafe fn of(object: Object) -> (Remains, Arc<Inner>) {
        // SAFETY: alive until its memory is given back.
        let header = unsafe { Header::named(object) };
        let remains = Remains {
            start: core::ptr::with_exposed_provenance_mut(object.0 as usize),
            kind: header.kind,
        };
        // SAFETY: `allocate` made it by `into_raw`, and this is the only one to take it.
        let domain = unsafe { Arc::from_raw(header.domain.as_ptr()) };
        (remains, domain)
    }

    /// Drops the value.
    ///
    /// # Safety
    ///
    /// Once.
    pub(super) unsafe fn drop_value(&self) {
        let (offset, _) = self.kind.value;
        // SAFETY: the shell's value, which the caller drops once.
        unsafe { (self.kind.drop)(self.start.add(offset)) };
    }

    fn bytes(&self) -> (*mut u8, usize) {
        let (offset, length) = self.kind.value;
        // SAFETY: within the allocation.
        (unsafe { self.start.add(offset) }, length)
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
        // SAFETY: allocated by a Box with this layout.
        unsafe { dealloc(self.start, self.kind.layout) };
    }
}
