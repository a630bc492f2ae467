//! The lineage as one page, with its plots and styles within.

use maud::{Markup, PreEscaped, html};
use percid_sim::lineage::{Comparison, Runs, Stand, Verdict};
use percid_sim::{Costs, Name, Report};

use super::plot::Plot;
use super::table::{each, percent};
use crate::page;

const STYLE: &str = include_str!("sim.css");

/// The page.
pub(super) fn of(
    stands: &[Stand],
    runs: &Runs,
    comparisons: &[Comparison],
    plots: &[(&str, Vec<Plot>)],
    costs: &Costs,
) -> String {
    let body = html! {
        header { div {
            h1 { "Policies for concurrency ids, simulated" }
            p.muted {
                "From Linux 6.3 to 6.19, and percid's domains, on machines of up to 256 CPUs. "
                "Every figure under “simulated” comes from a run of the simulator."
            }
        } }
        nav { div {
            a href="#published" { "beside published figures" }
            @for stand in stands { a href={ "#" (stand.name) } { (stand.name) } }
            a href="#policies" { "policies" }
            a href="#costs" { "costs" }
            a href="#limits" { "limits" }
        } }
        main {
            (published(comparisons))
            @for stand in stands {
                (section(stand, runs, plots))
            }
            (policies())
            (cost_model(costs))
            (limits())
        }
        footer {
            "Made by " code { "percid sim lineage" } ". "
            code { "percid sim run" } " runs one workload on a machine of any size, "
            code { "percid sim trace" } " a trace of a real one."
        }
    };
    page::of("Policies for concurrency ids, simulated", STYLE, &body)
}

fn class(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Agrees => ("agrees", "agrees"),
        Verdict::Direction => ("direction", "same direction, another size"),
        Verdict::Differs => ("differs", "differs"),
    }
}

fn published(comparisons: &[Comparison]) -> Markup {
    let count = |wanted| comparisons.iter().filter(|it| it.verdict == wanted).count();
    html! {
        h2 #published { "Beside published figures" }
        ul.tally {
            li.agrees { b { (count(Verdict::Agrees)) } "agree" }
            li.direction { b { (count(Verdict::Direction)) } "same direction, another size" }
            li.differs { b { (count(Verdict::Differs)) } "differ" }
        }
        p {
            "What people measured on their machines, and what the simulator says of a machine like theirs. "
            "No cost was fitted to any of these figures; the cost model is stated below."
        }
        div.cards {
            @for it in comparisons {
                @let (class, verdict) = class(it.verdict);
                div.card {
                    h3 { (capital(it.what)) }
                    div.sides {
                        p { span.muted { "published" } b { (it.published) } }
                        p { span.muted { "simulated" } b { (it.simulated) } }
                    }
                    p { span.(class) { (verdict) } span.muted { " — published by " (it.source) } }
                    p.why { (it.why) }
                }
            }
        }
    }
}

fn section(stand: &Stand, runs: &Runs, plots: &[(&str, Vec<Plot>)]) -> Markup {
    let scenario = &stand.scenario;
    let mine = plots.iter().filter(|(name, _)| *name == stand.name);
    let reports: Vec<&Report> = runs.of(stand.name).collect();
    html! {
        h2 id=(stand.name) { (stand.name) }
        p {
            (capital(stand.about)) ": " (scenario.workload.about()) ". "
            (super::describe(&scenario.machine)) "; "
            (scenario.sizes.duration / 1_000_000) " ms of simulated time, seed " (scenario.seed) "."
        }
        @for plot in mine.flat_map(|(_, plots)| plots) {
            figure { (PreEscaped(&plot.svg)) }
        }
        (costs_of(&reports))
        (ids_of(&reports))
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

fn is_own(report: &Report) -> bool {
    report.policy.starts_with("percid")
}

fn costs_of(reports: &[&Report]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th { "what ids cost" } th { "ids, % of time" } th { "lock wait, %" } th { "get, %" }
                th { "migrate, %" } th { "scan, %" } th { "ns per switch" } th { "RMW per switch" }
                th { "locks" } th { "barriers" } th { "fences" } th { "longest scan, µs" }
            } }
            tbody { @for report in reports {
                @let shares = &report.shares;
                tr.own[is_own(report)] {
                    td { (report.policy) }
                    td { (percent(shares.ids)) } td { (percent(shares.lock_wait)) } td { (percent(shares.get)) }
                    td { (percent(shares.migrate)) } td { (percent(shares.scan)) }
                    td { (format!("{:.1}", shares.nanoseconds)) } td { (each(shares.rmws)) }
                    td { (each(shares.locks)) } td { (each(shares.barriers)) } td { (each(shares.fences)) }
                    td { (report.tally.longest_scan / 1000) }
                }
            } }
        } }
    }
}

fn ids_of(reports: &[&Report]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th { "which ids" } th { "threads" } th { "bound" } th { "ids used" } th { "distinct in 100 ms" }
                th { "most held" } th { "time over bound, %" } th { "same CPU, %" } th { "same L3, %" }
                th { "same CPU after pause, %" } th { "mode changes" }
            } }
            tbody { @for report in reports {
                @let ids = &report.ids;
                tr.own[is_own(report)] {
                    td { (report.policy) }
                    td { (report.threads) } td { (ids.bound) } td { (ids.highest) }
                    td { (format!("{:.1}", ids.mean_distinct)) } td { (ids.most_held) }
                    td { (percent(ids.over_bound)) } td { (percent(ids.same_cpu)) } td { (percent(ids.same_l3)) }
                    td { @if ids.pauses > 0 { (percent(ids.same_cpu_after_pause)) } @else { "–" } }
                    td { (report.tally.mode_changes) }
                }
            } }
        } }
    }
}

fn policies() -> Markup {
    html! {
        h2 #policies { "Policies" }
        div.scroll { table {
            thead { tr { th { "policy" } th.prose { "what it does" } th.prose { "source of its rules" } } }
            tbody { @for name in Name::ALL {
                tr { td { (name.as_str()) } td.prose { (capital(name.about())) } td.prose { (name.source()) } }
            } }
        } }
    }
}

fn cost_model(costs: &Costs) -> Markup {
    html! {
        h2 #costs { "Costs" }
        p {
            "What each step takes. A cache line is where it was written last, and travels to whoever "
            "wants it; atomics of one line and holders of one lock come one after the other. "
            code { "percid sim lineage --cost NAME=NS" } " changes a cost."
        }
        div.scroll { table {
            thead { tr { th { "cost" } th { "ns" } th.prose { "of what" } th.prose { "from" } } }
            tbody { @for cost in costs.table() {
                tr {
                    td { code { (cost.name) } } td { (cost.nanoseconds) }
                    td.prose { (capital(cost.about)) } td.prose { (capital(cost.source)) }
                }
            } }
        } }
    }
}

fn limits() -> Markup {
    html! {
        h2 #limits { "What is not simulated" }
        ul {
            li { "Interleavings within a policy's step: it is done at once. Races that only such interleavings show belong to the model checker." }
            li { "Caches but for the lines that policies share: a thread that comes to a cold CPU computes as fast as before. So what locality is worth is not counted, only how much of it there is." }
            li { "Run-queue locks: who wakes a thread does not wait for a CPU that is in the middle of a switch." }
            li { "Interrupts, hyper-threads, frequencies, real-time classes, and the kernel's own threads." }
            li { "The workloads are sketches of the programs that they are named after: their times per query and per message are round figures that nobody measured." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(verdict: Verdict) -> Comparison {
        Comparison {
            what: "<b>what</b>",
            published: "1 %",
            source: "somebody",
            simulated: "2 %".into(),
            verdict,
            why: "because",
        }
    }

    #[test]
    fn what_is_shown_is_escaped_and_nothing_is_fetched() {
        let comparisons = [comparison(Verdict::Differs)];
        let page = of(&[], &Runs::default(), &comparisons, &[], &Costs::default());
        assert!(page.contains("&lt;b&gt;what"));
        for bad in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(bad), "{bad}");
        }
        assert!(page.contains("class=\"differs\""));
    }
}
