//! Results as a table.

use comfy_table::{CellAlignment, Table, presets};
use percid_benches::record::{BASELINE, Figure};

const HEADER: [&str; 6] = [
    "implementation",
    "threads",
    "median",
    "min",
    "max",
    "/ thread_local",
];

/// The figures of one case, of one number of threads after the other. In the
/// form that Markdown has, so that it can be pasted.
pub(crate) fn of_case(figures: &[Figure]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(HEADER);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for figure in figures {
        table.add_row([
            figure.implementation.clone(),
            figure.threads.to_string(),
            number(figure.median),
            number(figure.min),
            number(figure.max),
            ratio(figure, figures).map_or_else(|| "-".to_owned(), times),
        ]);
    }
    format!("{table}\n")
}

/// A figure's ratio to the baseline of the same number of threads.
fn ratio(figure: &Figure, figures: &[Figure]) -> Option<f64> {
    let baseline = figures
        .iter()
        .find(|other| other.implementation == BASELINE && other.threads == figure.threads)?;
    (baseline.median > 0.0).then(|| figure.median / baseline.median)
}

/// A number to three digits or so, whatever its size.
pub(crate) fn number(figure: f64) -> String {
    match figure {
        ..10.0 => format!("{figure:.3}"),
        ..100.0 => format!("{figure:.2}"),
        _ => format!("{figure:.1}"),
    }
}

/// A ratio.
pub(crate) fn times(ratio: f64) -> String {
    match ratio {
        ..10.0 => format!("{ratio:.2}x"),
        _ => format!("{ratio:.1}x"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(implementation: &str, threads: usize, median: f64) -> Figure {
        Figure {
            suite: "s".into(),
            case: "c".into(),
            implementation: implementation.into(),
            threads,
            unit: "ns/op".into(),
            median,
            quartiles: None,
            min: median,
            max: median,
            runs: 1,
        }
    }

    #[test]
    fn ratios_are_to_the_same_number_of_threads() {
        let figures = [
            figure("percid", 1, 1.0),
            figure(BASELINE, 1, 0.5),
            figure("percid", 2, 3.0),
            figure(BASELINE, 2, 1.0),
            figure("percid", 3, 1.0),
        ];
        let table = of_case(&figures);
        let last: Vec<&str> = table
            .lines()
            .skip(2)
            .filter_map(|row| row.split('|').rev().nth(1))
            .map(str::trim)
            .collect();
        assert_eq!(last, ["2.00x", "1.00x", "3.00x", "1.00x", "-"]);
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(number(0.2571), "0.257");
        assert_eq!(number(12.345), "12.35");
        assert_eq!(number(256.04), "256.0");
        assert_eq!(times(0.061), "0.06x");
    }
}
