//! Counters in a file: several processes, faults, and files that are something else.
#![cfg(all(target_os = "linux", target_pointer_width = "64", not(loom)))]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memmap2::MmapRaw;
use percid::file::{Arena, COUNTERS, FileError, NAME_BYTES, Reader};

/// A directory that goes when this goes.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("percid-file-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a directory");
        Directory(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("counts")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn total(path: &Path, name: &str) -> u64 {
    let totals = Reader::attach(path).expect("a file").totals();
    totals
        .iter()
        .find(|one| one.name == name)
        .map_or(0, |one| one.total)
}

#[test]
fn a_name_is_one_counter_wherever_it_is_opened() {
    let directory = Directory::new();
    let path = directory.file();
    let arena = Arena::in_file(&path).unwrap();
    let again = Arena::in_file(&path).unwrap();
    let (hits, misses) = (
        arena.counter("hits").unwrap(),
        arena.counter("misses").unwrap(),
    );
    let same = again.counter("hits").unwrap();
    hits.add(3);
    same.inc();
    misses.add(u64::MAX);
    assert_eq!((hits.sum(), same.sum()), (4, 4));
    let reader = Reader::attach(&path).unwrap();
    let seen: Vec<_> = reader
        .totals()
        .into_iter()
        .map(|one| (one.name, one.total))
        .collect();
    assert_eq!(
        seen,
        [("hits".to_owned(), 4), ("misses".to_owned(), u64::MAX)]
    );
    assert!(reader.cpus() >= 1);
    // It stays when everybody has gone.
    drop((arena, again, hits, misses, same, reader));
    assert_eq!(total(&path, "hits"), 4);
    assert_eq!(
        Arena::in_file(&path)
            .unwrap()
            .counter("hits")
            .unwrap()
            .sum(),
        4
    );
}

#[test]
fn threads_with_sections_and_without_meet_in_one_file() {
    const ADDS: u64 = 20_000;
    let directory = Directory::new();
    let path = directory.file();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let arena = if thread % 2 == 0 {
                    Arena::in_file(path)
                } else {
                    Arena::in_file_on_fallback(path)
                };
                let counter = arena.unwrap().counter("both").unwrap();
                (0..ADDS).for_each(|add| counter.add(1 + add % 2));
            });
        }
    });
    assert_eq!(total(&path, "both"), 8 * ADDS * 3 / 2);
}

/// Set for a process that a test has started, with what it shall do.
const ROLE: &str = "PERCID_FILE_TEST_ROLE";
const FILE: &str = "PERCID_FILE_TEST_FILE";

fn start(test: &str, role: &str, path: &Path, backend: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", test, "--test-threads=1"])
        .env(ROLE, role)
        .env(FILE, path)
        .stdout(Stdio::null());
    if let Some(backend) = backend {
        command.env("PERCID_BACKEND", backend);
    }
    command.spawn().expect("a process")
}

fn role() -> Option<(String, PathBuf)> {
    let role = std::env::var(ROLE).ok()?;
    Some((role, PathBuf::from(std::env::var_os(FILE)?)))
}

#[test]
fn four_processes_count_exactly() {
    const ADDS: u64 = 50_000;
    if let Some((_, path)) = role() {
        let counter = Arena::in_file(path).unwrap().counter("adds").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..ADDS).for_each(|_| counter.inc()));
            }
        });
        return;
    }
    let directory = Directory::new();
    let path = directory.file();
    // All of them find no file.
    let backends = [None, None, Some("table"), Some("fallback")];
    let children =
        backends.map(|backend| start("four_processes_count_exactly", "count", &path, backend));
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(total(&path, "adds"), 4 * 2 * ADDS);
    let left: Vec<_> = fs::read_dir(&directory.0).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// A word that another process sees.
struct Progress(MmapRaw);

impl Progress {
    fn at(path: &Path) -> Progress {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .unwrap();
        file.set_len(4096).unwrap();
        Progress(MmapRaw::map_raw(&file).unwrap())
    }

    fn word(&self) -> &AtomicU64 {
        // SAFETY: a mapping of a page, used as this one word only.
        unsafe { AtomicU64::from_ptr(self.0.as_mut_ptr().cast()) }
    }
}

#[test]
fn a_killed_writer_loses_nothing_that_it_counted() {
    const TEST: &str = "a_killed_writer_loses_nothing_that_it_counted";
    if let Some((role, path)) = role() {
        let counter = Arena::in_file(&path).unwrap().counter("adds").unwrap();
        let progress = Progress::at(Path::new(&role));
        loop {
            counter.inc();
            progress.word().fetch_add(1, Ordering::Relaxed);
        }
    }
    let directory = Directory::new();
    let path = directory.file();
    let progress_file = directory.0.join("progress");
    let progress = Progress::at(&progress_file);
    let mut at_least = 0;
    for round in 1..=6 {
        let backend = (round % 3 == 0).then_some("fallback");
        let mut child = start(TEST, progress_file.to_str().unwrap(), &path, backend);
        let start = Instant::now();
        while progress.word().load(Ordering::Relaxed) < at_least + 1000 {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "the child does nothing"
            );
            assert!(child.try_wait().unwrap().is_none(), "the child has ended");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        at_least = progress.word().load(Ordering::Relaxed);
        let total = total(&path, "adds");
        // At most one add of each round had committed and was not told.
        assert!(
            (at_least..=at_least + round).contains(&total),
            "{total}, told {at_least}"
        );
    }
}

#[test]
fn a_child_of_fork_counts_on_in_the_same_file() {
    let directory = Directory::new();
    let path = directory.file();
    let counter = Arena::in_file(&path).unwrap().counter("adds").unwrap();
    counter.add(10);
    // SAFETY: the child adds and leaves: nothing that needs a lock of another thread.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            counter.add(100);
            // SAFETY: ends the child without running what the parent has set up.
            unsafe { libc::_exit(0) };
        }
        nix::unistd::ForkResult::Parent { child } => {
            nix::sys::wait::waitpid(child, None).unwrap();
        }
    }
    counter.add(1000);
    assert_eq!(counter.sum(), 1110);
}

#[test]
fn racing_makers_agree() {
    const THREADS: usize = 8;
    const NAMES: usize = 40;
    let directory = Directory::new();
    let path = directory.file();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let arena = Arena::in_file(&path).unwrap();
                for name in 0..NAMES {
                    arena.counter(&format!("counter {name}")).unwrap().inc();
                }
            });
        }
    });
    let totals = Reader::attach(&path).unwrap().totals();
    assert_eq!(totals.len(), NAMES);
    assert!(
        totals.iter().all(|one| one.total == THREADS as u64),
        "{totals:?}"
    );
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let directory = Directory::new();
    let path = directory.file();
    drop(Arena::in_file(&path).unwrap().counter("old").unwrap());
    let good = fs::read(&path).unwrap();
    let cut = |length: usize| good[..length].to_vec();
    let with = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        bytes
    };
    let cases: [(Vec<u8>, &str); 8] = [
        (Vec::new(), "not a file of counters"),
        (b"#!/bin/sh\n".to_vec(), "not a file of counters"),
        (vec![0; good.len()], "not a file of counters"),
        (cut(8), "cut short"),
        (cut(4096), "cut short"),
        (cut(good.len() - 1), "cut short"),
        (
            with(
                if cfg!(target_endian = "little") {
                    8
                } else {
                    11
                },
                2,
            ),
            "version 2",
        ),
        (with(12, 99), "header was overwritten"),
    ];
    for (bytes, message) in cases {
        fs::write(&path, &bytes).unwrap();
        for refused in [
            Arena::in_file(&path).unwrap_err(),
            Reader::attach(&path).unwrap_err(),
        ] {
            assert!(refused.to_string().contains(message), "{refused}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "{message}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        Reader::attach(&path),
        Err(FileError::System {
            os_error: libc::ENOENT,
            ..
        })
    ));
    assert!(Arena::in_file(directory.0.join("no such/counts")).is_err());
    assert!(Arena::in_file(&directory.0).is_err());
}

#[test]
fn names_that_cannot_be() {
    let directory = Directory::new();
    let arena = Arena::in_file(directory.file()).unwrap();
    let long = "n".repeat(NAME_BYTES);
    assert!(arena.counter(&long).is_ok());
    for name in ["", "two\nlines", "\u{7f}", &(long + "n")] {
        assert_eq!(
            arena.counter(name).unwrap_err(),
            FileError::Name,
            "{name:?}"
        );
    }
    // Cut at a length, it would not be the same name.
    assert!(arena.counter("größe").is_ok());
    assert_eq!(arena.totals().len(), 2);
}

#[test]
fn names_that_others_have_written_are_harmless() {
    use std::os::unix::fs::FileExt;

    let directory = Directory::new();
    let path = directory.file();
    let arena = Arena::in_file(&path).unwrap();
    arena.counter("good").unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let mut entry = *b"........\x1b[2Jcleared\xff";
    entry[..8].copy_from_slice(&u64::MAX.to_ne_bytes());
    file.write_all_at(&entry, (1 << 16) + 64).unwrap();
    let names: Vec<String> = arena.totals().into_iter().map(|one| one.name).collect();
    assert_eq!(names[0], "good");
    assert!(
        names[1].starts_with("\u{fffd}[2Jcleared\u{fffd}"),
        "{names:?}"
    );
    assert!(!names[1].contains(char::is_control));
    // A length that cannot be leaves the others as they are.
    arena.counter("more").unwrap().add(2);
    assert_eq!(arena.totals()[2].total, 2);
}

#[test]
fn a_full_file_says_so() {
    use std::os::unix::fs::FileExt;

    let directory = Directory::new();
    let path = directory.file();
    let arena = Arena::in_file(&path).unwrap();
    let last = arena.counter("first").unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for index in 1..COUNTERS as u64 {
        let mut entry = [0; 64];
        entry[..8].copy_from_slice(&5_u64.to_ne_bytes());
        entry[8..13].copy_from_slice(format!("{index:05}").as_bytes());
        file.write_all_at(&entry, (1 << 16) + index * 64).unwrap();
    }
    assert_eq!(arena.counter("one more").unwrap_err(), FileError::Full);
    let known = arena.counter("00077").unwrap();
    known.add(7);
    last.add(1);
    assert_eq!((known.sum(), arena.totals()[77].total), (7, 7));
    let at_the_end = arena.counter(&format!("{:05}", COUNTERS - 1)).unwrap();
    at_the_end.add(9);
    assert_eq!(arena.totals()[COUNTERS - 1].total, 9);
    assert_eq!(last.sum(), 1);
}
