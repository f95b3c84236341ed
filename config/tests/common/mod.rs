//! A fake node that records what the store hands to it.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
};

use portcullis_config::{
    LocalEndpoint, NamesUpdates, NodeSink, NodeStatus, SteeringFault, Store, StoreOptions, VerdictStream, proto,
};
use portcullis_rules::{
    params::FlowParams,
    schema::{FieldForm, FieldSpec, ProtocolTraits, Schema},
    settings::PolicySettings,
    snapshot::Snapshot,
    world::EndpointId,
};
use proto::{Outcome, ResourceKey, ResourceResult, ResourceType, resource::Body};

/// As the HTTP codec publishes it.
pub(crate) static HTTP: Schema = Schema {
    protocol: "http",
    fields: &[
        FieldSpec { name: "method", form: FieldForm::Regex, checked: true },
        FieldSpec { name: "path", form: FieldForm::Regex, checked: true },
        FieldSpec { name: "host", form: FieldForm::Regex, checked: false },
        FieldSpec { name: "headers", form: FieldForm::Headers, checked: true },
    ],
    nature: &ProtocolTraits::STREAM,
};

/// One call of the sink.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    pub(crate) revision: u64,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) locals: Vec<LocalEndpoint>,
}

/// Holds up the sink while it is closed.
#[derive(Default)]
pub(crate) struct Acceptor {
    /// Whether it is closed, and how many wait.
    state: Mutex<(bool, usize)>,
    opened: Condvar,
}

impl Acceptor {
    pub(crate) fn close(&self) {
        self.state.lock().unwrap().0 = true;
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().0 = false;
        self.opened.notify_all();
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        self.state.lock().unwrap().1 > 0
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        let mut state = self.opened.wait_while(state, |(closed, _)| *closed).unwrap();
        state.1 -= 1;
    }
}

/// What the node was told, and what it says.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) calls: Vec<InForce>,
    pub(crate) rejected: Vec<&'static str>,
    /// Why, of each.
    pub(crate) reasons: Vec<&'static str>,
    /// Endpoints that cannot be steered, by name.
    pub(crate) unsteered: BTreeMap<String, String>,
    pub(crate) acceptor: Arc<Acceptor>,
    pub(crate) verdicts: Vec<proto::Verdict>,
    pub(crate) names: Vec<proto::LearntName>,
}

/// NodeSink and node in one.
#[derive(Clone, Default)]
pub(crate) struct Fake(pub(crate) Arc<Mutex<World>>);

impl Fake {
    pub(crate) fn calls(&self) -> Vec<InForce> {
        self.0.lock().unwrap().calls.clone()
    }

    pub(crate) fn last(&self) -> InForce {
        self.calls().pop().unwrap()
    }

    /// The local endpoints in force and their numbers.
    pub(crate) fn numbers(&self) -> BTreeMap<String, u32> {
        self.last().locals.iter().map(|local| (local.endpoint.name.to_string(), local.id.0)).collect()
    }
}

impl NodeSink for Fake {
    fn apply(&mut self, revision: u64, snapshot: Arc<Snapshot>, locals: &[LocalEndpoint]) -> Vec<SteeringFault> {
        let acceptor = Arc::clone(&self.0.lock().unwrap().acceptor);
        acceptor.pass();
        let mut world = self.0.lock().unwrap();
        world.calls.push(InForce { revision, snapshot, locals: locals.to_vec() });
        let fault = |local: &LocalEndpoint| {
            let message = world.unsteered.get(&*local.endpoint.name)?.clone();
            let field = "spec.networkNamespace".to_owned();
            Some(SteeringFault { endpoint: local.id, field, message, remedy: "start it".to_owned() })
        };
        locals.iter().filter_map(fault).collect()
    }
}

impl NodeStatus for Fake {
    fn status(&self) -> proto::StatusResponse {
        proto::StatusResponse { version: "1".into(), faults: vec!["of the node".into()], ..Default::default() }
    }

    fn state(&self, endpoint: EndpointId) -> String {
        format!("steered as {}", endpoint.0)
    }

    fn watch(&self, request: proto::WatchRequest) -> VerdictStream {
        let mut verdicts = self.0.lock().unwrap().verdicts.clone();
        verdicts.retain(|verdict| !request.denied_only || verdict.verdict == "deny");
        Box::pin(tokio_stream::iter(verdicts))
    }

    fn names(&self, request: &proto::ListNamesRequest) -> Vec<proto::LearntName> {
        let mut names = self.0.lock().unwrap().names.clone();
        names.retain(|learnt| request.pattern.is_empty() || learnt.name == request.pattern);
        names
    }

    /// What is known, then nothing more for ever.
    fn follow_names(&self, request: proto::WatchNamesRequest) -> NamesUpdates {
        let mut names = self.0.lock().unwrap().names.clone();
        names.retain(|learnt| !request.selected_only || learnt.selected);
        let update = proto::NamesUpdate { names, complete: true, lost: 0 };
        Box::pin(tokio_stream::StreamExt::chain(tokio_stream::once(update), tokio_stream::pending()))
    }

    fn rejected(&self, kind: &'static str, reason: &'static str) {
        let mut world = self.0.lock().unwrap();
        world.rejected.push(kind);
        world.reasons.push(reason);
    }
}

/// A state directory and what was opened on it.
pub(crate) struct Lab {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) resources: Vec<PathBuf>,
    pub(crate) settings: PolicySettings,
}

impl Default for Lab {
    fn default() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), resources: Vec::new(), settings: PolicySettings::default() }
    }
}

impl Lab {
    /// One whose store reads the directory `files`.
    pub(crate) fn with_files() -> Self {
        let mut lab = Self::default();
        let files = lab.path("files");
        std::fs::create_dir(&files).unwrap();
        lab.resources.push(files);
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub(crate) fn open(&self) -> (Store, Fake) {
        let fake = Fake::default();
        (self.open_with(&fake), fake)
    }

    pub(crate) fn open_with(&self, fake: &Fake) -> Store {
        let options = StoreOptions {
            state_directory: self.state(),
            resources: self.resources.clone(),
            params: FlowParams::default(),
            settings: self.settings,
            schemas: vec![&HTTP],
        };
        Store::open(options, Box::new(fake.clone()), Arc::new(fake.clone())).unwrap()
    }
}

pub(crate) fn resource(version: &str, body: Body) -> proto::Resource {
    proto::Resource { version: version.into(), body: Some(body) }
}

/// A policy of the namespace `shop` that lets an entity in.
pub(crate) fn policy_text(name: &str, entity: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{endpointSelector: {{}}, ingress: [{{fromEntities: [{entity}]}}]}}\n"
    )
}

pub(crate) fn policy(name: &str, entity: &str) -> proto::Resource {
    resource("1", Body::Policy(proto::Policy { document: policy_text(name, entity) }))
}

/// An endpoint elsewhere.
pub(crate) fn remote(id: &str, address: &str) -> proto::Resource {
    let addresses = vec![address.to_owned()];
    resource(
        "1",
        Body::Endpoint(proto::Endpoint { id: id.into(), namespace: "shop".into(), addresses, ..Default::default() }),
    )
}

/// An endpoint here.
pub(crate) fn local(id: &str, address: &str) -> proto::Resource {
    let mut resource = remote(id, address);
    if let Some(Body::Endpoint(endpoint)) = &mut resource.body {
        endpoint.network_namespace = format!("/run/netns/{id}");
    }
    resource
}

pub(crate) fn service(name: &str, vip: &str) -> proto::Resource {
    let service =
        proto::Service { name: name.into(), namespace: "shop".into(), vips: vec![vip.into()], ..Default::default() };
    resource("1", Body::Service(service))
}

pub(crate) fn key(kind: ResourceType, name: &str) -> ResourceKey {
    ResourceKey { r#type: kind.into(), namespace: "shop".into(), name: name.into() }
}

/// `name ok` or `name refused: field message`, one for each result.
pub(crate) fn told(results: &[ResourceResult]) -> Vec<String> {
    let one = |result: &ResourceResult| {
        let name = result.key.clone().unwrap_or_default().name;
        let said: Vec<_> =
            result.problems.iter().map(|problem| format!("{} {}", problem.field, problem.message)).collect();
        let word = if result.outcome() == Outcome::Accepted { "ok" } else { "refused" };
        format!("{name} {word} {}", said.join("; ")).trim_end().to_owned()
    };
    results.iter().map(one).collect()
}

/// `name` or `name!` when its newest version was refused, of everything that is listed.
pub(crate) fn listed(store: &Store, kind: ResourceType) -> Vec<String> {
    let one = |listed: proto::ListedResource| {
        let mark = if listed.rejected.is_some() { "!" } else { "" };
        let absent = if listed.resource.is_none() { "?" } else { "" };
        format!("{}{absent}{mark}", listed.key.unwrap_or_default().name)
    };
    store.list(kind).into_iter().map(one).collect()
}

/// Waits until something has become true; a test that waits in vain ends by the test runner's patience.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(10));
    while !is_so() {
        tick.tick().await;
    }
}

/// The text of a file with a change in one byte.
pub(crate) fn damage(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0xff;
    std::fs::write(path, bytes).unwrap();
}
