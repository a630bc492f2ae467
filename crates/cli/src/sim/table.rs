//! Reports as tables.

use comfy_table::{CellAlignment, Table, presets};
use percid_sim::lineage::{Comparison, Verdict};
use percid_sim::{Costs, Kind, Name, Report};

/// A share in percent, to two places or so.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0".to_owned(),
        ..0.0001 => "<0.0001".to_owned(),
        ..0.01 => format!("{percent:.4}"),
        ..1.0 => format!("{percent:.3}"),
        ..10.0 => format!("{percent:.2}"),
        _ => format!("{percent:.1}"),
    }
}

/// A count per switch.
pub(super) fn each(count: f64) -> String {
    match count {
        0.0 => "0".to_owned(),
        ..0.00001 => "<0.00001".to_owned(),
        ..0.001 => format!("{count:.5}"),
        ..0.1 => format!("{count:.4}"),
        _ => format!("{count:.2}"),
    }
}

fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for row in rows {
        table.add_row(row);
    }
    format!("{table}\n")
}

/// What handling ids costs.
pub(super) fn costs<'a>(reports: impl Iterator<Item = &'a Report>) -> String {
    let header = [
        "policy",
        "switches",
        "ids %",
        "lock wait %",
        "get %",
        "migrate %",
        "scan %",
        "stalled %",
        "ns/switch",
        "RMW/switch",
        "locks/switch",
        "barriers/switch",
        "fences/switch",
    ];
    table(
        header,
        reports.map(|report| {
            let shares = &report.shares;
            [
                report.policy.to_owned(),
                report.tally.switches.to_string(),
                percent(shares.ids),
                percent(shares.lock_wait),
                percent(shares.get),
                percent(shares.migrate),
                percent(shares.scan),
                percent(shares.stalled),
                format!("{:.1}", shares.nanoseconds),
                each(shares.rmws),
                each(shares.locks),
                each(shares.barriers),
                each(shares.fences),
            ]
        }),
    )
}

/// What the ids are like.
pub(super) fn ids<'a>(reports: impl Iterator<Item = &'a Report>) -> String {
    let header = [
        "policy",
        "threads",
        "bound",
        "ids used",
        "distinct in 100 ms",
        "most held",
        "time over bound %",
        "same CPU %",
        "same L3 %",
        "same CPU after pause %",
        "mode changes",
        "fallbacks",
    ];
    table(
        header,
        reports.map(|report| {
            let ids = &report.ids;
            let paused = match ids.pauses {
                0 => "-".to_owned(),
                _ => percent(ids.same_cpu_after_pause),
            };
            [
                report.policy.to_owned(),
                report.threads.to_string(),
                ids.bound.to_string(),
                ids.highest.to_string(),
                format!("{:.1}", ids.mean_distinct),
                ids.most_held.to_string(),
                percent(ids.over_bound),
                percent(ids.same_cpu),
                percent(ids.same_l3),
                paused,
                report.tally.mode_changes.to_string(),
                report.tally.fallbacks.to_string(),
            ]
        }),
    )
}

/// What was published, and what the simulator says.
pub(super) fn comparisons(comparisons: &[Comparison]) -> String {
    let mut text = String::new();
    for it in comparisons {
        let verdict = match it.verdict {
            Verdict::Agrees => "agrees",
            Verdict::Direction => "same direction, another size",
            Verdict::Differs => "differs",
        };
        text += &format!(
            "{}\n  published  {}\n  simulated  {}\n  {verdict}\n",
            it.what, it.published, it.simulated
        );
    }
    text
}

/// Workloads, policies and costs.
pub(super) fn list(costs: &Costs) -> String {
    let mut text = "workloads\n".to_owned();
    for kind in Kind::ALL {
        text += &format!("  {kind:<16} {}\n", kind.about());
    }
    text += "\npolicies\n";
    for name in Name::ALL {
        text += &format!("  {name:<16} {}\n", name.about());
        text += &format!("  {:<16} from: {}\n", "", name.source());
    }
    text += "\ncosts, in nanoseconds (--cost NAME=NS)\n";
    for cost in costs.table() {
        text += &format!(
            "  {:<16} {:>6}  {}\n",
            cost.name, cost.nanoseconds, cost.about
        );
        text += &format!("  {:<16} {:>6}  from: {}\n", "", "", cost.source);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_shares_are_not_nothing() {
        assert_eq!(percent(0.0), "0");
        assert_eq!(percent(0.000_002), "0.0002");
        assert_eq!(percent(1e-9), "<0.0001");
        assert_eq!(percent(0.4321), "43.2");
        assert_eq!(each(0.000_01), "0.00001");
        assert_eq!(each(2.0), "2.00");
    }

    #[test]
    fn the_list_names_everything() {
        let list = list(&Costs::default());
        for name in Name::ALL {
            assert!(list.contains(name.as_str()));
        }
        for kind in Kind::ALL {
            assert!(list.contains(kind.about()));
        }
        assert!(list.contains("fence_idle"));
    }
}
