//! The DNS client: a fixed number of queries over many sockets, each timed. See [`super::super::measure`].

use std::{
    io::{self, BufRead, Write},
    net::{IpAddr, Ipv4Addr, UdpSocket},
    time::Instant,
};

use super::{
    super::{
        events::Events,
        measure::{Load, Outcome, STALLED, Work, measure, stalled},
    },
    LARGEST, message, receive, socket,
};

/// Milliseconds without any answer after which what is outstanding is asked again: a datagram was lost.
const AGAIN: u16 = 500;

struct Asking {
    socket: UdpSocket,
    /// The query without an answer, and when it was first asked.
    due: Option<(usize, Instant)>,
    id: u16,
}

struct Run<'a> {
    work: &'a Work,
    queries: Vec<Vec<u8>>,
    events: Events,
    sockets: Vec<Asking>,
    sent: u64,
    goal: u64,
    opened: usize,
    outcome: Outcome,
}

/// Does the work over DNS as [`measure`] has it.
///
/// # Errors
/// The target cannot be reached, or nothing happens for [`STALLED`] milliseconds.
pub fn main(work: &Work, input: &mut impl BufRead, output: &mut impl Write) -> io::Result<()> {
    measure(&mut Run::new(work)?, work, input, output)
}

impl Load for Run<'_> {
    fn advance(&mut self, requests: u64) -> io::Result<()> {
        let before = self.outcome.done();
        self.goal = self.sent + requests;
        for index in 0..self.sockets.len() {
            self.next(index)?;
        }
        let mut ready = Vec::new();
        let mut silence = 0;
        while self.outcome.done() - before < requests {
            self.events.wait(Some(AGAIN), |_, token, _| {
                ready.push(usize::try_from(token).unwrap_or(usize::MAX));
                Ok(())
            })?;
            silence = if ready.is_empty() { silence + AGAIN } else { 0 };
            if silence >= STALLED {
                return Err(stalled(self.sent, &self.outcome));
            }
            if silence > 0 {
                self.ask_again()?;
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
        let mut run = Self {
            queries: work.subjects.iter().map(|name| message::query(0, name)).collect(),
            work,
            events: Events::new()?,
            sockets: Vec::with_capacity(work.connections),
            sent: 0,
            goal: 0,
            opened: 0,
            outcome: Outcome::default(),
        };
        for index in 0..work.connections {
            let socket = run.open(index)?;
            run.sockets.push(Asking { socket, due: None, id: 0 });
        }
        Ok(run)
    }

    fn open(&mut self, index: usize) -> io::Result<UdpSocket> {
        let source = self.work.source(self.opened);
        self.opened += 1;
        let socket = socket(source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), self.work.target)?;
        self.events.hear(&socket, index as u64)?;
        Ok(socket)
    }

    /// Asks the next query, if there is one, from a socket that waits for nothing.
    fn next(&mut self, index: usize) -> io::Result<()> {
        if self.sent == self.goal {
            return Ok(());
        }
        let number = usize::try_from(self.sent).unwrap_or_default() % self.queries.len();
        let asking = &mut self.sockets[index];
        asking.id = asking.id.wrapping_add(1);
        asking.due = Some((number, Instant::now()));
        self.sent += 1;
        self.ask(index)
    }

    fn ask(&mut self, index: usize) -> io::Result<()> {
        let asking = &self.sockets[index];
        let Some((number, _)) = asking.due else { return Ok(()) };
        let query = &mut self.queries[number];
        query[..2].copy_from_slice(&asking.id.to_be_bytes());
        // The first error may be that of a datagram before this one (udp(7)).
        asking.socket.send(query).or_else(|_| asking.socket.send(query)).map(drop)
    }

    fn ask_again(&mut self) -> io::Result<()> {
        (0..self.sockets.len()).try_for_each(|index| self.ask(index))
    }

    fn turn(&mut self, index: usize) -> io::Result<()> {
        let asking = &mut self.sockets[index];
        let mut buffer = [0; LARGEST];
        let Some(bytes) = receive(|| asking.socket.recv(&mut buffer))? else { return Ok(()) };
        let outcome = message::outcome(&buffer[..bytes]).filter(|(id, _)| *id == asking.id);
        // The second answer to what was asked twice answers nothing, and what is due since stays due.
        let Some((_, address)) = outcome else { return Ok(()) };
        let Some((_, since)) = asking.due.take() else { return Ok(()) };
        self.outcome.bytes += bytes as u64;
        self.outcome.count(since, address);
        if self.work.churn {
            self.sockets[index].socket = self.open(index)?;
        }
        self.next(index)
    }
}
