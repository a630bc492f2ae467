//! `percid bench compare`: what became slower from one run to another.
//!
//! A figure that belongs to percid has regressed if
//!
//! - its median grew by more than the threshold;
//! - its least grew by as much: load makes repetitions slower, seldom all of them;
//! - the middle halves of the repetitions do not even touch;
//! - it grew by more than the threshold beside every peer of the same case, with as
//!   many threads: what grew alike is the machine.
//!
//! So on a machine with other load little is found, and on a quiet one as much as the
//! threshold says.

use std::collections::HashMap;

use comfy_table::{CellAlignment, Table, presets};
use percid_benches::machine::Machine;
use percid_benches::record::{Figure, Record};

use crate::args::Compare;
use crate::error::Error;
use crate::exit::Exit;
use crate::measure::note;
use crate::output::Output;
use crate::{source, table};

/// Of a figure, from one run to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Within the threshold.
    Same,
    /// Beyond it, but no more than repetitions vary.
    Noise,
    /// Beyond it, but so are the peers.
    Machine,
    Better,
    /// Of percid's own.
    Worse,
    /// A peer that grew: nothing of ours.
    Peer,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Verdict::Same => "same",
            Verdict::Noise => "within the spread",
            Verdict::Machine => "peers changed alike",
            Verdict::Better => "better",
            Verdict::Worse => "WORSE",
            Verdict::Peer => "peer",
        }
    }
}

/// A figure that both runs have.
struct Pair<'a> {
    before: &'a Figure,
    after: &'a Figure,
    /// By how much the peers of its case changed: that which grew least, and most.
    peers: [f64; 2],
}

impl Pair<'_> {
    /// Of the medians; grows if it became slower.
    fn ratio(&self) -> f64 {
        ratio(self.before.median, self.after.median)
    }

    fn verdict(&self, threshold: f64) -> Verdict {
        let (before, after) = (self.before, self.after);
        let grew = |ratio: f64| ratio > 1.0 + threshold;
        let shrank = |ratio: f64| ratio * (1.0 + threshold) < 1.0;
        let (median, least) = (self.ratio(), ratio(before.min, after.min));
        let [slowed_least, slowed_most] = self.peers;
        if !grew(median) && !shrank(median) {
            Verdict::Same
        } else if !before.is_own() {
            Verdict::Peer
        } else if grew(median) {
            if !grew(least) || !before.is_clearly_below(after) {
                Verdict::Noise
            } else if grew(median / slowed_most) {
                Verdict::Worse
            } else {
                Verdict::Machine
            }
        } else if !shrank(least) || !after.is_clearly_below(before) {
            Verdict::Noise
        } else if shrank(median / slowed_least) {
            Verdict::Better
        } else {
            Verdict::Machine
        }
    }
}

fn ratio(before: f64, after: f64) -> f64 {
    if before == after {
        1.0
    } else if before > 0.0 {
        after / before
    } else {
        f64::INFINITY
    }
}

/// What both have, with how the peers changed; and how many only one has.
fn pairs<'a>(before: &'a Record, after: &'a Record) -> (Vec<Pair<'a>>, usize, usize) {
    fn key(figure: &Figure) -> (&str, &str, &str, usize, &str) {
        (
            &figure.suite,
            &figure.case,
            &figure.implementation,
            figure.threads,
            &figure.unit,
        )
    }
    fn field(figure: &Figure) -> (&str, &str, usize) {
        (&figure.suite, &figure.case, figure.threads)
    }
    let by_key: HashMap<_, &Figure> = after.cases.iter().map(|one| (key(one), one)).collect();
    let both: Vec<(&Figure, &Figure)> = before
        .cases
        .iter()
        .filter_map(|one| Some((one, *by_key.get(&key(one))?)))
        .collect();
    let mut peers: HashMap<(&str, &str, usize), [f64; 2]> = HashMap::new();
    for (one, other) in &both {
        let ratio = ratio(one.median, other.median);
        if !one.is_own() && ratio.is_finite() && ratio > 0.0 {
            let [least, most] = peers.entry(field(one)).or_insert([ratio; 2]);
            (*least, *most) = (least.min(ratio), most.max(ratio));
        }
    }
    let gone = before.cases.len() - both.len();
    let new = after.cases.len() - both.len();
    let pairs = both.into_iter().map(|(before, after)| Pair {
        peers: peers.get(&field(before)).copied().unwrap_or([1.0; 2]),
        before,
        after,
    });
    (pairs.collect(), gone, new)
}

pub(super) fn run(arguments: &Compare, output: &mut Output) -> Result<Exit, Error> {
    let before = source::read(&arguments.before)?;
    let after = source::read(&arguments.after)?;
    if let Some(differ) = other_machine(&before.machine, &after.machine) {
        note(&format!(
            "these runs are of different machines or builds ({differ}): ratios of medians \
             mean little, what peers did not do alike a little more"
        ));
    }
    let (pairs, gone, new) = pairs(&before, &after);
    if pairs.is_empty() {
        return Err(Error::NothingInCommon {
            before: arguments.before.clone(),
            after: arguments.after.clone(),
        });
    }
    let threshold = arguments.threshold / 100.0;
    let judged = pairs.iter().map(|pair| (pair, pair.verdict(threshold)));
    let judged: Vec<(&Pair<'_>, Verdict)> = judged.collect();
    let count = |wanted| {
        judged
            .iter()
            .filter(|(_, verdict)| *verdict == wanted)
            .count()
    };
    let shown: Vec<_> = judged
        .iter()
        .filter(|(_, verdict)| arguments.all || !matches!(verdict, Verdict::Same | Verdict::Peer))
        .collect();
    if !shown.is_empty() {
        output.write(&rows(&shown))?;
    }
    let worse = count(Verdict::Worse);
    let (moved, all) = peers_moved(&pairs, threshold);
    if moved * 5 > all {
        note(&format!(
            "{moved} of {all} figures of peers changed by more than {} %, too: other work \
             disturbed one of the runs; measure on a machine that does nothing else",
            arguments.threshold
        ));
    }
    let peers = judged.iter().filter(|(pair, _)| !pair.before.is_own());
    output.write(&format!(
        "{} figures in both runs, {} of percid and {} of peers; {gone} only before, {new} only after\n",
        pairs.len(),
        pairs.len() - peers.clone().count(),
        peers.count(),
    ))?;
    let said = format!(
        "{worse} of percid worse by more than {} %, {} better, {} within the spread, {} as their peers",
        arguments.threshold,
        count(Verdict::Better),
        count(Verdict::Noise),
        count(Verdict::Machine),
    );
    let said = match worse {
        0 => output.good(&said),
        _ => output.bad(&said),
    };
    output.write(&format!("{said}\n"))?;
    Ok(match worse {
        0 => Exit::Success,
        _ => Exit::Failed,
    })
}

/// How many figures of peers changed by more than the threshold, and how many there are:
/// nothing of percid's made them.
fn peers_moved(pairs: &[Pair<'_>], threshold: f64) -> (usize, usize) {
    let peers = pairs.iter().filter(|pair| !pair.before.is_own());
    let moved = peers
        .clone()
        .filter(|pair| pair.verdict(threshold) == Verdict::Peer);
    (moved.count(), peers.count())
}

fn rows(shown: &[&(&Pair<'_>, Verdict)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "suite",
        "case",
        "implementation",
        "threads",
        "before",
        "after",
        "change",
        "peers",
        "",
    ]);
    for column in table.column_iter_mut().skip(3).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (pair, verdict) in shown {
        let figure = pair.before;
        table.add_row([
            figure.suite.clone(),
            figure.case.clone(),
            figure.implementation.clone(),
            figure.threads.to_string(),
            table::number(figure.median),
            table::number(pair.after.median),
            percent(pair.ratio()),
            peers(pair.peers),
            verdict.name().to_owned(),
        ]);
    }
    format!("{table}\n\n")
}

/// Both ends, if there are two.
fn peers([least, most]: [f64; 2]) -> String {
    match (percent(least), percent(most)) {
        (least, most) if least == most => least,
        (least, most) => format!("{least} .. {most}"),
    }
}

fn percent(ratio: f64) -> String {
    if ratio.is_finite() {
        format!("{:+.1} %", (ratio - 1.0) * 100.0)
    } else {
        "from 0".to_owned()
    }
}

/// In which facts two machines differ.
fn other_machine(before: &Machine, after: &Machine) -> Option<String> {
    let facts = |machine: &Machine| {
        [
            ("CPU", machine.cpu.clone()),
            ("architecture", machine.arch.clone()),
            ("CPUs", machine.cpus_allowed.to_string()),
            ("kernel", machine.kernel.clone()),
            (
                "libc",
                format!("{} {}", machine.libc.name, machine.libc.version),
            ),
            ("backend", machine.backend.clone()),
        ]
    };
    let (before, after) = (facts(before), facts(after));
    let differ: Vec<String> = before
        .into_iter()
        .zip(after)
        .filter(|(one, other)| one != other)
        .map(|((name, one), (_, other))| format!("{name}: {one}, then {other}"))
        .collect();
    (!differ.is_empty()).then(|| differ.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(implementation: &str, median: f64) -> Figure {
        Figure {
            suite: "s".into(),
            case: "c".into(),
            implementation: implementation.into(),
            threads: 1,
            unit: "ns/op".into(),
            median,
            quartiles: Some([median * 0.98, median * 1.02]),
            min: median * 0.9,
            max: median * 1.5,
            runs: 9,
        }
    }

    fn record<const N: usize>(figures: [(&str, f64); N]) -> Record {
        let figures = figures.map(|(name, median)| figure(name, median));
        Record::new(Machine::here(), figures.into())
    }

    fn verdicts(before: &Record, after: &Record) -> Vec<Verdict> {
        let (pairs, _, _) = pairs(before, after);
        pairs.iter().map(|pair| pair.verdict(0.1)).collect()
    }

    #[test]
    fn what_grew_by_itself_is_worse() {
        let before = record([("percid", 1.0), ("a", 5.0), ("b", 6.0), ("percid:x", 3.0)]);
        let after = record([("percid", 1.2), ("a", 5.1), ("b", 6.0), ("percid:x", 2.0)]);
        use Verdict::{Better, Same, Worse};
        assert_eq!(verdicts(&before, &after), [Worse, Same, Same, Better]);
        assert_eq!(verdicts(&before, &before), [Same; 4]);
        let after = record([("percid", 1.0), ("a", 9.0), ("b", 6.0), ("percid:x", 3.0)]);
        assert_eq!(verdicts(&before, &after)[1], Verdict::Peer);
    }

    #[test]
    fn what_grew_with_a_peer_is_the_machine() {
        let before = record([("percid", 1.0), ("a", 5.0), ("b", 6.0)]);
        let after = record([("percid", 1.3), ("a", 5.0), ("b", 8.0)]);
        assert_eq!(verdicts(&before, &after)[0], Verdict::Machine);
        let after = record([("percid", 1.6), ("a", 5.0), ("b", 8.0)]);
        assert_eq!(verdicts(&before, &after)[0], Verdict::Worse);
        // Slower, although its peers became faster.
        let after = record([("percid", 1.3), ("a", 2.5), ("b", 3.0)]);
        assert_eq!(verdicts(&before, &after)[0], Verdict::Worse);
        // Hardly slower, although its peers became much faster: no claim.
        let after = record([("percid", 1.05), ("a", 2.5), ("b", 3.0)]);
        assert_eq!(verdicts(&before, &after)[0], Verdict::Same);
        // Faster, and a peer even more so.
        let after = record([("percid", 0.8), ("a", 2.5), ("b", 6.0)]);
        assert_eq!(verdicts(&before, &after)[0], Verdict::Machine);
    }

    #[test]
    fn what_varies_more_than_it_grew_is_noise() {
        let before = record([("percid", 1.0)]);
        let mut after = record([("percid", 1.3)]);
        assert_eq!(verdicts(&before, &after), [Verdict::Worse]);
        after.cases[0].quartiles = Some([1.01, 1.9]);
        assert_eq!(verdicts(&before, &after), [Verdict::Noise]);
        // Some repetitions were as fast as before.
        after = record([("percid", 1.3)]);
        after.cases[0].min = 0.95;
        assert_eq!(verdicts(&before, &after), [Verdict::Noise]);
        // An older record has the ends only: 0.9 to 1.5, and 1.17 to 1.95.
        after = record([("percid", 1.3)]);
        let mut before = before;
        before.cases[0].quartiles = None;
        assert_eq!(verdicts(&before, &after), [Verdict::Noise]);
    }

    #[test]
    fn nothing_and_something() {
        let (zero, one) = (record([("percid", 0.0)]), record([("percid", 1.0)]));
        assert_eq!(verdicts(&zero, &one), [Verdict::Worse]);
        assert_eq!(verdicts(&one, &zero), [Verdict::Better]);
        assert_eq!(verdicts(&zero, &zero), [Verdict::Same]);
        assert_eq!(percent(f64::INFINITY), "from 0");
        assert_eq!(percent(0.875), "-12.5 %");
    }

    #[test]
    fn peers_that_moved_are_counted() {
        let before = record([("percid", 1.0), ("a", 5.0), ("b", 6.0)]);
        let after = record([("percid", 2.0), ("a", 2.5), ("b", 6.3)]);
        assert_eq!(peers_moved(&pairs(&before, &after).0, 0.1), (1, 2));
    }

    #[test]
    fn only_the_same_figures_are_compared() {
        let before = record([("percid", 1.0), ("gone", 1.0)]);
        let mut after = record([("percid", 1.0), ("new", 1.0)]);
        let (found, gone, new) = pairs(&before, &after);
        assert_eq!((found.len(), gone, new), (1, 1, 1));
        after.cases[0].unit = "us/op".into();
        assert_eq!(pairs(&before, &after).0.len(), 0);
    }

    #[test]
    fn machines_differ_by_facts() {
        let here = Machine::here();
        assert_eq!(other_machine(&here, &here), None);
        let there = Machine {
            kernel: "0.1".into(),
            ..here.clone()
        };
        assert!(other_machine(&here, &there).unwrap().ends_with("then 0.1"));
    }
}
