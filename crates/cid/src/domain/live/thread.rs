//! What a thread remembers of domains: hints, and that it is in a slow path.
//!
//! A thread that can keep nothing has no ids either: it works on the fallback.

use alloc::boxed::Box;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::domain::protocol::Place;
use crate::local;

/// Domains that a thread remembers at a time, by number.
pub(crate) const REMEMBERED: usize = 4;

/// Where a thread was in a domain.
pub(crate) struct Remembered {
    /// Which one; 0: none.
    domain: AtomicU64,
    /// Where the thread last put or found an id: slot and id. All ones: nowhere.
    place: AtomicU64,
}

impl Remembered {
    #[cfg(feature = "std")]
    pub(crate) const fn new() -> Remembered {
        Remembered {
            domain: AtomicU64::new(0),
            place: AtomicU64::new(0),
        }
    }
}

// Ordering: Relaxed, all of them. Only this thread and its signal handlers look. What a
// handler leaves half-changed is a hint that leads nowhere.
fn with<T>(domain: u64, look: impl FnOnce(&Remembered) -> T) -> Option<T> {
    local::with(|local| {
        let memory = &local.remembered[domain as usize % REMEMBERED];
        if memory.domain.load(Ordering::Relaxed) != domain {
            memory.place.store(u64::MAX, Ordering::Relaxed);
            memory.domain.store(domain, Ordering::Relaxed);
        }
        look(memory)
    })
}

/// Where the thread last put or found an id of this domain.
pub(super) fn former(domain: u64) -> Option<Place> {
    let place = with(domain, |memory| memory.place.load(Ordering::Relaxed))?;
    (place != u64::MAX).then_some(Place {
        slot: (place >> 32) as u32,
        cid: place as u32,
    })
}

pub(super) fn remember(domain: u64, place: Place) {
    let place = u64::from(place.slot) << 32 | u64::from(place.cid);
    with(domain, |memory| {
        memory.place.store(place, Ordering::Relaxed)
    });
}

/// Runs a slow path, unless this thread is in one: then a signal handler has
/// interrupted it.
pub(super) fn alone<T>(work: impl FnOnce() -> T) -> Option<T> {
    struct Leave;

    impl Drop for Leave {
        fn drop(&mut self) {
            local::with(|local| local.inside.store(false, Ordering::Relaxed));
        }
    }

    if local::with(|local| local.inside.swap(true, Ordering::Relaxed)) != Some(false) {
        return None;
    }
    let _leave = Leave;
    Some(work())
}

/// That this thread has joined a domain: a link of the thread's list. Each change of
/// the list is one store, so a signal handler finds it whole.
pub(crate) struct Mark {
    domain: u64,
    /// Of the domain's ids, when it was counted; [`NOWHERE`]: it is not.
    counted: AtomicU32,
    next: AtomicPtr<Mark>,
}

/// No generation of a domain's ids.
pub(super) const NOWHERE: u32 = u32::MAX;

impl Mark {
    /// In which generation of the ids it was counted.
    pub(super) fn counted(&self) -> u32 {
        self.counted.load(Ordering::Relaxed)
    }
}

/// Says so, until the mark is taken off by the same thread; then it may be freed, as a box.
/// Until then it is reached by the list, too: so it is no box.
pub(super) fn mark_joined(domain: u64, counted: u32) -> NonNull<Mark> {
    let mark = NonNull::from(Box::leak(Box::new(Mark {
        domain,
        counted: AtomicU32::new(counted),
        next: AtomicPtr::new(ptr::null_mut()),
    })));
    local::with(|local| {
        let first = local.joined.load(Ordering::Relaxed);
        // SAFETY: made just now.
        unsafe { mark.as_ref() }
            .next
            .store(first, Ordering::Relaxed);
        local.joined.store(mark.as_ptr(), Ordering::Relaxed);
    });
    mark
}

/// Takes a mark off that this thread put on.
pub(super) fn unmark_joined(mark: &Mark) {
    local::with(|local| {
        let mut link = &local.joined;
        loop {
            let next = link.load(Ordering::Relaxed);
            if ptr::eq(next, mark) {
                return link.store(mark.next.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            // SAFETY: marks in the list are boxes whose owners take them off before
            // they go, or never go.
            match unsafe { next.as_ref() } {
                Some(mark) => link = &mark.next,
                None => return,
            }
        }
    });
}

/// Whether this thread has joined a domain.
pub(super) fn has_joined(domain: u64) -> bool {
    let mut joined = false;
    each_mark(domain, |_| joined = true);
    joined
}

/// Has this thread's marks of a domain count in a generation of its ids; how many of them
/// did not before, for they are of the process that this one was forked from.
pub(super) fn count_in(domain: u64, generation: u32) -> u32 {
    let mut new = 0;
    each_mark(domain, |mark| {
        new += u32::from(mark.counted.swap(generation, Ordering::Relaxed) != generation);
    });
    new
}

fn each_mark(domain: u64, mut look: impl FnMut(&Mark)) {
    local::with(|local| {
        let mut next = local.joined.load(Ordering::Relaxed);
        // SAFETY: as in `unmark_joined`.
        while let Some(mark) = unsafe { next.as_ref() } {
            if mark.domain == domain {
                look(mark);
            }
            next = mark.next.load(Ordering::Relaxed);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_remembers_the_last_of_each() {
        let place = |slot, cid| Place { slot, cid };
        assert_eq!(former(10), None);
        remember(10, place(3, 0));
        remember(11, place(4, 7));
        assert_eq!(former(10), Some(place(3, 0)));
        assert_eq!(former(11), Some(place(4, 7)));
        // A domain whose number falls in the same place.
        assert_eq!(former(10 + REMEMBERED as u64), None);
        assert_eq!(former(10), None);
    }

    #[test]
    fn marks_come_and_go_in_any_order() {
        // SAFETY: marks of this test, which are never freed.
        let mark = |domain, counted| unsafe { mark_joined(domain, counted).as_ref() };
        let (one, two) = (mark(21, 1), mark(22, 1));
        let again = mark(21, NOWHERE);
        assert!(has_joined(22) && !has_joined(23));
        assert_eq!(count_in(21, 1), 1);
        assert_eq!((count_in(21, 1), count_in(21, 2)), (0, 2));
        assert_eq!((one.counted(), two.counted()), (2, 1));
        unmark_joined(two);
        assert!(has_joined(21) && !has_joined(22));
        unmark_joined(one);
        assert!(has_joined(21));
        unmark_joined(again);
        assert!(!has_joined(21));
    }

    #[test]
    fn one_slow_path_at_a_time() {
        assert_eq!(alone(|| alone(|| ())), Some(None));
        assert_eq!(alone(|| 1), Some(1));
    }
}
