//! Intrusive lists: nodes linked through themselves, on the list of the current cid.
//!
//! # Algorithm
//!
//! | word of a stripe | changed by |
//! | --- | --- |
//! | `HEAD` | sections; who holds `Control`, while the list is stopped and fenced |
//! | `STOP` | who holds control |
//! | `TAKEN` | who holds control |
//!
//! A push or pop is one section: it loads `STOP`, which must be 0, then `HEAD`, and commits
//! a new head. A list is taken from under its sections in this order: `STOP` set, fence
//! (which aborts every section that saw it clear), head to `TAKEN`, `STOP` clear. What was
//! set aside is joined to one chain after all lists are open again, since that takes a look
//! at every node.
//!
//! A push or pop that finds its list stopped goes to the *loose* nodes, a chain that all
//! threads share.
//!
//! # Why there is no ABA
//!
//! A pop loads the head, then that node's link, then commits the link as the new head. In
//! between the node must not leave the list. Only two can take it off: another section on
//! the same cid, which runs when this thread has lost the cid, and then the kernel has
//! aborted this section; or who holds control, and he has fenced after he stopped the
//! list, so that this section was aborted, or began later and saw `STOP`. So a section that
//! goes on has the node's link as it is on the list, and one that does not changes nothing.
//!
//! For the same reason no section that goes on reads the link of a node that is off its
//! list: the model of this module checks that, too. But nodes stay mapped all the same, for
//! as long as anybody pops: that keeps a kernel that aborts late, or a debugger that holds a
//! section at that very instruction, from turning into a fault.
//!
//! Source: the list of librseq, with tcmalloc's way to stop others; R. K. Treiber (1986)
//! for the loose nodes.

#[cfg(all(test, target_os = "linux", not(loom)))]
mod checker;
mod loose;
#[cfg(not(loom))]
mod remote;
#[cfg(not(loom))]
mod taken;
#[cfg(not(loom))]
mod words;

#[cfg(not(loom))]
mod api;

#[cfg(not(loom))]
pub use self::api::{Link, Linked, List};
#[cfg(not(loom))]
pub use self::taken::Taken;
