//! HTTP/2 through real sockets.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use portcullis_rules::settings::DenyScope;
use serde_json::Value;

use crate::{
    DataPlaneOptions,
    tests::{Rig, Rules, assert_ended, assert_reset, records::RecordFile},
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

/// Behind the SETTINGS of both sides.
fn begin(rig: &Rig) -> (TcpStream, TcpStream) {
    let mut client = rig.client();
    client.write_all(&[PREFACE, SETTINGS].concat()).unwrap();
    // The server is called before there is a request, because the client may wait for its SETTINGS.
    let mut server = rig.accept();
    expect(&mut server, PREFACE);
    server.write_all(&[SETTINGS, ACK].concat()).unwrap();
    read_until(&mut client, 0x4, 0);
    client.write_all(ACK).unwrap();
    (client, server)
}

/// A request whose only field has a name in upper case.
fn malformed(stream: u8) -> Vec<u8> {
    frame(0x1, 0x5, stream, &[&[0x82, 0x86, 0x84][..], b"\x00\x01A\x01b"].concat())
}

#[test]
fn what_one_stream_did_wrong_is_not_why_a_later_one_ends_the_connection() {
    let mut rig = Rig::new();
    rig.deny_scope = DenyScope::Connection;
    rig.publish(&Rules::Paths(&["/public"]));
    let (mut client, mut server) = begin(&rig);
    client.write_all(&malformed(1)).unwrap();
    assert_eq!(read_until(&mut client, 0x3, 1), [0, 0, 0, 1]);
    client.write_all(&get(3, "/public")).unwrap();
    read_until(&mut server, 0x1, 3);
    // Half a frame of DATA.
    server.write_all(&[frame(0x1, 0x4, 3, b"\x88"), frame(0x0, 0, 3, b"cut")[..10].to_vec()].concat()).unwrap();
    read_until(&mut client, 0x1, 3);
    expect(&mut client, &frame(0x0, 0, 3, b"cut")[..10]);
    drop(server);
    assert_reset(&mut client);
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="reset_by_server"} 1"#);

    let (mut client, _server) = begin(&rig);
    client.write_all(&[malformed(1), get(3, "/secret")].concat()).unwrap();
    read_until(&mut client, 0x7, 0);
    assert_reset(&mut client);
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="denied"} 1"#);
}

#[test]
fn what_is_written_anew_counts_as_bytes_of_whom_it_comes_from() {
    let file = RecordFile::new();
    let mut rig = Rig::with(DataPlaneOptions::default(), &file.options());
    rig.publish(&Rules::Paths(&["/public"]));
    let (mut client, mut server) = begin(&rig);
    client.write_all(&get(1, "/public")).unwrap();
    let first = 9 + read_until(&mut server, 0x1, 1).len();
    server.write_all(&[frame(0x1, 0x4, 1, b"\x88"), frame(0x0, 0x1, 1, b"body")].concat()).unwrap();
    assert_eq!(read_until(&mut client, 0x0, 1), b"body");
    client.write_all(&get(3, "/public")).unwrap();
    let second = 9 + read_until(&mut server, 0x1, 3).len();
    drop((client, server));
    rig.await_active(0);
    drop(rig);
    let (text, records) = file.read();
    // The preface, SETTINGS with a setting of ours, the acknowledgement, and the request.
    let begun = PREFACE.len() + 15 + ACK.len();
    let received = |record: &Value| record["bytes_received"].as_u64();
    assert_eq!(received(&records[0]), Some((begun + first) as u64), "{text}");
    assert_eq!(received(&records[1]), Some((begun + first + second) as u64), "{text}");
    // SETTINGS with two of ours, the acknowledgement, and the answer.
    let answered = 9 + 12 + ACK.len() + 10 + 13;
    assert_eq!(records[1]["bytes_sent"].as_u64(), Some(answered as u64), "{text}");
}

#[test]
fn streams_are_judged_alone_and_recorded_with_their_own_answers() {
    let file = RecordFile::new();
    let mut rig = Rig::with(DataPlaneOptions::default(), &file.options());
    rig.publish(&Rules::Paths(&["/public"]));
    let (mut client, mut server) = begin(&rig);
    client.write_all(&[get(1, "/public"), get(3, "/secret"), get(5, "/public")].concat()).unwrap();
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
    let (_, records) = file.read();
    let told: Vec<_> = records.iter().map(|record| (&record["request"]["path"], &record["status"])).collect();
    assert_eq!(
        told,
        [(&"/secret".into(), &Value::Null), (&"/public".into(), &404.into()), (&"/public".into(), &200.into())]
    );
    assert!(records.iter().all(|record| record["request"]["version"] == "HTTP/2"));
}
