//! What the program's exit code says.

use std::process::ExitCode;

use crate::error::Error;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Success = 0,
    /// Something went wrong that was not asked for.
    Failed = 1,
    /// What was asked for cannot be: clap ends with the same.
    Usage = 2,
    /// This host has no sections; percid works, on its fallback.
    Unsupported = 3,
    /// Between this program's own processes: another try may do.
    Again = 75,
}

/// Says on stderr what went wrong, if anything.
pub(crate) fn code(result: Result<Exit, Error>) -> ExitCode {
    let exit = result.unwrap_or_else(|error| {
        // A closed stderr leaves nobody to tell.
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr().lock(),
            format_args!("percid: {error}\n"),
        );
        error.exit()
    });
    ExitCode::from(exit as u8)
}
