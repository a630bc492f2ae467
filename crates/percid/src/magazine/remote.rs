//! What one thread does to the magazines of all cids: take, stop, resize, count.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use percid_cid::fence;
use percid_rseq::membarrier::BarrierError;
use percid_rseq::portable::TOP;

use super::blocks::ITEMS;
use super::clock::{is_over, now};
use super::control::Holding;
use super::stripe::{
    BESIDE, CLOSING, FLUSHES, HEADER, Magazine, REFILLS, SEEN, SEEN_AT, SLOTS, STATE, STOPPED, Way,
    is_stopped,
};
use super::trade::keep_all;
use super::{Magazines, Source};
use crate::scope::Scope;

/// Why nothing was taken from other cids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemoteError {
    /// Another thread is doing such a thing, or the code that this handler interrupted is.
    Busy,
    /// There is no fence here, so nothing can be taken from under other threads' sections.
    NoFence(BarrierError),
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RemoteError::Busy => f.write_str("another thread changes these magazines now"),
            RemoteError::NoFence(why) => {
                write!(
                    f,
                    "other threads cannot be kept from their magazines: {why}"
                )
            }
        }
    }
}

impl core::error::Error for RemoteError {}

/// What was taken from magazines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Words that went to the depot.
    pub(crate) words: usize,
}

/// One cid's magazine, at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CidStats {
    /// The cid; `None` for the magazine of threads without sections.
    pub cid: Option<u32>,
    /// Objects that it holds.
    pub cached: u32,
    /// Objects that it may hold now.
    pub capacity: u32,
    /// Times that it was empty and got more.
    pub refills: u64,
    /// Times that it was full and gave some away.
    pub flushes: u64,
    /// Whether [`stop`](crate::RawPool::stop) keeps it closed.
    pub stopped: bool,
}

/// What becomes of a magazine whose words were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Open,
    Stopped,
}

impl<S: Scope> Magazines<S> {
    /// Takes the words of some magazines to the depot: all of those behind one fence.
    pub(crate) fn drain(
        &self,
        which: impl Fn(&CidStats) -> bool,
        source: &dyn Source,
    ) -> Result<Taken, RemoteError> {
        let held = self.control.try_hold().ok_or(RemoteError::Busy)?;
        self.take(&held, which, After::Open, source)
    }

    /// Takes the words of a cid's magazine and keeps it closed.
    pub(crate) fn stop(&self, cid: u32, source: &dyn Source) -> Result<Taken, RemoteError> {
        let held = self.control.try_hold().ok_or(RemoteError::Busy)?;
        self.take(&held, |it| it.cid == Some(cid), After::Stopped, source)
    }

    /// Lets a cid's magazine be opened again.
    pub(crate) fn start(&self, cid: u32) -> Result<(), RemoteError> {
        let _held = self.control.try_hold().ok_or(RemoteError::Busy)?;
        for it in self.magazines().filter(|it| it.cid == Some(cid)) {
            it.control(STATE).store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes the words of magazines that were not used for a while.
    pub(crate) fn drain_idle(
        &self,
        age: Duration,
        source: &dyn Source,
    ) -> Result<Taken, RemoteError> {
        let held = self.control.try_hold().ok_or(RemoteError::Busy)?;
        let (now, age) = (now(), u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        // Ordering: Relaxed. Only who holds control reads and writes these.
        for it in self.magazines() {
            let stamp = it.stamp();
            let differs = it.control(SEEN).swap(stamp, Ordering::Relaxed) != stamp;
            // The latter if the clock went back.
            if differs || it.control(SEEN_AT).load(Ordering::Relaxed) > now {
                it.control(SEEN_AT).store(now, Ordering::Relaxed);
            }
        }
        let idle = |it: &Magazine<'_>| {
            now.saturating_sub(it.control(SEEN_AT).load(Ordering::Relaxed)) >= age && it.held() > 0
        };
        self.take_those(&held, idle, After::Open, source)
    }

    /// The same for decay, whose next time this sets.
    pub(crate) fn sweep(&self, age: Duration, source: &dyn Source) -> Result<Taken, RemoteError> {
        let swept = self.drain_idle(age, source);
        // Who is at it may be at something else.
        if swept != Err(RemoteError::Busy) {
            self.swept_at.store(now(), Ordering::Relaxed);
        }
        swept
    }

    /// Whether it is time for [`sweep`](Self::sweep).
    pub(crate) fn is_due(&self, period: Duration) -> bool {
        is_over(&self.swept_at, period)
    }

    /// Changes what magazines may hold, up to what there is room for.
    pub(crate) fn resize(
        &self,
        least: u32,
        most: u32,
        source: &dyn Source,
    ) -> Result<(), RemoteError> {
        let held = self.control.try_hold().ok_or(RemoteError::Busy)?;
        let room = self.room.len() - BESIDE as u32;
        if room == 0 {
            return Ok(());
        }
        let most = most.clamp(1, room);
        self.most.store(most, Ordering::Relaxed);
        self.least.store(least.clamp(1, most), Ordering::Relaxed);
        // A gate below a length only says that there is no room, so it needs no fence.
        for it in self.magazines().filter(|it| it.cid.is_some()) {
            if it.gate().load(Ordering::Relaxed) > most {
                it.gate().store(most, Ordering::Release);
            }
        }
        self.take(&held, |it| it.cached > most, After::Open, source)
            .map(drop)
    }

    /// Every magazine, at this moment.
    pub(crate) fn cids(&self) -> impl Iterator<Item = CidStats> {
        self.magazines().map(stats)
    }

    /// What nobody has needed for a period is surplus: takes it out of the depot, up to so many
    /// blocks of it, and gives up to so many empty ones back. When there is none, a new period
    /// begins.
    pub(crate) fn sift_surplus(&self, period: Duration, blocks: usize, home: impl FnMut(u64)) {
        if self.depot.has_surplus(period) {
            self.depot.sift(blocks, home);
        }
        self.depot.turn();
        self.depot.retire_surplus(period, blocks);
    }

    /// Takes all out of the depot that is there now, a block at a time, so that the others can
    /// be had meanwhile.
    pub(crate) fn sift_all(&self, mut home: impl FnMut(u64)) {
        for _ in 0..2 {
            self.depot.sift(usize::MAX, &mut home);
            self.depot.turn();
        }
        self.depot.sift(usize::MAX, &mut home);
    }

    /// Gives the memory of blocks back that hold nothing.
    pub(crate) fn trim_blocks(&self) {
        self.depot.trim();
    }

    /// Any word, for who is the only user.
    pub(crate) fn pop_exclusive(&mut self) -> Option<u64> {
        for it in self.magazines() {
            let held = it.held();
            if let Some(left) = held.checked_sub(1) {
                let header = it.words[HEADER].load(Ordering::Relaxed);
                let emptier = header & !u64::from(u32::MAX) | u64::from(left);
                it.words[HEADER].store(emptier, Ordering::Relaxed);
                return Some(it.words[SLOTS + left as usize].load(Ordering::Relaxed));
            }
        }
        self.take_from_depot()
    }

    fn magazines(&self) -> impl Iterator<Item = Magazine<'_>> {
        self.room.stripes().map(Magazine::of)
    }

    fn take(
        &self,
        held: &Holding<'_>,
        which: impl Fn(&CidStats) -> bool,
        after: After,
        source: &dyn Source,
    ) -> Result<Taken, RemoteError> {
        self.take_those(held, |it| which(&stats(*it)), after, source)
    }

    /// The order of steps is the one that the module states.
    fn take_those(
        &self,
        _held: &Holding<'_>,
        which: impl Fn(&Magazine<'_>) -> bool,
        after: After,
        source: &dyn Source,
    ) -> Result<Taken, RemoteError> {
        let mut taken = Taken::default();
        let mut closed = false;
        for it in self.magazines() {
            let state = it.control(STATE).load(Ordering::Relaxed);
            // Those, too, that a holder was closing who is gone by a fork.
            if it.cid.is_some() && (state & CLOSING != 0 || which(&it)) {
                // Ordering: the fence below orders the gate before all that follows.
                let gate = it.gate().load(Ordering::Relaxed);
                let stop = if after == After::Stopped || is_stopped(state) {
                    STOPPED
                } else {
                    0
                };
                let reopen = u64::from(gate.max(state as u32));
                it.control(STATE)
                    .store(reopen | stop | CLOSING, Ordering::Relaxed);
                it.gate().store(0, Ordering::Relaxed);
                closed = true;
            } else if it.cid.is_none() && which(&it) {
                taken.words += self.take_by_thread(&it, source);
            }
        }
        let fenced = if closed { fence() } else { Ok(()) };
        for it in self.magazines().filter(|it| it.cid.is_some()) {
            let state = it.control(STATE).load(Ordering::Relaxed);
            if state & CLOSING == 0 {
                continue;
            }
            let mut gate = state as u32;
            if fenced.is_ok() {
                taken.words += self.take_closed(&it, source);
                // Who was robbed begins small.
                gate = (gate / 2).clamp(self.least(), self.most());
            }
            let stays = fenced.is_ok() && is_stopped(state);
            it.control(STATE)
                .store(if stays { STOPPED } else { 0 }, Ordering::Relaxed);
            if !stays {
                // Ordering: Release pairs with sections, which load the gate before the
                // length: who sees it open sees the length that was left.
                it.gate().store(gate, Ordering::Release);
            }
        }
        fenced.map(|()| taken).map_err(RemoteError::NoFence)
    }

    /// Takes what a magazine holds that is closed and fenced.
    fn take_closed(&self, it: &Magazine<'_>, source: &dyn Source) -> usize {
        let held = it.held() as usize;
        let mut left = held;
        while left > 0 {
            let count = left.min(ITEMS);
            left -= count;
            let mut words = [0; ITEMS];
            for (at, word) in words[..count].iter_mut().enumerate() {
                *word = it.words[SLOTS + left + at].load(Ordering::Relaxed);
            }
            // Before anybody can find them elsewhere: a child of fork may find one of the
            // two only, and must not find a word twice.
            it.len().store(left as u32, Ordering::Release);
            self.put_block(&words[..count], source);
        }
        held
    }

    fn take_by_thread(&self, it: &Magazine<'_>, source: &dyn Source) -> usize {
        let mut taken = 0;
        let way: Way<'_, S> = Way::Thread(*it);
        loop {
            let mut words = [0; ITEMS];
            // SAFETY: an array of so many.
            let popped = unsafe { way.pop_batch(words.as_mut_ptr(), ITEMS as u32) } as usize;
            self.put_block(&words[..popped], source);
            taken += popped;
            if popped < ITEMS {
                return taken;
            }
        }
    }

    /// Words to the depot, or to where they are kept when there is no memory for a block.
    fn put_block(&self, words: &[u64], source: &dyn Source) {
        match self.depot.take_empty() {
            Some(mut block) => {
                words.iter().for_each(|&word| _ = block.add(word));
                self.depot.give(block);
            }
            None => keep_all(words.iter().copied(), source),
        }
    }
}

fn stats(it: Magazine<'_>) -> CidStats {
    let [refills, flushes] = [REFILLS, FLUSHES].map(|word| load(it.control(word)));
    let capacity = match it.cid {
        Some(_) => it.gate().load(Ordering::Relaxed),
        None => ((load(&it.words[HEADER]) & !TOP) >> 32) as u32,
    };
    CidStats {
        cid: it.cid,
        cached: it.held(),
        capacity,
        refills,
        flushes,
        stopped: it.cid.is_some() && is_stopped(load(it.control(STATE))),
    }
}

fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    struct Nothing;

    impl Source for Nothing {
        fn fresh(&self, _: &mut [u64], _: bool) -> usize {
            0
        }

        fn keep(&self, _: u64) {}
    }

    #[test]
    fn looking_for_idle_cids_is_not_decay() {
        let magazines = Magazines::new(2, 100);
        let _ = magazines.drain_idle(Duration::ZERO, &Nothing);
        assert_eq!(magazines.swept_at.load(Ordering::Relaxed), 0);
        let _ = magazines.sweep(Duration::ZERO, &Nothing);
        assert!(magazines.swept_at.load(Ordering::Relaxed) > 0);
    }
}
