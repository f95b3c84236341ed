//! `portcullis release`: removes what a stopped node left.

use portcullis_redirect::Redirect;

use crate::{
    cli::{
        arguments::{ReleaseArguments, RunArguments},
        exit::{ExitStatus, Failure},
    },
    output::CommandOutput,
    run::{be_root, settings, start},
};

/// Removes everything of a node that does not run.
///
/// # Errors
/// A node runs, or something is left.
pub fn command(arguments: ReleaseArguments, output: &mut CommandOutput) -> Result<(), Failure> {
    be_root()?;
    let settings = settings::read(&RunArguments { config: arguments.config, ..RunArguments::default() })?;
    let released = Redirect::release(start::options(&settings)).map_err(|error| {
        Failure::new(
            ExitStatus::Failed,
            format!("nothing was released: {error}"),
            "a node that runs has to be stopped first",
        )
    })?;
    let told = if released { "released: everything passes\n" } else { "there was nothing to release\n" };
    Ok(output.text(told)?)
}
