//! What a structure needs of words behind a gate: the real ones, or those of a model.

use percid_rseq::membarrier::BarrierError;

/// A word in every stripe, which sections add to while its gate is open.
pub(crate) trait Gated {
    /// Whether it has never been opened, nor found impossible to.
    fn is_new(&self) -> bool;
    /// Whether sections may add; exact for who switches.
    fn is_open(&self) -> bool;
    /// Adds in one section, if the gate is open. Nothing of `self` is touched after that:
    /// it may be gone.
    fn add(&self, n: u64) -> bool;
    /// The same, tried a few times. `false`: it is closed, or this thread cannot run
    /// sections, or not now.
    fn add_slow(&self, n: u64) -> bool;
    /// Zeroes the stripes of a closed gate, or gives it some; whether it has any. For who
    /// switches, and only after the fence that followed the closing.
    fn place(&self) -> bool;
    /// Opens it, with release ordering. For who switches.
    fn open(&self);
    /// Closes it: after the next fence nobody adds. For who switches.
    fn close(&self);
    /// Every section that found the gate open has committed or never will.
    fn fence(&self) -> Result<(), BarrierError>;
    /// What the stripes come to.
    fn sum(&self) -> u64;
}
