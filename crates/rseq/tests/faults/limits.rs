//! What a thread may not touch it does not touch: every operation, by every index, on
//! pages where a load is as fatal as a store.

use std::collections::HashSet;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use percid_rseq::section::{self, Cpu, MmCid, SLOTS, Table, WordAddress};
use percid_rseq::{Refusal, enter_thread, prepare_unload, testing};

use crate::child::{Side, in_child, split, without_libcs_areas};
use crate::host::{Stripes, allowed_cpus, has_mm_cid, has_sections, percid_registers, pin_to};
use crate::operations::{Memory, OPERATIONS, every, every_index, slots};

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
    for word in [
        0,
        LAZY,
        LAZY | 1,
        LAZY | 6,
        u64::from(u32::MAX),
        7 << 32,
        7 << 32 | LAZY | 1,
        7 << 32 | u64::from(u32::MAX),
    ] {
        let slots = slots(word);
        let see = |name, outcome| {
            assert_eq!(outcome, Err(Refusal::BeyondLimit), "{name}: {word:#x}");
        };
        // SAFETY: no operation touches the memory, or the test dies.
        unsafe { every(Table::new(&slots), Memory::forbidden(), see) };
    }
}

/// A CPU that no table has a slot for: no kernel has so many, and one that had is refused.
#[test]
fn a_cpu_beyond_every_table_touches_nothing() {
    if !section::SUPPORTED {
        return;
    }
    let slots = slots(1);
    let beyond = [SLOTS as u32, SLOTS as u32 + 1, 1 << 20, i32::MAX as u32];
    let not_registered = [-1, -2, i32::MIN].map(i32::cast_unsigned);
    for cpu in beyond.into_iter().chain(not_registered) {
        let see = |name, outcome| {
            let refusal = match cpu.cast_signed() {
                0.. => Refusal::BeyondLimit,
                _ => Refusal::NotRegistered,
            };
            assert_eq!(outcome, Err(refusal), "{name}: CPU {cpu}");
        };
        let work = || {
            // SAFETY: no operation touches the memory, or the test dies.
            unsafe { every(Table::new(&slots), Memory::forbidden(), see) }
        };
        // SAFETY: as above.
        unsafe { testing::on_cpu(cpu, work) };
    }
}

/// The last slot is one, too.
#[test]
fn the_last_cpu_of_a_table_has_a_slot() {
    if !section::SUPPORTED {
        return;
    }
    let slots = slots(0);
    slots[SLOTS - 1].0.store(3, Ordering::Relaxed);
    let words = [const { AtomicU64::new(0) }; 3];
    let first = WordAddress::new(words[0].as_ptr());
    let work = || {
        // SAFETY: three words, and no id above 2.
        let added = unsafe { section::add::<_, 3>(Table::new(&slots), first, 7) };
        assert_eq!(added, Ok(()));
    };
    // SAFETY: the words are this thread's.
    unsafe { testing::on_cpu(SLOTS as u32 - 1, work) };
    assert_eq!(
        words.map(AtomicU64::into_inner),
        [0, 0, 7],
        "id 2 has the third"
    );
}

/// Libc's threads have entered from the start.
#[test]
fn threads_that_have_not_entered_touch_nothing() {
    let name = "limits::threads_that_have_not_entered_touch_nothing";
    if !in_child(name, without_libcs_areas) || section::SUPPORTED && !percid_registers() {
        return;
    }
    for limit in [0, 1, i32::MAX as u32, u32::MAX] {
        apart(move || all_refuse(limit, NOT_REGISTERED));
    }
}

#[test]
fn threads_that_have_left_touch_nothing() {
    let name = "limits::threads_that_have_left_touch_nothing";
    if !in_child(name, without_libcs_areas) || section::SUPPORTED && !percid_registers() {
        return;
    }
    apart(|| {
        let _ = enter_thread();
        prepare_unload();
        all_refuse(u32::MAX, NOT_REGISTERED);
    });
}

/// Runs in a thread of its own.
fn apart(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work).join().unwrap();
}

#[test]
fn threads_that_lost_their_area_touch_nothing() {
    apart(|| {
        if has_sections() {
            // SAFETY: nothing follows a pointer here.
            let done = unsafe { testing::unregister_thread() };
            assert!(done, "could not unregister");
            all_refuse(u32::MAX, Refusal::NotRegistered);
        }
    });
}

/// glibc registers the threads of registered threads only, and says id 0 in the others.
#[test]
fn threads_that_libc_did_not_register_touch_nothing() {
    apart(|| {
        if has_sections() {
            // SAFETY: nothing follows a pointer here.
            let done = unsafe { testing::unregister_thread() };
            assert!(done, "could not unregister");
            apart(|| {
                all_refuse(u32::MAX, Refusal::NotRegistered);
                none_follows();
            });
        }
    });
}

/// Nor is a pointer followed.
fn none_follows() {
    let memory = Memory::forbidden();
    let pointer = AtomicPtr::new(memory.word.cast());
    let mut target = 0_u64;
    // SAFETY: neither touches the memory, or the test dies.
    unsafe {
        let loaded = section::load_through(&pointer);
        assert_eq!(loaded, Err(Refusal::NotRegistered));
        let copied = section::copy_through(&pointer, (&raw mut target).cast(), 8);
        assert_eq!(copied, Err(Refusal::NotRegistered));
    }
}

/// A function that has run sections may know where its area stands.
#[test]
fn threads_that_leave_within_a_function_touch_nothing() {
    let name = "limits::threads_that_leave_within_a_function_touch_nothing";
    if !in_child(name, without_libcs_areas) || section::SUPPORTED && !percid_registers() {
        return;
    }
    if section::SUPPORTED {
        apart(|| leave_in_between(has_mm_cid()));
    }
}

fn leave_in_between(mm_cid: bool) {
    const ROUNDS: u64 = 3;
    section::anchor();
    let word = AtomicU64::new(7);
    let pointer = AtomicPtr::new(word.as_ptr().cast());
    let stripes = Stripes::new();
    let limit = AtomicU32::new(u32::MAX);
    let forbidden = WordAddress::new(Memory::forbidden().word);
    for _ in 0..ROUNDS {
        enter_thread().unwrap();
        // SAFETY: the word outlives this.
        while unsafe { section::load_through(&pointer) } != Ok(7) {}
        if mm_cid {
            stripes.count();
        }
        prepare_unload();
        let index = MmCid { limit: &limit };
        // SAFETY: neither touches the memory, or the test dies.
        let (added, through) = unsafe {
            (
                section::increment::<_, 6>(index, forbidden),
                section::load_through(&pointer),
            )
        };
        assert_eq!(added, Err(Refusal::NotRegistered));
        assert_eq!(through, Err(Refusal::NotRegistered));
    }
    assert_eq!(stripes.sum(), if mm_cid { ROUNDS } else { 0 });
}

/// The operations do work on memory that may be touched.
#[test]
fn below_the_limit_they_touch_it() {
    if !has_sections() {
        return;
    }
    let memory = Memory::zeros();
    let slots = slots(1);
    let mut outcomes = Vec::new();
    // SAFETY: memory of this test's own, and no id but 0.
    unsafe {
        every(Table::new(&slots), memory, |name, outcome| {
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
