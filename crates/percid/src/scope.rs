//! Whose ids a structure is sharded by.

use core::sync::atomic::AtomicU64;

use percid_cid::Domain;
use percid_rseq::Refusal;
use percid_rseq::section::WordAddress;

use crate::arena::{
    ArenaError, Gate, Gated, Operation, Run, ScopedGate, ScopedRun, ScopedWord, StripeRef, Stripes,
    Word,
};

/// Whose ids a structure is sharded by: [`Process`] or a [`Domain`].
///
/// A structure of the process may stand in a `static` and is four bytes; one of a domain
/// keeps its domain alive. Code that serves both is generic:
///
/// ```
/// use percid::{Counter, Domain, Scope};
///
/// fn count_all<S: Scope>(items: &[u64], sum: &Counter<S>) {
///     items.iter().for_each(|item| sum.add(*item));
/// }
///
/// static OF_PROCESS: Counter = Counter::new();
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let domain = Domain::builder().build()?;
/// let of_domain = Counter::in_domain(&domain)?;
/// count_all(&[1, 2], &OF_PROCESS);
/// count_all(&[3, 4], &of_domain);
/// assert_eq!((OF_PROCESS.sum(), of_domain.sum()), (3, 7));
/// # Ok(())
/// # }
/// ```
#[allow(private_bounds, reason = "nobody else has words")]
pub trait Scope: Words {
    /// Whether a [`Part`](crate::Part) may ever lead to a room of this scope.
    const HAS_PARTS: bool;
}

impl Scope for Process {
    const HAS_PARTS: bool = true;
}

impl Scope for Domain {
    const HAS_PARTS: bool = false;
}

/// The process's own ids: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process;

/// What stands for a word of a scope.
pub(crate) trait Words: 'static {
    type Word: Shard + Send + Sync;
    type Run: Several + Send + Sync;
    type Gate: Gated + Send + Sync;
}

impl Words for Process {
    type Word = Word;
    type Run = Run;
    type Gate = Gate;
}

impl Words for Domain {
    type Word = ScopedWord;
    type Run = ScopedRun;
    type Gate = ScopedGate;
}

/// A word in every stripe of a scope.
pub(crate) trait Shard {
    fn increment(&self);
    fn add(&self, n: u64);
    fn sum(&self) -> u64;
    fn take(&self) -> u64;
    fn set(&self, value: u64);
}

/// Both kinds of words have these by the same names.
macro_rules! shard {
    ($($word:ty),*) => {$(
        impl Shard for $word {
            #[inline(always)]
            fn increment(&self) {
                self.increment();
            }

            #[inline(always)]
            fn add(&self, n: u64) {
                self.add(n);
            }

            fn sum(&self) -> u64 {
                self.sum()
            }

            fn take(&self) -> u64 {
                self.take()
            }

            fn set(&self, value: u64) {
                self.set(value);
            }
        }
    )*};
}

shard!(Word, ScopedWord);

/// Words in every stripe of a scope.
pub(crate) trait Several {
    /// # Safety
    ///
    /// The operation's contract, for these words.
    unsafe fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, Refusal>;
    /// # Safety
    ///
    /// As above.
    unsafe fn run_copied<O: Operation + Copy>(&self, operation: O) -> Result<O::Output, Refusal>;
    /// # Safety
    ///
    /// As above.
    unsafe fn run_once<O: Operation>(&self, operation: &O) -> Result<O::Output, Refusal>;
    fn fallback(&self) -> Result<StripeRef<'_>, ArenaError>;
    fn by_thread(&self) -> Option<StripeRef<'_>>;
    fn stripes(&self) -> Stripes<'_>;
    fn shared(&self) -> Result<&[AtomicU64], ArenaError>;
    fn len(&self) -> u32;
    /// Whether an address is that of one of the words, in whatever stripe.
    fn holds(&self, word: *const AtomicU64) -> bool;
    /// Where sections by the kernel's ids reach a word inline; 0: nowhere.
    fn place(&self, word: u32) -> u32;
    /// Where sections by the kernel's ids reach the first word inline.
    fn in_sections(&self) -> Option<WordAddress>;
}

/// As above.
macro_rules! several {
    ($($run:ty),*) => {$(
        impl Several for $run {
            #[inline(always)]
            unsafe fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, Refusal> {
                // SAFETY: the caller's contract.
                unsafe { self.run(operation) }
            }

            #[inline(always)]
            unsafe fn run_copied<O: Operation + Copy>(
                &self,
                operation: O,
            ) -> Result<O::Output, Refusal> {
                // SAFETY: the caller's contract.
                unsafe { self.run_copied(operation) }
            }

            #[inline(always)]
            unsafe fn run_once<O: Operation>(&self, operation: &O) -> Result<O::Output, Refusal> {
                // SAFETY: the caller's contract.
                unsafe { self.run_once(operation) }
            }

            #[inline(always)]
            fn by_thread(&self) -> Option<StripeRef<'_>> {
                self.by_thread()
            }

            fn fallback(&self) -> Result<StripeRef<'_>, ArenaError> {
                self.fallback()
            }

            fn stripes(&self) -> Stripes<'_> {
                self.stripes()
            }

            fn shared(&self) -> Result<&[AtomicU64], ArenaError> {
                self.shared()
            }

            fn len(&self) -> u32 {
                self.len()
            }

            fn holds(&self, word: *const AtomicU64) -> bool {
                self.holds(word)
            }

            fn place(&self, word: u32) -> u32 {
                self.place(word)
            }

            fn in_sections(&self) -> Option<WordAddress> {
                self.in_sections()
            }
        }
    )*};
}

several!(Run, ScopedRun);
