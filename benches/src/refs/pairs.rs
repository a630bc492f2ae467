//! Getting and putting a reference to one object.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use percid::{Owner, PercidArc, Ref};

use crate::Error;
use crate::error::expect;
use crate::suite::{Done, Timed, Workload};

/// An object that is referred to.
pub(super) trait Pair: Sized + Sync + 'static {
    /// As in records.
    const NAME: &'static str;

    /// An object with one reference.
    fn new() -> Self;

    /// One reference more, and one less.
    fn pair(&self);

    /// References that are left, when all threads have ended: one.
    fn left(&self) -> u64;
}

/// The implementation for the case `get_put`.
pub(super) const fn of<P: Pair>() -> Timed {
    Timed {
        name: P::NAME,
        make: |_| Ok(Box::new(Pairs(P::new()))),
    }
}

struct Pairs<P>(P);

impl<P: Pair> Workload for Pairs<P> {
    fn begin(&self) {}

    fn run(&self, _: usize, rounds: u64) {
        let pair = || {
            self.0.pair();
            compiler_fence(Ordering::SeqCst);
        };
        for _ in 0..rounds {
            pair();
            pair();
            pair();
            pair();
            pair();
            pair();
            pair();
            pair();
        }
    }

    fn check(&self, _: Done) -> Result<(), Error> {
        expect(P::NAME, self.0.left(), 1)
    }
}

static RELEASES: AtomicU64 = AtomicU64::new(0);

fn released() {
    RELEASES.fetch_add(1, Ordering::Relaxed);
}

/// References that a count has: it is ended, put until it is released, and begun again.
fn references(count: &Ref) -> u64 {
    let before = RELEASES.load(Ordering::Relaxed);
    let mut references = 0;
    if count.kill().is_ok() {
        references += 1;
    }
    while RELEASES.load(Ordering::Relaxed) == before && !count.is_zero() {
        count.put();
        references += 1;
    }
    if count.reinit().is_err() {
        return 0;
    }
    references
}

pub(super) struct ByCid(Ref);

impl Pair for ByCid {
    const NAME: &'static str = "percid";

    fn new() -> ByCid {
        ByCid(Ref::new(released))
    }

    #[inline(always)]
    fn pair(&self) {
        self.0.get();
        compiler_fence(Ordering::SeqCst);
        self.0.put();
    }

    fn left(&self) -> u64 {
        references(&self.0)
    }
}

pub(super) struct OnOneWord(Ref);

impl Pair for OnOneWord {
    const NAME: &'static str = "percid:atomic";

    fn new() -> OnOneWord {
        let count: Ref = Ref::new(released);
        // A count that was never used needs no fence, so this is not refused.
        let _ = count.switch_to_atomic();
        OnOneWord(count)
    }

    #[inline(always)]
    fn pair(&self) {
        self.0.get();
        self.0.put();
    }

    fn left(&self) -> u64 {
        references(&self.0)
    }
}

pub(super) struct ByPercidArc {
    /// Keeps the object live.
    owner: Owner<Tracked>,
    one: PercidArc<Tracked>,
}

/// Counts how often the object goes: never, here.
struct Tracked(AtomicU64);

impl Pair for ByPercidArc {
    const NAME: &'static str = "percid:arc";

    fn new() -> ByPercidArc {
        let owner = Owner::new(Tracked(AtomicU64::new(1)));
        ByPercidArc {
            one: owner.share(),
            owner,
        }
    }

    #[inline(always)]
    fn pair(&self) {
        drop(self.one.clone());
    }

    fn left(&self) -> u64 {
        self.owner.0.load(Ordering::Relaxed)
    }
}

pub(super) struct ByArc(Arc<u64>);

impl Pair for ByArc {
    const NAME: &'static str = "arc";

    fn new() -> ByArc {
        ByArc(Arc::new(0))
    }

    #[inline(always)]
    fn pair(&self) {
        drop(Arc::clone(&self.0));
    }

    fn left(&self) -> u64 {
        Arc::strong_count(&self.0) as u64
    }
}

thread_local! {
    static CELL: Cell<u64> = const { Cell::new(1) };
}

pub(super) struct OnThread;

impl Pair for OnThread {
    const NAME: &'static str = "thread_local";

    fn new() -> OnThread {
        OnThread
    }

    #[inline(always)]
    fn pair(&self) {
        CELL.with(|cell| {
            cell.set(cell.get().wrapping_add(1));
            compiler_fence(Ordering::SeqCst);
            cell.set(cell.get().wrapping_sub(1));
        });
    }

    fn left(&self) -> u64 {
        CELL.get()
    }
}
