//! One suite: what sums it up, and every case with its implementations.

use maud::{Markup, html};
use percid_benches::compare::Comparison;
use percid_benches::record::{BASELINE, Figure, Record, is_own};
use percid_benches::suite::{Suite, find};

use super::chart::{self, Axis};
use super::field::{Field, Standing, ratio};
use super::text;

/// The section of a suite.
pub(super) fn of(name: &str, record: &Record, fields: &[Field<'_>]) -> Markup {
    let known = find(name);
    let of_suite: Vec<&Field<'_>> = fields.iter().filter(|field| field.suite == name).collect();
    let mut cases: Vec<&str> = Vec::new();
    for field in &of_suite {
        if !cases.contains(&field.case) {
            cases.push(field.case);
        }
    }
    html! {
        h2 id=(text::anchor(name)) { (name) }
        @if let Some(known) = known {
            p { (known.about) }
            (comparisons(known, record))
        }
        @for case in cases {
            (self::case(known, &of_suite, case))
        }
    }
}

/// The ratios that sum the suite up.
fn comparisons(suite: &Suite, record: &Record) -> Markup {
    let found: Vec<(&Comparison, f64)> = suite
        .comparisons
        .iter()
        .filter_map(|one| Some((one, one.value(suite.name, &record.cases)?)))
        .collect();
    html! {
        @if !found.is_empty() {
            table.short {
                thead { tr { th { "in short" } th { "" } } }
                tbody {
                    @for (one, value) in found {
                        tr {
                            td { (one.what) }
                            @match one.against {
                                Some(_) => td.(standing(one, value)) { (text::times(value)) },
                                None => td { (text::number(value)) },
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Of a style: how percid stands by a ratio. It is one of costs, percid's above, or of what
/// is done in some time, percid's below; one of two figures of percid's says nothing.
fn standing(comparison: &Comparison, value: f64) -> &'static str {
    let of = comparison.of.implementation;
    let against = comparison.against.map(|which| which.implementation);
    let (costs, peer) = match against {
        Some(peer) if is_own(of) && !is_own(peer) => (value, peer),
        Some(own) if is_own(own) && !is_own(of) => (1.0 / value, of),
        _ => return "plain",
    };
    match costs {
        ..1.0 => "ahead",
        _ if peer == BASELINE => "near",
        _ => "behind",
    }
}

/// A case: every implementation, plotted and in figures.
fn case(suite: Option<&Suite>, fields: &[&Field<'_>], name: &str) -> Markup {
    let fields: Vec<&Field<'_>> = fields
        .iter()
        .copied()
        .filter(|field| field.case == name)
        .collect();
    let figures = || {
        fields
            .iter()
            .flat_map(|field| field.figures.iter().copied())
    };
    let suite_name = fields.first().map_or("", |field| field.suite);
    // What a peer is compared with: the first of percid's, where there are several.
    let own = fields
        .first()
        .and_then(|field| field.own().first().copied());
    let own = own.map_or("percid", |own| &*own.implementation);
    let axis = Axis::of(figures());
    let unit = figures().next().map_or("", |figure| &figure.unit);
    let about = suite
        .and_then(|suite| suite.case(name))
        .map(|case| case.about);
    html! {
        h3 id=(text::anchor_of_case(suite_name, name)) {
            (name)
            @if let Some(about) = about { ": " (about) }
            " " span.unit { (unit) ", " (text::runs(figures())) ", less is better" }
        }
        div.scroll { table {
            thead { tr {
                th { "implementation" } th { "threads" } th { "median" }
                th.plot { (chart::scale(&axis)) }
                th { "/ thread_local" }
                th.left { (own) " / it" }
                th.fine { "middle half" }
                th.fine { "least – greatest" }
            } }
            tbody {
                @for (number, field) in fields.iter().enumerate() {
                    @for (place, figure) in field.figures.iter().enumerate() {
                        (row(field, figure, &axis, number > 0 && place == 0))
                    }
                }
            }
        } }
    }
}

fn row(field: &Field<'_>, figure: &Figure, axis: &Axis, first: bool) -> Markup {
    let ahead = match figure.is_own() {
        true => field.ahead_of(figure),
        false => Vec::new(),
    };
    let class = match (figure.is_own(), figure.is_baseline()) {
        (true, _) => "own",
        (_, true) => "base",
        _ if figure.is_floor() => "floor",
        _ => "peer",
    };
    let to_baseline = field
        .baseline()
        .and_then(|baseline| ratio(figure, baseline));
    let [low, high] = figure.middle();
    html! {
        tr.own[figure.is_own()].lost[ahead.iter().any(|one| !one.is_baseline())].first[first] {
            td { (figure.implementation) }
            td { (figure.threads) }
            td { (text::number(figure.median)) }
            td.plot { (chart::spread(axis, figure, class)) }
            td { (to_baseline.map_or_else(|| "–".to_owned(), text::times)) }
            (verdict(field, figure, &ahead))
            td.fine { (text::range(low, high)) }
            td.fine { (text::range(figure.min, figure.max)) }
        }
    }
}

/// Of a row of percid's: whom it is behind. Of a peer's: how percid stands beside it.
fn verdict(field: &Field<'_>, figure: &Figure, ahead: &[&Figure]) -> Markup {
    if figure.is_own() {
        // Who is behind a peer is marked as that, whatever the thread's own memory does.
        let peers = || ahead.iter().filter(|one| !one.is_baseline());
        return match (peers().next(), ahead.first()) {
            (Some(peer), _) => html! {
                td.verdict.behind {
                    "▼ behind " (peer.implementation)
                    @if peers().count() > 1 { ", " (peers().count() - 1) " more" }
                }
            },
            (None, Some(own_memory)) => html! {
                td.verdict.near { "▽ behind " (own_memory.implementation) " only" }
            },
            (None, None) => html! { td.verdict.ahead { "behind nobody" } },
        };
    }
    let own = field.own();
    let Some(main) = own.first() else {
        return html! { td.verdict { "–" } };
    };
    let times = ratio(main, figure).map_or_else(|| "–".to_owned(), text::times);
    if figure.is_floor() {
        return html! { td.verdict.even { (times) ", a floor" } };
    }
    let standing = Standing::of(main, figure);
    html! { td.verdict.(standing.class()) { (times) } }
}

#[cfg(test)]
mod tests {
    use percid_benches::compare::{figure, ratio};

    use super::*;

    #[test]
    fn ratios_have_a_side_that_is_better() {
        let (own, peer) = (("c", "percid:x", 1), ("c", "arc", 1));
        let baseline = ("c", BASELINE, 1);
        let costs = ratio("costs", own, peer);
        assert_eq!(
            [0.5, 2.0].map(|value| standing(&costs, value)),
            ["ahead", "behind"]
        );
        let done = ratio("done", peer, own);
        assert_eq!(
            [0.5, 2.0].map(|value| standing(&done, value)),
            ["behind", "ahead"]
        );
        assert_eq!(standing(&ratio("floor", own, baseline), 2.0), "near");
        for neither in [
            ratio("own", own, own),
            ratio("peers", peer, baseline),
            figure("one", own),
        ] {
            assert_eq!(standing(&neither, 2.0), "plain");
        }
    }
}
