//! Every reachable state of small domains, and mutants that must be found.
mod model;
mod state;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use self::model::{Action, Config, Domain};
use super::Rules;

fn explore<R: Rules, const BATCH: usize>(name: &str, config: Config, threads: usize) -> bool {
    let begun = Instant::now();
    let checker = Domain::<R, BATCH>::new(config)
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let discoveries = checker.discoveries();
    println!(
        "{name}: {} states, {} steps, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64(),
    );
    for (property, path) in discoveries.iter() {
        println!("  found {property}");
        let model = checker.model();
        for (state, action) in path.clone().into_vec() {
            let request = match action {
                Some(Action::Step(thread, _)) => model.request(&state, thread),
                _ => None,
            };
            println!("    {state:?}   {action:?} {request:?}");
        }
    }
    discoveries.is_empty()
}

#[test]
fn tries() {
    use super::Sound;
    let c = Config::SMALL;
    assert!(explore::<Sound, 1>(
        "bound1 1s",
        Config { bound: 1, ..c },
        2
    ));
    assert!(explore::<Sound, 1>("small 1s", c, 2));
    assert!(explore::<Sound, 1>(
        "small 1s alike off",
        Config { alike: false, ..c },
        2
    ));
    assert!(explore::<Sound, 1>(
        "bound1 2s",
        Config {
            bound: 1,
            scanners: 2,
            ..c
        },
        2
    ));
    assert!(explore::<Sound, 1>(
        "bound1 1s counts",
        Config {
            bound: 1,
            counts: true,
            ..c
        },
        2
    ));
    assert!(explore::<Sound, 1>(
        "bound1 1s hand",
        Config {
            bound: 1,
            handover: true,
            ..c
        },
        2
    ));
    assert!(explore::<Sound, 1>(
        "0s leaver",
        Config {
            scanners: 0,
            leavers: 1,
            ..c
        },
        2
    ));
    assert!(explore::<Sound, 1>(
        "bound1 1s forks",
        Config {
            bound: 1,
            forks: true,
            ..c
        },
        2
    ));
    assert!(explore::<Sound, 1>(
        "bound1 1s loose",
        Config {
            bound: 1,
            loose: true,
            ..c
        },
        2
    ));
    assert!(explore::<Sound, 2>(
        "bound1 1s whole",
        Config {
            bound: 1,
            whole: true,
            ..c
        },
        2
    ));
}
