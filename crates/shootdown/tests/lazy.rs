//! Lazy references: when drop runs, what a lease holds, what each policy saves.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use percid_shootdown::lazy::{LazyCell, LazyDomain, Lease, Policy, Saved, Shared, in_handler};

/// Counts its drops.
struct Counted(u64, Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// A domain, and what counts drops in it.
struct Fixture {
    domain: LazyDomain,
    drops: Arc<AtomicUsize>,
}

impl Fixture {
    fn new(policy: Policy) -> Fixture {
        Fixture {
            domain: LazyDomain::new(policy.check(true)),
            drops: Arc::default(),
        }
    }

    fn value(&self, value: u64) -> Shared<Counted> {
        self.domain.share(Counted(value, Arc::clone(&self.drops)))
    }

    fn cell(&self, value: u64) -> LazyCell<Counted> {
        LazyCell::from_shared(self.value(value))
    }

    fn drops(&self) -> usize {
        self.drops.load(Ordering::Relaxed)
    }
}

#[test]
fn a_replaced_value_is_dropped_before_store_returns() {
    let all = Fixture::new(Policy::new());
    let cell = all.cell(1);
    assert_eq!(cell.load().0, 1);
    cell.store(all.value(2));
    assert_eq!(all.drops(), 1);
    assert_eq!(cell.load().0, 2);
    drop(cell);
    assert_eq!(all.drops(), 2);
    assert_eq!(all.domain.stats().freed, 2);
}

#[test]
fn a_lease_holds_its_value_and_nothing_else() {
    let all = Fixture::new(Policy::new());
    let cell = all.cell(1);
    let lease = cell.load();
    for value in 2..100 {
        cell.store(all.value(value));
    }
    // All but the first and the last.
    assert_eq!((all.drops(), lease.0), (97, 1));
    drop(lease);
    assert_eq!(all.drops(), 98);
}

#[test]
fn leases_nest() {
    let all = Fixture::new(Policy::new());
    let cell = all.cell(1);
    let leases: Vec<Lease<Counted>> = (0..20).map(|_| cell.load()).collect();
    cell.store(all.value(2));
    let others: Vec<Lease<Counted>> = (0..20).map(|_| cell.load()).collect();
    assert!(leases.iter().all(|lease| lease.0 == 1));
    assert!(others.iter().all(|lease| lease.0 == 2));
    assert_eq!(all.drops(), 0);
    drop(leases);
    assert_eq!(all.drops(), 1);
    drop((cell, others));
    assert_eq!(all.drops(), 2);
}

#[test]
fn a_lease_is_dropped_by_another_thread() {
    let all = Fixture::new(Policy::new());
    let cell = all.cell(1);
    let (sender, receiver) = mpsc::channel::<Lease<Counted>>();
    std::thread::scope(|scope| {
        scope.spawn(move || receiver.into_iter().for_each(drop));
        for value in 0..1_000 {
            assert!(sender.send(cell.load()).is_ok());
            if value % 10 == 0 {
                cell.store(all.value(value));
            }
        }
        drop(sender);
    });
    all.domain.flush();
    assert_eq!(all.drops(), 100);
}

#[test]
fn the_last_shared_that_no_slot_holds_makes_no_barrier() {
    let all = Fixture::new(Policy::new());
    drop(all.value(1));
    let cell = all.cell(2);
    cell.store(all.value(3));
    let stats = all.domain.stats();
    assert_eq!((all.drops(), stats.never_cached, stats.barriers), (2, 2, 0));
}

#[test]
fn shared_is_counted() {
    let all = Fixture::new(Policy::new());
    let one = all.value(1);
    let two = one.clone();
    assert!(Shared::ptr_eq(&one, &two));
    drop(one);
    assert_eq!((two.0, all.drops()), (1, 0));
    drop(two);
    assert_eq!(all.drops(), 1);
}

/// A cell takes one reference over, not those of others.
#[test]
fn a_value_outlives_its_cells_while_somebody_counts() {
    let all = Fixture::new(Policy::new());
    let kept = all.value(1);
    let cells = [(); 2].map(|()| LazyCell::from_shared(kept.clone()));
    drop(cells);
    assert_eq!((kept.0, all.drops()), (1, 0));
    // Nor where cells have had it before.
    drop(LazyCell::from_shared(kept.clone()));
    assert_eq!((kept.0, all.drops()), (1, 0));
    drop(LazyCell::from_shared(kept));
    assert_eq!(all.drops(), 1);
}

#[test]
fn a_lease_is_upgraded_while_somebody_counts() {
    let all = Fixture::new(Policy::new());
    let cell = all.cell(1);
    let lease = cell.load();
    let shared = Lease::upgrade(&lease).expect("the cell counts");
    cell.store(all.value(2));
    drop((lease, shared));
    assert_eq!(all.drops(), 1);
    let lease = cell.load();
    if !Lease::is_counted(&lease) {
        cell.store(all.value(3));
        assert!(Lease::upgrade(&lease).is_none(), "its count was zero");
    }
}

#[test]
fn swap_and_compare() {
    let all = Fixture::new(Policy::new());
    let cell = all.cell(1);
    let one = cell.swap(all.value(2));
    assert_eq!((one.0, all.drops()), (1, 0));
    let Err(three) = cell.compare_and_swap(&one, all.value(3)) else {
        panic!("the cell holds 2");
    };
    let two = cell.load();
    let old = cell.compare_and_swap(&two, three).ok().expect("it holds 2");
    assert_eq!((old.0, cell.load().0, all.drops()), (2, 3, 0));
    drop((one, two, old));
    assert_eq!(all.drops(), 2);
}

#[test]
fn rcu_loses_no_update() {
    let domain = LazyDomain::new(Policy::new());
    let cell = domain.cell(0_u64);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..500).for_each(|_| drop(cell.rcu(|value| value + 1))));
        }
    });
    assert_eq!(*cell.load(), 1_500);
    // A panic changes nothing.
    let update = std::panic::AssertUnwindSafe(|| cell.rcu(|_| panic!("no value")));
    assert!(std::panic::catch_unwind(update).is_err());
    assert_eq!(*cell.load(), 1_500);
    drop(cell);
    let stats = domain.stats();
    assert_eq!(stats.made, stats.freed);
}

#[test]
fn a_value_of_another_domain_is_refused() {
    let (one, other) = (Fixture::new(Policy::new()), Fixture::new(Policy::new()));
    let cell = one.cell(1);
    let store = std::panic::AssertUnwindSafe(|| cell.store(other.value(2)));
    assert!(std::panic::catch_unwind(store).is_err());
    assert_eq!((cell.load().0, other.drops()), (1, 1));
}

/// Gives up another value when it is dropped, and that one another.
struct Chain(
    #[allow(dead_code, reason = "dropped")] Option<Shared<Chain>>,
    Arc<AtomicUsize>,
);

impl Drop for Chain {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_destructor_that_gives_up_others_does_not_nest() {
    const LENGTH: usize = 50_000;
    let domain = LazyDomain::new(Policy::new());
    let drops = Arc::new(AtomicUsize::new(0));
    let mut chain = None;
    for _ in 0..LENGTH {
        chain = Some(domain.share(Chain(chain, Arc::clone(&drops))));
    }
    drop(chain);
    assert_eq!(drops.load(Ordering::Relaxed), LENGTH);
}

/// Panics in its drop.
struct Bomb(bool, Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
        assert!(!self.0, "in drop");
    }
}

#[test]
fn a_destructor_that_panics_holds_nothing_up() {
    let domain = LazyDomain::new(Policy::new().batch(4));
    let drops = Arc::new(AtomicUsize::new(0));
    let cells: Vec<_> = (0..3)
        .map(|bomb| domain.cell(Bomb(bomb == 1, Arc::clone(&drops))))
        .collect();
    for cell in &cells {
        drop(cell.load());
    }
    let all = std::panic::AssertUnwindSafe(|| {
        drop(cells);
        domain.flush();
    });
    assert!(std::panic::catch_unwind(all).is_err());
    domain.flush();
    assert_eq!(drops.load(Ordering::Relaxed), 3);
}

#[test]
fn nothing_is_dropped_in_a_handler() {
    let all = Fixture::new(Policy::new());
    let cell = all.cell(1);
    drop(cell.load());
    let next = all.value(2);
    in_handler(|| {
        cell.store(next);
        assert_eq!(cell.load().0, 2);
    });
    assert_eq!(all.drops(), 0);
    all.domain.flush();
    assert_eq!(all.drops(), 1);
}

#[test]
fn a_batch_shares_a_fence() {
    const BATCH: u32 = 8;
    let all = Fixture::new(Policy::new().batch(BATCH));
    let cells: Vec<_> = (0..u64::from(BATCH)).map(|value| all.cell(value)).collect();
    let leases: Vec<_> = cells.iter().map(LazyCell::load).collect();
    // Leases that are counted give their value up when they end.
    let held = leases
        .iter()
        .filter(|lease| !Lease::is_counted(lease))
        .count();
    drop(leases);
    for (turn, cell) in cells.iter().enumerate() {
        cell.store(all.value(100));
        if turn + 1 < held {
            assert_eq!(all.drops(), 0, "before the batch is full");
        }
    }
    all.domain.flush();
    assert_eq!(all.drops(), BATCH as usize);
    let stats = all.domain.stats();
    if all.domain.caches() {
        assert!(stats.barriers <= 2, "{stats:?}");
        let saved = stats.saved_by_batch.barriers;
        assert!(saved > 0 && stats.saved_by_batch.visits == 0, "{stats:?}");
        assert_eq!(stats.asked, stats.barriers + saved, "{stats:?}");
    }
}

/// The next value goes into the slot of the former one, which is in nobody's way then.
#[test]
fn the_filter_saves_fences() {
    let all = Fixture::new(Policy::new().clear_bits(false));
    let (cell, other) = (all.cell(1), all.cell(2));
    // Four ways: the fifth cell shares that of the first.
    let fifth = [all.cell(3), all.cell(4), all.cell(5)]
        .into_iter()
        .last()
        .unwrap();
    drop((cell.load(), other.load()));
    let kept = all.value(9);
    let before = cell.swap(kept.clone());
    drop(cell.load());
    drop(fifth.load());
    // Its slot, if the threads's cid is still the same, holds the fifth's value or `kept`.
    drop(before);
    assert_eq!(all.drops(), 3);
    let stats = all.domain.stats();
    assert!(!all.domain.caches() || stats.visits > 0, "{stats:?}");
}

#[test]
fn who_leaves_switches_away() {
    let all = Fixture::new(Policy::new().switch_away(true));
    let cell = all.cell(1);
    let lease = cell.load();
    // Counted elsewhere, so that it does not die under the lease.
    let old = cell.swap(all.value(2));
    let cached = !Lease::is_counted(&lease);
    drop(lease);
    let saved = || all.domain.stats().saved_by_switch_away;
    assert_eq!((saved().visits, saved().barriers), (u64::from(cached), 0));
    let before = all.domain.stats().barriers;
    drop(old);
    assert_eq!((all.drops(), all.domain.stats().barriers), (1, before));
    // No slot is left that may hold it.
    assert_eq!(saved().barriers, u64::from(cached));
    assert_eq!(all.domain.stats().saved_by_clear_bits, Saved::default());
}

/// An object has left its cell, but its slot is used for another one: nobody emptied it.
#[test]
fn what_clearing_bits_saves_is_not_saved_by_switching_away() {
    let all = Fixture::new(Policy::new().switch_away(true));
    // Four ways: the fifth cell shares that of the first.
    let cells: Vec<_> = (0..5).map(|value| all.cell(value)).collect();
    drop(cells[0].load());
    let old = cells[0].swap(all.value(9));
    drop(cells[4].load());
    drop(old);
    assert_eq!(all.domain.stats().saved_by_switch_away, Saved::default());
}

/// Each object that is shot down asks for a fence, or a way has saved it; and so in all.
#[test]
fn what_each_way_saves_is_counted() {
    const VALUES: u64 = 200;
    let ways = [
        Policy::new().filter(false).clear_bits(false),
        Policy::new().filter(true).clear_bits(false),
        Policy::new().filter(false).clear_bits(true),
        Policy::new()
            .filter(false)
            .clear_bits(false)
            .switch_away(true),
        Policy::new().filter(false).clear_bits(false).batch(8),
        Policy::new().filter(false).clear_bits(false).quiesce(8),
    ];
    for (way, policy) in ways.into_iter().enumerate() {
        let all = Fixture::new(policy);
        // More than there are ways of a stripe, so that slots are used for others.
        let cells: Vec<_> = (0..8).map(|value| all.cell(value)).collect();
        for value in 0..VALUES {
            let cell = &cells[value as usize % cells.len()];
            let lease = cell.load();
            let old = cell.swap(all.value(value));
            drop(lease);
            drop(old);
        }
        drop(cells);
        all.domain.flush();
        assert_eq!(all.drops() as u64, VALUES + 8);
        let stats = all.domain.stats();
        let saved = [
            stats.saved_by_filter,
            stats.saved_by_clear_bits,
            stats.saved_by_switch_away,
            stats.saved_by_batch,
            stats.saved_by_quiesce,
        ];
        let shared = stats.saved_by_batch.barriers + stats.saved_by_quiesce.barriers;
        assert_eq!(stats.asked, stats.barriers + shared, "{way}: {stats:?}");
        let spared: u64 = saved[..3].iter().map(|saved| saved.barriers).sum();
        let all_of_them = stats.never_cached + spared + stats.asked;
        assert_eq!(all_of_them, stats.freed, "{way}: {stats:?}");
        // What is off saves nothing.
        for (number, saved) in saved.into_iter().enumerate() {
            let is_on = way == number + 1;
            // Where nobody else makes a fence, quiescing is batching.
            let is_batch = way == 5 && number == 3;
            assert!(
                is_on || is_batch || saved == Saved::default(),
                "{way}: {stats:?}"
            );
            // How often the thread changes its cid is the scheduler's affair.
            let saves = |what: u64| !is_on || !all.domain.caches() || what > 0;
            match number {
                2 => assert!(saves(saved.barriers) && saves(saved.visits), "{stats:?}"),
                3 => assert!(saves(saved.barriers), "{stats:?}"),
                _ => {}
            }
        }
    }
}

#[test]
fn every_policy_frees_everything() {
    for bits in 0..16_u32 {
        let is = |bit: u32| bits >> bit & 1 == 1;
        let policy = Policy::new()
            .batch(if is(0) { 7 } else { 1 })
            .filter(is(1))
            .clear_bits(is(2))
            .switch_away(is(3));
        let all = Fixture::new(policy);
        let cells = [all.cell(0), all.cell(1)];
        let sum = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for reader in 0..2 {
                let (cells, sum) = (&cells, &sum);
                scope.spawn(move || {
                    for turn in 0..2_000 {
                        let lease = cells[(turn + reader) % 2].load();
                        sum.fetch_add(lease.0, Ordering::Relaxed);
                    }
                });
            }
            for turn in 0..300 {
                cells[turn % 2].store(all.value(turn as u64));
            }
        });
        drop(cells);
        all.domain.flush();
        assert_eq!(all.drops(), 302, "policy {bits:04b}");
        let stats = all.domain.stats();
        assert_eq!((stats.made, stats.freed), (302, 302), "{stats:?}");
    }
}

/// A reader that sleeps holds nothing back: what its cid has cached is idle.
#[test]
fn a_reader_that_sleeps_holds_nothing() {
    let all = Fixture::new(Policy::new());
    let cell = all.cell(1);
    let (asleep, waits) = mpsc::channel::<()>();
    let (wake, sleeps) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let reads = &cell;
        scope.spawn(move || {
            drop(reads.load());
            asleep.send(()).unwrap();
            let _ = sleeps.recv();
        });
        waits.recv().unwrap();
        cell.store(all.value(2));
        let drops = all.drops();
        drop(wake);
        assert_eq!(drops, 1);
    });
}

#[test]
fn a_forgotten_lease_pins_its_own_value_only() {
    // Neither is its domain: it is leaked with it.
    let all = Fixture::new(Policy::new());
    let cell = all.cell(1);
    std::mem::forget(cell.load());
    for value in 2..50 {
        cell.store(all.value(value));
        drop(cell.load());
    }
    assert_eq!(all.drops(), 47);
}

#[test]
fn cells_of_the_process() {
    let cell = LazyCell::new(String::from("one"));
    let old = cell.swap(Shared::new(String::from("two")));
    assert_eq!((old.as_str(), cell.load().as_str()), ("one", "two"));
    assert_eq!(format!("{cell:?} {old:?}"), "LazyCell(\"two\") \"one\"");
}

#[test]
fn values_of_any_shape() {
    #[repr(align(256))]
    struct Wide(u8);
    let domain = LazyDomain::new(Policy::new().check(true));
    let (wide, none, vec) = (
        domain.cell(Wide(7)),
        domain.cell(()),
        domain.cell(vec![1; 100]),
    );
    assert_eq!(wide.load().0, 7);
    assert!(std::ptr::from_ref(&*wide.load()).addr().is_multiple_of(256));
    let () = *none.load();
    assert_eq!(vec.load().len(), 100);
    wide.store(domain.share(Wide(8)));
    none.store(domain.share(()));
    assert_eq!(wide.load().0, 8);
}

/// Lengths that lie on both sides of what is of pools, however a value ends: unseen, read,
/// counted, taken out, in a handler, or together with what it holds.
#[test]
fn values_of_any_length_are_dropped_once() {
    struct Long<const N: usize>(Counted, [u8; N]);

    fn ends<const N: usize>() {
        let all = Fixture::new(Policy::new());
        let value = || {
            let counted = Counted(N as u64, Arc::clone(&all.drops));
            all.domain.share(Long::<N>(counted, [7; N]))
        };
        let whole = |long: &Long<N>| long.0.0 == N as u64 && long.1 == [7; N];
        let cell = LazyCell::from_shared(value());
        cell.store(value());
        assert_eq!(all.drops(), 1, "unseen");
        assert!(whole(&cell.load()));
        cell.store(value());
        assert_eq!(all.drops(), 2, "read");
        let counted = cell.load_counted();
        cell.store(value());
        assert!(all.drops() == 2 && whole(&counted));
        drop(counted);
        let taken = cell.swap(value());
        assert!(all.drops() == 3 && whole(&taken));
        // Shown before, so not the cell's alone.
        cell.store(taken);
        in_handler(|| cell.store(value()));
        let before = all.drops();
        all.domain.flush();
        assert_eq!((before, all.drops()), (4, 5), "in a handler");
        in_handler(|| cell.store(value()));
        cell.store(value());
        assert_eq!(all.drops(), 7, "after a handler");
        let other = value();
        let current = cell.load();
        let refused = cell
            .compare_and_swap(&other, value())
            .err()
            .expect("not there");
        cell.store(refused);
        drop(current);
        assert_eq!(all.drops(), 8);
        drop((cell, other));
        assert_eq!(all.drops(), 10);
    }
    ends::<0>();
    ends::<48>();
    ends::<56>();
    ends::<57>();
    ends::<300>();
}
