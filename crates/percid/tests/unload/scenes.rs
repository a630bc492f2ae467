//! What happens to threads when the library goes.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Barrier;

use percid::Counter;
use percid_rseq::section;

use crate::plugin::Plugin;
use crate::support::{Side, handle, in_child, panics_end_the_process, split, without_libcs_areas};

const THREADS: usize = 3;

fn as_it_is(_: &mut Command) {}

fn on_the_fallback(child: &mut Command) {
    child.env("PERCID_BACKEND", "fallback");
}

/// Whether percid can use sections in a process that is prepared like this, which is
/// for the child to say.
fn on_sections(plugin: &Plugin) -> bool {
    let on_sections = plugin.owner() != "nobody";
    if !on_sections {
        println!("no sections here");
    }
    on_sections
}

extern "C" fn ignore(_: i32) {}

/// Is preempted, gives the CPU away, and takes signals: the kernel looks at the last
/// section each time.
fn live_on() {
    for _ in 0..200 {
        // SAFETY: a signal that is handled.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) };
        std::thread::yield_now();
        (0..100).for_each(|_| std::hint::spin_loop());
    }
}

/// The process's timer, for as long as it lives.
fn start_timer() {
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: 500,
    };
    let timer = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: valid values.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}

/// The number of the next key that libc would give to anybody.
fn next_key() -> libc::pthread_key_t {
    let mut key = 0;
    // SAFETY: a valid place; nobody has used the key when it is deleted.
    unsafe {
        assert_eq!(libc::pthread_key_create(&raw mut key, None), 0);
        libc::pthread_key_delete(key);
    }
    key
}

/// Threads use a library, leave it, see it go, live on, and use it again when it is
/// back; some sleep while it goes, and all end without it.
fn comes_and_goes(expected: Option<&str>) {
    const ROUNDS: u64 = 60;
    const COUNTS: u64 = 20_000;
    panics_end_the_process();
    handle(libc::SIGUSR1, ignore);
    handle(libc::SIGALRM, ignore);
    start_timer();
    let keys = next_key();
    let barrier = Barrier::new(THREADS + 2);
    let plugin = std::sync::RwLock::new(None);
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for number in 0..=THREADS {
            let (barrier, plugin) = (&barrier, &plugin);
            threads.push(scope.spawn(move || {
                for round in 0..ROUNDS {
                    barrier.wait(); // the library is there
                    let guard = plugin.read().unwrap();
                    let library: &Plugin = guard.as_ref().unwrap();
                    (0..round % 3).for_each(|_| library.count_and_leave(COUNTS / 2));
                    library.count(COUNTS - round % 3 * (COUNTS / 2));
                    library.leave();
                    assert!(!library.armed());
                    assert!(library.owner() != "percid" || !library.registered());
                    drop(guard);
                    barrier.wait(); // the library goes
                    if number < THREADS {
                        live_on();
                    }
                    barrier.wait(); // the library has gone
                }
                live_on();
            }));
        }
        for round in 0..ROUNDS {
            let library = Plugin::load();
            assert_eq!(library.sum(), 0, "round {round}: a fresh copy");
            if let Some(expected) = expected.filter(|_| section::SUPPORTED) {
                assert_eq!(library.owner(), expected);
            }
            library.leave();
            *plugin.write().unwrap() = Some(library);
            barrier.wait();
            barrier.wait();
            let library = plugin.write().unwrap().take().unwrap();
            assert_eq!(
                library.sum(),
                (THREADS as u64 + 1) * COUNTS,
                "round {round}"
            );
            library.unload();
            live_on();
            barrier.wait();
        }
        // Each ends without the library whose thread-locals it had.
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(next_key(), keys, "keys were used up");
}

#[test]
fn threads_leave_with_libcs_areas() {
    let name = "scenes::threads_leave_with_libcs_areas";
    if in_child(name, as_it_is) {
        comes_and_goes(None);
    }
}

#[test]
fn threads_leave_with_areas_of_percid() {
    let name = "scenes::threads_leave_with_areas_of_percid";
    if in_child(name, without_libcs_areas) {
        comes_and_goes(Some("percid"));
    }
}

#[test]
fn threads_leave_on_the_fallback() {
    let name = "scenes::threads_leave_on_the_fallback";
    if in_child(name, on_the_fallback) {
        comes_and_goes(Some("nobody"));
    }
}

/// The host has a percid of its own, and a section of its own in the same area.
#[test]
fn the_host_counts_on_with_its_own_copy() {
    static COUNTER: Counter = Counter::new();
    let name = "scenes::the_host_counts_on_with_its_own_copy";
    if !in_child(name, as_it_is) {
        return;
    }
    handle(libc::SIGUSR1, ignore);
    for round in 1..=20 {
        let plugin = Plugin::load();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        plugin.count_and_leave(1);
                        COUNTER.inc();
                    }
                });
            }
        });
        assert_eq!(plugin.sum(), THREADS as u64 * 1000);
        plugin.unload();
        live_on();
        assert_eq!(COUNTER.sum(), round * THREADS as u64 * 1000);
    }
}

/// A thread has one area. The copy that comes second does without, until the first
/// has left and it has itself.
#[test]
fn two_copies_take_turns() {
    if !in_child("scenes::two_copies_take_turns", without_libcs_areas) {
        return;
    }
    let copy = std::env::temp_dir().join(format!("percid-test-plugin-{}.so", std::process::id()));
    std::fs::copy(Plugin::file(), &copy).unwrap();
    let (first, second) = (Plugin::load(), Plugin::load_file(&copy));
    std::fs::remove_file(&copy).unwrap();
    // Each chooses while it is alone.
    let sections = on_sections(&first);
    first.leave();
    if !(sections && on_sections(&second)) {
        return;
    }
    second.leave();
    for _ in 0..3 {
        first.count(10);
        second.count(10);
        assert!(first.registered() && !second.registered());
        first.leave();
        second.count(10);
        assert!(
            !second.registered(),
            "a refusal stands until the thread leaves"
        );
        second.leave();
        second.count(10);
        assert!(second.registered() && !first.registered());
        second.leave();
    }
    assert_eq!((first.sum(), second.sum()), (30, 90));
    first.unload();
    second.unload();
    handle(libc::SIGUSR1, ignore);
    live_on();
}

/// libc calls the same functions of a library when it unloads it and when the process
/// exits, and then other threads still run, enter and end.
fn exits_while_threads_count(name: &str, prepare: fn(&mut Command)) {
    static COUNTER: Counter = Counter::new();
    for _ in 0..20 {
        let Side::Parent(output) = split(name, prepare) else {
            let plugin: &'static Plugin = Box::leak(Box::new(Plugin::load()));
            let count = || {
                COUNTER.inc();
                plugin.count(1);
            };
            for _ in 0..THREADS {
                std::thread::spawn(move || {
                    loop {
                        std::thread::spawn(count).join().unwrap();
                        (0..100).for_each(|_| count());
                    }
                });
            }
            while COUNTER.sum() < 1000 {
                std::thread::yield_now();
            }
            std::process::exit(EXITED);
        };
        assert_eq!(output.status.code(), Some(EXITED), "{output:?}");
    }
}

/// How a child ends that did not come to the end of its test.
const EXITED: i32 = 78;

#[test]
fn the_process_exits_with_libcs_areas() {
    let name = "scenes::the_process_exits_with_libcs_areas";
    exits_while_threads_count(name, as_it_is);
}

#[test]
fn the_process_exits_with_areas_of_percid() {
    let name = "scenes::the_process_exits_with_areas_of_percid";
    exits_while_threads_count(name, without_libcs_areas);
}

/// How the child of a negative control ends if it is not killed.
const NO_SECTIONS: i32 = 77;

/// Runs `scene` in children until one is killed for a section that is gone. Others
/// may live: the kernel forgets a section by itself when it happens to preempt the
/// thread just after it.
fn is_killed(name: &str, prepare: fn(&mut Command), scene: fn(&Plugin)) {
    const TRIES: usize = 30;
    for _ in 0..TRIES {
        match split(name, prepare) {
            Side::Child => {
                panics_end_the_process();
                handle(libc::SIGUSR1, ignore);
                let plugin = Plugin::load();
                if !on_sections(&plugin) {
                    std::process::exit(NO_SECTIONS);
                }
                plugin.leave();
                scene(&plugin);
                std::process::exit(0);
            }
            Side::Parent(output) => match (output.status.signal(), output.status.code()) {
                (Some(libc::SIGSEGV), _) => return,
                (None, Some(0)) => {}
                (None, Some(NO_SECTIONS)) => {
                    println!("skipped: no sections here, and so nothing to forget");
                    return;
                }
                _ => panic!("{output:?}"),
            },
        }
    }
    panic!("{name}: no thread was killed, so leaving the library proves nothing");
}

/// Unloads a library that its owner keeps.
fn unload(plugin: &Plugin) {
    // SAFETY: the owner exits without another use.
    unsafe { std::ptr::read(plugin) }.unload();
}

/// The control of all of the above.
fn uses_and_does_not_leave(plugin: &Plugin) {
    plugin.count(1);
    unload(plugin);
    live_on();
}

/// A fence is no way out: it does not reach a thread that sleeps.
fn sleeps_through(plugin: &Plugin) {
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            barrier.wait();
            plugin.count(1);
            barrier.wait(); // sleeps, but for the one that comes last
            barrier.wait();
            live_on();
        });
        barrier.wait();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let _ = percid_rseq::membarrier::fence();
        unload(plugin);
        barrier.wait();
        barrier.wait();
    });
}

#[test]
fn a_thread_that_stays_is_killed_with_libcs_areas() {
    let name = "scenes::a_thread_that_stays_is_killed_with_libcs_areas";
    is_killed(name, as_it_is, uses_and_does_not_leave);
}

#[test]
fn a_thread_that_stays_is_killed_with_areas_of_percid() {
    let name = "scenes::a_thread_that_stays_is_killed_with_areas_of_percid";
    is_killed(name, without_libcs_areas, uses_and_does_not_leave);
}

#[test]
fn a_thread_that_sleeps_through_is_killed() {
    let name = "scenes::a_thread_that_sleeps_through_is_killed";
    is_killed(name, as_it_is, sleeps_through);
}
