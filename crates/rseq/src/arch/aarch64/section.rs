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

/// Loads the id into `{stripe}`, or goes to `$refused`. One unsigned comparison
/// refuses a CPU number that is negative, for the thread is not registered then,
/// or too high; which one it was is found out afterwards.
macro_rules! id {
    (mm_cid, $refused:literal) => {
        concat!(
            "ldr {stripe:w}, [{area}, {cpu_id}]\n",
            "cmp {stripe:w}, #0\n",
            "b.lt ",
            $refused,
            "\n",
            "ldr {stripe:w}, [{area}, {mm_cid}]\n",
            "ldr {scratch:w}, [{limit}]\n",
            "cmp {stripe:w}, {scratch:w}\n",
            "b.hs ",
            $refused
        )
    };
    (table, $refused:literal) => {
        concat!(
            "ldr {stripe:w}, [{area}, {cpu_id}]\n",
            "ldr {scratch:w}, [{limit}, {cpus}]\n",
            "cmp {stripe:w}, {scratch:w}\n",
            "b.hs ",
            $refused,
            "\n",
            "add {stripe}, {limit}, {stripe}, lsl #6\n",
            "ldr {stripe:w}, [{stripe}, {slots}]\n",
            "ldr {scratch:w}, [{limit}]\n",
            "cmp {stripe:w}, {scratch:w}\n",
            "b.hs ",
            $refused
        )
    };
    (cpu_id, $refused:literal) => {
        concat!(
            "ldr {stripe:w}, [{area}, {cpu_id}]\n",
            "ldr {scratch:w}, [{limit}]\n",
            "cmp {stripe:w}, {scratch:w}\n",
            "b.hs ",
            $refused
        )
    };
}

/// One section. `$body` has `{stripe}`, the word's address, and ends in the commit;
/// `$done` follows it, `$stub` is the abort handler. `$index` is what `id!` takes,
/// and `$at` the value of that type.
macro_rules! section {
    (
        $index:ident($at:expr), $word:expr, $refused:literal,
        { $($body:expr),* $(,)? }
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
                "mrs {area}, tpidr_el0",
                "ldr {area}, [{area}, {offset}]",
                "adrp {stripe}, 20b",
                "add {stripe}, {stripe}, :lo12:20b",
                "str {stripe}, [{area}, {rseq_cs}]",
                "21:",
                disarm!(),
                delay!(1),
                id!($index, $refused),
                "lsl {stripe}, {stripe}, {shift}",
                "add {stripe}, {stripe}, {word}, lsl #3",
                delay!(2),
                $($body,)*
                "22:",
                $($done,)*
                ".pushsection .text.percid_rseq_abort, \"ax\", %progbits",
                ".inst {signature}",
                "23:",
                $($stub,)*
                ".popsection",
            ]
            offset = in(reg) super::thread::thread_area_offset(),
            word = in(reg) $word.0,
            area = out(reg) _,
            stripe = out(reg) _,
            scratch = out(reg) _,
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
            { "b {aborted}" }
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
            {
                "mov {outcome}, xzr",
                "b 26f",
                "24:",
                "mov {outcome}, {nothing}",
                "b 26f",
                "25:",
                "mov {outcome}, {refused}",
                "26:",
            }
            { "mov {outcome}, {aborted}", "b 26b" }
            outcome = out(reg) $outcome,
            aborted = const status::ABORTED,
            nothing = const status::NOTHING,
            refused = const status::REFUSED,
            $($operands)*
        )
    };
}
