//! What the models of this crate have in common.

use core::fmt::Debug;
use core::hash::Hash;

use stateright::{Checker, HasDiscoveries, Model};

/// Visits every state of a world; the names of the properties that do not hold.
pub(crate) fn explore<M>(what: impl Debug, world: M) -> Vec<&'static str>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    let checker = world
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found: Vec<_> = checker.discoveries().into_keys().collect();
    println!(
        "{what:?}: {} states, {found:?}",
        checker.unique_state_count()
    );
    found
}

/// Fails unless each of these worlds, in which a rule is left out, breaks a property.
pub(crate) fn expect_found<F: Debug + Copy>(
    faults: &[F],
    explore: impl Fn(F) -> Vec<&'static str>,
) {
    for &fault in faults {
        assert!(
            !explore(fault).is_empty(),
            "{fault:?} passed: this model proves nothing"
        );
    }
}

/// Whether no thing is in two places; 0 is none.
pub(crate) fn each_once(places: impl IntoIterator<Item = u8>) -> bool {
    let mut things: Vec<u8> = places.into_iter().filter(|&thing| thing != 0).collect();
    things.sort_unstable();
    things.windows(2).all(|two| two[0] != two[1])
}

/// Whether each thing from 1 on is somewhere.
pub(crate) fn all_there(count: usize, places: impl IntoIterator<Item = u8>) -> bool {
    let places: Vec<u8> = places.into_iter().collect();
    (1..=count as u8).all(|thing| places.contains(&thing))
}
