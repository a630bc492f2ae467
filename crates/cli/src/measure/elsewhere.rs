//! Measuring in a process of its own: this program again.

use std::process::{Command, Stdio};

use percid_benches::Error;
use percid_benches::plan::Job;

use crate::exit::Exit;

/// The hidden subcommand.
pub(crate) const MEASURE: &str = "__measure";

/// How often it is tried, where another try may do.
const TRIES: u32 = 5;

/// Measures one implementation.
pub(super) fn measure(job: &Job, implementation: &'static str) -> Result<f64, Error> {
    let failed = |why: String| Error::Elsewhere {
        implementation,
        why,
    };
    let program = std::env::current_exe().map_err(|why| failed(why.to_string()))?;
    let mut tries = 1;
    loop {
        let done = Command::new(&program)
            .args([MEASURE, job.suite.name, job.case.name, implementation])
            .stdin(Stdio::null())
            .output()
            .map_err(|why| failed(why.to_string()))?;
        if done.status.code() == Some(Exit::Again as i32) && tries < TRIES {
            tries += 1;
            continue;
        }
        let said = String::from_utf8_lossy(&done.stdout);
        return match said.trim().parse() {
            Ok(figure) if done.status.success() => Ok(figure),
            _ => {
                let why = String::from_utf8_lossy(&done.stderr);
                let why = why.trim().trim_start_matches("percid: ");
                Err(failed(format!("{why} ({})", done.status)))
            }
        };
    }
}
