//! When ids move between CPUs.

/// When ids move between CPUs. Any policy is sound; they differ in how many ids
/// are in use and how often a slow path is taken.
///
/// | policy | a thread that migrates | an idle CPU's id | from |
/// | --- | --- | --- | --- |
/// | [`Policy::V3`] | takes its id along | stays until it is stolen | version 3 of the kernel's patch |
/// | [`Policy::V6`] | takes a free id | is reclaimed by a scan | version 6 |
/// | [`Policy::COMBINED`] | takes its id along | is reclaimed by a scan | what its author set out to do next |
///
/// Under V6 alone, one thread that roams all CPUs within a period fills the set;
/// under V3 alone, the ids of CPUs that threads left by ending stay in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// A thread that finds itself on a CPU without an id tries to take the one
    /// that it last ran under, before it takes a free one. Costs a fence of one CPU
    /// for each such migration. (Version 3: `sched_mm_cid_migrate_from` clears the
    /// id of the source CPU, so that the destination allocates it again.)
    pub handover: bool,
    /// Scans run when a period has passed. (Version 6: `task_mm_cid_work`.)
    pub scans: bool,
}

impl Policy {
    /// Hand-over on migration, no periodic scans.
    pub const V3: Policy = Policy {
        handover: true,
        scans: false,
    };

    /// Periodic scans, no hand-over.
    pub const V6: Policy = Policy {
        handover: false,
        scans: true,
    };

    /// Both.
    pub const COMBINED: Policy = Policy {
        handover: true,
        scans: true,
    };
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::COMBINED
    }
}
