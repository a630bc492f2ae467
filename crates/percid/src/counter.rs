//! A counter.

use core::fmt;
use core::iter::Sum;

use percid_cid::Domain;

use crate::arena::{ArenaError, ScopedWord, Word};
use crate::scope::{Process, Scope, Shard};

/// A counter that many threads add to.
///
/// ```
/// use percid::Counter;
///
/// static HITS: Counter = Counter::new();
///
/// HITS.inc();
/// HITS.add(2);
/// assert_eq!(HITS.sum(), 3);
/// assert_eq!(HITS.take(), 3);
/// assert_eq!(HITS.sum(), 0);
/// ```
///
/// # Cost
///
/// `inc` and `add`: one section, which is four loads and two plain stores, no
/// atomic read-modify-write and no fence. `sum` and `take`: one load for each
/// active cid; `take` one read-modify-write more.
///
/// Four bytes in place, and eight in each active cid's stripe, packed: counters
/// share cache lines with each other, never with another cid.
///
/// # Shapes and units
///
/// Totals are modulo 2^64, in whatever is added.
///
/// # Fallback
///
/// Where sections do not work, an add is one relaxed `fetch_add` on the thread's
/// stripe. Where the system refuses address space it is a `fetch_add` on a word
/// that all threads share; [`try_new`](Counter::try_new) reports that instead.
///
/// # Panics
///
/// At the first add to a counter from [`new`](Counter::new), when the system
/// refuses address space and more than 65,535 other counters have met that
/// already; or when all of the arena's four million words are in use and as many.
///
/// # Fork and signals
///
/// Every method may be called from a signal handler. A child of `fork` starts
/// with the counts of its parent.
///
/// # Source
///
/// Sharded counters are folklore; by CPU, in restartable sequences: P. Turner and
/// A. Hunter (2013). By mm_cid: M. Desnoyers (Linux 6.3).
pub struct Counter<S: Scope = Process> {
    word: S::Word,
}

impl Counter {
    /// A counter at zero, for a `static` or anywhere else. It takes its words
    /// from the arena at the first add.
    #[must_use]
    pub const fn new() -> Counter {
        Counter { word: Word::new() }
    }

    /// A counter at zero that has its words already.
    ///
    /// ```
    /// let counter = percid::Counter::try_new()?;
    /// counter.inc();
    /// # Ok::<(), percid::ArenaError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or all words are in use. A counter from
    /// [`new`](Counter::new) would count on a shared word then.
    pub fn try_new() -> Result<Counter, ArenaError> {
        Ok(Counter {
            word: Word::try_new()?,
        })
    }

    /// A counter that never uses sections: to measure what they bring.
    ///
    /// # Errors
    ///
    /// As [`try_new`](Counter::try_new).
    #[doc(hidden)]
    pub fn try_on_fallback() -> Result<Counter, ArenaError> {
        Ok(Counter {
            word: Word::try_on_fallback()?,
        })
    }
}

impl Counter<Domain> {
    /// A counter at zero, sharded by the ids of a domain.
    ///
    /// It keeps the domain alive. An add is one section by the domain's table, with as many
    /// loads as one to a counter of the process, and the memory of a word grows with the ids
    /// of the domain. The counter itself is larger, for it keeps the addresses of the table
    /// and of its word; in the process's own domain one from [`new`](Counter::new) is smaller
    /// and faster.
    ///
    /// ```
    /// use percid::{Bound, Counter, Domain};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Domain::builder().bound(Bound::Strict).build()?;
    /// let jobs = Counter::in_domain(&pool)?;
    /// std::thread::scope(|scope| {
    ///     for _ in 0..4 {
    ///         scope.spawn(|| {
    ///             let _joined = pool.join();
    ///             jobs.inc();
    ///         });
    ///     }
    /// });
    /// assert_eq!(jobs.sum(), 4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or all words of the domain are in use.
    pub fn in_domain(domain: &Domain) -> Result<Counter<Domain>, ArenaError> {
        Ok(Counter {
            word: ScopedWord::new(domain)?,
        })
    }
}

impl<S: Scope> Counter<S> {
    /// Adds 1.
    #[inline]
    pub fn inc(&self) {
        self.word.increment();
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.word.add(n);
    }

    /// The total of what was added and not taken.
    ///
    /// Exact for all adds that happened before, in the sense of the memory model
    /// (the thread's own, those of joined threads). An add that runs at the same
    /// time is seen or not.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.word.sum()
    }

    /// Takes the total: returns it and leaves zero.
    ///
    /// Each unit is handed out exactly once, however many threads add and take at
    /// the same time. What is added meanwhile is left for the next.
    ///
    /// ```
    /// # use percid::Counter;
    /// static BYTES: Counter = Counter::new();
    /// BYTES.add(512);
    /// let since_last_time = BYTES.take();
    /// assert_eq!((since_last_time, BYTES.take()), (512, 0));
    /// ```
    #[must_use = "what is taken is counted nowhere else"]
    pub fn take(&self) -> u64 {
        self.word.take()
    }
}

/// A counter that starts at a number.
impl From<u64> for Counter {
    fn from(start: u64) -> Counter {
        let counter = Counter::new();
        counter.add(start);
        counter
    }
}

/// The total of several counters, each at its moment.
impl<'a, S: Scope> Sum<&'a Counter<S>> for u64 {
    fn sum<I: Iterator<Item = &'a Counter<S>>>(counters: I) -> u64 {
        counters.map(Counter::sum).fold(0, u64::wrapping_add)
    }
}

/// The total at this moment.
impl<S: Scope> fmt::Display for Counter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sum().fmt(f)
    }
}

impl Default for Counter {
    fn default() -> Counter {
        Counter::new()
    }
}

/// Shows the racy total.
impl<S: Scope> fmt::Debug for Counter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counter").field(&self.sum()).finish()
    }
}
