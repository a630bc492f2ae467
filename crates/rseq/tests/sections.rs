//! What each operation commits, and what each refusal leaves untouched.

use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use percid_rseq::section::{MmCid, WordAddress};
use percid_rseq::{
    Owner, Refusal, enter_thread, possible_cpus, registration, section, testing, thread_ids,
};

/// Stripes of one cache line each.
const SHIFT: u32 = 6;

struct Stripes {
    limit: AtomicU32,
    lines: Vec<Line>,
}

#[repr(align(64))]
struct Line(AtomicU64);

impl Stripes {
    fn new() -> Stripes {
        let lines: Vec<_> = (0..possible_cpus())
            .map(|_| Line(AtomicU64::new(0)))
            .collect();
        Stripes {
            limit: AtomicU32::new(possible_cpus()),
            lines,
        }
    }

    fn word(&self) -> WordAddress {
        // The whole vector is what the sections may write.
        WordAddress::new(self.lines.as_ptr().cast::<u64>().cast_mut())
    }

    fn index(&self) -> MmCid<'_> {
        MmCid { limit: &self.limit }
    }

    fn sum(&self) -> u64 {
        self.lines
            .iter()
            .map(|line| line.0.load(Ordering::Relaxed))
            .sum()
    }

    fn increment(&self) -> Result<(), Refusal> {
        // SAFETY: the limit is never above the number of lines.
        unsafe { section::increment::<_, SHIFT>(self.index(), self.word()) }
    }

    fn add(&self, n: u64) -> Result<(), Refusal> {
        // SAFETY: as `increment`.
        unsafe { section::add::<_, SHIFT>(self.index(), self.word(), n) }
    }

    fn load(&self) -> Result<u64, Refusal> {
        // SAFETY: as `increment`.
        unsafe { section::load::<_, SHIFT>(self.index(), self.word()) }
    }

    fn compare_store(&self, expected: u64, new: u64) -> Result<(), Refusal> {
        // SAFETY: as `increment`.
        unsafe { section::compare_store::<_, SHIFT>(self.index(), self.word(), expected, new) }
    }
}

/// Repeats an operation for as long as the kernel aborts it.
fn retry<T>(mut operation: impl FnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
    loop {
        match operation() {
            Err(Refusal::Aborted) => {}
            outcome => return outcome,
        }
    }
}

/// Enters, or says why this host cannot and ends the test.
macro_rules! enter_or_return {
    () => {
        if let Err(why) = enter_thread() {
            println!("no sections here: {why}");
            return;
        }
        let features = registration().expect("entered").features;
        if !features.mm_cid {
            println!("no mm_cid here");
            return;
        }
    };
}

#[test]
fn each_operation_commits() {
    enter_or_return!();
    let stripes = Stripes::new();
    retry(|| stripes.increment()).unwrap();
    retry(|| stripes.add(u64::MAX)).unwrap(); // wraps
    assert_eq!(stripes.sum(), 0);
    retry(|| stripes.add(41)).unwrap();
    assert_eq!(stripes.sum(), 41);
}

#[test]
fn load_and_compare_store_see_the_current_stripe() {
    enter_or_return!();
    let stripes = Stripes::new();
    for line in &stripes.lines {
        line.0.store(7, Ordering::Relaxed);
    }
    assert_eq!(retry(|| stripes.load()), Ok(7));
    assert_eq!(
        retry(|| stripes.compare_store(8, 9)),
        Err(Refusal::Mismatch)
    );
    assert_eq!(stripes.sum(), 7 * stripes.lines.len() as u64);
    assert_eq!(retry(|| stripes.compare_store(7, 9)), Ok(()));
    assert_eq!(stripes.sum(), 7 * stripes.lines.len() as u64 + 2);
}

#[test]
fn a_thread_that_is_not_registered_commits_nothing() {
    let stripes = Stripes::new();
    let expected = if section::SUPPORTED {
        Refusal::NotRegistered
    } else {
        Refusal::Unsupported
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // False where nobody has registered it yet.
            // SAFETY: nothing follows a pointer here.
            let _ = unsafe { testing::unregister_thread() };
            assert_eq!(stripes.increment(), Err(expected));
            assert_eq!(stripes.add(1), Err(expected));
            assert_eq!(stripes.load(), Err(expected));
            assert_eq!(stripes.compare_store(0, 1), Err(expected));
            assert_eq!(thread_ids(), None);
        });
    });
    assert_eq!(stripes.sum(), 0);
}

/// Where libc registers, a thread's first section is one already; where percid does, the
/// first that it may run is the one after it has entered.
#[test]
fn libcs_threads_need_not_enter() {
    enter_or_return!();
    let stripes = Stripes::new();
    let by_libc = registration().expect("entered").owner == Owner::Libc;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(thread_ids().is_some(), by_libc);
            let first = stripes.increment();
            assert_eq!(first == Err(Refusal::NotRegistered), !by_libc, "{first:?}");
            enter_thread().unwrap();
            stripes
                .add(1)
                .or_else(|_| retry(|| stripes.add(1)))
                .unwrap();
            assert_eq!(stripes.sum(), 1 + u64::from(first.is_ok()));
        });
    });
}

#[test]
fn an_id_at_the_limit_touches_nothing() {
    enter_or_return!();
    let stripes = Stripes::new();
    stripes.limit.store(0, Ordering::Relaxed);
    // No stripe is activated, so the address may be anything: it is not touched.
    let nowhere = WordAddress::from_eighth(1);
    let index = stripes.index();
    let refused = |outcome| assert_eq!(outcome, Err(Refusal::BeyondLimit));
    // SAFETY: no cid is below a limit of 0.
    refused(retry(|| unsafe {
        section::increment::<_, SHIFT>(index, nowhere)
    }));
    // SAFETY: as above.
    refused(retry(|| unsafe {
        section::add::<_, SHIFT>(index, nowhere, 1)
    }));
    // SAFETY: as above.
    refused(retry(|| unsafe {
        section::load::<_, SHIFT>(index, nowhere).map(drop)
    }));
    // SAFETY: as above.
    refused(retry(|| unsafe {
        section::compare_store::<_, SHIFT>(index, nowhere, 0, 1)
    }));
}

#[test]
fn the_ids_are_the_kernels() {
    enter_or_return!();
    let ids = retry(|| thread_ids().ok_or(Refusal::NotRegistered)).unwrap();
    assert!(ids.cpu < possible_cpus());
    assert!(ids.mm_cid < possible_cpus());
}

/// A thread whose registration is taken away while it may run sections is
/// refused from the next section on: the check is inside, every time.
#[test]
#[cfg(target_os = "linux")]
fn a_thread_that_loses_its_registration_commits_nothing() {
    enter_or_return!();
    std::thread::spawn(|| {
        enter_thread().unwrap();
        let stripes = Stripes::new();
        retry(|| stripes.increment()).unwrap();
        assert!(
            // SAFETY: nothing follows a pointer here.
            unsafe { percid_rseq::testing::unregister_thread() },
            "could not unregister"
        );
        assert_eq!(stripes.increment(), Err(Refusal::NotRegistered));
        assert_eq!(stripes.load(), Err(Refusal::NotRegistered));
        assert_eq!(thread_ids(), None);
        assert_eq!(stripes.sum(), 1);
    })
    .join()
    .unwrap();
}

#[test]
fn a_pointer_is_followed_inside() {
    if enter_thread().is_err() {
        return;
    }
    let values: [u64; 12] = std::array::from_fn(|place| 1000 + place as u64);
    let pointer = AtomicPtr::new(values.as_ptr().cast_mut().cast::<u8>());
    // SAFETY: the pointer leads to an array that stays, or nowhere.
    let load = || retry(|| unsafe { section::load_through(&pointer) });
    let copy = |target: &mut [u8]| {
        // SAFETY: as above; no more bytes than the array has.
        retry(|| unsafe { section::copy_through(&pointer, target.as_mut_ptr(), target.len()) })
    };
    assert_eq!(load(), Ok(1000));
    let expected: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_ne_bytes())
        .collect();
    for bytes in 0..=expected.len() {
        let mut target = vec![0xaa; expected.len()];
        assert_eq!(copy(&mut target[..bytes]), Ok(()), "{bytes}");
        assert_eq!(target[..bytes], expected[..bytes]);
        assert!(target[bytes..].iter().all(|&byte| byte == 0xaa), "{bytes}");
    }
    pointer.store(section::nowhere(), Ordering::Release);
    assert_eq!(load(), Err(Refusal::Empty));
    assert_eq!(copy(&mut [0; 3]), Err(Refusal::Empty));
}
