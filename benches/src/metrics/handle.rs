//! One hot counter, through a handle that each thread keeps.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use metrics::CounterFn;
use percid::{Recorder, Value};

use crate::Error;
use crate::error::expect;
use crate::suite::{Done, OPERATIONS, Timed, Workload};
use crate::tally::Tally;

pub(super) const IMPLEMENTATIONS: [Timed; 3] = [
    Timed {
        name: "percid",
        make: |_| {
            let recorder = Recorder::new();
            let counter =
                metrics::with_local_recorder(&recorder, || metrics::counter!("operations"));
            let total = move || match recorder.snapshot().first().map(|one| &one.value) {
                Some(&Value::Counter(total)) => total,
                _ => 0,
            };
            Ok(of("percid", counter, Box::new(total)))
        },
    },
    Timed {
        name: "thread_local",
        make: |_| {
            let total = || 0;
            let own = metrics::Counter::from_arc(Arc::new(Own));
            Ok(of("thread_local", own, Box::new(total)))
        },
    },
    Timed {
        name: "atomic",
        make: |_| {
            let total = Arc::new(AtomicU64::new(0));
            let counter = metrics::Counter::from_arc(Arc::clone(&total));
            let total = move || total.load(Ordering::Relaxed);
            Ok(of("atomic", counter, Box::new(total)))
        },
    },
];

struct Handle {
    name: &'static str,
    counter: metrics::Counter,
    total: Box<dyn Fn() -> u64 + Send + Sync>,
    before: Tally,
    /// What threads have for themselves.
    own: Tally,
}

fn of(
    name: &'static str,
    counter: metrics::Counter,
    total: Box<dyn Fn() -> u64 + Send + Sync>,
) -> Box<dyn Workload> {
    Box::new(Handle {
        name,
        counter,
        total,
        before: Tally::default(),
        own: Tally::default(),
    })
}

impl Workload for Handle {
    fn begin(&self) {
        self.own.reset();
        self.before.reset();
        self.before.add((self.total)());
    }

    fn run(&self, _: usize, rounds: u64) {
        let counter = self.counter.clone();
        for _ in 0..rounds {
            for _ in 0..OPERATIONS {
                counter.increment(1);
                compiler_fence(Ordering::SeqCst);
            }
        }
        self.own.add(OWN.take());
    }

    fn check(&self, done: Done) -> Result<(), Error> {
        let counted = (self.total)() - self.before.get() + self.own.get();
        expect(self.name, counted, done.operations)
    }
}

std::thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}

struct Own;

impl CounterFn for Own {
    fn increment(&self, value: u64) {
        OWN.set(OWN.get() + value);
    }

    fn absolute(&self, _: u64) {}
}
