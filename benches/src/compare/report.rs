//! Results as tables and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    peers::Peer,
    run::{Plan, Results, Sample},
};

/// A round in which other programs took more of the machine than this says nothing about the machine's total.
const DISTURBED: f64 = 0.10;

/// Peers with the second line at packets, and the same without it.
const SECOND_LINE: [(Peer, Peer); 2] = [(Peer::Portcullis, Peer::Sockets), (Peer::Unsteered, Peer::UnsteeredSockets)];

/// A median with the least and the greatest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub most: f64,
    /// Values.
    pub count: usize,
}

impl Spread {
    /// Of these values; none if there are none.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        Some(Self { median, least, most, count: values.len() })
    }

    fn to_json(self) -> Value {
        json!({"median": self.median, "min": self.least, "max": self.most, "rounds": self.count})
    }
}

/// One row: one case by one peer.
struct Row {
    peer: Peer,
    rate: Spread,
    p50: Spread,
    p99: Spread,
    volume: Spread,
    cpu: Spread,
    /// CPU of the proxy, as a ratio to the relay's of the same round.
    proxy: Option<Spread>,
    /// What the machine pays beyond a direct run, as a ratio to the same of the relay.
    total: Option<Spread>,
}

fn rows(plan: &Plan, samples: &[Vec<Sample>]) -> Vec<Row> {
    let of = |wanted: Peer| plan.peers.iter().position(|peer| *peer == wanted).map(|index| &samples[index][..]);
    let (direct, relay) = (of(Peer::Direct), of(Peer::Relay));
    plan.peers
        .iter()
        .zip(samples)
        .filter_map(|(peer, samples)| {
            let column = |get: fn(&Sample) -> f64| Spread::of(samples.iter().map(get).collect());
            let carried = *peer != Peer::Direct;
            Some(Row {
                peer: *peer,
                rate: column(|sample| sample.rate)?,
                p50: column(|sample| sample.p50)?,
                p99: column(|sample| sample.p99)?,
                volume: column(|sample| sample.volume)?,
                cpu: column(|sample| sample.proxy)?,
                proxy: relay.filter(|_| carried).and_then(|relay| {
                    Spread::of(samples.iter().zip(relay).map(|(own, relay)| own.proxy / relay.proxy).collect())
                }),
                total: direct.zip(relay).filter(|_| carried).and_then(|(direct, relay)| totals(samples, direct, relay)),
            })
        })
        .collect()
}

fn totals(samples: &[Sample], direct: &[Sample], relay: &[Sample]) -> Option<Spread> {
    let calm = |sample: &Sample| sample.disturbance <= DISTURBED;
    let ratios = samples.iter().zip(direct).zip(relay).filter_map(|((own, direct), relay)| {
        let yardstick = relay.machine - direct.machine;
        (calm(own) && calm(direct) && calm(relay) && yardstick > 0.0)
            .then(|| (own.machine - direct.machine) / yardstick)
    });
    Spread::of(ratios.collect())
}

/// What the second line at packets costs: all CPU of the machine for a request with it, as a ratio to without it in the same round.
fn second_line(plan: &Plan, samples: &[Vec<Sample>], with: Peer, without: Peer) -> Option<Spread> {
    let of = |wanted: Peer| plan.peers.iter().position(|peer| *peer == wanted).map(|index| &samples[index]);
    let calm = |sample: &Sample| sample.disturbance <= DISTURBED;
    let pairs = of(with)?.iter().zip(of(without)?).filter(|(with, without)| calm(with) && calm(without));
    Spread::of(pairs.map(|(with, without)| with.machine / without.machine).collect())
}

/// Tables, one for each case and one for memory. A peer that does not speak the protocol of a case has no row.
#[must_use]
pub fn markdown(plan: &Plan, results: &Results) -> String {
    let mut text = String::new();
    let whole = [Peer::Direct, Peer::Relay].iter().all(|peer| plan.peers.contains(peer));
    for (case, samples) in plan.cases.iter().zip(&results.samples) {
        let _ = write!(
            text,
            "### {}: {}\n\n| peer | requests/s | p50 µs | p99 µs | MiB/s | CPU µs/request | CPU µs/MiB | proxy CPU, ratio | machine beyond direct, ratio |\n\
             |---|---|---|---|---|---|---|---|---|\n",
            case.name, case.about
        );
        for row in rows(plan, samples) {
            let (volume, carried) = (row.volume.median, row.peer != Peer::Direct);
            let of = |carried: bool, text: String| if carried { text } else { "–".to_owned() };
            let cpu = of(carried, format!("{:.1}", row.cpu.median));
            let each = of(carried && volume > 0.0, format!("{:.0}", row.cpu.median * row.rate.median / volume));
            let _ = writeln!(
                text,
                "| {} | {:.0} | {:.0} | {:.0} | {volume:.1} | {cpu} | {each} | {} | {} |",
                row.peer.name(),
                row.rate.median,
                row.p50.median,
                row.p99.median,
                ratio(row.proxy, "–"),
                ratio(row.total, if row.proxy.is_some() && whole { "disturbed" } else { "–" })
            );
        }
        for (with, without) in SECOND_LINE {
            if let Some(cost) = second_line(plan, samples, with, without) {
                let (with, without, cost) = (with.name(), without.name(), ratio(Some(cost), "–"));
                let _ = writeln!(
                    text,
                    "\nMachine CPU per request, {with} as a ratio to {without} of the same round: {cost}"
                );
            }
        }
        text.push('\n');
    }
    if !results.idle.is_empty() {
        text.push_str("### Idle connections\n\n| protocol | peer | connections | resident KiB before | with | KiB per connection |\n|---|---|---|---|---|---|\n");
        for idle in &results.idle {
            let each = each(idle.before, idle.with, idle.connections);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {each:.2} |",
                idle.protocol.name(),
                idle.peer.name(),
                idle.connections,
                idle.before,
                idle.with
            );
        }
    }
    text
}

fn ratio(spread: Option<Spread>, without: &str) -> String {
    spread.map_or_else(
        || without.to_owned(),
        |spread| format!("**{:.2}** ({:.2} to {:.2}, n={})", spread.median, spread.least, spread.most, spread.count),
    )
}

fn each(before: u64, with: u64, connections: usize) -> f64 {
    (with as f64 - before as f64) / connections.max(1) as f64
}

/// The same, and every sample, for programs.
#[must_use]
pub fn json(plan: &Plan, results: &Results) -> Value {
    let cases = plan.cases.iter().zip(&results.samples).map(|(case, samples)| {
        let rounds = |wanted: Peer| {
            let samples = plan.peers.iter().zip(samples).filter(|(peer, _)| **peer == wanted).flat_map(|(_, all)| all);
            samples.map(sample).collect::<Vec<_>>()
        };
        let peers = rows(plan, samples).into_iter().map(|row| {
            json!({
                "peer": row.peer.name(),
                "requestsPerSecond": row.rate.to_json(),
                "p50Microseconds": row.p50.to_json(),
                "p99Microseconds": row.p99.to_json(),
                "mebibytesPerSecond": row.volume.to_json(),
                "cpuMicrosecondsPerRequest": row.cpu.to_json(),
                "proxyRatio": row.proxy.map(Spread::to_json),
                "machineRatio": row.total.map(Spread::to_json),
                "rounds": rounds(row.peer),
            })
        });
        json!({"case": case.name, "about": case.about, "requests": case.requests, "peers": peers.collect::<Vec<_>>()})
    });
    let idle = results.idle.iter().map(|idle| {
        json!({
            "protocol": idle.protocol.name(),
            "peer": idle.peer.name(),
            "connections": idle.connections,
            "residentKiBBefore": idle.before,
            "residentKiB": idle.with,
            "kibPerConnection": each(idle.before, idle.with, idle.connections),
        })
    });
    json!({"cases": cases.collect::<Vec<_>>(), "idle": idle.collect::<Vec<_>>()})
}

fn sample(sample: &Sample) -> Value {
    json!({
        "requestsPerSecond": sample.rate,
        "p50Microseconds": sample.p50,
        "p99Microseconds": sample.p99,
        "mebibytesPerSecond": sample.volume,
        "cpuMicrosecondsPerRequest": sample.proxy,
        "machineMicrosecondsPerRequest": sample.machine,
        "disturbance": sample.disturbance,
    })
}

#[cfg(test)]
mod tests {
    use super::{Spread, json, markdown, rows};
    use crate::compare::{
        cases::CASES,
        peers::Peer,
        run::{Plan, Results, Sample},
    };

    fn sample(proxy: f64, machine: f64, disturbance: f64) -> Sample {
        Sample { rate: 1000.0, p50: 1.0, p99: 2.0, volume: 1.0, proxy, machine, disturbance }
    }

    fn plan(peers: Vec<Peer>) -> Plan {
        Plan { peers, cases: CASES[..1].to_vec(), rounds: 3, idle: Vec::new(), pinned: false, portcullis: "".into() }
    }

    #[test]
    fn ratios_pair_the_rounds_and_leave_disturbed_ones_out_of_the_total() {
        let plan = plan(vec![Peer::Direct, Peer::Relay, Peer::Nginx]);
        let samples = vec![
            vec![sample(0.0, 10.0, 0.0); 3],
            vec![sample(10.0, 30.0, 0.0), sample(20.0, 30.0, 0.0), sample(10.0, 90.0, 0.5)],
            vec![sample(20.0, 50.0, 0.0), sample(20.0, 40.0, 0.0), sample(30.0, 40.0, 0.0)],
        ];
        let rows = rows(&plan, &samples);
        assert_eq!(rows[0].proxy, None);
        assert_eq!(rows[1].proxy, Some(Spread { median: 1.0, least: 1.0, most: 1.0, count: 3 }));
        assert_eq!(rows[2].proxy, Some(Spread { median: 2.0, least: 1.0, most: 3.0, count: 3 }));
        assert_eq!(rows[2].total, Some(Spread { median: 1.75, least: 1.5, most: 2.0, count: 2 }));
    }

    #[test]
    fn without_the_relay_there_is_no_ratio() {
        let rows =
            rows(&plan(vec![Peer::Direct, Peer::Nginx]), &[vec![sample(0.0, 1.0, 0.0)], vec![sample(1.0, 2.0, 0.0)]]);
        assert_eq!((rows[1].proxy, rows[1].total), (None, None));
    }

    #[test]
    fn who_does_not_speak_a_protocol_has_no_row() {
        let plan = plan(vec![Peer::Relay, Peer::Nginx, Peer::Dnsdist]);
        let samples = vec![vec![sample(1.0, 1.0, 0.0)], vec![], vec![sample(3.0, 2.0, 0.0)]];
        let rows = rows(&plan, &samples);
        assert_eq!(rows.iter().map(|row| row.peer).collect::<Vec<_>>(), [Peer::Relay, Peer::Dnsdist]);
        assert_eq!(rows[1].proxy.unwrap().median, 3.0);
        let results = Results { samples: vec![samples], idle: Vec::new() };
        let told = json(&plan, &results);
        assert_eq!(told["cases"][0]["peers"][1]["rounds"][0]["cpuMicrosecondsPerRequest"], 3.0);
    }

    #[test]
    fn the_second_line_is_told_by_what_the_machine_spends_with_and_without_it() {
        let plan = plan(vec![Peer::Unsteered, Peer::UnsteeredSockets]);
        let rounds = [(11.0, 10.0, 0.0), (30.0, 10.0, 0.5), (9.0, 10.0, 0.0)];
        let with = rounds.map(|(with, _, disturbance)| sample(0.0, with, disturbance)).to_vec();
        let without = rounds.map(|(_, without, _)| sample(0.0, without, 0.0)).to_vec();
        let told = markdown(&plan, &Results { samples: vec![vec![with, without]], idle: Vec::new() });
        assert!(told.contains("unsteered-sockets of the same round: **1.00** (0.90 to 1.10, n=2)"), "{told}");
    }

    #[test]
    fn medians_of_even_numbers_lie_in_the_middle() {
        assert_eq!(Spread::of(vec![]), None);
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 9.0]).unwrap().median, 3.0);
    }
}
