//! The HTTP/1 client: a fixed number of requests over many connections, each timed.

use std::{
    io::{self, BufRead, Write},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};

use super::{
    events::{Events, Moved, connect, read, write},
    measure::{Load, Outcome, STALLED, Work, measure, stalled},
};

/// Token of the timer; connections count from 0.
const TIMER: u64 = u64::MAX;
/// Connections that may fail in a row before the target counts as out of reach.
const FAILURES: usize = 1_000;

struct Connection {
    stream: TcpStream,
    state: State,
    since: Instant,
}

enum State {
    Idle,
    /// The head of the answer is not whole yet.
    Head(Vec<u8>),
    Body {
        status: u16,
        left: usize,
    },
    /// The last answer is here, and the FIN that follows it is not.
    Closing,
}

struct Run<'a> {
    work: &'a Work,
    requests: Vec<Vec<u8>>,
    events: Events,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    /// Requests that are due and found no idle connection.
    due: std::collections::VecDeque<Instant>,
    sent: u64,
    goal: u64,
    opened: usize,
    failures: usize,
    buffer: Vec<u8>,
    outcome: Outcome,
}

/// Does the work over HTTP/1 as [`measure`] has it.
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
        let timer = self.timer()?;
        if timer.is_none() {
            self.send_while_idle(usize::MAX)?;
        }
        let mut due = 0;
        let mut ready = Vec::new();
        while self.outcome.done() - before < requests {
            let mut moved = false;
            self.events.wait(Some(STALLED), |_, token, _| {
                moved = true;
                match usize::try_from(token) {
                    Ok(index) if token != TIMER => ready.push(index),
                    _ => due += expirations(timer.as_ref())?,
                }
                Ok(())
            })?;
            if !moved {
                return Err(stalled(self.sent, &self.outcome));
            }
            for index in ready.drain(..) {
                self.turn(index)?;
            }
            if timer.is_some() {
                self.send_due(due)?;
                due = 0;
            } else {
                self.send_while_idle(usize::MAX)?;
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
        let last = if work.churn { "Connection: close\r\n" } else { "" };
        let request = |path: &String| {
            format!("GET {path} HTTP/1.1\r\nHost: upstream.bench\r\nUser-Agent: load\r\nAccept: */*\r\n{last}\r\n")
                .into_bytes()
        };
        let mut run = Self {
            requests: work.subjects.iter().map(request).collect(),
            work,
            events: Events::new()?,
            connections: Vec::with_capacity(work.connections),
            idle: Vec::with_capacity(work.connections),
            due: std::collections::VecDeque::new(),
            sent: 0,
            goal: 0,
            opened: 0,
            failures: 0,
            buffer: vec![0; 64 << 10],
            outcome: Outcome::default(),
        };
        for index in 0..work.connections {
            let stream = run.open(index)?;
            run.connections.push(Connection { stream, state: State::Idle, since: Instant::now() });
            run.idle.push(index);
        }
        Ok(run)
    }

    fn open(&mut self, index: usize) -> io::Result<TcpStream> {
        let source = self.work.source(self.opened);
        self.opened += 1;
        let stream = connect(self.work.target, source.map(|address| SocketAddr::new(address, 0)))?;
        self.events.add(&stream, index as u64)?;
        Ok(stream)
    }

    fn timer(&self) -> io::Result<Option<TimerFd>> {
        let Some(interval) = 1_000_000_000_u64.checked_div(self.work.rate) else { return Ok(None) };
        let interval = TimeSpec::from_duration(std::time::Duration::from_nanos(interval));
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        timer.set(Expiration::Interval(interval), TimerSetTimeFlags::empty())?;
        self.events.add(&timer, TIMER)?;
        Ok(Some(timer))
    }

    /// Sends what the clock asked for. What finds no idle connection waits, and its wait counts.
    fn send_due(&mut self, count: u64) -> io::Result<()> {
        let now = Instant::now();
        let interval = std::time::Duration::from_nanos(1_000_000_000 / self.work.rate);
        for late in (0..count).rev() {
            let late = u32::try_from(late).unwrap_or(u32::MAX);
            self.due.push_back(now.checked_sub(interval * late).unwrap_or(now));
        }
        self.send_while_idle(self.due.len())
    }

    fn send_while_idle(&mut self, most: usize) -> io::Result<()> {
        for _ in 0..most {
            if self.sent == self.goal {
                // The clock may have ticked once too often while the last answers came.
                self.due.clear();
                return Ok(());
            }
            let Some(index) = self.idle.pop() else { return Ok(()) };
            let since = self.due.pop_front();
            self.send(index, since)?;
        }
        Ok(())
    }

    fn send(&mut self, index: usize, since: Option<Instant>) -> io::Result<()> {
        let request = &self.requests[usize::try_from(self.sent).unwrap_or_default() % self.requests.len()];
        let connection = &mut self.connections[index];
        match write(&connection.stream, request) {
            Moved::Bytes(count) if count == request.len() => {
                connection.state = State::Head(Vec::new());
                connection.since = since.unwrap_or_else(Instant::now);
                self.sent += 1;
                Ok(())
            }
            // Not connected yet: its edge brings it here again.
            Moved::NotNow => {
                connection.state = State::Idle;
                if let Some(since) = since {
                    self.due.push_front(since);
                }
                Ok(())
            }
            // The other side closed between two requests (a server may): this connection is done, the request is not.
            Moved::Over => {
                if let Some(since) = since {
                    self.due.push_front(since);
                }
                self.failures += 1;
                if self.failures > FAILURES {
                    return Err(io::Error::new(
                        io::ErrorKind::ConnectionRefused,
                        format!("{} cannot be reached", self.work.target),
                    ));
                }
                self.reopen(index)
            }
            Moved::Bytes(_) => Err(io::Error::other("a request did not fit the socket")),
        }
    }

    fn reopen(&mut self, index: usize) -> io::Result<()> {
        self.connections[index].stream = self.open(index)?;
        self.connections[index].state = State::Idle;
        Ok(())
    }

    /// Follows an edge of a connection.
    fn turn(&mut self, index: usize) -> io::Result<()> {
        if matches!(self.connections[index].state, State::Idle) {
            if !self.idle.contains(&index) {
                self.idle.push(index);
            }
            return Ok(());
        }
        loop {
            match read(&self.connections[index].stream, &mut self.buffer) {
                Moved::NotNow => return Ok(()),
                Moved::Bytes(count) => {
                    let taken = self.connections[index].take(&self.buffer[..count], &mut self.outcome.bytes)?;
                    if let Some(status) = taken {
                        self.count(index, status);
                        if !self.work.churn {
                            self.connections[index].state = State::Idle;
                            self.idle.push(index);
                            return Ok(());
                        }
                        self.connections[index].state = State::Closing;
                    }
                }
                Moved::Over => {
                    if !matches!(self.connections[index].state, State::Closing) {
                        self.count(index, 0);
                    }
                    return self.reopen(index);
                }
            }
        }
    }

    fn count(&mut self, index: usize, status: u16) {
        self.failures = 0;
        self.outcome.count(self.connections[index].since, status == 200);
    }
}

impl Connection {
    /// Takes bytes of the answer; the status when it is whole.
    fn take(&mut self, bytes: &[u8], body_bytes: &mut u64) -> io::Result<Option<u16>> {
        let (status, left, count) = match &mut self.state {
            State::Idle | State::Closing => return Err(io::Error::other("an answer without a request")),
            State::Head(head) => {
                head.extend_from_slice(bytes);
                let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
                let (status, length) = parse(&head[..end])?;
                (status, length, head.len() - end - 4)
            }
            State::Body { status, left } => (*status, *left, bytes.len()),
        };
        *body_bytes += count as u64;
        let left = left.checked_sub(count).ok_or_else(|| io::Error::other("an answer longer than it says"))?;
        self.state = State::Body { status, left };
        Ok((left == 0).then_some(status))
    }
}

/// Status and length of the body from an answer's head.
fn parse(head: &[u8]) -> io::Result<(u16, usize)> {
    let wrong = || io::Error::other(format!("not an answer: {}", head.escape_ascii()));
    let text = std::str::from_utf8(head).map_err(|_| wrong())?;
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(wrong)?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok((status, length.ok_or_else(wrong)?))
}

fn expirations(timer: Option<&TimerFd>) -> io::Result<u64> {
    let Some(timer) = timer else { return Ok(0) };
    let mut count = [0; 8];
    match nix::unistd::read(timer, &mut count) {
        Ok(_) => Ok(u64::from_ne_bytes(count)),
        Err(nix::errno::Errno::EAGAIN) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_answer_tells_its_status_and_length() {
        let head = b"HTTP/1.1 403 Forbidden\r\nServer: x\r\ncontent-length: 93";
        assert_eq!(parse(head).unwrap(), (403, 93));
        for wrong in [&b"HTTP/1.1 200 OK\r\nServer: x"[..], b"junk", b"HTTP/1.1 abc OK\r\nContent-Length: 1", b"\xff"] {
            assert!(parse(wrong).is_err(), "{}", wrong.escape_ascii());
        }
    }
}
