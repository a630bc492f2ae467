//! The standard output, whose reader may go at any time.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::error::Error;

/// Writes to the standard output until nobody reads it any more.
#[derive(Debug, Default)]
pub(crate) struct Output {
    closed: bool,
}

impl Output {
    /// Writes a text and passes it on at once.
    ///
    /// # Errors
    ///
    /// If it cannot be written; that nobody reads it is no error.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), Error> {
        if self.closed {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        match written {
            Err(why) if why.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other.map_err(Error::Output),
        }
    }

    /// A heading, where the reader is a terminal that wants such things: `NO_COLOR` and
    /// the like are heeded.
    pub(crate) fn bold(&self, text: &str) -> String {
        styled(Style::new().bold(), text)
    }

    /// Good news.
    pub(crate) fn good(&self, text: &str) -> String {
        styled(AnsiColor::Green.on_default(), text)
    }

    /// Bad news.
    pub(crate) fn bad(&self, text: &str) -> String {
        styled(AnsiColor::Red.on_default().bold(), text)
    }

    /// Whether the reader has gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }
}

fn styled(style: Style, text: &str) -> String {
    match anstream::AutoStream::choice(&io::stdout()) {
        anstream::ColorChoice::Never => text.to_owned(),
        _ => format!("{style}{text}{style:#}"),
    }
}
