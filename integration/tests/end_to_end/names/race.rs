//! No DNS race: a client that connects as soon as it has the answer is allowed, because the address is installed
//! before the answer leaves.

use portcullis_integration::Process;
use serde_json::{Value, json};

use super::crowd::{Crowd, JUDGED, PLAIN, able, all_names, count, records, told};

/// How often a client tells that it goes on.
const MARK: u32 = 250;
/// Names of one client.
const EACH: u32 = 1250;

fn end(mut client: Process) -> Value {
    for done in (MARK..=EACH).step_by(MARK as usize) {
        client.wait_for_line(&format!("{done} done")).unwrap();
    }
    client.wait().unwrap();
    told(&client.log())
}

#[test]
fn ten_thousand_connections_in_the_tick_of_their_answers_are_let_out() {
    if !able() {
        return;
    }
    let names = [records(PLAIN, 2 * EACH, 300), records(JUDGED, 2 * EACH, 300)].concat();
    let crowd = Crowd::new(names, &json!({}));
    crowd.apply(&[all_names()]);
    let mut clients = Vec::new();
    for (kind, http) in [(PLAIN, false), (JUDGED, true)] {
        for v6 in [false, true] {
            for first in [0, EACH] {
                let name = format!("race-{http}-{v6}-{first}");
                let (first, each) = (first.to_string(), EACH.to_string());
                let mut words = vec![kind.0, "--first", &*first, "--count", &*each];
                words.extend(v6.then_some("--v6"));
                words.extend(http.then_some("--http"));
                clients.push(crowd.start(&name, "race", v6, &words));
            }
        }
    }
    let ends: Vec<Value> = clients.into_iter().map(end).collect();
    let connected: u64 = ends.iter().map(|told| count(told, "connected")).sum();
    assert_eq!(connected, 10_000, "{ends:?}");
    // Every one was learnt, and nothing was learnt that nobody asked for.
    assert_eq!(crowd.metric("portcullis_fqdn_names", &[]), f64::from(4 * EACH));
    assert_eq!(crowd.metric("portcullis_fqdn_addresses", &[]), f64::from(8 * EACH));
    assert_eq!(crowd.metric("portcullis_fqdn_uninstalled_total", &[]), 0.0);
    assert_eq!(crowd.metric("portcullis_answers_unlearnt_total", &[]), 0.0);
    assert_eq!(crowd.metric("portcullis_datagrams_lost_total", &[]), 0.0);
}
