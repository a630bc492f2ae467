//! Nodes that were taken from other cids.

use core::fmt;
use core::ptr::NonNull;

use super::api::{Linked, List, node_of};
use crate::scope::{Process, Scope};

/// Nodes that were taken from a [`List`], as an iterator. Those that are left when it is
/// dropped go to the list of the current cid.
pub struct Taken<'a, T: Linked, S: Scope = Process> {
    list: &'a List<T, S>,
    first: u64,
}

// SAFETY: the nodes are this one's alone, and go where it goes; the list is `Sync` then.
unsafe impl<T: Linked + Send, S: Scope> Send for Taken<'_, T, S> where List<T, S>: Sync {}
// SAFETY: a shared one gives nothing out.
unsafe impl<T: Linked + Send, S: Scope> Sync for Taken<'_, T, S> where List<T, S>: Sync {}

impl<'a, T: Linked, S: Scope> Taken<'a, T, S> {
    /// A chain of nodes that were pushed to the list and are the caller's.
    pub(super) fn new(list: &'a List<T, S>, first: u64) -> Taken<'a, T, S> {
        Taken { list, first }
    }
}

impl<T: Linked, S: Scope> Iterator for Taken<'_, T, S> {
    type Item = NonNull<T>;

    fn next(&mut self) -> Option<NonNull<T>> {
        let link = self.first;
        (link != 0).then(|| {
            // Before it is its user's.
            self.first = self.list.after(link);
            node_of(link)
        })
    }
}

impl<T: Linked, S: Scope> Drop for Taken<'_, T, S> {
    fn drop(&mut self) {
        self.list.give_back(core::mem::take(&mut self.first));
    }
}

impl<T: Linked, S: Scope> fmt::Debug for Taken<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken").finish_non_exhaustive()
    }
}
