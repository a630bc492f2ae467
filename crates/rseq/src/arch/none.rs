//! The body of targets without sections: every operation refuses.

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::Refusal;
use crate::arch::{Entry, Operations, Wait, Waited};
use crate::area::Area;
use crate::section::{Cpu, MmCid, Placed, Table, WordAddress};
use crate::words::ThreadWords;

pub(crate) const SUPPORTED: bool = false;

/// No section, no signature.
pub(crate) const SIGNATURE: u32 = 0;

pub(crate) fn thread_area() -> *mut Area {
    ptr::null_mut()
}

#[inline(always)]
pub(crate) fn anchor() {}

/// # Safety
///
/// Never called: there are no areas.
pub(crate) unsafe fn set_area_offset(_: isize) {}

pub(crate) fn thread_state() -> &'static AtomicU32 {
    static NOBODYS: AtomicU32 = AtomicU32::new(0);
    &NOBODYS
}

pub(crate) fn own_area() -> *mut Area {
    ptr::null_mut()
}

pub(crate) fn libc_area() -> Option<(isize, u32)> {
    None
}

pub(crate) fn thread_words() -> Option<NonNull<ThreadWords>> {
    None
}

/// # Safety
///
/// None.
pub(crate) unsafe fn wait_inside(_: *mut Area, _: &Wait<'_>) -> Waited {
    Waited::InVain
}

/// # Safety
///
/// None.
pub(crate) unsafe fn start_thread(
    _: i32,
    _: *mut u8,
    _: *mut u32,
    _: Entry,
    _: *mut c_void,
) -> isize {
    -1
}

/// Every operation refuses.
macro_rules! unsupported {
    ($type:ty, $has_place:literal: $($name:ident($($argument:ty),*) -> $result:ty;)*) => {
        impl Operations for $type {
            const HAS_PLACE: bool = $has_place;

            $(
                unsafe fn $name<const SHIFT: u32>(
                    self,
                    $(_: $argument),*
                ) -> Result<$result, Refusal> {
                    Err(Refusal::Unsupported)
                }
            )*

            unsafe fn add_within<const SHIFT: u32, const AT: usize>(
                self,
                _: WordAddress,
                _: u64,
                _: u64,
            ) -> Result<(), Refusal> {
                Err(Refusal::Unsupported)
            }

            unsafe fn claim_any<const SHIFT: u32, const COUNT: u32>(
                self,
                _: WordAddress,
            ) -> Result<*mut u64, Refusal> {
                Err(Refusal::Unsupported)
            }

            unsafe fn list_push<const SHIFT: u32, const NEXT: usize>(
                self,
                _: WordAddress,
                _: *mut u8,
            ) -> Result<(), Refusal> {
                Err(Refusal::Unsupported)
            }

            unsafe fn list_pop<const SHIFT: u32, const NEXT: usize>(
                self,
                _: WordAddress,
            ) -> Result<*mut u8, Refusal> {
                Err(Refusal::Unsupported)
            }

            unsafe fn gated_list_push<const SHIFT: u32, const NEXT: usize>(
                self,
                _: WordAddress,
                _: *mut u8,
                _: *mut u8,
            ) -> Result<(), Refusal> {
                Err(Refusal::Unsupported)
            }

            unsafe fn gated_list_pop<const SHIFT: u32, const NEXT: usize>(
                self,
                _: WordAddress,
            ) -> Result<*mut u8, Refusal> {
                Err(Refusal::Unsupported)
            }
        }
    };
}

/// The list of `Operations`.
macro_rules! all_unsupported {
    ($($type:ty, $has_place:literal;)*) => {$(
        unsupported! {
            $type, $has_place:
            increment(WordAddress) -> ();
            add(WordAddress, u64) -> ();
            add_through(WordAddress, isize, u64) -> ();
            add_if(WordAddress, &AtomicU32, u32, u64) -> ();
            load(WordAddress) -> u64;
            swap(WordAddress, u64) -> u64;
            claim(WordAddress, u64) -> *mut u64;
            claim_first(WordAddress, u32, &AtomicU64) -> *mut u64;
            compare_store(WordAddress, u64, u64) -> ();
            compare_compare_store(WordAddress, u64, isize, u64, u64) -> ();
            array_push(WordAddress, u32, u64) -> ();
            array_pop(WordAddress) -> u64;
            array_push_pair(WordAddress, &AtomicU64, u32, u64, u64) -> ();
            array_push_batch(WordAddress, u32, *const u64, u32) -> u32;
            array_pop_batch(WordAddress, *mut u64, u32) -> u32;
            gated_push(WordAddress, u64) -> ();
            gated_pop(WordAddress) -> u64;
            gated_push_batch(WordAddress, *const u64, u32) -> u32;
            gated_pop_batch(WordAddress, *mut u64, u32) -> u32;
            copy_push(WordAddress, usize, *const u8, usize) -> ();
            copy_pop(WordAddress, *mut u8, usize) -> ();
            copy_out(WordAddress, *mut u8, usize) -> ();
        }
    )*};
}

all_unsupported!(
    MmCid<'_>, false;
    Placed<'_>, true;
    Table<'_>, false;
    Cpu<'_>, false;
);

/// # Safety
///
/// Does nothing.
pub(crate) unsafe fn load_through(_: *mut *mut u8) -> Result<u64, Refusal> {
    Err(Refusal::Unsupported)
}

/// # Safety
///
/// Does nothing.
pub(crate) unsafe fn copy_through(_: *mut *mut u8, _: *mut u8, _: usize) -> Result<(), Refusal> {
    Err(Refusal::Unsupported)
}
