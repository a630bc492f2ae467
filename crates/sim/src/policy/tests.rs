//! Each machine by hand, step by step, against what its source says.

use crate::bill::Time;
use crate::costs::Costs;
use crate::machine::Machine;
use crate::policy::Name;
use crate::stage::Stage;

const MS: Time = 1_000_000;

/// Threads of one process, all made by CPU 0.
fn stage(policy: Name, cpus: u32, threads: u32) -> Stage {
    let machine = Machine::flat(cpus).unwrap();
    let mut stage = Stage::new(machine, Costs::default(), policy.make(), 0);
    stage.add_process();
    for thread in 0..threads {
        stage.add_thread(0);
        stage.born(0, thread, None, 0);
    }
    stage
}

/// A thread goes to a CPU, whatever it did before.
fn put(stage: &mut Stage, cpu: u32, thread: u32, now: Time) -> Option<u32> {
    let at = stage.world.threads[thread as usize].cpu;
    if stage.world.running(at) == Some(thread) {
        stage.switch(at, None, false, now);
    }
    stage.migrate(cpu, thread, cpu, now);
    stage.switch(cpu, Some(thread), false, now);
    stage.id(thread)
}

#[test]
fn linux_6_3_hands_over_within_a_process() {
    let mut it = stage(Name::Linux63, 2, 3);
    assert_eq!(put(&mut it, 0, 0, 0), Some(0));
    assert_eq!(put(&mut it, 1, 1, 0), Some(1));
    let locks = it.tally.locks;
    it.switch(0, Some(2), false, MS);
    assert_eq!((it.id(0), it.id(2)), (None, Some(0)));
    assert_eq!(it.tally.locks, locks);
    it.switch(0, None, false, MS);
    assert_eq!((it.tally.locks, it.held()), (locks + 1, 1));
}

#[test]
fn v3_gets_the_id_anew_after_a_migration() {
    let mut it = stage(Name::V3, 2, 1);
    assert_eq!(put(&mut it, 0, 0, 0), Some(0));
    assert_eq!(put(&mut it, 1, 0, MS), Some(0));
    assert_eq!(it.held(), 1);
    // Back on a CPU whose id is higher than the last one: that is dropped.
    let mut it = stage(Name::V3, 3, 2);
    put(&mut it, 0, 0, 0);
    put(&mut it, 1, 1, 0);
    assert_eq!(it.id(1), Some(1));
    it.switch(1, None, false, MS);
    it.switch(0, None, false, MS);
    assert_eq!(put(&mut it, 1, 0, MS), Some(0));
    assert_eq!(it.held(), 1);
}

#[test]
fn v6_takes_ids_back_after_a_period() {
    let mut it = stage(Name::V6, 3, 1);
    assert_eq!(put(&mut it, 0, 0, 0), Some(0));
    assert_eq!(put(&mut it, 1, 0, MS), Some(1));
    assert_eq!(put(&mut it, 2, 0, 2 * MS), Some(2));
    it.tick(2, 0, 90 * MS);
    assert_eq!((it.held(), it.tally.scans), (3, 0));
    it.tick(2, 0, 150 * MS);
    assert_eq!((it.held(), it.tally.scans), (1, 1));
    // Its own id is old, too, and a lower one is free.
    it.switch(2, None, false, 151 * MS);
    assert_eq!(put(&mut it, 2, 0, 151 * MS), Some(0));
}

#[test]
fn linux_6_4_moves_the_id() {
    for name in [Name::Linux64, Name::Linux613, Name::Linux614] {
        let mut it = stage(name, 3, 2);
        assert_eq!(put(&mut it, 0, 0, 0), Some(0));
        assert_eq!(put(&mut it, 1, 1, 0), Some(1));
        assert_eq!(put(&mut it, 2, 1, MS), Some(1));
        assert_eq!(it.held(), 2);
        // It moves although a lower one is free by now.
        it.died(0, 0, 2 * MS);
        it.switch(0, None, true, 2 * MS);
        assert_eq!(put(&mut it, 1, 1, 3 * MS), Some(1));
        // Somebody of the process runs at the source: nothing moves.
        let mut it = stage(name, 3, 3);
        put(&mut it, 0, 0, 0);
        it.switch(0, Some(1), false, MS);
        assert_eq!(it.id(1), Some(0));
        assert_eq!(put(&mut it, 1, 0, MS), Some(1));
    }
}

/// Two threads pause, a third never does; then the second comes first.
fn after_pause(name: Name) -> Option<u32> {
    let mut it = stage(name, 4, 3);
    put(&mut it, 0, 0, 0);
    put(&mut it, 1, 1, 0);
    put(&mut it, 2, 2, 0);
    assert_eq!(it.id(2), Some(2));
    it.switch(1, None, false, 5 * MS);
    it.switch(2, None, false, 5 * MS);
    it.tick(0, 0, 120 * MS);
    it.tick(0, 0, 240 * MS);
    assert_eq!(it.held(), 1, "{name}");
    put(&mut it, 2, 2, 250 * MS)
}

#[test]
fn only_6_13_remembers() {
    assert_eq!(after_pause(Name::V6), Some(1));
    assert_eq!(after_pause(Name::Linux64), Some(1));
    assert_eq!(after_pause(Name::Linux613), Some(2));
    assert_eq!(after_pause(Name::Linux614), Some(2));
}

#[test]
fn linux_6_14_forgets_ids_above_the_bound() {
    let recent = |name| {
        let mut it = stage(name, 4, 3);
        put(&mut it, 0, 0, 0);
        put(&mut it, 1, 1, 0);
        put(&mut it, 2, 2, 0);
        it.switch(1, None, false, 5 * MS);
        // Thread 2 ends where it held id 2; then thread 1 comes to its CPU.
        it.died(2, 2, 6 * MS);
        it.switch(2, None, true, 6 * MS);
        it.tick(0, 0, 120 * MS);
        it.tick(0, 0, 240 * MS);
        put(&mut it, 2, 1, 250 * MS)
    };
    assert_eq!(recent(Name::Linux613), Some(2));
    assert_eq!(recent(Name::Linux614), Some(1));
}

#[test]
fn linux_6_19_changes_its_mode() {
    let mut it = stage(Name::Linux619, 4, 4);
    for thread in 0..4 {
        assert_eq!(put(&mut it, thread, thread, 0), Some(thread));
    }
    assert_eq!((it.held(), it.tally.mode_changes), (4, 0));
    // One more than CPUs: who runs keeps its id until it is switched away.
    it.add_thread(0);
    it.born(0, 4, None, MS);
    assert_eq!(it.tally.mode_changes, 1);
    assert_eq!(it.id(4), None);
    assert_eq!(it.id(3), Some(3));
    it.switch(3, Some(4), false, 2 * MS);
    assert_eq!(it.id(4), Some(3));
    assert_eq!((it.id(3), it.held()), (None, 4));
    // Back below half of the CPUs: the last one owns its id again.
    for (cpu, thread) in [(3, 4), (2, 2), (1, 1)] {
        it.died(cpu, thread, 3 * MS);
        it.switch(cpu, None, true, 3 * MS);
    }
    assert_eq!(it.tally.mode_changes, 1);
    it.switch(3, Some(3), false, 4 * MS);
    it.died(3, 3, 5 * MS);
    it.switch(3, None, true, 5 * MS);
    assert_eq!(it.tally.mode_changes, 2);
    assert_eq!((it.id(0), it.held()), (Some(0), 1));
    it.switch(0, None, false, 6 * MS);
    assert_eq!(put(&mut it, 1, 0, 6 * MS), Some(0));
}

#[test]
fn a_strict_domain_stays_below_its_threads() {
    let mut it = stage(Name::Strict, 8, 2);
    for hop in 0..40 {
        let id = put(&mut it, hop % 8, hop % 2, Time::from(hop) * MS);
        assert!(id.is_some_and(|id| id < 2), "{id:?}");
        assert!(it.held() <= 2);
    }
    assert!(it.tally.fences > 0);
    // When one leaves, what was above its bound is dropped.
    let at = it.world.threads[1].cpu;
    put(&mut it, at, 1, 50 * MS);
    it.died(at, 1, 51 * MS);
    it.switch(at, None, true, 51 * MS);
    assert_eq!(it.held(), 1);
    assert_eq!(put(&mut it, 5, 0, 52 * MS), Some(0));
}

#[test]
fn a_relaxed_domain_has_a_budget() {
    let mut it = stage(Name::Relaxed, 64, 1);
    for hop in 0..32 {
        put(&mut it, hop, 0, Time::from(hop) * MS);
    }
    // Eight were taken along, the rest are fresh.
    assert_eq!((it.tally.fences, it.held()), (8, 24));
}

#[test]
fn a_victim_is_interrupted_and_gets_another_id() {
    // Two threads, but three CPUs have held ids of two.
    let mut it = stage(Name::Strict, 3, 2);
    put(&mut it, 0, 0, 0);
    put(&mut it, 1, 1, 0);
    it.add_thread(0);
    it.born(0, 2, None, MS);
    assert_eq!(put(&mut it, 2, 2, MS), Some(2));
    // The bound falls below id 2, whose owner runs on.
    it.died(1, 1, 2 * MS);
    it.switch(1, None, true, 2 * MS);
    assert_eq!(it.id(2), None);
    assert!(it.take_operate().contains(&2));
    it.operate(2, 2, 2 * MS + 1000);
    assert!(it.id(2).is_some_and(|id| id < 2), "{:?}", it.id(2));
}
