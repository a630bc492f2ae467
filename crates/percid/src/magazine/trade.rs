//! Misses: words go between a magazine and the depot.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use percid_rseq::{holder, is_gone};

use super::blocks::ITEMS;
use super::clock::{is_over, now};
use super::stripe::{
    CLAIM, Claim, Count, FLUSHES, HEADER, Load, Magazine, REFILLS, STATE, Way, is_stopped,
    open_by_thread,
};
use super::{Magazines, Source};
use crate::scope::Scope;

/// Blocks of one trade, at the most. Larger ones let a producer and a consumer do nothing but
/// trade for microseconds: of eight blocks (half of the largest magazine) an object took 1.15 to
/// 1.22 times as long on its way from one core to another as of two, of four 1.36 times, of one
/// 1.09 times. (A refill of two took a third one then; without it nothing changed.) Prefetching
/// the objects for the producer, in trades of any size, changed nothing.
const BLOCKS: u32 = 2;

/// How often other cids are robbed rather than the system asked, at the most.
const STEALING: Duration = Duration::from_millis(10);

impl<S: Scope> Magazines<S> {
    /// Pops a word where [`pop_out_of_line`](Self::pop_out_of_line) found none.
    #[cold]
    #[inline(never)]
    pub(crate) fn pop_slow(&self, source: &impl Source) -> Option<u64> {
        match self.way() {
            Some(way) => way.pop().ok().or_else(|| self.refill(way, source)),
            None => self.take_one(source),
        }
    }

    /// Pushes a word where [`push_out_of_line`](Self::push_out_of_line) found no room.
    #[cold]
    #[inline(never)]
    pub(crate) fn push_slow(&self, word: u64, source: &impl Source) {
        match self.way() {
            Some(way) if way.push(word).is_ok() => {}
            Some(way) => self.flush(way, word, source),
            None => self.put(&[word], source),
        }
    }

    /// By which way this thread reaches a magazine: by sections, unless they are refused.
    fn way(&self) -> Option<Way<'_, S>> {
        if self.most() == 0 {
            return None;
        }
        match self.nearest() {
            // SAFETY: the header is one of the room's words.
            Way::Section(room) if unsafe { room.run(&Load(HEADER)) }.is_err() => {}
            way => return Some(way),
        }
        let stripe = self.room.fallback().ok()?;
        Some(Way::Thread(Magazine::of(stripe)))
    }

    /// Gets a word for the caller, and half a magazine or two blocks more.
    fn refill(&self, way: Way<'_, S>, source: &impl Source) -> Option<u64> {
        let want = traded(self.miss(way, REFILLS));
        let mut mine = None;
        let mut moved = self.refill_from_depot(way, want, &mut mine);
        let mut grow = false;
        while mine.is_none() || moved < want {
            let mut words = [0; ITEMS];
            let room =
                (want.saturating_sub(moved) as usize + usize::from(mine.is_none())).min(ITEMS);
            let count = source.fresh(&mut words[..room], grow);
            if count == 0 {
                if mine.is_some() {
                    break;
                }
                if !grow && self.may_steal() && self.steal(source) {
                    moved += self.refill_from_depot(way, want, &mut mine);
                } else if grow {
                    // The last resort: what others hold, however dear.
                    return self.steal_one(source);
                }
                grow = true;
                continue;
            }
            let mut words = &words[..count];
            if mine.is_none()
                && let Some((last, others)) = words.split_last()
            {
                (mine, words) = (Some(*last), others);
            }
            // SAFETY: a slice.
            let pushed = unsafe { way.push_batch(words.as_ptr(), words.len() as u32) };
            moved += pushed;
            let rest = &words[pushed as usize..];
            if !rest.is_empty() {
                self.put(rest, source);
                break;
            }
        }
        mine
    }

    /// Moves up to `want` words of the depot to the magazine, and one to the caller.
    fn refill_from_depot(&self, way: Way<'_, S>, want: u32, mine: &mut Option<u64>) -> u32 {
        let mut moved = 0;
        while moved < want {
            let Some(mut block) = self.depot.pop() else {
                break;
            };
            if mine.is_none() {
                *mine = block.remove();
                // Counted where whole blocks are moved, or it would take a third one.
                moved += u32::from(want >= ITEMS as u32);
            }
            // A block as a whole, where so many are wanted: none is left that holds some.
            let most = if want < ITEMS as u32 {
                want - moved
            } else {
                want
            };
            let count = (block.count() as u32).min(most);
            // SAFETY: the block's items.
            let pushed = unsafe { way.push_batch(block.items(), count) };
            block.remove_first(pushed as usize);
            let refused = pushed < count;
            moved += pushed;
            self.depot.give(block);
            if refused {
                break;
            }
        }
        moved
    }

    /// Gives half a magazine or two blocks to the depot, and then finds room for the word.
    fn flush(&self, way: Way<'_, S>, word: u64, source: &impl Source) {
        let want = traded(self.miss(way, FLUSHES));
        // The gate may have been opened just now.
        if way.push(word).is_ok() {
            return;
        }
        let mut moved = 0;
        while moved < want {
            let Some(mut block) = self.depot.take_empty() else {
                break;
            };
            let count = (want - moved).min(ITEMS as u32);
            // SAFETY: the block has room for so many, and is this thread's.
            let popped = unsafe { way.pop_batch(block.items(), count) };
            block.set_count(popped as usize);
            (0..block.count()).for_each(|at| source.hand_on(block.item(at)));
            self.depot.give(block);
            moved += popped;
            if popped < count {
                break;
            }
        }
        if way.push(word).is_err() {
            self.put(&[word], source);
        }
    }

    /// A word of the depot, or a new one, without a magazine.
    fn take_one(&self, source: &impl Source) -> Option<u64> {
        let one = || {
            let mut word = [0];
            (source.fresh(&mut word, true) == 1).then_some(word[0])
        };
        self.take_from_depot()
            .or_else(one)
            .or_else(|| self.steal_one(source))
    }

    /// A word that others hold.
    pub(crate) fn steal_one(&self, source: &impl Source) -> Option<u64> {
        // Another thread may have taken them just now: they are there all the same.
        self.steal(source);
        let mut word = [0];
        self.take_from_depot()
            .or_else(|| (source.fresh(&mut word, false) == 1).then_some(word[0]))
    }

    /// A word of the depot.
    pub(crate) fn take_from_depot(&self) -> Option<u64> {
        let mut block = self.depot.pop()?;
        let word = block.remove();
        self.depot.give(block);
        word
    }

    /// Words that found no room in a magazine.
    fn put(&self, words: &[u64], source: &impl Source) {
        let mut left = words.iter().copied();
        if self.most() > 0 {
            // One that has room, so that single words do not take a block each.
            let begun = self.depot.pop();
            for block in [begun, self.depot.take_empty()] {
                let Some(mut block) = block else { continue };
                while block.count() < ITEMS
                    && let Some(word) = left.next()
                {
                    block.add(word);
                }
                self.depot.give(block);
            }
        }
        keep_all(left, source);
    }

    /// Counts a miss and doubles the magazine's gate; what it is now.
    fn miss(&self, way: Way<'_, S>, what: usize) -> u32 {
        match way {
            Way::Section(room) => {
                // SAFETY: one of the room's words, for this section only.
                let _ = unsafe { room.run(&Count(self.control_word(what))) };
                self.widen()
            }
            Way::Thread(it) => {
                percid_rseq::portable::increment(it.control(what));
                open_by_thread(&it, self.least().max(self.most().min(ITEMS as u32)))
            }
        }
    }

    /// Doubles the gate of the current cid, or opens it; what it is now.
    fn widen(&self) -> u32 {
        // SAFETY: one of the room's words.
        let now = unsafe { self.room.run(&Load(HEADER)) }.map_or(0, |held| (held >> 32) as u32);
        if now >= self.most() {
            return now;
        }
        let me = holder();
        // SAFETY: the word of the room that is for claims only.
        let Ok(claimed) = (unsafe { self.room.run(&Claim(self.control_word(CLAIM), me)) }) else {
            self.forget_dead_claims();
            // SAFETY: one of the room's words.
            return unsafe { self.room.run(&Load(HEADER)) }.map_or(0, |held| (held >> 32) as u32);
        };
        // SAFETY: the claimed word is one of a stripe of this room, whose words surround it.
        let it = unsafe {
            let claim = self.control_word(CLAIM);
            let first = claimed.cast_const().cast::<AtomicU64>().sub(claim);
            Magazine {
                words: core::slice::from_raw_parts(first, self.room.len() as usize),
                cid: Some(0),
            }
        };
        // Ordering: Relaxed. Who holds control stores, and acquired it.
        let now = it.gate().load(Ordering::Relaxed);
        let mut gate = now;
        if now < self.most()
            && let Some(_held) = self.control.try_hold()
            && !is_stopped(it.control(STATE).load(Ordering::Relaxed))
        {
            // Whoever was closing it is gone: only the parent of a fork has that thread.
            it.control(STATE).store(0, Ordering::Relaxed);
            let now = it.gate().load(Ordering::Relaxed);
            gate = (now * 2).clamp(self.least(), self.most());
            // Ordering: Release pairs with sections: what the last holder of control left in
            // the length is seen with the gate.
            it.gate().store(gate, Ordering::Release);
        }
        // Ordering: Release pairs with the next claim.
        it.control(CLAIM).store(0, Ordering::Release);
        gate
    }

    /// In a child of `fork`: takes away claims of threads that only the parent has.
    fn forget_dead_claims(&self) {
        let is_dead = |claim: u64| claim != 0 && is_gone(claim);
        // SAFETY: one of the room's words.
        if !unsafe { self.room.run(&Load(self.control_word(CLAIM))) }.is_ok_and(is_dead) {
            return;
        }
        if let Some(_held) = self.control.try_hold() {
            for it in self.room.stripes().map(Magazine::of) {
                // A word that is not 0 is stored to by its claimant only, who is gone.
                if is_dead(it.control(CLAIM).load(Ordering::Relaxed)) {
                    it.control(CLAIM).store(0, Ordering::Release);
                }
            }
        }
    }

    /// Whether it is time to look what others hold.
    fn may_steal(&self) -> bool {
        let before = self.stolen_at.load(Ordering::Relaxed);
        is_over(&self.stolen_at, STEALING)
            && self
                .stolen_at
                .compare_exchange(before, now(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
            && self.cached() as usize > ITEMS
    }

    /// Takes what other cids hold to the depot; whether that was anything.
    fn steal(&self, source: &impl Source) -> bool {
        self.drain(|_| true, source)
            .is_ok_and(|taken| taken.words > 0)
    }

    /// Words in magazines, at this moment.
    pub(crate) fn cached(&self) -> u64 {
        let all = self.room.stripes().map(Magazine::of);
        all.map(|it| u64::from(it.held())).sum()
    }
}

/// How many words are traded for a magazine that may hold so many.
fn traded(gate: u32) -> u32 {
    let half = (gate / 2).max(1);
    match half / ITEMS as u32 {
        0 => half,
        blocks => blocks.min(BLOCKS) * ITEMS as u32,
    }
}

/// Keeps words that have no place here; if keeping one panics, as a value's drop may, the
/// rest all the same.
pub(super) fn keep_all(words: impl Iterator<Item = u64>, source: &dyn Source) {
    struct All<'a, I: Iterator<Item = u64>>(I, &'a dyn Source);

    impl<I: Iterator<Item = u64>> Drop for All<'_, I> {
        fn drop(&mut self) {
            for word in self.0.by_ref() {
                self.1.keep(word);
            }
        }
    }

    let mut all = All(words, source);
    for word in all.0.by_ref() {
        source.keep(word);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    struct Picky(RefCell<Vec<u64>>);

    impl Source for Picky {
        fn fresh(&self, _: &mut [u64], _: bool) -> usize {
            0
        }

        fn keep(&self, word: u64) {
            self.0.borrow_mut().push(word);
            assert_ne!(word, 2, "not this one");
        }
    }

    #[test]
    fn a_trade_is_half_a_magazine_and_whole_blocks_if_it_can() {
        let gates = [0, 1, 2, 100, 124, 200, 256, 1017];
        assert_eq!(gates.map(traded), [1, 1, 1, 50, 62, 62, 124, 124]);
    }

    #[test]
    fn a_panic_does_not_lose_the_other_words() {
        let source = Picky(RefCell::default());
        let all = || keep_all(1..=5, &source);
        assert!(catch_unwind(AssertUnwindSafe(all)).is_err());
        assert_eq!(*source.0.borrow(), [1, 2, 3, 4, 5]);
    }
}
