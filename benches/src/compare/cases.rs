//! The test cases of the comparison.

use clap::ValueEnum;

use super::{dns::names, http2, kafka};

/// Connections at a time, where a case is about throughput.
const CONNECTIONS: usize = 64;
/// Rules of the cases with many.
const MANY: usize = 1_000;
/// Rules of the case with more names than anybody has.
const MOST_NAMES: usize = 100_000;

/// What is asked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// HTTP/1.1 over TCP
    Http1,
    /// HTTP/2 over TCP, without TLS and without an upgrade
    Http2,
    /// DNS over UDP
    Dns,
    /// Kafka over TCP, without TLS
    Kafka,
}

impl Protocol {
    /// What requests ask for in turn: paths, `{n}` being 0 to `variants - 1`, or names; of Kafka what they do.
    #[must_use]
    pub fn subjects(self, subject: &str, variants: usize) -> Vec<String> {
        let one = |number: usize| match self {
            Self::Dns if subject == NUMBERED => names::allowed(number).asked(),
            _ => subject.replace(NUMBERED, &number.to_string()),
        };
        (0..variants).map(one).collect()
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Dns => "dns",
            Self::Kafka => "kafka",
        }
    }

    /// A path or name that no rule allows.
    #[must_use]
    pub fn denied(self) -> &'static str {
        match self {
            Self::Http1 => DENIED,
            Self::Http2 => http2::DENIED,
            Self::Dns => names::DENIED,
            Self::Kafka => kafka::DENIED,
        }
    }

    /// The case with one rule, whose rules hold where a case has none of its own, and which idle connections are opened
    /// with.
    #[must_use]
    pub fn basic(self) -> &'static Case {
        match self {
            Self::Http1 => &SMALL,
            Self::Http2 => &CALLS,
            Self::Dns => &NAMES,
            Self::Kafka => &PRODUCE,
        }
    }
}

/// Stands for a number.
const NUMBERED: &str = "{n}";

/// Which requests are those that no rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// None.
    None,
    /// Every second one.
    Half,
    /// All.
    All,
}

/// One piece of work.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name on the command line and in the tables.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// What the requests are made in.
    pub protocol: Protocol,
    /// Path or name of the requests; see [`Protocol::subjects`].
    pub subject: &'static str,
    /// How many paths or names `subject` stands for, and rules that allow them.
    pub variants: usize,
    /// Connections at a time; with DNS, sockets with one query each.
    pub connections: usize,
    /// Requests at a time on each connection.
    pub streams: usize,
    /// Timed requests.
    pub requests: u64,
    /// Requests per second; 0 is as fast as it goes.
    pub rate: u64,
    /// A new connection, or socket, for each request.
    pub churn: bool,
    /// Which requests no rule allows.
    pub denied: Denied,
    /// Connections to what names are resolved to are allowed by these names, so each new one has to be known before its
    /// answer leaves.
    pub learns: bool,
}

const SMALL: Case = Case {
    name: "h1-small",
    about: "128 bytes, saturated, 64 connections",
    protocol: Protocol::Http1,
    subject: "/small",
    variants: 1,
    connections: CONNECTIONS,
    streams: 1,
    requests: 100_000,
    rate: 0,
    churn: false,
    denied: Denied::None,
    learns: false,
};

const CALLS: Case = Case {
    name: "h2-1",
    about: "HTTP/2, 128 bytes each way, 64 connections with 1 stream at a time",
    protocol: Protocol::Http2,
    subject: http2::SMALL,
    ..SMALL
};
/// Connections of the cases with many streams on each.
const FEW: usize = 8;

const NAMES: Case = Case {
    name: "dns-1",
    about: "DNS, one name, saturated, 64 sockets",
    protocol: Protocol::Dns,
    subject: NUMBERED,
    requests: 50_000,
    ..SMALL
};

const PRODUCE: Case = Case {
    name: "kafka-produce-100",
    about: "Kafka, Produce with a record of 100 bytes, 8 connections with 4 requests at a time",
    protocol: Protocol::Kafka,
    subject: "produce/100",
    connections: FEW,
    streams: 4,
    requests: 40_000,
    ..SMALL
};
/// Each connection has a session, which has one request at a time.
const CONSUME: Case = Case {
    name: "kafka-consume-100",
    about: "Kafka, Fetch of a record of 100 bytes, 16 connections",
    subject: "consume/100",
    connections: 16,
    streams: 1,
    ..PRODUCE
};

/// All cases.
pub const CASES: [Case; 25] = [
    SMALL,
    Case { name: "h1-rate4k", about: "128 bytes, 4,000 requests/s", requests: 16_000, rate: 4_000, ..SMALL },
    Case { name: "h1-64k", about: "64 KiB, saturated", subject: "/64k", requests: 20_000, ..SMALL },
    Case { name: "h1-1m", about: "1 MiB, saturated", subject: "/1m", requests: 2_000, connections: 16, ..SMALL },
    Case {
        name: "h1-deny",
        about: "denied, a connection each",
        subject: DENIED,
        requests: 20_000,
        churn: true,
        denied: Denied::All,
        ..SMALL
    },
    Case { name: "churn", about: "128 bytes, a connection each", requests: 20_000, churn: true, ..SMALL },
    Case {
        name: "exact1000",
        about: "as h1-small, with 1,000 rules used in turn",
        subject: "/exact/{n}",
        variants: MANY,
        ..SMALL
    },
    CALLS,
    Case {
        name: "h2-32",
        about: "as h2-1, 8 connections with 32 streams at a time",
        connections: FEW,
        streams: 32,
        requests: 200_000,
        ..CALLS
    },
    Case {
        name: "h2-100",
        about: "as h2-1, 8 connections with 100 streams at a time",
        connections: FEW,
        streams: 100,
        requests: 200_000,
        ..CALLS
    },
    Case {
        name: "h2-deny",
        about: "as h2-32, every second request denied",
        connections: FEW,
        streams: 32,
        requests: 200_000,
        denied: Denied::Half,
        ..CALLS
    },
    Case {
        name: "h2-download",
        about: "HTTP/2, answers of 1 MiB, 4 connections with 4 streams at a time",
        subject: http2::DOWNLOAD,
        connections: 4,
        streams: 4,
        requests: 2_000,
        ..CALLS
    },
    Case {
        name: "h2-upload",
        about: "HTTP/2, requests of 1 MiB, 4 connections with 4 streams at a time",
        subject: http2::UPLOAD,
        connections: 4,
        streams: 4,
        requests: 2_000,
        ..CALLS
    },
    NAMES,
    Case { name: "dns-1k", about: "as dns-1, with 1,000 names and patterns used in turn", variants: MANY, ..NAMES },
    Case {
        name: "dns-100k",
        about: "as dns-1, with 100,000 names and patterns used in turn",
        variants: MOST_NAMES,
        ..NAMES
    },
    Case {
        name: "dns-learn",
        about: "as dns-100k, and connections are allowed by these names: each one is new",
        variants: MOST_NAMES,
        learns: true,
        ..NAMES
    },
    Case {
        name: "dns-churn",
        about: "DNS, a socket each, as resolver libraries do",
        churn: true,
        requests: 20_000,
        ..NAMES
    },
    Case { name: "dns-deny", about: "DNS, denied", subject: names::DENIED, denied: Denied::All, ..NAMES },
    PRODUCE,
    Case { name: "kafka-produce-1k", about: "as kafka-produce-100, 1 KiB", subject: "produce/1024", ..PRODUCE },
    Case {
        name: "kafka-produce-100k",
        about: "as kafka-produce-100, 100 KiB",
        subject: "produce/102400",
        requests: 4_000,
        ..PRODUCE
    },
    CONSUME,
    Case { name: "kafka-consume-1k", about: "as kafka-consume-100, 1 KiB", subject: "consume/1024", ..CONSUME },
    Case {
        name: "kafka-consume-100k",
        about: "as kafka-consume-100, 100 KiB",
        subject: "consume/102400",
        requests: 10_000,
        ..CONSUME
    },
];

/// A path that no rule allows.
const DENIED: &str = "/denied";

impl Case {
    /// The paths or names, as requests take them in turn.
    #[must_use]
    pub fn subjects(&self) -> Vec<String> {
        let mut subjects = self.protocol.subjects(self.subject, self.variants);
        if self.denied == Denied::Half {
            subjects.push(self.protocol.denied().to_owned());
        }
        subjects
    }

    /// The paths (HTTP/1: with GET, HTTP/2: with POST) or names that are allowed while this case runs.
    #[must_use]
    pub fn rules(&self) -> Vec<String> {
        let case = if self.denied == Denied::All { self.protocol.basic() } else { self };
        case.protocol.subjects(case.subject, case.variants)
    }

    /// How many of the timed requests no rule allows.
    #[must_use]
    pub fn denied_requests(&self) -> u64 {
        match self.denied {
            Denied::None => 0,
            Denied::Half => self.requests / 2,
            Denied::All => self.requests,
        }
    }

    /// Requests before the timed ones: a tenth, so that every connection and every cache has been used; half as many where
    /// programs of Java are compared, which begin slowly.
    #[must_use]
    pub fn warm_up(&self) -> u64 {
        let part = if self.protocol == Protocol::Kafka { 2 } else { 10 };
        (self.requests / part).max((self.connections * self.streams) as u64)
    }

    /// The same work, so many times as much: what the machine spends is counted in ticks of 10 ms, of which short work has few.
    #[must_use]
    pub fn longer(mut self, times: u64) -> Self {
        self.requests = self.requests.saturating_mul(times.max(1));
        self
    }

    /// The same work, so little of it that it only shows that it works.
    #[must_use]
    pub fn quick(mut self) -> Self {
        self.requests = (self.requests / 200).max(64);
        self.connections = self.connections.min(8);
        self.streams = self.streams.min(self.requests as usize / self.connections).max(1);
        self.variants = self.variants.min(MANY);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{CASES, Denied};

    #[test]
    fn every_case_asks_for_what_its_name_says() {
        for case in &CASES {
            let (subjects, rules, denied) = (case.subjects(), case.rules(), case.protocol.denied().to_owned());
            let wanted = case.variants + usize::from(case.denied == Denied::Half);
            assert_eq!(subjects.len(), wanted, "{}", case.name);
            assert_eq!(subjects[0] == denied, case.denied == Denied::All, "{}", case.name);
            let rules: HashSet<String> = rules.into_iter().collect();
            assert!(!rules.is_empty() && !rules.contains(&denied), "{}", case.name);
            let refused = subjects.iter().filter(|subject| !rules.contains(*subject)).count() as u64;
            assert_eq!(refused * case.requests / subjects.len() as u64, case.denied_requests(), "{}", case.name);
        }
        assert_eq!(CASES[6].subjects()[999], "/exact/999");
        assert_eq!(CASES[14].subjects()[999], "www.zone999.bench.test");
    }
}
