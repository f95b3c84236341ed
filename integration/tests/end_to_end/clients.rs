//! Real clients and servers, and the traffic that is hard for proxies.

use std::path::Path;

use portcullis_integration::{
    Need, Process,
    curl::{RESET, curl},
    documents::policy,
    process::finish,
    require,
    servers::Postgres,
};
use serde_json::{Value, json};

use crate::scene::{FAMILIES, SHOP, Scene, able, ingress};

fn program(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name).display().to_string()
}

/// Lets everybody make any request at a port of the application, each one judged.
pub(crate) fn any_request(port: u16) -> Value {
    policy(
        SHOP,
        "any-request",
        &json!({
            "endpointSelector": { "matchLabels": { "app": "app" } },
            "ingress": [{ "toPorts": [{
                "ports": [{ "port": port.to_string(), "protocol": "TCP" }],
                "rules": { "http": [{ "path": "/.*" }] },
            }] }],
        }),
    )
}

/// Starts one of our servers on every address of the application.
fn serve(scene: &Scene, name: &str, port: u16, words: &[&str]) -> Vec<Process> {
    let (program, port_word) = (program(name), port.to_string());
    FAMILIES
        .map(|v6| {
            let address = scene.app.address(v6, port);
            let ip = address.ip().to_string();
            let mut all = vec!["/usr/bin/python3", &*program];
            all.extend_from_slice(words);
            all.extend([&*ip, &*port_word]);
            let mut server = scene.app.spawn(&format!("{name}-{v6}"), &all).unwrap();
            scene.app.wait_for_port(address, &mut server).unwrap();
            server
        })
        .into()
}

#[test]
fn websockets_pass_after_their_handshake_was_judged() {
    if !able() || !require(&[Need::PythonModule("websockets")]) {
        return;
    }
    let scene = Scene::new();
    let _servers = serve(&scene, "websocket_echo.py", 8000, &["server"]);
    scene.apply(&[any_request(8000)]);
    let client = program("websocket_echo.py");
    for v6 in FAMILIES {
        let url = format!("ws://{}/socket", scene.app.address(v6, 8000));
        let told = scene.client.run(&["/usr/bin/python3", &client, "client", &url, "--messages", "200"]).unwrap().ok();
        let told: Value = serde_json::from_str(told.unwrap().stdout.lines().last().unwrap()).unwrap();
        assert_eq!((&told["sent"], &told["echoed"]), (&json!(200), &json!(200)), "{told}");
    }
}

#[test]
fn large_bodies_arrive_whole_in_both_directions() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let _servers = serve(&scene, "body.py", 8000, &["server"]);
    scene.apply(&[any_request(8000)]);
    let client = program("body.py");
    for v6 in FAMILIES {
        let address = scene.app.address(v6, 8000);
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        for way in [&["up"][..], &["up", "--chunked"], &["down"]] {
            let mut words = vec!["/usr/bin/python3", &*client];
            words.extend_from_slice(way);
            words.extend(["--bytes", "67108864", &*ip, &*port]);
            scene.client.run(&words).unwrap().ok().unwrap();
        }
    }
}

#[test]
fn heads_that_never_end_are_cut_off() {
    if !able() {
        return;
    }
    let scene = Scene::with(&json!({ "timeouts": { "head": "1s" } }));
    scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
    let (client, ip) = (program("slowloris.py"), scene.app.v4.to_string());
    let words = ["/usr/bin/python3", &*client, &*ip, "80", "--connections", "5"];
    scene.client.run(&words).unwrap().ok().unwrap();
    assert_eq!(scene.httpbin.requests(), [""; 0]);
    assert_eq!(curl(&scene.client, &[], &scene.url(false, "/get")).unwrap().status, 200, "others are served");
}

#[test]
fn javas_client_that_asks_for_another_protocol_gets_its_answers() {
    if !able() || !require(&[Need::Program("java")]) {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
    let client = program("JavaClient.java");
    for v6 in FAMILIES {
        let finished = scene.client.run(&["java", &client, &scene.url(v6, "/get"), "3"]).unwrap();
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }
    assert_eq!(scene.httpbin.arrived("GET /get"), 6);
}

#[test]
fn a_database_beside_judged_ports_is_left_alone() {
    if !able() || !require(&[Need::Program("psql"), Need::Program("initdb")]) {
        return;
    }
    let scene = Scene::new();
    let _postgres = Postgres::start(&scene.app).unwrap();
    let database = json!({
        "endpointSelector": { "matchLabels": { "app": "app" } },
        "ingress": [{
            "fromEndpoints": [{ "matchLabels": { "app": "client" } }],
            "toPorts": [{ "ports": [{ "port": "5432", "protocol": "TCP" }] }],
        }],
    });
    scene.apply(&[ingress(&json!([{ "path": "/get" }])), policy(SHOP, "database", &database)]);
    for v6 in FAMILIES {
        let host = scene.app.address(v6, 0).ip().to_string();
        let sql = ["psql", "-h", &*host, "-U", "postgres", "-Atc", "select 6 * 7"];
        assert_eq!(scene.client.run(&sql).unwrap().ok().unwrap().stdout.trim(), "42");
        let refused = scene.other.run(&sql).unwrap();
        assert!(refused.code == Some(2) && refused.stderr.contains("refused"), "{refused:?}");
    }
}

#[test]
fn a_stock_grpc_client_that_knows_only_reflection_pushes_policies() {
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    if !able() || !require(&[Need::Path(&format!("{cache}/portcullis/venv/bin/python3"))]) {
        return;
    }
    let scene = Scene::new();
    let directory = scene.lab.node().directory();
    let mut broken = any_request(80);
    broken["metadata"]["name"] = json!("broken");
    broken["spec"]["ingress"][0]["toPorts"][0]["ports"][0]["port"] = json!("70000");
    let files =
        [("good.json", ingress(&json!([{ "path": "/get" }]))), ("broken.json", broken)].map(|(name, document)| {
            let file = directory.join(name);
            std::fs::write(&file, document.to_string()).unwrap();
            file.display().to_string()
        });
    let server = format!("unix:{}", directory.join("api.sock").display());
    let client = program("grpc_reflect.py");
    let mut command = scene.lab.node().command(&["/usr/bin/python3", &client, &server, "push", &files[0], &files[1]]);
    command.env("XDG_CACHE_HOME", &cache);
    let told = finish(command, client, "").unwrap();
    let broken = told.stdout.split("broken").nth(1).unwrap_or_default();
    assert!(broken.contains("spec.ingress[0].toPorts[0].ports[0].port"), "{told:?}");
    assert_eq!(curl(&scene.client, &[], &scene.url(false, "/get")).unwrap().status, 200);
    assert_eq!(curl(&scene.client, &[], &scene.url(false, "/uuid")).unwrap().exit, RESET, "the sound one is in force");
}
