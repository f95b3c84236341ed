//! What all clients of the comparison share: a warm-up, then the timed work.
//!
//! A client runs as a process of its own in the client's namespace. After its warm-up it prints a line and waits for
//! one on standard input, so that the measuring process can read the counters before and after the timed part.

use std::{
    io::{self, BufRead, Write},
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use serde_json::{Value, json};

use super::histogram::Histogram;

/// Milliseconds without any event after which a run has failed.
pub(super) const STALLED: u16 = 20_000;
/// What is to be done.
#[derive(Clone, Debug)]
pub struct Work {
    /// Where the requests go.
    pub target: SocketAddr,
    /// The client's own addresses, taken in turn, so that ports do not run out.
    pub sources: Vec<IpAddr>,
    /// The paths or names, taken in turn.
    pub subjects: Vec<String>,
    /// Connections at a time.
    pub connections: usize,
    /// Requests at a time on each connection, with HTTP/2.
    pub streams: usize,
    /// Timed requests.
    pub requests: u64,
    /// Requests before those.
    pub warm_up: u64,
    /// Requests per second; 0 sends the next one as soon as an answer is there.
    pub rate: u64,
    /// A new connection for each request.
    pub churn: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Requests answered with status 200 and the whole body.
    pub answered: u64,
    /// Requests answered with another status, or by a reset or FIN without an answer.
    pub denied: u64,
    /// Bytes of the bodies.
    pub bytes: u64,
    /// From request (with a rate: from when it was due) to the end of its answer.
    pub latencies: Histogram,
}

/// A client of one protocol.
pub(super) trait Load {
    /// Sends so many more requests and waits for their answers.
    fn advance(&mut self, requests: u64) -> io::Result<()>;

    /// What came of it.
    fn outcome(&mut self) -> &mut Outcome;
}

/// Does the warm-up, tells on `output`, waits for a line on `input`, does the work and prints the outcome as JSON.
pub(super) fn measure(
    load: &mut impl Load,
    work: &Work,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> io::Result<()> {
    load.advance(work.warm_up)?;
    *load.outcome() = Outcome::default();
    writeln!(output, "ready")?;
    output.flush()?;
    input.read_line(&mut String::new())?;
    let start = Instant::now();
    load.advance(work.requests)?;
    let seconds = start.elapsed().as_secs_f64();
    writeln!(output, "{}", load.outcome().to_json(seconds))?;
    output.flush()?;
    // Whoever measures reads this process's counters now.
    input.read_line(&mut String::new())?;
    Ok(())
}

/// Nothing has come for [`STALLED`] milliseconds.
pub(super) fn stalled(sent: u64, outcome: &Outcome) -> io::Error {
    let done = outcome.done();
    let said = format!("{sent} requests sent, {done} answered, then nothing for {STALLED} ms");
    io::Error::new(io::ErrorKind::TimedOut, said)
}

impl Work {
    /// The client's address of one of its sockets, if it has some of its own.
    pub(super) fn source(&self, socket: usize) -> Option<IpAddr> {
        self.sources.get(socket % self.sources.len().max(1)).copied()
    }
}

impl Outcome {
    /// As a line for whoever measures.
    pub(super) fn to_json(&self, seconds: f64) -> Value {
        json!({
            "seconds": seconds,
            "answered": self.answered,
            "denied": self.denied,
            "bytes": self.bytes,
            "p50": self.latencies.quantile(0.5),
            "p99": self.latencies.quantile(0.99),
        })
    }

    pub(super) fn done(&self) -> u64 {
        self.answered + self.denied
    }

    /// A request is answered as it was meant to be, or denied.
    pub(super) fn count(&mut self, since: Instant, answered: bool) {
        self.latencies.record(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX));
        if answered {
            self.answered += 1;
        } else {
            self.denied += 1;
        }
    }
}
