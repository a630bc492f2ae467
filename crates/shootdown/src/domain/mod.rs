//! Sections of a domain: readers that hold nothing of their own, and what waits for them.
//!
//! | file | its one idea |
//! | --- | --- |
//! | `stripe` | what a domain has in each stripe, and the sections that touch it |
//! | `entering` | how readers come in |
//! | `guard` | what a reader holds |
//! | `retiring` | how objects go, and who waits for that |
//! | `inside` | debug builds: who waits for its own guard is told so |
//! | `grace` | when what was retired may be freed, and why |
//! | `retired` | destructors |
//! | `pace` | how much is retired before a grace period begins |
//! | `checker` | every state of small domains, and mutants that are found |
//! | `reclaimer` | a thread that does it, on request |

#[cfg(test)]
mod checker;
mod entering;
mod grace;
mod guard;
#[cfg(debug_assertions)]
mod inside;
mod pace;
mod reclaimer;
mod retired;
mod retiring;
mod stripe;

use core::fmt;
use core::panic::RefUnwindSafe;
use core::sync::atomic::{AtomicU64, Ordering};

use percid::{ArenaError, Domain, Part, Process, Room, Scope};

pub(crate) use grace::sections;
pub(crate) use guard::Belonging;
pub use guard::Guard;
pub use reclaimer::Reclaimer;

use crate::fork_lock::ForkLock;
use grace::Grace;
use pace::Pace;
use retired::{Retired, destroy_all};
use stripe::{Chosen, FIRST, WORDS};

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
/// `enter` is one section: four loads and two plain stores, no read-modify-write and no
/// fence. Leaving is one store. A cid has eight seats; a reader that finds them taken, by
/// guards that are held across waits, counts itself instead, which is two
/// read-modify-writes and a fence. Neither depends on the number of threads or tasks.
///
/// `retire_with` is a full fence and one section; what an [`Atomic`](crate::Atomic) replaces
/// has had its fence on x86. Each batch costs a grace period: one
/// fence of the kernel ([`Barriers`](crate::Barriers)), and a look at sixteen words for each
/// active cid. The batch adapts: one object at a time while they are rare, a thousand while
/// they are many.
///
/// Memory: a domain has 32 KiB of address space in the stripe of each active cid, touched
/// as far as batches get; and two words for each object that waits.
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
pub struct ReclaimDomain<S: Scope = Process> {
    /// What sections load where the kernel keeps the ids.
    part: Part,
    /// What they load elsewhere: the phase, or 0 while there may be none.
    chosen: Chosen,
    /// What counted readers load.
    phase: AtomicU64,
    /// Grace periods that have begun, and that have ended.
    begun: AtomicU64,
    ended: AtomicU64,
    pace: Pace,
    room: Room<S>,
    /// Counts of readers for whom there is no memory.
    crowd: [AtomicU64; 2],
    grace: ForkLock<Grace>,
    /// What was retired where no bag took it.
    late: ForkLock<Vec<Retired>>,
    #[cfg(debug_assertions)]
    number: inside::Number,
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
}

impl ReclaimDomain<Domain> {
    /// A domain whose readers sit by the ids of a [`percid::Domain`], which it keeps alive.
    ///
    /// What it has in stripes then grows with the threads of that domain, however many there
    /// are beside, and where the kernel keeps no ids it has sections nevertheless. Its
    /// pointers are [`Bound`](crate::Bound) ones.
    ///
    /// ```
    /// use percid::{Bound, Domain};
    /// use percid_shootdown::{self as shootdown, ReclaimDomain};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Domain::builder().bound(Bound::Strict).build()?;
    /// let routes = ReclaimDomain::in_domain(&pool)?;
    /// let table = shootdown::Bound::new(&routes, vec![1, 2]);
    /// std::thread::scope(|scope| {
    ///     let worker = || {
    ///         let _joined = pool.join();
    ///         let guard = routes.enter();
    ///         table.load(&guard).map_or(0, Vec::len)
    ///     };
    ///     let workers = [scope.spawn(worker), scope.spawn(worker)];
    ///     table.replace(Some(vec![1, 2, 3]));
    ///     for worker in workers {
    ///         assert!(worker.join().is_ok_and(|found| found == 2 || found == 3));
    ///     }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cost
    ///
    /// Entering loads four words more than by the process's ids; the eight seats of a cid
    /// are those of both phases. Of the 1 MiB that each stripe of a domain has, it takes 32
    /// KiB, for as long as it lives.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or all words of the domain are in use.
    pub fn in_domain(domain: &Domain) -> Result<ReclaimDomain<Domain>, ArenaError> {
        Ok(ReclaimDomain::with_room(Room::in_domain(domain, WORDS)?))
    }
}

impl<S: Scope> ReclaimDomain<S> {
    const fn with_room(room: Room<S>) -> ReclaimDomain<S> {
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
            #[cfg(debug_assertions)]
            number: inside::Number::new(),
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
impl<S: Scope> RefUnwindSafe for ReclaimDomain<S> {}

impl Default for ReclaimDomain {
    fn default() -> ReclaimDomain {
        ReclaimDomain::new()
    }
}

/// Destroys what waits: nobody can hold a guard any more.
impl<S: Scope> Drop for ReclaimDomain<S> {
    fn drop(&mut self) {
        #[cfg(debug_assertions)]
        inside::forget(&self.number);
        loop {
            let mut all = self.take_all();
            if all.is_empty() {
                break;
            }
            // SAFETY: guards borrow the domain, and those that were forgotten reach nothing.
            unsafe { destroy_all(&mut all) };
        }
    }
}

impl<S: Scope> fmt::Debug for ReclaimDomain<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReclaimDomain").field(&self.stats()).finish()
    }
}

/// What a domain is at, at this moment.
///
/// ```
/// use percid_shootdown::ReclaimDomain;
///
/// let domain = ReclaimDomain::new();
/// let guard = domain.enter();
/// assert_eq!(domain.stats().holding, 1);
/// drop(guard);
/// domain.synchronize();
/// let stats = domain.stats();
/// assert_eq!((stats.holding, stats.unfreed, stats.waiting), (0, 0, false));
/// assert!(stats.grace_periods > 0);
/// ```
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
