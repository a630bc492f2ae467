//! Areas of our own, where libc has none.
//!
//! What the kernel answered to a thread is kept in the thread: a refusal stands until
//! the thread ends, or calls [`prepare_unload`](crate::prepare_unload). A filter is
//! never taken away again, and who has registered another area keeps it, as libc and
//! allocators do, for as long as the thread lives; a child of `fork` has the same
//! area and the same filter as the thread that forked. So the kernel is asked once
//! and not at every operation.

use core::ffi::c_void;
use core::num::NonZeroUsize;
use core::sync::atomic::Ordering;

use crate::area::{Area, NO_ID, OWN_AREA_ALIGN, OWN_AREA_SIZE};
use crate::blocked::Blocked;
use crate::errno::{Preserved, errno};
use crate::exit_key::{ExitKey, ExitKeyError};
use crate::features::{Features, advertised};
use crate::{RegistrationError, arch, section};

const RSEQ_FLAG_UNREGISTER: libc::c_int = 1;

/// The thread's state ([`arch::thread_state`]) where nothing is known.
const UNKNOWN: u32 = 0;

/// The thread is ending and does not register any more. Any other state is the
/// error number that the kernel refused with.
const ENDING: u32 = u32::MAX;

/// Unregisters when the thread ends: an area must not outlive the thread's static
/// block, which some libcs unmap while the thread still runs (musl, detached
/// threads).
static EXIT_KEY: ExitKey = ExitKey::new(at_thread_exit);

/// Registers the calling thread's own area, if that has not happened, and returns
/// its size.
pub(crate) fn enter() -> Result<u32, RegistrationError> {
    if !section::SUPPORTED {
        return Err(RegistrationError::UnsupportedTarget);
    }
    let area = arch::own_area();
    // SAFETY: `own_area` is this thread's, mapped for as long as it runs.
    if !unsafe { (*area).is_registered() } {
        // Ordering: Relaxed, here and below. Only this thread looks.
        match arch::thread_state().load(Ordering::Relaxed) {
            // See `arch::thread_area`: a section was interrupted that must be refused.
            // SAFETY: as above.
            UNKNOWN if unsafe { (*area).is_armed() } => {
                return Err(RegistrationError::Interrupted);
            }
            UNKNOWN => register(area, size()?)?,
            ENDING => return Err(RegistrationError::NoThreadExit),
            errno => return Err(refusal(errno.cast_signed())),
        }
    }
    size()
}

/// Whether the kernel registers areas for this thread, and of what size, found out with
/// another area than the thread's: it is taken back at once.
pub(crate) fn try_apart() -> Result<u32, RegistrationError> {
    #[repr(C, align(64))]
    struct Apart(Area, [u8; OWN_AREA_SIZE - size_of::<Area>()]);
    const _: () = assert!(align_of::<Apart>() == OWN_AREA_ALIGN);

    let size = size()?;
    // SAFETY: zero is a value of its fields.
    let mut apart: Apart = unsafe { core::mem::zeroed() };
    let _blocked = Blocked::all();
    rseq(&raw mut apart.0, size, 0).map_err(refusal)?;
    rseq(&raw mut apart.0, size, RSEQ_FLAG_UNREGISTER).map_err(refusal)?;
    Ok(size)
}

/// Takes back what [`enter`] did to the calling thread, which may then enter again.
pub(crate) fn leave() {
    if !section::SUPPORTED {
        return;
    }
    let _errno = Preserved::new();
    // The hook first: a handler in between finds the area registered, and so does not
    // hook again.
    EXIT_KEY.clear();
    take_back();
    let state = arch::thread_state();
    if state.load(Ordering::Relaxed) != ENDING {
        state.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// Bytes to register: all that the kernel advertises.
pub(crate) fn size() -> Result<u32, RegistrationError> {
    let (size, align) = advertised();
    size_for(size, align)
}

/// The same for a kernel that advertises this.
fn size_for(size: u32, align: u32) -> Result<u32, RegistrationError> {
    let size = Features::size_to_register(size, align);
    if size as usize > OWN_AREA_SIZE || align as usize > OWN_AREA_ALIGN {
        return Err(RegistrationError::AreaTooSmall);
    }
    Ok(size)
}

/// A handler may interrupt this anywhere and register the area itself: the kernel
/// then says that it is.
fn register(area: *mut Area, size: u32) -> Result<(), RegistrationError> {
    // The hook first: it finds nothing to undo if the kernel refuses.
    hook_thread_exit()?;
    match rseq(area, size, 0) {
        Ok(()) => Ok(()),
        // SAFETY: this thread's area.
        Err(libc::EBUSY) if unsafe { (*area).is_registered() } => Ok(()),
        Err(errno) => {
            arch::thread_state().store(errno.cast_unsigned(), Ordering::Relaxed);
            Err(refusal(errno))
        }
    }
}

/// What an error number of the kernel means.
fn refusal(errno: i32) -> RegistrationError {
    match errno {
        libc::ENOSYS => RegistrationError::NoSyscall,
        libc::EBUSY | libc::EINVAL | libc::EPERM => RegistrationError::Taken,
        errno => RegistrationError::Refused(errno),
    }
}

/// Whether it was registered. From then on it says that it is not, and sections of this
/// thread fall back.
pub(crate) fn unregister(area: *mut Area, size: u32) -> bool {
    // The kernel leaves id 0 behind, and the field is ours only until a handler registers the
    // area again.
    let blocked = Blocked::all();
    let done = rseq(area, size, RSEQ_FLAG_UNREGISTER).is_ok();
    if done {
        // SAFETY: this thread's. What was armed was so while it was registered: it is over,
        // or the signal whose handler this is has aborted it. The field is not the kernel's
        // any more.
        unsafe {
            if blocked.none_comes() {
                (*area).mm_cid.store(NO_ID, Ordering::Relaxed);
            }
            (*area).disarm();
        }
    }
    done
}

/// The system call, for the calling thread. The error is the system's.
pub(crate) fn rseq(area: *mut Area, size: u32, flags: libc::c_int) -> Result<(), i32> {
    // SAFETY: the area is this thread's, large and aligned enough; the kernel checks
    // everything else.
    let result = unsafe { libc::syscall(libc::SYS_rseq, area, size, flags, arch::SIGNATURE) };
    if result == 0 { Ok(()) } else { Err(errno()) }
}

fn hook_thread_exit() -> Result<(), RegistrationError> {
    match EXIT_KEY.set(NonZeroUsize::MIN) {
        Ok(()) => Ok(()),
        // glibc keeps the static block until the kernel says that the thread is gone,
        // and does not unregister its own areas either.
        Err(ExitKeyError::WouldAllocate) => Ok(()),
        Err(ExitKeyError::NoKey) => Err(RegistrationError::NoThreadExit),
    }
}

/// From here on this thread does not register again: destructors that come later
/// fall back.
unsafe extern "C" fn at_thread_exit(_: *mut c_void) {
    // A handler between the two lines finds the area still registered.
    arch::thread_state().store(ENDING, Ordering::Relaxed);
    take_back();
}

/// Unregisters the thread's area, if it is registered, and has the kernel forget its last
/// section.
fn take_back() {
    let area = arch::own_area();
    // SAFETY: this thread's.
    if let (true, Ok(size)) = (unsafe { (*area).is_registered() }, size())
        && !unregister(area, size)
    {
        // Where a filter refuses even this, the area stays with the kernel.
        // SAFETY: as above. It was registered, so what was armed is over or aborted.
        unsafe { (*area).disarm() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_is_as_large_as_the_kernel_says() {
        // Before Linux 6.3, from 6.3 on, and 7.x.
        assert_eq!(size_for(20, 32), Ok(32));
        assert_eq!(size_for(28, 32), Ok(32));
        assert_eq!(size_for(33, 64), Ok(64));
    }

    #[test]
    fn a_kernel_that_wants_more_is_refused() {
        let too_small = Err(RegistrationError::AreaTooSmall);
        assert_eq!(size_for(OWN_AREA_SIZE as u32, 64), Ok(64));
        assert_eq!(size_for(OWN_AREA_SIZE as u32 + 1, 64), too_small);
        assert_eq!(size_for(33, OWN_AREA_ALIGN as u32 * 2), too_small);
        assert_eq!(size_for(u32::MAX - 64, 32), too_small);
    }

    #[test]
    fn an_area_of_our_own_has_the_size_and_the_alignment() {
        if section::SUPPORTED {
            let area = arch::own_area();
            assert!(area.addr().is_multiple_of(OWN_AREA_ALIGN), "{area:p}");
        }
        assert!(size_of::<Area>() <= OWN_AREA_SIZE);
        assert!(align_of::<Area>() <= OWN_AREA_ALIGN);
    }
}
