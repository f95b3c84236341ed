//! The command line.

pub mod apply;
pub mod arguments;
pub mod client;
pub mod delete;
pub mod exit;
pub mod explain;
pub mod gather;
pub mod generate;
pub mod get;
pub mod input;
pub mod kinds;
pub mod lint;
pub mod monitor;
pub mod results;
pub mod status;
pub mod test;

use std::{ffi::OsString, process::ExitCode};

use clap::{ArgMatches, FromArgMatches};
use portcullis_codecs::{PROTOCOLS, Registry};

use crate::{
    cli::{
        arguments::{Arguments, CliCommand},
        client::{NodeClient, block_on},
        exit::{ExitStatus, Failure},
    },
    output::CommandOutput,
    run,
};

/// Runs the command that the arguments name, on the process's own streams.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut output = CommandOutput::process();
    execute(PROTOCOLS, arguments, &mut output).into()
}

/// Runs the command that the arguments name. The first argument is the program's name; `protocols` are those that policies
/// may name, for all that needs no node.
pub fn execute(
    protocols: Registry,
    arguments: impl IntoIterator<Item = OsString>,
    output: &mut CommandOutput,
) -> ExitStatus {
    let matches = arguments::command(protocols).try_get_matches_from(arguments);
    let parsed = matches.and_then(|matches| Ok((Arguments::from_arg_matches(&matches)?, matches)));
    let (arguments, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error, output),
    };
    let done = dispatch(protocols, arguments, &matches, output).and_then(|()| Ok(output.flush()?));
    match done {
        Ok(()) => ExitStatus::Ok,
        Err(failure) => {
            failure.print(output);
            failure.exit
        }
    }
}

/// `--help` and `--version` go to standard output; a wrong command line goes to standard error.
fn usage(error: &clap::Error, output: &mut CommandOutput) -> ExitStatus {
    let paint = if error.use_stderr() { output.paint_err } else { output.paint };
    let text = if paint.0 { error.render().ansi().to_string() } else { error.render().to_string() };
    if error.use_stderr() {
        output.say(text.trim_end());
        return ExitStatus::Usage;
    }
    match output.text(&text).and_then(|()| output.flush()) {
        Ok(()) => ExitStatus::Ok,
        Err(error) => Failure::from(error).exit,
    }
}

fn dispatch(
    protocols: Registry,
    arguments: Arguments,
    matches: &ArgMatches,
    output: &mut CommandOutput,
) -> Result<(), Failure> {
    let Arguments { command, server, format } = arguments;
    let node = NodeClient::new(&server);
    match command {
        CliCommand::Run(arguments) if arguments.check => run::check(&arguments, output),
        CliCommand::Run(arguments) => run::command(*arguments),
        CliCommand::Release(arguments) => run::release::command(arguments, output),
        CliCommand::Apply(arguments) => block_on(apply::run(node, &arguments, format, output)),
        CliCommand::Delete(arguments) => block_on(delete::run(node, &arguments, format, output)),
        CliCommand::Get(arguments) => block_on(get::run(node, &arguments, format, output)),
        CliCommand::Status => block_on(status::run(node, format, output)),
        CliCommand::Monitor(arguments) => block_on(monitor::run(node, &arguments, format, output)),
        CliCommand::Explain(arguments) => {
            let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
            let asked = explain::ExplainQuestion { protocols, arguments: &arguments, matches, node };
            explain::command(&asked, format, output)
        }
        CliCommand::Lint(arguments) => lint::run(protocols, &arguments, format, output),
        CliCommand::Test(arguments) => test::run(protocols, &arguments, format, output),
        CliCommand::Completion { shell } => generate::completion(protocols, shell, output),
        CliCommand::Man { directory } => generate::man(protocols, directory.as_deref(), output),
    }
}
