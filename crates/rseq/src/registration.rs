//! Who registered the thread's area, and doing so where nobody did.
//!
//! A thread has one rseq area. glibc registers one from 2.35 on; everybody else
//! must use that. Only where libc has none (older glibc, musl, a static program,
//! `GLIBC_TUNABLES=glibc.pthread.rseq=0`) does this crate register its own, in
//! the thread's static block, and unregister it when the thread ends.
//!
//! | libc says | this crate |
//! | --- | --- |
//! | `__rseq_size` > 0 | uses libc's area at `__rseq_offset` |
//! | `__rseq_size` = 0 | registers its own: the offset is set, but nothing is there |
//! | no such symbols | registers its own |

use core::fmt;

use crate::errno::Preserved;
use crate::features::Features;
use crate::{arch, area, own};

/// Who registered the areas of this process's threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// libc, at thread start.
    Libc,
    /// This crate, when a thread enters.
    Percid,
}

/// How threads of this process are registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registration {
    /// Who registers the areas.
    pub owner: Owner,
    /// Bytes that are registered.
    pub size: u32,
    /// What the calling thread's area is aligned to; [`Features::align`] is what the
    /// kernel asks for.
    pub align: u32,
    /// What the kernel offers to an area of that size.
    pub features: Features,
}

/// Why a thread cannot run sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RegistrationError {
    /// This target has no sections: not Linux, or an architecture without a body.
    UnsupportedTarget,
    /// The kernel, or a sandbox around the program, does not know rseq (`ENOSYS`).
    NoSyscall,
    /// Something else in the program registered an area of its own for this
    /// thread, and a thread has only one (`EINVAL`, `EBUSY` or `EPERM`).
    Taken,
    /// libc registers areas in this process, but not for this thread.
    ThreadNotRegistered,
    /// The kernel asks for an alignment or a size that this version does not
    /// have.
    AreaTooSmall,
    /// No way to unregister at thread end could be set up, so nothing was
    /// registered.
    NoThreadExit,
    /// The kernel refused, with this error number.
    Refused(i32),
}

impl fmt::Display for RegistrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use RegistrationError::*;
        f.write_str(match self {
            UnsupportedTarget => "this target has no restartable sequences",
            NoSyscall => "the kernel or a sandbox does not offer rseq (ENOSYS)",
            Taken => "another library registered its own rseq area for this thread",
            ThreadNotRegistered => "libc registers rseq areas, but not for this thread",
            AreaTooSmall => "the kernel asks for a larger rseq area than this version has",
            NoThreadExit => "no thread-exit hook is left to unregister the rseq area",
            Refused(errno) => return write!(f, "the kernel refused the rseq area (error {errno})"),
        })
    }
}

impl core::error::Error for RegistrationError {}

/// How this process's threads are registered.
///
/// Where libc has no area this registers one for the calling thread, to see
/// whether the kernel lets it.
///
/// ```
/// match percid_rseq::registration() {
///     Ok(found) => println!("{:?} registers {} bytes", found.owner, found.size),
///     Err(why) => println!("no sections here: {why}"),
/// }
/// ```
///
/// # Errors
///
/// Why the calling thread cannot run sections. Where libc owns the areas this
/// answers for the process, whatever happened to the calling thread.
pub fn registration() -> Result<Registration, RegistrationError> {
    let _errno = Preserved::new();
    match libc_registered() {
        Some((area, size)) => Ok(of_libc(area, size)),
        None => own::enter().map(of_own),
    }
}

/// Lets the calling thread run sections: finds its area or registers one.
///
/// Sections of a thread that has not entered return
/// [`Refusal::NotRegistered`](crate::Refusal::NotRegistered). Entering again is
/// allowed and cheap.
///
/// ```
/// std::thread::spawn(|| match percid_rseq::enter_thread() {
///     Ok(()) => assert!(percid_rseq::thread_ids().is_some()),
///     Err(why) => println!("this thread uses the fallback: {why}"),
/// })
/// .join()
/// .unwrap();
/// ```
///
/// # Errors
///
/// Why the thread cannot run sections. Where the kernel refused, it is not asked
/// again by this thread, nor by a child that it forks, until it has called
/// [`prepare_unload`](crate::prepare_unload).
///
/// # Fork and signals
///
/// May be called from a signal handler. A child of `fork` has entered if the
/// forking thread had.
pub fn enter_thread() -> Result<(), RegistrationError> {
    let _errno = Preserved::new();
    let Some((area, _)) = libc_registered() else {
        return own::enter().map(drop).inspect_err(|_| set_unregistered());
    };
    // SAFETY: libc's area of this thread, mapped for as long as the thread runs.
    if unsafe { (*area).is_registered() } {
        // SAFETY: as above; libc registered it.
        unsafe { arch::set_thread_area(area) };
        Ok(())
    } else {
        set_unregistered();
        Err(RegistrationError::ThreadNotRegistered)
    }
}

/// libc's area if libc uses it.
fn libc_registered() -> Option<(*mut area::Area, u32)> {
    arch::libc_area().filter(|&(_, size)| size > 0)
}

/// libc's area of the calling thread if libc uses it.
pub(crate) fn area_of_libc() -> Option<*mut area::Area> {
    libc_registered().map(|(area, _)| area)
}

/// Points a thread that is not registered to its own area, which says so: such
/// threads must not all arm their sections in one place.
pub(crate) fn set_unregistered() {
    // SAFETY: this thread's, and not registered: libc's is another one.
    unsafe { arch::set_thread_area(arch::own_area()) };
}

fn of_libc(area: *const area::Area, size: u32) -> Registration {
    // glibc before 2.40 states 20 and registers 32, as every glibc does at least.
    let size = size.max(area::ORIGINAL_SIZE);
    Registration {
        owner: Owner::Libc,
        size,
        align: alignment(area),
        features: Features::of_kernel(size),
    }
}

fn of_own(size: u32) -> Registration {
    Registration {
        owner: Owner::Percid,
        size,
        align: alignment(arch::own_area()),
        features: Features::of_kernel(size),
    }
}

/// The largest power of two that divides the address, up to a page.
fn alignment(area: *const area::Area) -> u32 {
    1 << area.addr().trailing_zeros().min(12)
}

/// Faults that tests need and nobody else may want.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub(crate) mod testing {
    /// Takes the calling thread's registration away, whoever made it, as a
    /// thread would look that libc could not register. False if there is none.
    #[must_use]
    pub fn unregister_thread() -> bool {
        let area = crate::arch::thread_area();
        match super::registration() {
            Ok(registration) => crate::own::unregister(area, registration.size),
            _ => false,
        }
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
pub(crate) mod testing {
    /// No thread is registered here.
    #[must_use]
    pub fn unregister_thread() -> bool {
        false
    }
}
