//! Why an operation did not commit.

use core::fmt;

/// Why an operation did not commit. Nothing was stored in any of these cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// Something came between. The kernel restarted the section: preemption,
    /// migration, a signal or a fence; or, on the [portable body](crate::portable),
    /// another operation was on the same word. Try again, a bounded number of times.
    Aborted,
    /// The word did not hold the expected value.
    Mismatch,
    /// There is nothing to pop, or no pointer to add through.
    Empty,
    /// There is no room to push.
    Full,
    /// The thread has no registered rseq area: [`enter_thread`] first, or use
    /// the fallback.
    ///
    /// [`enter_thread`]: crate::enter_thread
    NotRegistered,
    /// The thread's cid is at or above the limit: activate its stripe, or use
    /// the fallback.
    BeyondLimit,
    /// This target has no sections.
    Unsupported,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Aborted => "the operation was interrupted",
            Refusal::Mismatch => "the word did not hold the expected value",
            Refusal::Empty => "there is nothing to take",
            Refusal::Full => "there is no room left",
            Refusal::NotRegistered => "the thread has no registered rseq area",
            Refusal::BeyondLimit => {
                "the thread's cid is at or above the limit of activated stripes"
            }
            Refusal::Unsupported => "sections are not supported on this target",
        })
    }
}

impl core::error::Error for Refusal {}
