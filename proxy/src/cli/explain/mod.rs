//! `explain`: what policies say, those of documents or those of a running node.

pub mod arguments;
mod batch;
mod case;
mod documents;
mod node;
mod question;
mod tables;
mod told;
pub(crate) mod town;
pub(crate) mod traffic;

use portcullis_rules::settings::Settings;

use crate::{
    cli::{arguments::Enforcement, exit::Failure, explain::arguments::ExplainArguments},
    output::Output,
    render::Format,
};

/// Answers one question, or many. `server` is the node that is asked where no documents are named.
///
/// # Errors
/// The answer is no, or there is none.
pub fn command(arguments: &ExplainArguments, server: &str, format: Format, output: &mut Output) -> Result<(), Failure> {
    let answered = match &arguments.batch {
        Some(file) => batch::run(file, &with_flags(arguments, Settings::default()), output),
        None => question::answer(arguments, server, format, output),
    };
    answered.map_err(|failure| told::unanswered(failure, format, output))
}

/// Settings, with what the flags say of them.
fn with_flags(arguments: &ExplainArguments, settings: Settings) -> Settings {
    use portcullis_rules::settings::Enforcement as Mode;
    let enforcement = match arguments.enforcement {
        None => settings.enforcement,
        Some(Enforcement::Default) => Mode::Default,
        Some(Enforcement::Always) => Mode::Always,
        Some(Enforcement::Never) => Mode::Never,
    };
    let extended_ip_protocols = settings.extended_ip_protocols || arguments.enable_extended_ip_protocols;
    Settings { enforcement, extended_ip_protocols, ..settings }
}
