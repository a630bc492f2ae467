//! Why a file of counters cannot be used.

use core::fmt;

use super::layout::{COUNTERS, NAME_BYTES};

/// Why a file of counters cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileError {
    /// The file is something else.
    Foreign,
    /// The file is from a machine of the other byte order.
    ByteOrder,
    /// The file is of a version that this program does not know.
    Newer {
        /// The file's.
        version: u32,
        /// The highest that is known.
        known: u32,
    },
    /// The file is shorter than its header says.
    Truncated {
        /// Bytes that it has.
        length: u64,
        /// Bytes that it should have.
        expected: u64,
    },
    /// The header says what cannot be.
    Damaged,
    /// The name cannot be a counter's.
    Name,
    /// The file has no room for another counter.
    Full,
    /// The system refused something.
    System {
        /// What.
        what: &'static str,
        /// Its error number.
        os_error: i32,
    },
}

impl FileError {
    pub(super) fn system(what: &'static str) -> impl Fn(std::io::Error) -> FileError {
        move |why| FileError::System {
            what,
            os_error: why.raw_os_error().unwrap_or(0),
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FileError::Foreign => {
                f.write_str("not a file of counters; name one that percid::file::Arena has made")
            }
            FileError::ByteOrder => {
                f.write_str("a file of counters from a machine of the other byte order")
            }
            FileError::Newer { version, known } => write!(
                f,
                "a file of counters of version {version}, and this program knows {known}; \
                 use a newer percid"
            ),
            FileError::Truncated { length, expected } => write!(
                f,
                "a file of counters that was cut short: {length} bytes of {expected}; \
                 what it counted is lost, so remove it"
            ),
            FileError::Damaged => {
                f.write_str("a file of counters whose header was overwritten; remove it")
            }
            FileError::Name => write!(
                f,
                "a name has 1 to {NAME_BYTES} bytes and no control characters"
            ),
            FileError::Full => write!(f, "the file has its {COUNTERS} counters; use another"),
            FileError::System { what, os_error } => {
                write!(f, "{what}: {}", std::io::Error::from_raw_os_error(os_error))
            }
        }
    }
}

impl core::error::Error for FileError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_to_do() {
        for (error, part) in [
            (FileError::Foreign, "not a file of counters"),
            (
                FileError::Newer {
                    version: 3,
                    known: 1,
                },
                "version 3",
            ),
            (
                FileError::Truncated {
                    length: 5,
                    expected: 9,
                },
                "5 bytes of 9",
            ),
            (FileError::Name, "1 to 56 bytes"),
            (FileError::Full, "8192 counters"),
            (
                FileError::System {
                    what: "cannot open it",
                    os_error: 2,
                },
                "cannot open it: No such file",
            ),
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
