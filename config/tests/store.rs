//! What happens to pushed resources.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Fake, Lab, key, listed, local, policy, policy_text, remote, resource, service, told};
use portcullis_config::{StoreError, proto};
use portcullis_rules::{
    params::FlowParams,
    settings::{Enforcement, PolicySettings},
};
use proto::{ResourceType, StreamResourcesRequest, resource::Body};

const POLICY: ResourceType = ResourceType::Policy;
const ENDPOINT: ResourceType = ResourceType::Endpoint;

#[tokio::test]
async fn each_resource_is_accepted_or_refused_by_itself() {
    let lab = Lab::default();
    let (store, fake) = lab.open();
    assert_eq!(fake.last().revision, 1, "the empty configuration is in force from the start");
    let broken = policy("broken", "everybody");
    let nameless = resource("1", Body::Policy(proto::Policy { document: "a: [".into() }));
    let empty = proto::Resource::default();
    let pushed = vec![policy("p", "all"), broken, local("e", "10.0.0.1"), service("s", "10.9.0.1"), nameless, empty];
    let applied = store.apply(pushed, false).await.unwrap();
    let told = told(&applied.results);
    assert_eq!(told[0], "p ok");
    assert_eq!(told[1], "broken refused spec.ingress[0].fromEntities[0] unsupported entity: everybody");
    assert_eq!(told[2..4], ["e ok", "s ok"]);
    assert!(told[4].starts_with(" refused  cannot be read"), "{told:?}");
    assert_eq!(told[5], " refused  has no body");
    assert_eq!((applied.revision, fake.last().revision), (2, 2));
    assert_eq!(fake.calls().len(), 2, "one call for the whole update");
    assert_eq!(fake.last().snapshot.generation(), 2);
    assert_eq!(fake.0.lock().unwrap().rejected, ["policy", "policy"]);
    assert_eq!(listed(&store, POLICY), ["broken?!", "p"]);
    let status = store.status();
    assert_eq!((status.policies, status.endpoints, status.local_endpoints, status.services), (1, 1, 1, 1));
    assert_eq!((status.rejected, status.version.as_str(), status.enforcement.as_str()), (1, "1", "default"));
}

#[tokio::test]
async fn the_last_good_version_stays_in_force_when_a_newer_one_is_refused() {
    let lab = Lab::default();
    let (store, fake) = lab.open();
    store.apply(vec![policy("p", "all")], false).await.unwrap();
    let revision = store.revision();
    let applied = store.apply(vec![policy("p", "everybody")], false).await.unwrap();
    assert_eq!(applied.revision, revision);
    assert_eq!(fake.last().revision, revision, "nothing in force changes");
    let seen = store.list(POLICY).remove(0);
    let Some(Body::Policy(kept)) = seen.resource.unwrap().body else { panic!("no policy") };
    assert_eq!(kept.document, policy_text("p", "all"));
    assert_eq!(seen.rejected.unwrap().problems[0].line, 4);
    store.apply(vec![policy("p", "world")], false).await.unwrap();
    assert_eq!(listed(&store, POLICY), ["p"], "a good one makes the refused one forgotten");
}

#[tokio::test]
async fn what_does_not_change_makes_no_new_revision() {
    let lab = Lab::default();
    let (store, fake) = lab.open();
    let pushed = || vec![policy("p", "all"), local("e", "10.0.0.1"), service("s", "10.9.0.1")];
    store.apply(pushed(), false).await.unwrap();
    let calls = fake.calls().len();
    let applied = store.apply(pushed(), false).await.unwrap();
    assert_eq!((told(&applied.results).join(","), applied.revision), ("p ok,e ok,s ok".into(), 2));
    let mut newer = policy("p", "all");
    newer.version = "2".into();
    store.apply(vec![newer], false).await.unwrap();
    assert_eq!((store.revision(), fake.calls().len()), (2, calls));
    assert_eq!(store.list(POLICY)[0].resource.as_ref().unwrap().version, "2", "but the version is the newer one");
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let lab = Lab::default();
    let (store, fake) = lab.open();
    let applied = store.apply(vec![policy("p", "all"), policy("q", "everybody")], true).await.unwrap();
    assert_eq!(told(&applied.results)[0], "p ok");
    assert!(told(&applied.results)[1].starts_with("q refused"));
    assert_eq!((applied.revision, fake.calls().len()), (1, 1));
    assert!(listed(&store, POLICY).is_empty());
}

#[tokio::test]
async fn an_address_has_one_endpoint() {
    let lab = Lab::default();
    let (store, _) = lab.open();
    store.apply(vec![remote("a", "10.0.0.1")], false).await.unwrap();
    let applied = store.apply(vec![remote("b", "10.0.0.1")], false).await.unwrap();
    assert_eq!(told(&applied.results), ["b refused spec.addresses[0] 10.0.0.1 belongs to endpoint shop/a"]);
    // Addresses may change hands within one update.
    let applied = store.apply(vec![remote("a", "10.0.0.2"), remote("b", "10.0.0.1")], false).await.unwrap();
    assert_eq!(told(&applied.results), ["a ok", "b ok"]);
    let applied = store.apply(vec![remote("a", "10.0.0.1"), remote("b", "10.0.0.2")], false).await.unwrap();
    assert_eq!(told(&applied.results), ["a ok", "b ok"], "also crosswise");
    // Who is refused keeps its old address, so whoever wanted that one is refused too.
    let chain = vec![remote("b", "10.0.0.3"), remote("c", "10.0.0.2"), remote("d", "10.0.0.3")];
    let applied = store.apply(chain, false).await.unwrap();
    assert_eq!(told(&applied.results)[..2], ["b ok", "c ok"]);
    assert_eq!(told(&applied.results)[2], "d refused spec.addresses[0] 10.0.0.3 belongs to endpoint shop/b");
    let chain = vec![remote("d", "10.0.0.1"), remote("a", "10.0.0.2")];
    let applied = store.apply(chain, false).await.unwrap();
    assert_eq!(
        told(&applied.results),
        [
            "d refused spec.addresses[0] 10.0.0.1 belongs to endpoint shop/a",
            "a refused spec.addresses[0] 10.0.0.2 belongs to endpoint shop/c",
        ]
    );
    // A pod that goes leaves its address to the next one of the same update.
    let request = StreamResourcesRequest {
        resources: vec![remote("e", "10.0.0.1")],
        removed: vec![key(ENDPOINT, "a")],
        ..Default::default()
    };
    assert_eq!(told(&store.push(request).await.unwrap().results), ["e ok", "a ok"]);
}

#[tokio::test]
async fn an_update_says_nothing_twice() {
    let lab = Lab::default();
    let (store, _) = lab.open();
    let applied = store.apply(vec![policy("p", "all"), policy("p", "world")], false).await.unwrap();
    assert_eq!(told(&applied.results)[1], "p refused metadata.name policy shop/p is in this update already");
}

#[tokio::test]
async fn resources_are_deleted_by_name() {
    let lab = Lab::default();
    let (store, fake) = lab.open();
    store.apply(vec![policy("p", "all"), policy("q", "all"), policy("r", "everybody")], false).await.unwrap();
    let keys = vec![key(POLICY, "p"), key(POLICY, "nobody"), key(ResourceType::Unspecified, "x"), key(POLICY, "r")];
    let applied = store.delete(keys).await.unwrap();
    let expected = ["p ok", "nobody ok  there is no policy shop/nobody", "x refused  names no resource", "r ok"];
    assert_eq!(told(&applied.results), expected);
    assert_eq!(listed(&store, POLICY), ["q"]);
    assert_eq!(fake.last().revision, applied.revision);
}

#[tokio::test]
async fn a_full_push_removes_what_it_does_not_name_of_its_types() {
    let lab = Lab::default();
    let (store, _) = lab.open();
    store.apply(vec![policy("p", "all"), policy("q", "all"), remote("e", "10.0.0.1")], false).await.unwrap();
    let full = |resources, types: &[ResourceType]| StreamResourcesRequest {
        resources,
        full: true,
        types: types.iter().map(|kind| i32::from(*kind)).collect(),
        ..Default::default()
    };
    let applied = store.push(full(vec![policy("p", "all")], &[])).await.unwrap();
    assert_eq!(told(&applied.results), ["p ok", "q ok"]);
    assert_eq!(listed(&store, ENDPOINT), ["e"], "endpoints were not spoken of");
    // A refused one is named all the same; one without a name may be any of them.
    store.apply(vec![policy("q", "all")], false).await.unwrap();
    store.push(full(vec![policy("p", "everybody"), policy("q", "world")], &[])).await.unwrap();
    assert_eq!(listed(&store, POLICY), ["p!", "q"]);
    let nameless = resource("1", Body::Policy(proto::Policy { document: "a: [".into() }));
    store.push(full(vec![policy("q", "world"), nameless], &[])).await.unwrap();
    assert_eq!(listed(&store, POLICY), ["p!", "q"], "nothing goes that the broken document might be");
    let error = store.push(full(Vec::new(), &[])).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(message) if message.starts_with("full:")));
}

#[tokio::test]
async fn a_full_push_that_would_leave_nothing_has_to_say_that_it_means_it() {
    let lab = Lab::default();
    let (store, fake) = lab.open();
    store.apply(vec![policy("p", "all"), policy("q", "all"), service("s", "10.9.0.1")], false).await.unwrap();
    let full = |resources, allow_empty| StreamResourcesRequest {
        resources,
        full: true,
        allow_empty,
        types: vec![POLICY.into(), ENDPOINT.into(), ResourceType::Service.into()],
        ..Default::default()
    };
    let calls = fake.calls().len();
    let applied = store.push(full(vec![remote("e", "10.0.0.1")], false)).await.unwrap();
    let told_all = told(&applied.results);
    assert_eq!(told_all.len(), 4, "the endpoint, and the three that would go");
    assert!(
        told_all.iter().all(|told| told.contains("refused allow_empty would remove every policy (2)")),
        "{told_all:?}"
    );
    let applied = store.push(full(vec![policy("r", "everybody")], false)).await.unwrap();
    assert!(told(&applied.results)[0].contains("allow_empty"), "what comes is refused, so nothing would be left");
    assert_eq!((fake.calls().len(), listed(&store, POLICY).len()), (calls, 2));
    let applied = store.push(full(vec![remote("e", "10.0.0.1")], true)).await.unwrap();
    assert_eq!(told(&applied.results), ["e ok", "p ok", "q ok", "s ok"]);
    assert!(listed(&store, POLICY).is_empty());
    // Naming them one by one is saying it.
    let request = StreamResourcesRequest { removed: vec![key(ENDPOINT, "e")], ..Default::default() };
    assert_eq!(told(&store.push(request).await.unwrap().results), ["e ok"]);
}

#[tokio::test]
async fn numbers_of_local_endpoints_stay_over_changes_and_restarts() {
    let lab = Lab::default();
    let (store, fake) = lab.open();
    store.apply(vec![local("a", "10.0.0.1"), local("b", "10.0.0.2"), remote("c", "10.0.0.3")], false).await.unwrap();
    assert_eq!(fake.numbers(), [("a".to_owned(), 1), ("b".to_owned(), 2)].into());
    store.apply(vec![local("b", "10.0.0.4")], false).await.unwrap();
    store.delete(vec![key(ENDPOINT, "a")]).await.unwrap();
    store.apply(vec![local("c", "10.0.0.3")], false).await.unwrap();
    assert_eq!(fake.numbers(), [("b".to_owned(), 2), ("c".to_owned(), 3)].into());
    assert_eq!(store.list(ENDPOINT)[0].state, "steered as 2");
    store.close().await;
    let (store, fake) = lab.open();
    assert_eq!(fake.numbers(), [("b".to_owned(), 2), ("c".to_owned(), 3)].into());
    store.apply(vec![local("d", "10.0.0.1"), remote("b", "10.0.0.2")], false).await.unwrap();
    assert_eq!(fake.numbers(), [("c".to_owned(), 3), ("d".to_owned(), 4)].into(), "1 rests, 2 is given back");
}

#[tokio::test]
async fn what_was_pushed_is_in_force_again_after_a_restart() {
    let lab = Lab::default();
    let (store, _) = lab.open();
    store.apply(vec![policy("p", "all"), local("e", "10.0.0.1"), service("s", "10.9.0.1")], false).await.unwrap();
    store.apply(vec![policy("p", "everybody")], false).await.unwrap();
    let before: Vec<_> = store.list(ResourceType::Unspecified).into_iter().map(|listed| listed.resource).collect();
    store.close().await;
    assert_eq!(store.apply(Vec::new(), false).await, Err(StoreError::Stopped));
    let (store, fake) = lab.open();
    assert_eq!(fake.calls().len(), 1, "in force before anybody can ask");
    assert_eq!(fake.last().locals[0].endpoint.name.as_ref(), "e");
    let after: Vec<_> = store.list(ResourceType::Unspecified).into_iter().map(|listed| listed.resource).collect();
    assert_eq!(after, before);
    assert_eq!(store.list(POLICY)[0].origin, "api");
}

#[tokio::test]
async fn a_damaged_state_file_is_set_aside_and_what_is_sound_of_it_is_taken() {
    let lab = Lab::default();
    let (store, _) = lab.open();
    store.apply(["a", "b", "c"].map(|name| policy(name, "all")).to_vec(), false).await.unwrap();
    store.close().await;
    let file = lab.state().join("policies.state");
    let whole = std::fs::read(&file).unwrap();
    common::damage(&file, whole.len() / 2);
    std::fs::write(lab.state().join("numbers.state"), "no state at all").unwrap();
    let (store, _) = lab.open();
    assert_eq!(listed(&store, POLICY), ["a", "c"]);
    let faults = store.status().faults;
    assert_eq!(faults[0], "of the node");
    assert!(faults[1].contains("policies.state is damaged: 2 sound records"), "{faults:?}");
    assert!(lab.state().join("policies.damaged").exists());
    store.close().await;
    let (store, _) = lab.open();
    assert_eq!(listed(&store, POLICY), ["a", "c"], "and what was sound is still there");
    store.close().await;
    for length in (0..whole.len()).step_by(29) {
        std::fs::write(&file, &whole[..length]).unwrap();
        let (store, _) = lab.open();
        assert!(listed(&store, POLICY).len() <= 2, "cut at {length}");
        store.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_kept_on_disk_is_in_force_and_says_so() {
    let lab = Lab::default();
    let (store, fake) = lab.open();
    std::fs::remove_dir_all(lab.state()).unwrap();
    let applied = store.apply(vec![policy("p", "all")], false).await.unwrap();
    let told = told(&applied.results).remove(0);
    assert!(told.starts_with("p ok  policy resources are not kept on disk"), "{told}");
    assert_eq!(fake.last().revision, 2);
    assert_eq!(store.status().faults.len(), 2);
    std::fs::create_dir(lab.state()).unwrap();
    store.apply(vec![policy("q", "all")], false).await.unwrap();
    assert_eq!(store.status().faults, ["of the node"], "all of them are kept now");
}

#[tokio::test]
async fn updates_that_wait_are_brought_into_force_together() {
    let lab = Lab::default();
    let (store, fake) = lab.open();
    let acceptor = std::sync::Arc::clone(&fake.0.lock().unwrap().acceptor);
    acceptor.close();
    let push = |name: String| {
        let store = store.clone();
        tokio::spawn(async move { store.apply(vec![policy(&name, "all")], false).await.unwrap() })
    };
    let mut tasks = vec![push("first".into())];
    // The first one is held up in the sink; the others have to wait.
    common::until(|| acceptor.is_waited_for()).await;
    tasks.extend((0..20).map(|index| push(format!("p{index}"))));
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    acceptor.open();
    for task in tasks {
        assert!(task.await.unwrap().revision > 1);
    }
    assert_eq!(listed(&store, POLICY).len(), 21);
    let calls = fake.calls();
    assert_eq!(calls.len(), 3, "the start, the first, and all others at once");
    assert!(calls.windows(2).all(|pair| pair[0].revision + 1 == pair[1].revision));
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_steered_is_accepted_with_a_warning() {
    let fake = Fake::default();
    fake.0.lock().unwrap().unsteered.insert("e".into(), "/run/netns/e is not there".into());
    let lab = Lab::default();
    let store = lab.open_with(&fake);
    let applied = store.apply(vec![local("e", "10.0.0.1"), local("f", "10.0.0.2")], false).await.unwrap();
    assert_eq!(told(&applied.results), ["e ok spec.networkNamespace /run/netns/e is not there", "f ok"]);
    assert!(applied.results[0].problems[0].warning);
}

#[tokio::test]
async fn other_settings_are_compiled_and_say_what_they_refuse() {
    let mut lab = Lab::default();
    lab.settings.deviations.kube_dns_entity = true;
    let (store, fake) = lab.open();
    store.apply(vec![policy("dns", "kube-dns"), policy("p", "all")], false).await.unwrap();
    let settings = PolicySettings { enforcement: Enforcement::Always, ..PolicySettings::default() };
    let applied = store.reconfigure(settings, FlowParams::default(), Vec::new()).await.unwrap();
    assert_eq!((applied.revision, fake.last().snapshot.settings().enforcement), (3, Enforcement::Always));
    assert_eq!(listed(&store, POLICY), ["dns!", "p"], "still in force, and said to be wrong now");
    assert_eq!(
        store.reconfigure(settings, FlowParams::default(), Vec::new()).await.unwrap().revision,
        3,
        "the same again is nothing new"
    );
    store.close().await;
    lab.settings = settings;
    let (store, _) = lab.open();
    assert_eq!(listed(&store, POLICY), ["dns!", "p"], "also after a restart");
}

#[tokio::test]
async fn the_dump_tells_everything_but_documents() {
    let lab = Lab::default();
    let (store, _) = lab.open();
    store.apply(vec![policy("p", "all"), local("e", "10.0.0.1")], false).await.unwrap();
    store.apply(vec![policy("p", "everybody")], false).await.unwrap();
    let dump = store.dump();
    assert_eq!(dump["revision"], 2);
    let text = dump.to_string();
    assert!(text.contains("\"addresses\":[\"10.0.0.1\"]") && text.contains("\"state\":\"steered as 1\""), "{text}");
    assert!(!text.contains("endpointSelector"), "{text}");
}

#[tokio::test]
async fn whoever_applies_a_policy_for_nodes_that_binds_nothing_here_is_told() {
    let lab = Lab::default();
    let (store, _) = lab.open();
    let node = |zone: &str, cgroup: &str| {
        let labels = [("reserved:host", ""), ("zone", zone)].map(|(key, value)| (key.into(), value.into()));
        let endpoint = proto::Endpoint {
            id: "node".into(),
            namespace: "shop".into(),
            labels: labels.into(),
            addresses: vec!["10.0.0.1".into()],
            cgroup: cgroup.into(),
            ..Default::default()
        };
        resource("1", Body::Endpoint(endpoint))
    };
    let document = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\n\
                    spec: {nodeSelector: {matchLabels: {zone: a}}, ingress: [{fromEntities: [cluster]}]}\n";
    let policy = resource("1", Body::Policy(proto::Policy { document: document.into() }));
    let nobody = "p ok spec.nodeSelector binds nothing here: no endpoint of this node has the label reserved:host";
    let another = "p ok spec.nodeSelector binds nothing here: it does not select this node";
    let apply = |resources: Vec<proto::Resource>, dry_run| {
        let store = store.clone();
        async move { told(&store.apply(resources, dry_run).await.unwrap().results).pop().unwrap() }
    };
    assert_eq!(apply(vec![policy.clone()], true).await, nobody, "also where it is only tried out");
    assert_eq!(apply(vec![policy.clone()], false).await, nobody);
    assert_eq!(apply(vec![node("a", ""), policy.clone()], true).await, nobody, "a node elsewhere is not this one");
    assert_eq!(apply(vec![node("b", "/"), policy.clone()], false).await, another);
    assert_eq!(apply(vec![node("a", "/"), policy.clone()], true).await, "p ok", "both come together");
    assert_eq!(apply(vec![policy.clone()], false).await, another, "what was tried out is not in force");
    assert_eq!(apply(vec![node("a", "/")], false).await, "node ok");
    assert_eq!(apply(vec![policy.clone()], false).await, "p ok", "the same content again");
    let portless = "p ok spec.nodeSelector judges nothing that comes in: the node's endpoint has a cgroup of its own";
    let told = apply(vec![node("a", "/system.slice"), policy], false).await;
    assert!(told.starts_with(portless), "{told}");
}

/// Names of the two kinds are apart, and both are in force.
#[tokio::test]
async fn policies_of_kubernetes_stand_beside_ciliums_of_the_same_name() {
    let lab = Lab::default();
    let (store, fake) = lab.open();
    let document =
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: {}}\n";
    let body = proto::resource::Body::Policy(proto::Policy { document: document.into() });
    let of_kubernetes = ResourceType::NetworkPolicy;
    let applied = store.apply(vec![policy("p", "all"), resource("1", body)], false).await.unwrap();
    assert_eq!(told(&applied.results).len(), 2);
    assert_eq!((listed(&store, POLICY).len(), listed(&store, of_kubernetes).len()), (1, 1));
    drop(store);
    let (store, _) = lab.open();
    assert_eq!((listed(&store, POLICY).len(), listed(&store, of_kubernetes).len()), (1, 1), "after a restart");
    let named = applied.results[1].key.clone().unwrap();
    assert_eq!((named.r#type(), named.namespace.as_str()), (of_kubernetes, "default"));
    store.delete(vec![named]).await.unwrap();
    assert_eq!((listed(&store, POLICY).len(), listed(&store, of_kubernetes).len()), (1, 0));
    drop(fake);
}
