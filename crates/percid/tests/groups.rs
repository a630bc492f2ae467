//! A group of processes that one signal ends, in the midst of what its threads do: what
//! they shared with others stays whole, and what was theirs alone is nobody's loss.
#![cfg(all(target_os = "linux", target_pointer_width = "64", not(loom)))]

use std::fs;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memmap2::MmapRaw;
use percid::file::{Arena, Reader};
use percid::{Bound, Counter, Domain};

/// Processes of a group, and threads of each.
const MEMBERS: usize = 3;
const THREADS: usize = 3;

/// Which member a process is, and where it counts.
const MEMBER: &str = "PERCID_GROUP_TEST_MEMBER";
const PLACE: &str = "PERCID_GROUP_TEST_PLACE";

const TEST: &str = "a_group_that_is_killed_leaves_the_file_whole";

/// What each thread has counted, for all processes to see.
struct Told(MmapRaw);

impl Told {
    fn at(path: &Path) -> Told {
        let mut options = fs::OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).unwrap();
        file.set_len(4096).unwrap();
        Told(MmapRaw::map_raw(&file).unwrap())
    }

    fn word(&self, thread: usize) -> &AtomicU64 {
        assert!(thread < 512);
        // SAFETY: a mapping of a page, used as such words only.
        unsafe { AtomicU64::from_ptr(self.0.as_mut_ptr().cast::<u64>().add(thread)) }
    }

    fn all(&self) -> impl Iterator<Item = u64> {
        (0..MEMBERS * THREADS).map(|thread| self.word(thread).load(Ordering::Relaxed))
    }
}

fn start(member: usize, place: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", TEST, "--test-threads=1"])
        .env(MEMBER, member.to_string())
        .env(PLACE, place);
    command
}

/// Counts until it is killed: in the file, and in a domain of its own, whose only id its
/// threads take from one another all the time.
#[expect(clippy::zombie_processes, reason = "all of the group is killed")]
fn count_for_ever(member: usize, place: &Path) {
    if member == 0 {
        for other in 1..MEMBERS {
            // They have this one's standard output.
            start(other, place).spawn().expect("a process");
        }
    }
    let counter = Arena::in_file(place.join("counts"))
        .unwrap()
        .counter("adds")
        .unwrap();
    let told = Told::at(&place.join("told"));
    let domain = Domain::builder()
        .bound(Bound::At(1))
        .period(Duration::from_millis(1))
        .build()
        .unwrap();
    let own = Counter::in_domain(&domain).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (counter, told, own, domain) = (&counter, &told, &own, &domain);
            scope.spawn(move || {
                let _joined = domain.join();
                loop {
                    own.inc();
                    counter.inc();
                    told.word(member * THREADS + thread)
                        .fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
}

/// Kills the group, whatever becomes of the test.
struct Group(Child);

impl Group {
    fn kill(&self) {
        let group = -self.0.id().cast_signed();
        // SAFETY: a group that this test has made; its leader was not waited for.
        unsafe { libc::kill(group, libc::SIGKILL) };
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_group_that_is_killed_leaves_the_file_whole() {
    if let Ok(member) = std::env::var(MEMBER) {
        let place = PathBuf::from(std::env::var_os(PLACE).expect("a place"));
        return count_for_ever(member.parse().expect("a number"), &place);
    }
    let place = std::env::temp_dir().join(format!("percid-group-test-{}", std::process::id()));
    fs::create_dir(&place).expect("a directory");
    let path = place.join("counts");
    let told = Told::at(&place.join("told"));
    // This process counts in the same file all along.
    let mine = Arena::in_file(&path).unwrap().counter("adds").unwrap();
    let (mut added, mut least) = (0, 0);
    for round in 1..=3 {
        let before: Vec<u64> = told.all().collect();
        let mut command = start(0, &place);
        let leader = command.process_group(0).stdout(Stdio::piped()).spawn();
        let mut group = Group(leader.expect("a process"));
        let begun = Instant::now();
        while told.all().zip(&before).any(|(now, &then)| now < then + 200) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "they do not count"
            );
            (0..10).for_each(|_| mine.inc());
            added += 10;
            std::thread::yield_now();
        }
        group.kill();
        // Until the last thread of the group has ended, and with it its output.
        let mut output = String::new();
        let stdout = group.0.stdout.as_mut().expect("a pipe");
        stdout.read_to_string(&mut output).unwrap();
        let status = group.0.wait().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{output}");
        least = told.all().sum::<u64>();
        // Each thread has at most one add committed that it has not told of.
        let most = least + round * (MEMBERS * THREADS) as u64;
        let theirs = mine.sum() - added;
        assert!(
            (least..=most).contains(&theirs),
            "{theirs} of {least}..={most}"
        );
    }
    // And whoever is left counts on.
    let before = mine.sum();
    (0..1000).for_each(|_| mine.inc());
    assert_eq!(mine.sum(), before + 1000);
    let totals = Reader::attach(&path).unwrap().totals();
    assert_eq!((totals.len(), totals[0].total), (1, before + 1000));
    println!("{least} adds by those that were killed, {added} beside them");
    fs::remove_dir_all(&place).unwrap();
}
