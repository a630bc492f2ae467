//! One line for each thing that is missing: what to do about it.

use percid::{Reason, Source};
use percid_cid::{BACKEND_VARIABLE, POSSIBLE_VARIABLE};
use percid_rseq::RegistrationError;
use percid_rseq::trial::Trial;
use serde::Serialize;

use super::facts::Facts;

/// Something that is missing.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Advice {
    pub(super) missing: &'static str,
    /// Whether percid is slower or can do less without it, today.
    pub(super) matters: bool,
    #[serde(rename = "do")]
    pub(super) remedy: String,
}

impl Advice {
    fn matters(missing: &'static str, remedy: impl Into<String>) -> Advice {
        Advice {
            missing,
            matters: true,
            remedy: remedy.into(),
        }
    }

    fn optional(missing: &'static str, remedy: impl Into<String>) -> Advice {
        Advice {
            matters: false,
            ..Advice::matters(missing, remedy)
        }
    }
}

/// What to do, the most important first.
pub(super) fn on(facts: &Facts) -> Vec<Advice> {
    let kernel = &facts.machine.kernel;
    let mut advice = Vec::new();
    if facts.backend.reason == Reason::Requested {
        advice.push(Advice::matters(
            "sections",
            format!("{BACKEND_VARIABLE}=fallback asks for none: unset it"),
        ));
    }
    let broken = match facts.backend.reason {
        Reason::NotAborted(what) => Some(what),
        _ => facts.trial.as_ref().ok().and_then(Trial::broken),
    };
    if let Some(what) = broken {
        advice.push(Advice::matters(
            "restarts of sections",
            format!(
                "this kernel, {kernel}, does not restart sections after {what}: boot another \
                 (arm64 on 6.19 and early 7.0 is known to be broken), and set \
                 {BACKEND_VARIABLE}=fallback meanwhile"
            ),
        ));
    }
    if let Some(why) = facts.rseq.refused {
        advice.push(Advice::matters("rseq", unregistered(why)));
    } else {
        let features = &facts.rseq.features;
        if !features.mm_cid {
            advice.push(Advice::matters("mm_cid", newer(kernel, (6, 3))));
        }
        if !features.node_id {
            advice.push(Advice::optional("node_id", newer(kernel, (6, 3))));
        }
        if !features.slice_extension {
            let newer = newer(kernel, (7, 0));
            advice.push(Advice::optional(
                "slice extension",
                format!("{newer}; nothing in percid needs it yet"),
            ));
        }
    }
    if facts.rseq.supported && facts.rseq.exit_points == Some(0) {
        advice.push(Advice::optional(
            "exit points of sections",
            "the linker has dropped __rseq_cs_ptr_array: keep it, or a debugger that \
             single-steps through a section never gets out of it",
        ));
    }
    if let Err(why) = &facts.arena {
        advice.push(Advice::matters("address space", why.clone()));
    }
    if facts.cpus.assumed < facts.cpus.possible && facts.backend.source != Source::Thread {
        advice.push(Advice::matters(
            "ids",
            format!(
                "{POSSIBLE_VARIABLE} makes percid expect fewer ids than there can be, and \
                 threads with the others use the fallback: unset it"
            ),
        ));
    }
    let barriers = "allow the membarrier system call in the seccomp filter of the container or \
                    sandbox; only what frees memory under sections needs it, counters do not";
    if !facts.membarrier.private_expedited {
        let text = format!("{} or newer; or {barriers}", needs(4, 14));
        advice.push(Advice::optional("membarrier private_expedited", text));
    }
    if !facts.membarrier.private_expedited_rseq {
        let text = format!("{} or newer; or {barriers}", needs(5, 10));
        advice.push(Advice::optional("membarrier private_expedited_rseq", text));
    }
    advice
}

fn needs(major: u32, minor: u32) -> String {
    format!("boot Linux {major}.{minor}")
}

/// What to do about a feature that came with a release of the kernel.
fn newer(kernel: &str, with: (u32, u32)) -> String {
    let needs = needs(with.0, with.1);
    match release(kernel) {
        Some(here) if here < with => format!("{needs} or newer; this is {kernel}"),
        _ => format!(
            "{needs} or newer, built with CONFIG_RSEQ; this is {kernel}, but it does not offer \
             it: a sandbox (gVisor, valgrind, qemu) may stand between"
        ),
    }
}

/// Major and minor number.
fn release(kernel: &str) -> Option<(u32, u32)> {
    let mut numbers = kernel.split(|other: char| !other.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn unregistered(why: RegistrationError) -> String {
    use RegistrationError::*;
    match why {
        UnsupportedTarget => {
            "sections exist for x86-64 and aarch64 on Linux; elsewhere the fallback is what there \
             is"
            .into()
        }
        NoSyscall => "allow the rseq system call in the seccomp filter of the container or \
                      sandbox; gVisor, valgrind and qemu's user mode do not have it, run outside \
                      of them; Linux has it from 4.18, with CONFIG_RSEQ"
            .into(),
        Taken => "let libc own the area: glibc 2.35 or newer, without glibc.pthread.rseq=0 in \
                  GLIBC_TUNABLES; and let the other library (tcmalloc, an own librseq) use libc's"
            .into(),
        ThreadNotRegistered => "something unregistered libc's area of this thread: find the \
                                library that does, and let it use libc's area instead"
            .into(),
        AreaTooSmall => "this kernel is newer than this version of percid: update percid".into(),
        NoThreadExit => "all keys of pthread_key_create are in use: find what uses them up".into(),
        Refused(errno) => format!(
            "the kernel answered {}: see what stands between, such as a seccomp filter or a \
             security module",
            std::io::Error::from_raw_os_error(errno)
        ),
        _ => "update this program: it does not know this reason".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::{Features, Rseq};

    /// This machine with another rseq.
    fn facts(kernel: &str, rseq: Rseq) -> Facts {
        let mut facts = Facts::gather();
        facts.machine.kernel = kernel.to_owned();
        facts.rseq = rseq;
        facts
    }

    fn about<'a>(advice: &'a [Advice], missing: &str) -> Option<&'a Advice> {
        advice.iter().find(|one| one.missing == missing)
    }

    #[test]
    fn an_old_kernel_is_to_be_replaced() {
        let old = Rseq {
            owner: Some("libc"),
            features: Features {
                cpu_id: true,
                ..Features::default()
            },
            ..Rseq::default()
        };
        let advice = on(&facts("6.1.0-30-cloud-amd64", old));
        let mm_cid = about(&advice, "mm_cid").unwrap();
        assert!(mm_cid.matters);
        assert_eq!(
            mm_cid.remedy,
            "boot Linux 6.3 or newer; this is 6.1.0-30-cloud-amd64"
        );
        assert!(!about(&advice, "slice extension").unwrap().matters);
        assert!(about(&advice, "rseq").is_none());
    }

    #[test]
    fn sections_that_debuggers_do_not_find_are_named() {
        let with = |supported, exit_points| Rseq {
            supported,
            exit_points,
            refused: Some(RegistrationError::NoSyscall),
            ..Rseq::default()
        };
        let missing = "exit points of sections";
        for (rseq, named) in [
            (with(true, Some(0)), true),
            (with(true, Some(3)), false),
            (with(true, None), false),
            (with(false, Some(0)), false),
        ] {
            let advice = on(&facts("6.18.1", rseq));
            assert_eq!(about(&advice, missing).is_some(), named);
        }
    }

    #[test]
    fn one_cause_is_one_line() {
        let refused = Rseq {
            refused: Some(RegistrationError::NoSyscall),
            ..Rseq::default()
        };
        let advice = on(&facts("6.18.1", refused));
        assert!(about(&advice, "rseq").unwrap().remedy.contains("seccomp"));
        assert!(about(&advice, "mm_cid").is_none());
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        use RegistrationError::*;
        for why in [
            UnsupportedTarget,
            NoSyscall,
            Taken,
            ThreadNotRegistered,
            AreaTooSmall,
            NoThreadExit,
            Refused(1),
        ] {
            assert!(!unregistered(why).is_empty());
        }
    }

    #[test]
    fn releases() {
        assert_eq!(release("6.18.44-custom"), Some((6, 18)));
        assert_eq!(release("7.0-rc3"), Some((7, 0)));
        assert_eq!(release("unknown"), None);
        assert!(newer("6.18.44", (6, 3)).contains("CONFIG_RSEQ"));
        assert!(release("6.3.0") >= Some((6, 3)));
    }
}
