//! Asks one question at both ends of a connection.

use std::net::IpAddr;

use portcullis_codecs::{
    Registry,
    question::{QuestionValues, QuestionWord},
};
use portcullis_rules::{
    explain::{Explanation, FlowQuestion, NearMiss, explain, near},
    verdict::{Layer, Reason},
    world::{Direction, EndpointId, Transport},
};

use super::{document::Case, scene::Judge};
use crate::cli::explain::traffic::{self, Traffic};

/// Who stands at one end.
#[derive(Clone, Debug)]
pub struct AskedSide {
    /// As the test calls it.
    pub shown: String,
    /// Its number, if its policy can be asked.
    pub endpoint: Option<EndpointId>,
    /// Its address.
    pub address: IpAddr,
    /// It is a service: whoever stands behind it is asked.
    pub service: bool,
}

impl AskedSide {
    pub(super) fn endpoint(shown: String, id: EndpointId, address: IpAddr) -> Self {
        Self { shown, endpoint: Some(id), address, service: false }
    }

    pub(super) fn outside(shown: &str, address: IpAddr) -> Self {
        Self { shown: shown.to_owned(), endpoint: None, address, service: false }
    }
}

/// A question about a connection and what is said on it.
#[derive(Debug)]
pub struct Asked {
    /// Who opens it.
    pub from: AskedSide,
    /// To whom.
    pub to: AskedSide,
    /// The opener, if its policy is asked.
    pub egress: Option<EndpointId>,
    /// The other side, if its policy is asked.
    pub ingress: Option<EndpointId>,
    /// Port.
    pub port: u16,
    /// Transport.
    pub transport: Transport,
    /// What is said.
    pub(crate) said: Option<Traffic>,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let transport = self.transport.as_str();
        write!(f, "{} -> {} {}/{transport}", self.from.shown, self.to.shown, self.port)?;
        self.said.as_ref().map_or(Ok(()), |said| write!(f, " {}", said.shown()))
    }
}

/// What a test says on its connection.
pub(super) fn said(protocols: Registry, case: &Case) -> Result<Option<Traffic>, String> {
    let top = |word: &QuestionWord| word.case.split('.').next().unwrap_or_default();
    let known = |key: &str| traffic::asked(protocols).any(|(_, words)| words.iter().any(|word| top(word) == key));
    if let Some(unknown) = case.said.keys().find(|key| !known(key)) {
        return Err(format!("unknown field `{unknown}`"));
    }
    let mut all = Vec::new();
    for (protocol, words) in traffic::asked(protocols) {
        let keys = case.said.iter().filter(|(key, _)| words.iter().any(|word| top(word) == *key));
        let mut said = QuestionValues::default();
        for (place, value) in keys.flat_map(|(key, value)| traffic::written(key, value)) {
            let word = words.iter().find(|word| word.case == place);
            said.push(word.ok_or_else(|| format!("unknown field `{place}`"))?, value);
        }
        if !said.is_empty() {
            all.push(Traffic::read(protocol, &said)?);
        }
    }
    if all.iter().filter(|said| !said.is_carrier()).count() > 1 {
        let first: Vec<_> = traffic::asked(protocols).filter_map(|(_, words)| words.first().map(top)).collect();
        let (last, others) = first.split_last().ok_or("says several things at once")?;
        return Err(format!("says several things at once: write one of {} and {last}", others.join(", ")));
    }
    Traffic::together(all)
}

/// What one end answers.
#[derive(Debug)]
pub struct Told {
    /// Whose policy was asked.
    pub direction: Direction,
    /// The answer.
    pub answer: Explanation,
    /// Rules that came near, for denials.
    pub near: Vec<NearMiss>,
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
            let question = FlowQuestion { endpoint, direction, transport: asked.transport, peer, port, requests: &[] };
            let answer = match &asked.said {
                Some(said) => traffic::ask(&judge.world, &judge.snapshot, question, Some(said))?,
                None => explain(&judge.world, &judge.snapshot, &question),
            };
            let denied = !answer.outcome.passes();
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
