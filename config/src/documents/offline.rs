//! Builds a world from documents, without a node.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use portcullis_rules::{
    bounds::Effort,
    labels::LabelSet,
    policy::Position,
    schema::Schema,
    settings::PolicySettings,
    verdict::RuleInfo,
    world::{Endpoint, EndpointId, World},
};

use super::{Document, DocumentContent, split};
use crate::{
    cidr_group, endpoint, policy,
    problem::DocumentProblem,
    proto::{self, resource::Body},
    secret, service,
    yaml::Tree,
};

/// Reads documents.
#[derive(Debug)]
pub struct Offline<'a> {
    schemas: &'a [&'static Schema],
    world: World,
    endpoints: Vec<proto::Endpoint>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    places: PolicyPositions,
    /// Which resources there are, each with its file.
    given: BTreeMap<(i32, String, String), String>,
    problems: Vec<(String, DocumentProblem)>,
}

/// What came of documents.
#[derive(Debug)]
pub struct Loaded {
    /// Every endpoint has a number, so that its policy can be asked.
    pub world: World,
    /// Where rules stand.
    pub places: PolicyPositions,
    /// What is wrong or doubtful, each with its file. Positions count in the file.
    pub problems: Vec<(String, DocumentProblem)>,
}

/// Where policies stand.
#[derive(Debug, Default)]
pub struct PolicyPositions {
    policies: BTreeMap<String, (String, Document)>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPosition {
    /// The file.
    pub file: String,
    /// Where in it.
    pub position: Position,
}

impl PolicyPositions {
    /// Where a rule stands.
    #[must_use]
    pub fn of(&self, rule: &RuleInfo) -> Option<DocumentPosition> {
        let (file, document) = self.policies.get(&*rule.policy)?;
        let full = |prefix: &str| document.locate(&format!("{prefix}{}", rule.rule));
        let mut position = full("spec.");
        if rule.rule.starts_with("spec") {
            position = full("");
        }
        if position.line > 0 {
            position.line += document.line.saturating_sub(1);
        }
        Some(DocumentPosition { file: file.clone(), position })
    }
}

impl<'a> Offline<'a> {
    /// Creates an empty world: no endpoints, no policies.
    #[must_use]
    pub fn new(schemas: &'a [&'static Schema], settings: PolicySettings) -> Self {
        Self {
            schemas,
            world: World { settings, ..World::default() },
            endpoints: Vec::new(),
            namespaces: BTreeMap::new(),
            places: PolicyPositions::default(),
            given: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Reads the documents of a file.
    pub fn add(&mut self, file: &str, text: &str) {
        for document in split(text) {
            self.take(file, document);
        }
    }

    /// Takes one document.
    pub(super) fn take(&mut self, file: &str, document: Document) {
        let problems = self.document(file, document);
        self.problems.extend(problems.into_iter().map(|problem| (file.to_owned(), problem)));
    }

    /// Takes a resource that is no policy.
    pub(super) fn take_body(&mut self, origin: &str, body: &Body) {
        let problems = self.known(body);
        self.problems.extend(problems.into_iter().map(|problem| (origin.to_owned(), problem)));
    }

    fn document(&mut self, file: &str, document: Document) -> Vec<DocumentProblem> {
        let line = document.line;
        let placed = move |problem: DocumentProblem| problem.in_document_at(line);
        if document.parsed.as_ref().is_ok_and(|tree| self.beside(tree)) {
            return Vec::new();
        }
        if let Some(twin) = self.twin(file, &document) {
            return vec![placed(twin)];
        }
        let found = match &document.content {
            Err(refused) => refused.problems.clone(),
            Ok(DocumentContent::Foreign(warning)) => vec![warning.clone()],
            Ok(DocumentContent::Resource(resource)) => match &resource.body {
                Some(Body::Policy(written)) => {
                    let written = written.clone();
                    return self.policy(file, document, &written);
                }
                Some(body) => self.known(body),
                None => Vec::new(),
            },
        };
        found.into_iter().map(placed).collect()
    }

    /// The fault of a resource that was given before: a node takes the first and refuses the other, and so does this.
    fn twin(&mut self, file: &str, document: &Document) -> Option<DocumentProblem> {
        let key = document.key().filter(|key| !key.name.is_empty())?;
        let first = self.given.entry((key.r#type, key.namespace, key.name));
        if let Entry::Occupied(first) = &first {
            let message = format!("{:?} is given by {} already", first.key().2, first.get());
            let problem = DocumentProblem::new("metadata.name", message, "remove one of them, or give it another name");
            return Some(problem.at(document.locate("metadata.name")));
        }
        first.or_insert_with(|| file.to_owned());
        None
    }

    /// Takes what is no policy.
    fn known(&mut self, body: &Body) -> Vec<DocumentProblem> {
        match body {
            Body::Policy(_) => Vec::new(),
            Body::Endpoint(endpoint) => {
                self.endpoints.push(endpoint.clone());
                Vec::new()
            }
            Body::Service(written) => match service::read(written) {
                Ok(service) => {
                    self.world.services.push(Arc::new(service));
                    Vec::new()
                }
                Err(problems) => problems,
            },
            Body::CidrGroup(written) => match cidr_group::read(written) {
                Ok(group) => {
                    self.world.cidr_groups.push(Arc::new(group));
                    Vec::new()
                }
                Err(problems) => problems,
            },
            Body::Secret(written) => match secret::read(written) {
                Ok(known) => {
                    self.world.secrets.extend(known.secret);
                    known.doubt.into_iter().collect()
                }
                Err(problems) => problems,
            },
        }
    }

    fn policy(&mut self, file: &str, document: Document, written: &proto::Policy) -> Vec<DocumentProblem> {
        let settings = self.world.settings;
        let effort = Effort::endless();
        let language = policy::Language { schemas: self.schemas, settings: &settings, effort: &effort, live: false };
        let read = policy::read_parsed(&written.document, &document.parsed, &file.into(), language);
        let line = document.line;
        if let Some(policy) = read.policy {
            self.places.policies.insert(policy.full_name(), (file.to_owned(), document));
            self.world.policies.push(Arc::new(policy));
        }
        read.problems.into_iter().map(|problem| problem.in_document_at(line)).collect()
    }

    /// Takes a manifest of Kubernetes that says something of the world; tells whether it is one.
    fn beside(&mut self, tree: &Tree) -> bool {
        let meta = |name: &str| tree.get("metadata").and_then(|metadata| metadata.text(name));
        let name = meta("name").unwrap_or_default();
        match (tree.text("apiVersion"), tree.text("kind")) {
            (Some("v1"), Some("Namespace")) => {
                let labels = tree.get("metadata").and_then(|metadata| metadata.get("labels"));
                let texts = labels.map(texts).unwrap_or_default();
                self.namespaces.insert(name.to_owned(), texts);
                true
            }
            _ => false,
        }
    }

    /// The world.
    #[must_use]
    pub fn finish(mut self) -> Loaded {
        let mut problems = self.problems;
        for (number, written) in (1..).zip(&self.endpoints) {
            match endpoint::read(written) {
                Ok(known) => {
                    let labels = self.namespaces.get(&*known.endpoint.namespace);
                    let endpoint = Endpoint { local: Some(EndpointId(number)), ..known.endpoint };
                    self.world.endpoints.push(Arc::new(in_namespace(endpoint, written, labels)));
                }
                Err(found) => problems.extend(found.into_iter().map(|problem| (written.id.clone(), problem))),
            }
        }
        Loaded { world: self.world, places: self.places, problems }
    }
}

/// Gives an endpoint the labels of its namespace.
fn in_namespace(endpoint: Endpoint, written: &proto::Endpoint, labels: Option<&BTreeMap<String, String>>) -> Endpoint {
    let own = written.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
    let of_namespace = labels.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()));
    let namespace = Arc::clone(&endpoint.namespace);
    let labels = LabelSet::of_pod_in(&namespace, of_namespace, &written.service_account, own);
    Endpoint { labels, ..endpoint }
}

/// The texts of a mapping.
fn texts(tree: &Tree) -> BTreeMap<String, String> {
    tree.keys().filter_map(|key| Some((key.to_owned(), tree.text(key)?.to_owned()))).collect()
}
