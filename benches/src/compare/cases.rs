//! The pieces of work.

use clap::ValueEnum;

use super::dns::names;

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
    /// DNS over UDP
    Dns,
}

impl Protocol {
    /// What requests ask for in turn: paths, `{n}` being 0 to `variants - 1`, or names.
    #[must_use]
    pub fn subjects(self, subject: &str, variants: usize) -> Vec<String> {
        let one = |number: usize| match self {
            Self::Dns if subject == NUMBERED => names::allowed(number).asked(),
            _ => subject.replace(NUMBERED, &number.to_string()),
        };
        (0..variants).map(one).collect()
    }
}

/// Stands for a number.
const NUMBERED: &str = "{n}";

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
    /// Timed requests.
    pub requests: u64,
    /// Requests per second; 0 is as fast as it goes.
    pub rate: u64,
    /// A new connection, or socket, for each request.
    pub churn: bool,
    /// The requests are those that no rule allows.
    pub denied: bool,
}

const SMALL: Case = Case {
    name: "h1-small",
    about: "128 bytes, saturated, 64 connections",
    protocol: Protocol::Http1,
    subject: "/small",
    variants: 1,
    connections: CONNECTIONS,
    requests: 100_000,
    rate: 0,
    churn: false,
    denied: false,
};

const NAMES: Case = Case {
    name: "dns-1",
    about: "DNS, one name, saturated, 64 sockets",
    protocol: Protocol::Dns,
    subject: NUMBERED,
    requests: 50_000,
    ..SMALL
};

/// All cases.
pub const CASES: [Case; 12] = [
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
        denied: true,
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
    NAMES,
    Case { name: "dns-1k", about: "as dns-1, with 1,000 names and patterns used in turn", variants: MANY, ..NAMES },
    Case {
        name: "dns-100k",
        about: "as dns-1, with 100,000 names and patterns used in turn",
        variants: MOST_NAMES,
        ..NAMES
    },
    Case {
        name: "dns-churn",
        about: "DNS, a socket each, as resolver libraries do",
        churn: true,
        requests: 20_000,
        ..NAMES
    },
    Case { name: "dns-deny", about: "DNS, denied", subject: names::DENIED, denied: true, ..NAMES },
];

/// A path that no rule allows.
pub const DENIED: &str = "/denied";
/// The case whose rules and path idle connections are opened with.
pub const IDLE: &Case = &CASES[0];

impl Case {
    /// The paths or names, as requests take them in turn.
    #[must_use]
    pub fn subjects(&self) -> Vec<String> {
        self.protocol.subjects(self.subject, self.variants)
    }

    /// The paths (with GET) or names that are allowed while this case runs.
    #[must_use]
    pub fn rules(&self) -> Vec<String> {
        match self.protocol {
            _ if !self.denied => self.subjects(),
            Protocol::Http1 => SMALL.subjects(),
            Protocol::Dns => NAMES.subjects(),
        }
    }

    /// Requests before the timed ones: a tenth, so that every connection and every cache has been used.
    #[must_use]
    pub fn warm_up(&self) -> u64 {
        (self.requests / 10).max(self.connections as u64)
    }

    /// The same work, so little of it that it only shows that it works.
    #[must_use]
    pub fn quick(mut self) -> Self {
        self.requests = (self.requests / 200).max(64);
        self.connections = self.connections.min(8);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{CASES, DENIED, Protocol, names};

    #[test]
    fn every_case_asks_for_what_its_name_says() {
        for case in &CASES {
            let (subjects, rules) = (case.subjects(), case.rules());
            let denied = if case.protocol == Protocol::Dns { names::DENIED } else { DENIED };
            assert_eq!(subjects.len(), case.variants, "{}", case.name);
            assert_eq!(subjects[0] == denied, case.denied, "{}", case.name);
            assert!(!rules.iter().any(|rule| rule == denied), "{}", case.name);
            assert_eq!(subjects == rules, !case.denied, "{}", case.name);
        }
        assert_eq!(CASES[6].subjects()[999], "/exact/999");
        assert_eq!(CASES[8].subjects()[999], "www.zone999.bench.test");
    }
}
