//! Kernels and sandboxes that refuse an area, each by its own error number; and what
//! is not asked again.

use percid_rseq::{
    Owner, Refusal, RegistrationError, enter_thread, membarrier, prepare_unload, registration,
    thread_ids,
};

use crate::child::{in_child, without_libcs_areas};
use crate::host::{ForeignArea, Stripes, has_mm_cid, kernel_knows_an_area, percid_registers};
use crate::seccomp::{Fate, catch, forbid};

const RSEQ: &[libc::c_long] = &[libc::SYS_rseq];

/// What the kernel may answer, what that means, and a word of what is said.
const ANSWERS: [(i32, RegistrationError, &str); 6] = [
    (libc::ENOSYS, RegistrationError::NoSyscall, "ENOSYS"),
    (libc::EINVAL, RegistrationError::Taken, "another library"),
    (libc::EBUSY, RegistrationError::Taken, "another library"),
    (libc::EPERM, RegistrationError::Taken, "another library"),
    (libc::EFAULT, RegistrationError::Refused(14), "error 14"),
    (libc::ENOMEM, RegistrationError::Refused(12), "error 12"),
];

/// Runs in a thread of its own: what is done to it cannot be undone.
fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(work).join().unwrap()
}

/// The calling thread cannot run sections, for this reason, and nothing waits for it.
fn is_refused(why: RegistrationError) {
    let stripes = Stripes::new();
    assert_eq!(enter_thread(), Err(why));
    assert_eq!(registration().unwrap_err(), why);
    assert_eq!(stripes.increment(), Err(Refusal::NotRegistered));
    assert_eq!(thread_ids(), None);
    assert_eq!(stripes.sum(), 0);
}

#[test]
fn every_answer_has_its_name() {
    if !in_child("refusals::every_answer_has_its_name", without_libcs_areas) {
        return;
    }
    if !percid_registers() {
        return;
    }
    for (errno, why, word) in ANSWERS {
        apart(move || {
            catch(RSEQ, Fate::Errno(errno)).unwrap();
            is_refused(why);
            assert!(why.to_string().contains(word), "{why}");
        });
    }
    // It is a thread's misfortune, not the process's.
    apart(|| assert_eq!(enter_thread(), Ok(())));
}

#[test]
fn a_sandbox_without_rseq() {
    let refuse = |child: &mut std::process::Command| {
        without_libcs_areas(child);
        forbid(child, RSEQ);
    };
    if in_child("refusals::a_sandbox_without_rseq", refuse) && percid_rseq::section::SUPPORTED {
        is_refused(RegistrationError::NoSyscall);
        apart(|| is_refused(RegistrationError::NoSyscall));
    }
}

/// libc of this host finds no rseq either, and says so by its size.
#[test]
fn a_sandbox_in_which_libc_is_refused() {
    let refuse = |child: &mut std::process::Command| forbid(child, RSEQ);
    let name = "refusals::a_sandbox_in_which_libc_is_refused";
    if in_child(name, refuse) && percid_rseq::section::SUPPORTED {
        let why = registration().unwrap_err();
        assert_eq!(why, RegistrationError::NoSyscall);
        is_refused(why);
    }
}

#[test]
fn where_libc_registers_nothing_percid_does() {
    let name = "refusals::where_libc_registers_nothing_percid_does";
    if !in_child(name, without_libcs_areas) || !percid_registers() {
        return;
    }
    let found = registration().unwrap();
    assert_eq!(found.owner, Owner::Percid);
    // All that the kernel has to say fits, where it wants it.
    assert!(found.align >= found.features.align, "{found:?}");
    assert!(
        found.size >= 32 && found.size >= found.features.size,
        "{found:?}"
    );
    assert!(kernel_knows_an_area());
    apart(|| {
        assert!(!kernel_knows_an_area(), "a thread that has not entered");
        enter_thread().unwrap();
        assert!(kernel_knows_an_area());
        prepare_unload();
        assert!(!kernel_knows_an_area(), "a thread that has left");
        enter_thread().unwrap();
        assert!(kernel_knows_an_area());
    });
}

/// The kernel's own words for a second area, which `Taken` stands for.
#[test]
fn the_kernel_gives_a_thread_one_area() {
    let name = "refusals::the_kernel_gives_a_thread_one_area";
    if !in_child(name, without_libcs_areas) || !percid_registers() {
        return;
    }
    apart(|| {
        let (one, other) = (ForeignArea::leak(), ForeignArea::leak());
        one.register(32, 1).unwrap();
        assert_eq!(one.register(32, 1), Err(libc::EBUSY));
        assert_eq!(one.register(32, 2), Err(libc::EPERM));
        assert_eq!(one.register(64, 1), Err(libc::EINVAL));
        assert_eq!(other.register(32, 1), Err(libc::EINVAL));
        one.unregister(32, 1).unwrap();
    });
}

#[test]
fn somebody_else_was_first() {
    let name = "refusals::somebody_else_was_first";
    if !in_child(name, without_libcs_areas) || !percid_registers() {
        return;
    }
    let size = registration().unwrap().size;
    for signature in [0x5305_3053, 0xd428_bc00, 0x1234_5678] {
        for size in [32, size] {
            apart(move || {
                let area = ForeignArea::leak();
                area.register(size, signature).unwrap();
                is_refused(RegistrationError::Taken);
                area.unregister(size, signature).unwrap();
                // What the kernel has said stands, until the thread leaves.
                is_refused(RegistrationError::Taken);
                prepare_unload();
                assert_eq!(enter_thread(), Ok(()));
            });
        }
    }
}

/// A thread that was refused does not ask at each operation, nor does the child that
/// it forks: the question is deadly here.
#[test]
fn the_kernel_is_asked_once() {
    let name = "refusals::the_kernel_is_asked_once";
    if !in_child(name, without_libcs_areas) || !percid_registers() {
        return;
    }
    apart(|| {
        ForeignArea::leak().register(32, 1).unwrap();
        is_refused(RegistrationError::Taken);
        catch(RSEQ, Fate::Death).unwrap();
        let often = || (0..1000).for_each(|_| is_refused(RegistrationError::Taken));
        often();
        // SAFETY: the child only runs sections, which refuse, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            often();
            // SAFETY: ends the child without running this program's exit.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: a child of this process and a valid place.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0, "the child asked");
    });
}

#[test]
fn a_thread_that_left_asks_again() {
    let name = "refusals::a_thread_that_left_asks_again";
    if !in_child(name, without_libcs_areas) || !percid_registers() {
        return;
    }
    for (first, why, _) in ANSWERS {
        apart(move || {
            catch(RSEQ, Fate::Errno(first)).unwrap();
            is_refused(why);
            // Of two answers the newer one counts.
            catch(RSEQ, Fate::Errno(libc::EXDEV)).unwrap();
            is_refused(why);
            prepare_unload();
            is_refused(RegistrationError::Refused(libc::EXDEV));
        });
    }
}

/// Where no destructor can be had, nothing is registered that it would take back.
#[test]
fn no_keys_are_left() {
    let name = "refusals::no_keys_are_left";
    if !in_child(name, without_libcs_areas) {
        return;
    }
    let mut keys = Vec::new();
    loop {
        let mut key = 0;
        // SAFETY: a valid place, and no destructor.
        match unsafe { libc::pthread_key_create(&raw mut key, None) } {
            0 => keys.push(key),
            _ => break,
        }
    }
    let without = registration();
    for key in keys {
        // SAFETY: made above and not used.
        unsafe { libc::pthread_key_delete(key) };
    }
    if percid_registers() {
        assert_eq!(without.unwrap_err(), RegistrationError::NoThreadExit);
        assert!(without.unwrap_err().to_string().contains("thread-exit"));
    }
}

#[test]
fn libc_could_not_register_this_thread() {
    if !has_mm_cid() || registration().unwrap().owner != Owner::Libc {
        println!("skipped: libc registers nothing here");
        return;
    }
    apart(|| {
        let stripes = Stripes::new();
        stripes.count();
        // SAFETY: nothing follows a pointer here.
        assert!(unsafe { percid_rseq::testing::unregister_thread() });
        let why = enter_thread().unwrap_err();
        assert_eq!(why, RegistrationError::ThreadNotRegistered);
        assert!(why.to_string().contains("not for this thread"), "{why}");
        assert_eq!(stripes.increment(), Err(Refusal::NotRegistered));
        assert!(!kernel_knows_an_area());
        // For the process nothing has changed.
        assert_eq!(registration().unwrap().owner, Owner::Libc);
        assert_eq!(stripes.sum(), 1);
    });
}

#[test]
fn a_sandbox_without_membarrier() {
    let refuse = |child: &mut std::process::Command| forbid(child, &[libc::SYS_membarrier]);
    if in_child("refusals::a_sandbox_without_membarrier", refuse) {
        let unsupported = membarrier::BarrierError::Unsupported;
        assert_eq!(membarrier::fence(), Err(unsupported));
        assert_eq!(membarrier::fence_cpu(0), Err(unsupported));
        assert_eq!(membarrier::heavy_barrier(), Err(unsupported));
        assert_eq!(membarrier::commands(), Default::default());
        for errno in [libc::EFAULT, libc::EACCES] {
            apart(move || {
                catch(&[libc::SYS_membarrier], Fate::Errno(errno)).unwrap();
                let refused = membarrier::BarrierError::Refused(errno);
                assert_eq!(membarrier::fence(), Err(refused));
                assert!(refused.to_string().contains(&format!("error {errno}")));
            });
        }
    }
}
