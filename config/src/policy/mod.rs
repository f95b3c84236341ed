//! Policy documents: CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy, the same under kinds of our own, and
//! NetworkPolicy of Kubernetes.

mod cidrs;
mod entry;
mod headers;
mod icmp;
mod kubernetes;
mod l7;
mod peers;
mod ports;
mod rule;
mod selector;
mod services;

use std::sync::Arc;

pub(crate) use self::cidrs::{CIDR_REMEDY, parse_cidr};

use portcullis_rules::{
    bounds::{BoundedResource, Effort},
    policy::{Policy, PolicyKind, Rule, validate},
    schema::Schema,
    settings::{DenyScope, DenyWith, OpenConnections, PolicySettings},
};

use crate::{
    metadata::{self, Metadata},
    problem::DocumentProblem,
    settings::words,
    yaml::{self, Parsed, Tree, YamlField},
};

/// Cilium's kinds of policies, and whether each is of one namespace.
const CILIUMS: (&str, [(&str, bool); 2]) =
    ("cilium.io/v2", [("CiliumNetworkPolicy", true), ("CiliumClusterwideNetworkPolicy", false)]);
/// The same policies under names of our own group: for clusters whose definitions of Cilium's kinds lack a field that is
/// understood here, such as `rules.kafka`, or that have none of Cilium's kinds at all.
const OURS: (&str, [(&str, bool); 2]) =
    ("portcullis.io/v1", [("NetworkPolicy", true), ("ClusterwideNetworkPolicy", false)]);
/// How requests are answered that this policy denies.
const DENY_WITH: &str = "portcullis.io/deny-with";
/// How queries for names are answered that this policy denies.
const DENY_NAMES_WITH: &str = "portcullis.io/dns-deny-with";
const DENY_SCOPE: &str = "portcullis.io/deny-scope";
/// What becomes of connections that are open when this policy comes.
const OPEN_CONNECTIONS: &str = "portcullis.io/open-connections";
/// Prefix of annotations that are ours.
const ANNOTATIONS: &str = "portcullis.io/";

/// What a document is read with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Language<'a> {
    /// The protocols that `toPorts[].rules` may name.
    pub(crate) schemas: &'a [&'static Schema],
    /// Settings that change what is accepted.
    pub(crate) settings: &'a PolicySettings,
    /// What documents that are read together take.
    pub(crate) effort: &'a Effort,
    /// The policy is to bind live traffic, so what that will not be held to is said.
    pub(crate) live: bool,
}

impl Language<'_> {
    /// Warns of something that live traffic will not be held to.
    pub(crate) fn warn_live(
        self,
        field: &YamlField<'_>,
        message: &str,
        remedy: &str,
        problems: &mut Vec<DocumentProblem>,
    ) {
        if self.live {
            problems.push(field.problem(message, remedy).as_warning());
        }
    }
}

/// A policy that was read.
#[derive(Debug)]
pub(crate) struct ReadPolicy {
    /// The policy; `None` when there is an error among the problems.
    pub(crate) policy: Option<Policy>,
    /// Errors and warnings, in the order of the document.
    pub(crate) problems: Vec<DocumentProblem>,
}

/// A document of so many bytes may take as much memory as one policy may while it is read.
const LEAST_PART: usize = 32;

/// Steps of reading one byte of a document.
const STEPS: usize = 4;

/// Reads and checks one document. One that is too long for the bounds is not read.
pub(crate) fn read(document: &str, origin: &Arc<str>, language: Language<'_>) -> ReadPolicy {
    match admit(document, language) {
        Ok(()) => read_tree(&yaml::parse(document), origin, language),
        Err(problem) => ReadPolicy { policy: None, problems: vec![problem] },
    }
}

/// Does what [`read`] does with a document that has been parsed.
pub(crate) fn read_parsed(document: &str, parsed: &Parsed, origin: &Arc<str>, language: Language<'_>) -> ReadPolicy {
    match admit(document, language) {
        Ok(()) => read_tree(parsed, origin, language),
        Err(problem) => ReadPolicy { policy: None, problems: vec![problem] },
    }
}

/// Whether the bounds let a document be read; takes what that costs.
fn admit(document: &str, language: Language<'_>) -> Result<(), DocumentProblem> {
    let longest = language.settings.bounds.policy_memory / LEAST_PART;
    if document.len() > longest {
        let message = format!("has {} bytes, and may have {longest}", document.len());
        let remedy = format!("write several smaller policies, or raise {}", BoundedResource::PolicyMemory.setting());
        return Err(DocumentProblem::new("", message, remedy).exhausting(BoundedResource::PolicyMemory));
    }
    if !language.effort.take(STEPS.saturating_mul(document.len())) {
        let most = language.settings.bounds.work;
        let message = format!("the update takes more than {most} steps to be read up to here");
        let remedy = format!("send less at a time, or raise {}", BoundedResource::Work.setting());
        return Err(DocumentProblem::new("", message, remedy).exhausting(BoundedResource::Work));
    }
    Ok(())
}

/// Reads and checks one document as [`read`] does, and keeps a policy that is refused for what it means; only one that
/// could not be read as a whole is lost.
pub(crate) fn draft(parsed: &Parsed, origin: &Arc<str>, language: Language<'_>) -> ReadPolicy {
    match parsed {
        Ok(tree) => draft_tree(tree, origin, language),
        Err(problem) => ReadPolicy { policy: None, problems: vec![problem.clone()] },
    }
}

fn read_tree(parsed: &Parsed, origin: &Arc<str>, language: Language<'_>) -> ReadPolicy {
    let ReadPolicy { policy, problems } = draft(parsed, origin, language);
    ReadPolicy { policy: policy.filter(|_| is_sound(&problems)), problems }
}

fn draft_tree(tree: &Tree, origin: &Arc<str>, language: Language<'_>) -> ReadPolicy {
    let mut problems = Vec::new();
    let policy = match kind(tree) {
        PolicyKind::Cilium => policy(tree, origin, language, &mut problems),
        PolicyKind::Kubernetes => kubernetes::read(tree, origin, &mut problems),
    };
    let policy = policy.filter(|_| is_sound(&problems));
    if let Some(read) = &policy {
        let found = validate(read, language.settings, language.effort).into_iter();
        problems.extend(found.map(|problem| {
            let position = tree.locate(&problem.field);
            DocumentProblem::from(problem).at(position)
        }));
    }
    problems.sort_by_key(|problem| (problem.position.line, problem.position.column));
    ReadPolicy { policy, problems }
}

fn is_sound(problems: &[DocumentProblem]) -> bool {
    problems.iter().all(|problem| problem.warning)
}

/// Whether a document of this `apiVersion` and `kind` is a policy.
pub(crate) fn is_policy(version: &str, kind: &str) -> bool {
    (version, kind) == kubernetes::KIND
        || [CILIUMS, OURS]
            .iter()
            .any(|(group, kinds)| *group == version && kinds.iter().any(|(known, _)| *known == kind))
}

/// Whose policy a document is, as far as that can be told.
pub(crate) fn kind(tree: &Tree) -> PolicyKind {
    let told = (tree.text("apiVersion").unwrap_or_default(), tree.text("kind").unwrap_or_default());
    if told == kubernetes::KIND { PolicyKind::Kubernetes } else { PolicyKind::Cilium }
}

/// The namespace (empty for a cluster-wide policy) and the name of a document, as far as they can be told.
pub(crate) fn key(tree: &Tree) -> (String, String) {
    let metadata = |name| tree.get("metadata").and_then(|metadata| metadata.text(name));
    let name = metadata("name").unwrap_or_default().to_owned();
    let clusterwide = |kind: &str| [CILIUMS, OURS].iter().any(|(_, kinds)| kinds.contains(&(kind, false)));
    let namespace = match tree.text("kind") {
        Some(kind) if clusterwide(kind) => "",
        _ => metadata("namespace").unwrap_or(metadata::DEFAULT_NAMESPACE),
    };
    (namespace.to_owned(), name)
}

fn policy(
    tree: &Tree,
    origin: &Arc<str>,
    language: Language<'_>,
    problems: &mut Vec<DocumentProblem>,
) -> Option<Policy> {
    let mut fields = YamlField::root(tree).fields(problems);
    let version = fields.require("apiVersion", "write apiVersion: cilium.io/v2", problems);
    let version = version.and_then(|field| field.word(&[CILIUMS, OURS], problems));
    let kind = fields.require("kind", "write kind: CiliumNetworkPolicy", problems);
    let kind = kind.and_then(|field| field.word(&version.unwrap_or(CILIUMS.1), problems));
    let metadata = metadata::read(&mut fields, problems);
    let namespaced = kind.unwrap_or(true);
    let namespace = namespace(&metadata, namespaced, problems);
    let annotated = annotated(&metadata, problems);
    let mut rules = Vec::new();
    if let Some(spec) = fields.get("spec") {
        rules.push(rule::read(&spec, namespaced, language, problems));
    }
    if let Some(specs) = fields.get("specs") {
        rules.extend(specs.items(problems).iter().map(|spec| rule::read(spec, namespaced, language, problems)));
    }
    if rules.is_empty() && problems.is_empty() {
        let remedy = "write spec with an endpointSelector and at least one of ingress, egress, ingressDeny, egressDeny";
        problems.push(DocumentProblem::new("spec", "neither spec nor specs is there", remedy).at(tree.position));
    }
    fields.ignore(&["status"]);
    fields.finish(&[], problems);
    Some(annotated.policy(PolicyKind::Cilium, namespace, metadata.name?.into(), rules, origin))
}

fn namespace(metadata: &Metadata<'_>, namespaced: bool, problems: &mut Vec<DocumentProblem>) -> Option<Arc<str>> {
    if namespaced {
        return Some(metadata::namespace_of(metadata).into());
    }
    if let Some(field) = &metadata.namespace {
        let remedy = "remove it, or write kind: CiliumNetworkPolicy";
        problems.push(field.problem("a cluster-wide policy has no namespace", remedy));
    }
    None
}

/// What annotations say.
#[derive(Default)]
struct Annotated {
    deny_with: Option<DenyWith>,
    deny_names_with: Option<DenyWith>,
    deny_scope: Option<DenyScope>,
    open_connections: Option<OpenConnections>,
}

impl Annotated {
    /// The policy that has these annotations.
    fn policy(
        self,
        kind: PolicyKind,
        namespace: Option<Arc<str>>,
        name: Arc<str>,
        rules: Vec<Rule>,
        origin: &Arc<str>,
    ) -> Policy {
        let Self { deny_with, deny_names_with, deny_scope, open_connections } = self;
        let origin = Arc::clone(origin);
        Policy { kind, namespace, name, rules, deny_with, deny_names_with, deny_scope, open_connections, origin }
    }
}

fn annotated(metadata: &Metadata<'_>, problems: &mut Vec<DocumentProblem>) -> Annotated {
    let mut told = Annotated::default();
    for (key, field) in &metadata.annotations {
        if *key == DENY_WITH {
            told.deny_with = field.word(words::DENY_WITH.0, problems);
        } else if *key == DENY_NAMES_WITH {
            told.deny_names_with = field.word(words::DNS_DENY_WITH.0, problems);
        } else if *key == DENY_SCOPE {
            told.deny_scope = field.word(words::DENY_SCOPE.0, problems);
        } else if *key == OPEN_CONNECTIONS {
            told.open_connections = field.word(words::OPEN_CONNECTIONS.0, problems);
        } else if key.starts_with(ANNOTATIONS) {
            let known = format!("{DENY_WITH}, {DENY_SCOPE}, {DENY_NAMES_WITH} and {OPEN_CONNECTIONS}");
            problems.push(field.problem("unknown annotation", format!("remove it; known are {known}")));
        }
    }
    told
}

#[cfg(test)]
mod tests;
