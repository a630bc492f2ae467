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
use crate::{arch, area, generation, own};

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
    /// A signal handler runs that has interrupted a section, at a moment when its thread is
    /// not registered. When it has returned the thread can enter. (If it does not return,
    /// but leaves by `siglongjmp`, the thread uses the fallback for good.)
    Interrupted,
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
            Interrupted => {
                "a signal handler cannot register the thread whose section it interrupted"
            }
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
    match libc_registers() {
        Some(size) => Ok(of_libc(size)),
        // What the kernel lets this process do is no matter of the moment.
        None => match own::enter() {
            Err(RegistrationError::Interrupted) => own::try_apart(),
            entered => entered,
        }
        .map(of_own),
    }
}

/// Lets the calling thread run sections: sees that its area is registered, or registers
/// one.
///
/// Sections of a thread that is not registered return
/// [`Refusal::NotRegistered`](crate::Refusal::NotRegistered). Where libc registers areas,
/// its threads need not enter. Entering again is allowed and cheap.
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
    if libc_registers().is_none() {
        return own::enter().map(drop);
    }
    // SAFETY: this thread's, mapped for as long as it runs.
    if unsafe { (*arch::thread_area()).is_registered() } {
        Ok(())
    } else {
        Err(RegistrationError::ThreadNotRegistered)
    }
}

/// Runs when the program or the library is loaded: from then on sections use the areas
/// that threads have.
#[allow(dead_code, reason = "there may be no sections here")]
pub(crate) extern "C" fn at_load() {
    libc_registers();
    // So that nobody registers the handler of forks in a signal handler.
    let _ = generation();
}

/// The size of libc's areas if libc uses them; then sections use them, too.
pub(crate) fn libc_registers() -> Option<u32> {
    let (offset, size) = arch::libc_area().filter(|&(_, size)| size > 0)?;
    // Where nobody runs what is to be run at load, the first who asks does it.
    // SAFETY: libc has an area there in each of its threads, and says in it whether that
    // is registered.
    unsafe { arch::set_area_offset(offset) };
    Some(size)
}

fn of_libc(size: u32) -> Registration {
    // glibc before 2.40 states 20 and registers 32, as every glibc does at least.
    let size = size.max(area::ORIGINAL_SIZE);
    Registration {
        owner: Owner::Libc,
        size,
        align: alignment(arch::thread_area()),
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
    use core::ptr;
    use core::sync::atomic::Ordering;

    use crate::area::Area;
    use crate::{arch, own};

    /// Takes the calling thread's registration away, whoever made it, as a
    /// thread would look that libc could not register. False if there is none.
    ///
    /// # Safety
    ///
    /// A function that has followed pointers in sections before
    /// ([`load_through`](crate::section::load_through)) does not do so afterwards: nobody
    /// but tests takes away what libc has registered.
    #[must_use]
    pub unsafe fn unregister_thread() -> bool {
        match super::registration() {
            Ok(registration) => own::unregister(arch::thread_area(), registration.size),
            _ => false,
        }
    }

    /// Whether the kernel may still look for the section that the thread ran last.
    #[must_use]
    pub fn is_armed() -> bool {
        // SAFETY: null on targets without areas, or this thread's.
        let area = unsafe { arch::thread_area().as_ref() };
        area.is_some_and(|area| area.is_registered() && area.is_armed())
    }

    /// Runs something in a thread whose sections find that they are on this CPU: for tests
    /// of numbers that no kernel says here. Not on targets without sections, nor in a thread
    /// that libc did not register though it registers others.
    ///
    /// # Safety
    ///
    /// What they commit is not protected: no section of another thread, nor one of a
    /// handler, changes the same words.
    pub unsafe fn on_cpu(cpu: u32, work: impl FnOnce()) {
        /// The thread's area, and the size that it was registered with.
        struct Back(&'static Area, Option<u32>);

        impl Drop for Back {
            fn drop(&mut self) {
                // The field is the kernel's only while the area is registered.
                self.0.cpu_id.store(u32::MAX, Ordering::Relaxed);
                self.0.disarm();
                if let Some(size) = self.1 {
                    let again = own::rseq(ptr::from_ref(self.0).cast_mut(), size, 0);
                    assert_eq!(again, Ok(()), "the thread was registered before");
                }
            }
        }

        let size = super::registration().map(|registration| registration.size);
        // SAFETY: this thread's, which `_back` does not outlive.
        let area: &'static Area = unsafe { &*arch::thread_area() };
        assert!(
            area.is_registered() || super::libc_registers().is_none(),
            "a thread that libc did not register has nobody's area"
        );
        // SAFETY: no pointer was followed here.
        let _back = Back(area, size.ok().filter(|_| unsafe { unregister_thread() }));
        area.cpu_id.store(cpu, Ordering::Relaxed);
        work();
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
pub(crate) mod testing {
    /// No thread is registered here.
    ///
    /// # Safety
    ///
    /// None.
    #[must_use]
    pub unsafe fn unregister_thread() -> bool {
        false
    }

    /// Nor is there a section.
    #[must_use]
    pub fn is_armed() -> bool {
        false
    }

    /// There are no sections here.
    ///
    /// # Safety
    ///
    /// None.
    pub unsafe fn on_cpu(_: u32, _: impl FnOnce()) {
        unreachable!("no sections here")
    }
}
