//! Hosts that refuse: each in a process of its own.
#![cfg(all(target_os = "linux", not(loom)))]

mod support;

use percid::{ArenaError, Counter, Reason, Source, arena_stats, backend};
use support::{forbid, in_child, limit_address_space, resident, without_libcs_areas};

static COUNTER: Counter = Counter::new();

/// Counts from several threads and checks the total.
fn counts_exactly() {
    const ADDS: u64 = 100_000;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..ADDS).for_each(|_| COUNTER.inc()));
        }
    });
    assert_eq!(COUNTER.sum(), 4 * ADDS);
    assert_eq!(COUNTER.take(), 4 * ADDS);
    assert_eq!(COUNTER.sum(), 0);
}

#[test]
fn no_rseq_in_the_sandbox() {
    if !in_child("no_rseq_in_the_sandbox", |child| {
        forbid(child, &[libc::SYS_rseq])
    }) {
        return;
    }
    counts_exactly();
    let backend = backend();
    assert_eq!(backend.source, Source::Thread);
    if percid_rseq::section::SUPPORTED {
        assert!(
            matches!(backend.reason, Reason::NoSections(_)),
            "{backend:?}"
        );
        assert!(
            backend.reason.to_string().contains("ENOSYS"),
            "{}",
            backend.reason
        );
    }
}

#[test]
fn no_membarrier_in_the_sandbox() {
    let calls = &[libc::SYS_membarrier];
    if !in_child("no_membarrier_in_the_sandbox", |child| forbid(child, calls)) {
        return;
    }
    counts_exactly();
    let error = percid_rseq::membarrier::fence().unwrap_err();
    assert_eq!(error, percid_rseq::membarrier::BarrierError::Unsupported);
    assert_eq!(percid_rseq::membarrier::commands(), Default::default());
}

#[test]
fn the_environment_asks_for_the_fallback() {
    let ask = |child: &mut std::process::Command| {
        child.env("PERCID_BACKEND", "fallback");
    };
    if !in_child("the_environment_asks_for_the_fallback", ask) {
        return;
    }
    counts_exactly();
    assert_eq!(
        (backend().source, backend().reason),
        (Source::Thread, Reason::Requested)
    );
    assert_eq!(arena_stats().cid_stripes, 0);
    assert!(arena_stats().thread_stripes >= 1);
}

#[test]
fn libc_does_not_register() {
    if !in_child("libc_does_not_register", without_libcs_areas) {
        return;
    }
    counts_exactly();
    if percid_rseq::section::SUPPORTED && backend().source == Source::MmCid {
        assert_eq!(backend().reason, Reason::PercidRegisters);
        // Threads come and go, and each takes its registration with it.
        for _ in 0..200 {
            std::thread::spawn(|| COUNTER.inc()).join().unwrap();
        }
        assert_eq!(COUNTER.take(), 200);
        assert_eq!(arena_stats().thread_stripes, 0, "every thread ran sections");
    }
}

/// Another library's area, registered before percid looks.
#[test]
fn somebody_else_registered() {
    if !in_child("somebody_else_registered", without_libcs_areas) {
        return;
    }
    #[repr(align(64))]
    struct Area(#[allow(dead_code, reason = "the kernel reads it")] [u32; 32]);
    let area = Box::leak(Box::new(Area([0; 32])));
    // SAFETY: memory for an area that lives as long as the process.
    let taken = unsafe { libc::syscall(libc::SYS_rseq, area, 32, 0, 0x1234_5678) };
    if taken != 0 {
        println!("no rseq here");
        return;
    }
    for _ in 0..1000 {
        COUNTER.inc();
    }
    assert_eq!(COUNTER.take(), 1000);
    if percid_rseq::section::SUPPORTED {
        assert_eq!(backend().source, Source::Thread);
        assert!(
            backend().reason.to_string().contains("another library"),
            "{}",
            backend().reason
        );
    }
    counts_exactly();
}

#[test]
fn no_address_space_at_all() {
    let limit = |child: &mut std::process::Command| limit_address_space(child, 192 << 20);
    if !in_child("no_address_space_at_all", limit) {
        return;
    }
    counts_exactly();
    let error = Counter::try_new().unwrap_err();
    assert!(
        matches!(error, ArenaError::NoAddressSpace { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("RLIMIT_AS"), "{error}");
    assert_eq!(arena_stats().reserved, 0);
    assert_eq!(arena_stats().standby_words, 1);
    // Words that nobody needs any more are used again, and read zero.
    for _ in 0..100_000 {
        let counter = Counter::new();
        counter.add(7);
        assert_eq!(counter.sum(), 7);
    }
    assert_eq!(arena_stats().standby_words, 1);
}

#[test]
fn little_address_space() {
    const LIMIT: u64 = 640 << 20;
    let limit = |child: &mut std::process::Command| {
        limit_address_space(child, LIMIT);
        child.env("PERCID_POSSIBLE_CPUS", "512");
    };
    if !in_child("little_address_space", limit) {
        return;
    }
    counts_exactly();
    let stats = arena_stats();
    assert!(
        stats.reserved > 0 && stats.reserved as u64 <= LIMIT / 4,
        "{stats:?}"
    );
    assert_eq!(stats.standby_words, 0);
}

/// Something else has all the low addresses, as AddressSanitizer's shadow does.
#[test]
fn low_addresses_are_taken() {
    if !in_child("low_addresses_are_taken", |_| ()) {
        return;
    }
    // What lies there already may stay.
    for gibibyte in 4..16 {
        // SAFETY: a mapping that replaces nothing.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let place = std::ptr::without_provenance_mut(gibibyte << 30);
            let flags = flags | libc::MAP_FIXED_NOREPLACE;
            libc::mmap(place, 1 << 30, libc::PROT_NONE, flags, -1, 0);
            // And the place that comes next is a page off.
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
        }
    }
    counts_exactly();
    let counters: Vec<Counter> = (0..20_000).map(|_| Counter::new()).collect();
    counters.iter().for_each(|counter| counter.add(3));
    assert!(counters.iter().all(|counter| counter.sum() == 3));
    let stats = arena_stats();
    assert_eq!((stats.standby_words, stats.words), (0, 20_001));
    if backend().source == Source::MmCid {
        assert!(
            stats.cid_stripes > 0 && stats.thread_stripes == 0,
            "{stats:?}"
        );
    }
}

/// What a handler interrupts must not find its error number changed.
#[test]
fn first_use_leaves_errno_alone() {
    if !in_child("first_use_leaves_errno_alone", |_| ()) {
        return;
    }
    // SAFETY: the thread's own error number.
    unsafe { *libc::__errno_location() = 4711 };
    COUNTER.inc();
    let _ = percid_rseq::membarrier::fence_cpu(1 << 20);
    let _ = percid_rseq::registration();
    // SAFETY: as above.
    assert_eq!(unsafe { *libc::__errno_location() }, 4711);
}

/// When every standby word is in use the first add to one more counter panics,
/// and says why.
#[test]
fn nothing_left_at_all() {
    let limit = |child: &mut std::process::Command| limit_address_space(child, 192 << 20);
    if !in_child("nothing_left_at_all", limit) {
        return;
    }
    let counters: Vec<Counter> = (0..65_535).map(|_| Counter::new()).collect();
    counters.iter().for_each(|counter| counter.add(3));
    assert!(counters.iter().all(|counter| counter.sum() == 3));
    let panic = std::panic::catch_unwind(|| COUNTER.inc()).unwrap_err();
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(
        message.contains("standby") && message.contains("address space"),
        "{message}"
    );
    drop(counters);
    counts_exactly();
}

/// What a machine with 512 possible CPUs costs: the stripes that are used.
#[test]
fn memory_grows_with_active_ids_not_with_cpus() {
    let imagine = |child: &mut std::process::Command| {
        child.env("PERCID_POSSIBLE_CPUS", "512");
    };
    if !in_child("memory_grows_with_active_ids_not_with_cpus", imagine) {
        return;
    }
    let before = resident();
    COUNTER.inc();
    let grown = resident() - before;
    let stats = arena_stats();
    assert!(stats.reserved >= 512 << 20, "{stats:?}");
    assert!(stats.cid_stripes <= 2, "{stats:?}");
    assert!(
        grown < 512 << 10,
        "{grown} bytes for one counter on 512 possible CPUs"
    );
    println!(
        "512 possible CPUs: {} MiB reserved, {grown} bytes resident",
        stats.reserved >> 20
    );
}

/// A program that locks its memory does not fill the reservation.
#[test]
fn locked_memory_stays_small() {
    let imagine = |child: &mut std::process::Command| {
        child.env("PERCID_POSSIBLE_CPUS", "512");
    };
    if !in_child("locked_memory_stays_small", imagine) {
        return;
    }
    // SAFETY: no preconditions.
    if unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) } != 0 {
        println!("may not lock memory here");
        return;
    }
    let before = resident();
    COUNTER.inc();
    let grown = resident() - before;
    assert!(grown < 8 << 20, "{grown} bytes locked for one counter");
}

/// A kernel that does not restart sections, as `PERCID_TRIAL=fail` has it.
#[test]
fn a_kernel_that_restarts_no_sections() {
    let ask = |child: &mut std::process::Command| {
        child.env("PERCID_TRIAL", "fail");
    };
    if !in_child("a_kernel_that_restarts_no_sections", ask) {
        return;
    }
    counts_exactly();
    let backend = backend();
    assert_eq!(backend.source, Source::Thread);
    assert!(!backend.verified);
    assert_eq!(arena_stats().cid_stripes, 0);
    if percid_rseq::enter_thread().is_ok() {
        assert!(
            matches!(backend.reason, Reason::NotAborted(_)),
            "{backend:?}"
        );
        let text = backend.reason.to_string();
        assert!(text.contains("does not restart sections"), "{text}");
    }
    let domain = percid::Domain::builder().build().expect("a domain");
    assert_eq!(domain.source(), Source::Thread);
}

/// Where threads cannot be pinned, or not be started, the kernel is not tried in full.
#[test]
fn a_kernel_that_cannot_be_tried_is_unverified() {
    let calls = &[libc::SYS_sched_setaffinity];
    let name = "a_kernel_that_cannot_be_tried_is_unverified";
    if !in_child(name, |child| forbid(child, calls)) {
        return;
    }
    counts_exactly();
    assert!(!backend().verified);
    if let Ok(registration) = percid_rseq::registration()
        && registration.features.mm_cid
    {
        assert_eq!(backend().source, Source::MmCid);
    }
}
