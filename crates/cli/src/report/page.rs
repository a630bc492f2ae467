//! The page: HTML and SVG by a macro that escapes what it is given.

use maud::{Markup, html};
use percid_benches::machine::Machine;
use percid_benches::record::Record;

use super::{field, overview, suite, text};
use crate::page;

/// A record as a page.
pub(super) fn of(record: &Record) -> String {
    let fields = field::of(record);
    let mut suites: Vec<&str> = Vec::new();
    for field in &fields {
        if !suites.contains(&field.suite) {
            suites.push(field.suite);
        }
    }
    let body = html! {
        (header(record))
        nav { div {
            a href="#overview" { "overview" }
            a href="#losses" { "where it loses" }
            @for suite in &suites { a href={ "#" (text::anchor(suite)) } { (suite) } }
            a href="#method" { "how it was measured" }
        } }
        main {
            (overview::of(&fields))
            (overview::losses(&fields))
            @for name in &suites {
                (suite::of(name, record, &fields))
            }
            (method(record))
        }
        footer {
            "Made by " code { "percid report" } ". "
            code { "percid report --from FILE.json" } " makes it again of a run that was kept, "
            code { "percid bench compare A.json B.json" } " says what became slower."
        }
    };
    page::of("percid beside its peers", "", &body)
}

fn header(record: &Record) -> Markup {
    let Machine { cpu, .. } = &record.machine;
    html! {
        header { div {
            h1 { "percid beside its peers" }
            p.muted {
                (cpu) ", " (record.machine.cpus_allowed) " CPUs; Linux " (record.machine.kernel)
                "; percid on " (record.machine.backend)
                @if let Some(date) = &record.date { "; " (date.replace('T', " ").replace('Z', " UTC")) }
                @if let Some(commit) = &record.commit { "; commit " code { (commit) } }
            }
        } }
    }
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
            "A ratio of costs is green below 1; one that says what is done in some time, as in "
            em { "reads of" } ", above. "
            "Somebody is called ahead only if the middle halves do not touch. "
            "A floor is no peer: it is what the machine takes in any case. "
            "What is measured in processes of their own has one figure for each process."
        }
        dl {
            dt { "CPU" } dd { (machine.cpu) ", " (machine.arch) }
            dt { "CPUs" } dd { (machine.cpus_allowed) " allowed of " (machine.cpus_online) " online" }
            dt { "kernel" } dd { "Linux " (machine.kernel) }
            dt { "libc" } dd { (machine.libc.name) " " (machine.libc.version) }
            dt { "percid's ids" } dd { (machine.backend) ": " (machine.backend_reason) }
            dt { "commit" }
            dd {
                @match &record.commit {
                    Some(commit) => code { (commit) },
                    None => "not known: the program was not built in a checkout, or before its last commit",
                }
            }
            @if let Some(date) = &record.date { dt { "ended" } dd { (date) } }
            dt { "figures" } dd { (record.cases.len()) ", " (text::runs(record.cases.iter())) " each" }
        }
    }
}

#[cfg(test)]
mod tests {
    use percid_benches::record::Figure;

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
        assert!(page.contains("▽ behind thread_local only"));
        assert!(page.contains("0.250×"));
        assert!(page.contains("To no peer that threads share"));
        assert!(page.contains("1 more in which only memory of the thread's own"));
        let page = self::page(vec![
            figure("c", "percid", 1, 2.0),
            figure("c", "thread_local", 1, 1.0),
            figure("c", "arc", 1, 1.5),
            figure("c", "padded", 1, 1.6),
        ]);
        assert!(page.contains("▼ behind arc, 1 more"));
        assert!(page.contains("tr class=\"own lost\""));
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
