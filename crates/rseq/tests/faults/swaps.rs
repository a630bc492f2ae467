//! Lists of stripes that are taken away while sections work on them: say that they go,
//! fence, take. No token is lost and none is there twice.

use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

use percid_rseq::section::{self, MmCid, WordAddress};
use percid_rseq::{Refusal, enter_thread, membarrier, possible_cpus};

use crate::child::{in_child, panics_end_the_process};
use crate::host::has_mm_cid;

const SHIFT: u32 = 6;

/// A token, which is on a list, or in somebody's hands.
#[repr(C)]
struct Token {
    next: AtomicPtr<Token>,
    state: AtomicU8,
}

const LISTED: u8 = 1;
const HELD: u8 = 2;

/// A list for every id, and a limit of how many sections may use.
struct Lists {
    limit: AtomicU32,
    heads: Vec<Head>,
}

#[repr(align(64))]
struct Head(AtomicPtr<Token>);

impl Lists {
    fn new() -> Lists {
        let head = |_| Head(AtomicPtr::new(ptr::null_mut()));
        Lists {
            limit: AtomicU32::new(possible_cpus()),
            heads: (0..possible_cpus()).map(head).collect(),
        }
    }

    fn index(&self) -> MmCid<'_> {
        MmCid { limit: &self.limit }
    }

    fn head(&self) -> WordAddress {
        WordAddress::new(self.heads.as_ptr().cast::<u64>().cast_mut())
    }

    /// In one attempt.
    fn push(&self, token: &'static Token) -> Result<(), Refusal> {
        let node = ptr::from_ref(token).cast_mut().cast();
        // SAFETY: as many heads as there may be ids; tokens are never freed.
        unsafe { section::list_push::<_, SHIFT, 0>(self.index(), self.head(), node) }
    }

    /// In one attempt.
    fn pop(&self) -> Result<&'static Token, Refusal> {
        // SAFETY: as above; only tokens are ever pushed.
        unsafe {
            let node = section::list_pop::<_, SHIFT, 0>(self.index(), self.head())?;
            Ok(&*node.cast())
        }
    }

    /// Takes every list away and returns its tokens, with the fence or without.
    fn take(&self, fence: impl FnOnce()) -> Vec<&'static Token> {
        self.limit.store(0, Ordering::Relaxed);
        fence();
        let mut taken = Vec::new();
        for head in &self.heads {
            let mut next = head.0.swap(ptr::null_mut(), Ordering::AcqRel);
            // SAFETY: tokens are never freed.
            while let Some(token) = unsafe { next.as_ref() } {
                taken.push(token);
                assert!(taken.len() <= TOKENS, "a list without an end");
                next = token.next.load(Ordering::Relaxed);
            }
        }
        self.limit.store(possible_cpus(), Ordering::Release);
        taken
    }
}

const TOKENS: usize = 64;

fn tokens() -> Vec<&'static Token> {
    let token = |_| {
        &*Box::leak(Box::new(Token {
            next: AtomicPtr::new(ptr::null_mut()),
            state: AtomicU8::new(HELD),
        }))
    };
    (0..TOKENS).map(token).collect()
}

/// The token goes from one state to the other; it must have been in the first.
fn passes(token: &Token, from: u8, to: u8) {
    assert_eq!(
        token.state.swap(to, Ordering::Relaxed),
        from,
        "a token twice"
    );
}

/// Pushes and pops until `done`. `shared` is where takers leave what they took, and
/// `pushed` how many tokens have been pushed.
fn work(lists: &Lists, shared: &Mutex<Vec<&'static Token>>, pushed: &AtomicU64, done: &AtomicBool) {
    let mut held: Option<&'static Token> = None;
    let mut turn = 0_u64;
    while !done.load(Ordering::Relaxed) {
        turn += 1;
        held = match held {
            Some(token) => {
                passes(token, HELD, LISTED);
                match lists.push(token) {
                    Ok(()) => {
                        pushed.fetch_add(1, Ordering::Relaxed);
                        None
                    }
                    Err(refusal) => {
                        passes(token, LISTED, HELD);
                        assert!(matches!(refusal, Refusal::Aborted | Refusal::BeyondLimit));
                        Some(token)
                    }
                }
            }
            None if turn.is_multiple_of(3) => shared.lock().unwrap().pop(),
            None => match lists.pop() {
                Ok(token) => {
                    passes(token, LISTED, HELD);
                    Some(token)
                }
                Err(refusal) => {
                    let known = [Refusal::Aborted, Refusal::BeyondLimit, Refusal::Empty];
                    assert!(known.contains(&refusal), "{refusal}");
                    None
                }
            },
        };
    }
    shared.lock().unwrap().extend(held);
}

#[test]
fn every_token_is_there_once() {
    const WORKERS: usize = 4;
    const SWAPS: usize = 300;
    if !in_child("swaps::every_token_is_there_once", |_| ()) {
        return;
    }
    panics_end_the_process();
    if !has_mm_cid() || membarrier::fence().is_err() {
        println!("skipped: needs mm_cid and membarrier");
        return;
    }
    // Delays are the process's. With them a fence that is left out is found here, too.
    #[cfg(percid_inject)]
    percid_rseq::inject::set_delay(3, 2_000);
    let (lists, shared) = (Lists::new(), Mutex::new(tokens()));
    let (pushed, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                enter_thread().unwrap();
                work(&lists, &shared, &pushed, &done);
            });
        }
        let (mut swaps, mut most) = (0, 0);
        while swaps < SWAPS {
            // The workers have been at it for a while since the last time.
            let before = pushed.load(Ordering::Relaxed);
            while pushed.load(Ordering::Relaxed) < before + 100 {
                std::thread::yield_now();
            }
            let taken = lists.take(|| membarrier::fence().unwrap());
            swaps += usize::from(!taken.is_empty());
            most = most.max(taken.len());
            for &token in &taken {
                passes(token, LISTED, HELD);
            }
            shared.lock().unwrap().extend(taken);
        }
        done.store(true, Ordering::Relaxed);
        println!("{swaps} swaps, of up to {most} tokens");
    });
    let mut all = shared.into_inner().unwrap();
    for token in lists.take(|| ()) {
        passes(token, LISTED, HELD);
        all.push(token);
    }
    all.sort_by_key(|&token| ptr::from_ref(token));
    all.dedup_by_key(|token| ptr::from_ref(*token));
    assert_eq!(all.len(), TOKENS);
}

/// One section that is open while the list goes, with the fence and without.
#[cfg(percid_inject)]
mod inside_sections {
    use percid_rseq::inject::set_delay;

    use super::*;
    use crate::host::{allowed_cpus, pin_to};

    /// What became of a token that is taken while another is pushed on top of it.
    #[derive(Debug, PartialEq, Eq)]
    enum Outcome {
        /// The push was aborted, or it came before or after.
        Once,
        /// It was taken, and is below the other all the same.
        Twice,
    }

    fn outcome(cpus: [usize; 2], fence: fn()) -> Outcome {
        let lists = Lists::new();
        let all = tokens();
        let (below, above) = (all[0], all[1]);
        let ended = AtomicBool::new(false);
        let (taken, left) = std::thread::scope(|scope| {
            let push = scope.spawn(|| {
                pin_to(cpus[0]);
                enter_thread().unwrap();
                set_delay(3, 0);
                while lists.push(below) != Ok(()) {}
                set_delay(3, 1_000_000);
                let _ = lists.push(above);
                ended.store(true, Ordering::Release);
            });
            pin_to(cpus[1]);
            // The section links its token before it spins and commits.
            let open = || !above.next.load(Ordering::Acquire).is_null();
            while !open() && !ended.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            let taken = lists.take(fence);
            push.join().unwrap();
            (taken, lists.take(|| ()))
        });
        let times = |token: &Token| {
            let same = |other: &&&Token| ptr::eq(**other, token);
            taken.iter().filter(same).count() + left.iter().filter(same).count()
        };
        match (times(below), times(above)) {
            (1, 0 | 1) => Outcome::Once,
            (2, 1) => Outcome::Twice,
            other => panic!("{other:?}"),
        }
    }

    /// The CPUs for such a section and the one that takes, in a process of its own:
    /// delays are the process's.
    fn two_cpus(name: &str) -> Option<[usize; 2]> {
        if !in_child(name, |_| ()) {
            return None;
        }
        let cpus: Option<[usize; 2]> = allowed_cpus()
            .get(..2)
            .and_then(|cpus| cpus.try_into().ok());
        if !has_mm_cid() || membarrier::fence().is_err() || cpus.is_none() {
            println!("skipped: needs mm_cid, membarrier and two CPUs");
            return None;
        }
        cpus
    }

    #[test]
    fn with_the_fence_no_token_is_doubled() {
        let name = "swaps::inside_sections::with_the_fence_no_token_is_doubled";
        let Some(cpus) = two_cpus(name) else { return };
        // Every outcome counts; but enough fences must have met a section.
        let mut aborts = 0;
        for _ in 0..500 {
            let before = percid_rseq::inject::aborts();
            let outcome = outcome(cpus, || membarrier::fence().unwrap());
            assert_eq!(outcome, Outcome::Once);
            aborts += u64::from(percid_rseq::inject::aborts() > before);
            if aborts == 20 {
                return;
            }
        }
        panic!("only {aborts} sections were aborted");
    }

    /// The control, and what other barriers are worth here.
    #[test]
    fn without_the_fence_one_is() {
        let name = "swaps::inside_sections::without_the_fence_one_is";
        let Some(cpus) = two_cpus(name) else { return };
        for other in [|| (), || membarrier::heavy_barrier().unwrap()] {
            let doubled = (0..500).any(|_| outcome(cpus, other) == Outcome::Twice);
            assert!(
                doubled,
                "the fence is not needed, so the test proves nothing"
            );
        }
    }
}
