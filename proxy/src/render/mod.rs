//! Output for people and for scripts.

pub mod names;
mod request;
pub mod resources;
pub mod status;
pub mod table;
pub mod time;
pub mod verdict;

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::exit::{ExitStatus, Failure};

/// Form of what a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For scripts.
    Json,
    /// For people who like to keep it in a file.
    Yaml,
    /// SARIF 2.1.0, for code hosts; of `lint` only.
    #[value(hide = true)]
    Sarif,
    /// TAP 14, for test harnesses; of `test` only.
    #[value(hide = true)]
    Tap,
    /// JUnit's XML, for build servers; of `test` only.
    #[value(hide = true)]
    Junit,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Format {
    /// A failure: the command that was called has no such form.
    #[must_use]
    pub fn unknown_here(self) -> Failure {
        let word = self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let message = format!("this command does not print {word}");
        Failure::new(
            ExitStatus::Usage,
            message,
            "write -o text, -o json or -o yaml; sarif is for lint, tap and junit are for test",
        )
    }
}

/// Writes a value as JSON or YAML, with a newline at its end; `None` for [`Format::Text`], whose form is each
/// command's own.
///
/// # Errors
/// The value, or the command, has no such form.
pub fn structured(format: Format, value: &impl Serialize) -> Result<Option<String>, Failure> {
    let text = match format {
        Format::Text => return Ok(None),
        Format::Json => serde_json::to_string_pretty(value).map_err(Failure::internal)?,
        Format::Yaml => serde_saphyr::to_string(value).map_err(Failure::internal)?,
        other => return Err(other.unknown_here()),
    };
    Ok(Some(if text.ends_with('\n') { text } else { text + "\n" }))
}
