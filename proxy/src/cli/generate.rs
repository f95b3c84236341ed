//! Completion scripts and manual pages.

use std::path::Path;

use clap_mangen::Man;
use portcullis_codecs::Registry;

use crate::{
    cli::{
        arguments,
        exit::{ExitStatus, Failure},
    },
    output::CommandOutput,
};

/// Prints the completion script of a shell.
///
/// # Errors
/// Standard output cannot be written.
pub fn completion(protocols: Registry, shell: clap_complete::Shell, output: &mut CommandOutput) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut arguments::command(protocols), "portcullis", &mut script);
    Ok(output.text(&String::from_utf8_lossy(&script))?)
}

/// Writes all manual pages into a directory, or prints the main one.
///
/// # Errors
/// The directory or standard output cannot be written.
pub fn man(protocols: Registry, directory: Option<&Path>, output: &mut CommandOutput) -> Result<(), Failure> {
    let command = arguments::command(protocols);
    let Some(directory) = directory else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        return Ok(output.text(&String::from_utf8_lossy(&page))?);
    };
    clap_mangen::generate_to(command, directory).map_err(|error| {
        let message = format!("cannot write manual pages to {}: {error}", directory.display());
        Failure::new(ExitStatus::Failed, message, "name a directory that is there and may be written to")
    })
}
