//! Builds the world of one test document, and its questions in the engine's form.

use std::{net::IpAddr, path::Path, sync::Arc};

use portcullis_codecs::Registry;
use portcullis_config::{
    documents::offline::{Loaded, Offline, PolicyPositions},
    settings,
};
use portcullis_rules::{
    labels::LabelSet,
    names,
    settings::{DenyWith, Deviations, Enforcement, PolicySettings},
    snapshot::Snapshot,
    world::{self, EndpointId, NamedPort, ResolvedName, Transport, World},
};

use super::{
    ask::{self, Asked, AskedSide},
    document::{self, Case, Expect, Party, TestDocument},
};
use crate::cli::{
    explain::{
        peers::{SpareAddresses, entity, transport_of},
        traffic::Traffic,
    },
    gather::{self, File},
};

/// An address outside of the cluster (RFC 5737).
const OUTSIDE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// A world under construction.
pub(super) struct Scene<'a> {
    protocols: Registry,
    document: &'a TestDocument,
    world: World,
    places: PolicyPositions,
    spare: SpareAddresses,
    /// Number of the next endpoint that is made.
    next: u32,
}

/// A world that is asked.
pub(super) struct Judge {
    pub(super) world: World,
    pub(super) snapshot: Snapshot,
    pub(super) places: PolicyPositions,
}

impl<'a> Scene<'a> {
    /// Reads what the document names; its own file is among the policies.
    pub(super) fn new(
        protocols: Registry,
        document: &'a TestDocument,
        file: &File,
        folder: &Path,
    ) -> Result<Self, Vec<String>> {
        let spec = &document.spec;
        let settings = settings(protocols, document, folder).map_err(|message| vec![format!("error: {message}")])?;
        let schemas = protocols.schemas();
        let mut offline = Offline::new(&schemas, settings);
        offline.add(&file.name(), &file.text);
        let paths: Vec<_> = spec.policies.iter().map(|path| folder.join(path)).collect();
        let files =
            gather::gather(&paths).map_err(|failure| vec![format!("error: {}: {}", file.name(), failure.message)])?;
        for named in files.iter().filter(|named| named.path != file.path) {
            offline.add(&named.name(), &named.text);
        }
        let Loaded { mut world, places, problems } = offline.finish();
        let errors = problems.iter().filter(|(_, problem)| !problem.warning);
        let errors: Vec<_> = errors.map(|(file, problem)| format!("error: {file}:{problem}")).collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let known = |(name, addresses): (&String, &Vec<IpAddr>)| ResolvedName {
            name: names::normal(name),
            addresses: addresses.iter().map(IpAddr::to_canonical).collect(),
            ..ResolvedName::default()
        };
        world.names.extend(spec.names.iter().map(known));
        let next = u32::try_from(world.endpoints.len()).unwrap_or(u32::MAX).saturating_add(1);
        let mut scene = Self { protocols, document, world, places, spare: SpareAddresses::default(), next };
        for (name, endpoint) in &spec.endpoints {
            scene.settle(name, endpoint);
        }
        Ok(scene)
    }

    /// Makes an endpoint; tells its number and its address.
    fn settle(&mut self, name: &str, written: &document::TestEndpoint) -> (EndpointId, IpAddr) {
        let namespace = written.namespace.as_deref().or(self.document.metadata.namespace.as_deref());
        let namespace = namespace.unwrap_or("default");
        let of_namespace = self.document.spec.namespaces.get(namespace).into_iter().flatten();
        let of_namespace = of_namespace.map(|(key, value)| (key.as_str(), value.as_str()));
        let own = written.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
        let labels = LabelSet::of_pod_in(namespace, of_namespace, &written.service_account, own);
        let mut addresses: Vec<IpAddr> = written.addresses.iter().map(IpAddr::to_canonical).collect();
        if addresses.is_empty() {
            addresses.push(self.spare.give());
        }
        let port =
            |(name, port): (&String, &u16)| NamedPort { name: name.clone(), port: *port, transport: Transport::Tcp };
        let ports = written.ports.iter().map(port).collect();
        let id = EndpointId(self.next);
        self.next += 1;
        let address = addresses[0];
        let (name, namespace, local) = (name.into(), namespace.into(), Some(id));
        self.world.endpoints.push(Arc::new(world::Endpoint { local, name, namespace, labels, addresses, ports }));
        (id, address)
    }

    /// A test's question.
    pub(super) fn question<'c>(&mut self, case: &'c Case) -> Result<(Asked, &'c Expect), String> {
        let said = ask::said(self.protocols, case)?;
        let from = case.from.as_ref().ok_or("from is missing: write who opens the connection")?;
        let to = case.to.as_ref().ok_or("to is missing: write to whom")?;
        let expect = case.expect.as_ref().ok_or("expect is missing: write expect: allow, or deny")?;
        let (from, to) = (self.side(from)?, self.side(to)?);
        let egress = from.endpoint.filter(|_| case.direction != Some(document::TestDirection::Ingress));
        let ingress = to.endpoint.filter(|_| case.direction != Some(document::TestDirection::Egress));
        if egress.is_none() && ingress.is_none() && !to.service {
            return Err("no policy applies: one end must be an endpoint".to_owned());
        }
        let usual = said.as_ref().map(Traffic::usual_port).filter(|port| !port.is_empty());
        let written = case.port.as_ref().map(|port| port.0.as_str()).or(usual);
        let written = written.ok_or("port is missing: write port: 80, or 53/UDP")?;
        let (port, transport) = self.port(written, &to)?;
        Ok((Asked { from, to, egress, ingress, port, transport, said }, &expect.0))
    }

    /// Who stands at one end.
    fn side(&mut self, party: &Party) -> Result<AskedSide, String> {
        let word = match party {
            Party::Endpoint(written) => {
                let (id, address) = self.settle("", written);
                let labels: Vec<_> = written.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                return Ok(AskedSide::endpoint(format!("{{{}}}", labels.join(",")), id, address));
            }
            Party::Word(word) => word.as_str(),
        };
        if let Some(kind) = word.strip_prefix("entity:") {
            return self.entity(kind, word);
        }
        if let Some(name) = word.strip_prefix("fqdn:") {
            return Ok(AskedSide::outside(word, self.resolve(name)));
        }
        if let Some(name) = word.strip_prefix("service:") {
            return self.service(name, word);
        }
        if let Ok(address) = word.parse::<IpAddr>() {
            let address = address.to_canonical();
            let known = self.world.endpoints.iter().find(|known| known.addresses.contains(&address));
            let endpoint = known.and_then(|known| known.local);
            return Ok(AskedSide { endpoint, ..AskedSide::outside(word, address) });
        }
        let named = |known: &&Arc<world::Endpoint>| {
            *known.name == *word || format!("{}/{}", known.namespace, known.name) == word
        };
        let mut found = self.world.endpoints.iter().filter(named);
        match (found.next(), found.next()) {
            (Some(one), None) => {
                let (id, address) = (one.local.unwrap_or(EndpointId(0)), one.addresses.first().copied());
                Ok(AskedSide::endpoint(word.to_owned(), id, address.unwrap_or(OUTSIDE)))
            }
            (Some(_), Some(_)) => Err(format!("several endpoints are called {word}: write NAMESPACE/{word}")),
            (None, _) => Err(format!(
                "{word:?} is no endpoint of this test: write the name of one, an address, entity:NAME, fqdn:NAME or \
                 service:NAMESPACE/NAME"
            )),
        }
    }

    fn entity(&mut self, kind: &str, word: &str) -> Result<AskedSide, String> {
        if kind == "world" {
            return Ok(AskedSide::outside(word, OUTSIDE));
        }
        let labels = entity(kind).ok_or_else(|| format!("{kind:?} is no entity that a single peer can be"))?;
        let address = self.spare.give();
        let (name, namespace) = (word.into(), "".into());
        let endpoint =
            world::Endpoint { local: None, name, namespace, labels, addresses: vec![address], ports: vec![] };
        self.world.endpoints.push(Arc::new(endpoint));
        Ok(AskedSide::outside(word, address))
    }

    /// The address of a name; one that nobody has resolved gets an address that nobody knows the name of.
    fn resolve(&mut self, name: &str) -> IpAddr {
        let normal = names::normal(name);
        let known = self.world.names.iter().find(|known| known.name == normal);
        if let Some(address) = known.and_then(|known| known.addresses.first()) {
            return *address;
        }
        let address = self.spare.give();
        self.world.names.push(ResolvedName { name: normal, addresses: vec![address], ..ResolvedName::default() });
        address
    }

    fn service(&self, name: &str, word: &str) -> Result<AskedSide, String> {
        let services = self.world.services.iter();
        let called = |known: &&Arc<world::Service>| {
            format!("{}/{}", known.namespace, known.name) == name || *known.name == *name
        };
        let service = services.clone().find(called).ok_or_else(|| format!("{name:?} is no service of this test"))?;
        let vip = service.vips.first().ok_or_else(|| format!("service {name} has no address"))?;
        Ok(AskedSide { service: true, ..AskedSide::outside(word, *vip) })
    }

    /// A number, or the name of a port of the endpoint that is connected to.
    fn port(&self, written: &str, to: &AskedSide) -> Result<(u16, Transport), String> {
        let (number, transport) = written.split_once('/').unwrap_or((written, "TCP"));
        let transport = transport_of(transport)?;
        if let Ok(number) = number.parse() {
            return Ok((number, transport));
        }
        let endpoint = self.world.endpoints.iter().find(|known| known.addresses.contains(&to.address));
        let port = endpoint.and_then(|known| known.ports.iter().find(|port| port.name == number));
        port.map(|port| (port.port, port.transport))
            .ok_or_else(|| format!("{number:?} is no port of {}: write a number, or add it to its ports", to.shown))
    }

    /// The world as it is asked.
    pub(super) fn judge(self) -> Judge {
        let snapshot = Snapshot::compile(&self.world, 1);
        Judge { world: self.world, snapshot, places: self.places }
    }
}

/// The settings of a document: those of its settings file, then its own.
fn settings(protocols: Registry, document: &TestDocument, folder: &Path) -> Result<PolicySettings, String> {
    let spec = &document.spec;
    let mut rules = match &spec.settings_file {
        Some(path) => {
            settings::load(&folder.join(path), &protocols.limits()).map_err(|invalid| invalid.to_string())?.rules
        }
        None => PolicySettings::default(),
    };
    let own = &spec.settings;
    if let Some(enforcement) = own.enforcement {
        rules.enforcement = match enforcement {
            document::TestEnforcement::Default => Enforcement::Default,
            document::TestEnforcement::Always => Enforcement::Always,
            document::TestEnforcement::Never => Enforcement::Never,
        };
    }
    if let Some(answer) = own.deny_with {
        rules.deny_with = match answer {
            document::TestDenyWith::Reset => DenyWith::Reset,
            document::TestDenyWith::Respond => DenyWith::Respond,
        };
    }
    rules.allow_localhost = own.allow_localhost.unwrap_or(rules.allow_localhost);
    rules.extended_ip_protocols = own.extended_ip_protocols.unwrap_or(rules.extended_ip_protocols);
    let (written, read) = (own.deviations, rules.deviations);
    rules.deviations = Deviations {
        empty_rule_allows: written.empty_rule_allows.unwrap_or(read.empty_rule_allows),
        l7_binds_beside_l4: written.l7_binds_beside_l4.unwrap_or(read.l7_binds_beside_l4),
        kube_dns_entity: written.kube_dns_entity.unwrap_or(read.kube_dns_entity),
        names_without_dns_rule: written.names_without_dns_rule.unwrap_or(read.names_without_dns_rule),
        l7_on_nodes: written.l7_on_nodes.unwrap_or(read.l7_on_nodes),
    };
    Ok(rules)
}
