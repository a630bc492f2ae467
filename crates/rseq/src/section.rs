//! The operations: one critical section each.
//!
//! Every operation works on *stripes*. The word of id `c` stands `c << SHIFT`
//! bytes after `word`, its address in stripe 0. Which id, and how many stripes may
//! be touched, says the [`Index`]. An operation either commits with one store or
//! returns a [`Refusal`] and has changed nothing that anybody else can reach; it
//! never retries by itself, so a debugger that steps through it cannot hang it.
//! [`retry`] does, a bounded number of times.
//!
//! An id is valid only inside the section that loaded it, so no operation returns
//! one.
//!
//! | index | the id is | for |
//! | --- | --- | --- |
//! | [`MmCid`] | the kernel's concurrency id | the process's own stripes (Linux 6.3) |
//! | [`Table`] | what a table holds for the CPU | domains with ids of their own |
//! | [`Cpu`] | the CPU number | memory that several processes share |
//!
//! | operation | in one section |
//! | --- | --- |
//! | [`increment`], [`add`] | `*w += n` |
//! | [`add_within`] | `w[AT] += n`, if the sum of three words stays within a range |
//! | [`add_through`] | `*(*w + distance) += n` |
//! | [`add_if`] | `*w += n` if a flag elsewhere is as expected |
//! | [`load`], [`swap`] | `*w`, and leaves another |
//! | [`claim`] | takes a lock of the stripe, and returns where it is |
//! | [`claim_first`] | the first free one of several, marked with what a word says |
//! | [`compare_store`], [`compare_compare_store`] | stores if one or two words are as expected |
//! | [`list_push`], [`list_pop`] | an intrusive list with its head in `*w` |
//! | [`array_push`], [`array_pop`], and by batch | a stack of words behind a length |
//! | [`gated_push`], [`gated_pop`], and by batch | the same, with a capacity in the stripe that others change |
//! | [`array_push_pair`] | two words on one of several stacks, which a word chooses |
//! | [`copy_push`], [`copy_pop`] | a stack of bytes behind a length |
//! | [`copy_out`] | a consistent copy of a stripe's bytes |
//! | [`hit`], [`leave`] | takes and leaves a slot of lazy references |
//!
//! Two more have no stripe and no id: [`load_through`] and [`copy_through`] follow a
//! pointer and copy what it leads to. All that they need of a thread is that it is
//! registered, so that a [`fence`](crate::membarrier::fence) restarts them.
//!
//! # Cost
//!
//! An increment is five loads (the thread's area, registration, id, limit, the
//! word) and two plain stores (the section's descriptor and the word); no atomic
//! read-modify-write, no fence. About twice an increment of a thread-local.
//!
//! # Memory model
//!
//! A committed store is a relaxed atomic store: read it elsewhere with atomics.
//! Sections of one id are ordered after one another, on whatever CPU they run:
//! who hands an id over does it with a full barrier. Words that sections store to
//! must never be changed by anybody else's read-modify-write or store, for a
//! section's load and commit are two steps to any other CPU. For threads that cannot
//! run sections, [`portable`](crate::portable) has the same operations on stripes of
//! their own.
//!
//! # Source
//!
//! Restartable sequences: P. Turner and A. Hunter (2013), M. Desnoyers (Linux
//! 4.18); the operations follow the pseudocode of librseq.

use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::arch;
pub use crate::index::{Cpu, Index, MmCid, Slot, Table, TableHead, WordAddress};
use crate::{Refusal, enter_thread};

/// True where this target has sections at all.
pub const SUPPORTED: bool = arch::SUPPORTED;

/// How often [`retry`] tries.
pub const ATTEMPTS: u32 = 8;

/// Repeats an operation that the kernel aborts, or whose thread has not entered,
/// at most [`ATTEMPTS`] times.
///
/// # Errors
///
/// What the operation returned last. After [`Refusal::Aborted`] take the slow path
/// of the structure: a debugger, or a scheduler's worst day, may abort a section
/// for as long as anybody cares to try, and on the portable body who holds the claim
/// may be the one that waits for this to end.
#[inline(always)]
pub fn retry<T>(mut operation: impl FnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
    match operation() {
        Err(refusal @ (Refusal::Aborted | Refusal::NotRegistered)) => {
            // The result of the first attempt never was in memory and stays out of it.
            let mut value = None;
            let refusal = retry_slow(refusal, operation, &mut value);
            value.ok_or(refusal)
        }
        outcome => outcome,
    }
}

/// What it was refused for last, unless there is a value.
#[cold]
#[inline(never)]
fn retry_slow<T>(
    mut refusal: Refusal,
    mut operation: impl FnMut() -> Result<T, Refusal>,
    value: &mut Option<T>,
) -> Refusal {
    for _ in 1..ATTEMPTS {
        if refusal == Refusal::NotRegistered && enter_thread().is_err() {
            break;
        }
        match operation() {
            Ok(done) => {
                *value = Some(done);
                break;
            }
            Err(again @ (Refusal::Aborted | Refusal::NotRegistered)) => refusal = again,
            Err(other) => return other,
        }
    }
    refusal
}

/// Adds 1 to the current id's word.
///
/// The same as [`add`] of 1 in one instruction less.
///
/// # Errors
///
/// [`Refusal::Aborted`], [`Refusal::NotRegistered`], [`Refusal::BeyondLimit`],
/// [`Refusal::Unsupported`].
///
/// # Safety
///
/// For every id `c` below any value that the limit ever holds during the call,
/// the word in stripe `c`, `c << SHIFT` bytes after `word`, is mapped and writable
/// and changed by sections only.
#[inline(always)]
pub unsafe fn increment<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
) -> Result<(), Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.increment::<SHIFT>(word) }
}

/// Adds `n` to the current id's word, wrapping.
///
/// # Errors
///
/// As [`increment`].
///
/// # Safety
///
/// As [`increment`].
#[inline(always)]
pub unsafe fn add<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    n: u64,
) -> Result<(), Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.add::<SHIFT>(word, n) }
}

/// Adds `n`, wrapping, to the current id's word number `AT`, which is 0 or 1, if the sum
/// of three words, that one after the addition, is in `0..=most`.
///
/// So two words share what a third one, which somebody else changes, leaves of a budget.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Full`] if the sum would not be.
///
/// # Safety
///
/// As [`increment`], for three words in a row. But anybody may change the third: a section
/// has read it at some time before its commit, so who takes from the budget there fences
/// before relying on it.
#[inline(always)]
pub unsafe fn add_within<I: Index, const SHIFT: u32, const AT: usize>(
    index: I,
    word: WordAddress,
    n: u64,
    most: u64,
) -> Result<(), Refusal> {
    const { assert!(AT < 2, "the third word is somebody else's") };
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.add_within::<SHIFT, AT>(word, n, most) }
}

/// Adds `n`, wrapping, to the word that lies `distance` bytes after where the
/// current id's word points.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Empty`] if the pointer is null.
///
/// # Safety
///
/// As [`increment`]. So is what the pointer leads to, if it is not null.
#[inline(always)]
pub unsafe fn add_through<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    distance: isize,
    n: u64,
) -> Result<(), Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.add_through::<SHIFT>(word, distance, n) }
}

/// Adds `n`, wrapping, to the current id's word if `flag`, which lies outside the
/// stripes, holds `expected`.
///
/// The flag is for who wants the words for himself: he stores another value and
/// [fences](crate::membarrier::fence). From then on nobody adds, and what was added
/// stands in the words. So the flag, unlike words of stripes, is anybody's to change,
/// in any way. Its load is an acquire load: an add that finds the flag open again
/// finds the words as whoever opened it, with release ordering, left them.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Mismatch`] if the flag holds something else.
///
/// # Safety
///
/// As [`increment`].
#[inline(always)]
pub unsafe fn add_if<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    flag: &AtomicU32,
    expected: u32,
    n: u64,
) -> Result<(), Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.add_if::<SHIFT>(word, flag, expected, n) }
}

/// Loads the current id's word.
///
/// # Errors
///
/// As [`increment`].
///
/// # Safety
///
/// As [`increment`]. But the words need not be writable.
#[inline(always)]
pub unsafe fn load<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
) -> Result<u64, Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.load::<SHIFT>(word) }
}

/// Takes what the current id's word holds and leaves `new`.
///
/// # Errors
///
/// As [`increment`].
///
/// # Safety
///
/// As [`increment`].
#[inline(always)]
pub unsafe fn swap<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    new: u64,
) -> Result<u64, Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.swap::<SHIFT>(word, new) }
}

/// Claims the current id's word: stores `held`, which is not 0, if it holds 0, and
/// returns where it is.
///
/// So a section takes a lock of its stripe, or any part of it, for longer than the
/// section lasts. Whoever claimed it gives it back by storing 0 there, with release
/// ordering, from wherever the thread has gone meanwhile.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Mismatch`] if it is claimed already. Do not wait:
/// its owner may be preempted.
///
/// # Safety
///
/// As [`increment`], and the only other store to a word that holds something else
/// than 0 is its owner's.
#[inline(always)]
pub unsafe fn claim<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    held: u64,
) -> Result<*mut u64, Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    debug_assert!(held != 0, "a claim that nobody sees");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.claim::<SHIFT>(word, held) }
}

/// Claims the first free one of `count` consecutive words of the current id: stores what
/// `mark` holds, loaded with acquire ordering in the same section, in the first of them
/// that holds 0, and returns where that is.
///
/// Whoever changes `mark` and then fences ([`fence`](crate::membarrier::fence)) knows that
/// no word is claimed with the old mark any more: each that was has been stored by now.
///
/// As after [`claim`], the word is given back by storing 0 there with release ordering,
/// by whoever holds the claim then, on any thread.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Mismatch`] if all are claimed, or the mark is 0.
///
/// # Safety
///
/// As [`increment`], for `count` words, at least one; and the only other store to one that
/// holds something else than 0 is its owner's.
#[inline(always)]
pub unsafe fn claim_first<I: Index, const SHIFT: u32>(
    index: I,
    words: WordAddress,
    count: u32,
    mark: &AtomicU64,
) -> Result<*mut u64, Refusal> {
    debug_assert!(words.0 != 0, "a word at address 0");
    debug_assert!(count != 0, "none to claim");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.claim_first::<SHIFT>(words, count, mark) }
}

/// Stores `new` in the current id's word if it holds `expected`.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Mismatch`].
///
/// # Safety
///
/// As [`increment`].
#[inline(always)]
pub unsafe fn compare_store<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    expected: u64,
    new: u64,
) -> Result<(), Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.compare_store::<SHIFT>(word, expected, new) }
}

/// Stores `new` in the current id's word if it holds `expected` and the word
/// `distance` bytes after it holds `second`.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Mismatch`].
///
/// # Safety
///
/// As [`increment`]. The second word likewise, but it need not be writable.
#[inline(always)]
pub unsafe fn compare_compare_store<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    expected: u64,
    distance: isize,
    second: u64,
    new: u64,
) -> Result<(), Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.compare_compare_store::<SHIFT>(word, expected, distance, second, new) }
}

/// Puts a node on top of the list whose head is the current id's word. The node's
/// link lies `NEXT` bytes after its start.
///
/// # Errors
///
/// As [`increment`].
///
/// # Safety
///
/// As [`increment`]. The node is the caller's, its link is an aligned word, and both stay
/// mapped for as long as anybody may pop from the list. `head` changes by
/// `list_push` and `list_pop` with the same `NEXT` only, or by who has fenced
/// all sections out.
#[inline(always)]
pub unsafe fn list_push<I: Index, const SHIFT: u32, const NEXT: usize>(
    index: I,
    head: WordAddress,
    node: *mut u8,
) -> Result<(), Refusal> {
    const { assert!(is_link(NEXT)) };
    debug_assert!(head.0 != 0, "a word at address 0");
    debug_assert!(
        !node.is_null() && node.cast::<u64>().is_aligned(),
        "a node at {node:p}"
    );
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.list_push::<SHIFT, NEXT>(head, node) }
}

/// Takes the node on top of the list whose head is the current id's word.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Empty`].
///
/// # Safety
///
/// As [`increment`]. As [`list_push`].
#[inline(always)]
pub unsafe fn list_pop<I: Index, const SHIFT: u32, const NEXT: usize>(
    index: I,
    head: WordAddress,
) -> Result<*mut u8, Refusal> {
    const { assert!(is_link(NEXT)) };
    debug_assert!(head.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.list_pop::<SHIFT, NEXT>(head) }
}

/// Whether a link may lie there: what every architecture can say in an instruction.
const fn is_link(next: usize) -> bool {
    next.is_multiple_of(8) && next < 1 << 15
}

/// Pushes a word on the stack of the current id: a length (32 bits) at `len`, and
/// room for `capacity` words in the words after it.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Full`].
///
/// # Safety
///
/// As [`increment`]. The length is a word and `capacity` words follow it, all for sections
/// only.
#[inline(always)]
pub unsafe fn array_push<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    capacity: u32,
    value: u64,
) -> Result<(), Refusal> {
    debug_assert!(len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.array_push::<SHIFT>(len, capacity, value) }
}

/// Pops a word from the stack of the current id.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Empty`].
///
/// # Safety
///
/// As [`increment`]. As [`array_push`].
#[inline(always)]
pub unsafe fn array_pop<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
) -> Result<u64, Refusal> {
    debug_assert!(len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.array_pop::<SHIFT>(len) }
}

/// Pushes words on the stack of the current id, in order, as many of the `count`
/// at `source` as there is room for; how many that was.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Full`] if there is room for none.
///
/// # Safety
///
/// As [`increment`]. As [`array_push`], and `source` has `count` words.
#[inline(always)]
pub unsafe fn array_push_batch<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    capacity: u32,
    source: *const u64,
    count: u32,
) -> Result<u32, Refusal> {
    debug_assert!(len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.array_push_batch::<SHIFT>(len, capacity, source, count) }
}

/// Pops up to `count` words from the stack of the current id into `target`, the
/// one that was on top last; how many those were.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Empty`]. `target` may have been written to all the same.
///
/// # Safety
///
/// As [`increment`]. As [`array_push`], and `target` has room for `count` words.
#[inline(always)]
pub unsafe fn array_pop_batch<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    target: *mut u64,
    count: u32,
) -> Result<u32, Refusal> {
    debug_assert!(len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.array_pop_batch::<SHIFT>(len, target, count) }
}

/// Pushes two words, `first` below `second`, on one of several stacks of the current id:
/// the one whose length lies as many bytes after `word` as `chosen` says, loaded with
/// acquire ordering in the same section.
///
/// Whoever chooses another stack and then fences ([`fence`](crate::membarrier::fence)) has
/// the old one to itself, on every stripe.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Full`], also if `chosen` is 0.
///
/// # Safety
///
/// As [`increment`]. For every value of `chosen` but 0 there is a length, of 32 bits in an
/// aligned word, and `capacity` words follow it, an even number; they change by sections
/// only, or, while another one is chosen and a fence since then has succeeded, by one
/// thread, before the stack is chosen again with release ordering.
#[inline(always)]
pub unsafe fn array_push_pair<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    chosen: &AtomicU64,
    capacity: u32,
    first: u64,
    second: u64,
) -> Result<(), Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    debug_assert!(capacity.is_multiple_of(2), "room for half a pair");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.array_push_pair::<SHIFT>(word, chosen, capacity, first, second) }
}

/// Pushes a word on the gated stack of the current id: a length (32 bits) at `len`, its
/// gate in the 32 bits after it, and room for words in the words after both.
///
/// The gate is how many words there is room for at this moment; 0 closes the stack to
/// push and pop. Anybody may store to it, with release ordering. So whoever is to take
/// a stack from under its sections closes it, fences ([`fence`]), takes what it holds,
/// stores the new length and opens it again.
///
/// [`fence`]: crate::membarrier::fence
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Full`], also if it is closed.
///
/// # Safety
///
/// As [`increment`]. The length and its gate are one aligned word, as many words follow
/// as the gate ever says, and length and words change by sections only, or while the
/// gate is 0 and a fence since then has succeeded.
#[inline(always)]
pub unsafe fn gated_push<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    value: u64,
) -> Result<(), Refusal> {
    debug_assert!(len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.gated_push::<SHIFT>(len, value) }
}

/// Pops a word from the gated stack of the current id.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Empty`], also if it is closed.
///
/// # Safety
///
/// As [`gated_push`].
#[inline(always)]
pub unsafe fn gated_pop<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
) -> Result<u64, Refusal> {
    debug_assert!(len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.gated_pop::<SHIFT>(len) }
}

/// Pushes words on the gated stack of the current id, in order, as many of the `count`
/// at `source` as there is room for; how many that was.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Full`] if there is room for none or it is closed.
///
/// # Safety
///
/// As [`gated_push`], and `source` has `count` words.
#[inline(always)]
pub unsafe fn gated_push_batch<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    source: *const u64,
    count: u32,
) -> Result<u32, Refusal> {
    debug_assert!(len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.gated_push_batch::<SHIFT>(len, source, count) }
}

/// Pops up to `count` words from the gated stack of the current id into `target`, the
/// one that was on top last; how many those were.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Empty`], also if it is closed. `target` may have been
/// written to all the same.
///
/// # Safety
///
/// As [`gated_push`], and `target` has room for `count` words.
#[inline(always)]
pub unsafe fn gated_pop_batch<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    target: *mut u64,
    count: u32,
) -> Result<u32, Refusal> {
    debug_assert!(len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.gated_pop_batch::<SHIFT>(len, target, count) }
}

/// Pushes `bytes` bytes on the byte stack of the current id: a length in bytes at
/// `len`, and room for `capacity` bytes in the words after it.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Full`].
///
/// # Safety
///
/// As [`increment`]. The length is a word, `capacity` bytes follow it, all for sections only;
/// `source` has `bytes` bytes.
#[inline(always)]
pub unsafe fn copy_push<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    capacity: usize,
    source: *const u8,
    bytes: usize,
) -> Result<(), Refusal> {
    debug_assert!(len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.copy_push::<SHIFT>(len, capacity, source, bytes) }
}

/// Pops `bytes` bytes from the byte stack of the current id into `target`.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Empty`] if there are fewer. `target` may have been written to
/// all the same.
///
/// # Safety
///
/// As [`increment`]. As [`copy_push`], and `target` has room for `bytes` bytes.
#[inline(always)]
pub unsafe fn copy_pop<I: Index, const SHIFT: u32>(
    index: I,
    len: WordAddress,
    target: *mut u8,
    bytes: usize,
) -> Result<(), Refusal> {
    debug_assert!(len.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.copy_pop::<SHIFT>(len, target, bytes) }
}

/// Copies `bytes` bytes of the current id's stripe, from the word on, to `target`:
/// no other section of that id has stored in between.
///
/// # Errors
///
/// As [`increment`]. `target` may have been written to all the same.
///
/// # Safety
///
/// As [`increment`]. The word and what follows it may be read for `bytes` bytes; `target` has
/// room for them.
#[inline(always)]
pub unsafe fn copy_out<I: Index, const SHIFT: u32>(
    index: I,
    word: WordAddress,
    target: *mut u8,
    bytes: usize,
) -> Result<(), Refusal> {
    debug_assert!(word.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.copy_out::<SHIFT>(word, target, bytes) }
}

/// Takes the current id's lazy slot for `expected`: stores 1 in its first word and
/// returns where the slot is, if the slot is idle, unmarked and holds `expected`.
///
/// A slot is three words: `active`, `dying` and `pointer`. They are loaded in this order,
/// each with acquire ordering; the pointer is last on purpose, for whoever changes it
/// sets one of the others first. The slot is the caller's until [`leave`], wherever the
/// thread has gone meanwhile.
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Mismatch`] if any of the three is not so.
///
/// # Safety
///
/// As [`increment`], for all three words. While `active` is 0 it is changed by `hit`
/// only; the other two words are changed by whoever holds the slot, and by others only
/// where a fence keeps sections out.
#[inline(always)]
pub unsafe fn hit<I: Index, const SHIFT: u32>(
    index: I,
    slot: WordAddress,
    expected: u64,
) -> Result<*mut u64, Refusal> {
    debug_assert!(slot.0 != 0, "a slot at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.hit::<SHIFT>(slot, expected) }
}

/// Leaves a slot that [`hit`] has taken: stores 0 in its first word, with release
/// ordering, if its second word is 0.
///
/// The slot is at its own address, not in the current id's stripe: its holder may have
/// another id by now, and any registered thread may leave it. It is a section for the sake of
/// fences only: whoever marks the slot and then [`fence`]s knows that no load of the
/// second word from before the mark is followed by the store.
///
/// [`fence`]: crate::membarrier::fence
///
/// # Errors
///
/// As [`increment`], and [`Refusal::Mismatch`] if the slot is marked: it is still the
/// caller's then.
///
/// # Safety
///
/// `slot` is the address, divided by 8, of a slot that the caller has taken and not left.
#[inline(always)]
pub unsafe fn leave<I: Index>(index: I, slot: WordAddress) -> Result<(), Refusal> {
    debug_assert!(slot.0 != 0, "a slot at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { index.leave(slot) }
}

/// Loads the word that `pointer` points to, in one section: whoever stores another pointer
/// and then fences ([`fence`](crate::membarrier::fence)) may free what the old one led to,
/// as far as such sections are concerned.
///
/// # Errors
///
/// [`Refusal::Empty`] if the pointer is null; [`Refusal::Aborted`],
/// [`Refusal::NotRegistered`], [`Refusal::Unsupported`].
///
/// # Safety
///
/// `pointer` is a word that is null or leads to an aligned word, which was written before
/// the pointer was stored with release ordering, and is not freed before a fence that began
/// after the pointer changed has succeeded.
#[inline(always)]
pub unsafe fn load_through(pointer: WordAddress) -> Result<u64, Refusal> {
    debug_assert!(pointer.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { arch::load_through(pointer) }
}

/// Copies `bytes` bytes from where `pointer` points to `target`, in one section, as
/// [`load_through`].
///
/// # Errors
///
/// As [`load_through`]. `target` may have been written to all the same.
///
/// # Safety
///
/// As [`load_through`], for `bytes` bytes; `target` has room for them.
#[inline(always)]
pub unsafe fn copy_through(
    pointer: WordAddress,
    target: *mut u8,
    bytes: usize,
) -> Result<(), Refusal> {
    debug_assert!(pointer.0 != 0, "a word at address 0");
    // SAFETY: the caller's contract is the operation's.
    unsafe { arch::copy_through(pointer, target, bytes) }
}
