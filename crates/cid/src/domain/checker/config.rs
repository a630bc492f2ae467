//! How large a modelled domain is, and what may happen in it.

use super::state::Tags;
use crate::domain::Depth;

/// How large, and what may happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config {
    pub(super) cpus: u8,
    pub(super) workers: usize,
    /// Scan any slot, over and over.
    pub(super) scanners: usize,
    /// Lower the bound by one, scan, and are gone.
    pub(super) leavers: usize,
    /// What the leavers' scans touch below the bound.
    pub(super) leave: Depth,
    pub(super) bound: u8,
    pub(super) steals: bool,
    pub(super) handover: bool,
    /// Rejections are counted. Without, threads try for ever, which shows whatever
    /// three tries show, and needs fewer states.
    pub(super) counts: bool,
    pub(super) forks: Forks,
    /// Claims and fences fail as they like.
    pub(super) loose: bool,
    /// Scanners go through all slots, not any one.
    pub(super) whole: bool,
    pub(super) steps: Steps,
    /// Threads of a kind are not told apart.
    pub(super) alike: bool,
    pub(super) tags: Tags,
    pub(super) kernel: Kernel,
}

/// What a thread may do once, between two operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forks {
    Never,
    /// The child rebuilds the ids before it goes on.
    Rebuilds,
    /// It forgets to.
    Forgets,
}

/// Which of a thread's steps are steps of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Steps {
    Each,
    /// Those that touch what is shared; the others are part of the next one that does.
    Joined,
}

/// What the fences and the scheduler do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    Sound,
    /// A fence of a CPU does nothing.
    NoFence,
    /// It reaches the next CPU.
    WrongCpu,
    /// A thread that is switched to a CPU runs there before a fence sees it: the
    /// barrier between the store of the current task and the load of the id is
    /// missing, as in version 3 of the kernel's patch.
    NoSwitchBarrier,
}

impl Config {
    pub(super) const SMALL: Config = Config {
        cpus: 2,
        workers: 2,
        scanners: 1,
        leavers: 0,
        leave: Depth::Above,
        bound: 2,
        steals: true,
        handover: false,
        counts: false,
        forks: Forks::Never,
        loose: false,
        whole: false,
        steps: Steps::Joined,
        alike: true,
        tags: Tags::Unbounded,
        kernel: Kernel::Sound,
    };

    pub(super) fn threads(&self) -> usize {
        self.workers + self.scanners + self.leavers
    }
}
