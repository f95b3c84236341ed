//! Prints the node's result for each resource of an update.

use portcullis_config::proto::{Outcome, Problem, ResourceResult};
use serde::Serialize;

use crate::{
    cli::{
        exit::{ExitStatus, Failure},
        input::RefusedInput,
    },
    output::{CommandOutput, Style, plain},
    render::{Format, resources::key_words, structured},
};

/// Where a resource was written: a file's path and the first line of its document there, from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentSource {
    /// Path, or `-`.
    pub file: String,
    /// Line of the file at which the document begins.
    pub line: u32,
}

/// One resource's outcome, for scripts.
#[derive(Debug, Serialize)]
pub struct AppliedResource {
    #[serde(skip_serializing_if = "String::is_empty")]
    file: String,
    resource: String,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<ResultProblem>,
}

/// One problem, for scripts.
#[derive(Debug, Serialize)]
pub struct ResultProblem {
    line: u32,
    column: u32,
    field: String,
    message: String,
    remedy: String,
    warning: bool,
}

impl AppliedResource {
    /// The outcome of one resource. The node knows positions in the document; people want those in the file.
    #[must_use]
    pub fn new(result: ResourceResult, source: &DocumentSource, done: &'static str) -> Self {
        let outcome = if is_rejected(&result) { "refused" } else { done };
        let resource = key_words(&result.key.unwrap_or_default());
        let problems = result.problems.into_iter().map(|problem| ResultProblem::new(problem, source)).collect();
        Self { file: source.file.clone(), resource, outcome, problems }
    }

    /// A document that is no resource.
    #[must_use]
    pub fn unreadable(refused: RefusedInput) -> Self {
        let RefusedInput { key, problems, source } = refused;
        let resource = key.map_or_else(|| "document".into(), |key| key_words(&key));
        let problems = problems.into_iter().map(|problem| ResultProblem::new(problem.into(), &source)).collect();
        Self { file: source.file, resource, outcome: "refused", problems }
    }

    /// Whether it was refused.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.outcome == "refused"
    }

    /// Prints it for people: what is in force on standard output, what is wrong on standard error.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn print(&self, output: &mut CommandOutput) -> std::io::Result<()> {
        if self.is_refused() {
            let refused = output.paint_err.style(Style::Bad, "refused");
            output.say(format_args!("{} {refused}", self.resource));
        } else {
            output.line(format_args!("{} {}", self.resource, self.outcome))?;
        }
        for problem in &self.problems {
            problem.print(&self.file, output);
        }
        Ok(())
    }
}

impl ResultProblem {
    fn new(problem: Problem, source: &DocumentSource) -> Self {
        let Problem { field, message, remedy, line, column, warning, .. } = problem;
        let line = if line == 0 { source.line } else { line + source.line.saturating_sub(1) };
        Self { line, column, field, message, remedy, warning }
    }

    fn print(&self, file: &str, output: &mut CommandOutput) {
        let paint = output.paint_err;
        let place = match (file, self.line, self.column) {
            ("", _, _) => String::new(),
            (file, 0, _) => format!("{file}: "),
            (file, line, 0) => format!("{file}:{line}: "),
            (file, line, column) => format!("{file}:{line}:{column}: "),
        };
        let word = if self.warning { paint.style(Style::Warn, "warning:") } else { paint.style(Style::Bad, "error:") };
        let field = if self.field.is_empty() { String::new() } else { format!("{}: ", plain(&self.field)) };
        output.say(format_args!("  {place}{word} {field}{}", plain(&self.message)));
        if !self.remedy.is_empty() {
            output.say(format_args!("    {} {}", paint.style(Style::Strong, "help:"), plain(&self.remedy)));
        }
    }
}

/// Says which manifests are not ours.
pub fn say_skipped(skipped: &[(portcullis_config::DocumentProblem, DocumentSource)], output: &mut CommandOutput) {
    for (problem, source) in skipped {
        ResultProblem::new(problem.clone().into(), source).print(&source.file, output);
    }
}

/// Prints what became of each resource.
///
/// # Errors
/// At least one was refused, or standard output cannot be written.
pub fn show(entries: &[AppliedResource], format: Format, output: &mut CommandOutput) -> Result<(), Failure> {
    match structured(format, &entries)? {
        Some(text) => output.text(&text)?,
        None => entries.iter().try_for_each(|entry| entry.print(output))?,
    }
    if entries.iter().any(AppliedResource::is_refused) { Err(Failure::said(ExitStatus::Invalid)) } else { Ok(()) }
}

/// Whether the node refused it.
#[must_use]
pub fn is_rejected(result: &ResourceResult) -> bool {
    result.outcome() != Outcome::Accepted
}
