//! HTTP/2 through real sockets.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use crate::{
    Options,
    telemetry::{Records, TelemetryOptions},
    tests::{Rig, Rules, assert_ended},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const ACK: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A request without a body: the static table says `GET` and `http`, and names the rest.
fn get(stream: u8, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    frame(0x1, 0x5, stream, &[&[0x82, 0x86, 0x01, 0x01, b'h', 0x04, length], path.as_bytes()].concat())
}

fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(read.escape_ascii().to_string(), bytes.escape_ascii().to_string());
}

/// Reads whole frames until one of this type and stream has come.
fn read_until(peer: &mut TcpStream, kind: u8, stream: u8) -> Vec<u8> {
    loop {
        let mut header = [0; 9];
        peer.read_exact(&mut header).unwrap();
        let mut payload = vec![0; usize::from(header[2])];
        peer.read_exact(&mut payload).unwrap();
        if (header[3], header[8]) == (kind, stream) {
            return payload;
        }
    }
}

#[test]
fn streams_are_judged_alone_and_recorded_with_their_own_answers() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("records");
    let options = TelemetryOptions { records: Records::File(file.clone()), ..TelemetryOptions::default() };
    let mut rig = Rig::with(Options::default(), &options);
    rig.publish(&Rules::Paths(&["/public"]));
    let mut client = rig.client();
    client.write_all(&[PREFACE, SETTINGS].concat()).unwrap();
    // The server is called before there is a request, because the client may wait for its SETTINGS.
    let mut server = rig.accept();
    expect(&mut server, PREFACE);
    server.write_all(&[SETTINGS, ACK].concat()).unwrap();
    read_until(&mut client, 0x4, 0);
    client.write_all(&[ACK.to_vec(), get(1, "/public"), get(3, "/secret"), get(5, "/public")].concat()).unwrap();
    assert_eq!(read_until(&mut client, 0x3, 3), [0, 0, 0, 8]);
    read_until(&mut server, 0x1, 5);
    // The static table says 404 and 200.
    server.write_all(&[frame(0x1, 0x5, 5, b"\x8d"), frame(0x1, 0x5, 1, b"\x88")].concat()).unwrap();
    assert_eq!(read_until(&mut client, 0x1, 5), b"\x8d");
    assert_eq!(read_until(&mut client, 0x1, 1), b"\x88");
    drop(server);
    assert_ended(&mut client);
    drop(client);
    rig.await_active(0);
    drop(rig);
    let text = std::fs::read_to_string(&file).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = records.iter().map(|record| (&record["request"]["path"], &record["status"])).collect();
    assert_eq!(
        told,
        [(&"/secret".into(), &Value::Null), (&"/public".into(), &404.into()), (&"/public".into(), &200.into())]
    );
    assert!(records.iter().all(|record| record["request"]["version"] == "HTTP/2"));
}
