//! The HTTP/2 client: a fixed number of requests over many streams of a few connections, each timed. See
//! [`super::super::measure`].

use std::{
    io::{self, BufRead, Write},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use super::{
    super::{
        events::{Events, Moved, connect},
        measure::{Load, Outcome, STALLED, Work, measure, stalled},
    },
    BUFFER, ask,
    link::{Event, Link},
    sender::wrong,
    status,
};

struct Connection {
    stream: TcpStream,
    link: Link,
    /// By stream.
    calls: Vec<Call>,
    next: u32,
}

/// A request without its whole answer.
struct Call {
    stream: u32,
    since: Instant,
    /// Its answer has begun with status 200.
    granted: bool,
}

struct Run<'a> {
    work: &'a Work,
    events: Events,
    connections: Vec<Connection>,
    sent: u64,
    goal: u64,
    buffer: Vec<u8>,
    outcome: Outcome,
}

/// Does the work over HTTP/2 as [`measure`] has it.
///
/// # Errors
/// The target cannot be reached, a connection ends, or nothing happens for [`STALLED`] milliseconds.
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
        let events = Events::new()?;
        let mut connections = Vec::with_capacity(work.connections);
        for index in 0..work.connections {
            let stream = connect(work.target, work.source(index).map(|address| SocketAddr::new(address, 0)))?;
            events.add(&stream, index as u64)?;
            connections.push(Connection { stream, link: Link::of_client(), calls: Vec::new(), next: 1 });
        }
        let (buffer, outcome) = (vec![0; BUFFER], Outcome::default());
        Ok(Self { work, events, connections, sent: 0, goal: 0, buffer, outcome })
    }

    /// Sends requests while streams are free and some are left, and what else there is to send.
    fn send(&mut self, index: usize) -> io::Result<()> {
        let Connection { stream, link, calls, next } = &mut self.connections[index];
        let since = Instant::now();
        while calls.len() < self.work.streams && self.sent < self.goal {
            let number = usize::try_from(self.sent).unwrap_or_default() % self.work.subjects.len();
            ask(link, *next, &self.work.subjects[number]);
            calls.push(Call { stream: *next, since, granted: false });
            *next += 2;
            self.sent += 1;
        }
        if link.sender.flush(stream) == Moved::Over { Err(over()) } else { Ok(()) }
    }

    /// Follows an edge of a connection. What comes in one read is answered with as many requests in one write.
    fn turn(&mut self, index: usize) -> io::Result<()> {
        loop {
            let Self { connections, buffer, outcome, .. } = self;
            let Connection { stream, link, calls, .. } = &mut connections[index];
            let moved = link.read(stream, buffer, |_, event| take(calls, &event, outcome))?;
            if moved == Moved::Over {
                return Err(over());
            }
            self.send(index)?;
            if moved == Moved::NotNow {
                return Ok(());
            }
        }
    }
}

/// Takes a part of an answer.
fn take(calls: &mut Vec<Call>, event: &Event<'_>, outcome: &mut Outcome) -> io::Result<()> {
    let (stream, end) = match *event {
        Event::Head { stream, end, .. } | Event::Data { stream, end, .. } => (stream, end),
        Event::Reset { stream } => (stream, true),
        Event::Gone => return Err(wrong("the connection is given up by a GOAWAY")),
    };
    let Ok(index) = calls.binary_search_by_key(&stream, |call| call.stream) else {
        // A server may say that it needs no more of a request that it has answered in full.
        return if matches!(event, Event::Reset { .. }) { Ok(()) } else { Err(wrong("an answer without a request")) };
    };
    let call = &mut calls[index];
    match event {
        Event::Head { fields, .. } => call.granted = status(fields).map_or(call.granted, |status| status == b"200"),
        Event::Data { content, .. } => outcome.bytes += *content as u64,
        Event::Reset { .. } | Event::Gone => call.granted = false,
    }
    if end {
        let Call { since, granted, .. } = calls.remove(index);
        outcome.count(since, granted);
    }
    Ok(())
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "a connection ended before its requests were answered")
}
