//! Counting under labels that are looked up each time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{Ordering, compiler_fence};

use crate::Error;
use crate::error::expect;
use crate::suite::{Done, OPERATIONS, Timed, Workload};
use crate::tally::Tally;

pub(super) const IMPLEMENTATIONS: [Timed; 3] = [
    Timed {
        name: "percid",
        make: |_| Ok(Box::<Percid>::default()),
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

/// Method and status.
type Labels = (u8, u16);

/// Each of eight sets in turn.
macro_rules! rounds {
    ($rounds:expr, |$labels:ident| $count:expr) => {
        for _ in 0..$rounds {
            for one in 0..OPERATIONS {
                let $labels: Labels = std::hint::black_box((one as u8 % 2, one as u16 / 2));
                $count;
                compiler_fence(Ordering::SeqCst);
            }
        }
    };
}

#[derive(Default)]
struct Percid {
    family: percid::Family<Labels, percid::Counter>,
    before: Tally,
}

impl Percid {
    fn total(&self) -> u64 {
        self.family.iter().map(|(_, counter)| counter).sum()
    }
}

impl Workload for Percid {
    fn begin(&self) {
        self.before.reset();
        self.before.add(self.total());
    }

    fn run(&self, _: usize, rounds: u64) {
        rounds!(rounds, |labels| self.family.get_or_create(&labels).inc());
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect("percid", self.total() - self.before.get(), done.operations)
    }
}

std::thread_local! {
    static OWN: RefCell<HashMap<Labels, u64>> = RefCell::default();
}

#[derive(Default)]
struct ThreadLocal(Tally);

impl Workload for ThreadLocal {
    fn begin(&self) {
        self.0.reset();
    }

    fn run(&self, _: usize, rounds: u64) {
        rounds!(rounds, |labels| OWN
            .with_borrow_mut(|own| *own.entry(labels).or_default() += 1));
        let own = OWN.with_borrow_mut(|own| own.drain().map(|(_, count)| count).sum());
        self.0.add(own);
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect("thread_local", self.0.get(), done.operations)
    }
}

#[derive(Default)]
struct Prometheus {
    family: prometheus_client::metrics::family::Family<
        Labels,
        prometheus_client::metrics::counter::Counter,
    >,
    before: Tally,
}

impl Prometheus {
    fn total(&self) -> u64 {
        let all = (0..OPERATIONS).map(|one| (one as u8 % 2, one as u16 / 2));
        all.map(|labels| self.family.get_or_create(&labels).get())
            .sum()
    }
}

impl Workload for Prometheus {
    fn begin(&self) {
        self.before.reset();
        self.before.add(self.total());
    }

    fn run(&self, _: usize, rounds: u64) {
        rounds!(rounds, |labels| self.family.get_or_create(&labels).inc());
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        expect(
            "prometheus",
            self.total() - self.before.get(),
            done.operations,
        )
    }
}
