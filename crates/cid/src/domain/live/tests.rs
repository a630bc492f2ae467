//! A running domain from inside: what no user can bring about.

use core::sync::atomic::Ordering;

use percid_rseq::{enter_thread, possible_cpus};

use super::Admission;
use super::inner::{Config, Ids, Inner};
use super::stripes::{Memory, Stripes};
use super::table::Table;
use super::thread;
use crate::domain::policy::Policy;
use crate::domain::protocol::Attempts;

fn relaxed() -> Inner {
    Inner::new(
        99,
        Config {
            ids: Ids::Cpus,
            period: 1_000_000,
            policy: Policy::COMBINED,
        },
    )
}

/// A container's view of its CPUs may be smaller than the machine.
#[test]
fn a_cpu_beyond_the_table_falls_back() {
    if enter_thread().is_err() {
        println!("no sections here");
        return;
    }
    let inner = relaxed();
    let none = Table::map(0).expect("memory");
    inner.table.store(none.as_ptr(), Ordering::Release);
    let mut attempts = Attempts::default();
    assert_eq!(inner.admit(&mut attempts), Admission::Fallback);
    let stats = inner.stats();
    assert_eq!((stats.fallbacks, stats.acquisitions), (1, 0));
    assert_eq!(inner.ids_in_use(), 0);
}

/// Ids whose stripes cannot be opened are not admitted.
#[test]
fn an_id_without_memory_falls_back() {
    struct Closed;

    impl Stripes for Closed {
        fn open(&self, to: u32) -> Result<(), i32> {
            if to == 0 { Ok(()) } else { Err(libc::ENOMEM) }
        }

        fn opened(&self) -> u32 {
            0
        }
    }

    if enter_thread().is_err() {
        println!("no sections here");
        return;
    }
    static CLOSED: Closed = Closed;
    let inner = relaxed();
    inner.attach(Memory::Static(&CLOSED)).expect("room");
    let mut attempts = Attempts::default();
    assert_eq!(inner.admit(&mut attempts), Admission::Fallback);
    assert_eq!((inner.limit(), inner.ids_in_use()), (0, 0));
}

/// A leaver in a signal handler that has interrupted a slow path: what it owes is
/// done by whoever comes next.
#[test]
fn who_leaves_inside_a_slow_path_owes_a_compaction() {
    if enter_thread().is_err() || !crate::backend::tables() {
        println!("no tables here");
        return;
    }
    let inner = Inner::new(
        98,
        Config {
            ids: Ids::Joined,
            period: u64::MAX,
            policy: Policy::V3,
        },
    );
    inner.prepare().expect("memory");
    let mark = inner.join();
    // A thread that migrates all the time may be rejected three times.
    for _ in 0..100 {
        if inner.admit(&mut Attempts::default()) == Admission::Retry && inner.ids_in_use() > 0 {
            break;
        }
    }
    assert_eq!((inner.ids_in_use(), inner.stats().joined), (1, 1));
    // SAFETY: a mark of this test, which is never freed.
    thread::alone(|| inner.leave(unsafe { mark.as_ref() }));
    assert_eq!(inner.ids_in_use(), 1);
    inner.tick();
    assert_eq!((inner.ids_in_use(), inner.stats().joined), (0, 0));
}

/// A CPU that went offline, or out of the set, keeps the last id: whoever needs it
/// takes it from there, and a scan finds it.
#[test]
fn an_id_in_the_slot_of_a_cpu_that_is_gone_is_not_lost() {
    if enter_thread().is_err() || !crate::backend::tables() || possible_cpus() < 2 {
        println!("no tables of two CPUs here");
        return;
    }
    for by_scan in [false, true] {
        let inner = Inner::new(
            97,
            Config {
                ids: Ids::At(1),
                period: 1,
                policy: Policy::V6,
            },
        );
        let table = inner.table().expect("memory");
        let here = percid_rseq::thread_ids().map_or(0, |ids| ids.cpu);
        let gone = if here == 0 { 1 } else { 0 };
        inner.ids.set(0);
        let valid = crate::domain::SlotWord::UNSET.valid(0);
        assert!(table.swap(gone, crate::domain::SlotWord::UNSET, valid, 0));
        if by_scan {
            inner.compact();
            assert_eq!(inner.ids_in_use(), 0);
        }
        let admitted = (0..100).any(|_| inner.admit(&mut Attempts::default()) == Admission::Retry);
        assert!(admitted, "{:?}", inner.stats());
        assert_eq!(inner.ids_in_use(), 1, "{:?}", inner.stats());
    }
}

#[test]
fn three_rejections_and_it_is_the_fallback() {
    let (inner, mut attempts) = (relaxed(), Attempts::default());
    let admitted = (0..5)
        .filter(|_| inner.admit(&mut attempts) == Admission::Retry)
        .count();
    assert!(admitted < 3, "{admitted}");
    assert!(inner.stats().fallbacks >= 3);
}
