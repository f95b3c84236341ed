//! Splits files, directories and standard input into resources.
//!
//! The command line reads documents here before it sends them, and the node reads those of its own files.

mod draft;
mod files;
mod kustomize;
mod list;
mod listed;
pub mod offline;
mod resource;
mod secret;

pub use draft::{PolicyDraft, cidr_group, draft, endpoint, live_problems, service};
pub use files::{LARGEST, files_of, is_document};
pub use kustomize::{Kustomization, kustomization};
pub use listed::{ListedNode, listed};
use portcullis_rules::{
    bounds::Effort,
    policy::{Policy, PolicyKind, Position},
    schema::Schema,
    settings::PolicySettings,
};

use crate::{
    policy,
    problem::DocumentProblem,
    proto,
    yaml::{self, Parsed, Tree, YamlValue},
};

/// One document of a file.
#[derive(Debug)]
pub struct Document {
    /// The line of the file at which it begins, from 1. Positions of problems count from it.
    pub line: u32,
    /// What it is, or what is wrong with it.
    pub content: Result<DocumentContent, RefusedDocument>,
    /// What it was parsed into, or why not.
    parsed: Parsed,
    /// Of a test of policies, whose content is not known here.
    test: Option<Box<str>>,
}

/// What a document is.
#[derive(Clone, Debug, PartialEq)]
pub enum DocumentContent {
    /// A policy, an endpoint, a service, a CIDR group or a secret. Its version tells its content.
    Resource(Box<proto::Resource>),
    /// A manifest of Kubernetes that may stand beside ours and is skipped; the warning says so.
    Foreign(DocumentProblem),
}

/// A document that is no resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RefusedDocument {
    /// Whose document it is, as far as that can be told.
    pub key: Option<proto::ResourceKey>,
    /// What is wrong; never empty.
    pub problems: Vec<DocumentProblem>,
}

impl DocumentContent {
    fn resource(&self) -> Option<&proto::Resource> {
        match self {
            Self::Resource(resource) => Some(resource),
            Self::Foreign(_) => None,
        }
    }
}

impl Document {
    /// Where a field stands in the document, from its first line.
    #[must_use]
    pub fn locate(&self, field: &str) -> Position {
        self.parsed.as_ref().map(|tree| tree.locate(field)).unwrap_or_default()
    }

    /// Its `apiVersion` and its `kind`, as far as they are there.
    #[must_use]
    pub fn kind(&self) -> Option<(&str, &str)> {
        let tree = self.parsed.as_ref().ok()?;
        Some((tree.text("apiVersion")?, tree.text("kind")?))
    }

    /// The key of its resource, as far as it can be told.
    #[must_use]
    pub fn key(&self) -> Option<proto::ResourceKey> {
        key_parsed(self.content.as_ref().ok()?.resource()?, Some(&self.parsed))
    }

    /// What it is, and what it was parsed into.
    pub(crate) fn into_parts(self) -> (Result<DocumentContent, RefusedDocument>, Parsed) {
        (self.content, self.parsed)
    }

    /// Whether it is a manifest of somebody else, such as stand beside ours in a repository.
    #[must_use]
    pub fn is_of_others(&self) -> bool {
        let told = (self.text("apiVersion").unwrap_or_default(), self.text("kind").unwrap_or_default());
        match told {
            // Values of a chart, settings of a tool.
            ("", kind) => !resource::is_our_kind(kind),
            (version, "") => resource::is_of_others(version, ""),
            (version, kind) => resource::is_of_others(version, kind),
        }
    }

    /// The text of one of its own fields.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.parsed.as_ref().ok()?.text(field)
    }

    /// The namespace that it names.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.parsed.as_ref().ok()?.get("metadata")?.text("namespace")
    }

    /// Whether it could be read as YAML.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.parsed.is_ok()
    }

    /// The text of a test of policies; `None` for everything else.
    #[must_use]
    pub fn test(&self) -> Option<&str> {
        self.test.as_deref()
    }

    fn refused(line: u32, problem: DocumentProblem) -> Self {
        let content = Err(RefusedDocument { key: None, problems: vec![problem.clone()] });
        Self { line, content, parsed: Err(problem), test: None }
    }
}

/// Takes a text apart into its documents. Empty ones are left out; `kind: List` is unrolled.
#[must_use]
pub fn split(text: &str) -> Vec<Document> {
    let mut documents = Vec::new();
    for (line, piece) in pieces(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        match yaml::parse(piece) {
            Ok(tree) if tree.value == YamlValue::Null => {}
            Ok(tree) if list::is_list(&tree) => documents.extend(list::unroll(line, piece, &tree)),
            Ok(tree) => documents.push(read(line, piece, tree)),
            Err(problem) => documents.push(Document::refused(line, problem)),
        }
    }
    documents
}

fn read(line: u32, text: &str, tree: Tree) -> Document {
    let content = resource::read(text, &tree);
    let mut document = Document { line, content, parsed: Ok(tree), test: None };
    document.test = (document.kind() == Some(resource::TEST)).then(|| text.into());
    document
}

/// The pieces between `---` lines with their first lines. At the beginning of a line `---` is nothing else, in no kind of
/// scalar (YAML 1.2.2 §9.1.2).
fn pieces(text: &str) -> Vec<(u32, &str)> {
    let mut pieces = Vec::new();
    let (mut start, mut first, mut offset) = (0, 1, 0);
    // Directives and comments belong to the document that follows.
    let mut begun = false;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        if is_marker(line, "---") && begun {
            pieces.push((first, &text[start..offset]));
            (start, first) = (offset, number);
        }
        let content = line.trim();
        begun |= is_marker(line, "---") || !(content.is_empty() || content.starts_with(['#', '%']));
        offset += line.len();
        if is_marker(line, "...") {
            pieces.push((first, &text[start..offset]));
            (start, first, begun) = (offset, number + 1, false);
        }
    }
    pieces.push((first, &text[start..]));
    pieces
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Checks a policy's document without a node: what is wrong or doubtful with it. Offline commands take it if all of these are
/// warnings; a node refuses besides what it does not apply to live traffic yet.
#[must_use]
pub fn check_policy(document: &str, schemas: &[&'static Schema], settings: &PolicySettings) -> Vec<DocumentProblem> {
    read_policy(document, "api", schemas, settings).1
}

/// Reads a policy's document without a node: the policy unless there is an error, and what is wrong or doubtful. `origin`
/// names where it was read.
#[must_use]
pub fn read_policy(
    document: &str,
    origin: &str,
    schemas: &[&'static Schema],
    settings: &PolicySettings,
) -> (Option<Policy>, Vec<DocumentProblem>) {
    let read = policy::read(
        document,
        &origin.into(),
        policy::Language { schemas, settings, effort: &Effort::endless(), live: false },
    );
    (read.policy, read.problems)
}

/// The key of a resource, as far as it can be told.
#[must_use]
pub fn key(resource: &proto::Resource) -> Option<proto::ResourceKey> {
    key_parsed(resource, parse_policy(resource).as_ref())
}

/// The document of a policy, parsed; `None` for another resource.
pub(crate) fn parse_policy(resource: &proto::Resource) -> Option<Parsed> {
    match &resource.body {
        Some(proto::resource::Body::Policy(policy)) => Some(yaml::parse(&policy.document)),
        _ => None,
    }
}

/// The key of a resource, whose document has been parsed if it is a policy.
pub(crate) fn key_parsed(resource: &proto::Resource, parsed: Option<&Parsed>) -> Option<proto::ResourceKey> {
    use proto::{ResourceType, resource::Body};
    Some(match resource.body.as_ref()? {
        Body::Policy(_) => {
            let tree = parsed?.as_ref().ok()?;
            let kind = match policy::kind(tree) {
                PolicyKind::Cilium => ResourceType::Policy,
                PolicyKind::Kubernetes => ResourceType::NetworkPolicy,
            };
            key_of(kind, policy::key(tree))
        }
        Body::Endpoint(endpoint) => key_of(ResourceType::Endpoint, (endpoint.namespace.clone(), endpoint.id.clone())),
        Body::Service(service) => key_of(ResourceType::Service, (service.namespace.clone(), service.name.clone())),
        Body::CidrGroup(group) => key_of(ResourceType::CidrGroup, (String::new(), group.name.clone())),
        Body::Secret(secret) => key_of(ResourceType::Secret, (secret.namespace.clone(), secret.name.clone())),
    })
}

fn key_of(kind: proto::ResourceType, (namespace, name): (String, String)) -> proto::ResourceKey {
    proto::ResourceKey { r#type: kind.into(), namespace, name }
}
