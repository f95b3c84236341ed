//! Policies that exceed the bounds are refused by name before they are stored, and what was in force stays.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fmt::Write as _;

use common::{Lab, key, listed, local, policy, policy_text, remote, resource, told};
use portcullis_config::proto::{self, Outcome, ResourceType, resource::Body};
use portcullis_rules::{
    bounds::CompileBounds,
    params::FlowParams,
    settings::PolicySettings,
    snapshot::FlowKey,
    world::{Direction, EndpointId, Transport},
};

const POLICY: ResourceType = ResourceType::Policy;

fn lab(memory: usize, policy_memory: usize, work: u64) -> Lab {
    let bounds = CompileBounds { memory, policy_memory, work };
    Lab { settings: PolicySettings { bounds, ..PolicySettings::default() }, ..Lab::default() }
}

/// A policy with so many regular expressions of half a MiB each, none of which is another policy's.
fn hostile(name: &str, count: usize) -> proto::Resource {
    let rules = (0..count).fold(String::new(), |mut rules, number| {
        write!(rules, "{{path: '/{name}{number}[^a]{{1000}}[^b]{{900}}x'}}, ").unwrap();
        rules
    });
    let text = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{endpointSelector: {{}}, ingress: [{{toPorts: [{{ports: [{{port: '80', protocol: TCP}}],\n\
         rules: {{http: [{rules}]}}}}]}}]}}\n"
    );
    resource("1", Body::Policy(proto::Policy { document: text }))
}

/// Whether the local endpoint lets somebody in.
fn lets_in(fake: &common::Fake) -> bool {
    let key = FlowKey {
        endpoint: EndpointId(1),
        direction: Direction::Ingress,
        transport: Transport::Tcp,
        peer: "10.9.9.9".parse().unwrap(),
        port: 22,
    };
    let flow = fake.last().snapshot.flow(&key);
    flow.outcome.passes() && flow.plan.is_empty()
}

#[tokio::test]
async fn a_policy_that_takes_too_much_is_refused_by_name_and_field_before_it_is_kept() {
    let lab = lab(64 << 20, 8 << 20, 1 << 40);
    let (store, fake) = lab.open();
    store.apply(vec![local("e", "10.0.0.1"), policy("p", "all")], false).await.unwrap();
    let calls = fake.calls().len();
    let applied = store.apply(vec![hostile("h", 40), policy("q", "world")], false).await.unwrap();
    let results = told(&applied.results);
    assert!(results[0].starts_with("h refused spec.ingress[0].toPorts[0].rules.http["), "{results:?}");
    assert!(results[0].contains("more than 8388608 bytes"), "{results:?}");
    assert_eq!(results[1], "q ok");
    let problem = &applied.results[0].problems[0];
    assert!(problem.remedy.contains("limits.compilation.policyMemory") && problem.line == 5, "{problem:?}");
    assert_eq!(problem.reason, "policy_memory");
    assert_eq!(fake.0.lock().unwrap().reasons, ["policy_memory"]);
    assert_eq!((fake.calls().len(), listed(&store, POLICY)), (calls + 1, vec!["h?!".into(), "p".into(), "q".into()]));
    drop(store);
    let (again, _) = lab.open();
    assert_eq!(listed(&again, POLICY), ["p", "q"]);
}

#[tokio::test]
async fn of_policies_that_are_too_much_together_those_go_that_came_last_and_take_most() {
    let lab = lab(22 << 20, 20 << 20, 1 << 40);
    let (store, fake) = lab.open();
    store.apply(vec![local("e", "10.0.0.1"), hostile("first", 16)], false).await.unwrap();
    assert_eq!(told(&store.apply(vec![hostile("second", 8)], false).await.unwrap().results), ["second ok"]);
    let newer = vec![hostile("third", 25), hostile("fourth", 2), policy("small", "all")];
    let dry = store.apply(newer.clone(), true).await.unwrap();
    let applied = store.apply(newer, false).await.unwrap();
    for applied in [&dry, &applied] {
        let results = told(&applied.results);
        assert!(results[0].starts_with("third refused spec with this policy, policies together take"), "{results:?}");
        assert_eq!(results[1..], ["fourth ok", "small ok"]);
        assert_eq!(applied.results[0].problems[0].reason, "memory");
    }
    // A new version of one that is in force does not fit: the old one stays.
    let applied = store.apply(vec![hostile("first", 36)], false).await.unwrap();
    assert_eq!(applied.results[0].outcome(), Outcome::Rejected);
    assert_eq!(listed(&store, POLICY), ["first!", "fourth", "second", "small", "third?!"]);
    drop(store);
    let (store, after) = lab.open();
    assert_eq!(listed(&store, POLICY), ["first", "fourth", "second", "small"]);
    assert_eq!(after.last().snapshot.generation(), 1);
    assert!(lets_in(&fake) && lets_in(&after), "small lets everybody in");
}

#[tokio::test]
async fn endpoints_that_make_too_much_work_of_policies_in_force_are_refused_and_nothing_changes() {
    let lab = lab(64 << 20, 32 << 20, 300_000);
    let (store, fake) = lab.open();
    let selectors: String = (0..300).fold(String::new(), |mut all, number| {
        write!(all, "{{matchExpressions: [{{key: pod, operator: NotIn, values: [p{number}]}}]}}, ").unwrap();
        all
    });
    let text = policy_text("p", "all").replace("fromEntities: [all]", &format!("fromEndpoints: [{selectors}]"));
    let selecting = resource("1", Body::Policy(proto::Policy { document: text }));
    store.apply(vec![local("e", "10.0.0.1"), selecting], false).await.unwrap();
    let revision = store.revision();
    let crowd = |labels: u32| {
        let one = |number: u32| {
            let mut one = remote(&format!("e{number}"), &format!("10.1.{}.{}", number >> 8, number & 255));
            if let Some(Body::Endpoint(endpoint)) = &mut one.body {
                for label in 0..labels {
                    endpoint.labels.insert(format!("l{label}"), format!("{number}"));
                }
            }
            one
        };
        (0..20_000).map(one).collect::<Vec<_>>()
    };
    let applied = store.apply(crowd(1), false).await.unwrap();
    let refused = applied.results.iter().filter(|result| result.outcome() == Outcome::Rejected).count();
    assert_eq!((refused, applied.revision, fake.last().revision), (20_000, revision, revision));
    assert_eq!(applied.results[7].problems[0].reason, "work");
    assert_eq!(listed(&store, ResourceType::Endpoint), ["e"]);
    let faults = store.status().faults.join("\n");
    assert!(faults.contains("the last update is not in force"), "{faults}");
    // The policy goes, and there is work enough for the endpoints.
    store.delete(vec![key(POLICY, "p")]).await.unwrap();
    let applied = store.apply(crowd(1), false).await.unwrap();
    assert!(applied.results.iter().all(|result| result.outcome() == Outcome::Accepted));
    assert!(!store.status().faults.join("\n").contains("the last update is not in force"));
}

/// Each of these is within the bounds of one policy, and each takes its time to be read.
#[tokio::test]
async fn policies_of_one_update_share_the_work_of_reading_them() {
    let mut lab = lab(1 << 30, 16 << 20, 12_000_000);
    let (store, fake) = lab.open();
    store.apply(vec![local("e", "10.0.0.1"), policy("p", "all"), hostile("kept", 4)], false).await.unwrap();
    let calls = fake.calls().len();
    // Each comes to 5 MiB, so to 2.6 million steps.
    let update: Vec<_> = (0..40).map(|number| hostile(&format!("h{number}"), 10)).chain([policy("q", "all")]).collect();
    for dry in [true, false] {
        let applied = store.apply(update.clone(), dry).await.unwrap();
        let (taken, refused): (Vec<_>, Vec<_>) =
            applied.results.iter().partition(|result| result.outcome() == Outcome::Accepted);
        assert!(taken.len() <= 4, "{:?}", told(&applied.results));
        for result in &refused {
            let problem = &result.problems[0];
            assert_eq!(problem.reason, "work", "{problem:?}");
            assert!(problem.message.contains("12000000 steps"), "{problem:?}");
            assert!(!problem.message.contains("of compilation"), "what was not read is not compiled: {problem:?}");
            assert!(problem.remedy.contains("limits.compilation.work"), "{problem:?}");
        }
        assert_eq!(refused.len() + taken.len(), 41);
    }
    // The next update has work of its own, and what is in force word for word takes none.
    let again = vec![policy("q", "all"), hostile("kept", 4)];
    assert_eq!(told(&store.apply(again, false).await.unwrap().results), ["q ok", "kept ok"]);
    assert!(fake.calls().len() > calls && lets_in(&fake));
    let before = listed(&store, POLICY).into_iter().filter(|name| !name.ends_with("?!")).collect::<Vec<_>>();
    drop(store);
    // What was taken in is in force again, whatever it takes together.
    lab.settings.bounds.work = 1 << 40;
    assert_eq!(listed(&lab.open().0, POLICY), before.iter().map(|name| name.replace('!', "")).collect::<Vec<_>>());
}

/// Regular expressions that many policies have in common are compiled once, at every start too.
#[tokio::test]
async fn equal_regular_expressions_of_an_update_are_read_once() {
    let lab = lab(1 << 30, 64 << 20, 8_000_000);
    let (store, _) = lab.open();
    let one = hostile("same", 10);
    let same = |number: u32| {
        let mut one = one.clone();
        if let Some(Body::Policy(policy)) = &mut one.body {
            policy.document = policy.document.replace("{name: same,", &format!("{{name: same{number},"));
        }
        one
    };
    let applied = store.apply((0..200).map(same).collect(), false).await.unwrap();
    assert!(applied.results.iter().all(|result| result.outcome() == Outcome::Accepted), "{:?}", told(&applied.results));
    drop(store);
    assert_eq!(listed(&lab.open().0, POLICY).len(), 200);
}

/// A state directory of a node that had more: what does not fit is left out by name, and leaves nothing open.
#[tokio::test]
async fn what_does_not_fit_any_more_at_the_start_is_left_out_and_closes() {
    for (memory, policy_memory) in [(8 << 20, 32 << 20), (64 << 20, 4 << 20)] {
        let mut lab = lab(64 << 20, 32 << 20, 1 << 40);
        let (store, _) = lab.open();
        let kept = vec![local("e", "10.0.0.1"), hostile("h", 18), policy("p", "all")];
        assert!(told(&store.apply(kept, false).await.unwrap().results).iter().all(|told| told.ends_with("ok")));
        store.delete(vec![key(POLICY, "p")]).await.unwrap();
        drop(store);
        lab.settings.bounds = CompileBounds { memory, policy_memory, ..lab.settings.bounds };
        for _ in 0..3 {
            let (store, fake) = lab.open();
            assert_eq!(listed(&store, POLICY), ["h!"]);
            let rejected = store.list(POLICY).remove(0).rejected.unwrap();
            assert!(rejected.problems[0].message.contains("bytes"), "{rejected:?}");
            assert!(!lets_in(&fake), "what it closed is closed");
            assert_eq!(store.status().rejected, 1);
        }
        // The bounds are raised again, and it is in force as it was.
        lab.settings.bounds = CompileBounds { memory: 64 << 20, policy_memory: 32 << 20, ..lab.settings.bounds };
        let (store, _) = lab.open();
        assert_eq!(listed(&store, POLICY), ["h"]);
    }
}

#[tokio::test]
async fn settings_that_leave_too_little_room_do_not_come_into_force() {
    let lab = lab(64 << 20, 32 << 20, 1 << 40);
    let (store, fake) = lab.open();
    store.apply(vec![local("e", "10.0.0.1"), hostile("h", 18)], false).await.unwrap();
    let revision = store.revision();
    let bounds = CompileBounds { memory: 4 << 20, policy_memory: 4 << 20, ..lab.settings.bounds };
    store.reconfigure(PolicySettings { bounds, ..lab.settings }, FlowParams::default(), Vec::new()).await.unwrap();
    assert_eq!(fake.last().revision, revision);
    assert!(store.status().faults.join("\n").contains("limits.compilation.memory"), "{:?}", store.status().faults);
    assert_eq!(told(&store.apply(vec![policy("p", "all")], false).await.unwrap().results), ["p ok"]);
}

/// A node that begins with more than fits, and with room for it later.
#[tokio::test]
async fn what_was_left_out_is_in_force_again_when_what_took_its_room_has_gone() {
    let mut lab = lab(64 << 20, 32 << 20, 1 << 40);
    let (store, _) = lab.open();
    let kept = vec![local("e", "10.0.0.1"), hostile("a", 10), hostile("b", 18), policy("p", "world")];
    assert!(told(&store.apply(kept, false).await.unwrap().results).iter().all(|told| told.ends_with("ok")));
    drop(store);
    lab.settings.bounds.memory = 12 << 20;
    let (store, fake) = lab.open();
    assert_eq!(listed(&store, POLICY), ["a", "b!", "p"]);
    // Something comes, and something small goes: it still has no room, and closes as before.
    store.apply(vec![policy("q", "world")], false).await.unwrap();
    store.delete(vec![key(POLICY, "q")]).await.unwrap();
    assert_eq!(listed(&store, POLICY), ["a", "b!", "p"]);
    let rejected = fake.0.lock().unwrap().reasons.len();
    store.delete(vec![key(POLICY, "p")]).await.unwrap();
    assert_eq!(fake.0.lock().unwrap().reasons.len(), rejected, "what is known is not told again");
    let revision = store.revision();
    store.delete(vec![key(POLICY, "a")]).await.unwrap();
    assert_eq!((listed(&store, POLICY), store.status().rejected), (vec!["b".to_owned()], 0));
    assert!(store.revision() > revision);
    drop(store);
    assert_eq!(listed(&lab.open().0, POLICY), ["b"]);
}

/// Files stay where they are when they are refused, so nobody would send them again.
#[tokio::test]
async fn a_file_that_was_refused_for_want_of_room_is_read_again_when_there_is_some() {
    let mut lab = lab(12 << 20, 12 << 20, 1 << 40);
    let directory = tempfile::tempdir().unwrap();
    let document = |resource: proto::Resource| match resource.body {
        Some(Body::Policy(policy)) => policy.document,
        _ => String::new(),
    };
    lab.resources = vec![directory.path().to_owned()];
    let (store, _) = lab.open();
    store.apply(vec![local("e", "10.0.0.1"), hostile("a", 10)], false).await.unwrap();
    std::fs::write(directory.path().join("b.yaml"), document(hostile("b", 18))).unwrap();
    store.reload_files().await.unwrap();
    assert_eq!(listed(&store, POLICY), ["a", "b?!"]);
    store.delete(vec![key(POLICY, "a")]).await.unwrap();
    assert_eq!(listed(&store, POLICY), ["b"]);
}

/// What files say still does not fit, and what was deleted is gone all the same.
#[tokio::test]
async fn what_went_stays_gone_although_what_was_refused_does_not_fit_yet() {
    let mut lab = lab(64 << 20, 32 << 20, 300_000);
    let directory = tempfile::tempdir().unwrap();
    lab.resources = vec![directory.path().to_owned()];
    let (store, _) = lab.open();
    let selectors: String = (0..300).fold(String::new(), |mut all, number| {
        write!(all, "{{matchExpressions: [{{key: pod, operator: NotIn, values: [p{number}]}}]}}, ").unwrap();
        all
    });
    let text = policy_text("p", "all").replace("fromEntities: [all]", &format!("fromEndpoints: [{selectors}]"));
    let selecting = resource("1", Body::Policy(proto::Policy { document: text }));
    store.apply(vec![local("e", "10.0.0.1"), selecting, policy("q", "all")], false).await.unwrap();
    let crowd = (0..20_000_u32).fold(String::new(), |mut all, number| {
        let [_, _, high, low] = number.to_be_bytes();
        write!(
            all,
            "apiVersion: portcullis.io/v1\nkind: Endpoint\nmetadata: {{name: e{number}, namespace: shop, labels: {{l: '{number}'}}}}\n\
             spec: {{addresses: [10.1.{high}.{low}]}}\n---\n"
        )
        .unwrap();
        all
    });
    std::fs::write(directory.path().join("crowd.yaml"), crowd).unwrap();
    store.reload_files().await.unwrap();
    assert_eq!(listed(&store, ResourceType::Endpoint).len(), 1);
    let faults = || store.status().faults.join("\n").contains("the last update is not in force");
    assert!(faults());
    store.delete(vec![key(POLICY, "q")]).await.unwrap();
    assert_eq!((listed(&store, POLICY), faults()), (vec!["p".to_owned()], true));
    // The policy that makes the work goes, and they come by themselves.
    store.delete(vec![key(POLICY, "p")]).await.unwrap();
    assert_eq!((listed(&store, ResourceType::Endpoint).len(), faults()), (20_001, false));
}
