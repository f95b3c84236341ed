//! Reads one question from the command line.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use portcullis_config::{
    documents::{
        ListedNode,
        offline::{Loaded, Offline},
    },
    settings::NeverOpen,
};
use portcullis_rules::{
    explain::FlowQuestion,
    labels::LabelSet,
    names,
    settings::PolicySettings,
    snapshot::Snapshot,
    world::{Direction, Endpoint, EndpointId, ResolvedName, Transport, World},
};

use super::{
    ExplainQuestion,
    arguments::{DirectionArg, ExplainArguments},
    flags, node,
    peers::{SpareAddresses, address, entity, transport_of},
    told,
    traffic::ask,
    with_flags,
};
use crate::{
    cli::{
        exit::{ExitStatus, Failure},
        input,
    },
    output::CommandOutput,
    render::Format,
};

/// Number of an endpoint that nobody has told of.
const MADE_UP: EndpointId = EndpointId(u32::MAX);

/// What is asked about, and the secrets of it whose values are kept from us.
fn load(asked: &ExplainQuestion<'_>, output: &mut CommandOutput) -> Result<(Loaded, BTreeSet<String>), Failure> {
    let arguments = asked.arguments;
    let schemas = asked.protocols.schemas();
    if arguments.policy.is_empty() {
        let ListedNode { mut loaded, secrets, .. } = node::fetch(asked.node, &schemas, output)?;
        loaded.world.settings = with_flags(arguments, loaded.world.settings);
        return Ok((loaded, secrets));
    }
    let settings = with_flags(arguments, PolicySettings::default());
    let mut offline = Offline::new(&schemas, settings);
    for (file, text) in input::texts(arguments.policy.iter().chain(&arguments.endpoints))? {
        offline.add(&file, &text);
    }
    let mut loaded = offline.finish();
    loaded.world.never_open = NeverOpen::default().ranges;
    Ok((loaded, BTreeSet::new()))
}

/// Answers it: exit code 0 for yes, 1 for no.
pub(super) fn answer(asked: &ExplainQuestion<'_>, format: Format, output: &mut CommandOutput) -> Result<(), Failure> {
    let arguments = asked.arguments;
    let said = flags::read(asked.matches, asked.protocols).map_err(wrong)?;
    let (mut loaded, secrets) = load(asked, output)?;
    loaded.world.forget_never_open();
    if told::refused(&loaded, format, output)? {
        return Err(Failure::said(ExitStatus::Invalid));
    }
    let mut scene = Scene { world: loaded.world, spare: SpareAddresses::default() };
    let endpoint = scene.endpoint(arguments).map_err(wrong)?;
    let (peer, named) = scene.peer(arguments).map_err(wrong)?;
    let (port, transport) = port(&arguments.port, &scene.world.settings).map_err(wrong)?;
    let direction = match arguments.direction {
        DirectionArg::Ingress => Direction::Ingress,
        DirectionArg::Egress => Direction::Egress,
    };
    let snapshot = Snapshot::compile(&scene.world, 1);
    let backends = snapshot.backends(transport, peer, port).filter(|_| direction == Direction::Egress);
    let (peer, port) = match backends.map(<[SocketAddr]>::first) {
        None => (peer, port),
        Some(Some(backend)) => (backend.ip(), backend.port()),
        Some(None) => return Err(no_backend(peer)),
    };
    let question = FlowQuestion { endpoint, direction, transport, peer, port, requests: &[] };
    let answer = match ask(&scene.world, &snapshot, question, said.as_ref()) {
        Ok(answer) => answer,
        Err(reason) => {
            let remedy = format!("say what is asked for with {}", flags::asking(asked.protocols));
            return Err(Failure::new(ExitStatus::Usage, reason, remedy));
        }
    };
    if arguments.policy.is_empty() && endpoint == MADE_UP {
        output.say("no endpoint there has these labels: answered as if one had");
    }
    let asked = told::QuestionText { arguments, peer: named, near: told::near(&scene.world, &question, &answer) };
    if told::undecided(&answer, &asked, &secrets, format, output)? {
        return Err(Failure::said(ExitStatus::Usage));
    }
    told::answer(&answer, &asked, &loaded.places, format, output)?;
    if answer.outcome.passes() { Ok(()) } else { Err(Failure::said(ExitStatus::Failed)) }
}

/// What becomes of a flow to a service is what becomes of it at a backend.
fn no_backend(vip: IpAddr) -> Failure {
    let remedy = "ask for the address of a backend, or add one to the service; until it has one, flows to it are refused \
                  where policy enforces";
    Failure::new(ExitStatus::Usage, format!("the service at {vip} has no backend"), remedy)
}

fn wrong(message: String) -> Failure {
    Failure::new(ExitStatus::Usage, message, "see portcullis explain --help")
}

struct Scene {
    world: World,
    spare: SpareAddresses,
}

impl Scene {
    /// The endpoint of the documents that has the labels, or one made up of them.
    fn endpoint(&mut self, arguments: &ExplainArguments) -> Result<EndpointId, String> {
        let labels = pairs(&arguments.endpoint)?;
        let wanted = |endpoint: &&Arc<Endpoint>| {
            (endpoint.local.is_some() && has_all(endpoint, &labels))
                && arguments.namespace.as_deref().is_none_or(|namespace| *namespace == *endpoint.namespace)
        };
        if let Some(id) = self.world.endpoints.iter().find(wanted).and_then(|endpoint| endpoint.local) {
            return Ok(id);
        }
        self.settle(Some(MADE_UP), of_pod(&labels, arguments));
        Ok(MADE_UP)
    }

    /// The address of the peer, and what to call it.
    fn peer(&mut self, arguments: &ExplainArguments) -> Result<(IpAddr, String), String> {
        let text = arguments.peer.as_str();
        if let Some(name) = text.strip_prefix("entity:") {
            if name == "world" {
                return Ok((IpAddr::from([192, 0, 2, 1]), "an address outside of the cluster".to_owned()));
            }
            let labels = entity(name).ok_or_else(|| format!("{name:?} is no entity that a single peer can be"))?;
            return Ok((self.settle(None, labels), text.to_owned()));
        }
        if let Some(name) = text.strip_prefix("fqdn:") {
            let normal = names::normal(name);
            let known = self.world.names.iter().find(|known| known.name == normal);
            let first = |known: &ResolvedName| {
                known.addresses.first().or(known.learnt.first().map(|(first, _)| first)).copied()
            };
            if let Some(address) = known.and_then(first) {
                return Ok((address, name.to_owned()));
            }
            let address = self.spare.give();
            self.world.names.push(ResolvedName { name: normal, addresses: vec![address], ..ResolvedName::default() });
            return Ok((address, name.to_owned()));
        }
        if let Ok(address) = address(text) {
            return Ok((address, text.to_owned()));
        }
        let labels = pairs(text)?;
        if let Some(known) = self.world.endpoints.iter().find(|endpoint| has_all(endpoint, &labels))
            && let Some(address) = known.addresses.first()
        {
            return Ok((*address, text.to_owned()));
        }
        let labels = of_pod(&labels, arguments);
        Ok((self.settle(None, labels), text.to_owned()))
    }

    fn settle(&mut self, local: Option<EndpointId>, labels: LabelSet) -> IpAddr {
        let address = self.spare.give();
        let namespace = labels.get(portcullis_rules::labels::NAMESPACE).unwrap_or_default().into();
        let addresses = vec![address];
        let endpoint = Endpoint { local, name: "".into(), namespace, labels, addresses, ports: Vec::new() };
        self.world.endpoints.push(Arc::new(endpoint));
        address
    }
}

/// `key=value,key=value`; a key may have its source before it.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |text: &str| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.is_empty() || (!text.contains('=') && !key.contains(':')) {
            return Err(format!("{text:?} is no label: write KEY=VALUE"));
        }
        Ok((key.to_owned(), value.to_owned()))
    };
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(pair).collect()
}

/// Labels without the keys that name a namespace in short.
fn of_pod(pairs: &[(String, String)], arguments: &ExplainArguments) -> LabelSet {
    const NAMESPACE: &str = portcullis_rules::labels::NAMESPACE;
    let is_namespace = |key: &str| key == NAMESPACE || key.strip_prefix("k8s:") == Some(NAMESPACE);
    let named = pairs.iter().find(|(key, _)| is_namespace(key)).map(|(_, value)| value.as_str());
    let namespace = named.or(arguments.namespace.as_deref()).unwrap_or("default");
    let own = pairs.iter().filter(|(key, _)| !is_namespace(key)).cloned();
    LabelSet::of_pod_in(namespace, [], "", own)
}

fn has_all(endpoint: &Endpoint, pairs: &[(String, String)]) -> bool {
    !pairs.is_empty()
        && pairs.iter().all(|(key, value)| {
            let (source, key) = key.split_once(':').map_or((None, key.as_str()), |(source, key)| (Some(source), key));
            endpoint.labels.iter().any(|label| {
                label.key == key && label.value == *value && source.is_none_or(|source| source == label.source)
            })
        })
}

/// `80/TCP`, `80` for TCP, or the name of a protocol without ports.
fn port(text: &str, settings: &PolicySettings) -> Result<(u16, Transport), String> {
    if let Some(transport) = transport_of(text).ok().filter(|transport| transport.is_extended()) {
        return known(0, transport, settings);
    }
    let (number, transport) = text.split_once('/').unwrap_or((text, "TCP"));
    let number = number.parse().map_err(|_| format!("{text:?} is no port: write 80/TCP"))?;
    known(number, transport_of(transport)?, settings)
}

/// Policies know protocols without ports only where they are switched on.
fn known(number: u16, transport: Transport, settings: &PolicySettings) -> Result<(u16, Transport), String> {
    let name = transport.as_str();
    if transport.is_extended() && !settings.extended_ip_protocols {
        return Err(format!("policies know {name} with --enable-extended-ip-protocols only"));
    }
    if transport.is_extended() && number != 0 {
        return Err(format!("{name} has no ports: write --port {name}"));
    }
    Ok((number, transport))
}
