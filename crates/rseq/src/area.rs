//! The rseq area: the 32 bytes and more that a thread shares with the kernel.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::arch;

/// `struct rseq` of the kernel, as far as this crate reads it. The kernel's own fields are
/// never written while the area is registered: since Linux 7.0 it kills a process that
/// does.
#[repr(C, align(32))]
pub(crate) struct Area {
    pub(crate) cpu_id_start: AtomicU32,
    /// The current CPU; negative: not registered.
    pub(crate) cpu_id: AtomicU32,
    /// The armed section. The one field that user space writes.
    pub(crate) rseq_cs: AtomicU64,
    pub(crate) flags: AtomicU32,
    pub(crate) node_id: AtomicU32,
    /// The concurrency id, from Linux 6.3; [`NO_ID`] in an area of our own that is not
    /// registered, or by an older kernel.
    pub(crate) mm_cid: AtomicU32,
    /// The slice extension's word, from Linux 7.0.
    pub(crate) slice: AtomicU32,
}

/// Above every limit.
pub(crate) const NO_ID: u32 = u32::MAX;

/// Bytes that the first version of the interface registers, and the least.
pub(crate) const ORIGINAL_SIZE: u32 = 32;

/// Room for an area of our own. Linux 7 asks for 33 bytes; libraries that are loaded
/// later share little space for such blocks.
pub(crate) const OWN_AREA_SIZE: usize = 64;

/// Alignment of an area of our own; 64 is what Linux 7 asks for.
pub(crate) const OWN_AREA_ALIGN: usize = 64;

impl Area {
    /// Whether the kernel keeps this area up to date.
    // Ordering: Relaxed. The kernel writes in this very thread's context.
    pub(crate) fn is_registered(&self) -> bool {
        self.cpu_id.load(Ordering::Relaxed).cast_signed() >= 0
    }

    /// Whether a section was begun, and neither refused nor forgotten since.
    pub(crate) fn is_armed(&self) -> bool {
        self.rseq_cs.load(Ordering::Relaxed) != 0
    }

    /// Has the kernel forget the section that the thread ran last. Not inside one.
    // Ordering: Relaxed. The kernel reads in this very thread's context.
    pub(crate) fn disarm(&self) {
        self.rseq_cs.store(0, Ordering::Relaxed);
    }
}

const _: () = assert!(offset_of!(Area, cpu_id) == 4 && offset_of!(Area, rseq_cs) == 8);
const _: () = assert!(offset_of!(Area, node_id) == 20 && offset_of!(Area, mm_cid) == 24);

/// What the kernel says of the calling thread, at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadIds {
    /// CPU it runs on.
    pub cpu: u32,
    /// NUMA node of that CPU; 0 where the kernel does not tell.
    pub node: u32,
    /// Its concurrency id; 0 where the kernel does not tell.
    pub mm_cid: u32,
}

/// Reads the ids of the calling thread, or `None` if it is not registered.
///
/// These are *hints*: the thread may lose every one of them at its next
/// instruction. Only a section owns an id, and only until it ends.
///
/// ```
/// if percid_rseq::enter_thread().is_ok() {
///     let ids = percid_rseq::thread_ids().expect("registered");
///     println!("CPU {} node {} cid {}", ids.cpu, ids.node, ids.mm_cid);
/// }
/// ```
#[must_use]
pub fn thread_ids() -> Option<ThreadIds> {
    let area = arch::thread_area();
    // SAFETY: null on targets without areas, or an area that outlives the thread.
    let area = unsafe { area.as_ref() }?;
    // Ordering: Relaxed. The kernel writes in this very thread's context.
    area.is_registered().then(|| ThreadIds {
        cpu: area.cpu_id.load(Ordering::Relaxed),
        node: area.node_id.load(Ordering::Relaxed),
        // A kernel without ids leaves in an area of our own what stood there.
        mm_cid: match area.mm_cid.load(Ordering::Relaxed) {
            NO_ID => 0,
            id => id,
        },
    })
}
