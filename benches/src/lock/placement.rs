//! Where the lock of an object stands.

use std::sync::atomic::AtomicU64;

use percid::ObjectLock;

use crate::suite::Fresh;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Objects whose addresses are looked at.
const LOOKED_AT: usize = 1024;

/// What is locked: as much as a small object has.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// What readers look at.
    pub(super) start: AtomicU64,
    #[allow(dead_code, reason = "what else an object has")]
    rest: [AtomicU64; 3],
}

/// Objects and their locks.
pub(super) trait Placement: Sized + Sync + 'static {
    /// As in records.
    const NAME: &'static str;

    /// So many objects.
    fn new(objects: usize) -> Self;

    /// An object and its lock.
    fn at(&self, number: usize) -> (&ObjectLock, &Body);
}

/// The implementation for the case `sharing`.
pub(super) const fn sharing<P: Placement>() -> Fresh {
    Fresh {
        name: P::NAME,
        measure: || {
            let placed = P::new(LOOKED_AT);
            let mut lines: Vec<usize> = (0..LOOKED_AT)
                .map(|number| std::ptr::from_ref(placed.at(number).0).addr() / LINE)
                .collect();
            lines.sort_unstable();
            lines.dedup();
            Ok(LOOKED_AT as f64 / lines.len() as f64)
        },
    }
}

/// An object of 48 bytes.
#[repr(C, align(16))]
#[derive(Default)]
struct Small {
    lock: ObjectLock,
    body: Body,
}

/// In the object, wherever that comes to stand.
pub(super) struct Embedded(Vec<Small>);

impl Placement for Embedded {
    const NAME: &'static str = "percid:embedded";

    fn new(objects: usize) -> Embedded {
        Embedded((0..objects).map(|_| Small::default()).collect())
    }

    #[inline(always)]
    fn at(&self, number: usize) -> (&ObjectLock, &Body) {
        (&self.0[number].lock, &self.0[number].body)
    }
}

/// An object on lines of its own.
#[repr(C, align(64))]
#[derive(Default)]
struct OnALine {
    lock: ObjectLock,
    body: Body,
}

/// In the object, which has lines of its own.
pub(super) struct Aligned(Vec<OnALine>);

impl Placement for Aligned {
    const NAME: &'static str = "percid:aligned";

    fn new(objects: usize) -> Aligned {
        Aligned((0..objects).map(|_| OnALine::default()).collect())
    }

    #[inline(always)]
    fn at(&self, number: usize) -> (&ObjectLock, &Body) {
        (&self.0[number].lock, &self.0[number].body)
    }
}

/// Allocated apart, close to each other.
pub(super) struct Apart {
    locks: Vec<ObjectLock>,
    bodies: Vec<Body>,
}

impl Placement for Apart {
    const NAME: &'static str = "percid:apart";

    fn new(objects: usize) -> Apart {
        Apart {
            locks: (0..objects).map(|_| ObjectLock::new()).collect(),
            bodies: (0..objects).map(|_| Body::default()).collect(),
        }
    }

    #[inline(always)]
    fn at(&self, number: usize) -> (&ObjectLock, &Body) {
        (&self.locks[number], &self.bodies[number])
    }
}

/// A lock on a line of its own.
#[repr(align(64))]
#[derive(Default)]
struct LockOnALine(ObjectLock);

/// Allocated apart, each on a line of its own.
pub(super) struct ApartAligned {
    locks: Vec<LockOnALine>,
    bodies: Vec<Body>,
}

impl Placement for ApartAligned {
    const NAME: &'static str = "percid:apart_aligned";

    fn new(objects: usize) -> ApartAligned {
        ApartAligned {
            locks: (0..objects).map(|_| LockOnALine::default()).collect(),
            bodies: (0..objects).map(|_| Body::default()).collect(),
        }
    }

    #[inline(always)]
    fn at(&self, number: usize) -> (&ObjectLock, &Body) {
        (&self.locks[number].0, &self.bodies[number])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many locks stand at each address modulo a line.
    fn histogram<P: Placement>(placed: &P, objects: usize) -> [usize; LINE] {
        let mut histogram = [0; LINE];
        for number in 0..objects {
            histogram[std::ptr::from_ref(placed.at(number).0).addr() % LINE] += 1;
        }
        histogram
    }

    /// The classes of addresses that have any, and how many each has.
    fn classes<P: Placement>() -> Vec<(usize, usize)> {
        let counts = histogram(&P::new(64), 64).into_iter().enumerate();
        counts.filter(|&(_, count)| count > 0).collect()
    }

    #[test]
    fn addresses_are_as_the_table_says() {
        assert_eq!(
            classes::<Embedded>(),
            [(0, 16), (16, 16), (32, 16), (48, 16)]
        );
        assert_eq!(classes::<Aligned>(), [(0, 64)]);
        let eighths: Vec<_> = (0..8).map(|it| (8 * it, 8)).collect();
        assert_eq!(classes::<Apart>(), eighths);
        assert_eq!(classes::<ApartAligned>(), [(0, 64)]);
    }
}
