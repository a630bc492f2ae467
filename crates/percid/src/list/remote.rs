//! What one thread does to the lists of all cids: take, and open again.

use core::ptr::NonNull;

use super::api::node_of;
use super::taken::Taken;
use super::words::{Stopped, Words, join};
use super::{Linked, List};
use crate::magazine::{Holding, RemoteError};
use crate::scope::Scope;

impl<T: Linked, S: Scope> List<T, S> {
    /// Takes the nodes of all cids, and the loose ones: all of those behind one fence.
    ///
    /// Dropping what was taken puts it on the current cid's list.
    ///
    /// # Errors
    ///
    /// See [`RemoteError`]: nothing was taken.
    pub fn drain(&self) -> Result<Taken<'_, T, S>, RemoteError> {
        let held = self.control.try_hold().ok_or(RemoteError::Busy)?;
        let taken = self.take(&held, |_| true)?;
        // SAFETY: two chains of nodes that were pushed here, and are this thread's.
        let first = unsafe { join(self.loose.take(), taken) };
        Ok(Taken::new(self, first))
    }

    /// The same for one cid, and without the loose nodes.
    ///
    /// # Errors
    ///
    /// As [`drain`](List::drain).
    pub fn drain_cid(&self, cid: u32) -> Result<Taken<'_, T, S>, RemoteError> {
        let held = self.control.try_hold().ok_or(RemoteError::Busy)?;
        let first = self.take(&held, |it| it.cid == Some(cid))?;
        Ok(Taken::new(self, first))
    }

    /// Takes the nodes of some cid that has any: one for the caller, the others for the
    /// current cid. For who has popped in vain, and would rather wait for a fence than go
    /// without.
    ///
    /// # Errors
    ///
    /// As [`drain`](List::drain).
    pub fn steal(&self) -> Result<Option<NonNull<T>>, RemoteError> {
        let mut taken = {
            let held = self.control.try_hold().ok_or(RemoteError::Busy)?;
            let mut found = false;
            let mut is_first = |it: &Words<'_>| {
                let first = !found && !it.is_empty();
                found |= first;
                first
            };
            let first = self.take(&held, &mut is_first)?;
            Taken::new(self, first)
        };
        Ok(taken.next().or_else(|| self.pop_loose().map(node_of)))
    }

    /// The chain of what some lists held. The order of steps is the one that the module
    /// states.
    fn take(
        &self,
        _held: &Holding<'_>,
        mut which: impl FnMut(&Words<'_>) -> bool,
    ) -> Result<u64, RemoteError> {
        let (mut stopped, mut chain) = (false, 0);
        for it in self.lists() {
            let wanted = which(&it);
            let found = match it.cid {
                // What was set aside or is stopped was left so by a holder whom only the
                // parent of a fork has.
                Some(_) => {
                    if wanted || it.is_stopped() {
                        it.stop();
                        stopped = true;
                    }
                    it.take_aside()
                }
                None if wanted => it.take_by_thread(),
                None => 0,
            };
            // SAFETY: chains of nodes that were pushed here, and are this thread's.
            chain = unsafe { join(found, chain) };
        }
        if !stopped {
            return Ok(chain);
        }
        // Where the kernel's fences abort nothing, nothing may be taken.
        let fenced = percid_cid::fence();
        let cids = || self.lists().filter(|it| it.cid.is_some());
        for it in cids().filter(Words::is_stopped) {
            if fenced.is_ok() {
                it.set_aside();
            }
            it.open();
        }
        for it in cids() {
            // SAFETY: as above.
            chain = unsafe { join(it.take_aside(), chain) };
        }
        match fenced {
            Ok(()) => Ok(chain),
            Err(why) => {
                self.give_back(chain);
                Err(RemoteError::NoFence(why))
            }
        }
    }

    /// In a child of `fork`: opens lists that were stopped by a thread that only the parent
    /// has; whether that may have been the current cid's.
    pub(super) fn open_left_ones(&self) -> bool {
        // SAFETY: one of the room's words.
        if unsafe { self.room.run(&Stopped) } == Ok(0) {
            return false;
        }
        // Who is at it in this process has control.
        let Some(_held) = self.control.try_hold() else {
            return false;
        };
        self.lists()
            .filter(|it| it.cid.is_some() && it.is_stopped())
            .for_each(|it| it.open());
        true
    }
}
