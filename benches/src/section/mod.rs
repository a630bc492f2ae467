//! Sections by themselves, on stripes of a page each.
//!
//! | case | one operation is |
//! | --- | --- |
//! | `add` | 1 added to a word |
//! | `lock` | a lock taken, 1 added to what it guards, the lock released |
//! | `list` | a node pushed on an intrusive list, and one popped |
//! | `array` | a word pushed on an array stack, and one popped |
//! | `copy16` | 16 bytes pushed on a byte stack, and 16 popped |
//! | `batch32` | a word pushed and popped, 32 at a time |
//!
//! | implementation | what it is |
//! | --- | --- |
//! | `percid` | sections by mm_cid |
//! | `percid:table` | sections by a table over the CPU |
//! | `percid:cpu` | sections by the CPU number |
//! | `thread_local` | a cell, or a `Vec`, in `thread_local!` |
//! | `stack` | the same on the stack of the thread's loop |

mod sections;
mod stack;
mod thread_local;
mod work;

use self::sections::{ByCpu, ByMmCid, ByTable, Sections};
use self::stack::Stack;
use self::thread_local::ThreadLocal;
use self::work::{Add, Array, Batch32, Copy16, List, Lock, of};
use crate::compare::ratio;
use crate::suite::{Case, Suite, Who};

/// The suite `section`.
pub static SUITE: Suite = Suite {
    name: "section",
    about: "single operations in restartable sequences",
    available: sections::available,
    cases: &[
        Case::timed(
            "add",
            "1 added to a word",
            "ns/op",
            Who::All,
            &[
                of::<Add, Sections<ByMmCid>>(),
                of::<Add, Sections<ByTable>>(),
                of::<Add, Sections<ByCpu>>(),
                of::<Add, ThreadLocal>(),
                of::<Add, Stack>(),
            ],
        ),
        Case::timed(
            "lock",
            "a lock taken, 1 added, the lock released",
            "ns/op",
            Who::All,
            &[
                of::<Lock, Sections<ByMmCid>>(),
                of::<Lock, Sections<ByTable>>(),
                of::<Lock, ThreadLocal>(),
                of::<Lock, Stack>(),
            ],
        ),
        Case::timed(
            "list",
            "a node pushed and one popped",
            "ns/op",
            Who::All,
            &[
                of::<List, Sections<ByMmCid>>(),
                of::<List, Sections<ByTable>>(),
                of::<List, ThreadLocal>(),
                of::<List, Stack>(),
            ],
        ),
        Case::timed(
            "array",
            "a word pushed and one popped",
            "ns/op",
            Who::All,
            &[
                of::<Array, Sections<ByMmCid>>(),
                of::<Array, Sections<ByTable>>(),
                of::<Array, ThreadLocal>(),
                of::<Array, Stack>(),
            ],
        ),
        Case::timed(
            "copy16",
            "16 bytes pushed and 16 popped",
            "ns/op",
            Who::All,
            &[
                of::<Copy16, Sections<ByMmCid>>(),
                of::<Copy16, Sections<ByTable>>(),
                of::<Copy16, ThreadLocal>(),
                of::<Copy16, Stack>(),
            ],
        ),
        Case::timed(
            "batch32",
            "a word pushed and popped, 32 at a time",
            "ns/op",
            Who::All,
            &[
                of::<Batch32, Sections<ByMmCid>>(),
                of::<Batch32, Sections<ByTable>>(),
                of::<Batch32, ThreadLocal>(),
                of::<Batch32, Stack>(),
            ],
        ),
    ],
    comparisons: &[
        ratio(
            "list, 1 thread: percid / thread_local",
            ("list", "percid", 1),
            ("list", "thread_local", 1),
        ),
        ratio(
            "array, 1 thread: percid / thread_local",
            ("array", "percid", 1),
            ("array", "thread_local", 1),
        ),
        ratio(
            "list, 1 thread: percid / stack",
            ("list", "percid", 1),
            ("list", "stack", 1),
        ),
        ratio(
            "array, 1 thread: percid / stack",
            ("array", "percid", 1),
            ("array", "stack", 1),
        ),
        ratio(
            "percid, 1 thread: copy16 / array",
            ("copy16", "percid", 1),
            ("array", "percid", 1),
        ),
        ratio(
            "percid, 1 thread: lock / add",
            ("lock", "percid", 1),
            ("add", "percid", 1),
        ),
        ratio(
            "add, 1 thread: percid:table / percid",
            ("add", "percid:table", 1),
            ("add", "percid", 1),
        ),
        ratio(
            "percid, 1 thread: batch32 / array",
            ("batch32", "percid", 1),
            ("array", "percid", 1),
        ),
    ],
};
