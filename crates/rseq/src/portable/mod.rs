//! The operations of [`section`](crate::section) as atomics, for every thread that
//! cannot run sections.
//!
//! It serves targets without sections, kernels that answer ENOSYS, valgrind, Miri and
//! models. The caller picks the stripe, usually by thread, and passes the word's own
//! place: there is no index, no limit, and the layout is that of the section form.
//! Threads may share a stripe, and a signal handler may interrupt any of this. But a
//! stripe is for sections or for this body, never for both: a section's plain commit
//! and a read-modify-write from elsewhere lose updates.
//!
//! # Words
//!
//! One atomic read-modify-write does what a section does to one word. What needs more
//! than one word *claims* the stripe's part of it: by a bit of the word itself, which
//! is therefore never part of its value.
//!
//! | word | bit | operations that may meet on it |
//! | --- | --- | --- |
//! | plain, any 64 bits | none | [`increment`], [`add`], [`load`], [`swap`], [`claim()`], [`claim_any`], [`claim_first`], [`compare_store`] |
//! | of a pair | the caller's | [`compare_compare_store`], [`claimable`] |
//! | that a flag guards | the caller's | [`add_if`], [`claimable`] |
//! | four, of which the last is for the claim | [`LOW`] of that one | [`add_within`] |
//! | a pointer to add through | [`LOW`] | [`add_through`], [`claimable`] |
//! | a pointer to read through | [`LOW`] | [`load_through`], [`copy_through`], [`claimable`] |
//! | a list's head | [`LOW`] | [`list_push`], [`list_pop`], [`claimable`] |
//! | a list's head and its stop word | [`LOW`] of the head | [`gated_list_push`], [`gated_list_pop`], [`claimable`] |
//! | a length of words | [`TOP`] | [`array_push`], [`array_pop`], [`array_push_pair`], [`array_push_batch`], [`array_pop_batch`], [`copy_out`], [`claimable`] |
//! | a length and its gate | [`TOP`] | [`gated_push`], [`gated_pop`], [`gated_push_batch`], [`gated_pop_batch`], [`claimable`] |
//! | a length of bytes | [`TOP`] | [`copy_push`], [`copy_pop`], [`copy_out`], [`claimable`] |
//!
//! # Algorithm
//!
//! ```text
//! held = *word (acquire)                     claimed              -> Aborted
//! nothing to do on held                                           -> Empty, Full, Mismatch
//! compare-exchange held to held|bit (acquire)    another value    -> Aborted
//! ... work on what the word guards ...
//! *word = new (release)                      the commit, which also unclaims
//! ```
//!
//! Nobody waits. Who finds the word claimed, or changed in the middle, returns
//! [`Refusal::Aborted`](crate::Refusal::Aborted), as a section that the kernel
//! restarts does: [`retry`](crate::section::retry) tries a bounded number of times, and
//! then the structure takes its slow path. The claim's holder may be preempted, or be
//! the very thread that a handler interrupted.
//!
//! Who holds the claim is alone with what the word guards: each holder acquires what
//! the last one released. Nobody can tell a claimed word's old value from its new one,
//! so an operation may count from any instant within its claim. That is what makes
//! [`compare_compare_store`] exact.
//!
//! # Memory model
//!
//! Operations on one word are ordered after one another, and see what was written
//! before the earlier ones; [`increment`] and [`add`] alone are relaxed, for a count
//! publishes nothing. Across *different* words of a stripe this is only acquire and
//! release, where sections of one id have a single order: who stores to one word and
//! then decides by another puts a `fence(SeqCst)` between.
//!
//! # Example
//!
//! ```
//! use core::sync::atomic::AtomicU64;
//! use percid_rseq::{Refusal, portable, section};
//!
//! // A stripe that threads share: a length and room for three words.
//! static STRIPE: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
//! let len = STRIPE.as_ptr().cast::<u64>().cast_mut();
//!
//! // SAFETY: three words follow the length, and nobody else uses them.
//! let pushed = section::retry(|| unsafe { portable::array_push(len, 3, 7) });
//! // Refused as `Aborted` only if another thread was there: then take the slow path.
//! assert_eq!(pushed, Ok(()));
//! // SAFETY: as above.
//! assert_eq!(section::retry(|| unsafe { portable::array_pop(len) }), Ok(7));
//! assert_eq!(unsafe { portable::array_pop(len) }, Err(Refusal::Empty));
//! ```
//!
//! # Cost
//!
//! One atomic read-modify-write each; [`load`] and refusals none, and
//! [`compare_compare_store`], [`add_if`] and [`claimable::load`] one full fence. Several times a
//! section.
//!
//! # Fork and signals
//!
//! Everything here may be called from signal handlers: nothing waits, allocates or
//! calls the system. A handler that interrupts a holder is refused for as long as it
//! runs. A handler that leaves by `longjmp`, or a cancelled thread, may leave a claim
//! behind, and so may `fork` in the child if another thread held one: from then on
//! that word costs the slow path, no more. The word still stands for what it held
//! before, and [`claimable::lift`] takes the claim away where the holder is known to
//! be gone.
//!
//! # Source
//!
//! A lock by one bit that is only ever tried; the list is R. K. Treiber's (1986) with
//! such a lock around pop, in the place of a tag against ABA. The loom models of this
//! module check every interleaving, each beside mutants that must be found.

mod array;
mod bytes;
mod claim;
pub mod claimable;
mod gated;
mod gated_list;
mod guarded;
mod list;
#[cfg(all(test, loom))]
mod loom;
mod pair;
mod plain;
mod through;
mod within;
mod word;

pub use array::{array_pop, array_pop_batch, array_push, array_push_batch, array_push_pair};
pub use bytes::{copy_out, copy_pop, copy_push};
pub use gated::{gated_pop, gated_pop_batch, gated_push, gated_push_batch};
pub use gated_list::{gated_list_pop, gated_list_push};
pub use guarded::add_if;
pub use list::{list_pop, list_push};
pub use pair::compare_compare_store;
pub use plain::{add, claim, claim_any, claim_first, compare_store, increment, load, swap};
pub use through::{add_through, copy_through, load_through};
pub use within::add_within;

/// The bit that claims a number: a length, or a word whose values stay below 2^63.
pub const TOP: u64 = 1 << 63;

/// The bit that claims an address: what it points to is aligned.
pub const LOW: u64 = 1;
