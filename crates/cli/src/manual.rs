//! What describes the command line to shells and to `man`.

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::args::Arguments;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;

/// Prints what makes a shell complete it.
pub(crate) fn completions(shell: Shell, output: &mut Output) -> Result<Exit, Error> {
    let mut command = visible(&Arguments::command());
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "percid", &mut script);
    print(script, output)
}

/// The command line without what is for the program itself: no shell shall offer that.
fn visible(whole: &Command) -> Command {
    let shown = whole.get_subcommands().filter(|one| !one.is_hide_set());
    Command::new("percid")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommands(shown.cloned())
}

/// Prints the page of the program, or of one of its commands.
pub(crate) fn page(names: &[String], output: &mut Output) -> Result<Exit, Error> {
    let mut command = Arguments::command();
    command.build();
    for name in names {
        let found = command
            .get_subcommands()
            .find(|one| one.get_name() == name && !one.is_hide_set());
        command = found.cloned().ok_or_else(|| Error::NoCommand {
            name: names.join(" "),
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .source(concat!("percid ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .map_err(Error::Output)?;
    print(page, output)
}

fn print(text: Vec<u8>, output: &mut Output) -> Result<Exit, Error> {
    output.write(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Success)
}
