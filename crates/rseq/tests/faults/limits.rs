//! What a thread may not touch it does not touch: every operation, by every index, on
//! pages where a load is as fatal as a store.

use std::collections::HashSet;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::AtomicU32;

use percid_rseq::section::{self, Cpu, WordAddress};
use percid_rseq::{Refusal, enter_thread, prepare_unload, testing};

use crate::child::{Side, split};
use crate::host::{allowed_cpus, has_sections, pin_to};
use crate::operations::{Ids, Memory, OPERATIONS, every, every_index};

/// What a thread is told that is not registered.
const NOT_REGISTERED: Refusal = if section::SUPPORTED {
    Refusal::NotRegistered
} else {
    Refusal::Unsupported
};

/// Calls every operation with this limit on pages that kill, and has each refuse.
fn all_refuse(limit: u32, refusal: Refusal) {
    let mut seen = HashSet::new();
    let see = |index, operation, outcome| {
        seen.insert((index, operation));
        assert_eq!(outcome, Err(refusal), "{operation} by {index}");
    };
    // SAFETY: no operation touches the memory, or the test dies.
    unsafe { every_index(limit, Memory::forbidden(), see) };
    assert_eq!(seen.len(), 3 * OPERATIONS);
}

#[test]
fn ids_at_the_limit_touch_nothing() {
    if has_sections() {
        all_refuse(0, Refusal::BeyondLimit);
    }
}

/// By CPU number the id is known, and the limit may be just that.
#[test]
fn the_limit_itself_is_beyond() {
    if has_sections() {
        std::thread::spawn(refuse_on_every_cpu).join().unwrap();
    }
}

fn refuse_on_every_cpu() {
    enter_thread().unwrap();
    for cpu in allowed_cpus() {
        pin_to(cpu);
        let limit = AtomicU32::new(cpu as u32);
        let see = |name, outcome| assert_eq!(outcome, Err(Refusal::BeyondLimit), "{name}");
        // SAFETY: no operation touches the memory, or the test dies.
        unsafe { every(Cpu { limit: &limit }, Memory::forbidden(), see) };
    }
}

#[test]
fn tables_say_none_in_many_ways() {
    const LAZY: u64 = 1 << 31;
    if !has_sections() {
        return;
    }
    let cpus = percid_rseq::possible_cpus().min(1024);
    // The limit, the slots that there are, what each holds.
    for (limit, cpus, id) in [
        (5, cpus, 5),
        (5, cpus, LAZY),
        (5, cpus, LAZY | 1),
        (u32::MAX, cpus, u64::from(u32::MAX)),
        (5, cpus, 7 << 32 | u64::from(u32::MAX)),
        (0, cpus, 0),
        // No slot for this CPU: a container's view, or a larger machine.
        (5, 0, 0),
    ] {
        let ids = Ids::<1024>::new(limit, cpus, id);
        let see = |name, outcome| {
            assert_eq!(
                outcome,
                Err(Refusal::BeyondLimit),
                "{name}: {limit} {cpus} {id:#x}"
            );
        };
        // SAFETY: no operation touches the memory, or the test dies.
        unsafe { every(ids.table(), Memory::forbidden(), see) };
    }
}

#[test]
fn threads_that_have_not_entered_touch_nothing() {
    for limit in [0, 1, i32::MAX as u32, u32::MAX] {
        std::thread::spawn(move || all_refuse(limit, NOT_REGISTERED))
            .join()
            .unwrap();
    }
}

#[test]
fn threads_that_have_left_touch_nothing() {
    std::thread::spawn(|| {
        let _ = enter_thread();
        prepare_unload();
        all_refuse(u32::MAX, NOT_REGISTERED);
    })
    .join()
    .unwrap();
}

#[test]
fn threads_that_lost_their_area_touch_nothing() {
    std::thread::spawn(|| {
        if has_sections() {
            assert!(testing::unregister_thread(), "could not unregister");
            all_refuse(u32::MAX, Refusal::NotRegistered);
        }
    })
    .join()
    .unwrap();
}

/// The operations do work on memory that may be touched.
#[test]
fn below_the_limit_they_touch_it() {
    if !has_sections() {
        return;
    }
    let memory = Memory::zeros();
    let ids = Ids::<1024>::new(1, percid_rseq::possible_cpus().min(1024), 0);
    let mut outcomes = Vec::new();
    // SAFETY: memory of this test's own, and no id but 0.
    unsafe {
        every(ids.table(), memory, |name, outcome| {
            outcomes.push((name, outcome))
        })
    };
    for (place, (name, outcome)) in outcomes.into_iter().enumerate() {
        let expected = match place {
            1..=4 | 6 => Err(Refusal::Empty),
            _ => Ok(()),
        };
        assert_eq!(outcome, expected, "{name}, number {place}");
    }
}

/// The control: where a section does touch such pages, the test dies.
#[test]
fn the_pages_kill() {
    let name = "limits::the_pages_kill";
    match split(name, |_| ()) {
        Side::Child => {
            if has_sections() {
                let limit = AtomicU32::new(u32::MAX);
                let word = WordAddress::new(Memory::forbidden().word);
                // A fault is a signal and so aborts the section; if its handler lets it
                // live, as the standard library's does once, the next one kills.
                loop {
                    // SAFETY: it dies.
                    let outcome =
                        unsafe { section::increment::<_, 3>(Cpu { limit: &limit }, word) };
                    assert_eq!(outcome, Err(Refusal::Aborted));
                }
            }
        }
        Side::Parent(output) => {
            if has_sections() {
                assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{output:?}");
            }
        }
    }
}
