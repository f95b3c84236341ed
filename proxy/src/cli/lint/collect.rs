//! Reads documents, lints them together, and assigns each finding its position.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use portcullis_codecs::Registry;
use portcullis_config::{
    Problem,
    documents::{self, Content, Document},
    proto::resource::Body,
};
use portcullis_rules::{
    lint::{self, Severity, check},
    policy::Policy,
    schema::Schema,
    settings::Settings,
    world::{Endpoint, World},
};

use super::finding::{Finding, Place};
use crate::cli::gather::File;

/// What was found.
#[derive(Debug, Default)]
pub struct Collected {
    /// Findings in the order of files and lines.
    pub findings: Vec<Finding>,
    /// Policies that were looked at.
    pub looked_at: usize,
    /// Whether a document would be refused.
    pub refused: bool,
}

/// A policy and where it was written.
struct Written<'a> {
    file: &'a File,
    document: &'a Document,
    policy: Arc<Policy>,
    problems: Vec<Problem>,
}

/// Looks at all documents together.
pub fn collect(protocols: Registry, files: &[File], settings: &Settings) -> Collected {
    let schemas = protocols.schemas();
    let mut collected = Collected::default();
    let mut written = Vec::new();
    let mut endpoints = Vec::new();
    for file in files {
        for document in &file.documents {
            take(file, document, (&schemas, settings), &mut written, &mut endpoints, &mut collected);
        }
    }
    let policies = written.iter().map(|written| Arc::clone(&written.policy)).collect();
    let world = World { endpoints, policies, settings: *settings, ..World::default() };
    let found = lint::lint(&world);
    collected.looked_at += written.len();
    let fields: HashSet<(usize, &str)> = found.iter().map(|found| (found.policy, found.field.as_str())).collect();
    for (number, written) in written.iter().enumerate() {
        for problem in &written.problems {
            collected.refused |= !problem.warning;
            // What a check says better, and what the engine only warns of: checks are for that.
            if !problem.warning && !fields.contains(&(number, problem.field.as_str())) {
                collected.findings.push(of_problem(written, problem, &schemas));
            }
        }
    }
    let found =
        found.iter().filter(|found| !(found.check.code == "PL003" && is_our_kind(written[found.policy].document)));
    collected.findings.extend(found.map(|found| of_check(found, &written)));
    let lines: HashMap<String, Vec<&str>> =
        files.iter().map(|file| (file.name(), file.text.lines().collect())).collect();
    let silenced = |finding: &Finding| lines.get(&finding.place.file).is_some_and(|lines| is_silenced(lines, finding));
    collected.findings.retain(|finding| !silenced(finding));
    collected.findings.sort_by(|a, b| (&a.place, a.check.code).cmp(&(&b.place, b.check.code)));
    collected
}

fn take<'a>(
    file: &'a File,
    document: &'a Document,
    (schemas, settings): (&[&'static Schema], &Settings),
    written: &mut Vec<Written<'a>>,
    endpoints: &mut Vec<Arc<Endpoint>>,
    collected: &mut Collected,
) {
    let refuse = |problems: &[Problem], collected: &mut Collected| {
        collected.refused = true;
        collected.findings.extend(problems.iter().map(|problem| unread(file, document, problem, schemas)));
    };
    match &document.content {
        Ok(Content::Resource(resource)) => match &resource.body {
            Some(Body::Policy(_)) => {
                let draft = documents::draft(document, &file.name(), schemas, settings);
                match draft.policy {
                    Some(policy) => {
                        written.push(Written { file, document, policy: Arc::new(policy), problems: draft.problems });
                    }
                    None => {
                        collected.looked_at += 1;
                        let errors: Vec<_> = draft.problems.into_iter().filter(|problem| !problem.warning).collect();
                        refuse(&errors, collected);
                    }
                }
            }
            Some(Body::Endpoint(endpoint)) => match documents::endpoint(endpoint) {
                Ok(endpoint) => endpoints.push(Arc::new(endpoint)),
                Err(problems) => refuse(&problems, collected),
            },
            _ => {}
        },
        Ok(Content::Foreign(_)) => {}
        Err(_) if is_foreign(document) => {}
        Err(refused) => refuse(&refused.problems, collected),
    }
}

/// A manifest of somebody else, as they stand beside policies in a repository.
fn is_foreign(document: &Document) -> bool {
    let ours = |version: &str| ["cilium.io/", "portcullis.io/"].iter().any(|group| version.starts_with(group));
    document.kind().is_some_and(|(version, _)| !ours(version))
}

/// A policy of our own kind. What Cilium has no more is no trap there: no Cilium ever reads it.
fn is_our_kind(document: &Document) -> bool {
    document.kind().is_some_and(|(version, _)| version.starts_with("portcullis.io/"))
}

/// The check that a problem of the parser belongs to.
fn code_of(problem: &Problem, schemas: &[&'static Schema]) -> &'static str {
    let last = problem.field.rsplit('.').next().unwrap_or_default();
    let retired = || schemas.iter().any(|schema| schema.nature.retired.is_some() && schema.protocol == last);
    if problem.message.starts_with("unsupported entity") {
        "PL002"
    } else if ["fromRequires", "toRequires", "l7", "l7proto"].contains(&last) || retired() {
        "PL003"
    } else {
        "PL001"
    }
}

fn of_problem(written: &Written<'_>, problem: &Problem, schemas: &[&'static Schema]) -> Finding {
    let mut finding = unread(written.file, written.document, problem, schemas);
    finding.policy = written.policy.full_name();
    finding
}

/// A problem of a document that may be no policy.
fn unread(file: &File, document: &Document, problem: &Problem, schemas: &[&'static Schema]) -> Finding {
    let position = problem.clone().in_document_at(document.line).position;
    let line = if position.line == 0 { document.line } else { position.line };
    Finding {
        check: check(code_of(problem, schemas)).unwrap_or(&lint::CHECKS[0]),
        severity: Severity::Error,
        place: Place { file: file.name(), line, column: position.column.max(1) },
        policy: String::new(),
        field: problem.field.clone(),
        message: problem.message.clone(),
        remedy: problem.remedy.clone(),
        related: None,
    }
}

fn of_check(found: &lint::Finding, written: &[Written<'_>]) -> Finding {
    let lint::Finding { check, policy, field, message, remedy, related } = found;
    let at = |policy: usize, field: &str| {
        let Written { file, document, .. } = &written[policy];
        let position = document.locate(field);
        let line = document.line + position.line.saturating_sub(1);
        Place { file: file.name(), line, column: position.column.max(1) }
    };
    Finding {
        check,
        severity: check.severity,
        place: at(*policy, field),
        policy: written[*policy].policy.full_name(),
        field: field.clone(),
        message: message.clone(),
        remedy: remedy.clone(),
        related: related.as_ref().map(|(policy, field)| at(*policy, field)),
    }
}

/// Whether a comment on the line, or alone on the line before it, silences it: `# lint: ignore PL204 PL303`.
fn is_silenced(lines: &[&str], finding: &Finding) -> bool {
    let names = |comment: &str| {
        let codes = comment.split_once("lint: ignore").map(|(_, codes)| codes);
        codes.is_some_and(|codes| codes.split([' ', ',']).any(|code| code == finding.check.code))
    };
    let line = usize::try_from(finding.place.line).unwrap_or_default();
    let at = |line: usize| line.checked_sub(1).and_then(|line| lines.get(line)).copied().unwrap_or_default();
    let behind = at(line).split_once('#').is_some_and(|(_, comment)| names(comment));
    let alone = at(line.saturating_sub(1)).trim_start().strip_prefix('#').is_some_and(names);
    behind || alone
}
