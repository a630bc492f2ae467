//! What stands before a shared value: its counts, and where it may be cached.

use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

use percid::RawPool;

use super::home::Home;
use super::protocol::Object;
use super::references::References;

/// With a small value it is one cache line.
#[repr(C)]
pub(super) struct Header {
    pub(super) references: References,
    /// The next one on a list.
    pub(super) next: AtomicU64,
    kind: &'static Kind,
    home: &'static Home,
}

const _: () = assert!(size_of::<Header>() + size_of::<u64>() == LINE);
const _: () = assert!(core::mem::offset_of!(Header, references) == 0);

/// What is known of a value's type.
struct Kind {
    /// Of the allocation, if it is no pool's.
    layout: Layout,
    pool: Option<&'static RawPool>,
    /// Where the value is, and how long.
    value: (usize, usize),
    drop: unsafe fn(*mut u8),
}

/// A header and its value, in cache lines of their own: they, and their neighbours, are
/// read by everybody.
#[repr(C, align(64))]
pub(super) struct Shell<T> {
    header: Header,
    value: T,
}

impl<T> Shell<T> {
    const KIND: &'static Kind = &Kind {
        layout: Self::LAYOUT,
        pool: pool_for(Layout::new::<Shell<T>>()),
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
        let (start, before) = Self::room();
        let shell = Shell {
            header: Header {
                references: References::new(before),
                next: AtomicU64::new(0),
                kind: Self::KIND,
                home,
            },
            value,
        };
        // SAFETY: there is room for it.
        let header = unsafe {
            start.write(shell);
            NonNull::new_unchecked(start.cast::<Header>())
        };
        let address = header.as_ptr().expose_provenance();
        assert!(address >> 48 == 0, "an address beyond 48 bits");
        header
    }
}

/// Pools of objects of one line and of two: nothing before them is read when they are
/// freed, and neighbours do not share lines.
static POOLS: [RawPool; 2] = [RawPool::new(lines_of(1)), RawPool::new(lines_of(2))];

const fn lines_of(lines: usize) -> Layout {
    match Layout::from_size_align(lines * LINE, LINE) {
        Ok(layout) => layout,
        Err(_) => panic!("lines"),
    }
}

const fn pool_for(shell: Layout) -> Option<&'static RawPool> {
    match shell.size() / LINE {
        lines @ 1..=2 if shell.align() == LINE => Some(&POOLS[lines - 1]),
        _ => None,
    }
}

/// In the place of the bytes before an object: it is of a pool.
const POOLED: u8 = u8::MAX;

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

impl<T> Shell<T> {
    /// Uninitialized memory for one, and what is before it.
    fn room() -> (*mut Shell<T>, u8) {
        if let Some(pool) = Self::KIND.pool
            && let Ok(place) = pool.try_alloc()
        {
            return (place.as_ptr().cast(), POOLED);
        }
        // SAFETY: not empty: there is a header in it.
        let start = unsafe { alloc(Self::LAYOUT) };
        if start.is_null() {
            handle_alloc_error(Self::LAYOUT);
        }
        let before = start.addr().next_multiple_of(LINE) - start.addr();
        // SAFETY: the allocation has room for the shell behind at most so many bytes, and
        // the place is aligned: to a cache line, or by the allocator to more than that.
        (unsafe { start.add(before).cast() }, before as u8)
    }

    /// The object taken apart, all but its value, without a look at it.
    ///
    /// # Safety
    ///
    /// Such an object, of a pool. Nobody else reaches it any more.
    pub(super) unsafe fn remains(header: NonNull<Header>) -> Remains {
        Remains {
            header: header.as_ptr().cast(),
            before: POOLED,
            kind: Self::KIND,
        }
    }
}

impl Header {
    /// Whether its memory is a pool's.
    pub(super) fn is_pooled(&self) -> bool {
        self.references.before == POOLED
    }

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

    /// Its references, by a pointer: see `References::give_back`.
    #[inline(always)]
    pub(super) fn references(header: NonNull<Header>) -> NonNull<References> {
        // The first field.
        header.cast()
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
    before: u8,
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
            before: header.references.before,
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
        let Remains {
            header,
            before,
            kind,
        } = *self;
        // SAFETY: allocated with this layout, so many bytes before the header; or by the pool
        // for this type.
        unsafe {
            match kind.pool {
                Some(pool) if before == POOLED => pool.free(NonNull::new_unchecked(header)),
                _ => dealloc(header.sub(before.into()), kind.layout),
            }
        }
    }
}
