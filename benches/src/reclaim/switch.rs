//! Threads that wake each other, and read a shared object each time they run: what
//! will-it-scale's `context_switch1_threads` does, where the kernel adopts an address space
//! at every switch.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::{Object, Reclaiming};
use crate::Error;
use crate::suite::{Done, OPERATIONS, Timed, Workload};
use crate::tally::Tally;

const NUMBER: u64 = 7;

/// The implementation for the case `switch`: each thread has a partner.
pub(crate) const fn of<R: Reclaiming<u64>>() -> Timed {
    Timed {
        name: R::NAME,
        make: |threads| {
            let object = Arc::new(Shared {
                object: R::new(NUMBER)?,
                sum: Tally::default(),
            });
            let pair = |number| Pair::start(&object, number).map(Mutex::new);
            Ok(Box::new(Switching {
                pairs: (0..threads).map(pair).collect::<Result<_, _>>()?,
                object,
            }))
        },
    }
}

struct Shared<R> {
    object: R,
    sum: Tally,
}

impl<R: Reclaiming<u64>> Shared<R> {
    /// What each of a pair does when it runs.
    fn read(&self) -> u64 {
        let mut reader = self.object.reader();
        R::read(&mut reader, Object::number)
    }
}

struct Switching<R> {
    object: Arc<Shared<R>>,
    pairs: Vec<Mutex<Pair>>,
}

impl<R> Switching<R> {
    fn pair(&self, thread: usize) -> MutexGuard<'_, Pair> {
        let pair = self.pairs[thread].lock();
        pair.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that answers each byte by what it has read.
struct Pair {
    /// Nothing, when it is to end.
    there: Option<PipeWriter>,
    back: PipeReader,
    partner: Option<JoinHandle<()>>,
}

impl Pair {
    fn start<R: Reclaiming<u64>>(object: &Arc<Shared<R>>, number: usize) -> Result<Pair, Error> {
        let failed = |why| Error::Thread { number, why };
        let (mut its_input, there) = pipe().map_err(failed)?;
        let (back, mut its_output) = pipe().map_err(failed)?;
        let object = Arc::clone(object);
        let partner = thread::Builder::new()
            .spawn(move || {
                let mut byte = [0];
                while its_input.read_exact(&mut byte).is_ok() {
                    byte[0] = object.read() as u8;
                    if its_output.write_all(&byte).is_err() {
                        break;
                    }
                }
            })
            .map_err(failed)?;
        Ok(Pair {
            there: Some(there),
            back,
            partner: Some(partner),
        })
    }

    /// There and back; what the partner has read, 0 if a pipe failed.
    fn switch(&mut self) -> u64 {
        let mut byte = [0];
        let there = self.there.as_mut().map(|there| there.write_all(&byte));
        let sent = matches!(there, Some(Ok(())));
        if sent && self.back.read_exact(&mut byte).is_ok() {
            byte[0].into()
        } else {
            0
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        drop(self.there.take());
        if let Some(partner) = self.partner.take() {
            let _ = partner.join();
        }
    }
}

impl<R: Reclaiming<u64>> Workload for Switching<R> {
    fn begin(&self) {
        self.object.sum.reset();
    }

    fn run(&self, thread: usize, rounds: u64) {
        let mut pair = self.pair(thread);
        let mut sum = 0;
        for _ in 0..rounds * OPERATIONS {
            sum += self.object.read() + pair.switch();
        }
        self.object.sum.add(sum);
    }

    /// Both of a pair have read each time.
    fn check(&self, done: Done) -> Result<(), Error> {
        crate::error::expect(R::NAME, self.object.sum.get(), 2 * NUMBER * done.operations)
    }
}
