//! What is to be thought of a figure that two runs have.
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

use percid_benches::record::{Figure, Record};

/// Of a figure, from one run to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
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
    pub(super) fn name(self) -> &'static str {
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
pub(super) struct Pair<'a> {
    pub(super) before: &'a Figure,
    pub(super) after: &'a Figure,
    /// By how much the peers of its case changed: that which grew least, and most.
    pub(super) peers: [f64; 2],
}

impl Pair<'_> {
    /// Of the medians; grows if it became slower.
    pub(super) fn ratio(&self) -> f64 {
        ratio(self.before.median, self.after.median)
    }

    pub(super) fn verdict(&self, threshold: f64) -> Verdict {
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
pub(super) fn pairs<'a>(before: &'a Record, after: &'a Record) -> (Vec<Pair<'a>>, usize, usize) {
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

/// How many figures of peers changed by more than the threshold, and how many there are:
/// nothing of percid's made them.
pub(super) fn peers_moved(pairs: &[Pair<'_>], threshold: f64) -> (usize, usize) {
    let peers = pairs.iter().filter(|pair| !pair.before.is_own());
    let moved = peers
        .clone()
        .filter(|pair| pair.verdict(threshold) == Verdict::Peer);
    (moved.count(), peers.count())
}

#[cfg(test)]
mod tests {
    use percid_benches::machine::Machine;

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
}
