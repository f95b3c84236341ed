//! Reads documents, lints them together, and assigns each finding its position.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use portcullis_codecs::Registry;
use portcullis_config::{
    DocumentProblem,
    documents::{self, Document, DocumentContent},
    proto::resource::Body,
};
use portcullis_rules::{
    lint::{self, Severity, check},
    policy::Policy,
    schema::Schema,
    settings::PolicySettings,
    world::World,
};

use super::{
    finding::{FindingPosition, LocatedFinding},
    tree::{self, PassedOver, Surroundings, Untold},
};
use crate::{cli::gather::File, render::resources::key_words};

/// What was found.
#[derive(Debug, Default)]
pub struct Collected {
    /// Findings in the order of files and lines.
    pub findings: Vec<LocatedFinding>,
    /// Policies that were looked at.
    pub looked_at: usize,
    /// What is nobody's that lint is for.
    pub passed_over: PassedOver,
    /// Whether a document would be refused.
    pub refused: bool,
}

/// A policy and where it was written.
struct LocatedPolicy<'a> {
    file: &'a File,
    document: &'a Document,
    policy: Arc<Policy>,
    /// What messages call it.
    name: String,
    /// Nobody tells its namespace.
    unplaced: bool,
    problems: Vec<DocumentProblem>,
    /// What a node says besides.
    live: Vec<DocumentProblem>,
}

/// What all documents are read with.
struct Reader<'a> {
    schemas: &'a [&'static Schema],
    live: &'a [&'static Schema],
    settings: &'a PolicySettings,
    surroundings: Surroundings,
}

/// What was read.
#[derive(Default)]
struct Read<'a> {
    written: Vec<LocatedPolicy<'a>>,
    world: World,
    /// Where each resource was given, by its directory and name.
    given: HashMap<(PathBuf, String), (&'a File, &'a Document)>,
}

/// Looks at all documents together.
pub fn collect(protocols: Registry, files: &[File], settings: &PolicySettings) -> Collected {
    let (schemas, live) = (protocols.schemas(), protocols.live_schemas());
    let reader = Reader { schemas: &schemas, live: &live, settings, surroundings: Surroundings::of(files) };
    let mut collected = Collected::default();
    let mut read = Read::default();
    for file in files {
        if reader.surroundings.is_patch(file) {
            collected.passed_over.patches += file.documents.len();
            continue;
        }
        collected.passed_over.unreadable += usize::from(file.text.is_empty() && file.documents.is_empty());
        for document in &file.documents {
            reader.take(file, document, &mut read, &mut collected);
        }
    }
    let Read { mut written, world, .. } = read;
    settle(&mut written, &reader.surroundings);
    let policies = written.iter().map(|written| Arc::clone(&written.policy)).collect();
    let world = World { policies, settings: *settings, ..world };
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
        for problem in &written.live {
            collected.refused |= !problem.warning;
            collected.findings.push(of_node(written, problem));
        }
    }
    let tellable = |found: &&lint::LintFinding| {
        let written = &written[found.policy];
        match found.check.code {
            "PL003" => !is_our_kind(written.document),
            "PL104" => !(written.unplaced && found.message.starts_with("selects none")),
            _ => true,
        }
    };
    collected.findings.extend(found.iter().filter(tellable).map(|found| of_check(found, &written)));
    let lines: HashMap<String, Vec<&str>> =
        files.iter().map(|file| (file.name(), file.text.lines().collect())).collect();
    let silenced =
        |finding: &LocatedFinding| lines.get(&finding.place.file).is_some_and(|lines| is_silenced(lines, finding));
    collected.findings.retain(|finding| !silenced(finding));
    collected.findings.sort_by(|a, b| (&a.place, a.check.code).cmp(&(&b.place, b.check.code)));
    collected
}

/// Gives policies that name no namespace the one that kustomize does, or sets them apart by their directories.
fn settle(written: &mut [LocatedPolicy<'_>], surroundings: &Surroundings) {
    let bare =
        |written: &LocatedPolicy<'_>| written.policy.namespace.is_some() && written.document.namespace().is_none();
    let mut untold = Untold::default();
    for written in written.iter().filter(|written| bare(written)) {
        if surroundings.namespace(written.file).is_none() {
            untold.add(tree::directory(written.file));
        }
    }
    for written in written.iter_mut().filter(|written| bare(written)) {
        let told = surroundings.namespace(written.file).map(str::to_owned);
        let apart = told.is_none().then(|| untold.apart(&tree::directory(written.file))).flatten();
        written.unplaced = apart.is_some();
        if let Some(namespace) = told.clone().or(apart) {
            let mut policy = Policy::clone(&written.policy);
            policy.namespace = Some(namespace.into());
            if told.is_some() {
                written.name = policy.full_name();
            }
            written.policy = Arc::new(policy);
        }
    }
}

impl Reader<'_> {
    fn take<'a>(&self, file: &'a File, document: &'a Document, read: &mut Read<'a>, collected: &mut Collected) {
        let resource = match &document.content {
            Ok(DocumentContent::Resource(resource)) => resource,
            Ok(DocumentContent::Foreign(_)) => {
                collected.passed_over.others += 1;
                return;
            }
            Err(refused) => {
                if !tree::pass_over(file, document, &mut collected.passed_over) {
                    self.refuse(file, document, &refused.problems, collected);
                }
                return;
            }
        };
        if self.is_given_twice(file, document, read, collected) {
            return;
        }
        let problems = match &resource.body {
            Some(Body::Policy(_)) => {
                self.policy(file, document, read, collected);
                return;
            }
            Some(Body::Endpoint(endpoint)) => {
                documents::endpoint(endpoint).map(|endpoint| read.world.endpoints.push(Arc::new(endpoint)))
            }
            Some(Body::Service(service)) => {
                documents::service(service).map(|service| read.world.services.push(Arc::new(service)))
            }
            Some(Body::CidrGroup(group)) => {
                documents::cidr_group(group).map(|group| read.world.cidr_groups.push(Arc::new(group)))
            }
            Some(Body::Secret(_)) | None => Ok(()),
        };
        if let Err(problems) = problems {
            self.refuse(file, document, &problems, collected);
        }
    }

    fn policy<'a>(&self, file: &'a File, document: &'a Document, read: &mut Read<'a>, collected: &mut Collected) {
        let draft = documents::draft(document, &file.name(), self.schemas, self.settings);
        let errors: Vec<DocumentProblem> = draft.problems.iter().filter(|problem| !problem.warning).cloned().collect();
        if !errors.is_empty() && tree::pass_over_template(file, document, &mut collected.passed_over) {
            return;
        }
        let Some(policy) = draft.policy else {
            collected.looked_at += 1;
            self.refuse(file, document, &errors, collected);
            return;
        };
        let mut live = documents::live_problems(document, self.live, self.settings);
        live.retain(|problem| !draft.problems.iter().any(|known| known.field == problem.field));
        if !errors.is_empty() {
            live.clear();
        }
        let (policy, problems) = (Arc::new(policy), draft.problems);
        let name = policy.full_name();
        read.written.push(LocatedPolicy { file, document, policy, name, unplaced: false, problems, live });
    }

    /// Finds a resource that was given before, by a document that is in force together with this one: of the same file, or of
    /// the same directory unless kustomize puts that together.
    fn is_given_twice<'a>(
        &self,
        file: &'a File,
        document: &'a Document,
        read: &mut Read<'a>,
        collected: &mut Collected,
    ) -> bool {
        let Some(key) = document.key().filter(|key| !key.name.is_empty()) else { return false };
        let place = if self.surroundings.is_built(file) { file.path.clone() } else { tree::directory(file) };
        let name = key_words(&key);
        let (first, at) = *read.given.entry((place, name.clone())).or_insert((file, document));
        if std::ptr::eq(at, document) {
            return false;
        }
        let message = format!("{name} is given by {} already", first.name());
        let problem = DocumentProblem::new("metadata.name", message, "").at(document.locate("metadata.name"));
        let mut finding = unread(file, document, &problem, self.schemas);
        let twice = check("PL006").unwrap_or(&lint::CHECKS[0]);
        finding.remedy = twice.remedy.to_owned();
        finding.check = twice;
        finding.related = Some(place_of(first, at, "metadata.name"));
        collected.findings.push(finding);
        collected.refused = true;
        true
    }

    fn refuse(&self, file: &File, document: &Document, problems: &[DocumentProblem], collected: &mut Collected) {
        collected.refused = true;
        let template = tree::is_template(file, document) && !document.is_readable();
        collected.findings.extend(problems.iter().map(|problem| {
            let mut finding = unread(file, document, problem, self.schemas);
            if template {
                finding.remedy =
                    "this is a template: render it first, as `helm template` does, and lint what comes out".into();
            }
            finding
        }));
    }
}

fn place_of(file: &File, document: &Document, field: &str) -> FindingPosition {
    let position = document.locate(field);
    let line = document.line + position.line.saturating_sub(1);
    FindingPosition { file: file.name(), line, column: position.column.max(1) }
}

/// A policy of our own kind. What Cilium has no more is no trap there: no Cilium ever reads it.
fn is_our_kind(document: &Document) -> bool {
    document.kind().is_some_and(|(version, _)| version.starts_with("portcullis.io/"))
}

/// The check that a problem of the parser belongs to.
fn code_of(problem: &DocumentProblem, schemas: &[&'static Schema]) -> &'static str {
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

/// What a node says of a policy that the offline commands take.
fn of_node(written: &LocatedPolicy<'_>, problem: &DocumentProblem) -> LocatedFinding {
    let check = check(if problem.warning { "PL005" } else { "PL004" }).unwrap_or(&lint::CHECKS[0]);
    let remedy = if problem.warning { problem.remedy.clone() } else { check.remedy.to_owned() };
    LocatedFinding { check, severity: check.severity, remedy, ..of_problem(written, problem, &[]) }
}

fn of_problem(written: &LocatedPolicy<'_>, problem: &DocumentProblem, schemas: &[&'static Schema]) -> LocatedFinding {
    let mut finding = unread(written.file, written.document, problem, schemas);
    finding.policy.clone_from(&written.name);
    finding
}

/// A problem of a document that may be no policy.
fn unread(file: &File, document: &Document, problem: &DocumentProblem, schemas: &[&'static Schema]) -> LocatedFinding {
    let position = problem.clone().in_document_at(document.line).position;
    let line = if position.line == 0 { document.line } else { position.line };
    LocatedFinding {
        check: check(code_of(problem, schemas)).unwrap_or(&lint::CHECKS[0]),
        severity: Severity::Error,
        place: FindingPosition { file: file.name(), line, column: position.column.max(1) },
        policy: String::new(),
        field: problem.field.clone(),
        message: problem.message.clone(),
        remedy: problem.remedy.clone(),
        related: None,
    }
}

fn of_check(found: &lint::LintFinding, written: &[LocatedPolicy<'_>]) -> LocatedFinding {
    let lint::LintFinding { check, severity, policy, field, message, remedy, related } = found;
    let at = |policy: usize, field: &str| place_of(written[policy].file, written[policy].document, field);
    LocatedFinding {
        check,
        severity: *severity,
        place: at(*policy, field),
        policy: written[*policy].name.clone(),
        field: field.clone(),
        message: message.clone(),
        remedy: remedy.clone(),
        related: related.as_ref().map(|(policy, field)| at(*policy, field)),
    }
}

/// Whether a comment on the line, or alone on the line before it, silences it: `# lint: ignore PL204 PL303`.
fn is_silenced(lines: &[&str], finding: &LocatedFinding) -> bool {
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
