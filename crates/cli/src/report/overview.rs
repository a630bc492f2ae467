//! How percid stands, all cases at a glance; and where it loses.

use maud::{Markup, html};
use percid_benches::record::Figure;
use percid_benches::suite::find;

use super::chart::{self, Axis, Mark};
use super::field::{Field, Standing, Tally, ratio};
use super::text;

/// The farthest ratio that has a place: one odd case shall not squeeze all the others.
const FARTHEST: f64 = 100.0;

/// How percid stands in each case, as ratios.
pub(super) fn of(fields: &[Field<'_>]) -> Markup {
    let tally = Tally::of(fields);
    let lanes = lanes(fields);
    let all = lanes.iter().flat_map(|lane| &lane.marks);
    let (low, high) = all.fold((1.0_f64, 1.0_f64), |(low, high), mark| {
        (low.min(mark.ratio), high.max(mark.ratio))
    });
    let is_cut = low < 1.0 / FARTHEST || high > FARTHEST;
    let (low, high) = (low.max(1.0 / FARTHEST), high.min(FARTHEST));
    let axis = Axis::between(low, high);
    html! {
        h2 #overview { "Overview" }
        ul.tally {
            li.ahead { b { (tally.ahead) } "ahead of the best peer" }
            li.even { b { (tally.even) } "even with it" }
            li.behind { b { (tally.behind) } "behind it" }
            li { b { (tally.behind_baseline) " of " (tally.baselines) } "behind a thread-local" }
        }
        p {
            "Each mark is a median of percid divided by that of a peer, on a logarithmic axis. "
            "Left of 1 percid costs less, right of 1 it costs more. Grey: the middle halves of the repetitions touch."
            @if is_cut { " What is beyond an end of the axis stands at that end." }
        }
        ul.key {
            li { (key("mark even", false, 1)) " beside the best peer, 1 thread" }
            li { (key("mark even", false, 2)) " more threads" }
            li { (key("mark even", true, 1)) " hollow: beside the thread's own memory" }
            li.ahead { "green: ahead" }
            li.behind { "red: behind" }
        }
        @if lanes.is_empty() {
            p.muted { "This run has no case with percid and a peer." }
        } @else {
            div.lanes {
                div { div {} div { (chart::scale(&axis)) } }
                @for (number, lane) in lanes.iter().enumerate() {
                    @if number == 0 || lanes[number - 1].suite != lane.suite {
                        div.group { a href={ "#" (text::anchor(lane.suite)) } { (lane.suite) } }
                    }
                    div {
                        div.name title=(lane.about()) {
                            a href={ "#" (text::anchor_of_case(lane.suite, lane.case)) } { (lane.name) }
                        }
                        div { (chart::ratios(&axis, &lane.marks)) }
                    }
                }
                div { div {} div { (chart::scale(&axis)) } }
            }
        }
    }
}

/// One mark of the key.
fn key(class: &str, hollow: bool, threads: usize) -> Markup {
    html! {
        svg.(class).hollow[hollow] width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true" {
            @if threads == 1 {
                circle r="4.5" {}
            } @else {
                rect x="-4" y="-4" width="8" height="8" transform="rotate(45)" {}
            }
        }
    }
}

/// What stands for percid in a case, with the numbers of threads.
struct Lane<'a> {
    suite: &'a str,
    case: &'a str,
    implementation: &'a str,
    name: String,
    marks: Vec<Mark>,
}

impl Lane<'_> {
    /// What the case is, if this program has it.
    fn about(&self) -> &str {
        let case = find(self.suite).and_then(|suite| suite.case(self.case));
        case.map_or(&*self.name, |case| case.about)
    }
}

fn lanes<'a>(fields: &[Field<'a>]) -> Vec<Lane<'a>> {
    let mut lanes: Vec<Lane<'a>> = Vec::new();
    for field in fields {
        for own in field.own() {
            let marks: Vec<Mark> = [(field.best_peer(), false), (field.baseline(), true)]
                .into_iter()
                .filter_map(|(peer, hollow)| {
                    let peer = peer?;
                    // Nothing at all stands at the end of the axis.
                    let ratio = ratio(own, peer)?;
                    let title = format!(
                        "{}: {} of {}",
                        text::threads(field.threads),
                        text::times(ratio),
                        peer.implementation
                    );
                    Some(Mark {
                        ratio,
                        class: Standing::of(own, peer).class(),
                        hollow,
                        threads: field.threads,
                        title,
                    })
                })
                .collect();
            if marks.is_empty() {
                continue;
            }
            let found = lanes.iter_mut().find(|lane| {
                lane.suite == field.suite
                    && lane.case == field.case
                    && lane.implementation == own.implementation
            });
            match found {
                Some(lane) => lane.marks.extend(marks),
                None => lanes.push(Lane {
                    suite: field.suite,
                    case: field.case,
                    implementation: &own.implementation,
                    name: match own.implementation.strip_prefix("percid:") {
                        Some(variant) => format!("{}, {variant}", field.case),
                        None => field.case.to_owned(),
                    },
                    marks,
                }),
            }
        }
    }
    lanes
}

/// A place where something is clearly ahead of percid.
struct Loss<'a> {
    field: &'a Field<'a>,
    own: &'a Figure,
    first: &'a Figure,
    ratio: f64,
}

/// Every such place: beside peers, and then beside the thread's own memory.
pub(super) fn losses(fields: &[Field<'_>]) -> Markup {
    let (mut to_peers, mut to_own_memory) = (Vec::new(), Vec::new());
    for field in fields {
        for own in field.own() {
            let ahead = field.ahead_of(own);
            let peer = ahead.iter().find(|one| !one.is_baseline());
            let Some(first) = peer.or(ahead.first()) else {
                continue;
            };
            let losses = match peer {
                Some(_) => &mut to_peers,
                None => &mut to_own_memory,
            };
            losses.push(Loss {
                field,
                own,
                first,
                ratio: ratio(own, first).unwrap_or(f64::INFINITY),
            });
        }
    }
    html! {
        h2 #losses { "Where it loses" }
        @if to_peers.is_empty() {
            p { "To no peer that threads share, in this run." }
        } @else {
            p { "Cases in which a peer that threads share is clearly ahead of percid; the widest first." }
            (table_of_losses(to_peers))
        }
        @if !to_own_memory.is_empty() {
            details {
                summary {
                    (to_own_memory.len())
                    " more in which only memory of the thread's own, which nobody else may touch, is ahead"
                }
                (table_of_losses(to_own_memory))
            }
        }
    }
}

fn table_of_losses(mut losses: Vec<Loss<'_>>) -> Markup {
    losses.sort_by(|one, other| other.ratio.total_cmp(&one.ratio));
    html! {
        div.scroll { table {
            thead { tr {
                th { "case" } th { "threads" } th { "ratio" } th.left { "percid" } th { "median" }
                th.left { "ahead of it" } th { "median" }
            } }
            tbody {
                @for Loss { field, own, first, ratio } in &losses {
                    tr.lost {
                        td {
                            a href={ "#" (text::anchor_of_case(field.suite, field.case)) } {
                                (field.suite) " " (field.case)
                            }
                        }
                        td { (field.threads) }
                        td.behind { b { (text::times(*ratio)) } }
                        td.left { (own.implementation) }
                        td { (text::number(own.median)) " " span.unit { (own.unit) } }
                        td.left { (first.implementation) }
                        td { (text::number(first.median)) }
                    }
                }
            }
        } }
    }
}
