//! Whose ids a structure is sharded by.

use percid_cid::Domain;

use crate::arena::{ScopedWord, Word};

/// Whose ids a structure is sharded by: [`Process`] or a [`Domain`].
///
/// A structure of the process may stand in a `static` and is four bytes; one of a domain
/// keeps its domain alive.
#[allow(private_bounds, reason = "nobody else has words")]
pub trait Scope: Words {}

impl Scope for Process {}
impl Scope for Domain {}

/// The process's own ids: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process;

/// What stands for a word of a scope.
pub(crate) trait Words {
    type Word: Shard;
}

impl Words for Process {
    type Word = Word;
}

impl Words for Domain {
    type Word = ScopedWord;
}

/// A word in every stripe of a scope.
pub(crate) trait Shard {
    fn increment(&self);
    fn add(&self, n: u64);
    fn sum(&self) -> u64;
    fn take(&self) -> u64;
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
        }
    )*};
}

shard!(Word, ScopedWord);
