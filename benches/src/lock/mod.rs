//! Locks in objects, and where they are placed.
//!
//! | case | what is done |
//! | --- | --- |
//! | `read` | every thread tries to read one object, and releases it |
//! | `neighbours` | every thread reads an object of its own, beside the next thread's |
//! | `release` | 1,000 write locks are released |
//! | `faults` | two threads read objects at random, and a writer comes now and then: elapsed time |
//! | `faults_cpu` | the same: time on CPUs, which a lock that sleeps does not use |
//! | `sharing` | locks that share a cache line, by their addresses |
//!
//! `faults` is the pattern of page faults: the kernel's areas with their locks. They can
//! stand in four ways.
//!
//! | implementation | the lock stands | its addresses modulo 64 |
//! | --- | --- | --- |
//! | `percid:embedded` | in the object, of 48 bytes at 16-byte alignment | 0, 16, 32, 48: a quarter each |
//! | `percid:aligned` | in the object, which has lines of its own | 0: all |
//! | `percid:apart` | in an allocation with the other locks | 0, 8, ... 56: an eighth each |
//! | `percid:apart_aligned` | the same, each on a line of its own | 0: all |
//! | `thread_local` | in objects of the thread's own, which no writer can reach | |
//!
//! Two objects of 48 bytes meet on most lines; eight locks of 8 bytes on every line. A
//! reader of one then takes the line from the readers of the others, though no lock is
//! contended. Apart and aligned a reader needs two lines for each object.

mod faults;
mod placement;
mod read;
mod release;

use self::placement::{Aligned, Apart, ApartAligned, Embedded};
use self::read::{OfParkingLot, OfStd, OfThread, One};
use crate::compare::ratio;
use crate::suite::{Case, Suite, Who};

/// The suite `lock`.
pub static SUITE: Suite = Suite {
    name: "lock",
    about: "locks in objects, beside RwLock",
    available: || Ok(()),
    cases: &[
        Case::timed(
            "read",
            "every thread tries to read one object, and releases it",
            "ns/pair",
            Who::All,
            &[
                read::of::<One>(),
                read::of::<OfParkingLot>(),
                read::of::<OfStd>(),
                read::of::<OfThread>(),
            ],
        ),
        Case::timed(
            "neighbours",
            "every thread reads an object of its own, beside the next thread's",
            "ns/pair",
            Who::All,
            &[
                read::neighbours::<Aligned>(),
                read::neighbours::<Embedded>(),
                read::neighbours::<ApartAligned>(),
                read::neighbours::<Apart>(),
                read::of::<OfThread>(),
            ],
        ),
        Case::fresh(
            "release",
            "1,000 write locks are released",
            "ns",
            1,
            &[
                release::PERCID,
                release::PARKING_LOT,
                release::STD,
                release::OF_THREAD,
            ],
        ),
        Case::fresh(
            "faults",
            "two threads read objects at random, and a writer comes now and then: elapsed",
            "ns/read",
            faults::READERS,
            &[
                faults::elapsed::<Embedded>(),
                faults::elapsed::<Aligned>(),
                faults::elapsed::<Apart>(),
                faults::elapsed::<ApartAligned>(),
                faults::OF_THREAD_ELAPSED,
            ],
        ),
        Case::fresh(
            "faults_cpu",
            "two threads read objects at random, and a writer comes now and then: on CPUs",
            "ns/read",
            faults::READERS,
            &[
                faults::on_cpu::<Embedded>(),
                faults::on_cpu::<Aligned>(),
                faults::on_cpu::<Apart>(),
                faults::on_cpu::<ApartAligned>(),
                faults::OF_THREAD_ON_CPU,
            ],
        ),
        Case::fresh(
            "sharing",
            "locks on a cache line that has any, by their addresses",
            "locks/line",
            1,
            &[
                placement::sharing::<Embedded>(),
                placement::sharing::<Aligned>(),
                placement::sharing::<Apart>(),
                placement::sharing::<ApartAligned>(),
            ],
        ),
    ],
    comparisons: &[
        ratio(
            "read, 1 thread: percid / parking_lot",
            ("read", "percid", 1),
            ("read", "parking_lot", 1),
        ),
        ratio(
            "read, 1 thread: percid / std",
            ("read", "percid", 1),
            ("read", "std", 1),
        ),
        ratio(
            "read, 2 threads: percid / parking_lot",
            ("read", "percid", 2),
            ("read", "parking_lot", 2),
        ),
        ratio(
            "read, 2 threads: percid / std",
            ("read", "percid", 2),
            ("read", "std", 2),
        ),
        ratio(
            "release of 1,000: percid / parking_lot",
            ("release", "percid", 1),
            ("release", "parking_lot", 1),
        ),
        ratio(
            "release of 1,000: percid / std",
            ("release", "percid", 1),
            ("release", "std", 1),
        ),
        ratio(
            "neighbours, 2 threads: embedded / aligned",
            ("neighbours", "percid:embedded", 2),
            ("neighbours", "percid:aligned", 2),
        ),
        ratio(
            "faults, elapsed: embedded / aligned",
            ("faults", "percid:embedded", faults::READERS),
            ("faults", "percid:aligned", faults::READERS),
        ),
        ratio(
            "faults, on CPUs: embedded / aligned",
            ("faults_cpu", "percid:embedded", faults::READERS),
            ("faults_cpu", "percid:aligned", faults::READERS),
        ),
    ],
};
