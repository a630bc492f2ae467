//! What the environment asks for, read without allocation or locks.
//!
//! `std::env` takes a lock, and `getenv` races with `setenv`; the first use of a
//! static may be in a signal handler. So this reads the environment that the
//! program was started with from `/proc/self/environ`.

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU32, Ordering};

/// Names a number of CPUs to believe in, instead of the kernel's: for trying how
/// a program behaves on a larger machine.
pub const POSSIBLE_VARIABLE: &str = "PERCID_POSSIBLE_CPUS";

/// Longest value that is understood; a longer one counts as unknown.
const LONGEST: usize = 32;

/// The value of a variable at program start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    bytes: [u8; LONGEST],
    /// May exceed `LONGEST`: then the rest is cut.
    len: usize,
}

impl Value {
    const EMPTY: Value = Value {
        bytes: [0; LONGEST],
        len: 0,
    };

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
        }
        self.len += 1;
    }

    /// The value as text; empty if it is too long or not UTF-8.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes
            .get(..self.len)
            .and_then(|bytes| core::str::from_utf8(bytes).ok())
            .unwrap_or("")
    }
}

/// What the program was started with for the variable `name`; `None` if it was
/// not set, or where the system does not tell (no `/proc`).
///
/// ```
/// if let Some(value) = percid_cid::requested("PERCID_BACKEND") {
///     println!("asked for {}", value.as_str());
/// }
/// ```
#[must_use]
pub fn requested(name: &str) -> Option<Value> {
    let _errno = percid_rseq::Preserved::new();
    system::requested(name)
}

/// Ids that this process may ever see: CPUs that the kernel can have, or what
/// the variable [`POSSIBLE_VARIABLE`] says.
#[cfg(not(loom))]
#[must_use]
pub fn possible_cids() -> u32 {
    const MOST: u32 = 1 << 16;
    static CACHE: AtomicU32 = AtomicU32::new(0);
    // Ordering: Relaxed. Everybody who computes it gets the same number.
    let known = CACHE.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let possible = requested(POSSIBLE_VARIABLE)
        .and_then(|value| value.as_str().parse().ok())
        .unwrap_or_else(percid_rseq::possible_cpus)
        .clamp(1, MOST);
    CACHE.store(possible, Ordering::Relaxed);
    possible
}

/// Finds one variable in an environment that arrives in pieces.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
struct Scanner<'a> {
    name: &'a [u8],
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// So many bytes of this entry agree with the name.
    Name(usize),
    /// Another variable: skip to the next entry.
    Other,
    Value(Value),
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
impl<'a> Scanner<'a> {
    fn new(name: &'a str) -> Scanner<'a> {
        Scanner {
            name: name.as_bytes(),
            state: State::Name(0),
        }
    }

    /// Takes the next piece; the value once it is complete.
    fn feed(&mut self, piece: &[u8]) -> Option<Value> {
        for &byte in piece {
            self.state = match (self.state, byte) {
                (State::Value(value), 0) => return Some(value),
                (_, 0) => State::Name(0),
                (State::Value(mut value), _) => {
                    value.push(byte);
                    State::Value(value)
                }
                (State::Name(len), b'=') if len == self.name.len() => State::Value(Value::EMPTY),
                (State::Name(len), _) if self.name.get(len) == Some(&byte) => State::Name(len + 1),
                _ => State::Other,
            };
        }
        None
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{Scanner, Value};

    pub(super) fn requested(name: &str) -> Option<Value> {
        let path = c"/proc/self/environ";
        // SAFETY: a C string and constant flags.
        let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        if file < 0 {
            return None;
        }
        let mut scanner = Scanner::new(name);
        let mut piece = [0; 512];
        let found = loop {
            // SAFETY: the buffer is writable for its whole length.
            let len = unsafe { libc::read(file, piece.as_mut_ptr().cast(), piece.len()) };
            let Some(read) = usize::try_from(len).ok().filter(|&len| len > 0) else {
                break None;
            };
            if let Some(value) = scanner.feed(&piece[..read]) {
                break Some(value);
            }
        };
        // SAFETY: opened above, not used after.
        unsafe { libc::close(file) };
        found
    }
}

#[cfg(all(not(target_os = "linux"), feature = "std"))]
mod system {
    use super::Value;

    pub(super) fn requested(name: &str) -> Option<Value> {
        let mut value = Value::EMPTY;
        std::env::var(name)
            .ok()?
            .bytes()
            .for_each(|byte| value.push(byte));
        Some(value)
    }
}

#[cfg(not(any(target_os = "linux", feature = "std")))]
mod system {
    use super::Value;

    pub(super) fn requested(_: &str) -> Option<Value> {
        None
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const ENVIRONMENT: &[u8] =
        b"PATH=/bin\0PERCID=x\0PERCID_BACKEND=fallback\0PERCID_BACKENDS=y\0\0";

    fn find(name: &str, piece: usize) -> Option<String> {
        let mut scanner = Scanner::new(name);
        let found = ENVIRONMENT
            .chunks(piece)
            .find_map(|piece| scanner.feed(piece));
        found.map(|value| value.as_str().to_owned())
    }

    #[test]
    fn finds_a_variable_however_the_pieces_fall() {
        for piece in 1..=ENVIRONMENT.len() {
            assert_eq!(find("PERCID_BACKEND", piece).as_deref(), Some("fallback"));
            assert_eq!(find("PERCID", piece).as_deref(), Some("x"));
            assert_eq!(find("PERCID_BACKENDS", piece).as_deref(), Some("y"));
            assert_eq!(find("BACKEND", piece), None);
            assert_eq!(find("PERCID_BACK", piece), None);
        }
    }

    #[test]
    fn a_value_that_is_too_long_reads_as_unknown() {
        let mut scanner = Scanner::new("A");
        let value = scanner
            .feed(&[b"A=".as_slice(), &[b'x'; 100], b"\0"].concat())
            .unwrap();
        assert_eq!(value.as_str(), "");
    }

    #[test]
    fn the_start_of_this_program_can_be_read() {
        assert_eq!(requested("PERCID_NO_SUCH_VARIABLE"), None);
        #[cfg(target_os = "linux")]
        if let Some(path) = std::env::var("HOME")
            .ok()
            .filter(|path| path.len() < LONGEST)
        {
            assert_eq!(requested("HOME").unwrap().as_str(), path);
        }
    }
}
