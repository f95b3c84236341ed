//! The resolvers in common programs: allowed names resolve and can be reached, denied names do not exist.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf, process::Command};

use portcullis_integration::{Need, process, require};
use serde_json::json;

use super::{
    crowd::{Crowd, PLAIN, able, addresses, client, records},
    names, port_80,
};

/// The client may ask for two names and an alias of the second; a third one is there as well.
fn crowd() -> Crowd {
    let mut all = records(PLAIN, 3, 60);
    all.push("n-alias.race.example. 60 IN CNAME n1.race.example.".to_owned());
    let crowd = Crowd::new(all, &json!({}));
    let allowed =
        ["n0.race.example", "n1.race.example", "n-alias.race.example"].map(|name| json!({ "matchName": name }));
    crowd.apply(&[names(&json!(allowed), &json!([{ "matchPattern": "n*.race.example" }]), &port_80())]);
    crowd
}

/// An address of the world; each program has its own way to write IPv6.
fn of_the_world(word: &str) -> Option<String> {
    let address: IpAddr = word.parse().ok()?;
    let text = address.to_string();
    (text.starts_with("198.18.") || text.starts_with("2001:db8:a:")).then_some(text)
}

/// Runs a resolver; `#` of its words is the name. Gives the addresses that it prints.
fn resolve(crowd: &Crowd, words: &[&str], name: &str) -> (BTreeSet<String>, String) {
    let words: Vec<String> = words.iter().map(|word| word.replace('#', name)).collect();
    let ended = crowd.client.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let found = ended.stdout.split_whitespace().filter_map(of_the_world).collect();
    (found, format!("{ended:?}"))
}

/// Together these resolvers, one of each family or one of both, find what is allowed, and none finds anything else.
fn holds(resolvers: &[&[&str]]) {
    let crowd = crowd();
    for (name, number) in [("n0.race.example", 0), ("n-alias.race.example", 1)] {
        let told: Vec<_> = resolvers.iter().map(|words| resolve(&crowd, words, name)).collect();
        let found: BTreeSet<String> = told.iter().flat_map(|(found, _)| found.clone()).collect();
        let expected = addresses(PLAIN, number);
        assert_eq!(found, expected.clone().into(), "{told:?}\n{}", crowd.node.process.log());
        for address in expected {
            let host = if address.contains(':') { format!("[{address}]") } else { address };
            let reached = crowd.client.run(&["curl", "-sS", "--max-time", "20", &format!("http://{host}/")]).unwrap();
            assert_eq!(reached.stdout, "ok", "{reached:?}");
        }
    }
    for words in resolvers {
        let (found, told) = resolve(&crowd, words, "n2.race.example");
        assert!(found.is_empty(), "{told}");
    }
    assert_eq!(crowd.unbound.arrived("n2.race.example."), 0, "it is not asked for");
}

#[test]
fn dig_over_udp_and_tcp() {
    if able() && require(&[Need::Program("dig")]) {
        holds(&[&["dig", "+tries=1", "#", "A"], &["dig", "+tries=1", "#", "AAAA"]]);
        holds(&[&["dig", "+tcp", "#", "A"], &["dig", "+tcp", "#", "AAAA"]]);
    }
}

#[test]
fn getent_of_glibc() {
    if able() && require(&[Need::Program("getent")]) {
        holds(&[&["getent", "ahosts", "#"]]);
    }
}

#[test]
fn nslookup_of_busybox() {
    if able() && require(&[Need::Program("busybox")]) {
        holds(&[&["busybox", "nslookup", "#"]]);
    }
}

#[test]
fn a_static_program_with_musl() {
    if able() && require(&[Need::Program("musl-gcc")]) {
        let (directory, program) = place();
        let mut command = Command::new("musl-gcc");
        command.args(["-static", "-O1", "-o"]).arg(&program).arg(client("resolve.c"));
        build(command);
        holds(&[&[&program.display().to_string(), "#"]]);
        drop(directory);
    }
}

#[test]
fn a_program_in_go_without_cgo() {
    if able() && require(&[Need::Program("go")]) {
        let (directory, program) = place();
        let mut command = Command::new("/usr/bin/go");
        command.args(["build", "-o"]).arg(&program).arg(client("resolve.go")).current_dir(directory.path());
        command.envs([("CGO_ENABLED", "0"), ("GO111MODULE", "off"), ("GOFLAGS", ""), ("HOME", "/nonexistent")]);
        command.env("GOCACHE", directory.path().join("cache")).env("GOPATH", directory.path().join("path"));
        build(command);
        holds(&[&[&program.display().to_string(), "#"]]);
    }
}

#[test]
fn a_program_in_java() {
    if able() && require(&[Need::Program("java")]) {
        holds(&[&["java", &client("JavaResolver.java"), "#"]]);
    }
}

/// Where a program is built.
fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("resolve");
    (directory, program)
}

fn build(command: Command) {
    let shown = format!("{command:?}");
    process::finish(command, shown, "").unwrap().ok().unwrap();
}
