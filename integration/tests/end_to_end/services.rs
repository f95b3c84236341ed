//! Egress policies that name endpoints, although clients connect to a service's virtual address.

use portcullis_integration::{
    curl::{REFUSED, RESET, curl},
    documents::{endpoint, service},
    servers::Httpbin,
};
use serde_json::json;

use crate::scene::{FAMILIES, SHOP, Scene, able, egress, ingress};

fn by_name(v6: bool) -> &'static [&'static str] {
    if v6 { &["-6"] } else { &["-4"] }
}

#[test]
fn a_request_to_a_services_name_is_judged_by_the_endpoint_behind_it() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[egress(&json!([{ "method": "GET", "path": "/get" }]))]);
    for v6 in FAMILIES {
        let allowed = curl(&scene.client, by_name(v6), "http://app-service.shop/get").unwrap();
        assert_eq!((allowed.exit, allowed.status), (0, 200), "{allowed:?}");
        assert!(allowed.body.contains(&format!("\"{}\"", scene.client.address(v6, 0).ip())), "{}", allowed.body);
        let denied = curl(&scene.client, by_name(v6), "http://app-service.shop/uuid").unwrap();
        assert_eq!(denied.exit, RESET, "{denied:?}");
        let elsewhere = curl(&scene.client, &[], &format!("http://{}/", scene.other.address(v6, 80))).unwrap();
        assert_eq!(elsewhere.exit, REFUSED, "{elsewhere:?}");
    }
    assert_eq!(scene.httpbin.arrived("/uuid"), 0);
}

#[test]
fn both_ends_may_judge_the_same_request() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[egress(&json!([{ "path": "/(get|uuid)" }])), ingress(&json!([{ "path": "/(get|status/200)" }]))]);
    for v6 in FAMILIES {
        for (path, exit) in [("/get", 0), ("/uuid", RESET), ("/status/200", RESET)] {
            let url = format!("http://app-service.shop{path}");
            let answer = curl(&scene.client, by_name(v6), &url).unwrap();
            assert_eq!(answer.exit, exit, "{path}: {answer:?}");
        }
    }
    assert_eq!(scene.httpbin.requests().len(), 2, "{:?}", scene.httpbin.requests());
}

#[test]
fn of_several_backends_only_those_that_policy_allows_are_used() {
    if !able() {
        return;
    }
    let mut scene = Scene::new();
    let second = scene.lab.pod("second").unwrap();
    let server = Httpbin::start(&second).unwrap();
    let both = scene.lab.service("both.shop", 80, &[&scene.app, &second]).unwrap();
    let second_endpoint = endpoint(SHOP, &second, &[("app", "second")]);
    let rules = egress(&json!([{ "path": "/get" }]));
    scene.apply(&[second_endpoint, service(SHOP, &both, &[&scene.app, &second]), rules]);
    for v6 in FAMILIES {
        let outcomes: Vec<_> =
            (0..20).map(|_| curl(&scene.client, by_name(v6), "http://both.shop/get").unwrap().exit).collect();
        assert!(outcomes.contains(&0), "the allowed backend is drawn at times: {outcomes:?}");
    }
    assert_eq!(server.requests(), [""; 0], "the other one never hears of it");
}
