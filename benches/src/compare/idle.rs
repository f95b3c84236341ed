//! Idle connections: the memory that each costs.

use std::{
    io::{self, BufRead, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use nix::sys::resource::{Resource, setrlimit};

/// A proxy that does not answer one small request in this time has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Open files that are asked for: two per connection, with room.
const OPEN_FILES: u64 = 1 << 17;

/// Raises the limit of open files as far as the system lets us, at most to [`OPEN_FILES`]; tells the limit in force.
///
/// # Errors
/// The limits cannot be read.
pub fn raise_open_files() -> io::Result<u64> {
    let (soft, hard) = nix::sys::resource::getrlimit(Resource::RLIMIT_NOFILE)?;
    for limit in [OPEN_FILES.max(soft), hard] {
        if setrlimit(Resource::RLIMIT_NOFILE, limit, hard.max(limit)).is_ok() {
            return Ok(limit);
        }
    }
    Ok(soft)
}

/// Connections of clients that the limit of open files has room for, beside as many to the upstream.
///
/// # Errors
/// As [`raise_open_files`].
pub fn most_connections() -> io::Result<u64> {
    Ok(raise_open_files()?.saturating_sub(256) / 2)
}

/// Opens `count` connections with one answered request each, by `open`, tells on `output`, and keeps them until a line or the end
/// comes on `input`.
///
/// # Errors
/// A connection or its request fails.
pub fn main(
    target: SocketAddr,
    sources: &[IpAddr],
    count: usize,
    open: impl Fn(SocketAddr, Option<IpAddr>) -> io::Result<TcpStream>,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> io::Result<()> {
    raise_open_files()?;
    let mut held = Vec::with_capacity(count);
    for index in 0..count {
        let source = sources.get(index % sources.len().max(1)).copied();
        held.push(
            open(target, source)
                .map_err(|error| io::Error::new(error.kind(), format!("connection {index} of {count}: {error}")))?,
        );
    }
    writeln!(output, "ready")?;
    output.flush()?;
    input.read_line(&mut String::new())?;
    drop(held);
    Ok(())
}

/// Opens a connection and has one request answered on it.
///
/// # Errors
/// Refused, reset, or answered by anything but 200.
pub fn answered(target: SocketAddr, source: Option<IpAddr>, request: &str) -> io::Result<TcpStream> {
    let stream = super::events::connect(target, source.map(|address| SocketAddr::new(address, 0)))?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    (&stream).write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    // The small answer: a head, and 128 bytes that end it.
    while !(answer.ends_with(b"x") && answer.windows(4).any(|four| four == b"\r\n\r\n")) {
        match io::Read::read(&mut &stream, &mut buffer)? {
            0 => return Err(io::Error::new(io::ErrorKind::ConnectionReset, "closed without an answer")),
            count => answer.extend_from_slice(&buffer[..count]),
        }
        if !answer.starts_with(b"HTTP/1.1 200") && answer.len() >= 12 {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "refused by an answer"));
        }
    }
    Ok(stream)
}
