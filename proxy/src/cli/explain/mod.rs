//! `explain`: what policies say, without a node.

pub mod arguments;
mod batch;
mod case;
mod documents;
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

/// Answers one question, or many.
///
/// # Errors
/// The answer is no, or there is none.
pub fn command(arguments: &ExplainArguments, format: Format, output: &mut Output) -> Result<(), Failure> {
    let enforcement = match arguments.enforcement {
        Enforcement::Default => portcullis_rules::settings::Enforcement::Default,
        Enforcement::Always => portcullis_rules::settings::Enforcement::Always,
        Enforcement::Never => portcullis_rules::settings::Enforcement::Never,
    };
    let extended_ip_protocols = arguments.enable_extended_ip_protocols;
    let settings = Settings { enforcement, extended_ip_protocols, ..Settings::default() };
    match &arguments.batch {
        Some(file) => batch::run(file, &settings, output),
        None => question::answer(arguments, &settings, format, output),
    }
}
