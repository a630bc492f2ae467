//! Memory of one layout.

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::ptr::NonNull;
use core::time::Duration;

use percid_cid::Domain;

use super::check;
use super::chunks::{Chunks, Shape};
use super::decay::Decay;
use super::{Mode, PoolError, PoolStats, RawPoolBuilder};
use crate::magazine::{CidStats, Magazines, Source};
use crate::scope::{Process, Scope};

/// A pool of memory of one layout, for authors of allocators.
///
/// ```
/// use core::alloc::Layout;
/// use percid::RawPool;
///
/// static NODES: RawPool = RawPool::new(Layout::new::<[u64; 8]>());
///
/// let node = NODES.try_alloc()?;
/// // SAFETY: 64 bytes, ours until they are freed; then not used any more.
/// unsafe {
///     node.cast::<[u64; 8]>().write([7; 8]);
///     NODES.free(node);
/// }
/// # Ok::<(), percid::PoolError>(())
/// ```
///
/// # Cost
///
/// A hit is one section: seven loads and three plain stores, no atomic read-modify-write, no
/// fence, no system call. A miss trades a hundred objects, or half of what the cid may
/// cache, with a depot that all share. Memory comes in chunks of 256 KiB of address space, and
/// pages of them as they are used; 64 KiB of free objects at the most are cached per *active*
/// cid, and nothing per thread.
///
/// What is not needed goes back to the system by itself, step by step and never in a hit: the
/// objects of a cid that neither missed nor holds another number of them than a decay time ago
/// (a second, unless [told](RawPoolBuilder::decay_after)), those that nobody took from the depot
/// for as long, and the pages of chunks all of whose objects have been free for as long.
/// Whoever misses does a bounded part of that, at the most every four milliseconds: some
/// thousand objects and a megabyte; once in a decay time a fence, if a cid was idle, and then all
/// objects of such cids. The first fence of a process may try what the kernel can do. So a pool whose use goes up and down within the decay time
/// keeps its memory. One that nobody uses any more keeps it, too: there are no misses, and no
/// thread of the pool's. A timer of the program's that calls [`decay`](RawPool::decay) or
/// [`trim`](RawPool::trim), or reads [`stats`](RawPool::stats), does it then.
///
/// # Shapes and units
///
/// Objects are as far apart as their size, rounded up to their alignment, of at least 8
/// bytes; also those of size 0. Free objects of up to 512 bytes are written to: not larger ones,
/// unless the pool is [checked](RawPoolBuilder::checked). A pool reserves 16 GiB of address space, or less where the
/// system has less. One that is larger than 64 KiB is not cached per cid.
///
/// A `no_std` program may use it, and be its own allocator by it: nothing here allocates.
///
/// # Errors
///
/// See [`PoolError`]. A pool that fails has lost nothing, and may succeed later.
///
/// # Panics
///
/// Where [`checked`](RawPoolBuilder::checked), and in builds with debug assertions, on
/// pointers that are not the pool's.
///
/// # Fallback
///
/// A thread without sections has a magazine that it may share with others, changed by single
/// read-modify-writes; where other threads are in its way, it goes to the depot.
///
/// # Fork and signals
///
/// Every method may be called from signal handlers, before `main` and in destructors of
/// thread-locals. A child of `fork` has a pool of its own with what was free at that moment; what
/// other threads of the parent had in hand, which is a few blocks of objects each and what a
/// chunk has left, is lost to the child. So are the other objects of such a chunk, the child's
/// own, once they are freed and come home to it: it can neither take them from there nor give
/// their memory back, and if the pool is bounded, so much less is left of it. A handler may fork:
/// what it has interrupted goes on in the child, too, and until then nobody takes there what other
/// cids hold. A thread that is killed between getting an object and using it loses that object.
///
/// # Source
///
/// J. Bonwick and J. Adams, *Magazines and Vmem* (2001); tcmalloc's per-CPU slabs.
pub struct RawPool<S: Scope = Process> {
    pub(super) magazines: Magazines<S>,
    pub(super) shape: Shape,
    cap: u64,
    checked: bool,
    pub(super) decay: Decay,
    pub(super) chunks: Chunks,
}

impl RawPool {
    /// A pool for a `static` or anywhere else. It asks for memory at its first use.
    ///
    /// # Panics
    ///
    /// If no pool can hold such objects, which are larger than 256 MiB or aligned to more
    /// than 2 MiB: in a `static`, when it is compiled.
    #[must_use]
    pub const fn new(layout: Layout) -> RawPool {
        RawPool::builder(layout).build_static()
    }

    /// A pool that is told more.
    pub const fn builder(layout: Layout) -> RawPoolBuilder {
        RawPoolBuilder::new(layout)
    }
}

impl RawPool<Domain> {
    /// A pool sharded by the ids of a domain, which it keeps alive.
    ///
    /// # Errors
    ///
    /// As [`RawPoolBuilder::in_domain`].
    pub fn in_domain(domain: &Domain, layout: Layout) -> Result<RawPool<Domain>, PoolError> {
        RawPool::builder(layout).in_domain(domain)
    }
}

impl<S: Scope> RawPool<S> {
    pub(super) const fn from_parts(
        magazines: Magazines<S>,
        shape: Shape,
        cap: u64,
        checked: bool,
        decay: Option<Duration>,
    ) -> RawPool<S> {
        RawPool {
            magazines,
            shape,
            cap,
            checked,
            decay: Decay::after(decay),
            chunks: Chunks::new(),
        }
    }

    /// An object: its memory is the caller's, and its content is anything.
    ///
    /// # Errors
    ///
    /// [`PoolError::Full`] if the pool may not have more objects and none is free, also on
    /// other cids; [`PoolError::NoMemory`]. What another thread has in hand while it gives
    /// memory back, some objects and a chunk, is not free.
    #[inline]
    pub fn try_alloc(&self) -> Result<NonNull<u8>, PoolError> {
        // A checked pool's magazines hold nothing, so that it needs no look whether it is one.
        match self.magazines.pop() {
            Some(word) => Ok(object(word)),
            None => match self.alloc_by_thread() {
                Some(object) => Ok(object),
                None => self.alloc_slow(),
            },
        }
    }

    /// Gives an object back, on whatever thread.
    ///
    /// # Safety
    ///
    /// It was allocated from this pool, and nobody uses it any more.
    #[inline]
    pub unsafe fn free(&self, object: NonNull<u8>) {
        #[cfg(debug_assertions)]
        self.check_ours(object);
        let word = object.as_ptr().expose_provenance() as u64;
        if !self.magazines.push(word) {
            self.free_slow(object);
        }
    }

    /// Fills `room` with objects, as far as there are any; how many.
    ///
    /// ```
    /// # use core::{alloc::Layout, ptr};
    /// let pool = percid::RawPool::new(Layout::new::<u64>());
    /// let mut some = [ptr::null_mut(); 100];
    /// assert_eq!(pool.alloc_batch(&mut some), 100);
    /// // SAFETY: allocated just now.
    /// unsafe { pool.free_batch(&some) };
    /// ```
    pub fn alloc_batch(&self, room: &mut [*mut u8]) -> usize {
        let mut words = [0; 32];
        let mut done = 0;
        while done < room.len() {
            let most = words.len().min(room.len() - done);
            let popped = self.magazines.pop_batch(&mut words[..most]);
            for &word in &words[..popped] {
                room[done] = object(word).as_ptr();
                done += 1;
            }
            if popped == 0 {
                // A miss, which brings more.
                let Ok(object) = self.alloc_slow() else {
                    break;
                };
                room[done] = object.as_ptr();
                done += 1;
            }
        }
        done
    }

    /// Gives objects back.
    ///
    /// # Safety
    ///
    /// As [`free`](RawPool::free), for each; none twice.
    pub unsafe fn free_batch(&self, objects: &[*mut u8]) {
        for some in objects.chunks(32) {
            let mut words = [0; 32];
            for (word, object) in words.iter_mut().zip(some) {
                *word = object.expose_provenance() as u64;
            }
            let pushed = self.magazines.push_batch(&words[..some.len()]);
            for &object in &some[pushed..] {
                if let Some(object) = NonNull::new(object) {
                    // SAFETY: the caller's contract.
                    unsafe { self.free(object) };
                }
            }
        }
    }

    /// Distance between objects, in bytes.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.shape.stride
    }

    /// Whether an address may be that of an object of this pool.
    #[must_use]
    pub fn owns(&self, object: *const u8) -> bool {
        self.chunks.number_of(&self.shape, object.addr()).is_some()
    }

    #[cfg(debug_assertions)]
    fn check_ours(&self, object: NonNull<u8>) {
        if !self.owns(object.as_ptr()) {
            check::foreign(object);
        }
    }

    /// Nothing is stored on the way to the thread's magazine: that is all that a thread
    /// without sections has to do.
    #[cold]
    #[inline(never)]
    fn alloc_by_thread(&self) -> Option<NonNull<u8>> {
        self.magazines.pop_by_thread().map(object)
    }

    #[cold]
    #[inline(never)]
    fn alloc_slow(&self) -> Result<NonNull<u8>, PoolError> {
        // As in `try_alloc`, it is not one of a checked pool.
        match self.magazines.pop_out_of_line() {
            Some(word) => Ok(object(word)),
            None => self.alloc_miss(),
        }
    }

    #[cold]
    #[inline(never)]
    fn alloc_miss(&self) -> Result<NonNull<u8>, PoolError> {
        let source = self.source();
        let Some(word) = self.magazines.pop_slow(&source) else {
            return Err(source.error.get());
        };
        if self.checked {
            check::hand_out(&self.chunks, &self.shape, object(word));
        }
        self.decay_if_due();
        Ok(object(word))
    }

    #[cold]
    #[inline(never)]
    fn free_slow(&self, object: NonNull<u8>) {
        let word = object.addr().get() as u64;
        if !self.magazines.push_by_thread(word) {
            self.free_out_of_line(object);
        }
    }

    #[cold]
    #[inline(never)]
    fn free_out_of_line(&self, object: NonNull<u8>) {
        let word = object.addr().get() as u64;
        if !self.magazines.push_out_of_line(word) {
            self.free_miss(object);
        }
    }

    #[cold]
    #[inline(never)]
    fn free_miss(&self, object: NonNull<u8>) {
        if self.checked {
            check::take_back(&self.chunks, &self.shape, object);
        }
        let source = self.source();
        self.magazines
            .push_slow(object.addr().get() as u64, &source);
        self.decay_if_due();
    }

    pub(super) fn source(&self) -> Carver<'_> {
        Carver {
            chunks: &self.chunks,
            shape: &self.shape,
            cap: self.cap,
            error: Cell::new(PoolError::Full { objects: self.cap }),
        }
    }
}

/// What is seen of it.
impl<S: Scope> RawPool<S> {
    /// How large the pool is, at this moment.
    ///
    /// Who asks does a part of what [`decay`](RawPool::decay) does, as a miss would.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let now = PoolStats {
            objects: self.chunks.carved(),
            cached: self.magazines.cached(),
            stride: self.shape.stride,
            given_back: self.chunks.given_back(),
        };
        self.decay_if_due();
        now
    }

    /// Each cid's cache, at this moment.
    pub fn cids(&self) -> impl Iterator<Item = CidStats> {
        self.magazines.cids()
    }

    /// How this pool works here, and why.
    #[must_use]
    pub fn mode(&self) -> Mode {
        Mode::here()
    }
}

impl<S: Scope> fmt::Debug for RawPool<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawPool")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// The object that a word stands for.
#[inline(always)]
fn object(word: u64) -> NonNull<u8> {
    let pointer = core::ptr::with_exposed_provenance_mut(word as usize);
    // SAFETY: words are addresses of objects, and none lies at 0.
    unsafe { NonNull::new_unchecked(pointer) }
}

/// Objects that are written to on their way to another cid have so many bytes at the most.
const WRITTEN: usize = 512;

/// A pool's memory, as its magazines ask for it.
pub(super) struct Carver<'a> {
    chunks: &'a Chunks,
    shape: &'a Shape,
    cap: u64,
    /// Why there was none.
    error: Cell<PoolError>,
}

impl Source for Carver<'_> {
    fn fresh(&self, room: &mut [u64], grow: bool) -> usize {
        let taken = self.chunks.take(self.shape, self.cap, room, grow);
        taken.unwrap_or_else(|why| {
            self.error.set(why);
            0
        })
    }

    fn keep(&self, word: u64) {
        self.chunks.bring_home(self.shape, word);
    }

    /// Writes to it. If another core allocated the object and this one has only read it, both
    /// cores have its line, and the next user's first store, which ends that, takes 8.8 ns where
    /// it was tried (Zen 4), but 4.7 if the line is one core's alone. The store here is in
    /// nobody's way. An instruction that fetches the line for one changes nothing. Not to large
    /// objects, whose user may not touch that line first, nor their page.
    fn hand_on(&self, word: u64) {
        if self.shape.stride > WRITTEN {
            return;
        }
        // SAFETY: a free object, of this pool and in this thread's hand; at least 8 bytes, and
        // so aligned.
        unsafe { object(word).cast::<u64>().write(0) };
    }
}
