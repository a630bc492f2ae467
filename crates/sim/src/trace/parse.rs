//! Lines of `perf sched script`.
//!
//! ```text
//!   name  pid/tid  [cpu]  seconds.fraction:  sched:sched_switch: ...
//! ```
//!
//! A name may hold anything, blanks and brackets included; so the place of the CPU is
//! looked for, as the first bracket that is followed by a time. Two forms of a switch
//! are known: with `prev_pid=` and so on, and with `name:pid [priority] state`.

use std::collections::HashMap;

use super::TraceFault;
use crate::bill::Time;
use crate::machine::MOST_CPUS;

/// Something that happened at a time from the trace's first event on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// When.
    pub(crate) at: Time,
    /// What.
    pub(crate) happened: Happened,
}

/// What happened. Threads are numbered in the order in which they are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    Switch {
        cpu: u32,
        prev: Option<u32>,
        dies: bool,
        next: Option<u32>,
    },
    Migrate {
        thread: u32,
        to: u32,
    },
}

/// A thread of the trace.
#[derive(Clone, Debug, Default)]
struct Seen {
    process: Option<u64>,
    name: String,
}

/// What was learned from lines so far.
#[derive(Debug, Default)]
pub(super) struct Parser {
    cpus: u32,
    numbers: HashMap<u64, u32>,
    threads: Vec<Seen>,
    named: bool,
}

/// The start of a line.
struct Head<'a> {
    tid: Option<u64>,
    pid: Option<u64>,
    cpu: u32,
    at: Time,
    event: &'a str,
    rest: &'a str,
}

fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

/// `12.345678:` as nanoseconds.
fn time(text: &str) -> Option<Time> {
    let (seconds, fraction) = text.split_once('.')?;
    if fraction.len() > 9 {
        return None;
    }
    let scale = 10u64.pow(9 - fraction.len() as u32);
    let seconds = digits(seconds)?.checked_mul(1_000_000_000)?;
    seconds.checked_add(digits(fraction)? * scale)
}

fn head(line: &str) -> Result<Option<Head<'_>>, TraceFault> {
    for (open, _) in line.match_indices('[') {
        let Some((cpu, after)) = line[open + 1..].split_once(']') else {
            continue;
        };
        let Some(cpu) = digits(cpu) else {
            continue;
        };
        let Some((at, after)) = after.trim_start().split_once(':') else {
            continue;
        };
        let Some(at) = time(at.trim()) else {
            continue;
        };
        if cpu >= u64::from(MOST_CPUS) {
            return Err(TraceFault::Cpu(cpu));
        }
        let ids = line[..open].split_whitespace().next_back().unwrap_or("");
        let (pid, tid) = match ids.split_once('/') {
            Some((pid, tid)) => (digits(pid), digits(tid)),
            None => (None, digits(ids)),
        };
        let after = after.trim();
        let (event, rest) = after.split_once(": ").unwrap_or((after, ""));
        return Ok(Some(Head {
            tid,
            pid,
            cpu: cpu as u32,
            at,
            event: event.trim_end_matches(':').trim(),
            rest,
        }));
    }
    Ok(None)
}

/// The text after `name=` up to the next blank.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(name)? + name.len();
    text[start..].split_whitespace().next()
}

/// One side of a switch.
struct Side<'a> {
    tid: u64,
    name: &'a str,
    state: &'a str,
}

fn side<'a>(text: &'a str, which: &str) -> Option<Side<'a>> {
    let (comm, pid) = (format!("{which}_comm="), format!(" {which}_pid="));
    if let Some(name) = text.find(&comm) {
        let name = &text[name + comm.len()..];
        let end = name.rfind(&pid)?;
        return Some(Side {
            tid: digits(field(&name[end..], &pid)?)?,
            name: &name[..end],
            state: field(text, &format!("{which}_state=")).unwrap_or(""),
        });
    }
    // name:pid [priority] state
    let (before, after) = text.trim().rsplit_once(" [")?;
    let (name, tid) = before.rsplit_once(':')?;
    Some(Side {
        tid: digits(tid)?,
        name,
        state: after.split_once(']')?.1.trim(),
    })
}

/// Threads of the kernel have no ids, no more than an idle CPU has.
fn is_kernels(name: &str) -> bool {
    const BEGINNINGS: [&str; 10] = [
        "swapper",
        "kworker/",
        "migration/",
        "ksoftirqd/",
        "rcu_",
        "rcuo",
        "kcompactd",
        "kswapd",
        "khugepaged",
        "irq/",
    ];
    BEGINNINGS
        .iter()
        .any(|beginning| name.starts_with(beginning))
}

impl Parser {
    fn thread(&mut self, tid: u64, name: &str) -> Option<u32> {
        if tid == 0 || is_kernels(name) {
            return None;
        }
        let fresh = self.threads.len() as u32;
        let number = *self.numbers.entry(tid).or_insert(fresh);
        if number == fresh {
            self.threads.push(Seen::default());
        }
        let seen = &mut self.threads[number as usize];
        if seen.name.is_empty() {
            name.clone_into(&mut seen.name);
        }
        Some(number)
    }

    /// What a line says, and when; `None` for one without an event.
    #[allow(clippy::type_complexity, reason = "a time, and perhaps something")]
    pub(super) fn line(
        &mut self,
        line: &str,
    ) -> Result<Option<(Time, Option<Happened>)>, TraceFault> {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            return Ok(None);
        }
        let Some(head) = head(line)? else {
            return Err(TraceFault::Foreign(
                "no CPU in brackets with a time after it",
            ));
        };
        self.cpus = self.cpus.max(head.cpu + 1);
        let event = head.event.trim_start_matches("sched:");
        let happened = match event {
            "sched_switch" => Some(self.switch(&head)?),
            "sched_migrate_task" => self.migrate(&head)?,
            _ => None,
        };
        if let (Some(pid), Some(tid)) = (head.pid, head.tid)
            && let Some(&number) = self.numbers.get(&tid)
        {
            self.named = true;
            self.threads[number as usize].process.get_or_insert(pid);
        }
        Ok(Some((head.at, happened)))
    }

    fn switch(&mut self, head: &Head<'_>) -> Result<Happened, TraceFault> {
        let fault = |part| TraceFault::Event {
            event: "sched_switch",
            part,
        };
        let (prev, next) = head.rest.split_once("==>").ok_or(fault("==>"))?;
        let prev = side(prev, "prev").ok_or(fault("previous thread"))?;
        let next = side(next, "next").ok_or(fault("next thread"))?;
        Ok(Happened::Switch {
            cpu: head.cpu,
            prev: self.thread(prev.tid, prev.name),
            dies: prev.state.starts_with(['X', 'Z']),
            next: self.thread(next.tid, next.name),
        })
    }

    fn migrate(&mut self, head: &Head<'_>) -> Result<Option<Happened>, TraceFault> {
        let fault = |part| TraceFault::Event {
            event: "sched_migrate_task",
            part,
        };
        let tid = field(head.rest, " pid=").and_then(digits);
        let tid = tid.ok_or(fault("pid"))?;
        let name = field(head.rest, "comm=").unwrap_or("");
        let to = field(head.rest, "dest_cpu=").and_then(digits);
        let to = to.ok_or(fault("dest_cpu"))?;
        if to >= u64::from(MOST_CPUS) {
            return Err(TraceFault::Cpu(to));
        }
        let to = to as u32;
        self.cpus = self.cpus.max(to + 1);
        Ok(self
            .thread(tid, name)
            .map(|thread| Happened::Migrate { thread, to }))
    }

    pub(super) fn cpus(&self) -> u32 {
        self.cpus
    }

    pub(super) fn knows_processes(&self) -> bool {
        self.named
    }

    /// The name of each thread, as it was first seen.
    pub(super) fn names(&mut self) -> Vec<String> {
        let threads = self.threads.iter_mut();
        threads.map(|seen| std::mem::take(&mut seen.name)).collect()
    }

    /// The process of each thread, numbered in the order of their threads.
    pub(super) fn processes(&self) -> Vec<u32> {
        let mut by_pid: HashMap<u64, u32> = HashMap::new();
        let mut by_name: HashMap<&str, u32> = HashMap::new();
        let mut fresh = 0;
        self.threads
            .iter()
            .map(|seen| {
                let process = match seen.process {
                    Some(pid) => by_pid.entry(pid).or_insert(fresh),
                    None => by_name.entry(&seen.name).or_insert(fresh),
                };
                fresh = fresh.max(*process + 1);
                *process
            })
            .collect()
    }
}
