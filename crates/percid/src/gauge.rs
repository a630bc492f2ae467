//! A gauge.

use core::fmt;
use core::iter::Sum;

use percid_cid::Domain;

use crate::arena::{ArenaError, ScopedWord, Word};
use crate::scope::{Process, Scope, Shard};

/// A number that many threads raise and lower, and that may be set.
///
/// ```
/// use percid::Gauge;
///
/// static CONNECTIONS: Gauge = Gauge::new();
///
/// CONNECTIONS.inc();
/// CONNECTIONS.add(3);
/// CONNECTIONS.dec();
/// assert_eq!(CONNECTIONS.sum(), 3);
/// CONNECTIONS.set(-7);
/// CONNECTIONS.inc();
/// assert_eq!(CONNECTIONS.sum(), -6);
/// ```
///
/// # Cost
///
/// All but `set` and `sum`: one section, as a [`Counter`](crate::Counter)'s addition.
/// `sum`: one load for each active cid; `set` one read-modify-write more.
///
/// Four bytes in place, and eight in each active cid's stripe.
///
/// # Shapes and units
///
/// Signed, modulo 2^64, in whatever is added. A thread may take away what another one
/// added: stripes hold differences, and only their sum means something.
///
/// # Fallback
///
/// As a [`Counter`](crate::Counter)'s.
///
/// # Panics
///
/// As a [`Counter`](crate::Counter) does, at the first use of one from
/// [`new`](Gauge::new).
///
/// # Fork and signals
///
/// Every method may be called from a signal handler. A child of `fork` starts with its
/// parent's number.
pub struct Gauge<S: Scope = Process> {
    word: S::Word,
}

impl Gauge {
    /// A gauge at zero, for a `static` or anywhere else. It takes its words from the
    /// arena at its first use.
    #[must_use]
    pub const fn new() -> Gauge {
        Gauge { word: Word::new() }
    }

    /// A gauge at zero that has its words already.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or all words are in use.
    pub fn try_new() -> Result<Gauge, ArenaError> {
        Ok(Gauge {
            word: Word::try_new()?,
        })
    }
}

impl Gauge<Domain> {
    /// A gauge at zero, sharded by the ids of a domain, which it keeps alive.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or all words of the domain are in use.
    pub fn in_domain(domain: &Domain) -> Result<Gauge<Domain>, ArenaError> {
        Ok(Gauge {
            word: ScopedWord::new(domain)?,
        })
    }
}

impl<S: Scope> Gauge<S> {
    /// Adds 1.
    #[inline]
    pub fn inc(&self) {
        self.word.increment();
    }

    /// Takes 1 away.
    #[inline]
    pub fn dec(&self) {
        self.add(-1);
    }

    /// Adds `n`, which may be negative.
    #[inline]
    pub fn add(&self, n: i64) {
        self.word.add(n.cast_unsigned());
    }

    /// Takes `n` away.
    #[inline]
    pub fn sub(&self, n: i64) {
        self.add(n.wrapping_neg());
    }

    /// Sets it to `value`.
    ///
    /// Each addition of other threads that runs at the same time is either forgotten, as
    /// one that came before, or counts on top of `value`. Of several that set at the same
    /// time one is the last. Threads that use `set` only need no gauge: one atomic is
    /// cheaper.
    pub fn set(&self, value: i64) {
        self.word.set(value.cast_unsigned());
    }

    /// The number at this moment.
    ///
    /// Exact for all that happened before, in the sense of the memory model. What runs at
    /// the same time is seen or not, so a unit that moves from one thread to another may
    /// be seen twice or not at all.
    #[must_use]
    pub fn sum(&self) -> i64 {
        self.word.sum().cast_signed()
    }
}

impl Default for Gauge {
    fn default() -> Gauge {
        Gauge::new()
    }
}

/// A gauge that starts at a number.
impl From<i64> for Gauge {
    fn from(start: i64) -> Gauge {
        let gauge = Gauge::new();
        gauge.add(start);
        gauge
    }
}

/// The sum of several gauges, each at its moment.
impl<'a, S: Scope> Sum<&'a Gauge<S>> for i64 {
    fn sum<I: Iterator<Item = &'a Gauge<S>>>(gauges: I) -> i64 {
        gauges.map(Gauge::sum).fold(0, i64::wrapping_add)
    }
}

/// The number at this moment.
impl<S: Scope> fmt::Display for Gauge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sum().fmt(f)
    }
}

/// Shows the number at this moment.
impl<S: Scope> fmt::Debug for Gauge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gauge").field(&self.sum()).finish()
    }
}
