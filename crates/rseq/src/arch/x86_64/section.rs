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

/// Loads the id into `{stripe}`, or goes to `$refused`. One unsigned comparison
/// refuses a CPU number that is negative, for the thread is not registered then,
/// or too high; which one it was is found out afterwards.
macro_rules! id {
    (mm_cid, $refused:literal) => {
        concat!(
            "cmp dword ptr [{area} + {cpu_id}], 0\n",
            "jl ",
            $refused,
            "\n",
            "mov {stripe:e}, dword ptr [{area} + {mm_cid}]\n",
            "cmp {stripe:e}, dword ptr [{limit}]\n",
            "jae ",
            $refused
        )
    };
    (table, $refused:literal) => {
        concat!(
            "mov {stripe:e}, dword ptr [{area} + {cpu_id}]\n",
            "cmp {stripe:e}, dword ptr [{limit} + {cpus}]\n",
            "jae ",
            $refused,
            "\n",
            "shl {stripe}, 6\n",
            "mov {stripe:e}, dword ptr [{limit} + {stripe} + {slots}]\n",
            "cmp {stripe:e}, dword ptr [{limit}]\n",
            "jae ",
            $refused
        )
    };
    (cpu_id, $refused:literal) => {
        concat!(
            "mov {stripe:e}, dword ptr [{area} + {cpu_id}]\n",
            "cmp {stripe:e}, dword ptr [{limit}]\n",
            "jae ",
            $refused
        )
    };
}

/// One section. `$body` has `{stripe}`, the word's address, and ends in the commit;
/// `$done` follows it, `$stubs` stand apart behind the abort handler, which starts
/// with the first of them. `$index` is what `id!` takes, and `$at` the value of
/// that type.
macro_rules! section {
    (
        $index:ident($at:expr), $word:expr, $refused:literal,
        { $($body:expr),* $(,)? }
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
                "mov {area}, qword ptr fs:[{offset}]",
                "lea {stripe}, [rip + 20b]",
                "mov qword ptr [{area} + {rseq_cs}], {stripe}",
                "21:",
                disarm!(),
                delay!(1),
                id!($index, $refused),
                "shl {stripe}, {shift}",
                "lea {stripe}, [{stripe} + 8*{word}]",
                delay!(2),
                $($body,)*
                "22:",
                $($done,)*
                ".pushsection .text.percid_rseq_abort, \"ax\", @progbits",
                ".byte 0x0f, 0xb9, 0x3d",
                ".long {signature}",
                "23:",
                $($stubs,)*
                ".popsection",
            ]
            offset = in(reg) super::thread::thread_area_offset(),
            word = in(reg) $word.0,
            area = out(reg) _,
            stripe = out(reg) _,
            shift = const SHIFT,
            signature = const super::SIGNATURE,
            rseq_cs = const offset_of!(Area, rseq_cs),
            cpu_id = const offset_of!(Area, cpu_id),
            options(nostack),
            $($operands)*
        )
    };
}

/// Adds the operands of the index, and those of the delays.
macro_rules! with_operands {
    (mm_cid($at:expr) [$($template:tt)*] $($operands:tt)*) => {
        with_delays!(
            [$($template)*]
            limit = in(reg) $at.limit.as_ptr(),
            mm_cid = const offset_of!(Area, mm_cid),
            $($operands)*
        )
    };
    (table($at:expr) [$($template:tt)*] $($operands:tt)*) => {
        with_delays!(
            [$($template)*]
            limit = in(reg) $at.table,
            cpus = const offset_of!(TableHead, cpus),
            slots = const size_of::<TableHead>(),
            $($operands)*
        )
    };
    (cpu_id($at:expr) [$($template:tt)*] $($operands:tt)*) => {
        with_delays!(
            [$($template)*]
            limit = in(reg) $at.limit.as_ptr(),
            $($operands)*
        )
    };
}

#[cfg(percid_inject)]
macro_rules! with_delays {
    ([$($template:tt)*] $($operands:tt)*) => {
        asm!($($template)* delay = out(reg) _, delays = sym crate::inject::DELAYS, $($operands)*)
    };
}

#[cfg(not(percid_inject))]
macro_rules! with_delays {
    ([$($template:tt)*] $($operands:tt)*) => {
        asm!($($template)* $($operands)*)
    };
}

/// A section without a result: each way out is a label of its own.
macro_rules! store_section {
    ($index:ident($at:expr), $word:expr, { $($body:expr),* $(,)? } $($operands:tt)*) => {
        section!(
            $index($at), $word, "{refused}",
            { $($body),* }
            {}
            { "jmp {aborted}" }
            refused = label { return Err(refused()) },
            aborted = label { return Err(aborted()) },
            $($operands)*
        )
    };
}

/// A section with a result, since labels and results do not go together: it leaves
/// a status in `$outcome`. The body goes to `24f` where it finds nothing to do.
macro_rules! value_section {
    (
        $index:ident($at:expr), $word:expr, $outcome:ident,
        { $($body:expr),* $(,)? } $($operands:tt)*
    ) => {
        section!(
            $index($at), $word, "25f",
            { $($body),* }
            { "xor {outcome:e}, {outcome:e}", "26:" }
            {
                "mov {outcome:e}, {aborted}",
                "jmp 26b",
                "24:",
                "mov {outcome:e}, {nothing}",
                "jmp 26b",
                "25:",
                "mov {outcome:e}, {refused}",
                "jmp 26b",
            }
            outcome = out(reg) $outcome,
            aborted = const status::ABORTED,
            nothing = const status::NOTHING,
            refused = const status::REFUSED,
            $($operands)*
        )
    };
}
