//! The contract of the sections, and the bodies that implement it.
//!
//! Every operation has this shape. `area` is the thread's rseq area, libc's or our own. As
//! long as it is not registered its `cpu_id` is negative, and its `mm_cid`, where it is
//! ours, is all ones; `word` is an address in stripe 0, divided by 8.
//!
//! ```text
//! area = thread pointer + AREA              // once for many sections of a function
//! if area.cpu_id < 0 and (area.mm_cid != -1 or area.rseq_cs != 0): area = nobody's
//! area.rseq_cs = &descriptor                // arms the section
//! start:
//!   by mm_cid:  id = area.mm_cid            // all ones is above any limit
//!   placed:     id = area.mm_cid; h = *at (acquire)
//!               limit = low half of h; word += high half of h
//!   by cpu_id:  id = area.cpu_id            // and so is what is negative
//!   these:      if id >= *limit (unsigned)  -> refused   // by mm_cid: acquire
//!   by table:   if area.cpu_id >= SLOTS (unsigned, so negative too) -> refused
//!               id = table[area.cpu_id] - 1 // of 32 bits, signed
//!               if id < 0                   -> refused
//!   w = word * 8 + (id << SHIFT)
//!   ... the operation's body, which ends in its commit ...
//! post_commit:                              -> done
//!
//! signature; abort:                         -> Aborted
//! ```
//!
//! | operation | body, the commit last |
//! | --- | --- |
//! | `increment` | `*w = *w + 1` |
//! | `add` | `t = *w + n; *w = t` |
//! | `add_within` | `t = w[AT] + n; if t + w[1 - AT] + w[2] > most -> Full; w[AT] = t` |
//! | `add_through` | `p = *w; if p == 0 -> Empty; p += distance; t = *p + n; *p = t` |
//! | `add_if` | `if *flag (acquire) != expected -> Mismatch; t = *w + n; *w = t` |
//! | `load` | `value = *w` |
//! | `swap` | `value = *w; *w = new` |
//! | `claim` | `if *w (acquire) != 0 -> Mismatch; value = w; *w = held` |
//! | `claim_any` | `the first of w[..COUNT] that is 0 (acquire), or -> Mismatch; value = its address; it = 1` |
//! | `claim_first` | `m = *mark (acquire); if m == 0 -> Mismatch; the first of w[..count] that is 0 (acquire), or -> Mismatch; value = its address; it = m` |
//! | `compare_store` | `if *w != expected -> Mismatch; *w = new` |
//! | `compare_compare_store` | `if *w != expected or *(w + distance) != second -> Mismatch; *w = new` |
//! | `list_push` | `*(node + NEXT) = *w; *w = node` |
//! | `list_pop` | `value = *w; if value == 0 -> Empty; t = *(value + NEXT); *w = t` |
//! | `gated_list_push` | `if w[1] (acquire) != 0 -> Full; *(last + NEXT) = *w; *w = first` |
//! | `gated_list_pop` | `if w[1] (acquire) != 0 -> Empty; as list_pop` |
//! | `array_push` | `c = *w; if c >= capacity -> Full; w[1 + c] = value; *w = c + 1` |
//! | `array_pop` | `c = *w; if c == 0 -> Empty; value = w[c]; *w = c - 1` |
//! | `array_push_batch` | `c = *w; if c >= capacity -> Full; k = min(count, capacity - c); w[1 + c..][..k] = source[..k]; *w = c + k` |
//! | `array_pop_batch` | `c = *w; if c == 0 -> Empty; k = min(count, c); target[..k] = w[1 + c - k..][..k]; *w = c - k` |
//! | `gated_push` | `k = w.gate (acquire); c = *w; if c >= k -> Full; w[1 + c] = value; *w = c + 1` |
//! | `gated_pop` | `if w.gate (acquire) == 0 -> Empty; as array_pop` |
//! | `gated_push_batch` | `capacity = w.gate (acquire); as array_push_batch` |
//! | `gated_pop_batch` | `if w.gate (acquire) == 0 -> Empty; as array_pop_batch` |
//! | `array_push_pair` | `w += *chosen (acquire), 0 -> Full; c = *w; if c >= capacity -> Full; w[1 + c] = first; w[2 + c] = second; *w = c + 2` |
//! | `copy_push` | `c = *w; if c + bytes > capacity -> Full; (w + 1 word + c)[..bytes] = source[..bytes]; *w = c + bytes` |
//! | `copy_pop` | `c = *w; if c < bytes -> Empty; target[..bytes] = (w + 1 word + c - bytes)[..bytes]; *w = c - bytes` |
//! | `copy_out` | `target[..bytes] = w[..bytes]` |
//!
//! Two operations have no id, no limit and no stripes: `w` is the pointer itself. A thread
//! that is not registered is refused; they ask by themselves, `if area.cpu_id < 0`, unless
//! libc registers threads and the area was found to be registered when its address was
//! computed. An address with [`NOWHERE`] in it leads nowhere; as each status has that bit,
//! too, `load_through` asks for it once, after the section:
//!
//! | operation | body |
//! | --- | --- |
//! | `load_through` | `p = *w (acquire); value = *p`; behind it `if p & NOWHERE -> Empty` |
//! | `copy_through` | `p = *w (acquire); if p & NOWHERE -> Empty; target[..bytes] = p[..bytes]` |
//!
//! Lengths of arrays are 32 bits wide, those of byte stacks 64. A gate is the 32 bits
//! after a length. It is loaded *before* the length: who opens it again, after having
//! taken what the stack held, stored the new length first. The same holds for the stop
//! word after a list's head.
//!
//! What the bodies must keep:
//!
//! - Between `start` and `post_commit` there is no call, no spill and no stack;
//!   the commit is one instruction and the last of the section.
//! - The id is compared with the limit inside, every time: an id that the kernel gives can
//!   exceed what was mapped. (A table's cannot: who puts one in a slot has opened its
//!   stripe. But its CPU number can.) The same comparison refuses a thread that is not
//!   registered, which would commit unprotected: in an area of our own it has no id. In
//!   libc's it may read id 0. But libc registers each of its threads before that runs
//!   anything else, and never unregisters one; where the kernel refuses it to the first
//!   thread we register, and to a later one, the process ends. So
//!   a thread that has an area of libc's and is not registered was not made by it, or made
//!   by such a thread, and that does not change while a function runs: it is given nobody's
//!   area. Which of the two it was is found out afterwards, in `refused`.
//! - What is stored before the commit is out of everybody's reach until then.
//! - Every register that a restart needs is an input, and inputs are not
//!   changed. An operation is restarted by its caller, so there is nothing else.
//! - An exit from the section by a jump leaves it armed. That is allowed: the
//!   kernel drops a descriptor whose range does not hold the instruction pointer.
//! - The signature stands directly before `abort`.
//! - Each descriptor is listed in `__rseq_cs_ptr_array`, retained at link time,
//!   so that debuggers find the places where single-stepping must not stop.
//!
//! For trials of the kernel there is one more section, without an id (`wait_inside`),
//! and a thread to run it in (`start_thread`):
//!
//! ```text
//! area.rseq_cs = &descriptor                // 0, if not armed
//! start:
//!   if area.cpu_id != cpu          -> InVain
//!   *inside = number                        // seen by others, whatever comes of it
//!   up to `turns` times: if *flag (acquire) == number: *committed = number
//! post_commit:                     -> Committed
//!                                  -> InVain  // the turns are over
//! signature; abort:                -> Aborted
//! ```
//!
//! With `--cfg percid_inject` a body spins at numbered points: 1 after `start`,
//! 2 with the id loaded, 3 before the commit.
//!
//! With `--cfg percid_compare_twice` it compares once more before the commit: the id
//! with the one of its start, and the words that the operation compared. A difference
//! means that the kernel did not restart a section that it moved, or that somebody
//! writes words which are for sections only; the thread panics. The flag of `add_if` is
//! anybody's to change, so it is compared once.
//!
//! With `--cfg percid_portable` a target that has sections is built as if it had
//! none.
//!
//! portable: [`portable`](crate::portable) keeps the same contract without an area, an
//! id and a limit. The caller passes `w`; where the table reads or writes more than
//! `*w`, a bit of `*w` keeps others out until the commit, and who finds it set gets
//! `Aborted`. It serves every target, so it lies outside the arches.

use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::Refusal;
use crate::section::WordAddress;

#[cfg(all(
    target_os = "linux",
    target_arch = "x86_64",
    target_pointer_width = "64",
    not(any(miri, percid_portable))
))]
#[path = "x86_64/mod.rs"]
mod body;

#[cfg(all(
    target_os = "linux",
    target_arch = "aarch64",
    target_pointer_width = "64",
    target_endian = "little",
    not(any(miri, percid_portable))
))]
#[path = "aarch64/mod.rs"]
mod body;

#[cfg(not(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        all(target_arch = "aarch64", target_endian = "little")
    ),
    target_pointer_width = "64",
    not(any(miri, percid_portable))
)))]
#[path = "none.rs"]
mod body;

pub(crate) use body::*;

/// The bit of an address that leads nowhere, and of every status.
pub(crate) const NOWHERE: u64 = 2;

/// What a section waits for that does nothing else.
#[allow(dead_code, reason = "there may be no sections here")]
pub(crate) struct Wait<'a> {
    /// False: it is a section in name only, which nothing aborts.
    pub(crate) armed: bool,
    pub(crate) cpu: u32,
    pub(crate) number: u32,
    /// At least 1.
    pub(crate) turns: u32,
    pub(crate) inside: &'a AtomicU32,
    pub(crate) flag: &'a AtomicU32,
    pub(crate) committed: &'a AtomicU32,
}

/// How such a section ended.
#[allow(dead_code, reason = "there may be no sections here")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Aborted,
    Committed,
    InVain,
}

/// Where a thread begins.
pub(crate) type Entry = extern "C" fn(*mut c_void);

/// The operations by one kind of index. What each does stands above, and what its
/// caller owes in `crate::section`.
pub(crate) trait Operations: Copy {
    /// Whether an address counts from a place that the index has.
    const HAS_PLACE: bool;

    unsafe fn increment<const SHIFT: u32>(self, word: WordAddress) -> Result<(), Refusal>;
    unsafe fn add<const SHIFT: u32>(self, word: WordAddress, n: u64) -> Result<(), Refusal>;
    unsafe fn add_within<const SHIFT: u32, const AT: usize>(
        self,
        word: WordAddress,
        n: u64,
        most: u64,
    ) -> Result<(), Refusal>;
    unsafe fn add_through<const SHIFT: u32>(
        self,
        word: WordAddress,
        distance: isize,
        n: u64,
    ) -> Result<(), Refusal>;
    unsafe fn add_if<const SHIFT: u32>(
        self,
        word: WordAddress,
        flag: &AtomicU32,
        expected: u32,
        n: u64,
    ) -> Result<(), Refusal>;
    unsafe fn load<const SHIFT: u32>(self, word: WordAddress) -> Result<u64, Refusal>;
    unsafe fn swap<const SHIFT: u32>(self, word: WordAddress, new: u64) -> Result<u64, Refusal>;
    unsafe fn claim<const SHIFT: u32>(
        self,
        word: WordAddress,
        held: u64,
    ) -> Result<*mut u64, Refusal>;
    unsafe fn claim_any<const SHIFT: u32, const COUNT: u32>(
        self,
        words: WordAddress,
    ) -> Result<*mut u64, Refusal>;
    unsafe fn claim_first<const SHIFT: u32>(
        self,
        words: WordAddress,
        count: u32,
        mark: &AtomicU64,
    ) -> Result<*mut u64, Refusal>;
    unsafe fn compare_store<const SHIFT: u32>(
        self,
        word: WordAddress,
        expected: u64,
        new: u64,
    ) -> Result<(), Refusal>;
    unsafe fn compare_compare_store<const SHIFT: u32>(
        self,
        word: WordAddress,
        expected: u64,
        distance: isize,
        second: u64,
        new: u64,
    ) -> Result<(), Refusal>;
    unsafe fn list_push<const SHIFT: u32, const NEXT: usize>(
        self,
        head: WordAddress,
        node: *mut u8,
    ) -> Result<(), Refusal>;
    unsafe fn list_pop<const SHIFT: u32, const NEXT: usize>(
        self,
        head: WordAddress,
    ) -> Result<*mut u8, Refusal>;
    unsafe fn gated_list_push<const SHIFT: u32, const NEXT: usize>(
        self,
        head: WordAddress,
        first: *mut u8,
        last: *mut u8,
    ) -> Result<(), Refusal>;
    unsafe fn gated_list_pop<const SHIFT: u32, const NEXT: usize>(
        self,
        head: WordAddress,
    ) -> Result<*mut u8, Refusal>;
    unsafe fn array_push<const SHIFT: u32>(
        self,
        len: WordAddress,
        capacity: u32,
        value: u64,
    ) -> Result<(), Refusal>;
    unsafe fn array_pop<const SHIFT: u32>(self, len: WordAddress) -> Result<u64, Refusal>;
    unsafe fn array_push_pair<const SHIFT: u32>(
        self,
        word: WordAddress,
        chosen: &AtomicU64,
        capacity: u32,
        first: u64,
        second: u64,
    ) -> Result<(), Refusal>;
    unsafe fn array_push_batch<const SHIFT: u32>(
        self,
        len: WordAddress,
        capacity: u32,
        source: *const u64,
        count: u32,
    ) -> Result<u32, Refusal>;
    unsafe fn array_pop_batch<const SHIFT: u32>(
        self,
        len: WordAddress,
        target: *mut u64,
        count: u32,
    ) -> Result<u32, Refusal>;
    unsafe fn gated_push<const SHIFT: u32>(
        self,
        len: WordAddress,
        value: u64,
    ) -> Result<(), Refusal>;
    unsafe fn gated_pop<const SHIFT: u32>(self, len: WordAddress) -> Result<u64, Refusal>;
    unsafe fn gated_push_batch<const SHIFT: u32>(
        self,
        len: WordAddress,
        source: *const u64,
        count: u32,
    ) -> Result<u32, Refusal>;
    unsafe fn gated_pop_batch<const SHIFT: u32>(
        self,
        len: WordAddress,
        target: *mut u64,
        count: u32,
    ) -> Result<u32, Refusal>;
    unsafe fn copy_push<const SHIFT: u32>(
        self,
        len: WordAddress,
        capacity: usize,
        source: *const u8,
        bytes: usize,
    ) -> Result<(), Refusal>;
    unsafe fn copy_pop<const SHIFT: u32>(
        self,
        len: WordAddress,
        target: *mut u8,
        bytes: usize,
    ) -> Result<(), Refusal>;
    unsafe fn copy_out<const SHIFT: u32>(
        self,
        word: WordAddress,
        target: *mut u8,
        bytes: usize,
    ) -> Result<(), Refusal>;
}
