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
use core::sync::atomic::Ordering;

use crate::features::Features;
use crate::{arch, area};

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
/// # Errors
///
/// Why the calling thread cannot run sections. Where libc owns the areas this
/// answers for the process, whatever happened to the calling thread.
pub fn registration() -> Result<Registration, RegistrationError> {
    match libc_registered() {
        Some((_, size)) => Ok(of_libc(size)),
        None => own::enter().map(of_own),
    }
}

/// Lets the calling thread run sections: finds its area or registers one.
///
/// Sections of a thread that has not entered return
/// [`Refusal::NotRegistered`](crate::Refusal::NotRegistered). Entering again is
/// allowed and cheap.
///
/// # Errors
///
/// Why the thread cannot run sections.
///
/// # Fork and signals
///
/// May be called from a signal handler. A child of `fork` has entered if the
/// forking thread had.
pub fn enter_thread() -> Result<(), RegistrationError> {
    let Some((area, _)) = libc_registered() else {
        return own::enter().map(drop);
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

/// Points a thread that is not registered to an area of its own that says so:
/// such threads must not all arm their sections in one place.
fn set_unregistered() {
    /// The kernel's `RSEQ_CPU_ID_UNINITIALIZED`.
    const NOT_REGISTERED: u32 = -1_i32 as u32;
    let area = arch::own_area();
    // SAFETY: this thread's own room, which is not registered. Only targets with
    // sections come here, so there is one.
    // Ordering: Relaxed. Only this thread looks.
    unsafe { (*area).cpu_id.store(NOT_REGISTERED, Ordering::Relaxed) };
    // SAFETY: this thread's, and marked just now.
    unsafe { arch::set_thread_area(area) };
}

fn of_libc(size: u32) -> Registration {
    // glibc before 2.40 states 20 and registers 32, as every glibc does at least.
    let size = size.max(area::ORIGINAL_SIZE);
    Registration {
        owner: Owner::Libc,
        size,
        features: Features::of_kernel(size),
    }
}

fn of_own(size: u32) -> Registration {
    Registration {
        owner: Owner::Percid,
        size,
        features: Features::of_kernel(size),
    }
}

/// Areas of our own.
#[cfg(target_os = "linux")]
mod own {
    use core::ptr;
    use core::sync::atomic::{AtomicU32, Ordering};

    use super::RegistrationError;
    use crate::area::{Area, OWN_AREA_ALIGN, OWN_AREA_SIZE};
    use crate::features::{Features, advertised};
    use crate::{arch, section};

    const RSEQ_FLAG_UNREGISTER: libc::c_int = 1;

    /// The key whose destructor unregisters, plus one; 0: not made yet.
    static EXIT_KEY: AtomicU32 = AtomicU32::new(0);

    /// Registers the calling thread's own area, if that has not happened, and
    /// returns its size.
    pub(super) fn enter() -> Result<u32, RegistrationError> {
        if !section::SUPPORTED {
            return Err(RegistrationError::UnsupportedTarget);
        }
        let size = size()?;
        let area = arch::own_area();
        // SAFETY: `own_area` is this thread's, mapped for as long as it runs.
        let registered = arch::thread_area() == area && unsafe { (*area).is_registered() };
        if !registered {
            register(area, size)?;
            if hook_thread_exit().is_err() {
                let _ = unregister(area, size);
                return Err(RegistrationError::NoThreadExit);
            }
            // SAFETY: registered just now, and the hook takes it back.
            unsafe { arch::set_thread_area(area) };
        }
        Ok(size)
    }

    /// Bytes to register: all that the kernel advertises.
    fn size() -> Result<u32, RegistrationError> {
        let (size, align) = advertised();
        let size = Features::size_to_register(size, align);
        if size as usize > OWN_AREA_SIZE || align as usize > OWN_AREA_ALIGN {
            return Err(RegistrationError::AreaTooSmall);
        }
        Ok(size)
    }

    fn register(area: *mut Area, size: u32) -> Result<(), RegistrationError> {
        super::set_unregistered();
        match rseq(area, size, 0) {
            Ok(()) => Ok(()),
            Err(libc::ENOSYS) => Err(RegistrationError::NoSyscall),
            // EBUSY names this very area: registered already, by a handler that
            // interrupted us between the check and here.
            // SAFETY: as above.
            Err(libc::EBUSY) if unsafe { (*area).is_registered() } => Ok(()),
            Err(libc::EBUSY | libc::EINVAL | libc::EPERM) => Err(RegistrationError::Taken),
            Err(errno) => Err(RegistrationError::Refused(errno)),
        }
    }

    /// Whether it was registered.
    pub(super) fn unregister(area: *mut Area, size: u32) -> bool {
        rseq(area, size, RSEQ_FLAG_UNREGISTER).is_ok()
    }

    fn rseq(area: *mut Area, size: u32, flags: libc::c_int) -> Result<(), i32> {
        // SAFETY: the area is this thread's, large and aligned enough; the kernel
        // checks everything else.
        let result = unsafe { libc::syscall(libc::SYS_rseq, area, size, flags, arch::SIGNATURE) };
        if result == 0 { Ok(()) } else { Err(errno()) }
    }

    fn errno() -> i32 {
        // SAFETY: libc's pointer to the thread's own error number.
        unsafe { *libc::__errno_location() }
    }

    /// The area must not outlive the thread's static block: a libc that unmaps
    /// it while the thread still runs (musl, detached threads) would have the
    /// kernel write to memory that is gone.
    fn hook_thread_exit() -> Result<(), ()> {
        let key = exit_key()?;
        // Any value but null runs the destructor.
        // SAFETY: a key that this module made.
        match unsafe { libc::pthread_setspecific(key, ptr::dangling::<u8>().cast()) } {
            0 => Ok(()),
            _ => Err(()),
        }
    }

    fn exit_key() -> Result<libc::pthread_key_t, ()> {
        // Ordering: Relaxed. The key is a number; libc orders what it stands for.
        if let Some(key) = EXIT_KEY.load(Ordering::Relaxed).checked_sub(1) {
            return Ok(key);
        }
        let mut made = 0;
        // SAFETY: a valid place for the key and a destructor of the right type.
        if unsafe { libc::pthread_key_create(&raw mut made, Some(at_thread_exit)) } != 0 {
            return Err(());
        }
        match EXIT_KEY.compare_exchange(0, made + 1, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Ok(made),
            Err(first) => {
                // SAFETY: nobody has seen the key that lost.
                unsafe { libc::pthread_key_delete(made) };
                Ok(first - 1)
            }
        }
    }

    extern "C" fn at_thread_exit(_: *mut libc::c_void) {
        // From here on the area says "not registered", and what else runs in this
        // thread falls back.
        if let Ok(size) = size() {
            // A failure would mean that it was not registered: nothing to undo.
            let _ = unregister(arch::own_area(), size);
        }
    }
}

/// Faults that tests need and nobody else may want.
#[cfg(target_os = "linux")]
pub(crate) mod testing {
    /// Takes the calling thread's registration away, whoever made it, as a
    /// thread would look that libc could not register. False if there is none.
    #[must_use]
    pub fn unregister_thread() -> bool {
        let area = crate::arch::thread_area();
        match super::registration() {
            Ok(registration) => super::own::unregister(area, registration.size),
            _ => false,
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) mod testing {
    #[must_use]
    pub fn unregister_thread() -> bool {
        false
    }
}

#[cfg(not(target_os = "linux"))]
mod own {
    use super::RegistrationError;

    pub(super) fn enter() -> Result<u32, RegistrationError> {
        Err(RegistrationError::UnsupportedTarget)
    }
}
