//! The body of targets without sections: every operation refuses.

use core::ptr;
use core::sync::atomic::AtomicU32;

use crate::Refusal;
use crate::area::Area;
use crate::section::WordAddress;

pub(crate) const SUPPORTED: bool = false;

/// No section, no signature.
pub(crate) const SIGNATURE: u32 = 0;

pub(crate) fn thread_area() -> *mut Area {
    ptr::null_mut()
}

/// # Safety
///
/// Never called: a thread cannot enter here.
pub(crate) unsafe fn set_thread_area(_: *mut Area) {}

pub(crate) fn own_area() -> *mut Area {
    ptr::null_mut()
}

pub(crate) fn libc_area() -> Option<(*mut Area, u32)> {
    None
}

pub(crate) unsafe fn increment<const SHIFT: u32>(
    _: &AtomicU32,
    _: WordAddress,
) -> Result<(), Refusal> {
    Err(Refusal::Unsupported)
}

pub(crate) unsafe fn add<const SHIFT: u32>(
    _: &AtomicU32,
    _: WordAddress,
    _: u64,
) -> Result<(), Refusal> {
    Err(Refusal::Unsupported)
}

pub(crate) unsafe fn load<const SHIFT: u32>(_: &AtomicU32, _: WordAddress) -> Result<u64, Refusal> {
    Err(Refusal::Unsupported)
}

pub(crate) unsafe fn compare_store<const SHIFT: u32>(
    _: &AtomicU32,
    _: WordAddress,
    _: u64,
    _: u64,
) -> Result<(), Refusal> {
    Err(Refusal::Unsupported)
}
