//! Values that are made once and used again.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use percid_cid::Domain;

use super::builder::{PoolBuilder, RawPoolBuilder, gates};
use super::{Handle, Mode, PoolError, PoolStats, RawPool};
use crate::magazine::{CidStats, Magazines, RemoteError, Source};
use crate::scope::{Process, Scope};

/// A pool of values.
///
/// ```
/// use percid::Pool;
///
/// static BUFFERS: Pool<Vec<u8>> = Pool::new(Vec::new);
///
/// let mut buffer = BUFFERS.get();
/// buffer.extend_from_slice(b"used");
/// drop(buffer);
/// // Idle values are kept as they were left; a builder's `reset` changes that.
/// let again = BUFFERS.get();
/// assert!(again.is_empty() || *again == b"used");
/// ```
///
/// # Cost
///
/// Getting a value and dropping its handle is one section each. A cid that has no idle
/// value takes some of those that all share, and then makes one. What is kept grows with the
/// cids that were active, not with threads: a thread that sleeps or ends keeps nothing.
/// Idle values stay until [`drain`](Pool::drain), [`drain_idle`](Pool::drain_idle) or
/// [`trim`](Pool::trim) drops them; the memory of dropped and detached values goes back to the
/// system by itself, as [`RawPool`] says.
///
/// # Shapes and units
///
/// Values of any size up to 256 MiB, and of none.
///
/// # Panics
///
/// [`get`](Pool::get) when there is no memory, or no value left of a pool that is bounded;
/// [`try_get`](Pool::try_get) reports that. Panics of the functions that make and reset a
/// value reach the caller: what was not made is not kept, and a value whose reset fails is
/// dropped. If a value's `drop` panics while the pool is dropped, the others are dropped
/// first.
///
/// # Fallback
///
/// As [`RawPool`].
///
/// # Fork and signals
///
/// As [`RawPool`]. The functions that make and drop values are the program's own, and so is
/// whether they may be called in a handler.
pub struct Pool<T, M: Fn() -> T = fn() -> T, S: Scope = Process> {
    /// Values that nobody uses, by address.
    idle: Magazines<S>,
    memory: RawPool,
    make: M,
    reset: Option<fn(&mut T)>,
    values: PhantomData<*mut T>,
}

// SAFETY: the idle values go where the pool goes.
unsafe impl<T: Send, M: Fn() -> T + Send, S: Scope + Send> Send for Pool<T, M, S> {}
// SAFETY: a value is handed to one thread at a time, so it need not be `Sync`; all else is.
unsafe impl<T: Send, M: Fn() -> T + Sync, S: Scope + Sync> Sync for Pool<T, M, S> {}

impl<T, M: Fn() -> T> Pool<T, M> {
    /// A pool for a `static` or anywhere else, with a function that makes a value.
    ///
    /// # Panics
    ///
    /// If no pool can hold such values, which are larger than 256 MiB or aligned to more than
    /// 2 MiB: in a `static`, when it is compiled.
    #[must_use]
    pub const fn new(make: M) -> Pool<T, M> {
        let memory = RawPoolBuilder::new(core::alloc::Layout::new::<T>());
        let (least, most) = gates(&memory, None);
        Pool::from_parts(
            Magazines::new(least, most),
            memory.cid_bytes(0).build_static(),
            make,
            None,
        )
    }

    /// A pool that is told more.
    pub const fn builder(make: M) -> PoolBuilder<T, M> {
        PoolBuilder::new(make)
    }
}

impl<T, M: Fn() -> T> Pool<T, M, Domain> {
    /// A pool sharded by the ids of a domain, which it keeps alive.
    ///
    /// # Errors
    ///
    /// As [`RawPoolBuilder::in_domain`].
    pub fn in_domain(domain: &Domain, make: M) -> Result<Self, PoolError> {
        PoolBuilder::new(make).in_domain(domain)
    }
}

impl<T, M: Fn() -> T, S: Scope> Pool<T, M, S> {
    pub(super) const fn from_parts(
        idle: Magazines<S>,
        memory: RawPool,
        make: M,
        reset: Option<fn(&mut T)>,
    ) -> Self {
        Pool {
            idle,
            memory,
            make,
            reset,
            values: PhantomData,
        }
    }

    /// A value: an idle one, or a new one.
    ///
    /// # Panics
    ///
    /// If there is none, as [`try_get`](Pool::try_get) says.
    #[inline]
    pub fn get(&self) -> Handle<'_, T, M, S> {
        match self.idle.pop() {
            // SAFETY: an idle value, which is this handle's now.
            Some(word) => unsafe { Handle::new(value(word), self) },
            None => self
                .get_otherwise()
                .unwrap_or_else(|why| panic!("no value for a handle: {why}")),
        }
    }

    /// A value: an idle one, or a new one.
    ///
    /// # Errors
    ///
    /// [`PoolError::Full`] if there are as many values as there may be and all are in use;
    /// [`PoolError::NoMemory`].
    #[inline]
    pub fn try_get(&self) -> Result<Handle<'_, T, M, S>, PoolError> {
        match self.idle.pop() {
            // SAFETY: as in `get`.
            Some(word) => Ok(unsafe { Handle::new(value(word), self) }),
            None => self.get_otherwise(),
        }
    }

    #[inline(always)]
    fn get_otherwise(&self) -> Result<Handle<'_, T, M, S>, PoolError> {
        match self.get_by_thread() {
            // SAFETY: as in `get`.
            Some(value) => Ok(unsafe { Handle::new(value, self) }),
            None => self.get_slow(),
        }
    }

    #[cold]
    #[inline(never)]
    fn get_by_thread(&self) -> Option<NonNull<T>> {
        self.idle.pop_by_thread().map(value)
    }

    #[cold]
    #[inline(never)]
    fn get_slow(&self) -> Result<Handle<'_, T, M, S>, PoolError> {
        match self.idle.pop_out_of_line() {
            // SAFETY: as in `get`.
            Some(word) => Ok(unsafe { Handle::new(value(word), self) }),
            None => self.get_miss(),
        }
    }

    #[cold]
    #[inline(never)]
    fn get_miss(&self) -> Result<Handle<'_, T, M, S>, PoolError> {
        if let Some(word) = self.idle.pop_slow(&Values(self)) {
            // SAFETY: as in `get`.
            return Ok(unsafe { Handle::new(value(word), self) });
        }
        let memory = match self.memory.try_alloc() {
            Ok(memory) => memory,
            // All there may be are made: those idle on other cids will do.
            Err(why) => match self.idle.steal_one(&Values(self)) {
                // SAFETY: as in `get`.
                Some(word) => return Ok(unsafe { Handle::new(value(word), self) }),
                // Some may have been dropped, for want of a place to keep them in.
                None => self.memory.try_alloc().map_err(|_| why)?,
            },
        };
        let unless = Unmade {
            pool: &self.memory,
            memory,
        };
        let made = (self.make)();
        core::mem::forget(unless);
        let place = memory.cast::<T>();
        // SAFETY: memory for a `T`, which is this thread's.
        unsafe {
            place.write(made);
            Ok(Handle::new(place, self))
        }
    }

    #[inline(always)]
    pub(super) fn resets(&self) -> Option<fn(&mut T)> {
        self.reset
    }

    /// # Safety
    ///
    /// A value of this pool, which the caller never uses again.
    #[inline(always)]
    pub(super) unsafe fn put(&self, value: NonNull<T>) {
        let word = value.as_ptr().expose_provenance() as u64;
        if !self.idle.push(word) {
            self.put_slow(word);
        }
    }

    #[cold]
    #[inline(never)]
    fn put_slow(&self, word: u64) {
        if !self.idle.push_by_thread(word) {
            self.put_out_of_line(word);
        }
    }

    #[cold]
    #[inline(never)]
    fn put_out_of_line(&self, word: u64) {
        if !self.idle.push_out_of_line(word) {
            self.idle.push_slow(word, &Values(self));
        }
    }

    /// # Safety
    ///
    /// Memory of this pool without a value.
    pub(super) unsafe fn free_memory(&self, memory: NonNull<T>) {
        // SAFETY: the caller's contract.
        unsafe { self.memory.free(memory.cast()) };
    }

    /// # Safety
    ///
    /// As [`put`](Self::put).
    pub(super) unsafe fn discard(&self, value: NonNull<T>) {
        // The memory is freed although the drop may panic.
        let _after = Unmade {
            pool: &self.memory,
            memory: value.cast(),
        };
        // SAFETY: the caller's contract: dropped once, here.
        unsafe { value.drop_in_place() };
    }

    /// Drops all idle values, those of other cids included; how many. Those that are in use
    /// at this moment come back later.
    ///
    /// # Errors
    ///
    /// See [`RemoteError`].
    ///
    /// # Panics
    ///
    /// If a value's `drop` does; the rest stay idle.
    pub fn drain(&self) -> Result<usize, RemoteError> {
        self.idle.drain(|_| true, &Values(self))?;
        Ok(self.drop_shared())
    }

    /// Drops the idle values that all cids share; how many.
    fn drop_shared(&self) -> usize {
        let mut dropped = 0;
        while let Some(word) = self.idle.take_from_depot() {
            // SAFETY: an idle value that this thread has taken.
            unsafe { self.discard(value(word)) };
            dropped += 1;
        }
        self.idle.trim_blocks();
        dropped
    }

    /// Drops the idle values of cids that were not used for so long. The first call only
    /// looks: see [`RawPool::drain_idle`].
    ///
    /// # Errors
    ///
    /// See [`RemoteError`].
    pub fn drain_idle(&self, age: core::time::Duration) -> Result<usize, RemoteError> {
        let taken = self.idle.drain_idle(age, &Values(self))?;
        for _ in 0..taken.words {
            let Some(word) = self.idle.take_from_depot() else {
                break;
            };
            // SAFETY: as in `drain`.
            unsafe { self.discard(value(word)) };
        }
        Ok(taken.words)
    }

    /// Drops all idle values and gives their memory back to the system; how many bytes. If those
    /// that cids hold cannot be taken, the rest is dropped and given back without them.
    ///
    /// # Errors
    ///
    /// See [`RemoteError`]: no memory of values was given back, but some may have been dropped.
    ///
    /// # Panics
    ///
    /// As [`drain`](Pool::drain).
    pub fn trim(&self) -> Result<usize, RemoteError> {
        let drained = self.idle.drain(|_| true, &Values(self));
        self.drop_shared();
        let bytes = self.memory.trim()?;
        if bytes == 0 {
            drained?;
        }
        Ok(bytes)
    }

    /// How large the pool is, at this moment: its objects are values, in use or idle.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let all = self.memory.stats();
        PoolStats {
            cached: self.idle.cached(),
            ..all
        }
    }

    /// Each cid's idle values, at this moment.
    pub fn cids(&self) -> impl Iterator<Item = CidStats> {
        self.idle.cids()
    }

    /// How this pool works here, and why.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.memory.mode()
    }
}

impl<T, M: Fn() -> T, S: Scope> Drop for Pool<T, M, S> {
    fn drop(&mut self) {
        let rest = Rest(self);
        while let Some(word) = rest.0.idle.pop_exclusive() {
            // SAFETY: no handle is left, for they borrow the pool: an idle value that is
            // dropped once.
            unsafe { value::<T>(word).drop_in_place() };
        }
    }
}

/// Goes on dropping if a drop panics. A second panic ends the process, as everywhere.
struct Rest<'a, T, M: Fn() -> T, S: Scope>(&'a mut Pool<T, M, S>);

impl<T, M: Fn() -> T, S: Scope> Drop for Rest<'_, T, M, S> {
    fn drop(&mut self) {
        while let Some(word) = self.0.idle.pop_exclusive() {
            // SAFETY: as in `Pool::drop`.
            unsafe { value::<T>(word).drop_in_place() };
        }
    }
}

impl<T, M: Fn() -> T, S: Scope> fmt::Debug for Pool<T, M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// The value that a word stands for.
#[inline(always)]
fn value<T>(word: u64) -> NonNull<T> {
    let pointer = core::ptr::with_exposed_provenance_mut(word as usize);
    // SAFETY: words are addresses of values, and none lies at 0.
    unsafe { NonNull::new_unchecked(pointer) }
}

/// Memory that goes back unless a value was made in it.
struct Unmade<'a> {
    pool: &'a RawPool,
    memory: NonNull<u8>,
}

impl Drop for Unmade<'_> {
    fn drop(&mut self) {
        // SAFETY: allocated there, and nothing is in it.
        unsafe { self.pool.free(self.memory) };
    }
}

/// The values of a pool, where magazines and depot have no place for them.
struct Values<'a, T, M: Fn() -> T, S: Scope>(&'a Pool<T, M, S>);

impl<T, M: Fn() -> T, S: Scope> Source for Values<'_, T, M, S> {
    fn fresh(&self, _: &mut [u64], _: bool) -> usize {
        0
    }

    fn keep(&self, word: u64) {
        // SAFETY: an idle value that nobody else has.
        unsafe { self.0.discard(value(word)) };
    }
}
