//! The process's arena: made at the first use, kept to the end.
//!
//! Its cids are the kernel's, or, where the kernel keeps none, those of the process's
//! own domain. One of the two for the life of the process: the same stripes.

use core::sync::atomic::{AtomicU32, Ordering};

use percid_cid::domain::{Admission, Attempts, Stripes};
use percid_cid::{Domain, Source, backend};
use percid_rseq::section::MmCid;
use percid_rseq::{Refusal, enter_thread, section, thread_ids};

use super::frontier::Kind;
use super::layout::{Layout, STRIPE_SHIFT};
use super::operation::Operation;
use super::shared::{Arena, ArenaStats};
use super::standby;

static ARENA: Arena<STRIPE_SHIFT> = Arena::new(true);

/// The process's arena.
#[inline(always)]
pub(super) fn arena() -> &'static Arena<STRIPE_SHIFT> {
    &ARENA
}

/// Where sections find their stripe, if the kernel keeps ids.
#[inline(always)]
pub(super) fn index() -> MmCid<'static> {
    MmCid {
        limit: ARENA.limit(),
    }
}

/// Number of stripes of cids that are open.
pub(crate) fn limit() -> u32 {
    // Ordering: Acquire pairs with the Release of whoever opened them.
    ARENA.limit().load(Ordering::Acquire)
}

/// Runs an operation on the stripe of the current cid, once it has one.
///
/// # Errors
///
/// The operation's own answer; or that it has to be done on the fallback.
///
/// # Safety
///
/// The operation's contract, for the words at `word`, which are allocated.
pub(super) unsafe fn run<O: Operation>(
    layout: Layout<STRIPE_SHIFT>,
    word: u32,
    operation: &O,
) -> Result<O::Output, Refusal> {
    match backend().source {
        // SAFETY: stripes below the limit are open up to the word and are never closed;
        // the rest is the caller's contract.
        Source::MmCid => by_mm_cid(layout, || unsafe {
            operation.run::<_, STRIPE_SHIFT>(index(), layout.first(word))
        }),
        Source::Table => {
            let domain = Domain::process();
            if !is_attached(&domain) {
                return Err(Refusal::BeyondLimit);
            }
            // SAFETY: as above; the domain opens a stripe before its id is in a slot.
            admitted(&domain, |index| unsafe {
                operation.run::<_, STRIPE_SHIFT>(index, layout.first(word))
            })
        }
        _ => Err(Refusal::Unsupported),
    }
}

fn by_mm_cid<T>(
    layout: Layout<STRIPE_SHIFT>,
    mut operation: impl FnMut() -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let mut refused = Refusal::Aborted;
    for _ in 0..section::ATTEMPTS {
        let refusal = match operation() {
            Ok(done) => return Ok(done),
            Err(refusal) => refusal,
        };
        refused = refusal;
        let go_on = match refusal {
            Refusal::Aborted => true,
            Refusal::NotRegistered => enter_thread().is_ok(),
            Refusal::BeyondLimit => activate_current_cid(layout),
            _ => false,
        };
        if !go_on {
            break;
        }
    }
    Err(refused)
}

fn activate_current_cid(layout: Layout<STRIPE_SHIFT>) -> bool {
    // Only a hint: the thread may have another id by now. Then the section
    // says so again.
    let cid = thread_ids().map_or(u32::MAX, |ids| ids.mm_cid);
    // So that the process's domain can tell how many there are.
    is_attached(&Domain::process());
    cid < layout.cids && ARENA.activate(layout, Kind::Cid, cid)
}

/// Runs an operation as a section of a domain, with an id and with its stripe open.
///
/// # Errors
///
/// The operation's own answer; or that it has to be done on the fallback.
pub(super) fn admitted<T>(
    domain: &Domain,
    mut operation: impl FnMut(section::Table<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let (mut attempts, mut aborts) = (Attempts::default(), 0);
    loop {
        let refusal = match domain.index().map(&mut operation) {
            Some(Ok(done)) => return Ok(done),
            Some(Err(refusal)) => refusal,
            // Nobody has used the domain yet.
            None => Refusal::BeyondLimit,
        };
        let go_on = match refusal {
            Refusal::Aborted => {
                domain.note_abort();
                aborts += 1;
                aborts < section::ATTEMPTS
            }
            Refusal::NotRegistered | Refusal::BeyondLimit => {
                domain.admit(&mut attempts) == Admission::Retry
            }
            _ => false,
        };
        if !go_on {
            return Err(refusal);
        }
    }
}

/// The process's arena under the limit of its domain.
struct ProcessStripes;

impl Stripes for ProcessStripes {
    fn open(&self, to: u32) -> Result<(), i32> {
        open(&ARENA, to)
    }

    fn opened(&self) -> u32 {
        ARENA.stats().cid_stripes
    }
}

/// The error of stripes that there is no room for: `ENOMEM`, the same everywhere.
const NO_MEMORY: i32 = 12;

/// Opens the stripes of the ids below `to` of an arena that a domain admits to.
pub(super) fn open<const SHIFT: u32>(arena: &Arena<SHIFT>, to: u32) -> Result<(), i32> {
    let (Some(layout), Some(highest)) = (arena.layout(), to.checked_sub(1)) else {
        return Ok(());
    };
    let is_open = to <= arena.stats().cid_stripes
        || highest < layout.cids && arena.activate(layout, Kind::Cid, highest);
    if is_open { Ok(()) } else { Err(NO_MEMORY) }
}

/// Puts the arena under the limit of the process's domain, once. Whoever comes while
/// another thread does it is told that it is not done yet.
fn is_attached(domain: &Domain) -> bool {
    const NOT_YET: u32 = 0;
    const BEGUN: u32 = 1;
    const DONE: u32 = 2;
    static ATTACHED: AtomicU32 = AtomicU32::new(NOT_YET);
    // Ordering: Acquire and Release: whoever sees it attached runs sections under a
    // limit that opens the arena's stripes.
    if ATTACHED.load(Ordering::Acquire) == DONE {
        return true;
    }
    let begun = ATTACHED.compare_exchange(NOT_YET, BEGUN, Ordering::Acquire, Ordering::Relaxed);
    if begun.is_err() {
        return false;
    }
    let attached = domain.attach_static(&ProcessStripes).is_ok();
    ATTACHED.store(if attached { DONE } else { NOT_YET }, Ordering::Release);
    attached
}

/// How large the process's arena is at this moment.
///
/// ```
/// let counter = percid::Counter::new();
/// counter.inc();
/// assert!(percid::arena_stats().words + percid::arena_stats().standby_words >= 1);
/// ```
#[must_use]
pub fn arena_stats() -> ArenaStats {
    ArenaStats {
        standby_words: standby::used(),
        ..ARENA.stats()
    }
}
