//! Totals at two times, and what has happened in between.

use std::collections::HashMap;
use std::time::Instant;

use comfy_table::{CellAlignment, Table, presets};
use percid::file::Total;

/// All totals at one time.
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) totals: Vec<Total>,
}

/// By what rows are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// As they were made.
    #[default]
    Made,
    /// By name.
    Name,
    /// Largest first.
    Total,
    /// Fastest first.
    Rate,
}

/// A counter on the screen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) total: u64,
    /// A second; none before the second sample.
    pub(super) rate: Option<f64>,
}

/// The rows for a sample and the one before it.
pub(super) fn rows(before: Option<&Sample>, now: &Sample, order: Order) -> Vec<Row> {
    let seconds = before.map(|before| (now.at - before.at).as_secs_f64());
    let known: HashMap<&str, u64> = before
        .iter()
        .flat_map(|before| &before.totals)
        .map(|one| (one.name.as_str(), one.total))
        .collect();
    let mut rows: Vec<Row> = now
        .totals
        .iter()
        .map(|one| Row {
            name: one.name.clone(),
            total: one.total,
            rate: seconds.filter(|&seconds| seconds > 0.0).map(|seconds| {
                // One that is new started at 0; totals are modulo 2^64.
                let grown = one
                    .total
                    .wrapping_sub(known.get(one.name.as_str()).copied().unwrap_or(0));
                grown.cast_signed() as f64 / seconds
            }),
        })
        .collect();
    match order {
        Order::Made => {}
        Order::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
        Order::Total => rows.sort_by_key(|row| std::cmp::Reverse(row.total)),
        Order::Rate => rows.sort_by(|a, b| {
            let rate = |row: &Row| row.rate.unwrap_or(0.0);
            rate(b).total_cmp(&rate(a))
        }),
    }
    rows
}

/// The totals as a table.
pub(super) fn table(totals: &[Total]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_MARKDOWN)
        .set_header(["counter", "total"]);
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for one in totals {
        table.add_row([one.name.clone(), one.total.to_string()]);
    }
    format!("{table}\n")
}

/// A number that fits in a few columns: 12.3 k, 4.56 M.
pub(super) fn short(number: f64) -> String {
    let mut size = number.abs();
    let mut unit = "";
    for next in [" k", " M", " G", " T"] {
        if size < 1000.0 {
            break;
        }
        size /= 1000.0;
        unit = next;
    }
    let digits = match size {
        _ if unit.is_empty() && size == size.trunc() => 0,
        100.0.. => 1,
        _ => 2,
    };
    let sign = if number < 0.0 { "-" } else { "" };
    format!("{sign}{size:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample(at: Instant, totals: &[(&str, u64)]) -> Sample {
        let totals = totals.iter().map(|&(name, total)| Total {
            name: name.to_owned(),
            total,
        });
        Sample {
            at,
            totals: totals.collect(),
        }
    }

    #[test]
    fn rates_are_by_the_time_between() {
        let start = Instant::now();
        let first = sample(start, &[("b", 10), ("a", 100)]);
        let later = start + Duration::from_millis(500);
        let second = sample(later, &[("b", 20), ("a", 100), ("c", 3)]);
        assert!(
            rows(None, &first, Order::Made)
                .iter()
                .all(|row| row.rate.is_none())
        );
        let seen = rows(Some(&first), &second, Order::Made);
        let rates: Vec<_> = seen.iter().map(|row| row.rate).collect();
        assert_eq!(rates, [Some(20.0), Some(0.0), Some(6.0)]);
        let names = |order| -> String {
            let rows = rows(Some(&first), &second, order);
            rows.iter().map(|row| row.name.as_str()).collect()
        };
        assert_eq!(names(Order::Made), "bac");
        assert_eq!(names(Order::Name), "abc");
        assert_eq!(names(Order::Total), "abc");
        assert_eq!(names(Order::Rate), "bca");
    }

    #[test]
    fn no_time_is_no_rate_and_totals_may_wrap() {
        let start = Instant::now();
        let first = sample(start, &[("a", u64::MAX)]);
        assert_eq!(rows(Some(&first), &first, Order::Made)[0].rate, None);
        let second = sample(start + Duration::from_secs(1), &[("a", 1)]);
        assert_eq!(rows(Some(&first), &second, Order::Made)[0].rate, Some(2.0));
    }

    #[test]
    fn numbers_stay_short() {
        for (number, text) in [
            (0.0, "0"),
            (7.0, "7"),
            (1.5, "1.50"),
            (999.0, "999"),
            (12_345.0, "12.35 k"),
            (4_560_000.0, "4.56 M"),
            (123_456_789_000.0, "123.5 G"),
            (-2_000.0, "-2.00 k"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
