//! `percid top`: the counters of a file, live or once.

mod sample;
mod screen;

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use percid::file::Reader;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use serde::Serialize;

use crate::args::Top;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;

use self::sample::{Order, Sample, rows};
use self::screen::Screen;

pub(crate) fn run(arguments: &Top, output: &mut Output) -> Result<Exit, Error> {
    let reader = Reader::attach(&arguments.file).map_err(|why| Error::Counters {
        path: arguments.file.clone(),
        why,
    })?;
    if arguments.once {
        let text = if arguments.json {
            serde_json::to_string_pretty(&Answer::new(&reader, arguments))? + "\n"
        } else {
            sample::table(&reader.totals())
        };
        output.write(&text)?;
        return Ok(Exit::Success);
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Error::NoTerminal);
    }
    live(&reader, arguments).map_err(Error::Terminal)?;
    Ok(Exit::Success)
}

/// What `--once --json` prints.
#[derive(Serialize)]
struct Answer {
    schema_version: u32,
    file: String,
    cpus: u32,
    counters: Vec<percid::file::Total>,
}

impl Answer {
    fn new(reader: &Reader, arguments: &Top) -> Answer {
        Answer {
            schema_version: 1,
            file: arguments.file.display().to_string(),
            cpus: reader.cpus(),
            counters: reader.totals(),
        }
    }
}

/// Shows the counters until somebody wants to leave.
fn live(reader: &Reader, arguments: &Top) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    // The terminal is itself again, whatever happens.
    let shown = show(&mut terminal, reader, arguments);
    ratatui::restore();
    shown
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    reader: &Reader,
    arguments: &Top,
) -> io::Result<()> {
    let interval = Duration::from_secs_f64(arguments.interval);
    let take = || Sample {
        at: Instant::now(),
        totals: reader.totals(),
    };
    let mut before = None;
    let mut now = take();
    let mut screen = Screen {
        file: arguments.file.display().to_string(),
        order: Order::default(),
        first: 0,
    };
    loop {
        let rows = rows(before.as_ref(), &now, screen.order);
        terminal.draw(|frame| screen.draw(frame, &rows))?;
        let due = now.at + interval;
        match event::poll(due.saturating_duration_since(Instant::now()))? {
            false => before = Some(std::mem::replace(&mut now, take())),
            true => match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                        return Ok(());
                    }
                    code => screen.key(code, rows.len()),
                },
                // A resized terminal is drawn anew.
                _ => {}
            },
        }
    }
}
