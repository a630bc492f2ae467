//! The thread and its kernel, as tests see them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use percid_rseq::section::{self, MmCid, WordAddress};
use percid_rseq::{Refusal, RegistrationError, enter_thread, possible_cpus, registration};

/// Whether the calling thread may run sections by mm_cid; says why not.
pub(crate) fn has_mm_cid() -> bool {
    match registration() {
        Ok(found) if !found.features.mm_cid => println!("skipped: no mm_cid here"),
        _ => return has_sections(),
    }
    false
}

/// Whether the calling thread may run sections; says why not.
pub(crate) fn has_sections() -> bool {
    match enter_thread() {
        Ok(()) => return true,
        Err(why) => println!("skipped: no sections here: {why}"),
    }
    false
}

/// Whether percid registers the areas of this process, and can; says why not.
pub(crate) fn percid_registers() -> bool {
    if !section::SUPPORTED {
        println!("skipped: {}", RegistrationError::UnsupportedTarget);
        return false;
    }
    match registration() {
        Ok(found) if found.owner == percid_rseq::Owner::Percid => return true,
        Ok(_) => println!("skipped: libc registers areas and cannot be kept from it"),
        Err(why) => println!("skipped: no sections here: {why}"),
    }
    false
}

/// An area that is not percid's.
#[repr(C, align(64))]
pub(crate) struct ForeignArea([AtomicU32; 64]);

impl ForeignArea {
    /// In memory that is never freed: the kernel may write to it at any time.
    pub(crate) fn leak() -> &'static ForeignArea {
        Box::leak(Box::new(ForeignArea([const { AtomicU32::new(0) }; 64])))
    }

    /// The kernel's answer to a registration of this area by the calling thread.
    pub(crate) fn register(&'static self, size: u32, signature: u32) -> Result<(), i32> {
        self.ask(size, 0, signature)
    }

    pub(crate) fn unregister(&'static self, size: u32, signature: u32) -> Result<(), i32> {
        self.ask(size, 1, signature)
    }

    fn ask(&'static self, size: u32, flags: i32, signature: u32) -> Result<(), i32> {
        // SAFETY: memory that is large enough and never freed; the kernel checks the
        // rest.
        match unsafe { libc::syscall(libc::SYS_rseq, self, size, flags, signature) } {
            0 => Ok(()),
            _ => Err(errno()),
        }
    }
}

/// Whether the kernel knows an area of the calling thread. It refuses a second one.
pub(crate) fn kernel_knows_an_area() -> bool {
    let area = ForeignArea::leak();
    match area.register(32, 0x1234_5678) {
        Ok(()) => {
            area.unregister(32, 0x1234_5678).expect("registered above");
            false
        }
        Err(errno) => {
            assert_eq!(errno, libc::EINVAL);
            true
        }
    }
}

pub(crate) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap()
}

/// A word for every id, on cache lines of their own.
pub(crate) struct Stripes {
    pub(crate) limit: AtomicU32,
    lines: Vec<Line>,
}

#[repr(align(64))]
struct Line(AtomicU64);

impl Stripes {
    const SHIFT: u32 = 6;

    pub(crate) fn new() -> Stripes {
        let line = |_| Line(AtomicU64::new(0));
        Stripes {
            limit: AtomicU32::new(possible_cpus()),
            lines: (0..possible_cpus()).map(line).collect(),
        }
    }

    /// Adds 1 to the current id's word, in one attempt.
    pub(crate) fn try_once(&self) -> Result<(), Refusal> {
        let word = WordAddress::new(self.lines.as_ptr().cast::<u64>().cast_mut());
        let index = MmCid { limit: &self.limit };
        // SAFETY: there are as many lines as there may be ids.
        unsafe { section::add::<_, { Stripes::SHIFT }>(index, word, 1) }
    }

    /// Adds 1 to the current id's word, as structures do.
    pub(crate) fn increment(&self) -> Result<(), Refusal> {
        section::retry(|| self.try_once())
    }

    /// Adds 1, however often the kernel aborts it.
    pub(crate) fn count(&self) {
        while let Err(refusal) = self.increment() {
            assert_eq!(refusal, Refusal::Aborted);
        }
    }

    pub(crate) fn sum(&self) -> u64 {
        let words = self.lines.iter();
        words.map(|line| line.0.load(Ordering::Relaxed)).sum()
    }
}

/// The CPUs that this thread may use.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    // SAFETY: a valid place for the set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &raw mut set);
        (0..libc::CPU_SETSIZE as usize)
            .filter(|&cpu| libc::CPU_ISSET(cpu, &set))
            .collect()
    }
}

/// Has the calling thread run on one CPU only.
pub(crate) fn pin_to(cpu: usize) {
    // SAFETY: a set that is filled before its use.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set)
    };
    assert_eq!(result, 0, "CPU {cpu} is allowed");
}
