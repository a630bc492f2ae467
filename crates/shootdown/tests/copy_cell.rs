//! What a cell of copies promises.

use std::sync::atomic::{AtomicU64, Ordering};

use percid_shootdown::CopyCell;

/// A value of any size that shows whether it is whole.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Whole<const N: usize>([u8; N]);

impl<const N: usize> Whole<N> {
    fn new(turn: u64) -> Whole<N> {
        Whole([turn as u8; N])
    }

    fn assert(self) {
        assert!(self.0.windows(2).all(|pair| pair[0] == pair[1]), "torn");
    }
}

fn reads_what_was_left<const N: usize>() {
    let cell = CopyCell::new(Whole::<N>::new(7));
    assert_eq!(cell.read(), Whole::new(7));
    assert_eq!(cell.replace(Whole::new(8)), Whole::new(7));
    assert_eq!(
        (cell.read(), cell.read_counted()),
        (Whole::new(8), Whole::new(8))
    );
    assert_eq!(cell.update(|_| Whole::new(9)), Whole::new(8));
    assert_eq!(cell.into_inner(), Whole::new(9));
}

#[test]
fn values_of_any_size() {
    reads_what_was_left::<0>();
    reads_what_was_left::<1>();
    reads_what_was_left::<5>();
    reads_what_was_left::<8>();
    reads_what_was_left::<12>();
    reads_what_was_left::<16>();
    reads_what_was_left::<77>();
    reads_what_was_left::<1000>();
}

#[test]
fn values_that_are_aligned() {
    #[derive(Clone, Copy)]
    #[repr(align(64))]
    struct Line(u8);
    let cell = CopyCell::new(Line(3));
    assert_eq!(cell.replace(Line(4)).0, 3);
    assert_eq!(cell.read().0, 4);
}

#[test]
fn references_stay_what_they_are() {
    static WORDS: [u64; 2] = [5, 6];
    let cell = CopyCell::new(&WORDS[0]);
    assert_eq!(*cell.read(), 5);
    cell.replace(&WORDS[1]);
    assert_eq!(*cell.read(), 6);
    let slices = CopyCell::new(&WORDS[..]);
    slices.replace(&WORDS[1..]);
    assert_eq!(slices.read(), [6]);
    let maybe = CopyCell::new(Some(&WORDS[0]));
    maybe.replace(None);
    assert_eq!(maybe.read(), None);
}

#[test]
fn no_update_is_lost() {
    let cell = CopyCell::new([0_u64; 3]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    cell.update(|[a, b, c]| [a + 1, b + 2, c + 3]);
                }
            });
        }
    });
    assert_eq!(cell.read(), [1000, 2000, 3000]);
}

#[test]
fn an_update_may_replace_and_may_panic() {
    let cell = CopyCell::new(1);
    let mut once = true;
    cell.update(|value| {
        if std::mem::take(&mut once) {
            cell.replace(10);
        }
        value + 1
    });
    assert_eq!(cell.read(), 11);
    let panicked = std::panic::catch_unwind(|| cell.update(|_| panic!("in an update")));
    assert!(panicked.is_err());
    assert_eq!(cell.replace(2), 11);
}

#[test]
fn readers_find_whole_values() {
    let small = CopyCell::new(Whole::<8>::new(0));
    let large = CopyCell::new(Whole::<200>::new(0));
    let writing = AtomicU64::new(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0..2_000 {
                small.replace(Whole::new(turn));
                large.replace(Whole::new(turn));
            }
            writing.store(0, Ordering::Release);
        });
        for reader in 0..3 {
            let (small, large, writing) = (&small, &large, &writing);
            scope.spawn(move || {
                while writing.load(Ordering::Acquire) > 0 {
                    if reader == 0 {
                        small.read_counted().assert();
                        large.read_counted().assert();
                    } else {
                        small.read().assert();
                        large.read().assert();
                    }
                }
            });
        }
    });
}
