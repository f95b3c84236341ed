//! The Kafka client: a fixed number of requests over a few connections, each timed. See [`super::super::measure`].

use std::{
    collections::VecDeque,
    io::{self, BufRead, Write},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use super::{
    super::{
        events::{Events, Moved, connect, read, write},
        measure::{Load, Outcome, STALLED, Work, measure, stalled},
    },
    Deed, HEAD, RECORDS, Task, message,
    message::Answer,
};

/// Bytes read in one call.
const BUFFER: usize = 256 << 10;

struct Connection {
    stream: TcpStream,
    /// Requests without an answer: their numbers, and when they were sent.
    asked: VecDeque<(i32, Instant)>,
    next: i32,
    /// Session of fetches, and its epoch.
    session: (i32, i32),
    /// What was not taken yet.
    out: Vec<u8>,
    written: usize,
    /// The first bytes of an answer, and how many are to come.
    head: Vec<u8>,
    left: usize,
}

struct Run<'a> {
    work: &'a Work,
    task: Task,
    request: Vec<u8>,
    events: Events,
    connections: Vec<Connection>,
    sent: u64,
    goal: u64,
    buffer: Vec<u8>,
    outcome: Outcome,
}

/// Does the work over Kafka as [`measure`] has it.
///
/// # Errors
/// The target cannot be reached, a connection ends, a request fails, or nothing happens for [`STALLED`] milliseconds.
pub fn main(work: &Work, input: &mut impl BufRead, output: &mut impl Write) -> io::Result<()> {
    measure(&mut Run::new(work)?, work, input, output)
}

impl Load for Run<'_> {
    fn advance(&mut self, requests: u64) -> io::Result<()> {
        let before = self.outcome.done();
        self.goal = self.sent + requests;
        for index in 0..self.connections.len() {
            self.send(index)?;
        }
        let mut ready = Vec::new();
        while self.outcome.done() - before < requests {
            self.events.wait(Some(STALLED), |_, token, _| {
                ready.push(usize::try_from(token).unwrap_or(usize::MAX));
                Ok(())
            })?;
            if ready.is_empty() {
                return Err(stalled(self.sent, &self.outcome));
            }
            for index in ready.drain(..) {
                self.turn(index)?;
            }
        }
        Ok(())
    }

    fn outcome(&mut self) -> &mut Outcome {
        &mut self.outcome
    }
}

impl<'a> Run<'a> {
    fn new(work: &'a Work) -> io::Result<Self> {
        let task = Task::of(work.subjects.first().map_or("", String::as_str));
        let events = Events::new()?;
        let mut connections = Vec::with_capacity(work.connections);
        for index in 0..work.connections {
            let stream = connect(work.target, work.source(index).map(|address| SocketAddr::new(address, 0)))?;
            events.add(&stream, index as u64)?;
            connections.push(Connection {
                stream,
                asked: VecDeque::new(),
                next: 0,
                session: (0, 0),
                out: Vec::new(),
                written: 0,
                head: Vec::new(),
                left: 0,
            });
        }
        let (buffer, outcome, request) = (vec![0; BUFFER], Outcome::default(), task.request());
        Ok(Self { work, task, request, events, connections, sent: 0, goal: 0, buffer, outcome })
    }

    /// Sends requests while fewer are asked than may be and some are left, and what was not taken before.
    fn send(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let since = Instant::now();
        while connection.asked.len() < self.work.streams && self.sent < self.goal {
            let at = connection.out.len();
            if self.task.deed == Deed::Consume {
                let offset = i64::try_from(self.sent % RECORDS).unwrap_or_default();
                connection.out.extend_from_slice(&message::fetch(&self.task.topic, offset, connection.session));
                connection.session.1 += 1;
            } else {
                connection.out.extend_from_slice(&self.request);
            }
            message::number(&mut connection.out[at..], connection.next);
            connection.asked.push_back((connection.next, since));
            connection.next = connection.next.wrapping_add(1);
            self.sent += 1;
        }
        connection.flush()
    }

    /// Follows an edge of a connection.
    fn turn(&mut self, index: usize) -> io::Result<()> {
        self.connections[index].flush()?;
        loop {
            let Self { task, connections, buffer, outcome, .. } = self;
            let connection = &mut connections[index];
            let count = match read(&connection.stream, buffer) {
                Moved::Bytes(count) => count,
                Moved::NotNow => return Ok(()),
                Moved::Over => return Err(over()),
            };
            let mut came = &buffer[..count];
            while let Some(rest) = connection.take(came)? {
                came = rest;
                if connection.head.len() < 4 || connection.left > 0 {
                    continue;
                }
                let answer = task.answer(&connection.head)?;
                connection.head.clear();
                connection.answered(task, answer, outcome)?;
            }
            self.send(index)?;
            if count < self.buffer.len() {
                return Ok(());
            }
        }
    }
}

impl Connection {
    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match write(&self.stream, &self.out[self.written..]) {
                Moved::Bytes(count) => self.written += count,
                Moved::NotNow => return Ok(()),
                Moved::Over => return Err(over()),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Takes some of what came, no more than to the end of an answer; what is left, or nothing when nothing is.
    fn take<'b>(&mut self, came: &'b [u8]) -> io::Result<Option<&'b [u8]>> {
        if came.is_empty() {
            return Ok(None);
        }
        if self.head.len() < 4 {
            let (length, rest) = came.split_at(came.len().min(4 - self.head.len()));
            self.head.extend_from_slice(length);
            if let [a, b, c, d] = self.head[..] {
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                if self.left == 0 {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "an empty answer"));
                }
            }
            return Ok(Some(rest));
        }
        let (part, rest) = came.split_at(came.len().min(self.left));
        self.head.extend_from_slice(&part[..part.len().min(HEAD.saturating_sub(self.head.len()))]);
        self.left -= part.len();
        Ok(Some(rest))
    }

    fn answered(&mut self, task: &Task, answer: Answer, outcome: &mut Outcome) -> io::Result<()> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {answer:?}"));
        let (number, since) = self.asked.pop_front().ok_or_else(|| wrong("nobody asked"))?;
        if answer.correlation != number {
            return Err(wrong("an answer to another request"));
        }
        let allowed = answer.allowed()?;
        if allowed && task.deed == Deed::Consume {
            if answer.records != task.batch.len() || answer.session == 0 {
                return Err(wrong("not the record that is there, or no session"));
            }
            self.session.0 = answer.session;
        }
        outcome.bytes += if allowed { task.batch.len() as u64 } else { 0 };
        outcome.count(since, allowed);
        Ok(())
    }
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "a connection ended before its requests were answered")
}
