//! The page: HTML and SVG by a macro that escapes what it is given, styles within,
//! no script and nothing that is fetched.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use percid_benches::machine::Machine;
use percid_benches::record::{Figure, Record};
use percid_benches::suite::{Suite, find};

use super::chart::{self, Axis, Mark};
use super::field::{self, Field, Standing, Tally, ratio};
use super::text;

const STYLE: &str = include_str!("style.css");

/// A record as a page.
pub(super) fn of(record: &Record) -> String {
    let fields = field::of(record);
    let mut suites: Vec<&str> = Vec::new();
    for field in &fields {
        if !suites.contains(&field.suite) {
            suites.push(field.suite);
        }
    }
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "percid beside its peers" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(record))
                nav { div {
                    a href="#overview" { "overview" }
                    a href="#losses" { "where it loses" }
                    @for suite in &suites { a href={ "#" (anchor(suite)) } { (suite) } }
                    a href="#method" { "how it was measured" }
                } }
                main {
                    (overview(&fields))
                    (losses(&fields))
                    @for name in &suites {
                        (suite(name, record, &fields))
                    }
                    (method(record))
                }
                footer {
                    "Made by " code { "percid report" } ". "
                    code { "percid report --from FILE.json" } " makes it again of a run that was kept, "
                    code { "percid bench compare A.json B.json" } " says what became slower."
                }
            }
        }
    };
    page.into_string()
}

fn anchor(name: &str) -> String {
    format!("suite-{name}")
}

fn header(record: &Record) -> Markup {
    let Machine { cpu, .. } = &record.machine;
    html! {
        header { div {
            h1 { "percid beside its peers" }
            p.muted {
                (cpu) ", " (record.machine.cpus_allowed) " CPUs"
                @if let Some(date) = &record.date { "; " (date.replace('T', " ").replace('Z', " UTC")) }
                @if let Some(commit) = &record.commit { "; commit " code { (commit) } }
            }
        } }
    }
}

/// How percid stands in each case, as ratios.
fn overview(fields: &[Field<'_>]) -> Markup {
    let tally = Tally::of(fields);
    let lanes = lanes(fields);
    let all = lanes.iter().flat_map(|lane| &lane.marks);
    let (low, high) = all.fold((1.0_f64, 1.0_f64), |(low, high), mark| {
        (low.min(mark.ratio), high.max(mark.ratio))
    });
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
                        div.group { a href={ "#" (anchor(lane.suite)) } { (lane.suite) } }
                    }
                    div {
                        div.name title=(lane.name) { (lane.name) }
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

fn lanes<'a>(fields: &[Field<'a>]) -> Vec<Lane<'a>> {
    let mut lanes: Vec<Lane<'a>> = Vec::new();
    for field in fields {
        for own in field.own() {
            let marks: Vec<Mark> = [(field.best_peer(), false), (field.baseline(), true)]
                .into_iter()
                .filter_map(|(peer, hollow)| {
                    let peer = peer?;
                    let ratio = ratio(own, peer).filter(|&ratio| ratio > 0.0)?;
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
fn losses(fields: &[Field<'_>]) -> Markup {
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
                        td { a href={ "#" (anchor(field.suite)) } { (field.suite) } " " (field.case) }
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

fn suite(name: &str, record: &Record, fields: &[Field<'_>]) -> Markup {
    let known = find(name);
    let of_suite: Vec<&Field<'_>> = fields.iter().filter(|field| field.suite == name).collect();
    let mut cases: Vec<&str> = Vec::new();
    for field in &of_suite {
        if !cases.contains(&field.case) {
            cases.push(field.case);
        }
    }
    html! {
        h2 id=(anchor(name)) { (name) }
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
    let found: Vec<(&str, f64, bool)> = suite
        .comparisons
        .iter()
        .filter_map(|one| {
            let value = one.value(suite.name, &record.cases)?;
            Some((one.what, value, one.against.is_some()))
        })
        .collect();
    html! {
        @if !found.is_empty() {
            div.scroll { table style="width: auto" {
                thead { tr { th { "in short" } th { "ratio" } } }
                tbody {
                    @for (what, value, is_ratio) in found {
                        tr {
                            td { (what) }
                            td { (if is_ratio { text::times(value) } else { text::number(value) }) }
                        }
                    }
                }
            } }
        }
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
    let axis = Axis::of(figures());
    let unit = figures().next().map_or("", |figure| &figure.unit);
    let about = suite
        .and_then(|suite| suite.case(name))
        .map(|case| case.about);
    html! {
        h3 {
            (name)
            @if let Some(about) = about { ": " (about) }
            " " span.unit { (unit) ", " (text::runs(figures())) ", less is better" }
        }
        div.scroll { table {
            thead { tr {
                th { "implementation" } th { "threads" } th { "median" }
                th.plot { (chart::scale(&axis)) }
                th { "/ thread_local" }
                th.left { "percid / it" }
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
        _ => "peer",
    };
    let to_baseline = field
        .baseline()
        .and_then(|baseline| ratio(figure, baseline));
    let [low, high] = figure.middle();
    html! {
        tr.own[figure.is_own()].lost[!ahead.is_empty()].first[first] {
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
        return match ahead {
            [] => html! { td.verdict.ahead { "behind nobody" } },
            [first, rest @ ..] => html! {
                td.verdict.behind {
                    "▼ loses to " (first.implementation)
                    @if !rest.is_empty() { " and " (rest.len()) " more" }
                }
            },
        };
    }
    let own = field.own();
    let Some(main) = own.first() else {
        return html! { td.verdict { "–" } };
    };
    let standing = Standing::of(main, figure);
    let times = ratio(main, figure).map_or_else(|| "–".to_owned(), text::times);
    html! { td.verdict.(standing.class()) { (times) } }
}

fn method(record: &Record) -> Markup {
    let machine = &record.machine;
    html! {
        h2 #method { "How it was measured" }
        p {
            "Every implementation was verified before it was timed and after. In one run all of them take turns, "
            "in an order that rotates, so that what a machine gives from one second to the next is shared; "
            "a ratio is one of medians over the same repetitions. Figures are of one operation and thread. "
            "The dot is the median, the bar the middle half of the repetitions, the line goes from the least to the greatest. "
            "Somebody is called ahead only if the middle halves do not touch. "
            "What is measured in processes of their own has one figure for each process."
        }
        dl {
            dt { "CPU" } dd { (machine.cpu) ", " (machine.arch) }
            dt { "CPUs" } dd { (machine.cpus_allowed) " allowed of " (machine.cpus_online) " online" }
            dt { "kernel" } dd { "Linux " (machine.kernel) }
            dt { "libc" } dd { (machine.libc.name) " " (machine.libc.version) }
            dt { "percid's ids" } dd { (machine.backend) ": " (machine.backend_reason) }
            @if let Some(commit) = &record.commit { dt { "commit" } dd { code { (commit) } } }
            @if let Some(date) = &record.date { dt { "ended" } dd { (date) } }
            dt { "figures" } dd { (record.cases.len()) ", " (text::runs(record.cases.iter())) " each" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::tests::figure;
    use super::*;

    fn page(cases: Vec<Figure>) -> String {
        of(&Record::new(Machine::here(), cases))
    }

    #[test]
    fn what_is_shown_is_escaped() {
        let page = page(vec![
            figure("<b>\"case\"</b>", "percid", 1, 1.0),
            figure("<b>\"case\"</b>", "<script>alert(1)</script>", 1, 2.0),
        ]);
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("<b>\""), "{page}");
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn nothing_is_fetched() {
        let page = page(vec![figure("c", "percid", 1, 1.0)]);
        for bad in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(bad), "{bad}");
        }
        assert!(page.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn losing_cases_are_marked() {
        let page = page(vec![
            figure("c", "percid", 1, 2.0),
            figure("c", "thread_local", 1, 1.0),
            figure("c", "arc", 1, 8.0),
        ]);
        assert!(page.contains("▼ loses to thread_local"));
        assert!(page.contains("0.250×"));
        assert!(page.contains("To no peer that threads share"));
        assert!(page.contains("1 more in which only memory of the thread's own"));
    }

    #[test]
    fn odd_records_make_a_page() {
        assert!(page(Vec::new()).contains("no case with percid"));
        let mut zero = figure("c", "percid", 1, 0.0);
        zero.suite = "counter".into();
        let page = page(vec![zero.clone(), zero, figure("c", "a", 7, 0.0)]);
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }
}
