//! Why a word could not be had.

use core::fmt;

use percid_rseq::OsError;

/// Why the arena has no word to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArenaError {
    /// The system refused the address space, or a quarter of the process's limit
    /// is less than this.
    NoAddressSpace {
        /// Bytes that the smallest arena needs.
        bytes: usize,
        /// The system's error number, if it was asked.
        os_error: Option<i32>,
    },
    /// The system refused to open pages that were reserved.
    NoMemory {
        /// The system's error number.
        os_error: i32,
    },
    /// The domain has memories of too many kinds already.
    NoPlace,
    /// A room of no words, or of more than an arena hands out in one piece.
    TooLong {
        /// What was asked for.
        words: u32,
        /// The most that there is.
        most: u32,
    },
    /// Every word is in use.
    Full {
        /// How many there are.
        words: u32,
    },
}

impl fmt::Display for ArenaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ArenaError::NoAddressSpace { bytes, os_error } => {
                write!(f, "no address space for an arena of {} MiB", bytes >> 20)?;
                match os_error {
                    Some(os_error) => write!(f, " ({})", OsError(os_error))?,
                    None => f.write_str(" within a quarter of the process's limit")?,
                }
                f.write_str("; raise the limit (ulimit -v, RLIMIT_AS)")
            }
            ArenaError::NoMemory { os_error } => write!(
                f,
                "the system refused memory for the arena ({}); free some, or allow overcommit",
                OsError(os_error)
            ),
            ArenaError::NoPlace => {
                f.write_str("the domain has no place for an arena; make a domain for it")
            }
            ArenaError::TooLong { words: 0, .. } => {
                f.write_str("a room of 0 words; ask for 1 at least")
            }
            ArenaError::TooLong { words, most } => write!(
                f,
                "a room of {words} words, but the longest has {most}; make several"
            ),
            ArenaError::Full { words } => {
                write!(
                    f,
                    "all {words} words of the arena are in use; drop counters to free some"
                )
            }
        }
    }
}

impl core::error::Error for ArenaError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_do() {
        let limited = ArenaError::NoAddressSpace {
            bytes: 96 << 20,
            os_error: None,
        };
        assert_eq!(
            limited.to_string(),
            "no address space for an arena of 96 MiB within a quarter of the process's limit; \
             raise the limit (ulimit -v, RLIMIT_AS)"
        );
        assert!(
            ArenaError::NoMemory { os_error: 12 }
                .to_string()
                .contains("overcommit")
        );
        assert!(
            ArenaError::TooLong { words: 9, most: 8 }
                .to_string()
                .contains("longest has 8")
        );
        assert!(
            ArenaError::Full { words: 3 }
                .to_string()
                .starts_with("all 3 words")
        );
    }
}
