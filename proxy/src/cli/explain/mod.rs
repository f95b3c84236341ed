//! `explain`: answers questions about policies, from documents or from a running node.

pub mod arguments;
pub(crate) mod flags;
mod node;
pub mod peers;
mod question;
mod told;
pub mod traffic;

use clap::ArgMatches;
use portcullis_codecs::Registry;
use portcullis_rules::settings::PolicySettings;

use crate::{
    cli::{client::NodeClient, exit::Failure, explain::arguments::ExplainArguments},
    output::CommandOutput,
    render::Format,
};

/// What is asked, and by which protocols it is judged.
pub struct ExplainQuestion<'a> {
    /// The protocols that policies may name.
    pub protocols: Registry,
    /// The flags that every question has.
    pub arguments: &'a ExplainArguments,
    /// Those of protocols are among these.
    pub matches: &'a ArgMatches,
    /// The node that is asked where no documents are named.
    pub node: NodeClient<'a>,
}

/// Answers the question.
///
/// # Errors
/// The answer is no, or there is none.
pub fn command(asked: &ExplainQuestion<'_>, format: Format, output: &mut CommandOutput) -> Result<(), Failure> {
    question::answer(asked, format, output).map_err(|failure| told::unanswered(failure, format, output))
}

/// Settings, with what the flags say of them.
fn with_flags(arguments: &ExplainArguments, settings: PolicySettings) -> PolicySettings {
    let enforcement = arguments.enforcement.unwrap_or(settings.enforcement);
    let extended_ip_protocols = settings.extended_ip_protocols || arguments.enable_extended_ip_protocols;
    PolicySettings { enforcement, extended_ip_protocols, ..settings }
}
