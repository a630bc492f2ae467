//! Counters in a file that several processes share.
//!
//! An [`Arena`] maps a file; its [`Counter`]s have names, and every process that opens
//! the file counts on the same words. A [`Reader`] attaches to the file without write
//! permission and disturbs nobody. `percid top FILE` shows one live.
//!
//! ```
//! use percid::file::{Arena, Reader};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = std::env::temp_dir().join(format!("percid-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let path = directory.join("counts");
//! let arena = Arena::in_file(&path)?;
//! let requests = arena.counter("requests")?;
//! requests.add(3);
//!
//! // Any other process, at any time.
//! let reader = Reader::attach(&path)?;
//! assert_eq!(reader.totals()[0].name, "requests");
//! assert_eq!(reader.totals()[0].total, 3);
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Algorithm
//!
//! The ids of different processes collide, so stripes are by CPU number here: a section
//! that loads `cpu_id` is alone on its CPU, whatever process it belongs to, for the
//! kernel restarts it before it runs anybody else there. A thread that cannot run
//! sections, or whose CPU has no stripe in the file, adds by read-modify-writes on
//! stripes that nobody's sections touch.
//!
//! | file | its one idea |
//! | --- | --- |
//! | `layout` | what stands where in the file, and how a file is recognised |
//! | `mapping` | making, checking and mapping one |
//! | `names` | which counter has which word |
//! | `counter` | adding and summing |
//!
//! # What must hold
//!
//! - Everybody who maps the file runs on the same kernel: containers may share one,
//!   virtual machines must not. A file on a network is for one machine.
//! - Nobody shortens the file while it is mapped: the next access ends the process with
//!   SIGBUS. Pages are allocated when a counter is made, so a disk that fills up later
//!   does no harm, where the file system can allocate.
//! - Whoever may write the file is trusted: a process that writes other things into it
//!   spoils the totals of all, and no more than that.

mod counter;
mod error;
mod layout;
mod mapping;
mod names;

use std::path::Path;
use std::sync::Arc;

pub use counter::Counter;
pub use error::FileError;
pub use layout::{COUNTERS, NAME_BYTES};
pub use names::Total;

use mapping::Mapping;

/// A file of counters, open for counting.
///
/// # Shapes and units
///
/// At most [`COUNTERS`] counters, with names of at most [`NAME_BYTES`] bytes. The file
/// has 64 KiB for each CPU that the kernel can have and a little more, but only the
/// pages of counters that exist take space.
///
/// # Fork and signals
///
/// A child of `fork` counts on in the same file. Opening and making counters takes a
/// lock of the file, which a process that dies gives back; not for signal handlers.
/// Counting is.
#[derive(Clone, Debug)]
pub struct Arena {
    mapping: Arc<Mapping>,
}

impl Arena {
    /// Opens a file of counters, or makes it.
    ///
    /// Of several processes that make the same file at the same time one does, and the
    /// others open it. It appears whole or not at all: one that is killed in the middle
    /// leaves a file beside it whose name ends in `.new`.
    ///
    /// # Errors
    ///
    /// If the file is not one of these, was shortened, or is of a newer version; if the
    /// system refuses. Nothing was changed then.
    pub fn in_file(path: impl AsRef<Path>) -> Result<Arena, FileError> {
        Ok(Arena {
            mapping: Arc::new(Mapping::open_or_make(path.as_ref(), true)?),
        })
    }

    /// As [`in_file`](Arena::in_file), for counters that never use sections: to test
    /// and to measure what becomes of a process without them.
    ///
    /// # Errors
    ///
    /// As [`in_file`](Arena::in_file).
    #[doc(hidden)]
    pub fn in_file_on_fallback(path: impl AsRef<Path>) -> Result<Arena, FileError> {
        Ok(Arena {
            mapping: Arc::new(Mapping::open_or_make(path.as_ref(), false)?),
        })
    }

    /// The counter of that name, made if there is none. The same name is the same
    /// counter, in all processes.
    ///
    /// # Errors
    ///
    /// If the name is empty, too long or has control characters; if the file is full, or
    /// the system has no room for it.
    pub fn counter(&self, name: &str) -> Result<Counter, FileError> {
        let index = names::find_or_make(&self.mapping, name)?;
        Ok(Counter::new(&self.mapping, index))
    }

    /// All counters with their totals at this moment, in the order in which they were
    /// made.
    #[must_use]
    pub fn totals(&self) -> Vec<Total> {
        names::totals(&self.mapping)
    }
}

/// A file of counters, open for reading only: by who watches those that count.
///
/// ```
/// use percid::file::{Arena, Reader};
///
/// # fn main() -> Result<(), percid::file::FileError> {
/// # let path = std::env::temp_dir().join(format!("percid-reader-{}", std::process::id()));
/// let arena = Arena::in_file(&path)?;
/// arena.counter("requests")?.add(3);
///
/// // In another process.
/// let reader = Reader::attach(&path)?;
/// for total in reader.totals() {
///     println!("{} {}", total.name, total.total);
///     # assert_eq!((&*total.name, total.total), ("requests", 3));
/// }
/// # std::fs::remove_file(&path).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Reader {
    mapping: Mapping,
}

impl Reader {
    /// Attaches to a file of counters.
    ///
    /// # Errors
    ///
    /// As [`Arena::in_file`], and if there is no such file.
    pub fn attach(path: impl AsRef<Path>) -> Result<Reader, FileError> {
        Ok(Reader {
            mapping: Mapping::attach(path.as_ref())?,
        })
    }

    /// All counters with their totals at this moment, in the order in which they were
    /// made. Each total is exact for what was added before; an addition that runs at
    /// the same time is seen or not.
    #[must_use]
    pub fn totals(&self) -> Vec<Total> {
        names::totals(&self.mapping)
    }

    /// CPUs that have stripes in the file.
    #[must_use]
    pub fn cpus(&self) -> u32 {
        self.mapping.layout().cpus
    }
}
