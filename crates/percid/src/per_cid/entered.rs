//! What a thread is inside of, so that it does not wait for itself.

use core::cell::Cell;
use core::marker::PhantomPinned;
use core::ptr;

thread_local! {
    /// The innermost record. No destructor, so that it works in handlers and in destructors
    /// of other thread-locals.
    static INNERMOST: Cell<*const Entered> = const { Cell::new(ptr::null()) };
}

/// A record on the stack of a call.
pub(super) struct Entered {
    /// Of what.
    what: *const (),
    before: Cell<*const Entered>,
    _pinned: PhantomPinned,
}

/// Inside, until it is dropped.
pub(super) struct Inside<'a>(&'a Entered);

impl Entered {
    pub(super) fn new(what: *const ()) -> Entered {
        Entered {
            what,
            before: Cell::new(ptr::null()),
            _pinned: PhantomPinned,
        }
    }

    /// `None`: this thread is inside of it already.
    #[inline]
    pub(super) fn enter(&self) -> Option<Inside<'_>> {
        let innermost = INNERMOST.get();
        let mut next = innermost;
        while !next.is_null() {
            // SAFETY: records of calls that have not returned: each leaves before it ends,
            // the innermost first.
            let record = unsafe { &*next };
            if record.what == self.what {
                return None;
            }
            next = record.before.get();
        }
        // A handler between the two lines finds the chain as it was, and leaves it so.
        self.before.set(innermost);
        INNERMOST.set(self);
        Some(Inside(self))
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        INNERMOST.set(self.0.before.get());
    }
}
