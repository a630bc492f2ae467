//! Traces of real runs: the text of `perf sched script`.
//!
//! ```text
//! perf sched record -- program
//! perf sched script -F comm,pid,tid,cpu,time,event,trace > run.txt
//! ```
//!
//! With the pid beside the tid, as asked for here, threads are put into their processes.
//! Without it, as `perf sched script` prints by itself, threads of the same name are
//! taken for one process.
//!
//! The switches of the trace drive a policy as they are: what the policy costs is
//! counted, but does not change when anything happens.

mod parse;
mod replay;

use std::io::BufRead;

use crate::bill::Time;
use crate::costs::Costs;
use crate::error::Error;
use crate::machine::{MOST_CPUS, Machine};
use crate::policy::Name;
use crate::report::Report;
use crate::scenario::MOST_DURATION;

use self::parse::{Happened, Parser, Record};

/// Longer lines are of no trace.
const LONGEST_LINE: u64 = 1 << 16;

/// What is wrong with a trace, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct TraceError {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong.
    pub what: TraceFault,
}

/// What is wrong with a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceFault {
    /// Another kind of file.
    #[error(
        "this is no output of perf sched script ({0}); make a trace with: perf sched record -- \
         PROGRAM; perf sched script -F comm,pid,tid,cpu,time,event,trace > FILE"
    )]
    Foreign(&'static str),
    /// The file ends in the middle of a line.
    #[error("the trace is cut off here: its last line has no end")]
    CutOff,
    /// An event that lacks a part.
    #[error("the event {event} has no readable {part}")]
    Event {
        /// Which event.
        event: &'static str,
        /// What it lacks.
        part: &'static str,
    },
    /// Events must be in the order of time.
    #[error("time goes back by {0} ns")]
    Backwards(Time),
    /// More than can be simulated.
    #[error("the trace is longer than an hour")]
    TooLong,
    /// A CPU that no machine has.
    #[error("CPU {0} is too large: CPUs are below {MOST_CPUS}")]
    Cpu(u64),
    /// Nothing to replay.
    #[error("the trace holds no context switch; record it with perf sched record")]
    Empty,
    /// The file could not be read.
    #[error("it cannot be read: {0}")]
    Io(String),
}

/// A trace that was read.
#[derive(Clone, Debug)]
pub struct Trace {
    pub(crate) records: Vec<Record>,
    /// The process of each thread.
    pub(crate) processes: Vec<u32>,
    /// The name of each thread.
    names: Vec<String>,
    cpus: u32,
    /// Whether it says which threads are of one process.
    knows_processes: bool,
}

impl Trace {
    /// Reads the output of `perf sched script`.
    ///
    /// # Errors
    ///
    /// With the line, if it is not that, or not whole.
    pub fn read(mut from: impl BufRead) -> Result<Trace, TraceError> {
        let mut parser = Parser::default();
        let mut records: Vec<Record> = Vec::new();
        let (mut line, mut number) = (Vec::new(), 0);
        let (mut first, mut last) = (None, 0);
        loop {
            line.clear();
            number += 1;
            let fault = |what| TraceError { line: number, what };
            let mut limited = std::io::Read::take(&mut from, LONGEST_LINE);
            let read = limited.read_until(b'\n', &mut line);
            match read {
                Ok(0) => break,
                Ok(_) if line.last() == Some(&b'\n') => {}
                Ok(length) if length as u64 == LONGEST_LINE => {
                    return Err(fault(TraceFault::Foreign("a line of more than 64 KiB")));
                }
                Ok(_) => return Err(fault(TraceFault::CutOff)),
                Err(error) => return Err(fault(TraceFault::Io(error.to_string()))),
            }
            let Ok(text) = std::str::from_utf8(&line) else {
                return Err(fault(TraceFault::Foreign("bytes that are no text")));
            };
            let Some((at, happened)) = parser.line(text).map_err(fault)? else {
                continue;
            };
            let since = *first.get_or_insert(at);
            if at < last {
                return Err(fault(TraceFault::Backwards(last - at)));
            }
            last = at;
            if at - since > MOST_DURATION {
                return Err(fault(TraceFault::TooLong));
            }
            if let Some(happened) = happened {
                let at = at - since;
                records.push(Record { at, happened });
            }
        }
        let switches = |record: &Record| matches!(record.happened, Happened::Switch { .. });
        if !records.iter().any(switches) {
            return Err(TraceError {
                line: number.max(1),
                what: TraceFault::Empty,
            });
        }
        let knows_processes = parser.knows_processes();
        Ok(Trace {
            cpus: parser.cpus(),
            processes: parser.processes(),
            names: parser.names(),
            knows_processes,
            records,
        })
    }

    /// CPUs that the trace names.
    #[must_use]
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Number of events that matter.
    #[must_use]
    pub fn events(&self) -> usize {
        self.records.len()
    }

    /// Whether the trace says which threads are of one process; otherwise names decide.
    #[must_use]
    pub fn knows_processes(&self) -> bool {
        self.knows_processes
    }

    /// The process that is switched to most often, of those with a thread of that name, if
    /// one is given; `None` if there is none.
    #[must_use]
    pub fn busiest(&self, name: Option<&str>) -> Option<u32> {
        let mut turns = vec![0u64; self.processes.len()];
        for record in &self.records {
            if let Happened::Switch {
                next: Some(next), ..
            } = record.happened
            {
                turns[self.processes[next as usize] as usize] += 1;
            }
        }
        let named = self.processes.iter().zip(&self.names);
        named
            .filter(|(_, of)| name.is_none_or(|name| name == of.as_str()))
            .map(|(&process, _)| process)
            .max_by_key(|&process| (turns[process as usize], std::cmp::Reverse(process)))
    }

    /// The name of the first thread of a process.
    #[must_use]
    pub fn name_of(&self, process: u32) -> &str {
        let place = self.processes.iter().position(|&it| it == process);
        place.map_or("", |place| &self.names[place])
    }

    /// Drives a policy, and looks at the ids of the [`busiest`](Trace::busiest) process.
    ///
    /// # Errors
    ///
    /// If the machine has fewer CPUs than the trace.
    pub fn replay(&self, machine: Machine, costs: &Costs, policy: Name) -> Result<Report, Error> {
        let subject = self.busiest(None).unwrap_or(0);
        self.replay_of(subject, machine, costs, policy)
    }

    /// The same, of a certain process.
    ///
    /// # Errors
    ///
    /// As [`replay`](Trace::replay).
    pub fn replay_of(
        &self,
        subject: u32,
        machine: Machine,
        costs: &Costs,
        policy: Name,
    ) -> Result<Report, Error> {
        if machine.cpus() < self.cpus {
            return Err(Error::SmallMachine {
                machine: machine.cpus(),
                trace: self.cpus,
            });
        }
        Ok(replay::replay(self, subject, machine, costs, policy))
    }
}
