//! Load: bodies far larger than any buffer, and uploads that the server does not read.

use serde_json::json;

use super::peers::{LIBRARIES, Library, Stage, able, echo, ingress, lines, origins};

/// Bytes of one stream in each direction.
const BULK: u64 = 1024 * 1024 * 1024;
/// Memory that the node may take for it, in KiB, above what it had before.
const MEMORY: u64 = 4 * 1024;

#[test]
fn a_stream_of_any_length_takes_no_memory_of_the_node() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    stage.apply(&[ingress(&echo(), "respond")]);
    let _servers = LIBRARIES.map(|library| stage.serve(library));
    for library in LIBRARIES {
        let to = stage.app.address(false, library.port());
        // Rust's peers are built without optimisation here, and take eight times as long.
        let bytes = if library == Library::Tonic { BULK / 8 } else { BULK };
        let grown = stage.grows_by(|| {
            let told = stage.tell(library, to, &["bulk", &bytes.to_string()]);
            assert_eq!(told, json!({ "get": "OK", "put": "OK" }), "{library:?}");
        });
        println!("{library:?}: {bytes} bytes each way took {grown} KiB");
        assert!(grown < MEMORY, "{library:?}: {grown} KiB");
    }
}

#[test]
fn uploads_into_denied_calls_stop_no_other_and_take_no_memory() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    let server = stage.serve(Library::Go);
    let to = stage.app.address(true, Library::Go.port());
    for (deny_with, code) in [("respond", "PERMISSION_DENIED"), ("reset", "CANCELLED")] {
        stage.apply(&[ingress(&echo(), deny_with)]);
        for client in [Library::Python, Library::Go] {
            let grown = stage.grows_by(|| {
                // Each of 32 MiB, far above the window of the connection together.
                let told = stage.tell(client, to, &["uploads", "40", "33554432"]);
                let denied = format!("Put {code}");
                assert_eq!(told, json!({ "Say OK": 40, denied: 40 }), "{client:?} {deny_with}");
            });
            assert!(grown < MEMORY, "{client:?}: {grown} KiB");
        }
    }
    assert_eq!(lines(&server, "lab.Secret"), 0, "{}", server.log());
    assert_eq!(origins(&server, "Say").len(), 4, "one connection a client: {}", server.log());
}

#[test]
fn a_stream_that_nobody_reads_stops_no_other() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    stage.apply(&[ingress(&echo(), "respond")]);
    for server in LIBRARIES {
        let process = stage.serve(server);
        let grown = stage.grows_by(|| {
            let told = stage.tell(Library::Python, stage.app.address(true, server.port()), &["unread", "268435456"]);
            assert_eq!(told, json!({ "others": "OK", "unread": "OK" }), "{server:?}");
        });
        assert!(grown < MEMORY, "{server:?}: {grown} KiB");
        assert_eq!(origins(&process, "lab.Echo").len(), 1, "one connection: {}", process.log());
    }
}

/// As many as may be open: whoever gives up all it has asked for has a reason (RFC 9113 §8.7), and is no attack yet.
#[test]
fn giving_up_a_thousand_calls_at_once_ends_no_other() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    stage.apply(&[ingress(&echo(), "respond")]);
    let server = stage.serve(Library::Go);
    let told = stage.tell(Library::Go, stage.app.address(false, Library::Go.port()), &["storm", "1000"]);
    assert_eq!(told, json!({ "chat": "OK", "stall CANCELLED": 1000 }), "{}", stage.node.process.log());
    assert_eq!(origins(&server, "lab.Echo").len(), 1, "one connection: {}", server.log());
}
