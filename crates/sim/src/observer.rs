//! What the ids of one process were like: how many, how high, how local.

use serde::Serialize;

use crate::bill::Time;
use crate::world::{NONE, World};

/// Distinct ids are counted in windows of this.
pub const WINDOW: Time = 100_000_000;

/// A thread that ran this long ago comes back from a pause.
const PAUSE: Time = 100_000_000;

/// The ids of one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Its end.
    pub end: Time,
    /// Distinct ids that threads ran under.
    pub distinct: u32,
    /// Ids that were taken at its end, in use or not.
    pub held: u32,
    /// One more than the highest id that threads ran under.
    pub highest: u32,
    /// The largest that `min(threads, allowed CPUs)` was in it.
    pub bound: u32,
}

/// How often things were the same again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Locality {
    /// Times that a thread began to run under an id that somebody had used before.
    pub(crate) times: u64,
    /// Of those, on the CPU where the id was last.
    pub(crate) same_cpu: u64,
    /// Of those, within the L3 where it was last.
    pub(crate) same_l3: u64,
}

impl Locality {
    fn count(&mut self, world: &World, last: u32, cpu: u32) {
        self.times += 1;
        self.same_cpu += u64::from(last == cpu);
        self.same_l3 += u64::from(world.machine.l3_of(last) == world.machine.l3_of(cpu));
    }
}

/// Watches the ids of one process.
#[derive(Debug)]
pub(crate) struct Observer {
    subject: u32,
    /// By CPU: the id of the subject's thread there, and since when.
    running: Vec<Option<(Option<u32>, Time)>>,
    /// By id: the CPU where it was last.
    last: Vec<u32>,
    /// By thread: when it ran last.
    ran: Vec<Time>,
    seen: Vec<bool>,
    window_end: Time,
    window_highest: u32,
    window_bound: u32,
    pub(crate) windows: Vec<Window>,
    pub(crate) highest: Option<u32>,
    pub(crate) highest_bound: u32,
    /// The most threads that lived at once.
    pub(crate) most_threads: u32,
    /// Time that threads ran, without an id, and under one at or above the bound.
    pub(crate) ran_for: Time,
    pub(crate) without: Time,
    pub(crate) over: Time,
    pub(crate) locality: Locality,
    pub(crate) after_pause: Locality,
}

impl Observer {
    pub(crate) fn new(subject: u32) -> Observer {
        Observer {
            subject,
            running: Vec::new(),
            last: Vec::new(),
            ran: Vec::new(),
            seen: Vec::new(),
            window_end: WINDOW,
            window_highest: 0,
            window_bound: 0,
            windows: Vec::new(),
            highest: None,
            highest_bound: 0,
            most_threads: 0,
            ran_for: 0,
            without: 0,
            over: 0,
            locality: Locality::default(),
            after_pause: Locality::default(),
        }
    }

    pub(crate) fn subject(&self) -> u32 {
        self.subject
    }

    pub(crate) fn enters(
        &mut self,
        world: &World,
        cpu: u32,
        thread: u32,
        id: Option<u32>,
        now: Time,
    ) {
        if world.process_of(thread) != self.subject {
            return;
        }
        self.running.resize(world.current.len(), None);
        self.running[cpu as usize] = Some((id, now));
        let process = &world.processes[self.subject as usize];
        self.highest_bound = self.highest_bound.max(process.bound());
        self.window_bound = self.window_bound.max(process.bound());
        self.most_threads = self.most_threads.max(process.users());
        let Some(id) = id else {
            return;
        };
        self.highest = self.highest.max(Some(id));
        self.see(id);
        if self.last.len() <= id as usize {
            self.last.resize(id as usize + 1, NONE);
        }
        if self.ran.len() < world.threads.len() {
            self.ran.resize(world.threads.len(), Time::MAX);
        }
        let last = std::mem::replace(&mut self.last[id as usize], cpu);
        let ran = self.ran[thread as usize];
        if last != NONE {
            self.locality.count(world, last, cpu);
            if ran != Time::MAX && now.saturating_sub(ran) >= PAUSE {
                self.after_pause.count(world, last, cpu);
            }
        }
    }

    fn see(&mut self, id: u32) {
        if self.seen.len() <= id as usize {
            self.seen.resize(id as usize + 1, false);
        }
        self.seen[id as usize] = true;
        self.window_highest = self.window_highest.max(id + 1);
    }

    pub(crate) fn leaves(&mut self, world: &World, cpu: u32, now: Time) {
        let Some(place) = self.running.get_mut(cpu as usize) else {
            return;
        };
        let Some((id, since)) = place.take() else {
            return;
        };
        let ran = now.saturating_sub(since);
        self.ran_for += ran;
        match id {
            None => self.without += ran,
            Some(id) if id >= world.processes[self.subject as usize].bound() => self.over += ran,
            Some(_) => {}
        }
        if let Some(thread) = world.running(cpu)
            && let Some(last) = self.ran.get_mut(thread as usize)
        {
            *last = now;
        }
    }

    /// A run that is shorter than a window ends with it.
    pub(crate) fn shorten(&mut self, now: Time) {
        if self.windows.is_empty() {
            self.window_end = self.window_end.min(now.max(1));
        }
    }

    pub(crate) fn is_over(&self, now: Time) -> bool {
        now >= self.window_end
    }

    pub(crate) fn close(&mut self, world: &World, held: u32, now: Time) {
        let bound = world
            .processes
            .get(self.subject as usize)
            .map_or(0, |process| process.bound());
        while self.is_over(now) {
            self.windows.push(Window {
                end: self.window_end.min(now),
                distinct: self.seen.iter().filter(|&&seen| seen).count() as u32,
                held,
                highest: self.window_highest,
                bound: std::mem::replace(&mut self.window_bound, bound).max(bound),
            });
            self.window_end += WINDOW;
            self.window_highest = 0;
            self.seen.fill(false);
            // Whoever runs on runs in the next window, too.
            let ids: Vec<u32> = self
                .running
                .iter()
                .flatten()
                .filter_map(|it| it.0)
                .collect();
            ids.into_iter().for_each(|id| self.see(id));
        }
    }
}
