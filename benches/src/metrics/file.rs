//! Counters in a file: threads of one process, and four processes at the same time.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use percid::Counter;
use percid::file::{self, Arena};

use crate::Error;
use crate::error::expect;
use crate::suite::{Done, Fresh, OPERATIONS, Timed, Workload};
use crate::tally::Tally;

pub(super) const IMPLEMENTATIONS: [Timed; 4] = [
    Timed {
        name: "percid",
        make: |_| Ok(Box::new(InFile::new("percid", Arena::in_file)?)),
    },
    Timed {
        name: "percid:counter",
        make: |_| Ok(Box::new(Private)),
    },
    Timed {
        name: "thread_local",
        make: |_| Ok(Box::<ThreadLocal>::default()),
    },
    Timed {
        name: "percid_fallback",
        make: |_| {
            Ok(Box::new(InFile::new(
                "percid_fallback",
                Arena::in_file_on_fallback,
            )?))
        },
    },
];

/// A file that goes when this goes.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Temporary {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("percid-bench-{}-{number}", std::process::id());
        Temporary(std::env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Adds 1 so often, never two in one.
macro_rules! additions {
    ($rounds:expr, $add:expr) => {
        for _ in 0..$rounds {
            for _ in 0..OPERATIONS {
                $add;
                compiler_fence(Ordering::SeqCst);
            }
        }
    };
}

struct InFile {
    name: &'static str,
    counter: file::Counter,
    before: Tally,
    /// After the counter, which has it mapped.
    _file: Temporary,
}

impl InFile {
    fn new(
        name: &'static str,
        open: fn(PathBuf) -> Result<Arena, file::FileError>,
    ) -> Result<InFile, Error> {
        let file = Temporary::new();
        let counter = open(file.0.clone()).and_then(|arena| arena.counter("additions"));
        Ok(InFile {
            name,
            counter: counter.map_err(|why| Error::File {
                implementation: name,
                why,
            })?,
            before: Tally::default(),
            _file: file,
        })
    }
}

impl Workload for InFile {
    fn begin(&self) {
        self.before.reset();
        self.before.add(self.counter.sum());
    }

    fn run(&self, _: usize, rounds: u64) {
        let counter = self.counter.clone();
        additions!(rounds, counter.inc());
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect(
            self.name,
            self.counter.sum() - self.before.get(),
            done.operations,
        )
    }
}

static PRIVATE: Counter = Counter::new();

struct Private;

impl Workload for Private {
    fn begin(&self) {
        let _ = PRIVATE.take();
    }

    fn run(&self, _: usize, rounds: u64) {
        additions!(rounds, PRIVATE.inc());
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect("percid:counter", PRIVATE.sum(), done.operations)
    }
}

std::thread_local! {
    static OWN: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[derive(Default)]
struct ThreadLocal(Tally);

impl Workload for ThreadLocal {
    fn begin(&self) {
        self.0.reset();
    }

    fn run(&self, _: usize, rounds: u64) {
        additions!(rounds, OWN.set(OWN.get() + 1));
        self.0.add(OWN.take());
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect("thread_local", self.0.get(), done.operations)
    }
}

/// How many processes count at the same time.
pub(super) const PROCESSES: usize = 4;

/// Additions of each.
const ADDITIONS: u64 = 10_000_000;

pub(super) const PROCESSES_OF: [Fresh; 3] = [
    Fresh {
        name: "percid",
        measure: || {
            let shared = InFile::new("percid", Arena::in_file)?;
            let time = in_processes(|| {
                additions!(ADDITIONS / OPERATIONS, shared.counter.inc());
                0
            })?;
            expect("percid", shared.counter.sum(), PROCESSES as u64 * ADDITIONS)?;
            Ok(time)
        },
    },
    Fresh {
        name: "percid:counter",
        measure: || {
            in_processes(|| {
                let _ = PRIVATE.take();
                additions!(ADDITIONS / OPERATIONS, PRIVATE.inc());
                i32::from(PRIVATE.sum() != ADDITIONS)
            })
        },
    },
    Fresh {
        name: "thread_local",
        measure: || {
            in_processes(|| {
                additions!(ADDITIONS / OPERATIONS, OWN.set(OWN.get() + 1));
                i32::from(OWN.get() != ADDITIONS)
            })
        },
    },
];

/// Nanoseconds of CPU time for each addition, in several processes that all do the work
/// at the same time, and return 0 if they have done it right.
fn in_processes(work: impl Fn() -> i32) -> Result<f64, Error> {
    let mut ends = [0; 2];
    // SAFETY: a place for two descriptors.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
        return Err(Error::Process(std::io::Error::last_os_error()));
    }
    // SAFETY: made above, and nobody else's.
    let [mut from, mut to] = ends.map(|end| unsafe { File::from_raw_fd(end) });
    for _ in 0..PROCESSES {
        // SAFETY: this process has one thread, so the child may do what it likes.
        match unsafe { libc::fork() } {
            -1 => return Err(Error::Process(std::io::Error::last_os_error())),
            0 => {
                let start = cpu_time();
                let outcome = work();
                let time = cpu_time() - start;
                let written = to.write_all(&time.to_ne_bytes());
                // SAFETY: ends this process and runs nothing of the parent's.
                unsafe { libc::_exit(if written.is_ok() { outcome } else { 1 }) };
            }
            _ => {}
        }
    }
    drop(to);
    let mut failed = false;
    for _ in 0..PROCESSES {
        let mut status = 0;
        // SAFETY: a place for the status.
        unsafe { libc::wait(&raw mut status) };
        failed |= status != 0;
    }
    let mut times = Vec::new();
    from.read_to_end(&mut times).map_err(Error::Process)?;
    let times = times
        .as_chunks::<8>()
        .0
        .iter()
        .map(|&bytes| u64::from_ne_bytes(bytes));
    let (count, sum) = times.fold((0, 0), |(count, sum), time| (count + 1, sum + time));
    if failed || count != PROCESSES as u64 {
        return Err(Error::Process(std::io::Error::other(
            "a process counted wrong",
        )));
    }
    Ok(sum as f64 / (PROCESSES as u64 * ADDITIONS) as f64)
}

/// What this process has used, in nanoseconds.
fn cpu_time() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
