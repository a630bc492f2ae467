//! What each section of aarch64 does between its id and its commit, which is the last
//! instruction.

/// The body of an operation. It has `{stripe}`, the word's address, may overwrite
/// `{spare}` and `{scratch}`, and ends in `commit!` and one instruction. With a result
/// it goes to `24f` where there is nothing to do, and `{stripe}` holds an address to
/// the end.
macro_rules! body {
    (increment, $index:ident) => {
        concat!(
            "ldr {scratch}, [{stripe}]\n",
            "add {scratch}, {scratch}, #1\n",
            commit!($index),
            "str {scratch}, [{stripe}]"
        )
    };
    (add, $index:ident) => {
        concat!(
            "ldr {temp}, [{stripe}]\n",
            "add {temp}, {temp}, {n}\n",
            commit!($index),
            "str {temp}, [{stripe}]"
        )
    };
    (add_within, $index:ident) => {
        concat!(
            "ldr {temp}, [{stripe}, {at}]\n",
            "add {temp}, {temp}, {n}\n",
            "ldr {spare}, [{stripe}, {other}]\n",
            "ldr {scratch}, [{stripe}, #16]\n",
            "add {spare}, {spare}, {scratch}\n",
            "add {spare}, {spare}, {temp}\n",
            "cmp {spare}, {most}\n",
            "b.hi {full}\n",
            commit!($index),
            "str {temp}, [{stripe}, {at}]"
        )
    };
    (add_through, $index:ident) => {
        concat!(
            "ldr {stripe}, [{stripe}]\n",
            "cbz {stripe}, {empty}\n",
            "add {stripe}, {stripe}, {distance}\n",
            "ldr {temp}, [{stripe}]\n",
            "add {temp}, {temp}, {n}\n",
            commit!($index),
            "str {temp}, [{stripe}]"
        )
    };
    (add_if, $index:ident) => {
        concat!(
            "ldar {scratch:w}, [{flag}]\n",
            "cmp {scratch:w}, {expected:w}\n",
            "b.ne {mismatch}\n",
            "ldr {temp}, [{stripe}]\n",
            "add {temp}, {temp}, {n}\n",
            commit!($index),
            "str {temp}, [{stripe}]"
        )
    };
    (load, $index:ident) => {
        concat!(commit!($index), "ldr {value}, [{stripe}]")
    };
    (swap, $index:ident) => {
        concat!(
            "ldr {value}, [{stripe}]\n",
            commit!($index),
            "str {new}, [{stripe}]"
        )
    };
    (claim, $index:ident) => {
        concat!(
            "ldar {scratch}, [{stripe}]\n",
            "cbnz {scratch}, 24f\n",
            commit!($index),
            twice!("[{stripe}]", "xzr"),
            "str {held}, [{stripe}]"
        )
    };
    (claim_any, $index:ident) => {
        concat!(
            "mov {left:w}, {count}\n",
            "27: ldar {scratch}, [{stripe}]\n",
            "cbz {scratch}, 28f\n",
            "add {stripe}, {stripe}, #8\n",
            "subs {left:w}, {left:w}, #1\n",
            "b.ne 27b\n",
            "b 24f\n",
            "28: ",
            commit!($index),
            twice!("[{stripe}]", "xzr"),
            "mov {scratch}, #1\n",
            "str {scratch}, [{stripe}]"
        )
    };
    (claim_first, $index:ident) => {
        concat!(
            "ldar {held}, [{mark}]\n",
            "cbz {held}, 24f\n",
            "mov {left:w}, {count:w}\n",
            "27: ldar {scratch}, [{stripe}]\n",
            "cbz {scratch}, 28f\n",
            "add {stripe}, {stripe}, #8\n",
            "subs {left:w}, {left:w}, #1\n",
            "b.ne 27b\n",
            "b 24f\n",
            "28: ",
            commit!($index),
            twice!("[{stripe}]", "xzr"),
            "str {held}, [{stripe}]"
        )
    };
    (compare_store, $index:ident) => {
        concat!(
            "ldr {scratch}, [{stripe}]\n",
            "cmp {scratch}, {expected}\n",
            "b.ne {mismatch}\n",
            commit!($index),
            twice!("[{stripe}]", "{expected}"),
            "str {new}, [{stripe}]"
        )
    };
    (compare_compare_store, $index:ident) => {
        concat!(
            "ldr {scratch}, [{stripe}]\n",
            "cmp {scratch}, {expected}\n",
            "b.ne {mismatch}\n",
            "ldr {scratch}, [{stripe}, {distance}]\n",
            "cmp {scratch}, {second}\n",
            "b.ne {mismatch}\n",
            commit!($index),
            twice!("[{stripe}]", "{expected}"),
            twice!("[{stripe}, {distance}]", "{second}"),
            "str {new}, [{stripe}]"
        )
    };
    (list_push, $index:ident) => {
        concat!(
            "ldr {temp}, [{stripe}]\n",
            "str {temp}, [{node}, {next}]\n",
            commit!($index),
            "str {node}, [{stripe}]"
        )
    };
    (list_pop, $index:ident) => {
        concat!(
            "ldr {value}, [{stripe}]\n",
            "cbz {value}, 24f\n",
            "ldr {temp}, [{value}, {next}]\n",
            commit!($index),
            "str {temp}, [{stripe}]"
        )
    };
    // A stop word is acquired: the head of who took it away again is seen with it.
    (gated_list_push, $index:ident) => {
        concat!(
            "add {scratch}, {stripe}, #8\n",
            "ldar {scratch}, [{scratch}]\n",
            "cbnz {scratch}, {full}\n",
            "ldr {temp}, [{stripe}]\n",
            "str {temp}, [{tail_of}, {next}]\n",
            commit!($index),
            "str {head_of}, [{stripe}]"
        )
    };
    (gated_list_pop, $index:ident) => {
        concat!(
            "add {scratch}, {stripe}, #8\n",
            "ldar {scratch}, [{scratch}]\n",
            "cbnz {scratch}, 24f\n",
            body!(list_pop, $index)
        )
    };
    (array_push, $index:ident) => {
        concat!(
            "ldr {temp:w}, [{stripe}]\n",
            "cmp {temp:w}, {capacity:w}\n",
            "b.hs {full}\n",
            "add {spare}, {stripe}, {temp}, lsl #3\n",
            "str {value}, [{spare}, #8]\n",
            "add {temp:w}, {temp:w}, #1\n",
            commit!($index),
            "str {temp:w}, [{stripe}]"
        )
    };
    (array_pop, $index:ident) => {
        concat!(
            "ldr {temp:w}, [{stripe}]\n",
            "cbz {temp:w}, 24f\n",
            "ldr {value}, [{stripe}, {temp}, lsl #3]\n",
            "sub {temp:w}, {temp:w}, #1\n",
            commit!($index),
            "str {temp:w}, [{stripe}]"
        )
    };
    (array_push_pair, $index:ident) => {
        concat!(
            "ldar {temp}, [{chosen}]\n",
            "cbz {temp}, {full}\n",
            "add {stripe}, {stripe}, {temp}\n",
            "ldr {temp:w}, [{stripe}]\n",
            "cmp {temp:w}, {capacity:w}\n",
            "b.hs {full}\n",
            "add {scratch}, {stripe}, {temp}, lsl #3\n",
            "str {below}, [{scratch}, #8]\n",
            "str {above}, [{scratch}, #16]\n",
            "add {temp:w}, {temp:w}, #2\n",
            commit!($index),
            "str {temp:w}, [{stripe}]"
        )
    };
    (array_push_batch, $index:ident) => {
        concat!(
            "ldr {held:w}, [{stripe}]\n",
            "subs {taken:w}, {capacity:w}, {held:w}\n",
            "b.ls 24f\n",
            "cmp {taken:w}, {count:w}\n",
            "csel {taken:w}, {count:w}, {taken:w}, hi\n",
            "add {spare}, {stripe}, {held}, lsl #3\n",
            "add {spare}, {spare}, #8\n",
            copy_words!("{source}", "{spare}", "{taken:w}"),
            "\nadd {held:w}, {held:w}, {taken:w}\n",
            commit!($index),
            "str {held:w}, [{stripe}]"
        )
    };
    (array_pop_batch, $index:ident) => {
        concat!(
            "ldr {held:w}, [{stripe}]\n",
            "cbz {held:w}, 24f\n",
            "cmp {held:w}, {count:w}\n",
            "csel {taken:w}, {count:w}, {held:w}, hi\n",
            "sub {held:w}, {held:w}, {taken:w}\n",
            "add {spare}, {stripe}, {held}, lsl #3\n",
            "add {spare}, {spare}, #8\n",
            copy_words!("{spare}", "{target}", "{taken:w}"),
            "\n",
            commit!($index),
            "str {held:w}, [{stripe}]"
        )
    };
    // A gate is acquired: the length of who opened it again is seen with it.
    (gated_push, $index:ident) => {
        concat!(
            "add {scratch}, {stripe}, #4\n",
            "ldar {scratch:w}, [{scratch}]\n",
            "ldr {temp:w}, [{stripe}]\n",
            "cmp {temp:w}, {scratch:w}\n",
            "b.hs {full}\n",
            "add {spare}, {stripe}, {temp}, lsl #3\n",
            "str {value}, [{spare}, #8]\n",
            "add {temp:w}, {temp:w}, #1\n",
            commit!($index),
            "str {temp:w}, [{stripe}]"
        )
    };
    (gated_pop, $index:ident) => {
        concat!(
            "add {scratch}, {stripe}, #4\n",
            "ldar {scratch:w}, [{scratch}]\n",
            "cbz {scratch:w}, 24f\n",
            body!(array_pop, $index)
        )
    };
    (gated_push_batch, $index:ident) => {
        concat!(
            "add {scratch}, {stripe}, #4\n",
            "ldar {taken:w}, [{scratch}]\n",
            "ldr {held:w}, [{stripe}]\n",
            "subs {taken:w}, {taken:w}, {held:w}\n",
            "b.ls 24f\n",
            "cmp {taken:w}, {count:w}\n",
            "csel {taken:w}, {count:w}, {taken:w}, hi\n",
            "add {spare}, {stripe}, {held}, lsl #3\n",
            "add {spare}, {spare}, #8\n",
            copy_words!("{source}", "{spare}", "{taken:w}"),
            "\nadd {held:w}, {held:w}, {taken:w}\n",
            commit!($index),
            "str {held:w}, [{stripe}]"
        )
    };
    (gated_pop_batch, $index:ident) => {
        concat!(
            "add {scratch}, {stripe}, #4\n",
            "ldar {scratch:w}, [{scratch}]\n",
            "cbz {scratch:w}, 24f\n",
            body!(array_pop_batch, $index)
        )
    };
    (copy_push, $index:ident) => {
        concat!(
            "ldr {held}, [{stripe}]\n",
            "add {spare}, {stripe}, {held}\n",
            "add {spare}, {spare}, #8\n",
            "add {held}, {held}, {bytes}\n",
            "cmp {held}, {capacity}\n",
            "b.hi 24f\n",
            copy_bytes!("{source}", "{spare}"),
            "\n",
            commit!($index),
            "str {held}, [{stripe}]"
        )
    };
    (copy_pop, $index:ident) => {
        concat!(
            "ldr {held}, [{stripe}]\n",
            "subs {held}, {held}, {bytes}\n",
            "b.lo 24f\n",
            "add {spare}, {stripe}, {held}\n",
            "add {spare}, {spare}, #8\n",
            copy_bytes!("{spare}", "{target}"),
            "\n",
            commit!($index),
            "str {held}, [{stripe}]"
        )
    };
    (load_through, $index:ident) => {
        concat!(
            "ldar {stripe}, [{word}]\n",
            commit!($index),
            "ldr {value}, [{stripe}]"
        )
    };
    (copy_through, $index:ident) => {
        concat!(
            "ldar {stripe}, [{word}]\n",
            "tbnz {stripe}, #1, 24f\n",
            // There is no commit: what must not be late is the copy.
            commit!($index),
            copy_bytes!("{stripe}", "{target}")
        )
    };
    (copy_out, $index:ident) => {
        concat!(
            copy_bytes!("{stripe}", "{target}"),
            "\n",
            commit!($index),
            "nop"
        )
    };
}
