//! Policy changes while connections are open.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use portcullis_integration::{
    curl::{RESET, curl},
    documents::policy,
    wait::uninterrupted,
};
use serde_json::json;

use crate::scene::{FAMILIES, SHOP, Scene, able, ingress};

/// Far longer than anything takes here.
const HANG: Duration = Duration::from_secs(20);

/// A connection of the client's that is used again and again.
struct KeptAlive(TcpStream);

impl KeptAlive {
    fn open(scene: &Scene, v6: bool) -> Self {
        let to = scene.app.address(v6, 80);
        let stream = scene.client.inside(|| TcpStream::connect_timeout(&to, HANG).unwrap());
        stream.set_read_timeout(Some(HANG)).unwrap();
        Self(stream)
    }

    /// The first line of the answer.
    fn get(&mut self, path: &str) -> std::io::Result<String> {
        write!(self.0, "GET {path} HTTP/1.1\r\nHost: app\r\n\r\n")?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
        self.0.read_exact(&mut vec![0; length])?;
        Ok(head.lines().next().unwrap().to_owned())
    }

    /// Waits for the end; tells whether it was a reset.
    fn was_reset(&mut self) -> bool {
        let end = uninterrupted(|| self.0.read(&mut [0; 64]));
        matches!(end, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset)
    }
}

#[test]
fn the_next_request_on_a_live_connection_is_judged_by_the_new_policy() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    for v6 in FAMILIES {
        scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
        let mut connection = KeptAlive::open(&scene, v6);
        assert_eq!(connection.get("/get").unwrap(), "HTTP/1.1 200 OK");
        scene.apply(&[ingress(&json!([{ "path": "/get" }, { "path": "/uuid" }]))]);
        assert_eq!(connection.get("/uuid").unwrap(), "HTTP/1.1 200 OK", "allowed meanwhile");
        scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
        assert_eq!(connection.get("/get").unwrap(), "HTTP/1.1 200 OK");
        let error = connection.get("/uuid").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "forbidden meanwhile");
    }
    assert_eq!(scene.httpbin.arrived("/uuid"), 2);
}

#[test]
fn an_idle_connection_that_nobody_may_have_any_more_is_reset() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    for v6 in FAMILIES {
        scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
        let mut connection = KeptAlive::open(&scene, v6);
        assert_eq!(connection.get("/get").unwrap(), "HTTP/1.1 200 OK");
        let mut nobody = ingress(&json!([{ "path": "/get" }]));
        nobody["spec"]["ingress"][0]["fromEndpoints"][0]["matchLabels"]["app"] = json!("somebody-else");
        scene.apply(&[nobody]);
        assert!(connection.was_reset());
    }
}

#[test]
fn a_deleted_policy_lets_everything_pass_again() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
    assert_eq!(curl(&scene.client, &[], &scene.url(false, "/uuid")).unwrap().exit, RESET);
    scene.node.cli(&["delete", "policy", "app-http", "-n", SHOP]).unwrap().ok().unwrap();
    for v6 in FAMILIES {
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().status, 200);
    }
}

#[test]
fn a_refused_document_is_told_with_its_field_and_leaves_the_last_good_one_in_force() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
    let mut broken = ingress(&json!([{ "path": "/uuid" }]));
    broken["spec"]["ingress"][0]["toPorts"][0]["ports"][0]["port"] = json!("70000");
    let other = policy(SHOP, "good", &json!({ "endpointSelector": { "matchLabels": { "app": "nobody" } } }));
    let text = format!("{broken}\n---\n{other}\n");
    let refused = scene.node.cli_with(&["apply", "-f", "-"], &text).unwrap();
    assert_eq!(refused.code, Some(3), "{refused:?}");
    let told = refused.stdout + &refused.stderr;
    assert!(told.contains("spec.ingress[0].toPorts[0].ports[0].port"), "{told}");
    assert!(told.contains("good"), "the sound one beside it is taken: {told}");
    for v6 in FAMILIES {
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/get")).unwrap().status, 200);
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().exit, RESET);
    }
}
