//! The machine: CPUs in L3 groups in nodes.

use serde::Serialize;

/// Most CPUs of a machine, as Linux has (`NR_CPUS` of x86-64).
pub const MOST_CPUS: u32 = 8192;

/// CPUs, L3 groups and nodes; all groups have the same size but the last.
///
/// ```
/// use percid_sim::{Distance, Machine};
///
/// let machine = Machine::new(224, 112, 112)?;
/// assert_eq!(machine.distance(0, 5), Distance::L3);
/// assert_eq!(machine.distance(0, 112), Distance::Far);
/// # Ok::<(), percid_sim::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    cpus: u32,
    cpus_per_l3: u32,
    cpus_per_node: u32,
}

/// How far a cache line travels between two CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distance {
    /// The same CPU.
    Here,
    /// Another CPU of the same L3.
    L3,
    /// Another L3 of the same node.
    Node,
    /// Another node.
    Far,
}

/// Why there is no such machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// No CPU, or more than Linux knows.
    #[error("a machine of {0} CPUs: give a number from 1 to {MOST_CPUS}")]
    Cpus(u32),
    /// An L3 group without a CPU, or larger than its node.
    #[error(
        "{l3} CPUs in an L3 and {node} in a node: a node holds whole L3 groups of 1 CPU or more"
    )]
    Groups {
        /// CPUs in an L3 group.
        l3: u32,
        /// CPUs in a node.
        node: u32,
    },
}

impl Machine {
    /// A machine of so many CPUs, so many to an L3, and so many to a node.
    ///
    /// # Errors
    ///
    /// See [`MachineError`].
    pub fn new(cpus: u32, cpus_per_l3: u32, cpus_per_node: u32) -> Result<Machine, MachineError> {
        if cpus == 0 || cpus > MOST_CPUS {
            return Err(MachineError::Cpus(cpus));
        }
        if cpus_per_l3 == 0 || !cpus_per_node.is_multiple_of(cpus_per_l3) || cpus_per_node == 0 {
            return Err(MachineError::Groups {
                l3: cpus_per_l3,
                node: cpus_per_node,
            });
        }
        Ok(Machine {
            cpus,
            cpus_per_l3,
            cpus_per_node,
        })
    }

    /// A machine of one node and one L3.
    ///
    /// # Errors
    ///
    /// See [`MachineError`].
    pub fn flat(cpus: u32) -> Result<Machine, MachineError> {
        Machine::new(cpus, cpus.max(1), cpus.max(1))
    }

    /// Number of CPUs.
    #[must_use]
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    /// CPUs that share an L3.
    #[must_use]
    pub fn cpus_per_l3(&self) -> u32 {
        self.cpus_per_l3
    }

    /// CPUs of a node.
    #[must_use]
    pub fn cpus_per_node(&self) -> u32 {
        self.cpus_per_node
    }

    /// The L3 group of a CPU.
    #[must_use]
    pub fn l3_of(&self, cpu: u32) -> u32 {
        cpu / self.cpus_per_l3
    }

    /// Number of L3 groups.
    #[must_use]
    pub fn l3_groups(&self) -> u32 {
        self.cpus.div_ceil(self.cpus_per_l3)
    }

    /// The CPUs of an L3 group.
    #[must_use]
    pub fn cpus_of_l3(&self, l3: u32) -> std::ops::Range<u32> {
        let first = l3 * self.cpus_per_l3;
        first..(first + self.cpus_per_l3).min(self.cpus)
    }

    /// How many other CPUs are in the same L3, in other L3s of the node, in other nodes.
    #[must_use]
    pub fn neighbours(&self, cpu: u32) -> [u32; 3] {
        let l3 = self.cpus_of_l3(self.l3_of(cpu)).len() as u32;
        let first = cpu / self.cpus_per_node * self.cpus_per_node;
        let node = (first + self.cpus_per_node).min(self.cpus) - first;
        [l3 - 1, node - l3, self.cpus - node]
    }

    /// How far a line travels between two CPUs.
    #[must_use]
    pub fn distance(&self, a: u32, b: u32) -> Distance {
        if a == b {
            Distance::Here
        } else if self.l3_of(a) == self.l3_of(b) {
            Distance::L3
        } else if a / self.cpus_per_node == b / self.cpus_per_node {
            Distance::Node
        } else {
            Distance::Far
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_distances() {
        let machine = Machine::new(20, 4, 8).unwrap();
        assert_eq!(machine.l3_groups(), 5);
        assert_eq!(machine.cpus_of_l3(4), 16..20);
        assert_eq!(machine.neighbours(3), [3, 4, 12]);
        assert_eq!(machine.neighbours(19), [3, 0, 16]);
        assert_eq!(machine.distance(3, 3), Distance::Here);
        assert_eq!(machine.distance(0, 3), Distance::L3);
        assert_eq!(machine.distance(3, 4), Distance::Node);
        assert_eq!(machine.distance(7, 8), Distance::Far);
    }

    #[test]
    fn machines_that_cannot_be() {
        assert_eq!(Machine::flat(0), Err(MachineError::Cpus(0)));
        assert_eq!(Machine::flat(8193), Err(MachineError::Cpus(8193)));
        assert!(Machine::flat(8192).is_ok());
        for (l3, node) in [(0, 4), (4, 0), (4, 6), (8, 4)] {
            let error = Machine::new(8, l3, node).unwrap_err();
            assert_eq!(error, MachineError::Groups { l3, node });
        }
    }
}
