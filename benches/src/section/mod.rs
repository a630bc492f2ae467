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
use crate::compare::{Comparison, Which};
use crate::suite::{Case, Method, Suite, Timed, Who};

/// The suite `section`.
pub static SUITE: Suite = Suite {
    name: "section",
    about: "single operations in restartable sequences",
    available: sections::available,
    cases: &[
        case(
            "add",
            "1 added to a word",
            &[
                of::<Add, Sections<ByMmCid>>(),
                of::<Add, Sections<ByTable>>(),
                of::<Add, Sections<ByCpu>>(),
                of::<Add, ThreadLocal>(),
                of::<Add, Stack>(),
            ],
        ),
        case(
            "lock",
            "a lock taken, 1 added, the lock released",
            &[
                of::<Lock, Sections<ByMmCid>>(),
                of::<Lock, Sections<ByTable>>(),
                of::<Lock, ThreadLocal>(),
                of::<Lock, Stack>(),
            ],
        ),
        case(
            "list",
            "a node pushed and one popped",
            &[
                of::<List, Sections<ByMmCid>>(),
                of::<List, Sections<ByTable>>(),
                of::<List, ThreadLocal>(),
                of::<List, Stack>(),
            ],
        ),
        case(
            "array",
            "a word pushed and one popped",
            &[
                of::<Array, Sections<ByMmCid>>(),
                of::<Array, Sections<ByTable>>(),
                of::<Array, ThreadLocal>(),
                of::<Array, Stack>(),
            ],
        ),
        case(
            "copy16",
            "16 bytes pushed and 16 popped",
            &[
                of::<Copy16, Sections<ByMmCid>>(),
                of::<Copy16, Sections<ByTable>>(),
                of::<Copy16, ThreadLocal>(),
                of::<Copy16, Stack>(),
            ],
        ),
        case(
            "batch32",
            "a word pushed and popped, 32 at a time",
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
            ["list", "percid"],
            ["list", "thread_local"],
        ),
        ratio(
            "array, 1 thread: percid / thread_local",
            ["array", "percid"],
            ["array", "thread_local"],
        ),
        ratio(
            "list, 1 thread: percid / stack",
            ["list", "percid"],
            ["list", "stack"],
        ),
        ratio(
            "array, 1 thread: percid / stack",
            ["array", "percid"],
            ["array", "stack"],
        ),
        ratio(
            "percid, 1 thread: copy16 / array",
            ["copy16", "percid"],
            ["array", "percid"],
        ),
        ratio(
            "percid, 1 thread: lock / add",
            ["lock", "percid"],
            ["add", "percid"],
        ),
        ratio(
            "add, 1 thread: percid:table / percid",
            ["add", "percid:table"],
            ["add", "percid"],
        ),
        ratio(
            "percid, 1 thread: batch32 / array",
            ["batch32", "percid"],
            ["array", "percid"],
        ),
    ],
};

const fn case(name: &'static str, about: &'static str, implementations: &'static [Timed]) -> Case {
    let method = Method::Timed {
        who: Who::All,
        implementations,
    };
    Case {
        name,
        about,
        unit: "ns/op",
        method,
    }
}

const fn ratio(
    what: &'static str,
    of: [&'static str; 2],
    against: [&'static str; 2],
) -> Comparison {
    let [case, implementation] = of;
    let [other_case, other] = against;
    Comparison {
        what,
        of: Which {
            case,
            implementation,
            threads: 1,
        },
        against: Some(Which {
            case: other_case,
            implementation: other,
            threads: 1,
        }),
    }
}
