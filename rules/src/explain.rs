//! Answers one question about a world, with reasons. For people and tests; the data path uses [`Snapshot::flow`] and
//! [`RuleSet::check`](crate::ruleset::RuleSet::check) directly.

use std::{net::IpAddr, sync::Arc};

use crate::{
    effects::Effects,
    request::Request,
    settings::DenyWith,
    snapshot::{Flow, FlowKey, Plan, RuleSet, Snapshot},
    verdict::{Layer, Miss, Outcome, Reason, RuleInfo},
    world::{Direction, EndpointId, Transport, World},
};

/// May this endpoint have this flow, and may this request pass on it?
#[derive(Clone, Copy)]
pub struct FlowQuestion<'a> {
    /// The endpoint whose policy is asked.
    pub endpoint: EndpointId,
    /// Direction, seen from it.
    pub direction: Direction,
    /// Transport.
    pub transport: Transport,
    /// The other side; never IPv4-mapped. For a service, a backend.
    pub peer: IpAddr,
    /// Port that is connected to.
    pub port: u16,
    /// What is said on the flow, in each protocol that is judged on it at most once. Without it only the flow is judged: one on
    /// which it is judged counts as allowed.
    pub requests: &'a [&'a dyn Request],
}

/// How a denial looks from outside, and how an allowed flow goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It passes as it is.
    Pass,
    /// It passes through the relay of this protocol.
    Relay(&'static str),
    /// The flow is dropped at its first packet.
    Drop,
    /// The connection is reset.
    Reset,
    /// The protocol's own refusal is answered, and the connection stays in order.
    Respond,
}

/// A rule that selects the endpoint and did not decide, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The rule.
    pub rule: Arc<RuleInfo>,
    /// Why it did not apply, as a sentence without a full stop.
    pub why: String,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What becomes of it.
    pub outcome: Outcome,
    /// The layer that decided.
    pub layer: Layer,
    /// Why.
    pub reason: Reason,
    /// What becomes of it.
    pub how: How,
    /// What is judged on the flow.
    pub plan: Plan,
    /// The protocol whose proxy Cilium's datapath would send the flow to, also where a wider rule lets every request
    /// pass there.
    pub redirect: Option<&'static str>,
    /// The rule that decided, or the one that came nearest.
    pub rule: Option<Arc<RuleInfo>>,
    /// What a request failed at: one miss, or one for each of the first values that are refused.
    pub misses: Vec<Miss>,
    /// How many values of the request are refused, where it is denied for single values.
    pub refused: usize,
    /// Whether a denied request goes on without these.
    pub in_part: bool,
    /// Whether the answer to an allowed request is cut down to what the rules allow.
    pub filtered: bool,
    /// Other rules of the endpoint and direction, and why each did not apply. Only for denials.
    pub near: Vec<NearMiss>,
    /// What the rules did to the headers of the request.
    pub effects: Effects,
}

/// Answers a question. `snapshot` has to be compiled from `world`.
#[must_use]
pub fn explain(world: &World, snapshot: &Snapshot, question: &FlowQuestion<'_>) -> Explanation {
    let FlowQuestion { endpoint, direction, transport, peer, port, requests } = *question;
    let flow = snapshot.flow(&FlowKey { endpoint, direction, transport, peer, port });
    let mut answer = of_flow(&flow);
    for rules in flow.plan.layers() {
        if let Some(request) = requests.iter().find(|request| std::ptr::eq(request.schema(), rules.schema())) {
            judge(&mut answer, rules, *request, &flow);
        }
        // What one layer denies, those inside of it do not get to see.
        if answer.outcome.violates() {
            break;
        }
    }
    let _ = world;
    answer
}

/// What one layer says.
fn judge(answer: &mut Explanation, rules: &RuleSet, request: &dyn Request, flow: &Flow) {
    let (verdict, effects) = rules.evaluate(request);
    answer.effects = effects;
    answer.outcome = verdict.outcome.under(flow.params.mode);
    answer.reason = verdict.reason;
    answer.rule =
        verdict.rule.map(|rule| Arc::new(RuleInfo { policy: Arc::clone(&rule.policy), rule: Arc::clone(&rule.rule) }));
    answer.misses = verdict.misses;
    answer.refused = verdict.refused.len();
    (answer.in_part, answer.filtered) = (verdict.in_part, verdict.filtered);
    if !answer.outcome.passes() {
        answer.how = match verdict.deny_with {
            DenyWith::Reset => How::Reset,
            DenyWith::Respond | DenyWith::Hide => How::Respond,
        };
    }
}

fn of_flow(flow: &Flow) -> Explanation {
    let how = match flow.plan.innermost() {
        _ if !flow.outcome.passes() => How::Drop,
        Some(rules) => How::Relay(rules.schema().protocol),
        None => How::Pass,
    };
    Explanation {
        outcome: flow.outcome,
        layer: flow.layer,
        reason: flow.reason,
        how,
        plan: flow.plan.clone(),
        redirect: flow.redirect,
        rule: flow.rule.clone(),
        misses: Vec::new(),
        refused: 0,
        in_part: false,
        filtered: false,
        near: Vec::new(),
        effects: Effects::default(),
    }
}

/// The rules that select the endpoint in a direction and do not apply to a flow, and why. For each rule the first reason
/// is told: its peers, then its ports.
#[must_use]
pub fn near(world: &World, question: &FlowQuestion<'_>) -> Vec<NearMiss> {
    crate::near::near(world, question)
}
