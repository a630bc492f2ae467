//! The protocol as it is: nothing is found in any reachable state.

use super::super::protocol::Sound;
use super::config::{Config, Kernel};
use super::explore;

/// More than there are.
const OBJECTS: u32 = 8;

/// A batch waits until there are no handles, or it is too long.
const PARKS: Config = Config {
    handles: true,
    quiesce: OBJECTS,
    cpus: 1,
    ..Config::SMALL
};

/// On x86; the fence need not abort sections.
const DEPARTS: Config = Config {
    departs: true,
    buffers: true,
    kernel: Kernel::NoAbort,
    cpus: 1,
    ..Config::SMALL
};

const UPGRADES: Config = Config {
    upgrades: true,
    clears: true,
    empties: true,
    joins: true,
    calm: true,
    ..Config::SMALL
};

const SHARED: Config = Config {
    readers: 1,
    writers: 2,
    cpus: 1,
    shared: true,
    upgrades: true,
    joins: true,
    calm: true,
    ..Config::SMALL
};

fn holds(name: &str, config: Config) {
    let found = explore::<Sound>(name, config, 2);
    assert_eq!(found, None, "{name}");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn two_readers_and_a_store() {
    holds("two readers, one store", Config::SMALL.coarse());
}

/// The fence need not abort sections. What else it might do is what it may do here, too.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn two_readers_and_a_store_on_x86() {
    let config = Config {
        kernel: Kernel::NoAbort,
        buffers: true,
        ..Config::SMALL
    };
    holds("two readers, one store, buffers", config.coarse());
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn two_stores() {
    let config = Config {
        cpus: 1,
        stores: 2,
        ..Config::SMALL
    };
    holds("two readers of one cid, two stores", config.coarse());
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn two_cells() {
    let config = Config {
        cells: 2,
        ..Config::SMALL
    };
    holds("two cells", config.coarse());
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn several_ways() {
    let config = Config {
        ways: 2,
        cpus: 1,
        clears: true,
        ..Config::SMALL
    };
    holds("two ways of one stripe", config.coarse());
}

/// A batch waits for somebody else's fence.
#[test]
fn quiescing() {
    let config = Config {
        foreign: 2,
        quiesce: OBJECTS,
        stores: 2,
        readers: 1,
        cpus: 1,
        ..Config::SMALL
    };
    holds("quiescing", config.coarse());
}

/// A batch waits; when the last handle goes, whoever is left does the work.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn parked_work_is_done() {
    let config = Config { stores: 2, ..PARKS };
    holds("parked work, two readers", config.coarse());
}

#[test]
fn parked_work_of_two_is_done() {
    let config = Config {
        readers: 1,
        writers: 2,
        upgrades: true,
        ..PARKS
    };
    holds("parked work, two writers", config.coarse());
}

/// With a bound, and with a fence of somebody else.
#[test]
fn parked_work_is_bounded() {
    let config = Config {
        quiesce: 2,
        foreign: 1,
        stores: 3,
        readers: 1,
        ..PARKS
    };
    holds("parked work, bounded", config.coarse());
}

/// Leases are upgraded; what is counted is shown again, or given back.
#[test]
fn upgrades() {
    let config = Config {
        upgrades: true,
        clears: true,
        empties: true,
        cpus: 1,
        ..Config::SMALL
    };
    holds("upgrades", config.coarse());
}

/// Each look at a count and at what decides then is a step.
#[test]
fn upgrades_step_by_step() {
    let config = Config {
        readers: 1,
        cpus: 1,
        ..UPGRADES
    };
    holds("upgrades, each step", config);
}

/// Two show the same object.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn two_show_one() {
    holds("two show one object", SHARED);
}

#[test]
fn refused_fences() {
    let config = Config {
        refuses: true,
        cpus: 1,
        ..Config::SMALL
    };
    holds("refused fences", config.coarse());
}

#[test]
fn emptied_slots_and_cleared_bits() {
    let config = Config {
        empties: true,
        clears: true,
        cpus: 1,
        ..Config::SMALL
    };
    holds("emptied slots, cleared bits", config.coarse());
}

#[test]
fn without_the_filter() {
    let config = Config {
        readers: 1,
        cpus: 1,
        filter: false,
        batch: 2,
        loads: 2,
        stores: 3,
        ..Config::SMALL
    };
    holds("without the filter", config.coarse());
}

/// Slots that are touched no more once they are left.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn departures() {
    holds("departures, buffers", DEPARTS.coarse());
}

#[test]
#[ignore = "takes minutes: ci/checker.sh all"]
fn departures_from_two_cids() {
    let config = Config {
        cpus: 2,
        stores: 2,
        ..DEPARTS
    };
    holds("departures, two cids, buffers", config.coarse());
}

/// With every policy, and more than one shootdown.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn departures_and_emptied_slots() {
    let config = Config {
        departs: true,
        empties: true,
        clears: true,
        stores: 2,
        readers: 1,
        cpus: 1,
        ..Config::SMALL
    };
    holds("departures, emptied slots", config.coarse());
}

#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn departures_and_parked_work() {
    let config = Config {
        departs: true,
        stores: 2,
        foreign: 1,
        readers: 1,
        ..PARKS
    };
    holds("departures, parked work", config.coarse());
}

/// Values that nobody but their cell has ever had, each step of a miss by itself.
#[test]
#[cfg_attr(debug_assertions, ignore = "in release: ci/checker.sh")]
fn what_is_lent_is_looked_at() {
    let config = Config {
        stores: 2,
        cpus: 1,
        whole: false,
        ..Config::SMALL.coarse()
    };
    holds("lent, each step of a miss", config);
}

/// Every step by itself.
#[test]
#[ignore = "takes minutes: ci/checker.sh all"]
fn two_readers_and_a_store_step_by_step() {
    holds("two readers, one store, each step", Config::SMALL);
}

#[test]
#[ignore = "takes minutes: ci/checker.sh all"]
fn two_stores_to_two_cids() {
    let config = Config {
        stores: 2,
        ..Config::SMALL
    };
    holds("two readers, two stores", config.coarse());
}

#[test]
#[ignore = "takes minutes: ci/checker.sh all"]
fn several_ways_and_two_stores() {
    let config = Config {
        ways: 2,
        cpus: 1,
        clears: true,
        stores: 2,
        ..Config::SMALL
    };
    holds("two ways, two stores", config.coarse());
}

#[test]
#[ignore = "takes minutes: ci/checker.sh all"]
fn refused_fences_and_emptied_slots() {
    let config = Config {
        refuses: true,
        empties: true,
        clears: true,
        ..Config::SMALL
    };
    holds("refused fences, emptied slots", config.coarse());
}

#[test]
#[ignore = "takes minutes: ci/checker.sh all"]
fn quiescing_on_x86() {
    let config = Config {
        foreign: 2,
        quiesce: OBJECTS,
        stores: 2,
        cpus: 1,
        buffers: true,
        ..Config::SMALL
    };
    holds("quiescing, buffers", config.coarse());
}

#[test]
#[ignore = "takes minutes: ci/checker.sh all"]
fn two_loads() {
    let config = Config {
        loads: 2,
        ..Config::SMALL
    };
    holds("two loads each", config.coarse());
}

#[test]
#[ignore = "takes minutes: ci/checker.sh all"]
fn three_readers() {
    let config = Config {
        readers: 3,
        ..Config::SMALL
    };
    holds("three readers", config.coarse());
}

#[test]
#[ignore = "takes minutes: ci/checker.sh all"]
fn two_reclaimers() {
    let config = Config {
        writers: 2,
        ..Config::SMALL
    };
    holds("two reclaimers", config.coarse());
}

#[test]
#[ignore = "takes minutes: ci/checker.sh all"]
fn two_stores_on_x86() {
    let config = Config {
        buffers: true,
        stores: 2,
        ..Config::SMALL
    };
    holds("two readers, two stores, buffers", config.coarse());
}

/// Every policy, in two cells.
#[test]
#[ignore = "takes minutes: ci/checker.sh all"]
fn all_of_it() {
    let config = Config {
        cells: 2,
        clears: true,
        empties: true,
        filter: false,
        refuses: true,
        ..Config::SMALL
    };
    holds("all of it", config.coarse());
}
