//! How a domain is to be, and why it cannot.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use super::handle::Domain;
use super::live::{Config, Ids, Inner};
use super::policy::Policy;
use crate::backend::tables;
use crate::{Source, backend, possible_cids};

/// How many ids a domain hands out at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Bound {
    /// As many as threads have [joined](Domain::join). A thread that has not joined
    /// uses an id that is free or its CPU's, takes none from others, and works on the
    /// fallback where that is not enough.
    Strict,
    /// As many as CPUs were used within a period. Nobody needs to join, and nobody
    /// steals; but one thread that roams all CPUs within a period uses an id on each.
    #[default]
    Relaxed,
    /// This many.
    At(u32),
}

/// The period between scans that nobody chose.
pub(super) const PERIOD: Duration = Duration::from_millis(100);

/// A domain to be: what [`Domain::builder`] begins.
///
/// ```
/// use std::time::Duration;
///
/// use percid_cid::{Bound, Domain, DomainError};
///
/// // One id, whoever comes; it is idle when it was not used for a second.
/// let domain = Domain::builder()
///     .bound(Bound::At(1))
///     .period(Duration::from_secs(1))
///     .build()?;
/// assert_eq!(domain.ids_in_use(), 0);
/// assert_eq!(
///     Domain::builder().bound(Bound::At(0)).build().err(),
///     Some(DomainError::NoIds)
/// );
/// # Ok::<(), DomainError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DomainBuilder {
    bound: Bound,
    period: Duration,
    policy: Policy,
}

impl DomainBuilder {
    pub(super) fn new() -> DomainBuilder {
        DomainBuilder {
            bound: Bound::default(),
            period: PERIOD,
            policy: Policy::default(),
        }
    }

    /// How many ids at most; [`Bound::Relaxed`] if not said.
    #[must_use]
    pub fn bound(mut self, bound: Bound) -> DomainBuilder {
        self.bound = bound;
        self
    }

    /// How long an id may be idle before it is marked; 100 ms if not said.
    #[must_use]
    pub fn period(mut self, period: Duration) -> DomainBuilder {
        self.period = period;
        self
    }

    /// When ids move between CPUs; [`Policy::COMBINED`] if not said.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> DomainBuilder {
        self.policy = policy;
        self
    }

    /// Makes the domain.
    ///
    /// # Errors
    ///
    /// See [`DomainError`].
    pub fn build(self) -> Result<Domain, DomainError> {
        static NUMBERS: AtomicU64 = AtomicU64::new(2);
        let most = possible_cids();
        let ids = match self.bound {
            Bound::Strict => Ids::Joined,
            Bound::Relaxed => Ids::Cpus,
            Bound::At(0) => return Err(DomainError::NoIds),
            Bound::At(bound) if bound > most => {
                return Err(DomainError::BoundTooLarge { bound, most });
            }
            Bound::At(bound) => Ids::At(bound),
        };
        let period = u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX);
        if period == 0 {
            return Err(DomainError::NoPeriod);
        }
        let config = Config {
            ids,
            period,
            policy: self.policy,
        };
        // Ordering: Relaxed. A number.
        let inner = Inner::new(NUMBERS.fetch_add(1, Ordering::Relaxed), config);
        if backend().source != Source::Thread && tables() {
            inner
                .prepare()
                .map_err(|os_error| DomainError::NoMemory { os_error })?;
        }
        Ok(Domain::own(inner))
    }
}

/// Why there is no domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DomainError {
    /// A bound of zero: nobody could ever work.
    NoIds,
    /// A bound above what this machine could ever use.
    BoundTooLarge {
        /// What was asked for.
        bound: u32,
        /// Possible CPUs.
        most: u32,
    },
    /// A period of zero: every slow path would be a scan.
    NoPeriod,
    /// The system refused memory for the table.
    NoMemory {
        /// The system's error number.
        os_error: i32,
    },
}

impl fmt::Display for DomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            DomainError::NoIds => f.write_str("a domain with a bound of 0 has no ids; ask for 1"),
            DomainError::BoundTooLarge { bound, most } => write!(
                f,
                "a bound of {bound} ids, but this machine can run only {most} threads at a time; \
                 ask for {most} at most, or for Bound::Relaxed"
            ),
            DomainError::NoPeriod => {
                f.write_str("a period of 0 would scan all the time; ask for a millisecond or more")
            }
            DomainError::NoMemory { os_error } => write!(
                f,
                "the system refused memory for the domain's table ({}); free some, or raise the \
                 limit (ulimit -v, RLIMIT_AS)",
                percid_rseq::OsError(os_error)
            ),
        }
    }
}

impl core::error::Error for DomainError {}
