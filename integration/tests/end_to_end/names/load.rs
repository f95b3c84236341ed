//! Load: as many names as the limits allow, from one client that sends each query as soon as the last one is answered.

use std::fs;

use portcullis_integration::{Need, require};
use serde_json::json;

use super::crowd::{Crowd, PLAIN, able, all_names, records};

/// Memory that the node may have at most, in KiB, with 100,000 names known.
const MEMORY: u64 = 1024 * 1024;

/// The first number after a text.
fn number_after(report: &str, text: &str) -> f64 {
    let rest = report.split(text).nth(1).unwrap_or_else(|| panic!("no {text}: {report}"));
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

/// What the node holds in memory, in KiB.
fn resident(crowd: &Crowd) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", crowd.node.process.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn no_query_is_lost_with_one_name_a_thousand_or_a_hundred_thousand() {
    if !able() || !require(&[Need::Program("dnsperf")]) {
        return;
    }
    let crowd = Crowd::new(records(PLAIN, 100_000, 300), &json!({}));
    crowd.apply(&[all_names()]);
    let (file, server) = (crowd.lab.node().directory().join("queries"), crowd.kube_dns.v4.to_string());
    for names in [1_u32, 1_000, 100_000] {
        // Far apart, so that names are asked for that were not asked for in the round before.
        let lines = (0..names).map(|number| format!("n{}.race.example A\n", number * (100_000 / names)));
        fs::write(&file, lines.collect::<String>()).unwrap();
        let mut rates = Vec::new();
        for pod in [&crowd.other, &crowd.client] {
            let file = file.display().to_string();
            let words = ["dnsperf", "-s", &*server, "-d", &*file, "-l", "4", "-c", "8", "-q", "64", "-t", "10"];
            let report = pod.run(&words).unwrap().ok().unwrap().stdout;
            let lost = number_after(&report, "Queries lost:");
            let node = || format!("{report}\n{}", crowd.node.metrics().unwrap());
            assert_eq!(lost, 0.0, "{names} names of {}: {}", pod.name, node());
            assert!(report.contains("NOERROR") && !report.contains("SERVFAIL"), "{}: {}", pod.name, node());
            rates.push(number_after(&report, "Queries per second:"));
        }
        let (memory, known) = (resident(&crowd), crowd.metric("portcullis_fqdn_names", &[]));
        println!(
            "{names} names: {:.0} queries/s direct, {:.0} judged; {known} names, {memory} KiB",
            rates[0], rates[1]
        );
        assert!(memory < MEMORY, "{memory} KiB");
    }
    assert_eq!(crowd.metric("portcullis_fqdn_uninstalled_total", &[]), 0.0);
    assert_eq!(crowd.metric("portcullis_datagrams_lost_total", &[]), 0.0);
}
