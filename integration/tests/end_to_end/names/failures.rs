//! DNS queries while a node, a server or a policy goes away, changes, and comes back.

use nix::sys::signal::Signal;
use portcullis_integration::{
    Process,
    curl::{REFUSED, curl},
    wait,
};
use serde_json::{Value, json};

use super::{
    crowd::{Crowd, JUDGED, PLAIN, able, addresses, all_names, count, records, told},
    names, port_80,
};
use crate::scene::FAMILIES;

/// Names that are asked for one after the other.
const NAMES: u32 = 50;
/// Whatever is no answer.
const LOST: [&str; 4] = ["silent", "failed", "unsent", "denied"];
/// Answers after which all goes on as it should.
const ENOUGH: u64 = 500;

fn crowd() -> Crowd {
    let crowd = Crowd::new([records(PLAIN, NAMES + 1, 300), records(JUDGED, 2, 300)].concat(), &json!({}));
    crowd.apply(&[all_names()]);
    crowd
}

/// A client of each family that asks all the time.
fn askers(crowd: &Crowd) -> Vec<Process> {
    let number = NAMES.to_string();
    let start = |v6: bool| {
        let mut words = vec!["n#.race.example", "--count", &*number];
        words.extend(v6.then_some("--v6"));
        crowd.start(&format!("asker-{v6}"), "steady", v6, &words)
    };
    let mut all: Vec<Process> = FAMILIES.into_iter().map(start).collect();
    for asker in &mut all {
        asker.wait_for_line("answered").unwrap();
    }
    all
}

fn so_far(asker: &Process) -> Value {
    told(&asker.log())
}

/// Waits until each has so many more answers, or denials, or lost queries.
fn until_more(askers: &mut [Process], what: &str, more: u64) {
    for asker in askers {
        let goal = count(&so_far(asker), what) + more;
        let reached = |log: &str| (count(&told(log), what) >= goal).then_some(());
        asker.until(&format!("{goal} {what}"), reached).unwrap();
    }
}

fn end(askers: Vec<Process>) -> Vec<Value> {
    let end = |mut asker: Process| {
        asker.signal(Signal::SIGTERM).unwrap();
        asker.wait_for_line("ended").unwrap();
        so_far(&asker)
    };
    askers.into_iter().map(end).collect()
}

fn sum(ends: &[Value], what: &[&str]) -> u64 {
    ends.iter().flat_map(|told| what.iter().map(|what| count(told, what))).sum()
}

#[test]
fn a_resolver_that_dies_with_queries_in_hand_is_asked_again_once_it_is_back() {
    if !able() {
        return;
    }
    let mut crowd = crowd();
    let mut asking = askers(&crowd);
    crowd.unbound.process.signal(Signal::SIGSTOP).unwrap();
    until_more(&mut asking, "silent", 1);
    crowd.unbound.process.kill().unwrap();
    until_more(&mut asking, "silent", 1);
    crowd.revive();
    until_more(&mut asking, "answered", ENOUGH);
    let back: Vec<Value> = asking.iter().map(so_far).collect();
    until_more(&mut asking, "answered", ENOUGH);
    let ends = end(asking);
    assert_eq!(sum(&ends, &LOST), sum(&back, &LOST), "all are answered again: {ends:?}");
    println!("a resolver that died: {ends:?}");
    // Nobody is told a word that the server did not say.
    assert_eq!(sum(&ends, &["failed", "denied"]), 0, "{ends:?}");
}

#[test]
fn no_query_is_lost_to_a_change_of_policy() {
    if !able() {
        return;
    }
    let crowd = crowd();
    let mut asking = askers(&crowd);
    let fqdns = json!([{ "matchPattern": "n*.race.example" }]);
    let by_pattern = |pattern: &str| names(&json!([{ "matchPattern": pattern }]), &fqdns, &port_80());
    for round in 0..10 {
        let change = if round % 2 == 0 { by_pattern("n*.race.example") } else { all_names() };
        crowd.apply(&[change]);
        until_more(&mut asking, "answered", ENOUGH / 2);
    }
    let told: Vec<Value> = asking.iter().map(so_far).collect();
    assert_eq!(sum(&told, &LOST), 0, "{told:?}\n{}", crowd.node.process.log());
    crowd.apply(&[by_pattern("h*.race.example")]);
    until_more(&mut asking, "denied", ENOUGH);
    crowd.apply(&[all_names()]);
    until_more(&mut asking, "answered", ENOUGH);
    let ends = end(asking);
    assert_eq!(sum(&ends, &["silent", "unsent", "failed"]), 0, "{ends:?}\n{}", crowd.node.process.log());
}

#[test]
fn a_query_in_hand_is_answered_if_the_policy_that_comes_meanwhile_allows_it_too() {
    if !able() {
        return;
    }
    let crowd = crowd();
    let fqdns = json!([{ "matchPattern": "n*.race.example" }]);
    let judged = || crowd.metric("portcullis_verdicts_total", &["protocol=\"dns\"", "verdict=\"allow"]);
    for (round, pattern) in ["n*.race.example", "**"].into_iter().enumerate() {
        crowd.unbound.process.signal(Signal::SIGSTOP).unwrap();
        let before = judged();
        let words = ["n7.race.example", "--count", "1", "--wait", "30"];
        let mut asker = crowd.start(&format!("in-hand-{round}"), "steady", false, &words);
        let log = || crowd.node.process.log();
        wait::until("a query in hand", log, || Ok((judged() > before).then_some(()))).unwrap();
        crowd.apply(&[names(&json!([{ "matchPattern": pattern }]), &fqdns, &port_80())]);
        crowd.unbound.process.signal(Signal::SIGCONT).unwrap();
        asker.wait_for_line("\"answered\": 250").unwrap();
        let ends = end(vec![asker]);
        assert_eq!(sum(&ends, &LOST), 0, "{ends:?}\n{}", crowd.node.process.log());
    }
}

#[test]
fn a_stop_under_load_answers_every_query_or_refuses_it_and_loses_none() {
    if !able() {
        return;
    }
    let mut crowd = crowd();
    crowd.node.stop().unwrap();
    crowd.node.start_again_with(&["--release-on-stop"]).unwrap();
    let flood = |v6: bool| {
        let mut words = vec!["n#.race.example", "--count", "32"];
        words.extend(v6.then_some("--v6"));
        crowd.start(&format!("flood-{v6}"), "flood", v6, &words)
    };
    let mut asking: Vec<Process> = FAMILIES.into_iter().map(flood).collect();
    for asker in &mut asking {
        asker.wait_for_line("answered").unwrap();
    }
    until_more(&mut asking, "answered", 4 * ENOUGH);
    assert_eq!(sum(&asking.iter().map(so_far).collect::<Vec<_>>(), &["refused"]), 0);
    assert_eq!(crowd.node.stop().unwrap(), Some(0), "{}", crowd.node.process.log());
    until_more(&mut asking, "answered", 4 * ENOUGH);
    let ends = end(asking);
    println!("a stop under load: {ends:?}");
    assert_eq!(sum(&ends, &["silent", "failed", "denied"]), 0, "{ends:?}\n{}", crowd.node.process.log());
    // What is refused is refused in the moment between the last query and the end, not while connections drain.
    assert!(sum(&ends, &["refused"]) < ENOUGH, "{ends:?}");
}

#[test]
fn what_was_learnt_is_known_after_a_crash_and_after_a_stop() {
    if !able() {
        return;
    }
    let mut crowd = crowd();
    let mut asking = askers(&crowd);
    until_more(&mut asking, "answered", ENOUGH);
    crowd.ask(&crowd.client, "race", false, &["h#.race.example", "--first", "1"]);
    let mut lost = Vec::new();
    for crash in [true, false] {
        if crash {
            crowd.node.crash().unwrap();
        } else {
            assert_eq!(crowd.node.stop().unwrap(), Some(0));
        }
        crowd.node.start_again().unwrap();
        // Nobody asks for these names meanwhile.
        for (address, exit) in [(addresses(JUDGED, 1), 0), (addresses(PLAIN, NAMES), REFUSED)] {
            let answer =
                curl(&crowd.client, &["-H", "Host: h1.race.example"], &format!("http://{}/get", address[0])).unwrap();
            assert_eq!(answer.exit, exit, "crash: {crash}, {address:?}: {answer:?}");
        }
        until_more(&mut asking, "answered", ENOUGH);
        let told: Vec<Value> = asking.iter().map(so_far).collect();
        lost.push(sum(&told, &["silent"]) - lost.iter().sum::<u64>());
        assert_eq!(sum(&told, &["denied", "failed"]), 0, "{told:?}");
    }
    let ends = end(asking);
    println!("lost to a crash and to a stop: {lost:?}; {ends:?}");
    // At most what each client had in hand; what was asked while nobody judged was refused at once. A stop loses
    // none.
    assert!(lost[0] <= 2 && lost[1] == 0, "{lost:?} {ends:?}");
}
