//! References: modes, misuse, and whatever happens to the threads that hold them.
#![cfg(all(target_os = "linux", not(loom)))]

mod hosts;
mod lives;
mod misuse;
mod storms;
#[path = "../support/mod.rs"]
mod support;
mod threads;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use percid::{Domain, Process, Ref, Scope, Source, backend};

/// Where references are counted.
trait Place: Scope {
    /// Whether they can be counted by cid here.
    fn has_sections() -> bool;
}

impl Place for Process {
    fn has_sections() -> bool {
        backend().source != Source::Thread && percid_cid::fences()
    }
}

impl Place for Domain {
    fn has_sections() -> bool {
        a_domain().source() == Source::Table
    }
}

fn a_domain() -> Domain {
    Domain::builder().build().expect("a domain")
}

/// A count that says how often it was released.
fn counted(releases: &AtomicU32) -> Ref<impl Fn()> {
    Ref::new(|| {
        releases.fetch_add(1, Ordering::Relaxed);
    })
}

/// The same in a domain of its own.
fn counted_in_domain(releases: &AtomicU32) -> Ref<impl Fn(), Domain> {
    let release = || {
        releases.fetch_add(1, Ordering::Relaxed);
    };
    Ref::in_domain(&a_domain(), release).expect("memory")
}

/// Each of these with a count of the process, and with one in a domain.
macro_rules! in_both {
    ($($test:ident),* $(,)?) => {
        mod process {$(
            #[test]
            fn $test() {
                let releases = std::sync::atomic::AtomicU32::new(0);
                super::$test(&crate::counted(&releases), &releases);
            }
        )*}

        mod domain {$(
            #[test]
            fn $test() {
                let releases = std::sync::atomic::AtomicU32::new(0);
                super::$test(&crate::counted_in_domain(&releases), &releases);
            }
        )*}
    };
}
use in_both;

fn times(releases: &AtomicU32) -> u32 {
    releases.load(Ordering::Relaxed)
}

/// The message of a panic that is expected.
fn panics(work: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(work)).expect_err("no panic");
    match panic.downcast::<&str>() {
        Ok(text) => text.to_string(),
        Err(panic) => *panic.downcast::<String>().expect("a message"),
    }
}
