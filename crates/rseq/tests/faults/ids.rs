//! The ids that a thread reads are those that the kernel gives.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use percid_rseq::{possible_cpus, registration, thread_ids};

use crate::child::{in_child, without_libcs_areas};
use crate::host::{allowed_cpus, has_mm_cid, has_sections, pin_to};

/// CPU and node of the calling thread, by system call.
fn cpu_and_node() -> (u32, u32) {
    let (mut cpu, mut node) = (0_u32, 0_u32);
    let nothing = std::ptr::null_mut::<u32>();
    // SAFETY: valid places.
    let result = unsafe { libc::syscall(libc::SYS_getcpu, &raw mut cpu, &raw mut node, nothing) };
    assert_eq!(result, 0);
    (cpu, node)
}

fn on_every_cpu() {
    if !has_sections() {
        return;
    }
    let has_node = registration().unwrap().features.node_id;
    for cpu in allowed_cpus() {
        pin_to(cpu);
        let (kernels, ids) = (cpu_and_node(), thread_ids().unwrap());
        assert_eq!((ids.cpu, ids.cpu as usize), (kernels.0, cpu));
        if has_node {
            assert_eq!(ids.node, kernels.1, "the node of CPU {cpu}");
        }
        assert!(ids.cpu < possible_cpus() && ids.mm_cid < possible_cpus());
    }
}

#[test]
fn cpu_and_node_are_those_of_getcpu() {
    if in_child("ids::cpu_and_node_are_those_of_getcpu", |_| ()) {
        on_every_cpu();
    }
}

#[test]
fn cpu_and_node_are_those_of_getcpu_in_areas_of_percid() {
    let name = "ids::cpu_and_node_are_those_of_getcpu_in_areas_of_percid";
    if in_child(name, without_libcs_areas) {
        on_every_cpu();
    }
}

/// How often the calling thread has given up its CPU, willingly or not.
fn switches() -> libc::c_long {
    // SAFETY: a valid place, which the kernel fills.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage), 0);
        usage.ru_nvcsw + usage.ru_nivcsw
    }
}

/// A barrier at which nobody sleeps.
struct Spin(AtomicU64);

impl Spin {
    /// Waits for the others, `number` of them in all, for the `turn`th time from 1 on.
    fn wait(&self, number: u64, turn: u64) {
        self.0.fetch_add(1, Ordering::AcqRel);
        while self.0.load(Ordering::Acquire) < number * turn {
            std::hint::spin_loop();
        }
    }
}

/// Rounds in which no thread gave up its CPU between two looks at its id: the ids of
/// such a round were held at the same time.
#[test]
fn threads_that_run_at_once_have_ids_that_differ() {
    const ROUNDS: u64 = 5_000;
    const ENOUGH: usize = 200;
    if !has_mm_cid() {
        return;
    }
    let cpus: Vec<usize> = allowed_cpus().into_iter().take(4).collect();
    if cpus.len() < 2 {
        println!("skipped: one CPU, so no two threads run at once");
        return;
    }
    let number = cpus.len() as u64;
    let spin = Spin(AtomicU64::new(0));
    // For each thread, the id of each round if it held it throughout.
    let held: Vec<Vec<Option<u32>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = cpus
            .iter()
            .map(|&cpu| {
                let spin = &spin;
                scope.spawn(move || {
                    pin_to(cpu);
                    assert!(has_mm_cid());
                    let cid = || thread_ids().unwrap().mm_cid;
                    (0..ROUNDS)
                        .map(|round| {
                            let (before, first) = (switches(), cid());
                            spin.wait(number, 2 * round + 1);
                            spin.wait(number, 2 * round + 2);
                            let (after, last) = (switches(), cid());
                            (before == after && first == last).then_some(first)
                        })
                        .collect()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let (mut quiet, mut highest) = (0, 0);
    for round in 0..ROUNDS as usize {
        let ids: Option<Vec<u32>> = held.iter().map(|thread| thread[round]).collect();
        let Some(ids) = ids else { continue };
        quiet += 1;
        highest = highest.max(ids.iter().copied().max().unwrap());
        let different: HashSet<u32> = ids.iter().copied().collect();
        assert_eq!(different.len(), ids.len(), "round {round}: {ids:?}");
        assert!(ids.iter().all(|&id| id < possible_cpus()), "{ids:?}");
        if quiet == ENOUGH {
            break;
        }
    }
    println!("{quiet} rounds, {number} threads, highest id {highest}");
    assert!(quiet > 0, "not one round without a switch");
}
