//! Kafka through several proxies: a real broker, the client, and the settings of the proxies.
//!
//! A request writes or reads one record in a batch of its own. This leaves a proxy no chance to spread its cost over
//! several records.

pub mod broker;
pub mod load;
pub mod message;
pub mod peers;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use self::message::Answer;
use super::{events::connect, laboratory::FIRST_CLIENT};

/// A request that no rule allows.
pub const DENIED: &str = "produce/denied";
/// Bytes of the records of each case.
pub const SIZES: [usize; 3] = [100, 1024, 102_400];
/// Records that are there to be read, of each size.
const RECORDS: u64 = 64;
/// An answer that does not come in this time does not come.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer in front of which everything is that is read of it.
const HEAD: usize = 160;

/// What a request does with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Produce,
    Consume,
}

/// What requests do: `produce/SIZE` or `consume/SIZE`.
#[derive(Clone, Debug)]
struct Task {
    deed: Deed,
    topic: String,
    /// A batch of one record of this size.
    batch: Vec<u8>,
}

impl Task {
    fn of(subject: &str) -> Self {
        let (deed, size) = subject.split_once('/').unwrap_or((subject, ""));
        let deed = if deed == "consume" { Deed::Consume } else { Deed::Produce };
        let topic = format!("{}-{size}", if deed == Deed::Consume { "read" } else { "written" });
        Self { deed, topic, batch: message::batch(size.parse().unwrap_or(SIZES[0])) }
    }

    /// The role of clients that do this, in the words of a policy.
    fn role(&self) -> &'static str {
        if self.deed == Deed::Consume { "consume" } else { "produce" }
    }

    /// A request by itself: one that reads begins no session.
    fn request(&self) -> Vec<u8> {
        match self.deed {
            Deed::Produce => message::produce(&self.topic, &self.batch),
            Deed::Consume => message::fetch(&self.topic, 0, (0, -1)),
        }
    }

    /// What an answer says, whose first bytes these are.
    fn answer(&self, bytes: &[u8]) -> io::Result<Answer> {
        match self.deed {
            Deed::Produce => Answer::to_produce(bytes),
            Deed::Consume => Answer::to_fetch(bytes),
        }
    }
}

/// Has one request answered on a connection of its own.
///
/// # Errors
/// Refused, reset, denied, or failed.
pub fn answered(target: SocketAddr, subject: &str) -> io::Result<()> {
    let task = Task::of(subject);
    let answer = task.answer(&asked(target, &task.request())?)?;
    if answer.allowed()? { Ok(()) } else { Err(io::Error::new(io::ErrorKind::PermissionDenied, "denied")) }
}

/// The whole answer to a request on a connection of its own.
fn asked(target: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream: TcpStream = connect(target, Some(SocketAddr::new(FIRST_CLIENT.into(), 0)))?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut answer = vec![0; 4];
    stream.read_exact(&mut answer)?;
    let length = u32::from_be_bytes([answer[0], answer[1], answer[2], answer[3]]);
    answer.resize(4 + length as usize, 0);
    stream.read_exact(&mut answer[4..])?;
    Ok(answer)
}
