//! Threads that go step by step together.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::Error;

/// Times that a waiting thread looks before it lets others have its CPU.
const SPINS: u32 = 1 << 14;

/// One of the threads of a team.
pub(crate) struct Member<'a> {
    /// From 0, which is the thread that called [`together`].
    pub(crate) number: usize,
    barrier: &'a Barrier,
}

impl Member<'_> {
    /// Waits for all others. Spins, so that all go on within nanoseconds.
    ///
    /// # Errors
    ///
    /// If one of them will never come.
    pub(crate) fn wait(&self) -> Result<(), Error> {
        self.barrier.wait()
    }
}

/// A thread that goes without having finished would be waited for for ever.
impl Drop for Member<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.barrier.break_up();
        }
    }
}

/// Runs `lead` on this thread and `follow` on as many more as make `threads`, and
/// returns what they returned, the lead's first.
///
/// # Errors
///
/// The first of theirs, or that a thread could not be started.
pub(crate) fn together<T: Send>(
    threads: usize,
    lead: impl FnOnce(&Member<'_>) -> Result<T, Error>,
    follow: impl Fn(&Member<'_>) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let barrier = Barrier::new(threads);
    let member = |number| Member {
        number,
        barrier: &barrier,
    };
    let results = thread::scope(|scope| {
        let (follow, member, barrier) = (&follow, &member, &barrier);
        // An error ends the work of all, as a panic does.
        let finish = move |result: Result<T, Error>| {
            if result.is_err() {
                barrier.break_up();
            }
            result
        };
        let mut followers = Vec::new();
        let mut results = Vec::new();
        for number in 1..threads {
            let started =
                thread::Builder::new().spawn_scoped(scope, move || finish(follow(&member(number))));
            match started {
                Ok(follower) => followers.push(follower),
                Err(why) => {
                    results.push(finish(Err(Error::Thread { number, why })));
                    break;
                }
            }
        }
        if results.is_empty() {
            results.push(finish(lead(&member(0))));
        }
        for follower in followers {
            results.push(
                follower
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
        }
        results
    });
    if results
        .iter()
        .any(|result| matches!(result, Err(why) if !matches!(why, Error::Abandoned)))
    {
        return Err(results
            .into_iter()
            .filter_map(Result::err)
            .find(|why| !matches!(why, Error::Abandoned))
            .unwrap_or(Error::Abandoned));
    }
    results.into_iter().collect()
}

/// A barrier that is used again and again.
struct Barrier {
    members: usize,
    arrived: AtomicUsize,
    /// Times that all have arrived.
    phase: AtomicUsize,
    broken: AtomicBool,
}

impl Barrier {
    fn new(members: usize) -> Barrier {
        Barrier {
            members,
            arrived: AtomicUsize::new(0),
            phase: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
        }
    }

    fn wait(&self) -> Result<(), Error> {
        // Ordering: Relaxed. It cannot change before this thread has arrived.
        let phase = self.phase.load(Ordering::Relaxed);
        // Ordering: AcqRel. The last to arrive has seen what all did before, and
        // passes it on with the Release of the phase.
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.members {
            self.arrived.store(0, Ordering::Relaxed);
            self.phase.fetch_add(1, Ordering::Release);
            return Ok(());
        }
        let mut spins = 0;
        // Ordering: Acquire pairs with the Release of the last to arrive.
        while self.phase.load(Ordering::Acquire) == phase {
            // Ordering: Relaxed. Only says not to wait.
            if self.broken.load(Ordering::Relaxed) {
                return Err(Error::Abandoned);
            }
            spins += 1;
            if spins % SPINS == 0 {
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        Ok(())
    }

    fn break_up(&self) {
        // Ordering: Relaxed, as in `wait`.
        self.broken.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn all_go_step_by_step() {
        let steps = AtomicU64::new(0);
        let work = |member: &Member<'_>| {
            for step in 1..=100 {
                steps.fetch_add(1, Ordering::Relaxed);
                member.wait()?;
                assert_eq!(steps.load(Ordering::Relaxed), 3 * step);
                member.wait()?;
            }
            Ok(member.number)
        };
        assert_eq!(together(3, work, work).unwrap(), [0, 1, 2]);
    }

    #[test]
    fn an_error_ends_the_wait_of_all() {
        let wait = |member: &Member<'_>| member.wait();
        let fail = |_: &Member<'_>| Err(Error::OtherIds { active: 7 });
        let failed = together(3, wait, fail);
        assert!(matches!(failed, Err(Error::OtherIds { active: 7 })));
    }

    #[test]
    #[should_panic(expected = "a follower")]
    fn a_panic_ends_the_wait_of_all() {
        let _ = together(2, |member| member.wait(), |_| panic!("a follower"));
    }
}
