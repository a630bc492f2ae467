//! Numbers and names as the page has them.

use percid_benches::record::Figure;

/// A number to three digits, whatever its size.
pub(super) fn number(figure: f64) -> String {
    match figure {
        0.0 => "0".to_owned(),
        ..0.995 => format!("{figure:.3}"),
        ..9.995 => format!("{figure:.2}"),
        ..99.95 => format!("{figure:.1}"),
        ..999_500.0 => {
            let whole = format!("{figure:.0}");
            match whole.len() {
                ..=4 => whole,
                length => format!("{} {}", &whole[..length - 3], &whole[length - 3..]),
            }
        }
        _ => format!("{figure:.2e}"),
    }
}

/// A round number, as an axis has it.
pub(super) fn tick(figure: f64) -> String {
    match figure {
        0.0 => "0".to_owned(),
        0.001..1e6 => format!("{figure}"),
        _ => format!("{figure:e}"),
    }
}

/// A ratio, with the sign that says so.
pub(super) fn times(ratio: f64) -> String {
    format!("{}×", number(ratio))
}

/// Two numbers with a dash between.
pub(super) fn range(from: f64, to: f64) -> String {
    format!("{} – {}", number(from), number(to))
}

/// The place of a suite's section on the page.
pub(super) fn anchor(suite: &str) -> String {
    format!("suite-{suite}")
}

/// How many threads.
pub(super) fn threads(count: usize) -> String {
    match count {
        1 => "1 thread".to_owned(),
        _ => format!("{count} threads"),
    }
}

/// Of how many repetitions, over some figures.
pub(super) fn runs<'a>(figures: impl Iterator<Item = &'a Figure> + Clone) -> String {
    let least = figures.clone().map(|one| one.runs).min().unwrap_or(0);
    let most = figures.map(|one| one.runs).max().unwrap_or(0);
    match most {
        1 => "one run".to_owned(),
        _ if least == most => format!("{most} repetitions"),
        _ => format!("{least} to {most} repetitions"),
    }
}

/// The place of a case's table on the page.
pub(super) fn anchor_of_case(suite: &str, case: &str) -> String {
    format!("{}-{case}", anchor(suite)).replace(char::is_whitespace, "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (figure, text) in [
            (0.0, "0"),
            (0.2571, "0.257"),
            (0.9961, "1.00"),
            (9.996, "10.0"),
            (12.345, "12.3"),
            (256.04, "256"),
            (8000.4, "8000"),
            (123_456.7, "123 457"),
            (12_345_678.0, "1.23e7"),
        ] {
            assert_eq!(number(figure), text);
        }
        assert_eq!(times(0.061), "0.061×");
        assert_eq!([0.0, 0.3, 20.0, 1e7].map(tick), ["0", "0.3", "20", "1e7"]);
        assert_eq!(range(1.0, 2.5), "1.00 – 2.50");
    }
}
