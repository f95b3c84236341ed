//! How things are shown to people and to scripts.

pub mod resources;
pub mod status;
pub mod table;
pub mod time;
pub mod verdict;

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::exit::Failure;

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
}

/// Writes a value as JSON or YAML, with a newline at its end; `None` for [`Format::Text`], whose form is each
/// command's own.
///
/// # Errors
/// The value has no such form.
pub fn structured(format: Format, value: &impl Serialize) -> Result<Option<String>, Failure> {
    let text = match format {
        Format::Text => return Ok(None),
        Format::Json => serde_json::to_string_pretty(value).map_err(Failure::internal)?,
        Format::Yaml => serde_saphyr::to_string(value).map_err(Failure::internal)?,
    };
    Ok(Some(if text.ends_with('\n') { text } else { text + "\n" }))
}
