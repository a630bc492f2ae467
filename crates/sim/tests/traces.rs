//! Traces: real forms, and whatever bytes there may be.

use percid_sim::{Costs, Error, Machine, Name, Trace, TraceError, TraceFault};
use proptest::prelude::*;

/// As perf 6.1 prints it by itself.
const PLAIN: &str = "\
            perf 20634 [000]   734.893843:       sched:sched_waking: comm=migration/0 pid=18 prio=0 target_cpu=000
            perf 20634 [000]   734.893850:       sched:sched_switch: prev_comm=perf prev_pid=20634 prev_prio=120 prev_state=D ==> next_comm=migration/0 next_pid=18 next_prio=0
     migration/0    18 [000]   734.893856: sched:sched_migrate_task: comm=perf pid=20634 prio=120 orig_cpu=0 dest_cpu=1
     migration/0    18 [000]   734.893878:       sched:sched_switch: prev_comm=migration/0 prev_pid=18 prev_prio=0 prev_state=S ==> next_comm=a [0] b next_pid=20651 next_prio=120
         swapper     0 [001]   734.893900:       sched:sched_switch: prev_comm=swapper/1 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm=perf next_pid=20634 next_prio=120
             :-1    -1 [000]   734.894000:       sched:sched_switch: prev_comm=a [0] b prev_pid=20651 prev_prio=120 prev_state=X ==> next_comm=a [0] b next_pid=20540 next_prio=120
         a [0] b 20540 [000]   734.894039: sched:sched_process_fork: comm=a [0] b pid=20540 child_comm=a [0] b child_pid=20652
         a [0] b 20540 [000]   734.894100:       sched:sched_switch: prev_comm=a [0] b prev_pid=20540 prev_prio=120 prev_state=S ==> next_comm=swapper/0 next_pid=0 next_prio=120
";

/// With the pid, and in the other form of a switch.
const NAMED: &str = "\
# a comment
worker  100/101  [003]  12.000001000: sched:sched_switch: worker:101 [120] S ==> swapper/3:0 [120]
swapper    0/0   [002]  12.000002000: sched:sched_switch: swapper/2:0 [120] R ==> worker:102 [120]
worker  100/102  [002]  12.000900000: sched:sched_switch: worker:102 [120] R+ ==> other:200 [120]
other   200/200  [002]  12.001000000: sched:sched_switch: other:200 [120] S ==> worker:101 [120]
worker  100/101  [002]  12.002000000: sched:sched_switch: worker:101 [120] S ==> swapper/2:0 [120]
";

fn read(text: &str) -> Result<Trace, TraceError> {
    Trace::read(text.as_bytes())
}

fn fault(text: &str) -> (u64, TraceFault) {
    let error = read(text).unwrap_err();
    (error.line, error.what)
}

#[test]
fn both_forms_are_read() {
    let plain = read(PLAIN).unwrap();
    assert_eq!((plain.cpus(), plain.events()), (2, 6));
    assert!(!plain.knows_processes());
    let named = read(NAMED).unwrap();
    assert_eq!((named.cpus(), named.events()), (4, 5));
    assert!(named.knows_processes());
}

#[test]
fn every_policy_replays_them() {
    for text in [PLAIN, NAMED] {
        let trace = read(text).unwrap();
        let machine = Machine::flat(trace.cpus()).unwrap();
        for policy in Name::ALL {
            let report = trace.replay(machine, &Costs::default(), policy).unwrap();
            assert!(report.tally.switches >= 5, "{policy}");
            assert!(report.ids.highest >= 1, "{policy}");
            assert!(report.busy > 0 && report.duration > 0, "{policy}");
        }
    }
}

#[test]
fn processes_are_told_by_their_pid() {
    let trace = read(NAMED).unwrap();
    let machine = Machine::flat(4).unwrap();
    let report = trace
        .replay(machine, &Costs::default(), Name::Thread)
        .unwrap();
    // Threads 101 and 102 are one process, 200 is another.
    assert_eq!((report.threads, report.ids.highest), (2, 2));
}

#[test]
fn a_process_is_chosen_by_name() {
    let trace = read(NAMED).unwrap();
    let worker = trace.busiest(None).unwrap();
    assert_eq!(trace.name_of(worker), "worker");
    let other = trace.busiest(Some("other")).unwrap();
    assert_eq!(trace.name_of(other), "other");
    assert_eq!(trace.busiest(Some("nobody")), None);
    let machine = Machine::flat(4).unwrap();
    let report = trace
        .replay_of(other, machine, &Costs::default(), Name::V6)
        .unwrap();
    assert_eq!(report.threads, 1);
    // Whatever number is given.
    trace
        .replay_of(99, machine, &Costs::default(), Name::Strict)
        .unwrap();
}

#[test]
fn a_machine_that_is_too_small() {
    let trace = read(NAMED).unwrap();
    let machine = Machine::flat(2).unwrap();
    let error = trace
        .replay(machine, &Costs::default(), Name::V6)
        .unwrap_err();
    assert_eq!(
        error,
        Error::SmallMachine {
            machine: 2,
            trace: 4
        }
    );
}

#[test]
fn what_is_no_trace_is_said_with_its_line() {
    assert_eq!(fault(""), (1, TraceFault::Empty));
    assert!(matches!(fault("hello\n"), (1, TraceFault::Foreign(_))));
    let cut = &PLAIN[..PLAIN.len() - 9];
    assert_eq!(fault(cut), (8, TraceFault::CutOff));
    let lines: Vec<&str> = NAMED.lines().collect();
    let swapped = format!("{}\n{}\n", lines[3], lines[2]);
    assert_eq!(fault(&swapped), (2, TraceFault::Backwards(898_000)));
    let no_next = NAMED.replace("==> worker:102 [120]", "==> worker");
    let (line, what) = fault(&no_next);
    assert_eq!((line, what.to_string().contains("next thread")), (3, true));
    assert_eq!(
        fault(&NAMED.replace("[003]", "[9000]")).1,
        TraceFault::Cpu(9000)
    );
    let long = format!("{NAMED}x 1/1 [0] 99999.0: sched:sched_switch: a:1 [1] S ==> b:2 [1]\n");
    assert_eq!(fault(&long), (7, TraceFault::TooLong));
    let other = "x 1 [0] 1.0: sched:sched_stat_runtime: comm=x pid=1 runtime=5 [ns]\n";
    assert_eq!(fault(other), (2, TraceFault::Empty));
    let error = Trace::read(&b"\xff\xfe\n"[..]).unwrap_err();
    assert!(matches!(error.what, TraceFault::Foreign(_)));
    assert!(error.to_string().starts_with("line 1: "), "{error}");
    let endless = vec![b'x'; 100_000];
    let error = Trace::read(&endless[..]).unwrap_err();
    assert!(matches!(error.what, TraceFault::Foreign(_)));
}

/// Lines with anything in the places of numbers and states.
fn line() -> impl Strategy<Value = String> {
    let tid = 0..6u64;
    (
        (0..5u64, 0..200u64),
        (tid.clone(), tid),
        prop::sample::select(vec!["S", "R", "X", "Z", "", "R+"]),
        0..8u8,
    )
        .prop_map(|((cpu, step), (prev, next), state, form)| {
            // Times grow by the line's number, which `lines` puts in.
            let head = format!("t {0}/{1} [{cpu:03}] @{step}:", prev % 2, prev);
            match form {
                0 => format!(
                    "{head} sched:sched_migrate_task: comm=t pid={prev} prio=1 orig_cpu=0 dest_cpu={cpu}"
                ),
                1 => format!("{head} sched:sched_wakeup: t:{prev} [1] success=1 CPU:{cpu}"),
                2..=4 => format!(
                    "{head} sched:sched_switch: prev_comm=t prev_pid={prev} prev_prio=1 \
                     prev_state={state} ==> next_comm=t next_pid={next} next_prio=1"
                ),
                _ => format!("{head} sched:sched_switch: t:{prev} [1] {state} ==> t:{next} [1]"),
            }
        })
}

fn lines() -> impl Strategy<Value = String> {
    prop::collection::vec(line(), 0..60).prop_map(|lines| {
        let mut at = 0.0;
        let mut text = String::new();
        for line in lines {
            let (head, rest) = line.split_once('@').unwrap();
            let (step, rest) = rest.split_once(':').unwrap();
            at += step.parse::<f64>().unwrap() / 1000.0;
            text += &format!("{head}{at:.6}:{rest}\n");
        }
        text
    })
}

fn try_all(bytes: &[u8]) {
    if let Ok(trace) = Trace::read(bytes) {
        let machine = Machine::flat(trace.cpus()).unwrap();
        for policy in Name::ALL {
            trace.replay(machine, &Costs::default(), policy).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        try_all(&bytes);
    }

    #[test]
    fn any_order_of_events_is_no_panic(text in lines()) {
        // Threads that run on two CPUs, die twice, or were never seen.
        try_all(text.as_bytes());
    }

    #[test]
    fn damaged_traces_are_no_panic(
        which in any::<bool>(),
        damage in prop::collection::vec((0..1200usize, any::<u8>(), 0..3u8), 1..6),
    ) {
        let mut bytes = if which { PLAIN } else { NAMED }.as_bytes().to_vec();
        for (place, byte, kind) in damage {
            let place = place % bytes.len().max(1);
            match kind {
                0 => bytes.truncate(place),
                1 if !bytes.is_empty() => bytes[place] = byte,
                _ => bytes.insert(place, byte),
            }
        }
        try_all(&bytes);
    }
}
