//! How objects lie in memory.

use core::alloc::Layout;

/// The least bytes of a chunk.
const CHUNK: usize = 256 << 10;

/// Objects of a chunk at the least, where they are large.
const FEWEST: usize = 16;

/// Address space of a pool; less where the system has less, or objects are so small that
/// their numbers would not fit.
#[cfg(target_pointer_width = "64")]
const RESERVED: usize = 16 << 30;
#[cfg(not(target_pointer_width = "64"))]
const RESERVED: usize = 64 << 20;

/// Objects that one pool can have.
const OBJECTS: usize = 1 << 28;

/// The largest alignment.
const ALIGN: usize = 2 << 20;

/// How objects lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct Shape {
    /// Bytes from one object to the next.
    pub(in crate::pool) stride: usize,
    pub(in crate::pool) align: usize,
    /// log2 of the bytes of a chunk.
    pub(super) chunk: u32,
    /// Objects of a chunk.
    pub(in crate::pool) each: u32,
}

impl Shape {
    /// For objects of a layout; `None` if no pool can hold them.
    pub(in crate::pool) const fn of(layout: Layout, line: bool) -> Option<Shape> {
        let mut align = layout.align();
        if align < 8 {
            align = 8;
        }
        if line {
            // As the kernel's SLAB_HWCACHE_ALIGN: as many as fit share a line, and none
            // lies across two that would fit into one.
            let mut wanted = 64;
            while layout.size() <= wanted / 2 {
                wanted /= 2;
            }
            if wanted > align {
                align = wanted;
            }
        }
        if align > ALIGN || layout.size() > RESERVED / 64 {
            return None;
        }
        let size = if layout.size() == 0 { 1 } else { layout.size() };
        let stride = size.next_multiple_of(align);
        let mut bytes = (stride * FEWEST).next_power_of_two();
        if bytes < CHUNK {
            bytes = CHUNK;
        }
        Some(Shape {
            stride,
            align,
            chunk: bytes.trailing_zeros(),
            each: (bytes / stride) as u32,
        })
    }

    /// Words of 64 bits, one for each object of a chunk.
    pub(super) fn words(&self) -> usize {
        (self.each as usize).div_ceil(64)
    }

    /// Bytes from a chunk's start to the end of its first objects, rounded up to `unit`.
    pub(super) fn end_of(&self, objects: u32, unit: usize) -> usize {
        (objects as usize * self.stride)
            .next_multiple_of(unit)
            .min(1 << self.chunk)
    }

    pub(super) fn reserved(&self) -> usize {
        let most = OBJECTS.saturating_mul(self.stride).next_power_of_two();
        most.min(RESERVED)
    }
}
