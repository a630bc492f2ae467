//! What a pool may be told.

use core::alloc::Layout;
use core::time::Duration;

use percid_cid::Domain;

use super::chunks::Shape;
use super::{Pool, PoolError, RawPool};
use crate::arena::ArenaError;
use crate::magazine::{LARGEST, Magazines, words};
use crate::room::Room;

/// Bytes that a cid may cache of one pool, unless told otherwise.
const CID_BYTES: usize = 64 << 10;

/// Bytes that a cid may cache at first.
const FIRST_BYTES: usize = 4 << 10;

/// How long what is not used stays where it is.
const DECAY: Duration = Duration::from_secs(1);

/// Makes a [`RawPool`] that is told more than its layout.
///
/// ```
/// use core::alloc::Layout;
/// use percid::RawPool;
///
/// static LINES: RawPool = RawPool::builder(Layout::new::<[u8; 48]>())
///     .cache_aligned(true)
///     .build_static();
///
/// let line = LINES.try_alloc()?;
/// assert_eq!(line.addr().get() % 64, 0);
/// // SAFETY: allocated from this pool, and not used any more.
/// unsafe { LINES.free(line) };
/// # Ok::<(), percid::PoolError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct RawPoolBuilder {
    layout: Layout,
    line: bool,
    checked: bool,
    bytes: usize,
    cap: u64,
    decay: Option<Duration>,
}

impl RawPoolBuilder {
    pub(super) const fn new(layout: Layout) -> RawPoolBuilder {
        RawPoolBuilder {
            layout,
            line: false,
            checked: false,
            bytes: CID_BYTES,
            cap: u64::MAX,
            decay: Some(DECAY),
        }
    }

    /// Whether objects are aligned to cache lines as the kernel's `SLAB_HWCACHE_ALIGN`
    /// does it: those of more than half a line begin on one, smaller ones share one and
    /// never lie across two.
    pub const fn cache_aligned(mut self, aligned: bool) -> Self {
        self.line = aligned;
        self
    }

    /// Whether the pool finds misuse, at a cost: objects freed twice, not allocated here,
    /// or written to after they were freed. It panics then, and says what. Objects are
    /// filled with `0x5a` when they are freed. Nothing is cached per cid.
    pub const fn checked(mut self, checked: bool) -> Self {
        self.checked = checked;
        self
    }

    /// Bytes of free objects that a cid may cache at the most; 64 KiB unless told. Caches
    /// begin with a sixteenth, or what fits in 4 KiB, and double with each miss. 0: nothing
    /// is cached, and each call goes to a stack that all threads share.
    pub const fn cid_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Objects that the pool may have in all, free ones included; as many as there is
    /// memory for unless told.
    pub const fn max_objects(mut self, objects: u64) -> Self {
        self.cap = objects;
        self
    }

    /// How long the objects of a cid that looks idle stay with it, those that
    /// nobody takes stay in the depot, and free chunks stay memory; a second unless told.
    /// Looked after when some thread misses, and by [`decay`](RawPool::decay); `None`: only
    /// by that.
    pub const fn decay_after(mut self, age: Option<Duration>) -> Self {
        self.decay = age;
        self
    }

    /// What magazines may hold at first and at the most.
    const fn gates(&self, stride: usize) -> (u32, u32) {
        // So that each call of a checked pool takes the slow way, where objects are checked.
        let bytes = if self.checked { 0 } else { self.bytes };
        let most = bytes / stride;
        let most = if most > LARGEST as usize {
            LARGEST
        } else {
            most as u32
        };
        let first = if bytes / 16 < FIRST_BYTES {
            bytes / 16
        } else {
            FIRST_BYTES
        };
        let least = (first / stride) as u32;
        let least = if least < 2 { 2 } else { least };
        (if least < most { least } else { most }, most)
    }

    /// The pool, for a `static`. It asks for memory at its first use.
    ///
    /// # Panics
    ///
    /// If no pool can hold such objects: in a `static`, when it is compiled.
    #[must_use]
    pub const fn build_static(self) -> RawPool {
        let Some(shape) = Shape::of(self.layout, self.line) else {
            panic!("objects of this size or alignment are too large for a pool");
        };
        let (least, most) = self.gates(shape.stride);
        RawPool::from_parts(
            Magazines::new(least, most),
            shape,
            self.cap,
            self.checked,
            self.decay,
        )
    }

    /// The pool.
    ///
    /// # Errors
    ///
    /// [`PoolError::Unsuitable`].
    pub const fn build(self) -> Result<RawPool, PoolError> {
        match Shape::of(self.layout, self.line) {
            Some(_) => Ok(self.build_static()),
            None => Err(PoolError::Unsuitable),
        }
    }

    /// The pool, sharded by the ids of a domain, which it keeps alive.
    ///
    /// # Errors
    ///
    /// [`PoolError::Unsuitable`]; [`PoolError::NoMemory`] if the domain's arena has no room.
    pub fn in_domain(self, domain: &Domain) -> Result<RawPool<Domain>, PoolError> {
        let shape = Shape::of(self.layout, self.line).ok_or(PoolError::Unsuitable)?;
        let (least, most) = self.gates(shape.stride);
        let room = Room::in_domain(domain, words(most)).map_err(no_room)?;
        Ok(RawPool::from_parts(
            Magazines::in_room(room, least, most),
            shape,
            self.cap,
            self.checked,
            self.decay,
        ))
    }
}

/// Why there are no words in an arena.
fn no_room(why: ArenaError) -> PoolError {
    let os_error = match why {
        ArenaError::NoMemory { os_error } => os_error,
        _ => 12,
    };
    PoolError::NoMemory { os_error }
}

/// Makes a [`Pool`] that is told more than how to make a value.
///
/// ```
/// use percid::Pool;
///
/// let buffers = Pool::builder(|| Vec::<u8>::with_capacity(1024))
///     .reset(Vec::clear)
///     .build();
/// buffers.get().extend_from_slice(b"hello");
/// assert!(buffers.get().is_empty());
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct PoolBuilder<T, M> {
    make: M,
    reset: Option<fn(&mut T)>,
    memory: RawPoolBuilder,
    values: Option<u32>,
}

impl<T, M: Fn() -> T> PoolBuilder<T, M> {
    pub(super) const fn new(make: M) -> PoolBuilder<T, M> {
        PoolBuilder {
            make,
            reset: None,
            memory: RawPoolBuilder::new(Layout::new::<T>()),
            values: None,
        }
    }

    /// What is done to a value when its handle is dropped.
    pub fn reset(mut self, reset: fn(&mut T)) -> Self {
        self.reset = Some(reset);
        self
    }

    /// As [`RawPoolBuilder::cache_aligned`].
    pub fn cache_aligned(mut self, aligned: bool) -> Self {
        self.memory.line = aligned;
        self
    }

    /// Idle values that a cid may keep at the most; what fits in 64 KiB unless told. 0: no
    /// value is used again.
    pub fn cid_capacity(mut self, values: u32) -> Self {
        self.values = Some(values);
        self
    }

    /// Values that there may be in all, idle ones included.
    pub fn max_values(mut self, values: u64) -> Self {
        self.memory.cap = values;
        self
    }

    /// The pool.
    ///
    /// # Panics
    ///
    /// If no pool can hold such values: larger than 256 MiB, or aligned to more than 2 MiB.
    #[must_use]
    pub fn build(self) -> Pool<T, M> {
        let (least, most) = gates(&self.memory, self.values);
        let magazines = Magazines::new(least, most);
        Pool::from_parts(
            magazines,
            self.memory.cid_bytes(0).build_static(),
            self.make,
            self.reset,
        )
    }

    /// The pool, sharded by the ids of a domain, which it keeps alive.
    ///
    /// # Errors
    ///
    /// As [`RawPoolBuilder::in_domain`].
    pub fn in_domain(self, domain: &Domain) -> Result<Pool<T, M, Domain>, PoolError> {
        let (least, most) = gates(&self.memory, self.values);
        let memory = self.memory.cid_bytes(0).build()?;
        let room = Room::in_domain(domain, words(most)).map_err(no_room)?;
        let magazines = Magazines::in_room(room, least, most);
        Ok(Pool::from_parts(magazines, memory, self.make, self.reset))
    }
}

/// What magazines of values may hold at first and at the most.
pub(super) const fn gates(memory: &RawPoolBuilder, values: Option<u32>) -> (u32, u32) {
    let stride = match Shape::of(memory.layout, memory.line) {
        Some(shape) => shape.stride,
        None => panic!("values of this size or alignment are too large for a pool"),
    };
    match values {
        Some(values) => {
            let most = if values > LARGEST { LARGEST } else { values };
            (if most < 8 { most } else { 8 }, most)
        }
        None => {
            let (least, most) = memory.gates(stride);
            // Large values, too, are used again.
            if most < 8 { (2, 8) } else { (least, most) }
        }
    }
}
