//! Sections of a domain: readers that hold nothing of their own, and what waits for them.
//!
//! | file | its one idea |
//! | --- | --- |
//! | `stripe` | what a domain has in each stripe, and the sections that touch it |
//! | `guard` | what a reader holds |
//! | `inside` | debug builds: who waits for its own guard is told so |
//! | `grace` | when what was retired may be freed, and why |
//! | `retired` | destructors |
//! | `pace` | how much is retired before a grace period begins |
//! | `checker` | every state of small domains, and mutants that are found |
//! | `reclaimer` | a thread that does it, on request |

#[cfg(test)]
mod checker;
mod grace;
mod guard;
#[cfg(debug_assertions)]
mod inside;
mod pace;
mod reclaimer;
mod retired;
mod stripe;

use core::cell::Cell;
use core::fmt;
use core::panic::RefUnwindSafe;
use core::sync::atomic::{AtomicU64, Ordering, fence};
use std::thread;
use std::time::Duration;

use percid::{ArenaError, Part, Room};
use percid_rseq::Refusal;

pub(crate) use grace::sections;
pub use guard::Guard;
pub use reclaimer::Reclaimer;

use crate::counted;
use crate::fork_lock::ForkLock;
use crate::sync::spin_once;
use grace::Grace;
use pace::Pace;
use retired::{Batch, Retired};
use stripe::{BEHIND, Chosen, FIRST, Seat, WORDS};

/// Defers destructors until every reader that may have found the object has left: *drop
/// runs in some later call to the domain, by whichever thread makes it; when nobody calls,
/// never.*
///
/// A reader [enters](Self::enter) and gets a [`Guard`]; whoever unlinks an object
/// [retires](Self::retire_with) it. The object's destructor runs after all guards that
/// existed when it was retired have been dropped: inside a later `retire_with`, `flush`,
/// `synchronize` or `barrier`, or in a [`Reclaimer`], if there is one. Of a program that
/// retires steadily, that is the next or the next but one batch.
///
/// [`Atomic`](crate::Atomic) and its kin make this safe to read; this is what they stand on.
///
/// ```
/// use percid_shootdown::ReclaimDomain;
/// use std::sync::atomic::{AtomicPtr, Ordering};
///
/// static DOMAIN: ReclaimDomain = ReclaimDomain::new();
/// static CURRENT: AtomicPtr<String> = AtomicPtr::new(std::ptr::null_mut());
///
/// unsafe fn destroy(string: *mut u8) {
///     // SAFETY: what is retired below was a box of this type.
///     drop(unsafe { Box::from_raw(string.cast::<String>()) });
/// }
///
/// fn replace(by: &str) {
///     let new = Box::into_raw(Box::new(by.to_owned()));
///     let old = CURRENT.swap(new, Ordering::AcqRel);
///     if !old.is_null() {
///         // SAFETY: unlinked by the swap, once; any thread may drop a string.
///         unsafe { DOMAIN.retire_with(old.cast(), destroy) };
///     }
/// }
///
/// replace("a");
/// let guard = DOMAIN.enter();
/// // SAFETY: what is linked is freed after this guard only.
/// let current = unsafe { CURRENT.load(Ordering::Acquire).as_ref() };
/// replace("b");
/// assert_eq!(current.map(String::as_str), Some("a"));
/// drop(guard);
/// DOMAIN.barrier();
/// ```
///
/// # Cost
///
/// `enter` is one section: five loads and two plain stores, no read-modify-write and no
/// fence. Leaving is one store. A cid has eight seats; a reader that finds them taken, by
/// guards that are held across waits, counts itself instead, which is two
/// read-modify-writes and a fence. Neither depends on the number of threads or tasks.
///
/// `retire_with` is a full fence and one section; what an [`Atomic`](crate::Atomic) replaces
/// has had its fence on x86. Each batch costs a grace period: one
/// fence of the kernel ([`Barriers`](crate::Barriers)), and a look at eight words for each
/// active cid. The batch adapts: one object at a time while they are rare, hundreds while
/// they are many.
///
/// Memory: a domain has 16 KiB of address space in the stripe of each active cid, touched
/// as far as batches get; and one word and a half for each object that waits.
///
/// # Panics
///
/// If a destructor panics, in the call that ran it, after the others of its batch have
/// been run.
///
/// # Fallback
///
/// Where there are no sections, or no fence to restart them, every reader counts itself on
/// a stripe of its thread, and what is retired goes to a list behind a lock. Where the
/// kernel begins to refuse the fence later (a seccomp filter that is installed while the
/// program runs), nothing is freed from then on, and who waits waits for ever.
///
/// # Fork and signals
///
/// Entering and leaving may be done in signal handlers; retiring allocates, so it must not.
/// In a child of `fork` the guards of its one thread go on to hold. Guards of threads that
/// it does not have are never dropped there: if there was one, the child frees nothing that
/// is retired in it, ever. What another thread was about to free at that moment leaks.
pub struct ReclaimDomain {
    /// What sections load where the kernel keeps ids.
    part: Part,
    /// What they load elsewhere: the phase, or 0 while there may be none.
    chosen: Chosen,
    /// What counted readers load.
    phase: AtomicU64,
    /// Grace periods that have begun, and that have ended.
    begun: AtomicU64,
    ended: AtomicU64,
    pace: Pace,
    room: Room,
    /// Counts of readers for whom there is no memory.
    crowd: [AtomicU64; 2],
    grace: ForkLock<Grace>,
    /// What was retired where no bag took it.
    late: ForkLock<Vec<Retired>>,
}

/// Turns of a wait, about a second, after which a thread is asked whether it waits for
/// itself.
#[cfg(debug_assertions)]
const IN_VAIN: u32 = 1800;

thread_local! {
    /// Whether this thread runs destructors: then one that retires does not run others.
    static DESTROYING: Cell<bool> = const { Cell::new(false) };
}

impl ReclaimDomain {
    /// A domain, for a `static` or anywhere else. It takes its memory at its first use.
    #[must_use]
    pub const fn new() -> ReclaimDomain {
        ReclaimDomain::with_room(Room::new(WORDS))
    }

    /// A domain that has its memory already.
    ///
    /// # Errors
    ///
    /// If the system refuses it. Readers of a domain from [`new`](Self::new) all count
    /// themselves in one word then.
    pub fn try_new() -> Result<ReclaimDomain, ArenaError> {
        Ok(ReclaimDomain::with_room(Room::try_new(WORDS)?))
    }

    const fn with_room(room: Room) -> ReclaimDomain {
        ReclaimDomain {
            part: Part::nowhere(),
            chosen: Chosen(AtomicU64::new(0)),
            phase: AtomicU64::new(FIRST),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            pace: Pace::new(),
            room,
            crowd: [const { AtomicU64::new(0) }; 2],
            grace: ForkLock::new(Grace::EMPTY),
            late: ForkLock::new(Vec::new()),
        }
    }

    /// Begins a section: what is reached from here on stays until the guard is dropped.
    #[inline]
    pub fn enter(&self) -> Guard<'_> {
        // SAFETY: the part leads to seats: 0, or their guards'.
        match unsafe { self.part.run(&Seat) } {
            // SAFETY: claimed; the room stays for as long as the domain.
            Ok(seat) => unsafe { Guard::seated(self, seat) },
            Err(_) => self.enter_slow(),
        }
    }

    #[cold]
    #[inline(never)]
    fn enter_slow(&self) -> Guard<'_> {
        self.open();
        // SAFETY: as in `enter`; the first words of a cid's stripe are seats, too.
        let seat = unsafe {
            match self.part.leads() {
                true => self.part.run_slow(&self.room, &Seat),
                false if self.is_open() => self.room.run(&self.chosen),
                false => Err(Refusal::Unsupported),
            }
        };
        match seat {
            // SAFETY: as in `enter`.
            Ok(seat) => unsafe { Guard::seated(self, seat) },
            Err(_) => self.enter_counted(),
        }
    }

    /// Begins a section by a count, as where there are no sections.
    #[doc(hidden)]
    pub fn enter_counted(&self) -> Guard<'_> {
        let counts = match self.room.fallback() {
            Ok(stripe) => &stripe.words()[..2],
            Err(_) => &self.crowd,
        };
        let count = counted::raise(&self.phase, |phase| &counts[stripe::count_of(phase)]);
        Guard::counted(self, count)
    }

    /// Whether a guard is of this domain.
    ///
    /// ```
    /// use percid_shootdown::ReclaimDomain;
    ///
    /// let (routes, users) = (ReclaimDomain::new(), ReclaimDomain::new());
    /// let guard = routes.enter();
    /// assert!(routes.is_entered_by(&guard) && !users.is_entered_by(&guard));
    /// ```
    ///
    /// # Cost
    ///
    /// A few loads; it is told by where the guard's word is.
    #[must_use]
    pub fn is_entered_by<B>(&self, guard: &Guard<'_, B>) -> bool {
        let word = guard.word();
        self.room.holds(word) || self.crowd.as_ptr_range().contains(&word)
    }

    /// Has `destroy` called with `object` once no reader can reach it any more: never in
    /// this call if the caller is inside a guard, and without waiting for readers.
    ///
    /// # Panics
    ///
    /// If a destructor of an earlier batch panics.
    ///
    /// # Safety
    ///
    /// - The object is unlinked: who enters after this call cannot find it.
    /// - It is retired once, and in the domain whose guards protect its readers.
    /// - `destroy` may be called with it on any thread, at any later time.
    pub unsafe fn retire_with(&self, object: *mut u8, destroy: unsafe fn(*mut u8)) {
        // Ordering: pairs with the choice of a phase: whoever is in the new one sees what the
        // caller unlinked, or the section below sees the new one.
        fence(Ordering::SeqCst);
        // SAFETY: the caller's contract.
        unsafe { self.retire(object, destroy) };
    }

    /// As [`retire_with`](Self::retire_with), for what the caller has just unlinked by a
    /// read-modify-write.
    ///
    /// # Safety
    ///
    /// As [`retire_with`](Self::retire_with), and so it was unlinked.
    #[inline]
    pub(crate) unsafe fn retire_exchanged(&self, object: *mut u8, destroy: unsafe fn(*mut u8)) {
        // Ordering: as above. On x86 the read-modify-write is that fence, and the section is
        // instructions that the compiler keeps behind it.
        #[cfg(not(target_arch = "x86_64"))]
        fence(Ordering::SeqCst);
        // SAFETY: the caller's contract.
        unsafe { self.retire(object, destroy) };
    }

    /// # Safety
    ///
    /// As [`retire_with`](Self::retire_with), behind a full fence.
    #[inline(always)]
    unsafe fn retire(&self, object: *mut u8, destroy: unsafe fn(*mut u8)) {
        let one = Retired { object, destroy };
        let retire = one.by(&BEHIND, self.pace.capacity());
        // SAFETY: bags change by this section, and by who has fenced it out.
        if let Err(refusal) = unsafe { self.part.run(&retire) } {
            self.retire_slow(one, refusal);
        }
    }

    #[cold]
    #[inline(never)]
    fn retire_slow(&self, one: Retired, refusal: Refusal) {
        // The bag is full as often as a batch is; anything else is to be tried again.
        if refusal != Refusal::Full && self.retire_again(&one).is_ok() {
            return;
        }
        self.late.lock().push(one);
        if DESTROYING.get() {
            return;
        }
        self.pace.note();
        self.destroy(self.advance(false));
    }

    fn retire_again(&self, one: &Retired) -> Result<(), Refusal> {
        let capacity = self.pace.capacity();
        // SAFETY: as in `retire`.
        unsafe {
            match self.part.leads() {
                true => self.part.run_slow(&self.room, &one.by(&BEHIND, capacity)),
                false if self.is_open() => self.room.run(&one.by(&self.chosen.0, capacity)),
                false => Err(Refusal::Unsupported),
            }
        }
    }

    /// Runs destructors.
    fn destroy(&self, over: grace::Over<'_>) {
        /// Even if one panics.
        struct Done(bool);

        impl Drop for Done {
            fn drop(&mut self) {
                DESTROYING.set(self.0);
            }
        }

        let _done = Done(DESTROYING.replace(true));
        drop(over);
    }

    /// Retires an object and waits until it is destroyed: for who needs its memory, or what
    /// its destructor does, at once.
    ///
    /// # Panics
    ///
    /// If its destructor panics, or as [`synchronize`](Self::synchronize): the object leaks
    /// then. Called inside a guard of the same domain it waits for itself, for ever.
    ///
    /// # Safety
    ///
    /// As [`retire_with`](Self::retire_with).
    pub unsafe fn retire_now(&self, object: *mut u8, destroy: unsafe fn(*mut u8)) {
        self.synchronize();
        // SAFETY: all who could have found it have left.
        unsafe { destroy(object) };
    }

    /// Destroys what can be destroyed, without waiting for readers, and begins a grace
    /// period for the rest.
    ///
    /// # Panics
    ///
    /// If a destructor panics.
    pub fn flush(&self) {
        if !DESTROYING.get() {
            self.destroy(self.advance(false));
        }
    }

    /// Waits until every guard that exists now has been dropped.
    ///
    /// Whatever the caller unlinked before is its alone then. Called inside a guard of the
    /// same domain it waits for itself, for ever.
    ///
    /// # Panics
    ///
    /// If a destructor panics that runs meanwhile. In debug builds, after about a second, if
    /// a guard still exists that the calling thread has entered, wherever it is by now.
    pub fn synchronize(&self) {
        let number = self.next_number();
        self.wait(number, || self.has_ended(number));
    }

    /// Waits until everything that was retired before has been destroyed. Not to be called
    /// inside a guard of the domain, nor in a destructor: it would wait for itself, for ever.
    ///
    /// # Panics
    ///
    /// As [`synchronize`](Self::synchronize).
    pub fn barrier(&self) {
        let number = self.next_number();
        self.wait(number, || self.has_destroyed(number));
    }

    /// Brings grace periods forward, to the one of that number, until it is so.
    fn wait(&self, number: u64, is_so: impl Fn() -> bool) {
        let mut turn = 0;
        while !is_so() {
            #[cfg(debug_assertions)]
            assert!(
                turn != IN_VAIN || !inside::is_inside(self),
                "a thread waits for readers inside its own guard of the same domain: it would \
                 wait for itself, for ever"
            );
            self.destroy(self.advance(!self.has_ended(number)));
            // Readers may be asleep: ask less and less often.
            match turn {
                0..256 => spin_once(turn),
                _ => thread::sleep(Duration::from_micros(u64::from(turn.min(1256) - 255))),
            }
            turn = turn.saturating_add(1);
        }
    }

    /// What the domain is at.
    #[must_use]
    pub fn stats(&self) -> DomainStats {
        let (unfreed, waiting) = self.unfreed();
        let stripes = self.room.stripes();
        let crowd: u64 = self
            .crowd
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum();
        DomainStats {
            holding: stripes.map(|stripe| stripe::readers(&stripe)).sum::<u64>() + crowd,
            unfreed: unfreed as u64,
            waiting,
            grace_periods: self.ended.load(Ordering::Relaxed),
        }
    }
}

/// What a panic can interrupt is a destructor, which runs when everything is in place.
impl RefUnwindSafe for ReclaimDomain {}

impl Default for ReclaimDomain {
    fn default() -> ReclaimDomain {
        ReclaimDomain::new()
    }
}

/// Destroys what waits: nobody can hold a guard any more.
impl Drop for ReclaimDomain {
    fn drop(&mut self) {
        #[cfg(debug_assertions)]
        inside::forget(self);
        loop {
            let all = self.take_all();
            if all.is_empty() {
                break;
            }
            // SAFETY: guards borrow the domain, and those that were forgotten reach nothing.
            drop(unsafe { Batch::new(all) });
        }
    }
}

impl fmt::Debug for ReclaimDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReclaimDomain").field(&self.stats()).finish()
    }
}

/// What a domain is at, at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainStats {
    /// Guards that exist. One that stays, with `waiting`, is what holds everything up.
    pub holding: u64,
    /// Objects that were retired and are not being destroyed yet.
    pub unfreed: u64,
    /// Whether a grace period waits for readers.
    pub waiting: bool,
    /// Grace periods that have ended.
    pub grace_periods: u64,
}
