//! Interleaved rounds: in each round every proxy does every case in turn.

use std::{io, path::PathBuf, thread, time::Duration};

use serde_json::Value;

use super::{
    cases::{Case, Denied, Protocol},
    dns, kafka,
    laboratory::{Laboratory, Place, Process, own_program},
    meter::{Meter, busy, resident},
    peers::{Peer, Running},
    web,
};

/// How long the machine has to be calm before work is timed, how busy it may be (of one processor), and how often that is tried.
const CALM: Duration = Duration::from_millis(200);
const CALM_SHARE: f64 = 0.2;
const CALM_TRIES: u32 = 25;

/// What is compared, and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The peers, in the order of a round.
    pub peers: Vec<Peer>,
    /// The cases.
    pub cases: Vec<Case>,
    /// Rounds.
    pub rounds: usize,
    /// Numbers of idle connections to measure memory with.
    pub idle: Vec<usize>,
    /// Proxies on one core, all else on the others.
    pub pinned: bool,
    /// The program under test.
    pub portcullis: PathBuf,
}

/// One case, by one peer, in one round.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Requests per second.
    pub rate: f64,
    /// Median latency in microseconds.
    pub p50: f64,
    /// 99th percentile of the latency in microseconds.
    pub p99: f64,
    /// MiB of bodies or records per second.
    pub volume: f64,
    /// CPU microseconds of the proxy per request.
    pub proxy: f64,
    /// CPU microseconds of the machine per request.
    pub machine: f64,
    /// Share of the machine's time that programs not of ours took.
    pub disturbance: f64,
}

/// Memory with idle connections.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Who.
    pub peer: Peer,
    /// What was asked on each connection.
    pub protocol: Protocol,
    /// Connections.
    pub connections: usize,
    /// Resident KiB before them.
    pub before: u64,
    /// Resident KiB with them.
    pub with: u64,
}

/// Everything measured.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// `samples[case][peer][round]`; none by a peer that does not speak the protocol.
    pub samples: Vec<Vec<Vec<Sample>>>,
    /// Memory.
    pub idle: Vec<Idle>,
}

/// Carries the plan out. `progress` hears of each step.
///
/// # Errors
/// A peer does not start, or does not do the same work as the others.
pub fn run(plan: &Plan, mut progress: impl FnMut(&str)) -> io::Result<Results> {
    let laboratory = Laboratory::new(plan.pinned)?;
    let http1 = web::HTTP1.start_server(&laboratory)?;
    let calls = web::HTTP2.start_server(&laboratory)?;
    let names = dns::peers::start_server(&laboratory)?;
    let asked = plan.cases.iter().any(|case| case.protocol == Protocol::Kafka);
    let broker = if asked { Some(kafka::broker::start(&laboratory)?) } else { None };
    let mut results = Results { samples: vec![vec![Vec::new(); plan.peers.len()]; plan.cases.len()], idle: Vec::new() };
    for round in 0..plan.rounds {
        for (case, samples) in plan.cases.iter().zip(&mut results.samples) {
            let upstream = match case.protocol {
                Protocol::Http1 => &http1,
                Protocol::Http2 => &calls,
                Protocol::Dns => &names,
                Protocol::Kafka => broker.as_ref().unwrap_or(&names),
            };
            let speaking = plan.peers.iter().zip(samples).filter(|(peer, _)| peer.speaks(case.protocol));
            for (peer, samples) in speaking {
                progress(&format!("round {} of {}: {} by {}", round + 1, plan.rounds, case.name, peer.name()));
                samples.push(work(&laboratory, plan, case, *peer, upstream)?);
            }
        }
    }
    for (protocol, upstream) in [(Protocol::Http1, &http1), (Protocol::Http2, &calls)] {
        for connections in &plan.idle {
            let connected = |peer: &&Peer| **peer != Peer::Direct && peer.speaks(protocol);
            for peer in plan.peers.iter().filter(connected) {
                progress(&format!("{connections} idle connections of {} by {}", protocol.name(), peer.name()));
                results.idle.push(idle(&laboratory, plan, (*peer, protocol), *connections, upstream)?);
            }
        }
    }
    Ok(results)
}

fn work(lab: &Laboratory, plan: &Plan, case: &Case, peer: Peer, upstream: &Process) -> io::Result<Sample> {
    let Running { target, process } = peer.start(lab, case, &plan.portcullis, upstream)?;
    let mut command = lab.command(Place::Client, own_program());
    command.args(["load", &target.to_string(), "--protocol", case.protocol.name(), "--subject", case.subject]);
    for (name, number) in [
        ("--variants", case.variants as u64),
        ("--connections", case.connections as u64),
        ("--streams", case.streams as u64),
        ("--requests", case.requests),
        ("--warm-up", case.warm_up()),
        ("--rate", case.rate),
    ] {
        command.arg(format!("{name}={number}"));
    }
    for (flag, set) in [("--churn", case.churn), ("--half-denied", case.denied == Denied::Half)] {
        if set {
            command.arg(flag);
        }
    }
    let failed = |error: io::Error| {
        let (load, own) = (lab.said("load"), lab.said(peer.name()));
        io::Error::other(format!("{} by {}: {error}\n{load}\n{own}", case.name, peer.name()))
    };
    for source in lab.sources() {
        command.arg(format!("--source={source}"));
    }
    let mut load = lab.start("load", &mut command)?;
    load.line().map_err(failed)?;
    let meter = Meter { proxy: process.as_ref().map(Process::id), others: vec![load.id(), upstream.id()] };
    calm_down()?;
    let before = meter.read()?;
    load.tell("go")?;
    let outcome = load.line().map_err(failed)?;
    // The load waits for its input to end, so that its counters are still there.
    let cost = meter.read()?.since(&before);
    load.finish().map_err(failed)?;
    if let Some(process) = process {
        process.stop();
    }
    let outcome: Value = serde_json::from_str(&outcome)?;
    check(case, peer, &outcome).map_err(failed)?;
    let number = |name: &str| outcome[name].as_f64().unwrap_or_default();
    let requests = case.requests as f64;
    Ok(Sample {
        rate: requests / number("seconds"),
        volume: number("bytes") / number("seconds") / f64::from(1 << 20),
        p50: number("p50") / 1000.0,
        p99: number("p99") / 1000.0,
        proxy: cost.proxy / requests,
        machine: cost.machine / requests,
        disturbance: cost.disturbance,
    })
}

/// Waits until the machine does next to nothing: the kernel still takes apart what a peer's start has left (namespaces, programs), and
/// that is not the work.
fn calm_down() -> io::Result<()> {
    for _ in 0..CALM_TRIES {
        let before = busy()?;
        thread::park_timeout(CALM);
        if (busy()? - before).as_secs_f64() < CALM.as_secs_f64() * CALM_SHARE {
            return Ok(());
        }
    }
    Ok(())
}

/// All peers have to do the same work: every request answered whole, but for those that are denied by all that judge.
fn check(case: &Case, peer: Peer, outcome: &Value) -> io::Result<()> {
    let denied = if peer.judges(case.protocol) { case.denied_requests() } else { 0 };
    let answered = case.requests - denied;
    if outcome["answered"] == answered && outcome["denied"] == denied {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "not the work that was asked for: {answered} answered and {denied} denied expected, got {outcome}"
    )))
}

fn idle(
    lab: &Laboratory,
    plan: &Plan,
    (peer, protocol): (Peer, Protocol),
    connections: usize,
    upstream: &Process,
) -> io::Result<Idle> {
    let Running { target, process } = peer.start(lab, protocol.basic(), &plan.portcullis, upstream)?;
    let Some(process) = process else { return Err(io::Error::other("nobody has no memory")) };
    let before = resident(process.id())?;
    let mut command = lab.command(Place::Client, own_program());
    command.args(["idle", &target.to_string(), "--protocol", protocol.name(), "--path", protocol.basic().subject]);
    command.arg(format!("--connections={connections}"));
    for source in lab.sources() {
        command.arg(format!("--source={source}"));
    }
    let mut held = lab.start("idle", &mut command)?;
    held.line().map_err(|error| {
        io::Error::other(format!("{connections} idle by {}: {error}\n{}", peer.name(), lab.said("idle")))
    })?;
    let with = resident(process.id())?;
    held.finish()?;
    process.stop();
    Ok(Idle { peer, protocol, connections, before, with })
}
