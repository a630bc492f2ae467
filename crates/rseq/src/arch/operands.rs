//! What every section is given by its index, and by test builds: the same on all
//! architectures.

/// The thread's area: a section without an id is given it.
macro_rules! area_of {
    (known($area:expr)) => {
        $area
    };
    (registered($area:expr)) => {
        $area
    };
    ($index:ident($at:expr)) => {
        super::thread::thread_area()
    };
}

/// Adds the operands of the index, and those of test builds.
macro_rules! with_operands {
    (mm_cid($at:expr) [$($template:tt)*] $($operands:tt)*) => {
        with_first!(
            [$($template)*]
            limit = in(reg) $at.limit.as_ptr(),
            mm_cid = const offset_of!(Area, mm_cid),
            $($operands)*
        )
    };
    (placed($at:expr) [$($template:tt)*] $($operands:tt)*) => {
        with_first!(
            [$($template)*]
            limit = in(reg) $at.at.as_ptr(),
            mm_cid = const offset_of!(Area, mm_cid),
            $($operands)*
        )
    };
    (table($at:expr) [$($template:tt)*] $($operands:tt)*) => {
        with_first!(
            [$($template)*]
            table = in(reg) $at.slots,
            slots = const SLOTS,
            $($operands)*
        )
    };
    (known($at:expr) [$($template:tt)*] $($operands:tt)*) => {
        with_first!([$($template)*] $($operands)*)
    };
    (registered($at:expr) [$($template:tt)*] $($operands:tt)*) => {
        with_first!([$($template)*] $($operands)*)
    };
    (cpu_id($at:expr) [$($template:tt)*] $($operands:tt)*) => {
        with_first!(
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
