//! What somebody who watches a terminal sees of a run. Who reads a pipe gets none of it.

use std::io::{IsTerminal, Write, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on stderr, hidden if that is no terminal, with a message of so many columns.
pub(crate) fn bar(steps: u64, columns: usize) -> ProgressBar {
    let bar = if stderr().is_terminal() {
        ProgressBar::new(steps)
    } else {
        ProgressBar::hidden()
    };
    let template = format!("{{msg:<{columns}}} {{bar:30}} {{percent:>3}} %, about {{eta}} left");
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Something to know about the run, on stderr.
pub(crate) fn note(text: &str) {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(stderr().lock(), "note: {text}");
}
