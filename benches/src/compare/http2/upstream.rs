//! The HTTP/2 server behind all proxies: answers from memory, as fast as one thread can.

use std::{
    io,
    net::{SocketAddr, TcpStream},
};

use super::{
    super::events::{self, Moved},
    BUFFER, DOWNLOAD, LARGE, LITTLE,
    link::{Event, Link},
    sender::{Last, Sender},
};

/// The head of every answer.
const ANSWER: [(&[u8], &[u8]); 2] = [(b":status", b"200"), (b"content-type", b"application/grpc")];

struct Connection {
    stream: TcpStream,
    link: Link,
    calls: Calls,
}

/// Requests that are not whole yet, and how many bytes their answers have.
#[derive(Default)]
struct Calls(Vec<(u32, usize)>);

/// Serves on `address` until killed: answers to [`DOWNLOAD`] are large, all others small. `ready` is called once the
/// socket listens.
///
/// # Errors
/// The address cannot be used, or the system is out of descriptors.
pub fn serve(address: SocketAddr, ready: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let new = |stream| Connection { stream, link: Link::of_server(), calls: Calls::default() };
    events::serve(address, ready, new, |connection| connection.turn(&mut buffer))
}

impl Connection {
    /// Does what can be done now. False: the connection is over.
    fn turn(&mut self, buffer: &mut [u8]) -> bool {
        let Self { stream, link, calls } = self;
        loop {
            match link.read(stream, buffer, |sender, event| calls.take(sender, &event)) {
                Ok(Moved::Bytes(_)) if link.sender.flush(stream) != Moved::Over => {}
                Ok(Moved::NotNow) => return link.sender.flush(stream) != Moved::Over,
                // What is no HTTP/2 is dropped, as is what has ended.
                Ok(_) | Err(_) => return false,
            }
        }
    }
}

impl Calls {
    fn take(&mut self, sender: &mut Sender, event: &Event<'_>) -> io::Result<()> {
        let (stream, end) = match *event {
            Event::Head { stream, fields, end } => {
                let large = fields.iter().any(|field| field.name == b":path" && field.value == DOWNLOAD.as_bytes());
                self.0.push((stream, if large { LARGE } else { LITTLE }));
                sender.open(stream);
                (stream, end)
            }
            Event::Data { stream, end, .. } => (stream, end),
            Event::Reset { stream } => {
                self.0.retain(|(open, _)| *open != stream);
                return Ok(());
            }
            Event::Gone => return Ok(()),
        };
        if end && let Some(index) = self.0.iter().position(|(open, _)| *open == stream) {
            let (_, length) = self.0.swap_remove(index);
            sender.head(stream, ANSWER, false);
            sender.body(stream, length, Last::Trailers);
        }
        Ok(())
    }
}
