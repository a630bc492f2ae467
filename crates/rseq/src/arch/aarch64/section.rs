//! The frame of a section, as macros: what stands around each operation's body.

/// Spins at point `$point` of a section for as many rounds as a test asked.
#[cfg(percid_inject)]
macro_rules! delay {
    ($point:literal) => {
        concat!(
            "adrp {delay}, {delays}\n",
            "add {delay}, {delay}, :lo12:{delays}\n",
            "ldr {delay:w}, [{delay}, #4*",
            $point,
            "]\n",
            "30: cbz {delay:w}, 31f\n",
            "sub {delay:w}, {delay:w}, #1\n",
            "b 30b\n",
            "31:"
        )
    };
}

#[cfg(not(percid_inject))]
macro_rules! delay {
    ($point:literal) => {
        ""
    };
}

/// Takes the section's protection away, where a test asked for it.
#[cfg(percid_inject)]
macro_rules! disarm {
    () => {
        concat!(
            "adrp {delay}, {delays}\n",
            "add {delay}, {delay}, :lo12:{delays}\n",
            "ldr {delay:w}, [{delay}]\n",
            "cbz {delay:w}, 32f\n",
            "str xzr, [{area}, {rseq_cs}]\n",
            "32:"
        )
    };
}

#[cfg(not(percid_inject))]
macro_rules! disarm {
    () => {
        ""
    };
}

/// Keeps what the second comparison compares with: the first number that the id came
/// from.
#[cfg(percid_compare_twice)]
macro_rules! remember {
    () => {
        "mov {first:w}, {stripe:w}\n"
    };
}

#[cfg(not(percid_compare_twice))]
macro_rules! remember {
    () => {
        ""
    };
}

/// What a section without an id loads all the same if its thread is known to be
/// registered.
#[cfg(percid_compare_twice)]
macro_rules! known {
    () => {
        concat!("ldr {stripe:w}, [{area}, {cpu_id}]\n", remember!())
    };
}

#[cfg(not(percid_compare_twice))]
macro_rules! known {
    () => {
        "/* {cpu_id} */"
    };
}

/// Loads the id into `{stripe}`, or goes to `$refused`. One unsigned comparison refuses
/// a number that is too high and one that is all ones, for the thread is not registered
/// then; which one it was is found out afterwards.
macro_rules! id {
    (mm_cid, $refused:literal) => {
        concat!(
            "ldr {stripe:w}, [{area}, {mm_cid}]\n",
            remember!(),
            "ldar {scratch:w}, [{limit}]\n",
            "cmp {stripe:w}, {scratch:w}\n",
            "b.hs ",
            $refused,
            // An operand that no template names is an error; not every build needs it.
            " /* {cpu_id} */"
        )
    };
    // The word's high half is for `place!`.
    (placed, $refused:literal) => {
        concat!(
            "ldr {stripe:w}, [{area}, {mm_cid}]\n",
            remember!(),
            "ldar {scratch}, [{limit}]\n",
            "cmp {stripe:w}, {scratch:w}\n",
            "b.hs ",
            $refused,
            "\n",
            "lsr {scratch}, {scratch}, #32 /* {cpu_id} */"
        )
    };
    (table, $refused:literal) => {
        concat!(
            "ldr {stripe:w}, [{area}, {cpu_id}]\n",
            remember!(),
            "cmp {stripe:w}, {slots}\n",
            "b.hs ",
            $refused,
            "\n",
            // All of the slot, for an index of eight bytes; only its low half is used.
            "ldr {stripe}, [{table}, {stripe}, lsl #3]\n",
            // Less than 1, and not what overflows: so says `lt`.
            "subs {stripe:w}, {stripe:w}, #1\n",
            "b.lt ",
            $refused,
            // An operand that no template names is an error; this id needs no scratch.
            " /* {scratch} */"
        )
    };
    // No id: what is worked on stands at `{word}`.
    (known, $refused:literal) => {
        known!()
    };
    (registered, $refused:literal) => {
        concat!(
            "ldr {stripe:w}, [{area}, {cpu_id}]\n",
            remember!(),
            "cmp {stripe:w}, #0\n",
            "b.lt ",
            $refused
        )
    };
    (cpu_id, $refused:literal) => {
        concat!(
            "ldr {stripe:w}, [{area}, {cpu_id}]\n",
            remember!(),
            "ldr {scratch:w}, [{limit}]\n",
            "cmp {stripe:w}, {scratch:w}\n",
            "b.hs ",
            $refused
        )
    };
}

/// Leaves the word's address in `{stripe}`, which holds the id.
macro_rules! place {
    // An operand that no template names is an error; there are no stripes.
    (known) => {
        "/* {shift} {scratch} */"
    };
    (registered) => {
        "/* {shift} {scratch} */"
    };
    (placed) => {
        concat!(
            "lsl {stripe}, {stripe}, {shift}\n",
            "add {scratch}, {scratch}, {word}\n",
            "add {stripe}, {stripe}, {scratch}, lsl #3"
        )
    };
    ($index:ident) => {
        concat!(
            "lsl {stripe}, {stripe}, {shift}\n",
            "add {stripe}, {stripe}, {word}, lsl #3"
        )
    };
}

/// What stands directly before the commit: a delay point and, in builds that compare
/// twice, the check that the id is still the thread's.
#[cfg(percid_compare_twice)]
macro_rules! commit {
    (mm_cid) => {
        concat!(
            delay!(3),
            "\nldr {again:w}, [{area}, {cpu_id}]\n",
            "cmp {again:w}, #0\n",
            "b.lt 35f\n",
            "ldr {again:w}, [{area}, {mm_cid}]\n",
            "cmp {again:w}, {first:w}\n",
            "b.ne 35f\n"
        )
    };
    (placed) => {
        commit!(mm_cid)
    };
    // By table and by CPU number: a slot may change under a section, its CPU may not.
    ($index:ident) => {
        concat!(
            delay!(3),
            "\nldr {again:w}, [{area}, {cpu_id}]\n",
            "cmp {again:w}, {first:w}\n",
            "b.ne 35f\n"
        )
    };
}

#[cfg(not(percid_compare_twice))]
macro_rules! commit {
    ($index:ident) => {
        concat!(delay!(3), "\n")
    };
}

/// A word that the body compared must compare the same before the commit.
#[cfg(percid_compare_twice)]
macro_rules! twice {
    ($word:literal, $with:literal) => {
        concat!(
            "ldr {again}, ",
            $word,
            "\n",
            "cmp {again}, ",
            $with,
            "\n",
            "b.ne 35f\n"
        )
    };
}

#[cfg(not(percid_compare_twice))]
macro_rules! twice {
    ($word:literal, $with:literal) => {
        ""
    };
}

/// One section. `$body` has `{stripe}`, the word's address, and ends in the commit;
/// `$done` follows it, `$stub` is the abort handler. `$index` is what `id!` takes,
/// `$at` the value of that type, and `$outcome` what `{stripe}` holds at the end.
macro_rules! section {
    (
        $area:ident, $index:ident($at:expr), $word:expr, $refused:literal, $outcome:tt,
        $body:expr,
        { $($done:expr),* $(,)? }
        { $($stub:expr),* $(,)? }
        $($operands:tt)*
    ) => {
        with_operands!(
            $index($at)
            [
                ".pushsection __rseq_cs, \"aw\", %progbits",
                ".balign 32",
                "20:",
                ".long 0, 0",                // version, flags
                ".quad 21f, 22f - 21f, 23f", // start, length, abort
                ".popsection",
                ".pushsection __rseq_cs_ptr_array, \"awR\", %progbits",
                ".quad 20b",
                ".popsection",
                "adrp {stripe}, 20b",
                "add {stripe}, {stripe}, :lo12:20b",
                "str {stripe}, [{area}, {rseq_cs}]",
                // An operand that no template names is an error; not every body needs it.
                "21: /* {spare} */",
                disarm!(),
                delay!(1),
                id!($index, $refused),
                place!($index),
                delay!(2),
                $body,
                "22:",
                $($done,)*
                ".pushsection .text.percid_rseq_abort, \"ax\", %progbits",
                ".inst {signature}",
                "23:",
                $($stub,)*
                ".popsection",
            ]
            area = in(reg) $area,
            word = in(reg) $word.0,
            scratch = out(reg) _,
            spare = out(reg) _,
            stripe = out(reg) $outcome,
            shift = const SHIFT,
            signature = const super::SIGNATURE,
            rseq_cs = const offset_of!(Area, rseq_cs),
            cpu_id = const offset_of!(Area, cpu_id),
            options(nostack),
            $($operands)*
        )
    };
}

#[cfg(percid_compare_twice)]
macro_rules! with_first {
    ([$($template:tt)*] $($operands:tt)*) => {
        with_delays!([$($template)*] first = out(reg) _, again = out(reg) _, $($operands)*)
    };
}

#[cfg(not(percid_compare_twice))]
macro_rules! with_first {
    ($($everything:tt)*) => {
        with_delays!($($everything)*)
    };
}

/// The registers that hold sixteen bytes.
macro_rules! with_vector_class {
    ($macro:ident!($($arguments:tt)*)) => {
        $macro!(vreg: $($arguments)*);
    };
}

/// A section without a result: each way out is a label of its own.
#[cfg(not(percid_compare_twice))]
macro_rules! store_section {
    ($index:ident($at:expr), $word:expr, $body:expr, $($operands:tt)*) => {{
        let area = super::thread::thread_area();
        section!(
            area, $index($at), $word, "{refused}", _,
            $body,
            {}
            { "b {aborted}" }
            refused = label { return Err(refused(area)) },
            aborted = label { return Err(aborted()) },
            $($operands)*
        )
    }};
}

#[cfg(percid_compare_twice)]
macro_rules! store_section {
    ($index:ident($at:expr), $word:expr, $body:expr, $($operands:tt)*) => {{
        let area = super::thread::thread_area();
        section!(
            area, $index($at), $word, "{refused}", _,
            $body,
            { "b 36f", "35: b {broken}", "36:" }
            { "b {aborted}" }
            refused = label { return Err(refused(area)) },
            aborted = label { return Err(aborted()) },
            broken = label { broken() },
            $($operands)*
        )
    }};
}

/// Leaves the status of a comparison that came out otherwise the second time.
#[cfg(percid_compare_twice)]
macro_rules! when_broken {
    () => {
        "35: mov {stripe}, #-6\nb 26f"
    };
}

#[cfg(not(percid_compare_twice))]
macro_rules! when_broken {
    () => {
        ""
    };
}

/// How a section with a result ends where its thread is refused.
macro_rules! when_refused {
    (known) => {
        "/* {refused} */"
    };
    ($index:ident) => {
        concat!(
            "25: str xzr, [{area}, {rseq_cs}]\n", // as `refused` does
            "mov {stripe}, {refused}"
        )
    };
}

/// A section with a result: where it does not commit it leaves a status in
/// `$outcome`. Its stubs stand behind it, in reach of conditional branches.
macro_rules! value_section {
    ($index:ident($at:expr), $word:expr, $outcome:ident, $body:expr, $($operands:tt)*) => {{
        let area = area_of!($index($at));
        section!(
            area, $index($at), $word, "25f", $outcome,
            $body,
            {
                "b 26f",
                "24:",
                "mov {stripe}, {nothing}",
                "b 26f",
                when_broken!(),
                when_refused!($index),
                "26:",
            }
            { "mov {stripe}, {aborted}", "b 26b" }
            aborted = const status::ABORTED,
            nothing = const status::NOTHING,
            refused = const status::REFUSED,
            $($operands)*
        )
    }};
}
