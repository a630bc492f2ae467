//! State per cid that is more than a word: whoever has it has it alone.
//!
//! # Algorithm
//!
//! Each cid has an instance and a lock. A section takes the lock if it is free; its holder
//! gives it back with a plain store, from wherever the thread has gone meanwhile. Who finds
//! it held does not wait, for the holder may be preempted: it takes a spare instance, or
//! makes one.
//!
//! | a walk (`for_each`) | a thread (`with`) |
//! | --- | --- |
//! | `want = 1` | claims the lock, in a section |
//! | fence | `want` is not 0: gives it back and takes a spare instance |
//! | waits for each lock to be free, and visits its instance | works, and gives the lock back |
//! | `want = 0` | |
//!
//! After the fence, a lock that was claimed before is seen held, and whoever claims later
//! sees `want`: the claim's store and the load of `want` are in that order for a fence that
//! makes every CPU pass a full barrier. So no lock is ever taken from outside, which a
//! section's plain store would not survive. `checker` runs every interleaving of it.
//!
//! Source: the lock is librseq's; asymmetric Dekker synchronization, D. Dice, H. Huang and
//! M. Yang (2001).

#[cfg(all(test, target_os = "linux"))]
mod checker;
mod entered;
mod error;
mod walk;

use core::cell::UnsafeCell;
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, compiler_fence};

use percid_cid::{Domain, fence};
use percid_rseq::section::{self, Index, WordAddress};
use percid_rseq::{Refusal, generation};

pub use self::error::PerCidError;

use self::entered::Entered;
use self::walk::{Walk, wait_for};
use crate::arena::{ArenaError, Operation, StripeOwner};
use crate::magazine::Control;
use crate::room::Room;
use crate::scope::{Process, Scope};

/// The word of a stripe that says who has its instance: 0, or a generation.
const LOCK: usize = 0;
/// Its instance's address; 0: there is none yet.
const PLACE: usize = 1;

/// A value for each cid, for state that is more than a word.
///
/// ```
/// use percid::PerCid;
///
/// static NAMES: PerCid<Vec<String>> = PerCid::new(Vec::new);
///
/// std::thread::scope(|scope| {
///     for name in ["a", "b", "c"] {
///         scope.spawn(move || NAMES.with(|names| names.push(name.to_owned())));
///     }
/// });
/// let mut all = Vec::new();
/// // Without a fence, others cannot be kept from their values.
/// if NAMES.for_each(|names| all.append(names)).is_ok() {
///     all.sort();
///     assert_eq!(all, ["a", "b", "c"]);
/// }
/// ```
///
/// # Cost
///
/// [`with`](PerCid::with) is one section, some loads and one store more. There are as many
/// values as cids were active, and one for each thread that found its cid's value in use,
/// which happens when a thread is preempted inside.
///
/// # Errors
///
/// A value is one caller's at a time. [`with`](PerCid::with) inside of `with`, also in a
/// signal handler that interrupts it, is [`PerCidError::Entered`], never a second reference
/// and never a deadlock.
///
/// # Panics
///
/// Those of the functions given; a value is left as they left it.
///
/// # Fallback
///
/// A thread without sections uses the spare values, which are taken by an atomic exchange.
///
/// # Fork and signals
///
/// `with` may be called in a signal handler when the value's own operations may; the first
/// use on a cid allocates. In a child of `fork`, values that other threads had in use are half
/// changed: nobody sees them again, not even to drop them, and
/// [`for_each`](PerCid::for_each) says how many there are. (A child of a raw `clone` does not
/// know, and waits for them.)
pub struct PerCid<T, I: Fn() -> T = fn() -> T, S: Scope = Process> {
    room: Room<S>,
    make: I,
    /// Whether somebody walks over all values.
    want: AtomicU32,
    walking: Control,
    spare: AtomicPtr<Instance<T>>,
}

/// A value, and what is needed when it is a spare one.
struct Instance<T> {
    /// As `LOCK` of a stripe, but taken by an exchange.
    lock: AtomicU64,
    next: AtomicPtr<Instance<T>>,
    value: UnsafeCell<T>,
}

// SAFETY: a value is handed to one thread at a time, so it need not be `Sync`; the rest is.
unsafe impl<T: Send, I: Fn() -> T + Sync, S: Scope> Sync for PerCid<T, I, S> {}
// SAFETY: the values go where this goes.
unsafe impl<T: Send, I: Fn() -> T + Send, S: Scope> Send for PerCid<T, I, S> {}

/// Claims the stripe's lock.
struct Claim(u64);

impl Operation for Claim {
    type Output = *mut u64;

    #[inline(always)]
    unsafe fn run<X: Index, const SHIFT: u32>(
        &self,
        index: X,
        first: WordAddress,
    ) -> Result<*mut u64, Refusal> {
        // SAFETY: the caller's contract.
        unsafe { section::claim::<X, SHIFT>(index, first.offset(LOCK), self.0) }
    }
}

/// A lock that is held; gives it back.
struct Held<'a>(&'a AtomicU64);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Ordering: Release pairs with the acquiring claim of the next holder, and with the
        // Acquire of who walks.
        self.0.store(0, Ordering::Release);
    }
}

impl<T, I: Fn() -> T> PerCid<T, I> {
    /// Values that are made when a cid needs one.
    #[must_use]
    pub const fn new(make: I) -> PerCid<T, I> {
        PerCid {
            room: Room::new(2),
            make,
            want: AtomicU32::new(0),
            walking: Control::new(),
            spare: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

impl<T, I: Fn() -> T> PerCid<T, I, Domain> {
    /// Values by the ids of a domain, which they keep alive: as many as the domain uses.
    ///
    /// ```
    /// use percid::{Bound, Domain, PerCid};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Domain::builder().bound(Bound::Strict).build()?;
    /// let buffers = PerCid::in_domain(&pool, Vec::<u8>::new)?;
    /// let _joined = pool.join();
    /// buffers.with(|buffer| buffer.extend(b"abc"))?;
    /// assert_eq!(buffers.into_iter().map(|one| one.len()).sum::<usize>(), 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or all words of the domain are in use.
    pub fn in_domain(domain: &Domain, make: I) -> Result<PerCid<T, I, Domain>, ArenaError> {
        Ok(PerCid {
            room: Room::in_domain(domain, 2)?,
            make,
            want: AtomicU32::new(0),
            walking: Control::new(),
            spare: AtomicPtr::new(ptr::null_mut()),
        })
    }
}

impl<T, I: Fn() -> T, S: Scope> PerCid<T, I, S> {
    /// Calls a function with the value of the current cid, or with a spare one if that is in
    /// use. It is the caller's until the function returns, wherever the thread goes.
    ///
    /// # Errors
    ///
    /// [`PerCidError::Entered`].
    #[inline]
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Result<R, PerCidError> {
        let entered = Entered::new(ptr::from_ref(self).cast());
        let _entered = entered.enter().ok_or(PerCidError::Entered)?;
        let generation = u64::from(generation());
        // SAFETY: the lock is a word of the room; it is 0 or its holder's, who stores 0.
        if let Ok(lock) = unsafe { self.room.run(&Claim(generation)) } {
            // SAFETY: a word of the room, in a stripe that stays as long as this.
            let held = Held(unsafe { AtomicU64::from_ptr(lock) });
            // Ordering: the fence of who walks is between its store and its look at locks;
            // here the compiler must not turn the two around. Acquire pairs with the Release
            // at its end: what it did to the value is seen.
            compiler_fence(Ordering::SeqCst);
            if self.want.load(Ordering::Acquire) == 0 {
                // SAFETY: the next word of that stripe; both are of the room.
                let place = unsafe { AtomicU64::from_ptr(lock.add(PLACE - LOCK)) };
                let instance = self.instance_at(place);
                // SAFETY: the lock is held, and nobody walks who did not wait for it.
                let done = work(unsafe { &mut *instance.value.get() });
                drop(held);
                return Ok(done);
            }
        }
        Ok(self.with_spare(generation, work))
    }

    /// The instance of a stripe whose lock is held.
    #[inline]
    fn instance_at(&self, place: &AtomicU64) -> &Instance<T> {
        // Ordering: Relaxed. The lock orders it; who walks waits for that.
        let address = place.load(Ordering::Relaxed) as usize;
        if address == 0 {
            return self.make_at(place);
        }
        // SAFETY: made by `make_at`, and freed with this only.
        unsafe { &*ptr::with_exposed_provenance(address) }
    }

    #[cold]
    fn make_at(&self, place: &AtomicU64) -> &Instance<T> {
        let made = Box::into_raw(self.make());
        place.store(made.expose_provenance() as u64, Ordering::Relaxed);
        // SAFETY: made just now, and freed with this only.
        unsafe { &*made }
    }

    fn make(&self) -> Box<Instance<T>> {
        Box::new(Instance {
            lock: AtomicU64::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
            value: UnsafeCell::new((self.make)()),
        })
    }

    #[cold]
    #[inline(never)]
    fn with_spare<R>(&self, generation: u64, work: impl FnOnce(&mut T) -> R) -> R {
        for instance in self.spares() {
            // Ordering: Acquire pairs with the Release of the last holder.
            let taken =
                instance
                    .lock
                    .compare_exchange(0, generation, Ordering::Acquire, Ordering::Relaxed);
            if taken.is_ok() {
                let _held = Held(&instance.lock);
                // SAFETY: the lock is held, and taken by exchanges only.
                return work(unsafe { &mut *instance.value.get() });
            }
        }
        let made = Box::into_raw(self.make());
        // SAFETY: made just now; freed with this only.
        let instance = unsafe { &*made };
        instance.lock.store(generation, Ordering::Relaxed);
        let _held = Held(&instance.lock);
        let mut first = self.spare.load(Ordering::Relaxed);
        loop {
            instance.next.store(first, Ordering::Relaxed);
            // Ordering: Release pairs with `spares`. None is ever taken out, so there is no
            // ABA.
            match self.spare.compare_exchange_weak(
                first,
                made,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => first = now,
            }
        }
        // SAFETY: the lock is held since before anybody could find it.
        work(unsafe { &mut *instance.value.get() })
    }

    fn spares(&self) -> impl Iterator<Item = &Instance<T>> {
        // Ordering: Acquire: what was written before an instance was published is seen.
        // SAFETY: null, or published and freed with this only.
        let first = unsafe { self.spare.load(Ordering::Acquire).as_ref() };
        core::iter::successors(first, |instance| {
            // SAFETY: as above.
            unsafe { instance.next.load(Ordering::Acquire).as_ref() }
        })
    }

    /// Calls a function with every value, one after the other. It waits for those in use;
    /// meanwhile, and until it returns, others use spare values. What was done to a value
    /// before this is seen; a value that is made meanwhile is visited or not.
    ///
    /// Two threads that each walk over what the other is inside of wait for ever, as with
    /// any locks.
    ///
    /// # Errors
    ///
    /// [`PerCidError::Entered`], [`PerCidError::NoFence`]: nothing was visited.
    /// [`PerCidError::Poisoned`]: all but so many were.
    pub fn for_each(&self, mut visit: impl FnMut(&mut T)) -> Result<(), PerCidError> {
        let entered = Entered::new(ptr::from_ref(self).cast());
        let _entered = entered.enter().ok_or(PerCidError::Entered)?;
        let _walk = Walk::begin(self);
        let fenced = fence();
        if let Err(why) = fenced
            && self.cids().next().is_some()
        {
            return Err(PerCidError::NoFence(why));
        }
        let generation = u64::from(generation());
        let mut poisoned = 0;
        // Without a fence nobody had used a section a moment ago; whoever does so now is
        // left alone.
        for words in self.cids().take_while(|_| fenced.is_ok()) {
            if wait_for(&words[LOCK], generation, |lock| {
                lock.load(Ordering::Acquire) == 0
            }) {
                let address = words[PLACE].load(Ordering::Relaxed) as usize;
                let instance: *const Instance<T> = ptr::with_exposed_provenance(address);
                // SAFETY: null, or made by `make_at` and freed with this only.
                if let Some(instance) = unsafe { instance.as_ref() } {
                    // SAFETY: nobody has the lock, and whoever claims it sees `want`.
                    visit(unsafe { &mut *instance.value.get() });
                }
            } else {
                poisoned += usize::from(words[PLACE].load(Ordering::Relaxed) != 0);
            }
        }
        for instance in self.spares() {
            let take = |lock: &AtomicU64| {
                lock.compare_exchange(0, generation, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            };
            if wait_for(&instance.lock, generation, take) {
                let _held = Held(&instance.lock);
                // SAFETY: the lock is held.
                visit(unsafe { &mut *instance.value.get() });
            } else {
                poisoned += 1;
            }
        }
        match poisoned {
            0 => Ok(()),
            values => Err(PerCidError::Poisoned(values)),
        }
    }

    /// The words of the stripes of cids.
    fn cids(&self) -> impl Iterator<Item = &[AtomicU64]> {
        let stripes = self.room.stripes();
        stripes
            .filter(|stripe| matches!(stripe.owner(), StripeOwner::Cid(_)))
            .map(|stripe| stripe.words())
    }

    /// All values, for the last user, but those that are poisoned.
    fn take_all(&mut self) -> Vec<T> {
        let generation = u64::from(generation());
        let mut all = Vec::new();
        let mut take = |instance: *mut Instance<T>, lock: u64| {
            if !instance.is_null() && (lock == 0 || lock == generation) {
                // SAFETY: made by `make`, and found once: places are cleared.
                let instance = unsafe { Box::from_raw(instance) };
                all.push(instance.value.into_inner());
            }
        };
        for words in self.cids() {
            let address = words[PLACE].swap(0, Ordering::Relaxed) as usize;
            let lock = words[LOCK].load(Ordering::Relaxed);
            take(ptr::with_exposed_provenance_mut(address), lock);
        }
        let mut next = self.spare.swap(ptr::null_mut(), Ordering::Relaxed);
        while !next.is_null() {
            // SAFETY: a spare instance, still there.
            let (after, lock) = unsafe {
                let instance = &*next;
                let after = instance.next.load(Ordering::Relaxed);
                (after, instance.lock.load(Ordering::Relaxed))
            };
            take(next, lock);
            next = after;
        }
        all
    }
}

/// All values, in no order.
impl<T, I: Fn() -> T, S: Scope> IntoIterator for PerCid<T, I, S> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(mut self) -> Self::IntoIter {
        self.take_all().into_iter()
    }
}

impl<T, I: Fn() -> T, S: Scope> Drop for PerCid<T, I, S> {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}

impl<T, I: Fn() -> T, S: Scope> fmt::Debug for PerCid<T, I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerCid")
            .field("cids", &self.cids().count())
            .field("spare", &self.spares().count())
            .finish()
    }
}
