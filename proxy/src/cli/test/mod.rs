//! `portcullis test`: checks questions about policies against expected answers.

pub mod arguments;
pub mod ask;
pub mod document;
mod outcome;
mod reports;
mod scene;

use std::path::Path;

use portcullis_codecs::Registry;

use crate::{
    cli::{
        exit::{ExitStatus, Failure},
        gather::{self, File},
    },
    output::{CommandOutput, plain},
    render::{Format, structured},
};
use arguments::TestArguments;
use ask::Asked;
use document::{Case, Expect, TestDocument};
use outcome::{Suite, TestOutcome};
use scene::Scene;

/// Runs all tests that files hold.
///
/// # Errors
/// A test failed, something cannot be read or is refused, or standard output cannot be written.
pub fn run(
    protocols: Registry,
    arguments: &TestArguments,
    format: Format,
    output: &mut CommandOutput,
) -> Result<(), Failure> {
    let files = gather::gather(&arguments.paths)?;
    let mut suites = Vec::new();
    let mut wrong = broken(&files, output);
    for (file, text, line) in tests(&files) {
        match suite(protocols, file, text, line, arguments.filter.as_deref()) {
            Ok(suite) => suites.push(suite),
            Err(problems) => {
                wrong = true;
                problems.iter().for_each(|problem| output.say(plain(problem)));
            }
        }
    }
    if suites.iter().all(|suite| suite.tests.is_empty()) && !wrong {
        let names: Vec<_> = arguments.paths.iter().map(|path| path.display().to_string()).collect();
        let (message, remedy) = match &arguments.filter {
            Some(filter) if !suites.is_empty() => (format!("no test is called {filter:?}"), "is the filter right?"),
            _ => (
                format!("no test in {}", names.join(", ")),
                "name files with documents of kind PolicyTest, or directories with such files",
            ),
        };
        return Err(Failure::new(ExitStatus::Invalid, message, remedy));
    }
    match format {
        Format::Text => reports::text(&suites, arguments.quiet, output)?,
        Format::Tap => output.text(&reports::tap(&suites))?,
        Format::Junit => output.text(&reports::junit(&suites))?,
        _ => output.text(&structured(format, &suites)?.unwrap_or_default())?,
    }
    let failed = suites.iter().flat_map(|suite| &suite.tests).any(|test| !test.passed);
    match (wrong, failed) {
        (true, _) => Err(Failure::said(ExitStatus::Invalid)),
        (false, true) => Err(Failure::said(ExitStatus::Failed)),
        (false, false) => Ok(()),
    }
}

/// Says which documents cannot be read: each could be a test. Returns whether there is one.
fn broken(files: &[File], output: &mut CommandOutput) -> bool {
    let mut broken = false;
    for file in files {
        for document in &file.documents {
            let Err(refused) = &document.content else { continue };
            // What can be read and is no resource is somebody else's.
            for problem in refused.problems.iter().filter(|problem| problem.field.is_empty()) {
                let problem = problem.clone().in_document_at(document.line);
                output.say(plain(&format!("error: {}:{problem}", file.name())));
                broken = true;
            }
        }
    }
    broken
}

/// The documents that are tests, with their first lines.
fn tests(files: &[File]) -> impl Iterator<Item = (&File, &str, u32)> {
    files.iter().flat_map(|file| {
        file.documents.iter().filter_map(move |document| Some((file, document.test()?, document.line)))
    })
}

/// Runs the tests of one document.
fn suite(protocols: Registry, file: &File, text: &str, line: u32, filter: Option<&str>) -> Result<Suite, Vec<String>> {
    let first = line.saturating_sub(1);
    let document = parse(text).map_err(|(at, message)| {
        let place = at.map_or_else(|| format!("{line}"), |(line, column)| format!("{}:{column}", line + first));
        vec![format!("error: {}:{place}: {message}", file.name())]
    })?;
    let folder = file.path.parent().unwrap_or(Path::new(""));
    let mut scene = Scene::new(protocols, &document, file, folder)?;
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    // Parties are settled before anything is compiled: each may be somebody new.
    let mut asked = Vec::new();
    let mut problems = Vec::new();
    for case in document.spec.tests.iter().filter(|case| wanted(&case.value.name)) {
        let line = first + u32::try_from(case.referenced.line()).unwrap_or_default();
        match scene.question(&case.value) {
            Ok((question, expect)) => asked.push((line, &case.value, question, expect)),
            Err(message) => {
                problems.push(format!("error: {}:{line}: test {:?}: {message}", file.name(), case.value.name))
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let judge = scene.judge();
    let outcome = |(line, case, question, expect): &(u32, &Case, Asked, &Expect)| {
        TestOutcome::of(case, expect, *line, question, &judge)
    };
    let tests = asked.iter().map(outcome).collect();
    let stem = || file.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = document.metadata.name.clone().or_else(stem).unwrap_or_default();
    Ok(Suite { name, file: file.name(), tests })
}

/// A position in a document, and what is wrong there.
type Wrong = (Option<(u32, u32)>, String);

fn parse(text: &str) -> Result<TestDocument, Wrong> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let at = error.location().map(|location| (small(location.line()), small(location.column())));
        let rendered = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
        let message = rendered.lines().next().and_then(|line| line.split(" at line ").next()).unwrap_or("no test");
        (at, message.to_owned())
    })
}
