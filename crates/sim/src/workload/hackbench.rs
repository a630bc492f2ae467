//! Hackbench with threads: groups of senders that send to every receiver of their group.

use std::collections::VecDeque;
use std::rc::Rc;

use super::{MICROSECOND, Spec, Step, Workload, together};
use crate::bill::Time;
use crate::cpu_set::CpuSet;
use crate::dice::Dice;

/// Senders of a group, and receivers.
const SIDE: u32 = 20;

/// What sending or receiving a message takes: a system call with a small copy.
const MESSAGE: Time = MICROSECOND;

/// Messages that a receiver's socket holds.
const ROOM: u32 = 16;

#[derive(Clone, Default)]
struct Receiver {
    messages: u32,
    waits: bool,
    blocked: VecDeque<u32>,
}

/// Threads in groups: the first half of each are senders.
pub(super) struct Hackbench {
    specs: Vec<Spec>,
    side: u32,
    receivers: Vec<Receiver>,
    /// Where each sender is in its round.
    round: Vec<u32>,
    /// What a thread has to do before its next message.
    owed: Vec<Option<Step>>,
}

impl Hackbench {
    pub(super) fn new(threads: u32, allowed: Option<Rc<CpuSet>>) -> Hackbench {
        let side = SIDE.min((threads / 2).max(1));
        let groups = (threads / (2 * side)).max(1);
        let threads = groups * 2 * side;
        Hackbench {
            specs: together(0, threads, allowed.as_ref()),
            side,
            receivers: vec![Receiver::default(); threads as usize],
            round: vec![0; threads as usize],
            owed: vec![None; threads as usize],
        }
    }

    fn send(&mut self, thread: u32, first: u32, dice: &mut Dice) -> Step {
        let round = &mut self.round[thread as usize];
        let to = first + self.side + *round % self.side;
        let receiver = &mut self.receivers[to as usize];
        if receiver.messages >= ROOM {
            receiver.blocked.push_back(thread);
            return Step::Wait;
        }
        *round += 1;
        receiver.messages += 1;
        if std::mem::take(&mut receiver.waits) {
            self.owed[thread as usize] = Some(Step::Wake(to));
        }
        Step::Compute(dice.around(MESSAGE))
    }

    fn receive(&mut self, thread: u32, dice: &mut Dice) -> Step {
        let receiver = &mut self.receivers[thread as usize];
        if receiver.messages == 0 {
            receiver.waits = true;
            return Step::Wait;
        }
        receiver.messages -= 1;
        if let Some(sender) = receiver.blocked.pop_front() {
            self.owed[thread as usize] = Some(Step::Wake(sender));
        }
        Step::Compute(dice.around(MESSAGE))
    }
}

impl Workload for Hackbench {
    fn threads(&self) -> &[Spec] {
        &self.specs
    }

    fn step(&mut self, thread: u32, _: Time, dice: &mut Dice) -> Step {
        if let Some(step) = self.owed[thread as usize].take() {
            return step;
        }
        let group = 2 * self.side;
        let first = thread / group * group;
        if thread - first < self.side {
            self.send(thread, first, dice)
        } else {
            self.receive(thread, dice)
        }
    }
}
