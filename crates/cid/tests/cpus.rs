//! CPUs that go: offline, or out of a cgroup's set. Only where the machine is the test's
//! own, which `PERCID_OFFLINE_CPU=1` says, and it has more than four CPUs.
#![cfg(all(target_os = "linux", not(loom)))]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use percid_cid::domain::Policy;
use percid_cid::{Bound, Domain};

use common::{Counter, allowed_cpus, domain, pin_to};

const PERIOD: Duration = Duration::from_millis(5);

/// Whether CPUs of this machine may be taken away.
fn is_ours() -> bool {
    let said = std::env::var("PERCID_OFFLINE_CPU").is_ok_and(|said| said == "1");
    let cpus = allowed_cpus().len();
    if !said {
        println!("skipped: PERCID_OFFLINE_CPU=1 would say that this machine is the test's");
    } else if cpus <= 4 {
        println!("skipped: {cpus} CPUs, and it takes more than four");
    }
    said && cpus > 4
}

/// A CPU that is offline until this goes.
struct Offline(PathBuf);

impl Offline {
    /// `None`, and why, if it cannot be.
    fn take(cpu: usize) -> Option<Offline> {
        let path = PathBuf::from(format!("/sys/devices/system/cpu/cpu{cpu}/online"));
        match fs::write(&path, "0") {
            Ok(()) => Some(Offline(path)),
            Err(why) => {
                println!("skipped: {}: {why}", path.display());
                None
            }
        }
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        // No panic: threads may be waiting to be told that this is over.
        if let Err(why) = fs::write(&self.0, "1") {
            println!("{} does not come back: {why}", self.0.display());
        }
    }
}

/// The last CPU, which can go: not the first, which often cannot.
fn last_cpu() -> usize {
    *allowed_cpus().last().expect("a CPU")
}

/// A CPU goes offline with the only id in its slot: the next thread, elsewhere, gets it.
#[test]
fn the_last_id_of_a_cpu_that_goes_offline_is_not_lost() {
    if !is_ours() {
        return;
    }
    for policy in [Policy::V3, Policy::V6, Policy::COMBINED] {
        let Some(domain) = domain(Bound::At(1), PERIOD, policy) else {
            return;
        };
        let (counter, gone) = (Counter::new(&domain), last_cpu());
        let on = |cpu: usize| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    pin_to(&[cpu]);
                    (0..100).for_each(|_| counter.add(1));
                });
            });
        };
        on(gone);
        assert_eq!(domain.ids_in_use(), 1, "{:?}", domain.stats());
        let Some(offline) = Offline::take(gone) else {
            return;
        };
        on(0);
        assert_eq!(domain.ids_in_use(), 1, "{:?}", domain.stats());
        domain.compact();
        assert_eq!(domain.ids_in_use(), 0, "{:?}", domain.stats());
        drop(offline);
        on(gone);
        assert_eq!(counter.total(), 300);
        assert_eq!(
            counter.ids().into_iter().collect::<Vec<_>>(),
            [0],
            "{:?}",
            domain.stats()
        );
    }
}

/// CPUs go and come back under threads that count on them.
#[test]
fn cpus_go_and_come_back_under_threads_that_count() {
    if !is_ours() {
        return;
    }
    for bound in [Bound::Strict, Bound::Relaxed, Bound::At(2)] {
        let Some(domain) = domain(bound, PERIOD, Policy::COMBINED) else {
            return;
        };
        let (counter, done, added) = (
            Counter::new(&domain),
            AtomicBool::new(false),
            AtomicU64::new(0),
        );
        let cpus = allowed_cpus();
        let goers = &cpus[cpus.len() - 2..];
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (counter, done, added) = (&counter, &done, &added);
                scope.spawn(move || {
                    let _joined = counter.domain().join();
                    // Of a CPU that has gone the kernel lets a thread go elsewhere.
                    pin_to(&goers[thread % 2..=thread % 2]);
                    while !done.load(Ordering::Relaxed) {
                        (0..100).for_each(|_| counter.add(1));
                        added.fetch_add(100, Ordering::Relaxed);
                    }
                });
            }
            let mut went = 0;
            for turn in 0..6 {
                let Some(offline) = Offline::take(goers[turn % 2]) else {
                    break;
                };
                went += 1;
                std::thread::sleep(Duration::from_millis(20));
                drop(offline);
                std::thread::sleep(Duration::from_millis(20));
            }
            println!("{bound:?}: {went} times a CPU went");
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(counter.total(), added.into_inner(), "{:?}", domain.stats());
        domain.compact();
        assert_eq!(domain.ids_in_use(), 0, "{:?}", domain.stats());
        println!("{:?}", domain.stats());
    }
}

/// A cgroup of this test's, if cpusets can be had.
struct CpuSet {
    cgroup: PathBuf,
    /// What was mounted for it.
    mounted: Option<PathBuf>,
}

impl CpuSet {
    fn new() -> Result<CpuSet, String> {
        let mounts = fs::read_to_string("/proc/mounts").map_err(|why| why.to_string())?;
        let there = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (place, kind) = (fields.next()?, fields.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(place))
        });
        let (root, mounted) = match there {
            Some(root) => (root, None),
            None => {
                let root = mount()?;
                (root.clone(), Some(root))
            }
        };
        let set = CpuSet {
            cgroup: root.join(format!("percid-test-{}", std::process::id())),
            mounted,
        };
        let failed = |what: &Path, why| format!("{}: {why}", what.display());
        let control = root.join("cgroup.subtree_control");
        fs::write(&control, "+cpuset").map_err(|why| failed(&control, why))?;
        fs::create_dir(&set.cgroup).map_err(|why| failed(&set.cgroup, why))?;
        set.allow("0")?;
        Ok(set)
    }

    fn allow(&self, cpus: &str) -> Result<(), String> {
        let path = self.cgroup.join("cpuset.cpus");
        fs::write(&path, cpus).map_err(|why| format!("{}: {why}", path.display()))
    }

    fn take_in(&self, process: u32) -> Result<(), String> {
        let path = self.cgroup.join("cgroup.procs");
        fs::write(&path, process.to_string()).map_err(|why| format!("{}: {why}", path.display()))
    }
}

fn mount() -> Result<PathBuf, String> {
    let root = std::env::temp_dir().join(format!("percid-cgroup-{}", std::process::id()));
    fs::create_dir(&root).map_err(|why| why.to_string())?;
    let target = std::ffi::CString::new(root.to_str().expect("a name")).expect("no zero");
    let kind = c"cgroup2".as_ptr();
    // SAFETY: strings that end, and no data.
    let done = unsafe { libc::mount(kind, target.as_ptr(), kind, 0, std::ptr::null()) };
    if done == 0 {
        return Ok(root);
    }
    let why = std::io::Error::last_os_error();
    let _ = fs::remove_dir(&root);
    Err(format!("no cgroup2 is mounted, nor can be: {why}"))
}

impl Drop for CpuSet {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.cgroup);
        if let Some(root) = &self.mounted {
            let target = std::ffi::CString::new(root.to_str().expect("a name")).expect("no zero");
            // SAFETY: a string that ends.
            unsafe { libc::umount(target.as_ptr()) };
            let _ = fs::remove_dir(root);
        }
    }
}

/// Set for the process whose set of CPUs changes.
const CHANGES: &str = "PERCID_CPUSET_TEST";

/// Counts in threads until its standard input ends.
fn count_until_told() {
    let Some(domain) = domain(Bound::Strict, PERIOD, Policy::COMBINED) else {
        return;
    };
    let (counter, done, added) = (
        Counter::new(&domain),
        AtomicBool::new(false),
        AtomicU64::new(0),
    );
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let _joined = domain.join();
                while !done.load(Ordering::Relaxed) {
                    (0..100).for_each(|_| counter.add(1));
                    added.fetch_add(100, Ordering::Relaxed);
                }
            });
        }
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(counter.total(), added.into_inner(), "{:?}", domain.stats());
    assert!(
        counter.ids().iter().all(|&id| id < 4),
        "{:?}",
        counter.ids()
    );
    shows_nothing_left(&domain);
}

fn shows_nothing_left(domain: &Domain) {
    domain.compact();
    assert_eq!(domain.ids_in_use(), 0, "{:?}", domain.stats());
    println!("{:?}", domain.stats());
}

/// The set of CPUs of a running process changes from outside.
#[test]
fn a_cpuset_that_changes_keeps_the_bound() {
    if std::env::var_os(CHANGES).is_some() {
        return count_until_told();
    }
    if !is_ours() {
        return;
    }
    let set = match CpuSet::new() {
        Ok(set) => set,
        Err(why) => return println!("skipped: {why}"),
    };
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "a_cpuset_that_changes_keeps_the_bound",
            "--nocapture",
        ])
        .env(CHANGES, "1")
        .stdin(Stdio::piped())
        .spawn()
        .expect("a process");
    let changed = set.take_in(child.id()).and_then(|()| {
        ["0-3", "1", "2-4", "0", "3-4", "1-2"]
            .iter()
            .cycle()
            .take(30)
            .try_for_each(|cpus| {
                std::thread::sleep(Duration::from_millis(10));
                set.allow(cpus)
            })
    });
    drop(child.stdin.take().map(|mut input| input.flush()));
    let status = child.wait().expect("its status");
    assert_eq!(changed, Ok(()));
    assert!(status.success(), "{status}");
}
