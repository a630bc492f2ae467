//! Threads serve the lines of a text file and count words by class, each on
//! static counters that all of them share; a sequential pass checks the totals.
//!
//! ```text
//! cargo run --release --example requests -- [FILE] [THREADS]
//! ```
//!
//! The idea to take home: the counters are plain statics, any thread adds to them
//! with plain instructions of its own CPU, and no thread has to be asked for its part.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use memmap2::Mmap;
use percid::Counter;

static LINES: Counter = Counter::new();
static BYTES: Counter = Counter::new();
static WORDS: [Counter; Class::ALL.len()] = [const { Counter::new() }; Class::ALL.len()];

/// What kind of word it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Lower,
    Capitalised,
    Upper,
    Number,
    Code,
}

impl Class {
    const ALL: [Class; 5] = [
        Class::Lower,
        Class::Capitalised,
        Class::Upper,
        Class::Number,
        Class::Code,
    ];

    /// The class of a word without the punctuation around it; `None` if nothing
    /// is left.
    fn of(word: &str) -> Option<Class> {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let mut letters = word.chars();
        let first = letters.next()?;
        Some(
            if word.chars().all(|c| c.is_numeric() || ".,%".contains(c)) {
                Class::Number
            } else if !word.chars().all(|c| c.is_alphabetic() || "'’-".contains(c)) {
                Class::Code
            } else if !word.chars().any(char::is_lowercase) {
                Class::Upper
            } else if letters.any(char::is_uppercase) {
                Class::Code
            } else if first.is_uppercase() {
                Class::Capitalised
            } else {
                Class::Lower
            },
        )
    }
}

/// The totals of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    lines: u64,
    bytes: u64,
    words: [u64; Class::ALL.len()],
}

/// One line served: counted where all threads count.
fn serve(line: &str) {
    LINES.inc();
    BYTES.add(line.len() as u64);
    for class in line.split_whitespace().filter_map(Class::of) {
        WORDS[class as usize].inc();
    }
}

/// Serves every line, whichever thread is free, and takes the totals.
fn in_parallel(text: &str, threads: usize) -> Totals {
    let lines: Vec<&str> = text.lines().collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                    serve(line);
                }
            });
        }
    });
    Totals {
        lines: LINES.take(),
        bytes: BYTES.take(),
        words: WORDS.each_ref().map(Counter::take),
    }
}

/// The same totals by one thread, in plain integers.
fn in_sequence(text: &str) -> Totals {
    let mut totals = Totals::default();
    for line in text.lines() {
        totals.lines += 1;
        totals.bytes += line.len() as u64;
        for class in line.split_whitespace().filter_map(Class::of) {
            totals.words[class as usize] += 1;
        }
    }
    totals
}

/// The file's text, without reading it into memory of our own.
fn map(path: &Path) -> Result<Mmap, String> {
    let failed = |why| format!("{}: {why}", path.display());
    let file = File::open(path).map_err(failed)?;
    // SAFETY: if another program changes the file meanwhile the two passes may
    // differ, which is reported; the text is checked for UTF-8 once, so it must
    // not be changed in place.
    unsafe { Mmap::map(&file) }.map_err(failed)
}

fn run() -> Result<(), String> {
    let mut arguments = std::env::args_os().skip(1);
    let path = arguments.next().map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")),
        PathBuf::from,
    );
    let threads = match arguments.next() {
        None => thread::available_parallelism().map_or(2, usize::from),
        Some(count) => (count.to_str())
            .and_then(|count| count.parse().ok())
            .filter(|&count| count > 0)
            .ok_or_else(|| format!("{}: not a number of threads", count.display()))?,
    };
    let bytes = map(&path)?;
    let text = str::from_utf8(&bytes).map_err(|why| format!("{}: {why}", path.display()))?;

    let totals = in_parallel(text, threads);
    println!(
        "{} by {threads} threads ({})",
        path.display(),
        percid::backend().source
    );
    println!("{:>12} lines\n{:>12} bytes", totals.lines, totals.bytes);
    for (class, count) in Class::ALL.iter().zip(totals.words) {
        println!("{count:>12} words, {class:?}");
    }
    let expected = in_sequence(text);
    if totals != expected {
        return Err(format!("a sequential pass found {expected:?}"));
    }
    println!("a sequential pass agrees");
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("requests: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        for (word, class) in [
            ("word", Some(Class::Lower)),
            ("don't,", Some(Class::Lower)),
            ("(Rust)", Some(Class::Capitalised)),
            ("CPU", Some(Class::Upper)),
            ("1,024", Some(Class::Number)),
            ("fetch_add", Some(Class::Code)),
            ("mmCid", Some(Class::Code)),
            ("--", None),
        ] {
            assert_eq!(Class::of(word), class, "{word}");
        }
    }

    #[test]
    fn a_real_file_by_many_threads() {
        let bytes = map(Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/requests.rs"
        )))
        .unwrap();
        let text = str::from_utf8(&bytes).unwrap();
        let expected = in_sequence(text);
        assert!(expected.words.iter().all(|&count| count > 0));
        for threads in [1, 2, 8] {
            assert_eq!(in_parallel(text, threads), expected);
        }
    }

    #[test]
    fn a_file_that_is_not_there() {
        assert!(
            map(Path::new("/no/such/file"))
                .unwrap_err()
                .starts_with("/no/such/file: ")
        );
    }
}
