//! What each section of x86-64 does between its id and its commit, which is the last
//! instruction.
//!
//! Sizes of forms follow the table in `mod`: plain addresses where a later section
//! loads what an earlier one stored.

/// The body of an operation. It has `{stripe}`, the word's address, may overwrite
/// `{scratch}`, and ends in `commit!` and one instruction. With a result it goes to `24f`
/// where there is nothing to do, and `{stripe}` holds an address to the end.
macro_rules! body {
    (increment, $index:ident) => {
        concat!(commit!($index), "inc qword ptr [{stripe}]")
    };
    // One instruction, which no interruption cuts in two. Other architectures need a
    // register for the sum, and here an operand that no template names is an error.
    (add, $index:ident) => {
        concat!(
            commit!($index),
            "add qword ptr [{stripe}], {n} /* {temp} */"
        )
    };
    (add_within, $index:ident) => {
        concat!(
            "mov {temp}, qword ptr [{stripe} + {at}]\n",
            "add {temp}, {n}\n",
            "mov {scratch}, qword ptr [{stripe} + {other}]\n",
            "add {scratch}, qword ptr [{stripe} + 16]\n",
            "add {scratch}, {temp}\n",
            "cmp {scratch}, {most}\n",
            "ja {full}\n",
            commit!($index),
            "mov qword ptr [{stripe} + {at}], {temp}"
        )
    };
    (add_through, $index:ident) => {
        concat!(
            "mov {stripe}, qword ptr [{stripe}]\n",
            "test {stripe}, {stripe}\n",
            "jz {empty}\n",
            "add {stripe}, {distance}\n",
            "mov {temp}, qword ptr [{stripe}]\n",
            "add {temp}, {n}\n",
            commit!($index),
            "mov qword ptr [{stripe}], {temp}"
        )
    };
    (add_if, $index:ident) => {
        concat!(
            "cmp dword ptr [{flag}], {expected:e}\n",
            "jne {mismatch}\n",
            "mov {temp}, qword ptr [{stripe}]\n",
            "add {temp}, {n}\n",
            commit!($index),
            "mov qword ptr [{stripe}], {temp}"
        )
    };
    (load, $index:ident) => {
        concat!(commit!($index), "mov {value}, qword ptr [{stripe}]")
    };
    (swap, $index:ident) => {
        concat!(
            "mov {value}, qword ptr [{stripe}]\n",
            commit!($index),
            "mov qword ptr [{stripe}], {new}"
        )
    };
    (claim, $index:ident) => {
        concat!(
            "cmp qword ptr [{stripe}], 0\n",
            "jne 24f\n",
            commit!($index),
            twice!("cmp qword ptr [{stripe}], 0"),
            "mov qword ptr [{stripe}], {held}"
        )
    };
    (claim_any, $index:ident) => {
        concat!(
            "cmp qword ptr [{stripe}], 0\n",
            "je 28f\n",
            "mov {left:e}, {count}\n",
            "27: dec {left:e}\n",
            "jz 24f\n",
            "add {stripe}, 8\n",
            "cmp qword ptr [{stripe}], 0\n",
            "jne 27b\n",
            "28: ",
            commit!($index),
            twice!("cmp qword ptr [{stripe}], 0"),
            "mov qword ptr [{stripe}], 1"
        )
    };
    (claim_first, $index:ident) => {
        concat!(
            "mov {held}, qword ptr [{mark}]\n",
            "test {held}, {held}\n",
            "jz 24f\n",
            "mov {left:e}, {count:e}\n",
            "27: cmp qword ptr [{stripe}], 0\n",
            "je 28f\n",
            "add {stripe}, 8\n",
            "dec {left:e}\n",
            "jnz 27b\n",
            "jmp 24f\n",
            "28: ",
            commit!($index),
            twice!("cmp qword ptr [{stripe}], 0"),
            "mov qword ptr [{stripe}], {held}"
        )
    };
    (compare_store, $index:ident) => {
        concat!(
            "cmp qword ptr [{stripe}], {expected}\n",
            "jne {mismatch}\n",
            commit!($index),
            twice!("cmp qword ptr [{stripe}], {expected}"),
            "mov qword ptr [{stripe}], {new}"
        )
    };
    (compare_compare_store, $index:ident) => {
        concat!(
            "cmp qword ptr [{stripe}], {expected}\n",
            "jne {mismatch}\n",
            "cmp qword ptr [{stripe} + {distance}], {second}\n",
            "jne {mismatch}\n",
            commit!($index),
            twice!("cmp qword ptr [{stripe}], {expected}"),
            twice!("cmp qword ptr [{stripe} + {distance}], {second}"),
            "mov qword ptr [{stripe}], {new}"
        )
    };
    (list_push, $index:ident) => {
        concat!(
            "mov {temp}, qword ptr [{stripe}]\n",
            "mov qword ptr [{node} + {next}], {temp}\n",
            commit!($index),
            "mov qword ptr [{stripe}], {node}"
        )
    };
    (list_pop, $index:ident) => {
        concat!(
            "mov {value}, qword ptr [{stripe}]\n",
            "test {value}, {value}\n",
            "jz 24f\n",
            "mov {temp}, qword ptr [{value} + {next}]\n",
            commit!($index),
            "mov qword ptr [{stripe}], {temp}"
        )
    };
    (gated_list_push, $index:ident) => {
        concat!(
            "cmp qword ptr [{stripe} + 8], 0\n",
            "jne {full}\n",
            "mov {temp}, qword ptr [{stripe}]\n",
            "mov qword ptr [{tail_of} + {next}], {temp}\n",
            commit!($index),
            "mov qword ptr [{stripe}], {head_of}"
        )
    };
    (gated_list_pop, $index:ident) => {
        concat!(
            "cmp qword ptr [{stripe} + 8], 0\n",
            "jne 24f\n",
            body!(list_pop, $index)
        )
    };
    (array_push, $index:ident) => {
        concat!(
            "mov {temp:e}, dword ptr [{stripe}]\n",
            "cmp {temp:e}, {capacity:e}\n",
            "jae {full}\n",
            "mov qword ptr [{stripe} + 8*{temp} + 8], {value}\n",
            "inc {temp:e}\n",
            commit!($index),
            "mov dword ptr [{stripe}], {temp:e}"
        )
    };
    (array_pop, $index:ident) => {
        concat!(
            "mov {temp:e}, dword ptr [{stripe}]\n",
            "sub {temp:e}, 1\n",
            "jb 24f\n",
            "mov {value}, qword ptr [{stripe} + 8*{temp} + 8]\n",
            commit!($index),
            "mov dword ptr [{stripe}], {temp:e}"
        )
    };
    (array_push_pair, $index:ident) => {
        concat!(
            "mov {temp}, qword ptr [{chosen}]\n",
            "test {temp}, {temp}\n",
            "jz {full}\n",
            "add {stripe}, {temp}\n",
            "mov {temp:e}, dword ptr [{stripe}]\n",
            "cmp {temp:e}, {capacity:e}\n",
            "jae {full}\n",
            "mov qword ptr [{stripe} + 8*{temp} + 8], {below}\n",
            "mov qword ptr [{stripe} + 8*{temp} + 16], {above}\n",
            "add {temp:e}, 2\n",
            commit!($index),
            "mov dword ptr [{stripe}], {temp:e}"
        )
    };
    (array_push_batch, $index:ident) => {
        concat!(
            "mov {held:e}, dword ptr [{stripe}]\n",
            "mov {taken:e}, {capacity:e}\n",
            "sub {taken:e}, {held:e}\n",
            "jbe 24f\n",
            "cmp {taken:e}, {count:e}\n",
            "cmova {taken:e}, {count:e}\n",
            "lea {scratch}, [{stripe} + 8*{held} + 8]\n",
            copy_words!("{source}", "{scratch}", "{taken:e}"),
            "\nadd {held:e}, {taken:e}\n",
            commit!($index),
            "mov dword ptr [{stripe}], {held:e}"
        )
    };
    (array_pop_batch, $index:ident) => {
        concat!(
            "mov {held:e}, dword ptr [{stripe}]\n",
            "test {held:e}, {held:e}\n",
            "jz 24f\n",
            "mov {taken:e}, {count:e}\n",
            "cmp {taken:e}, {held:e}\n",
            "cmova {taken:e}, {held:e}\n",
            "sub {held:e}, {taken:e}\n",
            "lea {scratch}, [{stripe} + 8*{held} + 8]\n",
            copy_words!("{scratch}", "{target}", "{taken:e}"),
            "\n",
            commit!($index),
            "mov dword ptr [{stripe}], {held:e}"
        )
    };
    (gated_push, $index:ident) => {
        concat!(
            "mov {scratch:e}, dword ptr [{stripe} + 4]\n",
            "mov {temp:e}, dword ptr [{stripe}]\n",
            "cmp {temp:e}, {scratch:e}\n",
            "jae {full}\n",
            "mov qword ptr [{stripe} + 8*{temp} + 8], {value}\n",
            "inc {temp:e}\n",
            commit!($index),
            "mov dword ptr [{stripe}], {temp:e}"
        )
    };
    (gated_pop, $index:ident) => {
        concat!(
            "cmp dword ptr [{stripe} + 4], 0\n",
            "je 24f\n",
            body!(array_pop, $index)
        )
    };
    (gated_push_batch, $index:ident) => {
        concat!(
            "mov {taken:e}, dword ptr [{stripe} + 4]\n",
            "mov {held:e}, dword ptr [{stripe}]\n",
            "sub {taken:e}, {held:e}\n",
            "jbe 24f\n",
            "cmp {taken:e}, {count:e}\n",
            "cmova {taken:e}, {count:e}\n",
            "lea {scratch}, [{stripe} + 8*{held} + 8]\n",
            copy_words!("{source}", "{scratch}", "{taken:e}"),
            "\nadd {held:e}, {taken:e}\n",
            commit!($index),
            "mov dword ptr [{stripe}], {held:e}"
        )
    };
    (gated_pop_batch, $index:ident) => {
        concat!(
            "cmp dword ptr [{stripe} + 4], 0\n",
            "je 24f\n",
            body!(array_pop_batch, $index)
        )
    };
    (copy_push, $index:ident) => {
        concat!(
            "mov {held}, qword ptr [{stripe}]\n",
            "lea {scratch}, [{stripe} + {held} + 8]\n",
            "add {held}, {bytes}\n",
            "cmp {held}, {capacity}\n",
            "ja 24f\n",
            copy_bytes!("{source}", "{scratch}"),
            "\n",
            commit!($index),
            "mov qword ptr [{stripe}], {held}"
        )
    };
    (copy_pop, $index:ident) => {
        concat!(
            "mov {held}, qword ptr [{stripe}]\n",
            "sub {held}, {bytes}\n",
            "jb 24f\n",
            "lea {scratch}, [{stripe} + {held} + 8]\n",
            copy_bytes!("{scratch}", "{target}"),
            "\n",
            commit!($index),
            "mov qword ptr [{stripe}], {held}"
        )
    };
    (load_through, $index:ident) => {
        concat!(
            "mov {stripe}, qword ptr [{word}]\n",
            commit!($index),
            "mov {value}, qword ptr [{stripe}]"
        )
    };
    (copy_through, $index:ident) => {
        concat!(
            "mov {stripe}, qword ptr [{word}]\n",
            "test {stripe:l}, 2\n",
            "jnz 24f\n",
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
