//! Learned addresses expire.

use serde_json::{Value, json};

use super::crowd::{Crowd, JUDGED, PLAIN, able, all_names, records};
use crate::scene::FAMILIES;

/// Looks that a client takes, five a second: for longer than an address has, and for as long as it may take.
const FEW: &str = "25";
const MANY: &str = "150";

fn short() -> Crowd {
    let names = [records(PLAIN, 2, 1), records(JUDGED, 2, 1)].concat();
    let crowd = Crowd::new(names, &json!({ "fqdn": { "grace": "off", "minTtl": "1s" } }));
    crowd.apply(&[all_names()]);
    crowd
}

fn hold(crowd: &Crowd, name: &str, v6: bool, looks: [&str; 2]) -> Value {
    let mut words = vec![name, "--count", looks[0], "--after", looks[1]];
    words.extend(v6.then_some("--v6"));
    crowd.ask(&crowd.client, "hold", v6, &words)
}

#[test]
fn an_address_is_refused_again_after_its_time() {
    if !able() {
        return;
    }
    let crowd = short();
    for v6 in FAMILIES {
        // Its connection ends at once.
        let told = hold(&crowd, "n1.race.example", v6, ["0", MANY]);
        let expected = json!({ "first": true, "refused_meanwhile": false, "kept": true, "refused_after": true });
        assert_eq!(told, expected, "IPv6: {v6}\n{}", crowd.node.process.log());
    }
}

#[test]
fn an_address_is_kept_while_a_connection_to_it_is_open_that_is_relayed_or_not() {
    if !able() {
        return;
    }
    let crowd = short();
    for name in ["h1.race.example", "n1.race.example"] {
        for v6 in FAMILIES {
            let told = hold(&crowd, name, v6, [FEW, "0"]);
            let expected = json!({ "first": true, "refused_meanwhile": false, "kept": true, "refused_after": false });
            assert_eq!(told, expected, "{name}, IPv6: {v6}\n{}", crowd.node.process.log());
        }
    }
}
