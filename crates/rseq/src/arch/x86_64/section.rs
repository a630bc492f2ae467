//! The frame of a section, as macros: what stands around each operation's body.

/// Spins at point `$point` of a section for as many rounds as a test asked.
#[cfg(percid_inject)]
macro_rules! delay {
    ($point:literal) => {
        concat!(
            "mov {delay:e}, dword ptr [rip + {delays} + 4*",
            $point,
            "]\n",
            "30: test {delay:e}, {delay:e}\n",
            "jz 31f\n",
            "dec {delay:e}\n",
            "jmp 30b\n",
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
            "cmp dword ptr [rip + {delays}], 0\n",
            "je 32f\n",
            "mov qword ptr [{area} + {rseq_cs}], 0\n",
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
        "mov {first:e}, {stripe:e}\n"
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
        concat!(
            "mov {stripe:e}, dword ptr [{area} + {cpu_id}]\n",
            remember!()
        )
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
/// then; which one it was is found out afterwards. A table leaves `id + 1`.
macro_rules! id {
    (mm_cid, $refused:literal) => {
        concat!(
            "mov {stripe:e}, dword ptr [{area} + {mm_cid}]\n",
            remember!(),
            "cmp {stripe:e}, dword ptr [{limit}]\n",
            "jae ",
            $refused,
            // An operand that no template names is an error; not every build needs it.
            " /* {cpu_id} */"
        )
    };
    // The word's high half is for `place!`.
    (placed, $refused:literal) => {
        concat!(
            "mov {stripe:e}, dword ptr [{area} + {mm_cid}]\n",
            remember!(),
            "mov {scratch}, qword ptr [{limit}]\n",
            "cmp {stripe:e}, {scratch:e}\n",
            "jae ",
            $refused,
            "\n",
            "shr {scratch}, 32 /* {cpu_id} */"
        )
    };
    (table, $refused:literal) => {
        concat!(
            "mov {stripe:e}, dword ptr [{area} + {cpu_id}]\n",
            remember!(),
            "cmp {stripe:e}, {slots}\n",
            "jae ",
            $refused,
            "\n",
            "mov {stripe:e}, dword ptr [{table} + 8*{stripe}]\n",
            "test {stripe:e}, {stripe:e}\n",
            "jle ",
            $refused
        )
    };
    // No id: what is worked on stands at `{word}`.
    (known, $refused:literal) => {
        known!()
    };
    (registered, $refused:literal) => {
        concat!(
            "mov {stripe:e}, dword ptr [{area} + {cpu_id}]\n",
            remember!(),
            "test {stripe:e}, {stripe:e}\n",
            "js ",
            $refused
        )
    };
    (cpu_id, $refused:literal) => {
        concat!(
            "mov {stripe:e}, dword ptr [{area} + {cpu_id}]\n",
            remember!(),
            "cmp {stripe:e}, dword ptr [{limit}]\n",
            "jae ",
            $refused
        )
    };
}

/// Leaves the word's address in `{stripe}`, which holds what `id!` left.
macro_rules! place {
    // An operand that no template names is an error; there are no stripes.
    (known) => {
        "/* {shift} */"
    };
    (registered) => {
        "/* {shift} */"
    };
    (placed) => {
        "shl {stripe}, {shift}\nadd {scratch}, {word}\nlea {stripe}, [{stripe} + 8*{scratch}]"
    };
    (table) => {
        "shl {stripe}, {shift}\nlea {stripe}, [{stripe} + 8*{word} - (1 << {shift})]"
    };
    ($index:ident) => {
        "shl {stripe}, {shift}\nlea {stripe}, [{stripe} + 8*{word}]"
    };
}

/// What stands directly before the commit: a delay point and, in builds that compare
/// twice, the check that the id is still the thread's.
#[cfg(percid_compare_twice)]
macro_rules! commit {
    (mm_cid) => {
        concat!(
            delay!(3),
            "\ncmp dword ptr [{area} + {cpu_id}], 0\n",
            "jl 35f\n",
            "cmp {first:e}, dword ptr [{area} + {mm_cid}]\n",
            "jne 35f\n"
        )
    };
    (placed) => {
        commit!(mm_cid)
    };
    // By table and by CPU number: a slot may change under a section, its CPU may not.
    ($index:ident) => {
        concat!(
            delay!(3),
            "\ncmp {first:e}, dword ptr [{area} + {cpu_id}]\n",
            "jne 35f\n"
        )
    };
}

#[cfg(not(percid_compare_twice))]
macro_rules! commit {
    ($index:ident) => {
        concat!(delay!(3), "\n")
    };
}

/// A comparison of the body that must come out the same before the commit.
#[cfg(percid_compare_twice)]
macro_rules! twice {
    ($comparison:literal) => {
        concat!($comparison, "\njne 35f\n")
    };
}

#[cfg(not(percid_compare_twice))]
macro_rules! twice {
    ($comparison:literal) => {
        ""
    };
}

/// One section. `$body` has `{stripe}`, the word's address, and ends in the commit;
/// `$done` follows it, `$stubs` stand apart behind the abort handler, which starts
/// with the first of them. `$index` is what `id!` takes, `$at` the value of that type,
/// and `$outcome` what `{stripe}` holds at the end.
macro_rules! section {
    (
        $area:ident, $index:ident($at:expr), $word:expr, $refused:literal, $outcome:tt,
        $body:expr,
        { $($done:expr),* $(,)? }
        { $($stubs:expr),* $(,)? }
        $($operands:tt)*
    ) => {
        with_operands!(
            $index($at)
            [
                ".pushsection __rseq_cs, \"aw\", @progbits",
                ".balign 32",
                "20:",
                ".long 0, 0",                // version, flags
                ".quad 21f, 22f - 21f, 23f", // start, length, abort
                ".popsection",
                ".pushsection __rseq_cs_ptr_array, \"awR\", @progbits",
                ".quad 20b",
                ".popsection",
                "lea {stripe}, [rip + 20b]",
                "mov qword ptr [{area} + {rseq_cs}], {stripe}",
                // An operand that no template names is an error; not every body needs it.
                "21: /* {scratch} */",
                disarm!(),
                delay!(1),
                id!($index, $refused),
                place!($index),
                delay!(2),
                $body,
                "22:",
                $($done,)*
                ".pushsection .text.percid_rseq_abort, \"ax\", @progbits",
                ".byte 0x0f, 0xb9, 0x3d",
                ".long {signature}",
                "23:",
                $($stubs,)*
                ".popsection",
            ]
            area = in(reg) $area,
            word = in(reg) $word.0,
            scratch = out(reg) _,
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
        with_delays!([$($template)*] first = out(reg) _, $($operands)*)
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
        $macro!(xmm_reg: $($arguments)*);
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
            { "jmp {aborted}" }
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
            {}
            { "jmp {aborted}", "35: jmp {broken}" }
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
        "35: mov {stripe}, -6\njmp 26b"
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
            "25: mov qword ptr [{area} + {rseq_cs}], 0\n", // as `refused` does
            "mov {stripe}, {refused}\n",
            "jmp 26b"
        )
    };
}

/// A section with a result: where it does not commit it leaves a status in
/// `$outcome`.
macro_rules! value_section {
    ($index:ident($at:expr), $word:expr, $outcome:ident, $body:expr, $($operands:tt)*) => {{
        let area = area_of!($index($at));
        section!(
            area, $index($at), $word, "25f", $outcome,
            $body,
            { "26:" }
            {
                "mov {stripe}, {aborted}",
                "jmp 26b",
                "24:",
                "mov {stripe}, {nothing}",
                "jmp 26b",
                when_refused!($index),
                when_broken!(),
            }
            aborted = const status::ABORTED,
            nothing = const status::NOTHING,
            refused = const status::REFUSED,
            $($operands)*
        )
    }};
}
