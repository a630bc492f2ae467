//! A thread that reclaims, on request.

use core::fmt;
use core::ops::Deref;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use percid::Scope;

use super::ReclaimDomain;

/// A thread that flushes a domain every so often: with it, *drop runs within about two such
/// periods of the last reader's leaving*, also where nobody retires any more.
///
/// No domain has one unless it is asked for. It stops when this is dropped, which waits for
/// it, unless it drops this itself: in a destructor of what was retired.
///
/// ```
/// use std::time::Duration;
/// use percid_shootdown::{ReclaimDomain, Reclaimer};
///
/// static DOMAIN: ReclaimDomain = ReclaimDomain::new();
/// let reclaimer = Reclaimer::start(&DOMAIN, Duration::from_millis(10))?;
/// // ... everything that is retired meanwhile is destroyed in time ...
/// drop(reclaimer);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// A destructor that panics ends the thread; the panic goes on where this is dropped,
/// unless that thread is panicking itself.
///
/// # Fork and signals
///
/// A child of `fork` has no such thread, and dropping this there does nothing.
#[must_use = "it stops when it is dropped"]
pub struct Reclaimer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    generation: u32,
}

impl Reclaimer {
    /// Starts one: `domain` is a `&'static ReclaimDomain`, an `Arc` of one, or the like.
    ///
    /// # Errors
    ///
    /// If the system refuses the thread.
    pub fn start<D, S>(domain: D, period: Duration) -> io::Result<Reclaimer>
    where
        D: Deref<Target = ReclaimDomain<S>> + Send + 'static,
        S: Scope,
    {
        let (stop, stopped) = mpsc::channel();
        let thread = Builder::new()
            .name("percid-reclaimer".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                    domain.flush();
                }
            })?;
        Ok(Reclaimer {
            stop: Some(stop),
            thread: Some(thread),
            generation: percid_rseq::generation(),
        })
    }
}

impl Drop for Reclaimer {
    fn drop(&mut self) {
        if self.generation != percid_rseq::generation() {
            // The thread is the parent's, and so is what they share.
            core::mem::forget(self.stop.take());
            core::mem::forget(self.thread.take());
            return;
        }
        drop(self.stop.take());
        let thread = self.thread.take();
        // In a destructor that it runs itself, it is not to wait for itself.
        let another = thread.filter(|thread| thread.thread().id() != std::thread::current().id());
        if let Some(Err(panic)) = another.map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl fmt::Debug for Reclaimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reclaimer").finish_non_exhaustive()
    }
}
