//! What a checked pool knows of each object, and finds out.

use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use super::chunks::{Chunks, Shape};

/// Never used, or not known.
const UNKNOWN: u32 = 0;
const USED: u32 = 1;
/// Free, and filled with [`POISON`].
const FREE: u32 = 2;

const POISON: u8 = 0x5a;

/// Fails unless a pointer may be an object of the pool.
#[cold]
#[inline(never)]
pub(super) fn foreign(object: NonNull<u8>) -> ! {
    panic!("{object:p} was given to a pool that it is not an object of");
}

/// An object that is about to be handed out.
pub(super) fn hand_out(chunks: &Chunks, shape: &Shape, object: NonNull<u8>) {
    let Some(mark) = chunks
        .number_of(shape, object.addr().get())
        .and_then(|number| chunks.mark(shape, number))
    else {
        return;
    };
    // Ordering: Relaxed. Whoever hands an object on orders it.
    match mark.swap(USED, Ordering::Relaxed) {
        USED => panic!("{object:p} would be handed out twice"),
        FREE => {
            // SAFETY: a free object of the pool.
            let bytes = unsafe { core::slice::from_raw_parts(object.as_ptr(), shape.stride) };
            let written = bytes.iter().position(|&byte| byte != POISON);
            if let Some(at) = written {
                panic!("{object:p} was written to at byte {at} after it was freed");
            }
        }
        _ => {}
    }
}

/// An object that is given back.
pub(super) fn take_back(chunks: &Chunks, shape: &Shape, object: NonNull<u8>) {
    let Some(number) = chunks.number_of(shape, object.addr().get()) else {
        foreign(object);
    };
    let Some(mark) = chunks.mark(shape, number) else {
        return;
    };
    if mark.swap(UNKNOWN, Ordering::Relaxed) != USED {
        mark.store(FREE, Ordering::Relaxed);
        panic!("{object:p} was freed twice");
    }
    // SAFETY: an object of the pool that its user has given back.
    unsafe { object.as_ptr().write_bytes(POISON, shape.stride) };
    mark.store(FREE, Ordering::Relaxed);
}
