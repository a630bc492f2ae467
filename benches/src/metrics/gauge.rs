//! Raising and lowering one gauge, in turns.

use std::cell::Cell;
use std::sync::atomic::{Ordering, compiler_fence};

use percid::Gauge;

use crate::Error;
use crate::error::expect;
use crate::suite::{Done, OPERATIONS, Timed, Workload};
use crate::tally::Tally;

pub(super) const IMPLEMENTATIONS: [Timed; 3] = [
    Timed {
        name: "percid",
        make: |_| Ok(Box::new(Percid)),
    },
    Timed {
        name: "thread_local",
        make: |_| Ok(Box::<ThreadLocal>::default()),
    },
    Timed {
        name: "prometheus",
        make: |_| Ok(Box::<Prometheus>::default()),
    },
];

/// Three times up and once down.
macro_rules! rounds {
    ($rounds:expr, $raise:expr, $lower:expr) => {
        for _ in 0..$rounds {
            for _ in 0..OPERATIONS / 4 {
                $raise;
                compiler_fence(Ordering::SeqCst);
                $raise;
                compiler_fence(Ordering::SeqCst);
                $lower;
                compiler_fence(Ordering::SeqCst);
                $raise;
                compiler_fence(Ordering::SeqCst);
            }
        }
    };
}

/// What is left of so many operations.
const fn left(operations: u64) -> u64 {
    operations / 2
}

static GAUGE: Gauge = Gauge::new();

struct Percid;

impl Workload for Percid {
    fn begin(&self) {
        GAUGE.set(0);
    }

    fn run(&self, _: usize, rounds: u64) {
        rounds!(rounds, GAUGE.inc(), GAUGE.dec());
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect("percid", GAUGE.sum().cast_unsigned(), left(done.operations))
    }
}

std::thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}

#[derive(Default)]
struct ThreadLocal(Tally);

impl Workload for ThreadLocal {
    fn begin(&self) {
        self.0.reset();
    }

    fn run(&self, _: usize, rounds: u64) {
        rounds!(rounds, OWN.set(OWN.get() + 1), OWN.set(OWN.get() - 1));
        self.0.add(OWN.take());
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect("thread_local", self.0.get(), left(done.operations))
    }
}

#[derive(Default)]
struct Prometheus(prometheus_client::metrics::gauge::Gauge);

impl Workload for Prometheus {
    fn begin(&self) {
        self.0.set(0);
    }

    fn run(&self, _: usize, rounds: u64) {
        rounds!(rounds, self.0.inc(), self.0.dec());
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect(
            "prometheus",
            self.0.get().cast_unsigned(),
            left(done.operations),
        )
    }
}
