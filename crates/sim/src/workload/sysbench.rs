//! Sysbench against PostgreSQL: client threads of one process, and a server process for
//! each connection.

use std::rc::Rc;

use super::{MICROSECOND, Spec, Step, Workload, together};
use crate::bill::Time;
use crate::cpu_set::CpuSet;
use crate::dice::Dice;

const CLIENT: Time = 10 * MICROSECOND;
const SERVER: Time = 20 * MICROSECOND;

/// Threads 0 to n - 1 are clients, n to 2n - 1 the servers of each.
pub(super) struct Sysbench {
    specs: Vec<Spec>,
    clients: u32,
    /// What each thread does next: 0 compute, 1 wake its partner, 2 wait.
    next: Vec<u8>,
}

impl Sysbench {
    pub(super) fn new(clients: u32, allowed: Option<Rc<CpuSet>>) -> Sysbench {
        let mut specs = together(0, clients, allowed.as_ref());
        specs.extend((0..clients).flat_map(|server| together(server + 1, 1, allowed.as_ref())));
        let mut next = vec![0; clients as usize];
        // A server waits for its first query.
        next.extend(vec![2; clients as usize]);
        Sysbench {
            specs,
            clients,
            next,
        }
    }
}

impl Workload for Sysbench {
    fn threads(&self) -> &[Spec] {
        &self.specs
    }

    fn step(&mut self, thread: u32, _: Time, dice: &mut Dice) -> Step {
        let is_client = thread < self.clients;
        let next = &mut self.next[thread as usize];
        let now = std::mem::replace(next, (*next + 1) % 3);
        match now {
            0 => Step::Compute(dice.around(if is_client { CLIENT } else { SERVER })),
            1 if is_client => Step::Wake(thread + self.clients),
            1 => Step::Wake(thread - self.clients),
            _ => Step::Wait,
        }
    }
}
