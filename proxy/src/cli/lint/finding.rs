//! A finding as people and scripts see it.

use std::io;

use portcullis_rules::lint::{Check, Severity};
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::output::{CommandOutput, Style, plain};

/// One finding and where it stands.
#[derive(Clone, Debug)]
pub struct LocatedFinding {
    /// What kind.
    pub check: &'static Check,
    /// How much it weighs: that of its check, unless the document is refused for it.
    pub severity: Severity,
    /// Where.
    pub place: FindingPosition,
    /// `CiliumNetworkPolicy namespace/name`, or empty for a document that is none.
    pub policy: String,
    /// Path of the field; empty for the whole document.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead; may be empty.
    pub remedy: String,
    /// The other place that it takes for this.
    pub related: Option<FindingPosition>,
}

/// A position in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FindingPosition {
    /// Path of the file.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl std::fmt::Display for FindingPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", plain(&self.file), self.line, self.column)
    }
}

impl LocatedFinding {
    /// Prints it for people.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn print(&self, output: &mut CommandOutput) -> io::Result<()> {
        let paint = output.paint;
        let style = match self.severity {
            Severity::Error => Style::Bad,
            Severity::Warning => Style::Warn,
            Severity::Info => Style::Faint,
        };
        let head = format!("{} {}:", severity_word(self.severity), self.check.code);
        let field = if self.field.is_empty() { String::new() } else { format!("{}: ", plain(&self.field)) };
        output.line(format_args!("{}: {} {field}{}", self.place, paint.style(style, &head), plain(&self.message)))?;
        if let Some(related) = &self.related {
            output.line(format_args!("    {} {related}", paint.style(Style::Strong, "see:")))?;
        }
        if !self.remedy.is_empty() {
            output.line(format_args!("    {} {}", paint.style(Style::Strong, "help:"), plain(&self.remedy)))?;
        }
        Ok(())
    }
}

/// The word for people: an info is a hint.
fn severity_word(severity: Severity) -> &'static str {
    if severity == Severity::Info { "hint" } else { severity.as_str() }
}

impl Serialize for LocatedFinding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { check, severity, place, policy, field, message, remedy, related } = self;
        let mut object = serializer.serialize_struct("Finding", 11)?;
        object.serialize_field("code", check.code)?;
        object.serialize_field("name", check.name)?;
        object.serialize_field("severity", severity.as_str())?;
        object.serialize_field("file", &place.file)?;
        object.serialize_field("line", &place.line)?;
        object.serialize_field("column", &place.column)?;
        object.serialize_field("policy", policy)?;
        object.serialize_field("field", field)?;
        object.serialize_field("message", message)?;
        object.serialize_field("remedy", remedy)?;
        object.serialize_field("related", related)?;
        object.end()
    }
}

/// One check, for scripts.
#[derive(Debug, Serialize)]
pub struct CheckEntry {
    code: &'static str,
    name: &'static str,
    severity: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

impl From<&'static Check> for CheckEntry {
    fn from(check: &'static Check) -> Self {
        let Check { code, name, severity, meaning, remedy } = *check;
        Self { code, name, severity: severity.as_str(), meaning, remedy }
    }
}
