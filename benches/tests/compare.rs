//! Runs the comparison with very little work. The figures mean nothing; the test shows that every proxy is configured
//! for the same work, and that nothing is left behind.
#![allow(missing_docs)]

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

/// Says loudly what is missing; a failure where everything has to be there.
fn missing(what: &str) -> bool {
    let required = std::env::var("PORTCULLIS_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!required, "{what} is missing");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what} is missing; deploy/setup.sh test bench installs it");
    true
}

fn compare(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compare")).args(words).output().expect("it starts")
}

#[test]
fn every_case_is_done_by_every_peer_and_told_beside_the_relay() {
    if !nix::unistd::geteuid().is_root() && missing("root") {
        return;
    }
    let portcullis = Path::new(env!("CARGO_BIN_EXE_compare")).with_file_name("portcullis");
    let own = portcullis.to_string_lossy();
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    let set_up = ["kafka/pom.xml", "kroxylicious/sources"].map(|file| format!("{cache}/portcullis/{file}"));
    let programs = ["/usr/sbin/nginx", "/usr/sbin/haproxy", "/usr/bin/dnsdist", "/sys/kernel/btf/vmlinux", &own];
    for needed in programs.into_iter().chain(set_up.iter().map(String::as_str)) {
        if !Path::new(needed).exists() && missing(needed) {
            return;
        }
    }
    let output = compare(&["--quick", "--output=json"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let results: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let cases = results["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 25);
    for case in cases {
        let peers = case["peers"].as_array().expect("peers");
        let names: Vec<_> = peers.iter().map(|peer| peer["peer"].as_str().unwrap_or_default()).collect();
        let others = match case["case"].as_str().unwrap_or_default().split('-').next() {
            Some("dns") => &["dnsdist"][..],
            Some("h2") => &["nginx", "haproxy", "hyper"],
            Some("kafka") => &["haproxy", "kroxylicious"],
            _ => &["nginx", "haproxy"],
        };
        assert_eq!(names, [&["direct", "relay"], others, &["portcullis"]].concat(), "{case}");
        for peer in peers {
            assert!(peer["requestsPerSecond"]["median"].as_f64().is_some_and(|rate| rate > 0.0), "{peer}");
            let proxy = peer["cpuMicrosecondsPerRequest"]["median"].as_f64().expect("a number");
            assert_eq!(proxy > 0.0, peer["peer"] != "direct", "{peer}");
            assert_eq!(peer["proxyRatio"].is_null(), peer["peer"] == "direct", "{peer}");
        }
    }
    let idle = results["idle"].as_array().expect("idle");
    assert!(idle.iter().all(|peer| peer["residentKiB"].as_u64() >= peer["residentKiBBefore"].as_u64()), "{idle:?}");
    let of = |protocol: &str| idle.iter().filter(|peer| peer["protocol"] == protocol).count();
    assert_eq!((of("http1"), of("http2"), idle.len()), (4, 5, 9));
}

#[test]
fn a_wrong_command_line_names_what_is_right() {
    let cases = [
        (&["--cases=h3"][..], "there are h1-small, h1-rate4k"),
        (
            &["--proxies=varnish"][..],
            "possible values: direct, relay, nginx, haproxy, hyper, dnsdist, kroxylicious, portcullis, sockets, unsteered",
        ),
        (&["--proxies=portcullis", "--portcullis=/nowhere/portcullis"][..], "leave it out with --proxies"),
    ];
    for (words, remedy) in cases {
        let output = compare(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Without root that is said first.
        assert!(!output.status.success() && (said.contains(remedy) || said.contains("root")), "{words:?}: {said}");
    }
}
