//! Requests as the application's side sees them.

use portcullis_integration::{
    curl::{REFUSED, RESET, curl},
    documents::policy,
};
use serde_json::{Value, json};

use crate::scene::{FAMILIES, SHOP, Scene, able, ingress};

#[test]
fn allowed_requests_are_answered_and_denied_ones_reset_and_never_seen_by_the_server() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "method": "GET", "path": "/get" }]))]);
    for v6 in FAMILIES {
        let answer = curl(&scene.client, &[], &scene.url(v6, "/get")).unwrap();
        assert_eq!((answer.exit, answer.status), (0, 200), "{answer:?}");
        for (more, path) in [(&[][..], "/uuid"), (&["-X", "POST"], "/get"), (&[], "/get?x=1"), (&[], "/get/")] {
            let reset = curl(&scene.client, more, &scene.url(v6, path)).unwrap();
            assert_eq!(reset.exit, RESET, "{more:?} {path}: {reset:?}");
        }
        let refused = curl(&scene.other, &[], &scene.url(v6, "/get")).unwrap();
        assert_eq!(refused.exit, REFUSED, "nobody's rule: {refused:?}");
    }
    assert_eq!(scene.httpbin.arrived("/get HTTP"), 2, "{:?}", scene.httpbin.requests());
    assert_eq!(scene.httpbin.requests().len(), 2, "{:?}", scene.httpbin.requests());
}

#[test]
fn the_server_sees_the_clients_address_and_the_request_as_it_was_sent() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/(get|headers)" }]))]);
    for v6 in FAMILIES {
        let answer = curl(&scene.client, &["-H", "x-odd-Case:  kept"], &scene.url(v6, "/get")).unwrap();
        let told: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(told["origin"], json!(scene.client.address(v6, 0).ip()));
        let mut names: Vec<_> = told["headers"].as_object().unwrap().keys().cloned().collect();
        names.sort();
        assert_eq!(names, ["Accept", "Host", "User-Agent", "X-Odd-Case"], "nothing was added");
    }
}

#[test]
fn a_denied_request_on_a_connection_in_use_takes_nothing_from_the_answers_before_it() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "method": "GET", "path": "/get" }]))]);
    for v6 in FAMILIES {
        let (allowed, denied) = (scene.url(v6, "/get"), scene.url(v6, "/uuid"));
        // curl uses one connection for all three, and makes another one after the reset.
        let told = curl(&scene.client, &[&allowed, &allowed], &denied).unwrap();
        assert_eq!(told.exit, RESET, "{told:?}");
        assert_eq!(told.body.matches("\"url\"").count(), 2, "{}", told.body);
    }
    assert_eq!(scene.httpbin.arrived("/uuid"), 0);
}

#[test]
fn a_policy_may_answer_instead_of_resetting() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let mut policy = ingress(&json!([{ "method": "GET", "path": "/get" }]));
    policy["metadata"]["annotations"] = json!({ "portcullis.io/deny-with": "respond" });
    scene.apply(&[policy]);
    for v6 in FAMILIES {
        let denied = curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap();
        assert_eq!((denied.exit, denied.status), (0, 403), "{denied:?}");
        let (first, second) = (scene.url(v6, "/uuid"), scene.url(v6, "/get"));
        let kept = curl(&scene.client, &["-v", &first], &second).unwrap();
        assert_eq!((kept.exit, kept.status), (0, 200), "{kept:?}");
        assert_eq!(kept.error.matches("Connected to").count(), 1, "the connection stays: {}", kept.error);
    }
    assert_eq!(scene.httpbin.arrived("/uuid"), 0);
}

#[test]
fn calls_of_grpc_are_judged_by_service_and_method_and_refused_by_their_status() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let mut policy = ingress(&json!([{ "grpc": { "service": "shop.v1.Cart", "method": "Add" } }]));
    policy["metadata"]["annotations"] = json!({ "portcullis.io/deny-with": "respond" });
    scene.apply(&[policy]);
    let web = ["-i", "-X", "POST", "-H", "Content-Type: application/grpc-web+proto"];
    for v6 in FAMILIES {
        let allowed = curl(&scene.client, &web, &scene.url(v6, "/shop.v1.Cart/Add")).unwrap();
        assert_eq!((allowed.exit, allowed.status), (0, 404), "httpbin has no such service: {allowed:?}");
        let denied = curl(&scene.client, &web, &scene.url(v6, "/shop.v1.Cart/Drop")).unwrap();
        assert_eq!((denied.exit, denied.status), (0, 200), "{denied:?}");
        assert!(denied.body.contains("grpc-status: 7"), "{denied:?}");
        let other = curl(&scene.client, &[], &scene.url(v6, "/shop.v1.Cart/Add")).unwrap();
        assert_eq!((other.exit, other.status), (0, 403), "{other:?}");
    }
    assert_eq!(scene.httpbin.arrived("POST /shop.v1.Cart/Add"), 2, "{:?}", scene.httpbin.requests());
    assert_eq!(scene.httpbin.requests().len(), 2, "{:?}", scene.httpbin.requests());
}

#[test]
fn ports_without_rules_for_requests_are_left_to_the_kernel() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let mut policy = ingress(&json!([]));
    policy["spec"]["ingress"][0]["toPorts"][0]["rules"].take();
    policy["spec"]["ingress"][0]["toPorts"][0].as_object_mut().unwrap().remove("rules");
    scene.apply(&[policy]);
    for v6 in FAMILIES {
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().status, 200);
        assert_eq!(curl(&scene.other, &[], &scene.url(v6, "/uuid")).unwrap().exit, REFUSED);
    }
    let relayed = scene.node.metric("portcullis_connections_total", &[]).unwrap();
    assert!(relayed == 0.0, "the proxy met {relayed} connections");
}

/// Answers 200 to everything, on a socket that takes connections by the device eth0 only.
const BOUND_TO_ITS_DEVICE: &str = r#"
import http.server, socket
class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        super().server_bind()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
server = Server(("::", 8081), Handler)
print("listening", flush=True)
server.serve_forever()
"#;

#[test]
fn an_application_that_is_bound_to_its_device_is_judged_like_any_other() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let rule = json!({
        "fromEndpoints": [{ "matchLabels": { "app": "client" } }],
        "toPorts": [{ "ports": [{ "port": "8081", "protocol": "TCP" }], "rules": { "http": [{ "path": "/yes" }] } }],
    });
    let spec = json!({ "endpointSelector": { "matchLabels": { "app": "app" } }, "ingress": [rule] });
    scene.apply(&[policy(SHOP, "bound", &spec)]);
    let mut server = scene.app.spawn("bound", &["python3", "-c", BOUND_TO_ITS_DEVICE]).unwrap();
    server.wait_for_line("listening").unwrap();
    for v6 in FAMILIES {
        let url = |path| format!("http://{}{path}", scene.app.address(v6, 8081));
        let answer = curl(&scene.client, &[], &url("/yes")).unwrap();
        assert_eq!((answer.exit, answer.status), (0, 200), "{answer:?}");
        assert_eq!(curl(&scene.client, &[], &url("/no")).unwrap().exit, RESET);
    }
}
