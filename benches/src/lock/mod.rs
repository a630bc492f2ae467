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
use crate::Error;
use crate::compare::{Comparison, Which};
use crate::suite::{Case, Method, Suite, Who};

/// The suite `lock`.
pub static SUITE: Suite = Suite {
    name: "lock",
    about: "locks in objects, beside RwLock",
    available: || Ok(()),
    cases: &[
        Case {
            name: "read",
            about: "every thread tries to read one object, and releases it",
            unit: "ns/pair",
            method: Method::Timed {
                who: Who::All,
                implementations: &[
                    read::of::<One>(),
                    read::of::<OfParkingLot>(),
                    read::of::<OfStd>(),
                    read::of::<OfThread>(),
                ],
            },
        },
        Case {
            name: "neighbours",
            about: "every thread reads an object of its own, beside the next thread's",
            unit: "ns/pair",
            method: Method::Timed {
                who: Who::All,
                implementations: &[
                    read::neighbours::<Aligned>(),
                    read::neighbours::<Embedded>(),
                    read::neighbours::<ApartAligned>(),
                    read::neighbours::<Apart>(),
                    read::of::<OfThread>(),
                ],
            },
        },
        Case {
            name: "release",
            about: "1,000 write locks are released",
            unit: "ns",
            method: Method::Fresh {
                threads: 1,
                implementations: &[release::PERCID, release::PARKING_LOT, release::STD],
            },
        },
        Case {
            name: "faults",
            about: "two threads read objects at random, and a writer comes now and then: elapsed",
            unit: "ns/read",
            method: Method::Fresh {
                threads: faults::READERS,
                implementations: &[
                    faults::elapsed::<Embedded>(),
                    faults::elapsed::<Aligned>(),
                    faults::elapsed::<Apart>(),
                    faults::elapsed::<ApartAligned>(),
                ],
            },
        },
        Case {
            name: "faults_cpu",
            about: "two threads read objects at random, and a writer comes now and then: on CPUs",
            unit: "ns/read",
            method: Method::Fresh {
                threads: faults::READERS,
                implementations: &[
                    faults::on_cpu::<Embedded>(),
                    faults::on_cpu::<Aligned>(),
                    faults::on_cpu::<Apart>(),
                    faults::on_cpu::<ApartAligned>(),
                ],
            },
        },
        Case {
            name: "sharing",
            about: "locks on a cache line that has any, by their addresses",
            unit: "locks/line",
            method: Method::Fresh {
                threads: 1,
                implementations: &[
                    placement::sharing::<Embedded>(),
                    placement::sharing::<Aligned>(),
                    placement::sharing::<Apart>(),
                    placement::sharing::<ApartAligned>(),
                ],
            },
        },
    ],
    comparisons: &[
        Comparison {
            what: "read, 1 thread: percid / parking_lot",
            of: which("read", "percid", 1),
            against: Some(which("read", "parking_lot", 1)),
        },
        Comparison {
            what: "read, 1 thread: percid / std",
            of: which("read", "percid", 1),
            against: Some(which("read", "std", 1)),
        },
        Comparison {
            what: "read, 2 threads: percid / parking_lot",
            of: which("read", "percid", 2),
            against: Some(which("read", "parking_lot", 2)),
        },
        Comparison {
            what: "read, 2 threads: percid / std",
            of: which("read", "percid", 2),
            against: Some(which("read", "std", 2)),
        },
        Comparison {
            what: "release of 1,000: percid / parking_lot",
            of: which("release", "percid", 1),
            against: Some(which("release", "parking_lot", 1)),
        },
        Comparison {
            what: "release of 1,000: percid / std",
            of: which("release", "percid", 1),
            against: Some(which("release", "std", 1)),
        },
        Comparison {
            what: "neighbours, 2 threads: embedded / aligned",
            of: which("neighbours", "percid:embedded", 2),
            against: Some(which("neighbours", "percid:aligned", 2)),
        },
        Comparison {
            what: "faults, elapsed: embedded / aligned",
            of: which("faults", "percid:embedded", faults::READERS),
            against: Some(which("faults", "percid:aligned", faults::READERS)),
        },
        Comparison {
            what: "faults, on CPUs: embedded / aligned",
            of: which("faults_cpu", "percid:embedded", faults::READERS),
            against: Some(which("faults_cpu", "percid:aligned", faults::READERS)),
        },
    ],
};

const fn which(case: &'static str, implementation: &'static str, threads: usize) -> Which {
    Which {
        case,
        implementation,
        threads,
    }
}

/// Fails unless `counted` is what was due.
fn expect(implementation: &'static str, counted: u64, expected: u64) -> Result<(), Error> {
    if counted == expected {
        Ok(())
    } else {
        Err(Error::Wrong {
            implementation,
            counted,
            expected,
        })
    }
}
