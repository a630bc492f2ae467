//! What a domain is inside: its slots, its lists, and the lock of its shootdowns.

use core::cell::{Cell, UnsafeCell};
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use percid::{ArenaError, Source, backend};
use percid_rseq::membarrier;

use super::object::{Header, Remains};
use super::policy::{Counts, Policy};
use super::protocol::{Answer, Leave, NONE, Object, Outcome, Request, Shared, Slot, Tend, drive};
use super::slots::{ACTIVE, DYING, LINK, POINTER, Slots, WAYS};
use crate::Barriers;
use crate::generation::generation;

/// Memory of dead objects that is kept poisoned, if objects are checked.
const QUARANTINE: usize = 64;

/// A domain of lazy references.
pub(super) struct Inner {
    pub(super) slots: Slots,
    pub(super) policy: Policy,
    /// Whether objects are cached at all: sections and fences are to be had.
    pub(super) caches: bool,
    pub(super) counts: Counts,
    /// The process whose thread holds the lock, by its generation; 0 is nobody.
    lock: AtomicU32,
    working: UnsafeCell<Working>,
    /// Objects without counted references, and how many; objects to drop; slots to leave.
    dying: List,
    waiting: AtomicI64,
    dead: List,
    orphans: List,
    /// The next cell's way.
    next_way: AtomicUsize,
    /// Handles, which cells and objects are not.
    pub(super) handles: AtomicUsize,
    quarantine: Mutex<VecDeque<Remains>>,
}

/// What the owner of the lock works on.
#[derive(Default)]
struct Working {
    batch: u64,
    orphans: u64,
    marks: Vec<(Slot, Object)>,
    /// Whether the batch has had its fence.
    fenced: bool,
}

// SAFETY: `working` is used by the owner of the lock only; the rest is for all threads.
unsafe impl Sync for Inner {}
// SAFETY: as above; it belongs to no thread.
unsafe impl Send for Inner {}

/// A list by a link in what is on it. It is pushed to by all, and taken as a whole.
#[derive(Default)]
struct List(AtomicU64);

impl List {
    // Ordering: SeqCst pairs with the lock: see `Tend`. Release for what is pushed.
    fn push(&self, item: u64, link: &AtomicU64) {
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            link.store(head, Ordering::Relaxed);
            let pushed =
                self.0
                    .compare_exchange_weak(head, item, Ordering::SeqCst, Ordering::Relaxed);
            match pushed {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    // Ordering: SeqCst, as `push`; Acquire for what was pushed.
    fn take(&self) -> u64 {
        self.0.swap(NONE, Ordering::SeqCst)
    }

    fn is_empty(&self) -> bool {
        self.0.load(Ordering::SeqCst) == NONE
    }
}

std::thread_local! {
    /// The domain whose destructors this thread runs: what they give up is seen to when
    /// they have ended, however long the chain is.
    static RUNNING: Cell<*const Inner> = const { Cell::new(core::ptr::null()) };
    /// Handlers that this thread is in: nothing is run there.
    static HANDLERS: Cell<u32> = const { Cell::new(0) };
}

/// Runs `f` as in a signal handler: what it gives up is put on a list, and nothing is
/// dropped, until somebody does something in the domain outside.
pub(super) fn in_handler<R>(f: impl FnOnce() -> R) -> R {
    struct Leaves;
    impl Drop for Leaves {
        fn drop(&mut self) {
            HANDLERS.set(HANDLERS.get() - 1);
        }
    }
    HANDLERS.set(HANDLERS.get() + 1);
    let _leaves = Leaves;
    f()
}

impl Inner {
    pub(super) fn new(policy: Policy) -> Result<Arc<Inner>, ArenaError> {
        let sections = !matches!(backend().source, Source::Thread);
        Ok(Arc::new(Inner {
            slots: Slots::new()?,
            policy,
            // Registers for the fence, too, before anybody waits for one.
            caches: sections && membarrier::fence().is_ok(),
            counts: Counts::default(),
            lock: AtomicU32::new(0),
            working: UnsafeCell::default(),
            dying: List::default(),
            waiting: AtomicI64::new(0),
            dead: List::default(),
            orphans: List::default(),
            next_way: AtomicUsize::new(0),
            handles: AtomicUsize::new(1),
            quarantine: Mutex::default(),
        }))
    }

    /// The way that the next cell uses first.
    pub(super) fn next_way(&self) -> usize {
        self.next_way.fetch_add(1, Ordering::Relaxed) % WAYS
    }

    /// The last counted reference of an object is gone.
    #[cold]
    pub(super) fn condemn(&self, object: &Header) {
        if object.was_never_cached() {
            self.counts.never_cached.inc();
            // No slot has it, so no shootdown has, and its own mark is the only one.
            let last = object.pending.fetch_sub(1, Ordering::AcqRel) == 1;
            debug_assert!(last, "a mark on an object that was never cached");
            self.dead.push(object.name().0, &object.next);
        } else {
            self.push_dying(object);
        }
        self.tend(false);
    }

    fn push_dying(&self, object: &Header) {
        self.dying.push(object.name().0, &object.next);
        // After the push, so that nobody sees more than there are and waits for them.
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    /// Leaves a slot that is marked, or whose thread can run no section.
    ///
    /// # Safety
    ///
    /// The caller holds the slot, which holds `object`.
    #[cold]
    pub(super) unsafe fn leave_slow(&self, slot: Slot, object: Object, mut empties: bool) {
        loop {
            let leave = Leave::new(slot, object, false);
            let leave = if empties { leave.emptying() } else { leave };
            if empties {
                self.counts.saved_by_switch_away.inc();
            }
            let outcome = drive(
                leave,
                &mut Real {
                    inner: self,
                    force: false,
                },
            );
            if outcome == Outcome::Broken {
                corrupt("a slot that is held is taken away");
            }
            // An emptied slot holds nothing: it is left as such.
            empties = false;
            if outcome == Outcome::Left {
                break;
            }
            // SAFETY: still the caller's.
            match unsafe { self.slots.leave(slot) } {
                Ok(()) => break,
                Err(percid_rseq::Refusal::Mismatch) => {}
                Err(_) => {
                    self.counts.orphaned.inc();
                    self.orphans.push(slot.0, self.slots.word(slot, LINK));
                    break;
                }
            }
        }
        self.tend(false);
    }

    /// Does what there is to do, if nobody else does: shootdowns that are due, or, by
    /// `force`, all; then the destructors.
    pub(super) fn tend(&self, force: bool) {
        if HANDLERS.get() != 0 || core::ptr::eq(RUNNING.get(), self) {
            return;
        }
        if self.dead.is_empty() && !self.has_work(force) {
            return;
        }
        // What is freed may hold the last references to this.
        // SAFETY: always made by an Arc, which is alive for as long as `self` is borrowed.
        let _alive = unsafe {
            Arc::increment_strong_count(self);
            Arc::from_raw(self)
        };
        loop {
            let tend = Tend::new(self.policy.filter);
            let outcome = drive(tend, &mut Real { inner: self, force });
            let dropped = self.bury();
            if outcome == Outcome::Refused || !dropped && !self.has_work(force) {
                break;
            }
            // Somebody else has the lock, and looks again after giving it back.
            if !dropped && self.lock.load(Ordering::SeqCst) != 0 {
                break;
            }
        }
    }

    fn has_work(&self, force: bool) -> bool {
        let all = force || self.policy.batch == 1 || self.handles.load(Ordering::Relaxed) == 0;
        let due = if all {
            !self.dying.is_empty()
        } else {
            self.waiting.load(Ordering::SeqCst) >= self.policy.batch.into()
        };
        due || !self.orphans.is_empty()
    }

    /// Drops what is dead; whether there was anything.
    fn bury(&self) -> bool {
        /// Goes on where a destructor panicked: the others are for the next one.
        struct Rest<'a>(&'a Inner, u64, *const Inner);
        impl Drop for Rest<'_> {
            fn drop(&mut self) {
                while self.1 != NONE {
                    // SAFETY: on the list, so nobody else's, and alive.
                    let header = unsafe { Header::named(Object(self.1)) };
                    let next = header.next.load(Ordering::Relaxed);
                    self.0.dead.push(self.1, &header.next);
                    self.1 = next;
                }
                RUNNING.set(self.2);
            }
        }
        let first = self.dead.take();
        let mut rest = Rest(self, first, RUNNING.replace(self));
        while rest.1 != NONE {
            let object = Object(rest.1);
            // SAFETY: on the list, so nobody else's, and alive.
            rest.1 = unsafe { Header::named(object) }
                .next
                .load(Ordering::Relaxed);
            self.counts.freed.inc();
            // SAFETY: nobody reaches it any more: its counts are zero, and no slot has it.
            let (remains, _domain) = unsafe { Remains::of(object) };
            // If it panics its memory goes all the same.
            // SAFETY: once, for it is on no list any more.
            unsafe { remains.drop_value() };
            if self.policy.check {
                self.keep(remains);
            }
        }
        first != NONE
    }

    /// Poisons what is left of an object, and keeps it for a while.
    fn keep(&self, remains: Remains) {
        remains.poison();
        // In a child of `fork` somebody may hold it for ever.
        let Ok(mut kept) = self.quarantine.try_lock() else {
            return;
        };
        kept.push_back(remains);
        if kept.len() > QUARANTINE
            && let Some(oldest) = kept.pop_front()
            && !oldest.is_poisoned()
        {
            corrupt("a dead object was written to");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        debug_assert!(
            self.dying.is_empty() && self.dead.is_empty(),
            "objects are left"
        );
    }
}

/// Memory is corrupt: unwinding would make it worse.
#[cold]
fn corrupt(what: &str) -> ! {
    eprintln!("percid-shootdown: {what}");
    std::process::abort();
}

/// The requests, carried out in a domain.
pub(super) struct Real<'a> {
    pub(super) inner: &'a Inner,
    pub(super) force: bool,
}

impl Real<'_> {
    /// # Safety
    ///
    /// The caller has the lock.
    unsafe fn working(&mut self) -> &mut Working {
        // SAFETY: the caller has the lock, and this is borrowed from a procedure's driver
        // that makes one request at a time.
        unsafe { &mut *self.inner.working.get() }
    }

    fn try_lock(&mut self) -> bool {
        let me = generation();
        // Ordering: SeqCst, as `Tend` says; Acquire for `working`.
        let taken = self
            .inner
            .lock
            .compare_exchange(0, me, Ordering::SeqCst, Ordering::SeqCst);
        match taken {
            Ok(_) => true,
            Err(owner) if owner == me => false,
            Err(owner) => {
                // A child of `fork`: the owner is a thread of its parent. What it worked on
                // is leaked.
                let lock = &self.inner.lock;
                let taken = lock.compare_exchange(owner, me, Ordering::SeqCst, Ordering::SeqCst);
                if taken.is_ok() {
                    // SAFETY: locked. What was there may be half changed: it is not dropped.
                    unsafe { self.inner.working.get().write(Working::default()) };
                    self.inner.slots.lift_marks();
                }
                taken.is_ok()
            }
        }
    }

    fn batch(&mut self) {
        let first = self.inner.dying.take();
        let mut objects = 0_u32;
        let mut next = first;
        while next != NONE {
            objects += 1;
            // SAFETY: on the list: its own mark keeps it alive.
            next = unsafe { Header::named(Object(next)) }
                .next
                .load(Ordering::Relaxed);
        }
        self.inner
            .waiting
            .fetch_sub(objects.into(), Ordering::SeqCst);
        if objects > 0 {
            self.inner.counts.shootdowns.inc();
            self.inner.counts.saved_by_batch.add((objects - 1).into());
        }
        // SAFETY: locked.
        let working = unsafe { self.working() };
        working.batch = first;
        working.fenced = false;
    }
}

// SAFETY (of the objects named here): a procedure names only what its caller counts, what
// a mark, its own or the shootdown's, keeps alive, or what a slot that it holds has.
impl Shared for Real<'_> {
    fn perform(&mut self, request: Request) -> Answer {
        let inner = self.inner;
        let counts = &inner.counts;
        let word = |slot, word| {
            // Ordering: Acquire pairs with the Releases below, and with `leave`.
            Answer::Word(inner.slots.word(slot, word).load(Ordering::Acquire))
        };
        let store = |slot, word, value| {
            // Ordering: Release pairs with the Acquires above, and with those of `hit`.
            inner.slots.word(slot, word).store(value, Ordering::Release);
            Answer::Done
        };
        // SAFETY: see above.
        let header = |object| unsafe { Header::named(object) };
        match request {
            Request::Active(slot) => {
                let answer = word(slot, ACTIVE);
                if answer != Answer::Word(0) {
                    counts.left_to_holders.inc();
                }
                answer
            }
            Request::Dying(slot) => word(slot, DYING),
            Request::Pointer(slot) => word(slot, POINTER),
            Request::Holds(slot, object) => {
                counts.visits.inc();
                let holds = word(slot, POINTER) == Answer::Word(object.0);
                if !holds {
                    counts.saved_by_filter.inc();
                }
                Answer::Is(holds)
            }
            Request::SetPointer(slot, value) => store(slot, POINTER, value),
            Request::ClearDying(slot) => store(slot, DYING, NONE),
            Request::Idle(slot) => store(slot, ACTIVE, 0),
            Request::Exchange { slot, old, new } => {
                // Ordering: AcqRel: marks are set and resolved by these only, and who
                // resolves one sees what came before it.
                let exchanged = inner.slots.word(slot, DYING).compare_exchange(
                    old,
                    new,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                Answer::Is(exchanged.is_ok())
            }
            Request::SetBit(object, slot) => {
                inner.slots.set(header(object), slot);
                Answer::Done
            }
            Request::ClearBit(object, slot) => {
                if inner.slots.clear(header(object), slot) {
                    counts.saved_by_clear_bits.inc();
                }
                Answer::Done
            }
            Request::InMask(object, after) => {
                Answer::Slot(inner.slots.in_mask(header(object), after))
            }
            // Ordering: AcqRel, all counts: who sees the last one go sees all that was done
            // under the others.
            Request::GiveBack(object) => {
                Answer::Is(header(object).count.fetch_sub(1, Ordering::AcqRel) == 1)
            }
            Request::Raise(object) => {
                header(object).pending.fetch_add(1, Ordering::AcqRel);
                Answer::Done
            }
            Request::Lower(object) => {
                Answer::Is(header(object).pending.fetch_sub(1, Ordering::AcqRel) == 1)
            }
            Request::Condemn(object) => {
                inner.push_dying(header(object));
                Answer::Done
            }
            Request::Free(object) => {
                if inner.policy.check && inner.slots.lead_to(object) {
                    corrupt("a slot leads to an object that is freed");
                }
                inner.dead.push(object.0, &header(object).next);
                Answer::Done
            }
            Request::TryLock => Answer::Is(self.try_lock()),
            Request::Unlock => {
                // SAFETY: locked.
                let working = unsafe { self.working() };
                if core::mem::take(&mut working.batch) != NONE && !working.fenced {
                    counts.saved_barriers.inc();
                }
                // Ordering: SeqCst, as `Tend` says; Release for `working`.
                inner.lock.swap(0, Ordering::SeqCst);
                Answer::Done
            }
            Request::Orphan => {
                // SAFETY: locked.
                let working = unsafe { self.working() };
                if working.orphans == NONE {
                    working.orphans = inner.orphans.take();
                }
                let slot = Slot(working.orphans);
                Answer::Mark((slot.0 != NONE).then(|| {
                    working.orphans = inner.slots.word(slot, LINK).load(Ordering::Relaxed);
                    // Ordering: Relaxed: the slot's holder put it there, and pushed it here.
                    let own = inner.slots.word(slot, POINTER).load(Ordering::Relaxed);
                    (slot, Object(own))
                }))
            }
            Request::Batch => {
                self.batch();
                Answer::Done
            }
            Request::Postpone => {
                counts.refused.inc();
                // SAFETY: locked.
                let mut next = core::mem::take(&mut unsafe { self.working() }.batch);
                while next != NONE {
                    let object = header(Object(next));
                    next = object.next.load(Ordering::Relaxed);
                    inner.push_dying(object);
                }
                Answer::Done
            }
            Request::Note(slot, object) => {
                counts.marks.inc();
                // SAFETY: locked.
                unsafe { self.working() }.marks.push((slot, object));
                Answer::Done
            }
            // SAFETY: locked.
            Request::Noted => Answer::Mark(unsafe { self.working() }.marks.pop()),
            Request::Next(after) => {
                let next = match after {
                    // SAFETY: locked.
                    None => unsafe { self.working() }.batch,
                    Some(object) => header(object).next.load(Ordering::Relaxed),
                };
                Answer::Object((next != NONE).then_some(Object(next)))
            }
            Request::Fence => {
                counts.barriers.inc();
                // SAFETY: locked.
                unsafe { self.working() }.fenced = true;
                let barriers = Barriers::process();
                let point = barriers.point();
                Answer::Is(barriers.wait_for_one_that_started_after(point).is_ok())
            }
            Request::Orphans => Answer::Is(!inner.orphans.is_empty()),
            Request::Wait => {
                core::hint::spin_loop();
                Answer::Done
            }
            Request::Work => Answer::Is(inner.has_work(self.force)),
            Request::Done(_) => unreachable!("nothing to be done"),
        }
    }
}
