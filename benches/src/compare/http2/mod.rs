//! HTTP/2 without TLS and without an upgrade (RFC 9113 §3.3) through several proxies: a server of our own, the client,
//! a terminating proxy, and the settings of all.
//!
//! Requests have the shape of gRPC calls: POST with a body, a response with a body and trailers.

pub mod link;
pub mod load;
pub mod sender;
pub mod terminator;
pub mod upstream;

#[cfg(test)]
mod tests;

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use portcullis_codecs::http2::hpack::FieldList;

use self::{
    link::{Event, Link},
    sender::Last,
};
use super::events::{Moved, connect};

/// A small body, of a request or of an answer.
pub const SMALL: &str = "/bench.Echo/Small";
/// The answer's body has [`LARGE`] bytes.
pub const DOWNLOAD: &str = "/bench.Echo/Download";
/// The request's body has [`LARGE`] bytes.
pub const UPLOAD: &str = "/bench.Echo/Upload";
/// No rule allows it.
pub const DENIED: &str = "/bench.Echo/Denied";

/// Bytes of a small body.
const LITTLE: usize = 128;
/// Bytes of a large body.
const LARGE: usize = 1 << 20;
/// A proxy that does not answer one small request in this time has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes read in one call.
const BUFFER: usize = 256 << 10;

/// Fields of a request beside its path, as clients of gRPC send them.
const REQUEST: [(&[u8], &[u8]); 6] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":authority", b"upstream.bench:50051"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"load"),
];

/// Bytes of a request's body.
fn asked(path: &str) -> usize {
    if path == UPLOAD { LARGE } else { LITTLE }
}

/// Sends a whole request on a new stream.
fn ask(link: &mut Link, stream: u32, path: &str) {
    let [method, scheme, rest @ ..] = REQUEST;
    let fields = [method, scheme, (&b":path"[..], path.as_bytes())].into_iter().chain(rest);
    link.sender.open(stream);
    link.sender.head(stream, fields, false);
    link.sender.body(stream, asked(path), Last::Data);
}

/// The status that an answer's head has; none in trailers.
fn status(fields: &FieldList) -> Option<&[u8]> {
    fields.iter().find(|field| field.name == b":status").map(|field| field.value)
}

/// Opens a connection and has one small request answered on it.
///
/// # Errors
/// Refused, reset, or answered by anything but 200.
pub fn answered(target: SocketAddr, source: Option<IpAddr>, path: &str) -> io::Result<TcpStream> {
    let stream = connect(target, source.map(|address| SocketAddr::new(address, 0)))?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut link = Link::of_client();
    ask(&mut link, 1, path);
    let mut buffer = vec![0; BUFFER];
    let (mut granted, mut ended) = (false, false);
    while !ended {
        let closed = || io::Error::new(io::ErrorKind::ConnectionReset, "closed without an answer");
        if link.sender.flush(&stream) == Moved::Over {
            return Err(closed());
        }
        let moved = link.read(&stream, &mut buffer, |_, event| {
            match event {
                Event::Head { fields, end, .. } => {
                    granted = status(fields).map_or(granted, |status| status == b"200");
                    ended = end;
                }
                Event::Data { end, .. } => ended = end,
                Event::Reset { .. } | Event::Gone => (granted, ended) = (false, true),
            }
            Ok(())
        })?;
        match moved {
            Moved::Bytes(_) => {}
            Moved::NotNow => return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")),
            Moved::Over => return Err(closed()),
        }
    }
    if granted { Ok(stream) } else { Err(io::Error::new(io::ErrorKind::PermissionDenied, "refused")) }
}
