//! A domain as its users hold it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use percid_rseq::section;

use super::builder::{DomainBuilder, PERIOD};
use super::live::{Admission, AttachError, Config, DomainStats, Ids, Inner, Mark, Memory, Stripes};
use super::policy::Policy;
use super::protocol::Attempts;
use crate::backend::tables;
use crate::{Source, backend};

/// A set of structures that share one space of ids, narrower than the process.
///
/// The kernel's `mm_cid` counts the running threads of the *process*. A domain counts
/// those that use it: four threads of a pool in a process of four hundred get ids
/// below four, and structures in the domain have four stripes. Where the kernel keeps
/// no ids (Linux 5.10 to 6.2) the process itself is such a domain.
///
/// ```
/// use percid_cid::{Bound, Domain};
///
/// # fn main() -> Result<(), percid_cid::DomainError> {
/// let pool = Domain::builder().bound(Bound::Strict).build()?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| {
///             let _joined = pool.join();
///             // ... structures of the pool use ids below the number of joined threads ...
///         });
///     }
/// });
/// assert!(pool.stats().highest_id.is_none_or(|id| id < 4));
/// # Ok(())
/// # }
/// ```
///
/// Cloning gives another handle to the same domain, which goes with its last handle.
///
/// # Cost
///
/// A section by a domain's table is as long as one by `mm_cid`, but for the address of
/// the table, which a structure keeps beside its own. A CPU that
/// keeps its id pays a slow path once a period, when its slot was marked and it proves
/// its use. Moving an id costs a membarrier: 0.3 to 11 microseconds. The table takes the
/// pages of the CPUs that are used, at 8 bytes each, and one for itself.
///
/// # Fallback
///
/// Where sections, or fences of them, or memory that a child of `fork` finds wiped
/// (MADV_WIPEONFORK), are not to be had the [source](Domain::source) is the thread:
/// operations are single atomics on a stripe of the thread.
///
/// # Fork and signals
///
/// A child of `fork` finds every id free, and stripes as they were. Of those that had
/// joined only the surviving thread counts, from its first slow path there on. In a signal
/// handler everything works but making and joining a domain, which allocate; one that
/// interrupts a slow path does its operations on the fallback. A handler that forks must
/// return in the child before other threads of the child use the domain.
///
/// # Source
///
/// The kernel's `mm_cid` patches by M. Desnoyers (2023), with membarrier in the place
/// of the scheduler; see [`domain`](crate::domain).
#[derive(Clone)]
pub struct Domain(Handle);

#[derive(Clone)]
enum Handle {
    Process,
    Own(Arc<Inner>),
}

/// The process's domain. Its table is used where the kernel keeps no ids.
static PROCESS: Inner = Inner::new(
    1,
    Config {
        ids: Ids::Cpus,
        period: PERIOD.as_nanos() as u64,
        policy: Policy::COMBINED,
    },
);

impl Domain {
    /// The process's own domain.
    #[must_use]
    pub const fn process() -> Domain {
        Domain(Handle::Process)
    }

    /// Begins a domain of its own.
    #[must_use]
    pub fn builder() -> DomainBuilder {
        DomainBuilder::new()
    }

    pub(super) fn own(inner: Inner) -> Domain {
        Domain(Handle::Own(Arc::new(inner)))
    }

    fn inner(&self) -> &Inner {
        match &self.0 {
            Handle::Process => &PROCESS,
            Handle::Own(inner) => inner,
        }
    }

    /// Where sections of this domain find their id.
    #[must_use]
    pub fn source(&self) -> Source {
        match (&self.0, backend().source) {
            (Handle::Process, source) => source,
            (Handle::Own(_), Source::Thread) => Source::Thread,
            (Handle::Own(_), _) if !tables() => Source::Thread,
            (Handle::Own(_), _) => Source::Table,
        }
    }

    /// Counts the calling thread among those that are active in this domain, until
    /// what is returned is dropped.
    ///
    /// Under [`Bound::Strict`](crate::Bound::Strict) this is what the bound is made of;
    /// otherwise it changes nothing. A thread may join more than once.
    #[must_use = "the thread leaves when this is dropped"]
    pub fn join(&self) -> Joined {
        Joined {
            mark: self.inner().join(),
            domain: self.clone(),
            here: PhantomData,
        }
    }

    /// Number of ids below which stripes are open: the most that sections have used.
    #[must_use]
    pub fn limit(&self) -> u32 {
        match self.source() {
            Source::MmCid => self.inner().opened(),
            _ => self.inner().limit(),
        }
    }

    /// Number of ids that CPUs hold at this moment. 0 where the kernel keeps them, and
    /// does not tell.
    #[must_use]
    pub fn ids_in_use(&self) -> u32 {
        self.inner().ids_in_use()
    }

    /// The highest id that a CPU holds at this moment, as [`ids_in_use`](Domain::ids_in_use)
    /// counts them.
    #[must_use]
    pub fn highest_in_use(&self) -> Option<u32> {
        self.inner().tick();
        self.inner().highest_in_use()
    }

    /// Takes ids away from all CPUs that are not quick to prove their use. It is done
    /// once in a while anyway; this is for a moment when threads have just gone to
    /// sleep.
    ///
    /// Costs a fence, and a slow path for each CPU that is busy.
    pub fn compact(&self) {
        self.inner().compact();
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> DomainStats {
        self.inner().stats()
    }

    /// Whether both are handles to the same domain.
    #[must_use]
    pub fn is(&self, other: &Domain) -> bool {
        self.inner().number() == other.inner().number()
    }

    /// For who keeps stripes under this domain: where sections find their id. `None`
    /// before the first [`admit`](Domain::admit) of the process's domain.
    #[inline]
    #[must_use]
    pub fn index(&self) -> Option<section::Table<'_>> {
        self.inner().index()
    }

    /// As [`index`](Domain::index), for who keeps it beside a handle: so a section needs
    /// no way through the domain.
    ///
    /// # Safety
    ///
    /// A handle to this domain lives as long as `'a`.
    #[must_use]
    pub unsafe fn index_unbound<'a>(&self) -> Option<section::Table<'a>> {
        // SAFETY: the table goes with the last handle, which the caller keeps.
        unsafe { self.inner().index_unbound() }
    }

    /// For who keeps stripes: what to do after a section was refused because its
    /// thread was not registered, or its id was none or beyond the limit. Gets the
    /// CPU an id and opens stripes as needed.
    pub fn admit(&self, attempts: &mut Attempts) -> Admission {
        if self.source() == Source::Thread {
            return Admission::Fallback;
        }
        self.inner().admit(attempts)
    }

    /// For who keeps stripes: puts their memory under the domain's limit. It stays
    /// until the domain goes.
    ///
    /// # Errors
    ///
    /// See [`AttachError`].
    pub fn attach(&self, memory: Arc<dyn Stripes>) -> Result<(), AttachError> {
        self.inner().attach(Memory::Own(memory))
    }

    /// For who keeps stripes and has found [a memory](Domain::attached) that another thread
    /// has attached: opens it, if that thread has not yet, and has it stay.
    ///
    /// # Errors
    ///
    /// [`AttachError::NoMemory`], or that the other thread has met that and withdrawn it.
    pub fn keep(&self, memory: &dyn Stripes) -> Result<(), AttachError> {
        self.inner().keep(memory)
    }

    /// As [`attach`](Domain::attach), for memory that is the program's. May be called
    /// in a signal handler.
    ///
    /// # Errors
    ///
    /// See [`AttachError`].
    pub fn attach_static(&self, memory: &'static dyn Stripes) -> Result<(), AttachError> {
        self.inner().attach(Memory::Static(memory))
    }

    /// For who keeps stripes: the memory of this type that was attached first.
    #[must_use]
    pub fn attached<T: Stripes>(&self) -> Option<&T> {
        self.inner()
            .attached(|memory| (memory as &dyn core::any::Any).downcast_ref::<T>())
    }

    /// For who keeps stripes: a section was aborted and tried again.
    pub fn note_abort(&self) {
        self.inner().note_abort();
    }

    /// A chance for the periodic scan, from who reads all stripes.
    pub fn tick(&self) {
        self.inner().tick();
    }
}

impl Default for Domain {
    fn default() -> Domain {
        Domain::process()
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner().fmt(f)
    }
}

/// A thread's membership of a domain: from [`Domain::join`] until it is dropped, by the
/// thread that joined.
///
/// ```
/// use percid_cid::{Bound, Domain};
///
/// # fn main() -> Result<(), percid_cid::DomainError> {
/// let pool = Domain::builder().bound(Bound::Strict).build()?;
/// let member = pool.join();
/// assert_eq!(pool.stats().joined, 1);
/// drop(member);
/// assert_eq!(pool.stats().joined, 0);
/// # Ok(())
/// # }
/// ```
///
/// One that is never dropped counts for ever.
#[must_use = "the thread leaves when this is dropped"]
pub struct Joined {
    mark: NonNull<Mark>,
    domain: Domain,
    /// The membership is the thread's.
    here: PhantomData<*const ()>,
}

impl Drop for Joined {
    fn drop(&mut self) {
        // SAFETY: made by `join`; taken off by `leave`, on the same thread, and freed here.
        unsafe {
            self.domain.inner().leave(self.mark.as_ref());
            drop(Box::from_raw(self.mark.as_ptr()));
        }
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Joined").field(&self.domain).finish()
    }
}
