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
    let _errno = Preserved::new();
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
    let _errno = Preserved::new();
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

/// Points a thread that is not registered to its own area, which says so: such
/// threads must not all arm their sections in one place.
fn set_unregistered() {
    // SAFETY: this thread's, and not registered: libc's is another one.
    unsafe { arch::set_thread_area(arch::own_area()) };
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
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod own {
    use core::ptr;
    use core::sync::atomic::{AtomicU32, Ordering};

    use super::RegistrationError;
    use crate::area::{Area, OWN_AREA_ALIGN, OWN_AREA_SIZE};
    use crate::errno::errno;
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
        if unsafe { (*area).is_registered() } {
            // SAFETY: as above; registered, and the hook takes it back.
            unsafe { arch::set_thread_area(area) };
            return Ok(size);
        }
        // The hook first: it finds nothing to undo if the kernel refuses.
        hook_thread_exit()?;
        register(area, size)?;
        // SAFETY: as above.
        unsafe { arch::set_thread_area(area) };
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

    /// A handler may interrupt this anywhere and register the area itself: the
    /// kernel then says that it is.
    fn register(area: *mut Area, size: u32) -> Result<(), RegistrationError> {
        match rseq(area, size, 0) {
            Ok(()) => Ok(()),
            Err(libc::ENOSYS) => Err(RegistrationError::NoSyscall),
            // SAFETY: this thread's area.
            Err(libc::EBUSY) if unsafe { (*area).is_registered() } => Ok(()),
            Err(libc::EBUSY | libc::EINVAL | libc::EPERM) => Err(RegistrationError::Taken),
            Err(errno) => Err(RegistrationError::Refused(errno)),
        }
    }

    /// Whether it was registered. From then on the kernel has it say that it is
    /// not, and sections of this thread fall back.
    pub(super) fn unregister(area: *mut Area, size: u32) -> bool {
        rseq(area, size, RSEQ_FLAG_UNREGISTER).is_ok()
    }

    fn rseq(area: *mut Area, size: u32, flags: libc::c_int) -> Result<(), i32> {
        // SAFETY: the area is this thread's, large and aligned enough; the kernel
        // checks everything else.
        let result = unsafe { libc::syscall(libc::SYS_rseq, area, size, flags, arch::SIGNATURE) };
        if result == 0 { Ok(()) } else { Err(errno()) }
    }

    /// Has the area unregistered when the thread ends: it must not outlive the
    /// thread's static block, which some libcs unmap while the thread still runs
    /// (musl, detached threads).
    fn hook_thread_exit() -> Result<(), RegistrationError> {
        /// glibc keeps the first values in the thread and allocates for others,
        /// which a signal handler must not.
        const WITHOUT_ALLOCATION: libc::pthread_key_t = 32;
        // Ordering: Relaxed. Only this thread looks.
        if arch::ending().load(Ordering::Relaxed) {
            return Err(RegistrationError::NoThreadExit);
        }
        let key = exit_key()?;
        if cfg!(target_env = "gnu") && key >= WITHOUT_ALLOCATION {
            // glibc keeps the static block until the kernel says that the thread is
            // gone, and does not unregister its own areas either.
            return Ok(());
        }
        // Any value but null runs the destructor.
        // SAFETY: a key that this module made.
        match unsafe { libc::pthread_setspecific(key, ptr::dangling::<u8>().cast()) } {
            0 => Ok(()),
            _ => Err(RegistrationError::NoThreadExit),
        }
    }

    fn exit_key() -> Result<libc::pthread_key_t, RegistrationError> {
        // Ordering: Relaxed. The key is a number; libc orders what it stands for.
        if let Some(key) = EXIT_KEY.load(Ordering::Relaxed).checked_sub(1) {
            return Ok(key);
        }
        let mut made = 0;
        // SAFETY: a valid place for the key and a destructor of the right type.
        if unsafe { libc::pthread_key_create(&raw mut made, Some(at_thread_exit)) } != 0 {
            return Err(RegistrationError::NoThreadExit);
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

    /// From here on this thread does not register again: destructors that come
    /// later fall back.
    extern "C" fn at_thread_exit(_: *mut libc::c_void) {
        // Ordering: Relaxed. Only this thread looks; a handler between the two
        // lines finds the area still registered.
        arch::ending().store(true, Ordering::Relaxed);
        if let Ok(size) = size() {
            // A failure would mean that it was not registered: nothing to undo.
            let _ = unregister(arch::own_area(), size);
        }
    }
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
            Ok(registration) => super::own::unregister(area, registration.size),
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

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod own {
    use super::RegistrationError;

    pub(super) fn enter() -> Result<u32, RegistrationError> {
        Err(RegistrationError::UnsupportedTarget)
    }
}
