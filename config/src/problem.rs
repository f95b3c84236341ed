//! A problem in a document: position, field, message and remedy.

use std::fmt;

use portcullis_rules::{bounds::BoundedResource, policy::Position};

use crate::proto;

/// The reason of a refusal for what a document says.
pub(crate) const INVALID: &str = "invalid";

/// Something wrong or doubtful in a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentProblem {
    /// Path of the field, for example `spec.ingress[0].toPorts[0].ports[0].port`; empty for the whole document.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead; may be empty.
    pub remedy: String,
    /// Where it stands.
    pub position: Position,
    /// Whether the document is accepted nevertheless.
    pub warning: bool,
    /// Set where nothing is wrong with it but that it takes more than there is.
    pub exhausts: Option<BoundedResource>,
}

impl DocumentProblem {
    /// An error about a field, at a position that is not known yet.
    pub fn new(field: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), remedy: remedy.into(), ..Self::default() }
    }

    /// The same at a position.
    #[must_use]
    pub fn at(self, position: Position) -> Self {
        Self { position, ..self }
    }

    /// The same as a warning.
    #[must_use]
    pub fn as_warning(self) -> Self {
        Self { warning: true, ..self }
    }

    /// The same for taking more of something than there is.
    #[must_use]
    pub fn exhausting(self, resource: BoundedResource) -> Self {
        Self { exhausts: Some(resource), ..self }
    }

    /// The same in a document that begins at a line of a file, from 1.
    #[must_use]
    pub fn in_document_at(mut self, first_line: u32) -> Self {
        if self.position.line > 0 {
            self.position.line += first_line.saturating_sub(1);
        }
        self
    }
}

impl fmt::Display for DocumentProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.position.line > 0 {
            write!(f, "{}:{}: ", self.position.line, self.position.column)?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, " ({})", self.remedy) }
    }
}

impl From<DocumentProblem> for proto::Problem {
    fn from(problem: DocumentProblem) -> Self {
        let DocumentProblem { field, message, remedy, position, warning, exhausts } = problem;
        let reason = match (warning, exhausts) {
            (true, _) => "",
            (false, None) => INVALID,
            (false, Some(resource)) => resource.as_str(),
        };
        Self {
            field,
            message,
            remedy,
            line: position.line,
            column: position.column,
            warning,
            reason: reason.to_owned(),
        }
    }
}

impl From<portcullis_rules::policy::PolicyProblem> for DocumentProblem {
    fn from(problem: portcullis_rules::policy::PolicyProblem) -> Self {
        let portcullis_rules::policy::PolicyProblem { field, message, remedy, warning, exhausts } = problem;
        Self { field, message, remedy, warning, exhausts, position: Position::default() }
    }
}
