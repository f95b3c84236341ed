//! Long-lived connections: policy changes, pings, and servers that send GOAWAY.

use portcullis_integration::{curl::REFUSED, curl::curl, documents::policy};
use serde_json::json;

use super::peers::{AGED, LIBRARIES, Library, Stage, able, echo, ingress, lines, origins};
use crate::scene::{FAMILIES, SHOP};

#[test]
fn the_next_call_on_a_live_connection_is_judged_by_the_new_policy() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    let server = stage.serve(Library::Go);
    let both = json!([echo()[0], { "grpc": { "service": "lab.Secret", "method": "Say" } }]);
    for v6 in FAMILIES {
        stage.apply(&[ingress(&echo(), "respond")]);
        let before = (lines(&server, "lab.Secret"), origins(&server, "lab.Secret").len());
        let to = stage.app.address(v6, Library::Go.port());
        let words = Stage::client_words(Library::Python, to, &["watch", "/lab.Secret/Say"]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut client = stage.client.spawn(&format!("watch-{v6}"), &words).unwrap();
        client.wait_for_line("now PERMISSION_DENIED").unwrap();
        assert_eq!(lines(&server, "lab.Secret"), before.0);
        stage.apply(&[ingress(&both, "respond")]);
        client.wait_for_line("now OK").unwrap();
        stage.apply(&[ingress(&echo(), "respond")]);
        let denied = |log: &str| (log.matches("now PERMISSION_DENIED").count() == 2).then_some(());
        client.until("a denial again", denied).unwrap();
        assert_eq!(origins(&server, "lab.Secret").len(), before.1 + 1, "one connection: {}", server.log());
        assert_eq!(client.log().lines().count(), 3, "nothing else: {}", client.log());
    }
}

#[test]
fn a_connection_that_nobody_may_have_any_more_is_cut_under_its_open_calls() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    for server in LIBRARIES {
        let mut process = stage.serve(server);
        stage.apply(&[ingress(&echo(), "respond")]);
        let words = Stage::client_words(Library::Python, stage.app.address(true, server.port()), &["idle", "40"]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let _client = stage.client.spawn(&format!("idle-{server:?}"), &words).unwrap();
        process.wait_for_line("call /lab.Echo/Wait").unwrap();
        let mut nobody = ingress(&echo(), "respond");
        nobody["spec"]["ingress"][0]["fromEndpoints"][0]["matchLabels"]["app"] = json!("somebody-else");
        stage.apply(&[nobody]);
        process.wait_for_line("end /lab.Echo/Wait CANCELLED").unwrap();
    }
}

#[test]
fn pings_keep_a_connection_alive_as_long_as_both_ends_like() {
    if !able() {
        return;
    }
    // Pings without answers are few: every one is answered by the other end.
    let stage = Stage::new(&json!({ "limits": { "http2": { "pings": 4 } } }));
    stage.apply(&[ingress(&echo(), "respond")]);
    for (client, server, words) in [
        // Each 50 ms.
        (Library::Python, Library::Python, &["idle", "2", "--pings"][..]),
        // The server asks each second.
        (Library::Python, Library::Go, &["idle", "3.5"]),
    ] {
        let process = stage.serve(server);
        let told = stage.tell(client, stage.app.address(false, server.port()), words);
        assert_eq!(told, json!({ "open": true, "after": "OK" }), "{server:?}");
        assert_eq!(origins(&process, "lab.Echo").len(), 1, "one connection: {}", process.log());
    }
}

#[test]
fn a_server_that_goes_away_in_order_loses_no_call() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    let server = stage.serve(Library::Go);
    stage.apply(&[ingress(&echo(), "reset")]);
    for v6 in FAMILIES {
        // The open call ends in order; the next one takes a new connection.
        let told = stage.tell(Library::Go, stage.app.address(v6, Library::Go.port()), &["retire"]);
        assert_eq!(told, json!({ "chat": "OK", "retire": "OK", "next": "OK" }), "{}", server.log());
    }
    let before = origins(&server, "Say").len();
    assert_eq!((before, origins(&server, "Chat").len()), (2, 2), "{}", server.log());
    // Again and again, under calls that follow each other closely.
    let told = stage.tell(Library::Go, stage.app.address(false, AGED), &["aged", "5000"]);
    assert_eq!(told.as_object().unwrap().keys().collect::<Vec<_>>(), ["OK"], "{told}");
    let after = origins(&server, "Say").len();
    assert!(after >= before + 2, "only {after} connections");
}

#[test]
fn a_client_comes_back_by_itself_after_a_crash_of_the_node() {
    if !able() {
        return;
    }
    let mut stage = Stage::new(&json!({}));
    let server = stage.serve(Library::Python);
    stage.apply(&[ingress(&echo(), "respond")]);
    let to = stage.app.address(true, Library::Python.port());
    let words = Stage::client_words(Library::Python, to, &["watch", "/lab.Echo/Say", "/lab.Secret/Say"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut client = stage.client.spawn("watch", &words).unwrap();
    client.wait_for_line("now OK, PERMISSION_DENIED").unwrap();
    stage.node.crash().unwrap();
    client.wait_for_line("now UNAVAILABLE").unwrap();
    stage.node.start_again().unwrap();
    let back = |log: &str| (log.matches("now OK, PERMISSION_DENIED").count() == 2).then_some(());
    client.until("the calls as before", back).unwrap();
    assert_eq!(lines(&server, "lab.Secret"), 0, "{}", server.log());
}

/// What is denied is told behind the server's first words. Without a server there are none, and nobody waits for them.
#[test]
fn a_server_that_is_not_there_is_told_as_such_whatever_is_asked_of_it() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    stage.apply(&[ingress(&echo(), "respond")]);
    for client in [Library::Python, Library::Go] {
        for service in ["lab.Echo", "lab.Secret"] {
            let told = stage.tell(client, stage.app.address(false, Library::Go.port()), &["kinds", service]);
            let mut codes = told.as_object().unwrap().values().filter_map(|code| code.as_str());
            assert!(codes.all(|code| code.starts_with("UNAVAILABLE")), "{client:?} {service}: {told}");
        }
    }
}

/// Greets whoever connects, and says no more.
const GREETS: &str = r#"
import socket
listener = socket.create_server(("::", 2525), family=socket.AF_INET6, dualstack_ipv6=True)
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    connection.sendall(b"220 at your service\r\n")
    connection.close()
"#;

/// Prints what a server says first.
const LISTENS: &str = "import socket, sys; print(socket.create_connection((sys.argv[1], 2525), 20).recv(100))";

#[test]
fn a_server_that_speaks_first_is_not_met_by_the_node_where_no_rule_is_about_requests() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    let mut server = stage.app.spawn("greets", &["python3", "-c", GREETS]).unwrap();
    server.wait_for_line("listening").unwrap();
    let mail = json!({
        "endpointSelector": { "matchLabels": { "app": "app" } },
        "ingress": [{
            "fromEndpoints": [{ "matchLabels": { "app": "client" } }],
            "toPorts": [{ "ports": [{ "port": "2525", "protocol": "TCP" }] }],
        }],
    });
    stage.apply(&[ingress(&echo(), "reset"), policy(SHOP, "mail", &mail)]);
    for v6 in FAMILIES {
        let address = stage.app.address(v6, 2525);
        let told = stage.client.run(&["python3", "-c", LISTENS, &address.ip().to_string()]).unwrap().ok().unwrap();
        assert_eq!(told.stdout.trim(), r"b'220 at your service\r\n'");
        assert_eq!(curl(&stage.other, &[], &format!("http://{address}/")).unwrap().exit, REFUSED);
    }
    let relayed = stage.node.metric("portcullis_connections_total", &[]).unwrap();
    assert!(relayed == 0.0, "the node met {relayed} connections");
}
