//! The protocol: one word for everybody, and a word per cid while the gate is open.
//!
//! # The word
//!
//! | bits | name | set while |
//! | --- | --- | --- |
//! | 63 | [`DEAD`] | from kill until it is revived |
//! | 62 | [`FORCED`] | somebody asked for the atomic mode |
//! | 0 to 61 | the count | [`BIAS`] is in it while the stripes count |
//!
//! | mode | gate | count | references are |
//! | --- | --- | --- | --- |
//! | per cid | open | `BIAS` + what was done here | the count, the stripes, less `BIAS` |
//! | pending | closed | `BIAS` + what was done here | the same; a fence is owed |
//! | atomic | closed | the references | the count |
//!
//! Everybody may get and put on the word in every mode: threads without sections always
//! do. A section counts in its stripe, which it does only if it finds the gate open,
//! inside. The bias keeps the word far from zero for as long as the rest is in stripes.
//!
//! # Switches
//!
//! To atomic: close the gate, fence, add `stripes - BIAS` in one step. After the fence
//! nobody adds to a stripe, so the sum is all there ever was. To per cid: zero the
//! stripes, in which nobody is since that fence; add `BIAS`; open the gate (release).
//!
//! `DEAD` is in the counted word and set before the gate closes: who wants a live
//! reference and read the word before that fails its exchange, and who comes by a section
//! fails at the gate once the fence is over.
//!
//! Switches are serialised by a lock in the object. It holds the number of the process,
//! so that a child of `fork` takes it from a thread that only its parent has. Each step
//! of a switch leaves one of the three modes, so whoever takes the lock goes on from
//! there; a fence that was refused leaves `pending`, too.
//!
//! # What is proved
//!
//! The loom models of this module run this code over stripes that a mutex per cid
//! guards: a section is what the mutex is held for, the fence waits for each once. They
//! hold, and mutants are found: a fence left out, stripes zeroed before it or not at all,
//! the bias gone before the fold, `DEAD` in a word of its own, puts that release nothing.
//!
//! Source: the kernel's percpu_ref, by T. Heo and K. Overstreet (Linux 3.11).

use super::RefError;
use crate::arena::Gated;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::sync::{process_id, yield_now};

const DEAD: u64 = 1 << 63;
const FORCED: u64 = 1 << 62;
const COUNT: u64 = FORCED - 1;

/// Far from zero and from everything that is ever counted.
const BIAS: u64 = 1 << 60;

/// Counts from here on have the bias in them: nobody gets or puts this often.
const BIASED: u64 = BIAS / 2;

/// More references than a program can make on purpose.
const MANY: u64 = BIAS / 4;

/// A reference count.
pub(crate) struct Core<G> {
    count: AtomicU64,
    /// The process one of whose threads is switching, or 0.
    switching: AtomicU32,
    gate: G,
}

impl<G: Gated> Core<G> {
    /// One reference, which belongs to who kills.
    #[cfg(not(loom))]
    pub(crate) const fn new(gate: G) -> Core<G> {
        Core {
            count: AtomicU64::new(1),
            switching: AtomicU32::new(0),
            gate,
        }
    }

    /// One reference, which belongs to who kills.
    #[cfg(loom)]
    pub(crate) fn new(gate: G) -> Core<G> {
        Core {
            count: AtomicU64::new(1),
            switching: AtomicU32::new(0),
            gate,
        }
    }

    /// One reference more, for who has one.
    #[inline(always)]
    pub(crate) fn get(&self) {
        if !self.gate.add(1) {
            self.get_slow();
        }
    }

    #[cold]
    #[inline(never)]
    fn get_slow(&self) {
        self.first_use();
        if !self.gate.add_slow(1) {
            // Ordering: Relaxed. The caller has a reference already.
            let before = self.count.fetch_add(1, Ordering::Relaxed);
            check_room(before);
        }
    }

    /// One reference more, unless there is none, or none with one of the marks `but`.
    #[inline(always)]
    fn try_get_but(&self, but: u64) -> bool {
        self.gate.add(1) || self.try_get_slow(but)
    }

    /// One reference more, unless all have gone.
    #[inline(always)]
    pub(crate) fn try_get(&self) -> bool {
        self.try_get_but(0)
    }

    /// One reference more, unless it was killed.
    #[inline(always)]
    pub(crate) fn try_get_live(&self) -> bool {
        self.try_get_but(DEAD)
    }

    #[cold]
    #[inline(never)]
    fn try_get_slow(&self, but: u64) -> bool {
        self.first_use();
        if self.gate.add_slow(1) {
            return true;
        }
        // Ordering: Relaxed. The exchange decides.
        let mut count = self.count.load(Ordering::Relaxed);
        loop {
            if count & COUNT == 0 || count & but != 0 {
                return false;
            }
            check_room(count);
            // Ordering: Acquire pairs with the Release of `revive`: who gets a reference
            // in a later life sees what was made ready for it.
            match self.count.compare_exchange_weak(
                count,
                count + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => count = now,
            }
        }
    }

    /// One reference less; whether it was the last, which happens once in a life. Nothing
    /// of `self` is touched after any other.
    #[inline(always)]
    #[must_use = "who puts the last one releases"]
    pub(crate) fn put(&self) -> bool {
        !self.gate.add(1_u64.wrapping_neg()) && self.put_slow()
    }

    #[cold]
    #[inline(never)]
    fn put_slow(&self) -> bool {
        if self.gate.add_slow(1_u64.wrapping_neg()) {
            return false;
        }
        // Ordering: Release pairs with the fence below, in whoever puts the last one:
        // what was done with the object comes before its release. Puts by sections come
        // before the fold, by the killer's fence, and the fold is a Release here, too.
        let before = self.count.fetch_sub(1, Ordering::Release);
        match before & COUNT {
            // The first reference is the killer's: until it is dead, somebody else's put
            // is one too many.
            0 | 1 if before & COUNT == 0 || before & DEAD == 0 => {
                self.count.fetch_add(1, Ordering::Relaxed);
                put_without_get()
            }
            1 => {
                fence(Ordering::Acquire);
                true
            }
            _ => false,
        }
    }

    /// Marks it dead, and counts on the word alone from here on. Afterwards nobody gets a
    /// live reference, and the caller owes the put of the first one.
    pub(crate) fn kill(&self) -> Result<(), RefError> {
        let _lock = self.lock();
        // Ordering: AcqRel. Once: who finds it dead comes after who killed it; what the
        // killer did before is there for who fails for it.
        let before = self.count.fetch_or(DEAD, Ordering::AcqRel);
        if before & DEAD != 0 && !is_biased(before) {
            return Err(RefError::AlreadyKilled);
        }
        // Or an earlier one ended at its fence, or in a thread that only a parent has.
        self.gate.close();
        self.settle()
    }

    /// Brings what the stripes hold to the word, if it is not there. For who has closed
    /// the gate.
    fn settle(&self) -> Result<(), RefError> {
        // Ordering: Relaxed. Only switches bring the bias and take it away.
        if !is_biased(self.count.load(Ordering::Relaxed)) {
            return Ok(());
        }
        self.gate.fence().map_err(RefError::Fence)?;
        let change = self.gate.sum().wrapping_sub(BIAS);
        // Ordering: AcqRel. Release hands on what came before the puts in stripes, which
        // the fence has ordered before this; Acquire is for the check below.
        let before = self.count.fetch_add(change, Ordering::AcqRel);
        let references = (before & COUNT).wrapping_add(change).cast_signed();
        if references < 1 {
            // The first reference is in it, so somebody has put what he had not.
            self.count
                .fetch_add(change.wrapping_neg(), Ordering::Relaxed);
            put_without_get();
        }
        Ok(())
    }

    /// From here on it counts on the word alone, until somebody asks for cids.
    pub(crate) fn switch_to_atomic(&self) -> Result<(), RefError> {
        let _lock = self.lock();
        // Ordering: Relaxed. A mark among switches.
        self.count.fetch_or(FORCED, Ordering::Relaxed);
        self.gate.close();
        self.settle()
    }

    /// Counts by cid again, unless it is dead; whether it does.
    pub(crate) fn switch_to_percid(&self) -> bool {
        let _lock = self.lock();
        // Ordering: Relaxed, as above.
        let before = self.count.fetch_and(!FORCED, Ordering::Relaxed);
        before & DEAD == 0 && self.open()
    }

    /// Lets sections count. For who holds the lock; not if it is dead.
    fn open(&self) -> bool {
        if self.gate.is_open() {
            return true;
        }
        // Ordering: Relaxed. Only switches bring the bias and take it away.
        if !is_biased(self.count.load(Ordering::Relaxed)) {
            if !self.gate.place() {
                return false;
            }
            // Ordering: Relaxed. The gate's Release puts it before whatever follows a
            // section of this opening. Others' puts cannot bring the count to zero
            // without it: the first reference is in it.
            self.count.fetch_add(BIAS, Ordering::Relaxed);
        }
        self.gate.open();
        true
    }

    /// Opens the gate of one that was never used, if nobody switches just now. May run in
    /// a signal handler, so it does not wait.
    fn first_use(&self) {
        // Ordering: Relaxed. Marks change under the lock; a count of zero stays.
        let may_open = || {
            let count = self.count.load(Ordering::Relaxed);
            self.gate.is_new() && count & (DEAD | FORCED) == 0 && count & COUNT != 0
        };
        if may_open()
            && let Some(_lock) = self.try_lock()
            && may_open()
        {
            self.open();
        }
    }

    /// Takes a kill back, while there are references.
    pub(crate) fn resurrect(&self) -> Result<(), RefError> {
        self.revive(|references| match references {
            0 => Err(RefError::Released),
            some => Ok(some + 1),
        })
    }

    /// Begins another life, when there are no references left.
    pub(crate) fn reinit(&self) -> Result<(), RefError> {
        self.revive(|references| match references {
            0 => Ok(1),
            _ => Err(RefError::InUse),
        })
    }

    fn revive(&self, next: impl Fn(u64) -> Result<u64, RefError>) -> Result<(), RefError> {
        let _lock = self.lock();
        // Ordering: Acquire: who revives comes after the last put.
        let mut count = self.count.load(Ordering::Acquire);
        loop {
            if count & DEAD == 0 {
                return Err(RefError::NotKilled);
            }
            let revived = if is_biased(count) {
                // The kill ended at its fence: its reference is still there.
                next(1).map(|_| count & COUNT)?
            } else {
                next(count & COUNT)?
            };
            // Ordering: Release pairs with the Acquire of `try_get_slow`.
            match self.count.compare_exchange_weak(
                count,
                count & FORCED | revived,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => break,
                Err(now) => count = now,
            }
        }
        if count & FORCED == 0 {
            self.open();
        }
        Ok(())
    }

    /// Whether all references have gone; racy before it was killed.
    // Ordering: Acquire pairs with the Release of puts: the releaser's work is another
    // matter, but the references' work is done.
    pub(crate) fn is_zero(&self) -> bool {
        self.count.load(Ordering::Acquire) & COUNT == 0
    }

    /// Whether it was killed.
    // Ordering: Acquire pairs with `kill`.
    pub(crate) fn is_dying(&self) -> bool {
        self.count.load(Ordering::Acquire) & DEAD != 0
    }

    /// Whether sections count.
    pub(crate) fn is_percid(&self) -> bool {
        self.gate.is_open()
    }

    fn try_lock(&self) -> Option<Lock<'_>> {
        let switching = &self.switching;
        // Ordering: Acquire pairs with the Release of the lock's end.
        switching
            .compare_exchange(0, process_id(), Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then(|| Lock(switching)) // not `then_some`, whose drop would unlock
    }

    fn lock(&self) -> Lock<'_> {
        let mine = process_id();
        loop {
            // Ordering: Relaxed. The exchange decides.
            let holder = self.switching.load(Ordering::Relaxed);
            if holder == mine {
                yield_now();
                continue;
            }
            // Nobody's, or a parent's: its thread is not here.
            // Ordering: Acquire, as `try_lock`.
            let taken =
                self.switching
                    .compare_exchange(holder, mine, Ordering::Acquire, Ordering::Relaxed);
            if taken.is_ok() {
                return Lock(&self.switching);
            }
        }
    }
}

/// Who holds it is the only one that switches.
struct Lock<'a>(&'a AtomicU32);

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // Ordering: Release pairs with the Acquire of the next.
        self.0.store(0, Ordering::Release);
    }
}

fn is_biased(count: u64) -> bool {
    count & COUNT >= BIASED
}

/// Ends the process where references are forgotten in a loop, as `Arc` does.
fn check_room(count: u64) {
    let count = count & COUNT;
    if !is_biased(count) && count > MANY {
        std::process::abort();
    }
}

#[cold]
#[inline(never)]
fn put_without_get() -> ! {
    panic!("a reference was put that nobody got");
}

#[cfg(all(test, loom))]
#[path = "loom.rs"]
mod loom;
