//! Whose memory is open for the ids that slots hold.
//!
//! # Algorithm
//!
//! A domain has one limit, and several crates may have stripes under it. An id is put in a
//! slot once its stripe is open in all of them.
//!
//! ```text
//! attaches                          has claimed an id
//!   places[i] = memory                limit.announce(id + 1)
//!   fence (SeqCst)                    fence (SeqCst, in `announce`)
//!   memory.open(limit.announced())    every memory that is there: open(id + 1)
//!                                     limit.publish(id + 1), slot = id
//! ```
//!
//! One of the two sees the other (Dekker), and does the other's work too; opening
//! twice is harmless. Structures are handed out after `attach` has returned. Nobody
//! waits, so both may run in a signal handler.

use alloc::sync::Arc;
use core::any::Any;
use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use super::inner::Inner;

/// Memory in stripes, of which those with an id below the domain's limit are touched
/// by sections.
pub trait Stripes: Any + Send + Sync {
    /// Opens the stripes of all ids below `to`; those that are open stay so. Called
    /// from slow paths, also in signal handlers, and by several threads at once.
    ///
    /// # Errors
    ///
    /// The system's error number. The ids stay above the limit then.
    fn open(&self, to: u32) -> Result<(), i32>;

    /// Ids below this have an open stripe.
    fn opened(&self) -> u32;
}

/// There is no place left for one more memory under a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachError {
    /// All places are taken.
    Full,
    /// Its stripes could not be opened: the system's error number.
    NoMemory(i32),
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttachError::Full => write!(f, "a domain has room for {PLACES} memories only"),
            AttachError::NoMemory(errno) => write!(
                f,
                "the stripes of ids in use could not be opened (error {errno})"
            ),
        }
    }
}

impl core::error::Error for AttachError {}

/// Memories that one domain has room for: one for each crate that keeps stripes.
const PLACES: usize = 4;

const FREE: u32 = 0;
const CLAIMED: u32 = 1;
const TAKEN: u32 = 2;
/// It could not be opened, and nobody asks it any more.
const WITHDRAWN: u32 = 3;
/// Somebody else than who attached it uses it: it is not withdrawn any more.
const KEPT: u32 = 4;

/// The error of a memory that was withdrawn: `ENOMEM`, the same everywhere.
const NO_MEMORY: i32 = 12;

/// A memory of a domain: its own, or the program's.
pub(crate) enum Memory {
    Static(&'static dyn Stripes),
    Own(Arc<dyn Stripes>),
}

impl Memory {
    fn get(&self) -> &dyn Stripes {
        match self {
            Memory::Static(stripes) => *stripes,
            Memory::Own(stripes) => &**stripes,
        }
    }
}

pub(super) struct Place {
    state: AtomicU32,
    memory: UnsafeCell<Option<Memory>>,
}

/// The memories of a domain. None ever leaves.
pub(super) struct Attached([Place; PLACES]);

// SAFETY: a memory is written by who claimed its place, before the place is taken,
// and only read afterwards.
unsafe impl Sync for Attached {}
// SAFETY: memories are Send.
unsafe impl Send for Attached {}

impl Attached {
    pub(super) const fn new() -> Attached {
        Attached(
            [const {
                Place {
                    state: AtomicU32::new(FREE),
                    memory: UnsafeCell::new(None),
                }
            }; PLACES],
        )
    }

    /// Puts a memory in a place, and returns that.
    ///
    /// # Errors
    ///
    /// The memory, if there is no place.
    // Ordering: Release pairs with the Acquire of `all`; the fence is the Dekker's.
    pub(super) fn attach(&self, memory: Memory) -> Result<&Place, Memory> {
        for place in &self.0 {
            let claimed =
                place
                    .state
                    .compare_exchange(FREE, CLAIMED, Ordering::Relaxed, Ordering::Relaxed);
            if claimed.is_ok() {
                // SAFETY: the place is ours until it is taken, and nobody reads it.
                unsafe { *place.memory.get() = Some(memory) };
                place.state.store(TAKEN, Ordering::Release);
                fence(Ordering::SeqCst);
                return Ok(place);
            }
        }
        Err(memory)
    }

    /// The place of a memory that is attached. Memories of no size may share an address.
    fn place_of(&self, memory: &dyn Stripes) -> Option<&Place> {
        let kind = |memory: &dyn Stripes| (memory as &dyn Any).type_id();
        self.0.iter().find(|place| {
            place.get().is_some_and(|there| {
                core::ptr::addr_eq(there, memory) && kind(there) == kind(memory)
            })
        })
    }

    /// Has a memory stay; false if it was withdrawn.
    pub(super) fn keep(&self, memory: &dyn Stripes) -> bool {
        self.place_of(memory)
            .is_some_and(|place| match place.exchange(TAKEN, KEPT) {
                Ok(_) => true,
                Err(now) => now == KEPT,
            })
    }

    /// Every memory.
    pub(super) fn all(&self) -> impl Iterator<Item = &dyn Stripes> {
        self.0.iter().filter_map(Place::get)
    }
}

impl Place {
    /// What is attached here.
    // Ordering: Acquire pairs with the Release of `attach`.
    fn get(&self) -> Option<&dyn Stripes> {
        if !matches!(self.state.load(Ordering::Acquire), TAKEN | KEPT) {
            return None;
        }
        // SAFETY: taken, so it was written before and is never written again.
        let memory = unsafe { &*self.memory.get() };
        memory.as_ref().map(Memory::get)
    }

    /// Asks the memory no more, which could not open what is needed, unless somebody keeps
    /// it. The place is lost.
    // Of this and `keep`, one exchange comes first.
    fn withdraw(&self) {
        let _ = self.exchange(TAKEN, WITHDRAWN);
    }

    fn exchange(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
    }
}

impl Inner {
    /// Opens the stripes of an id, and of all below it, in every memory; false if the
    /// system refuses.
    pub(super) fn open(&self, cid: u32) -> bool {
        if cid < self.limit.get() {
            return true;
        }
        let to = cid + 1;
        self.limit.announce(to);
        let opened = self.attached.all().all(|memory| memory.open(to).is_ok());
        if opened {
            self.limit.publish(to);
        }
        opened
    }

    /// Opens a memory that this thread has found attached, and has it stay.
    // Ordering: the fence is that of one who attaches: of him and whoever opens an id, one
    // sees the other, and this thread has seen the memory in its place.
    pub(crate) fn keep(&self, memory: &dyn Stripes) -> Result<(), AttachError> {
        fence(Ordering::SeqCst);
        memory
            .open(self.limit.announced())
            .map_err(AttachError::NoMemory)?;
        if self.attached.keep(memory) {
            Ok(())
        } else {
            Err(AttachError::NoMemory(NO_MEMORY))
        }
    }

    /// The most stripes that are open in any memory.
    pub(crate) fn opened(&self) -> u32 {
        self.attached.all().map(Stripes::opened).max().unwrap_or(0)
    }

    /// Puts memory under the domain's limit.
    pub(crate) fn attach(&self, memory: Memory) -> Result<(), AttachError> {
        let place = self
            .attached
            .attach(memory)
            .map_err(|_| AttachError::Full)?;
        let memory = place.get().expect("only this call withdraws it");
        memory.open(self.limit.announced()).map_err(|os_error| {
            // Where others have opened it meanwhile they use it: it stays.
            place.withdraw();
            AttachError::NoMemory(os_error)
        })
    }

    /// The first memory that `which` wants.
    pub(crate) fn attached<T>(&self, which: impl Fn(&dyn Stripes) -> Option<&T>) -> Option<&T> {
        self.attached.all().find_map(which)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Opened(AtomicU32);

    impl Stripes for Opened {
        fn open(&self, to: u32) -> Result<(), i32> {
            self.0.fetch_max(to, Ordering::Relaxed);
            Ok(())
        }

        fn opened(&self) -> u32 {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn there_is_room_for_some() {
        let attached = Attached::new();
        for number in 0..PLACES {
            let memory = Memory::Own(Arc::new(Opened(AtomicU32::new(0))));
            assert!(attached.attach(memory).is_ok());
            assert_eq!(attached.all().count(), number + 1);
        }
        static LATE: Opened = Opened(AtomicU32::new(0));
        assert!(attached.attach(Memory::Static(&LATE)).is_err());
        attached.0[0].withdraw();
        assert_eq!(attached.all().count(), PLACES - 1);
        assert!(attached.all().all(|stripes| stripes.open(3).is_ok()));
        assert_eq!(LATE.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_somebody_keeps_is_not_withdrawn() {
        let attached = Attached::new();
        static KEPT: Opened = Opened(AtomicU32::new(0));
        static ALONE: Opened = Opened(AtomicU32::new(1));
        let place = |memory| attached.attach(memory).unwrap_or_else(|_| panic!("full"));
        let kept = place(Memory::Static(&KEPT));
        assert!(attached.keep(&KEPT) && attached.keep(&KEPT));
        kept.withdraw();
        assert_eq!(attached.all().count(), 1);
        place(Memory::Static(&ALONE)).withdraw();
        assert!(!attached.keep(&ALONE));
        assert_eq!(attached.all().count(), 1);
    }

    struct Empty<const WHICH: usize>;

    impl<const WHICH: usize> Stripes for Empty<WHICH> {
        fn open(&self, _to: u32) -> Result<(), i32> {
            Ok(())
        }

        fn opened(&self) -> u32 {
            0
        }
    }

    /// Memories of no size may all be at one address.
    #[test]
    fn memories_at_one_address_are_told_apart() {
        let (one, two): (&Empty<1>, &Empty<2>) =
            (Box::leak(Box::new(Empty)), Box::leak(Box::new(Empty)));
        assert!(core::ptr::addr_eq(one, two));
        let attached = Attached::new();
        for memory in [Memory::Static(one), Memory::Static(two)] {
            assert!(attached.attach(memory).is_ok());
        }
        assert!(attached.keep(two));
        attached.0.iter().for_each(Place::withdraw);
        let left: Vec<_> = attached
            .all()
            .map(|it| (it as &dyn Any).type_id())
            .collect();
        assert_eq!(left, [two.type_id()], "the other one was kept");
    }
}
