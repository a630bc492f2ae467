//! What the barriers answer, and (with `--cfg percid_inject`) what they abort.

use percid_rseq::membarrier::{
    BarrierError, commands, fence, fence_cpu, heavy_barrier, light_barrier,
};
use percid_rseq::possible_cpus;

#[test]
fn barriers_work_where_the_kernel_says_so() {
    let commands = commands();
    let expected = |supported| {
        if supported {
            Ok(())
        } else {
            Err(BarrierError::Unsupported)
        }
    };
    assert_eq!(fence(), expected(commands.private_expedited_rseq));
    assert_eq!(fence_cpu(0), expected(commands.private_expedited_rseq));
    assert_eq!(heavy_barrier(), expected(commands.private_expedited));
    light_barrier();
}

/// The kernel itself says that such a fence succeeded.
#[test]
fn a_cpu_that_does_not_exist_is_not_fenced() {
    for cpu in [possible_cpus(), 1 << 20, u32::MAX] {
        assert_eq!(fence_cpu(cpu), Err(BarrierError::NoSuchCpu(cpu)));
    }
}

#[test]
fn errors_say_what_happened() {
    assert_eq!(
        BarrierError::NoSuchCpu(7).to_string(),
        "there is no CPU 7 to fence"
    );
    assert!(BarrierError::Unsupported.to_string().contains("membarrier"));
    assert!(BarrierError::Refused(1).to_string().contains("error 1"));
}

#[cfg(all(percid_inject, target_os = "linux"))]
mod inside_sections {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
    use std::time::Duration;

    use percid_rseq::inject::set_delay;
    use percid_rseq::section::{self, MmCid, WordAddress};
    use percid_rseq::{Refusal, enter_thread, registration};

    use super::*;

    /// Delays are the process's: one test at a time.
    static ALONE: Mutex<()> = Mutex::new(());

    fn pin_to(cpu: usize) -> bool {
        // SAFETY: zeroed is an empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: a valid set; the number is 0 or 1.
        unsafe { libc::CPU_SET(cpu, &mut set) };
        // SAFETY: a valid set of the size given.
        unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) == 0 }
    }

    /// What became of a section on CPU 0 that was open while a barrier was made.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Outcome {
        Aborted,
        Committed,
        /// It ended before the barrier did.
        TooEarly,
    }

    /// The outcomes of sections on CPU 0 while `barrier` runs on CPU 1, until
    /// `enough`; `None` where that cannot be arranged.
    fn outcomes(barrier: fn(), enough: fn(&[Outcome]) -> bool) -> Option<Vec<Outcome>> {
        const MOST: usize = 500;
        let _alone = ALONE.lock();
        let ready = enter_thread().is_ok() && registration().is_ok_and(|r| r.features.mm_cid);
        if !ready || !pin_to(1) {
            println!("needs two CPUs and mm_cid");
            return None;
        }
        set_delay(3, 5_000_000);
        let mut outcomes = Vec::new();
        while outcomes.len() < MOST && !enough(&outcomes) {
            outcomes.push(outcome_of(barrier));
        }
        set_delay(3, 0);
        Some(outcomes)
    }

    fn outcome_of(barrier: fn()) -> Outcome {
        let limit = AtomicU32::new(possible_cpus());
        let words: Vec<AtomicU64> = (0..possible_cpus()).map(|_| AtomicU64::new(0)).collect();
        let (begins, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let section = scope.spawn(|| {
                assert!(pin_to(0));
                enter_thread().unwrap();
                let first = WordAddress::new(words.as_ptr().cast_mut().cast());
                begins.store(true, Ordering::Release);
                // SAFETY: as many words as there may be ids, 8 bytes apart.
                let result = unsafe { section::increment::<_, 3>(MmCid { limit: &limit }, first) };
                ended.store(true, Ordering::Release);
                result
            });
            while !begins.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            std::thread::sleep(Duration::from_micros(300));
            barrier();
            let too_early = ended.load(Ordering::Acquire);
            let result = section.join().unwrap();
            let total: u64 = words.iter().map(|word| word.load(Ordering::Relaxed)).sum();
            match result {
                Ok(()) => assert_eq!(total, 1),
                Err(refusal) => assert_eq!((refusal, total), (Refusal::Aborted, 0)),
            }
            match result {
                _ if too_early => Outcome::TooEarly,
                Ok(()) => Outcome::Committed,
                Err(_) => Outcome::Aborted,
            }
        })
    }

    fn count(outcomes: &[Outcome], wanted: Outcome) -> usize {
        outcomes
            .iter()
            .filter(|&&outcome| outcome == wanted)
            .count()
    }

    #[test]
    fn a_fence_aborts_open_sections() {
        for barrier in [|| fence().unwrap(), || fence_cpu(0).unwrap()] {
            let enough = |seen: &[Outcome]| count(seen, Outcome::Aborted) == 40;
            let Some(seen) = outcomes(barrier, enough) else {
                return;
            };
            let aborted = count(&seen, Outcome::Aborted);
            let committed = count(&seen, Outcome::Committed);
            // A section that is held up just before it begins may begin after the
            // fence, and rightly commit; that is rare.
            assert!(
                aborted >= 40 && committed <= 2,
                "{aborted} aborted, {committed} committed"
            );
        }
    }

    /// The control: a section can live through a plain barrier and through a fence of
    /// another CPU, so the aborts above are the fence's work.
    #[test]
    fn sections_live_through_other_barriers() {
        for barrier in [|| heavy_barrier().unwrap(), || fence_cpu(1).unwrap()] {
            let enough = |seen: &[Outcome]| count(seen, Outcome::Committed) == 1;
            let Some(seen) = outcomes(barrier, enough) else {
                return;
            };
            assert_eq!(count(&seen, Outcome::Committed), 1, "of {}", seen.len());
        }
    }
}
