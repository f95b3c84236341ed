//! The client and the server of the comparison, without a proxy between them.

use std::{
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use super::{
    BUFFER, DENIED, DOWNLOAD, LARGE, LITTLE, SMALL, UPLOAD, answered, ask,
    link::{Event, Link},
    status, upstream,
};
use crate::compare::events::Moved;

/// An address that is free now, with the server on it.
fn server() -> std::net::SocketAddr {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (ready, listens) = std::sync::mpsc::sync_channel(1);
    thread::spawn(move || upstream::serve(address, || ready.send(()).map_err(std::io::Error::other)));
    listens.recv().unwrap();
    address
}

/// Asks for all paths at once, each on a stream of its own: bytes of the answers, whether all were granted.
fn call(paths: &[&str]) -> (Vec<usize>, bool) {
    let stream = TcpStream::connect(server()).unwrap();
    stream.set_nonblocking(true).unwrap();
    let (mut link, mut buffer) = (Link::of_client(), vec![0; BUFFER]);
    for (path, id) in paths.iter().zip((1..).step_by(2)) {
        ask(&mut link, id, path);
    }
    let (mut bytes, mut granted, mut ended) = (vec![0; paths.len()], 0, 0);
    while ended < paths.len() {
        assert_ne!(link.sender.flush(&stream), Moved::Over);
        let moved = link.read(&stream, &mut buffer, |_, event| {
            match event {
                Event::Head { fields, end, .. } => {
                    granted += usize::from(status(fields) == Some(b"200"));
                    ended += usize::from(end);
                }
                Event::Data { stream, content, .. } => bytes[stream as usize / 2] += content,
                Event::Reset { .. } | Event::Gone => panic!("{event:?}"),
            }
            Ok(())
        });
        assert_ne!(moved.unwrap(), Moved::Over);
        thread::yield_now();
    }
    (bytes, granted == paths.len())
}

#[test]
fn bodies_larger_than_the_first_windows_arrive_whole_beside_small_ones() {
    assert_eq!(call(&[SMALL]), (vec![LITTLE], true));
    assert_eq!(call(&[DOWNLOAD, SMALL, DOWNLOAD]), (vec![LARGE, LITTLE, LARGE], true));
    assert_eq!(call(&[UPLOAD, SMALL, UPLOAD, DOWNLOAD]), (vec![LITTLE, LITTLE, LITTLE, LARGE], true));
    // More than the windows of the connection, which have to be widened again and again.
    assert_eq!(call(&[DOWNLOAD; 40]).0, vec![LARGE; 40]);
    assert_eq!(call(&[UPLOAD; 40]).0, vec![LITTLE; 40]);
}

#[test]
fn a_connection_is_kept_once_it_has_had_its_answer() {
    let server = server();
    assert!(answered(server, None, SMALL).is_ok());
    // The server itself denies nothing.
    assert!(answered(server, None, DENIED).is_ok());
}

#[test]
fn a_refusal_of_any_kind_is_no_answer() {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream], payload].concat()
    };
    // Literals and indices of the static table: 8 is 200, and 12 is 400 (RFC 7541 appendix A).
    let cases = [
        (frame(0x1, 0x5, 1, &[0x88]), None),
        (frame(0x1, 0x5 | 0x8 | 0x20, 1, &[2, 0, 0, 0, 0, 0, 0x88, 0, 0]), None),
        ([frame(0x1, 0x4, 1, &[0x88]), frame(0x0, 0x1, 1, b"x")].concat(), None),
        (frame(0x1, 0x5, 1, &[0x8c]), Some("refused")),
        (frame(0x3, 0, 1, &[0, 0, 0, 8]), Some("refused")),
        (frame(0x7, 0, 0, &[0; 8]), Some("refused")),
        (frame(0x1, 0x1, 1, &[0x88]), Some("a header block in pieces")),
        (frame(0x1, 0x5, 1, &[0xff]), Some("it ends within a field")),
        (frame(0x0, 0x9, 1, &[9]), Some("padding")),
        (frame(0x4, 0, 0, &[0; 5]), Some("a short setting")),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Some("closed without an answer")),
    ];
    for (said, wanted) in cases {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let speaking = said.clone();
        let server = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(&speaking).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            std::io::copy(&mut client, &mut std::io::sink()).ok();
        });
        let outcome = answered(address, None, SMALL).map(drop).map_err(|error| error.to_string());
        match (&outcome, wanted) {
            (Ok(()), None) => {}
            (Err(error), Some(wanted)) if error.contains(wanted) => {}
            _ => panic!("{}: {outcome:?}", said.escape_ascii()),
        }
        server.join().unwrap();
    }
}
