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
//! How the mode is switched says `switch`.
//!
//! # What is proved
//!
//! The loom models of this module run this code over stripes that a mutex per cid
//! guards: a section is what the mutex is held for, the fence waits for each once. They
//! hold, and mutants are found: a fence left out, stripes zeroed before it or not at all,
//! the bias gone before the fold, `DEAD` in a word of its own, puts that release nothing.
//!
//! Source: the kernel's percpu_ref, by T. Heo and K. Overstreet (Linux 3.11).

use crate::arena::Gated;
use crate::sync::abort;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

pub(super) const DEAD: u64 = 1 << 63;
pub(super) const FORCED: u64 = 1 << 62;
pub(super) const COUNT: u64 = FORCED - 1;

/// Far from zero and from everything that is ever counted.
pub(super) const BIAS: u64 = 1 << 60;

/// Counts from here on have the bias in them: nobody gets or puts this often.
const BIASED: u64 = BIAS / 2;

/// More references than a program can make on purpose.
const MANY: u64 = BIAS / 4;

/// A reference count.
pub(crate) struct Core<G> {
    pub(super) count: AtomicU64,
    /// The process one of whose threads is switching, or 0.
    pub(super) switching: AtomicU32,
    pub(super) gate: G,
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

    /// Counts in a stripe after all, if that can be. Nothing of `self` is touched after
    /// that: it may have been a put.
    fn add_by_cid(&self, n: u64) -> bool {
        // Once it is closed, as it is for the dead, this is all.
        self.gate.is_open() && self.gate.add_slow(n)
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
        if !self.add_by_cid(1) {
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
        if self.add_by_cid(1) {
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
        if self.add_by_cid(1_u64.wrapping_neg()) {
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
}

pub(super) fn is_biased(count: u64) -> bool {
    count & COUNT >= BIASED
}

/// Ends the process where references are forgotten in a loop, as `Arc` does.
fn check_room(count: u64) {
    let count = count & COUNT;
    if !is_biased(count) && count > MANY {
        abort();
    }
}

#[cold]
#[inline(never)]
pub(super) fn put_without_get() -> ! {
    panic!("a reference was put that nobody got");
}
