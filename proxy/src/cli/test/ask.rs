//! One question, asked of both ends of a connection.

use std::net::IpAddr;

use portcullis_codecs::{kafka, tls::ClientHello};
use portcullis_rules::{
    explain::{Answer, Near, Question, explain, near},
    verdict::{Layer, Reason},
    world::{Direction, EndpointId, Transport},
};

use super::{document::Case, scene::Judge};
use crate::cli::explain::traffic;

/// Who stands at one end.
#[derive(Clone, Debug)]
pub struct Side {
    /// As the test calls it.
    pub shown: String,
    /// Its number, if its policy can be asked.
    pub endpoint: Option<EndpointId>,
    /// Its address.
    pub address: IpAddr,
    /// It is a service: whoever stands behind it is asked.
    pub service: bool,
}

impl Side {
    pub(super) fn endpoint(shown: String, id: EndpointId, address: IpAddr) -> Self {
        Self { shown, endpoint: Some(id), address, service: false }
    }

    pub(super) fn outside(shown: &str, address: IpAddr) -> Self {
        Self { shown: shown.to_owned(), endpoint: None, address, service: false }
    }
}

/// What is said on the connection.
#[derive(Debug)]
pub struct Said {
    /// As the codec reads it.
    said: traffic::Said,
    /// For people.
    shown: String,
}

impl Said {
    /// The port where it is usually said.
    pub(super) fn usual_port(&self) -> &'static str {
        match self.said {
            traffic::Said::Http(_) => "80",
            traffic::Said::Dns(_) => "53/UDP",
            traffic::Said::Tls(_) => "443",
            traffic::Said::Kafka(_) => "9092",
        }
    }
}

/// A question about a connection and what is said on it.
#[derive(Debug)]
pub struct Asked {
    /// Who opens it.
    pub from: Side,
    /// To whom.
    pub to: Side,
    /// The opener, if its policy is asked.
    pub egress: Option<EndpointId>,
    /// The other side, if its policy is asked.
    pub ingress: Option<EndpointId>,
    /// Port.
    pub port: u16,
    /// Transport.
    pub transport: Transport,
    /// What is said.
    pub said: Option<Said>,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let transport = self.transport.as_str();
        write!(f, "{} -> {} {}/{transport}", self.from.shown, self.to.shown, self.port)?;
        self.said.as_ref().map_or(Ok(()), |said| write!(f, " {}", said.shown))
    }
}

/// What a test says on its connection.
pub(super) fn said(case: &Case) -> Result<Option<Said>, String> {
    let mut all = Vec::new();
    if let Some(http) = &case.http {
        let http = &http.0;
        let host = http.host.as_deref().unwrap_or("localhost");
        let headers = http.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let said = traffic::Said::http(&http.method, &http.path, host, headers);
        all.push(Said { said, shown: format!("{} {}", http.method, http.path) });
    }
    if let Some(name) = &case.dns {
        let kind = case.qtype.as_deref().unwrap_or("A");
        let shown = case.qtype.as_ref().map_or_else(|| format!("DNS {name}"), |kind| format!("DNS {name} {kind}"));
        all.push(Said { said: traffic::Said::Dns(traffic::query(name, kind)?), shown });
    } else if case.qtype.is_some() {
        return Err("has a qtype without dns: write the name that is looked up".to_owned());
    }
    if let Some(name) = &case.sni {
        all.push(Said { said: traffic::Said::Tls(ClientHello::new(name)), shown: format!("TLS {name}") });
    }
    if let Some(asked) = &case.kafka {
        let key =
            kafka::key(&asked.api).ok_or_else(|| format!("{:?} is no API of Kafka, such as produce", asked.api))?;
        let message = kafka::Message::new(key, asked.version, &asked.client_id, asked.topics.clone());
        let shown = format!("Kafka {} {}", asked.api, asked.topics.join(","));
        all.push(Said { said: traffic::Said::Kafka(message), shown: shown.trim_end().to_owned() });
    }
    if all.len() > 1 {
        return Err("says several things at once: write one of http, dns, sni and kafka".to_owned());
    }
    Ok(all.pop())
}

/// What one end answers.
#[derive(Debug)]
pub struct Told {
    /// Whose policy was asked.
    pub direction: Direction,
    /// The answer.
    pub answer: Answer,
    /// Rules that came near, for denials.
    pub near: Vec<Near>,
}

/// Asks both ends, and for a service all its backends; the first that denies ends it.
pub(super) fn ask(asked: &Asked, judge: &Judge) -> Result<Vec<Told>, String> {
    let ways: Vec<(IpAddr, u16, Option<EndpointId>)> =
        match judge.snapshot.backends(asked.transport, asked.to.address, asked.port) {
            Some([]) => return Err("the service has no backend".to_owned()),
            Some(backends) => {
                let of = |address| judge.snapshot.endpoint_at(address).and_then(|endpoint| endpoint.local);
                backends.iter().map(|backend| (backend.ip(), backend.port(), of(backend.ip()))).collect()
            }
            None => vec![(asked.to.address, asked.port, asked.ingress)],
        };
    let mut told = Vec::new();
    for (address, port, behind) in ways {
        let ends = [(Direction::Egress, asked.egress, address), (Direction::Ingress, behind, asked.from.address)];
        for (direction, endpoint, peer) in ends {
            let Some(endpoint) = endpoint else { continue };
            let question = Question { endpoint, direction, transport: asked.transport, peer, port, request: None };
            let answer = match &asked.said {
                Some(said) => traffic::ask(&judge.world, &judge.snapshot, question, Some(&said.said))?,
                None => explain(&judge.world, &judge.snapshot, &question),
            };
            let denied = !answer.allowed;
            // A denial at layer 7 tells its nearest rule by itself.
            let explained = denied && answer.layer != Layer::L7 && answer.reason != Reason::RuleDenies;
            let near = if explained { near(&judge.world, &question) } else { Vec::new() };
            told.push(Told { direction, answer, near });
            if denied {
                return Ok(told);
            }
        }
    }
    Ok(told)
}
