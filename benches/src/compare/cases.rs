//! The pieces of work.

/// Connections at a time, where a case is about throughput.
const CONNECTIONS: usize = 64;
/// Rules of the case with many.
const MANY: usize = 1_000;

/// One piece of work.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name on the command line and in the tables.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Path of the requests; `{n}` becomes 0 to `variants - 1` in turn.
    pub path: &'static str,
    /// How many paths `path` stands for, and rules that allow them.
    pub variants: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Timed requests.
    pub requests: u64,
    /// Requests per second; 0 is as fast as it goes.
    pub rate: u64,
    /// A new connection for each request.
    pub churn: bool,
    /// The requests are those that no rule allows.
    pub denied: bool,
}

const SMALL: Case = Case {
    name: "h1-small",
    about: "128 bytes, saturated, 64 connections",
    path: "/small",
    variants: 1,
    connections: CONNECTIONS,
    requests: 100_000,
    rate: 0,
    churn: false,
    denied: false,
};

/// All cases.
pub const CASES: [Case; 7] = [
    SMALL,
    Case { name: "h1-rate4k", about: "128 bytes, 4,000 requests/s", requests: 16_000, rate: 4_000, ..SMALL },
    Case { name: "h1-64k", about: "64 KiB, saturated", path: "/64k", requests: 20_000, ..SMALL },
    Case { name: "h1-1m", about: "1 MiB, saturated", path: "/1m", requests: 2_000, connections: 16, ..SMALL },
    Case {
        name: "h1-deny",
        about: "denied, a connection each",
        path: DENIED,
        requests: 20_000,
        churn: true,
        denied: true,
        ..SMALL
    },
    Case { name: "churn", about: "128 bytes, a connection each", requests: 20_000, churn: true, ..SMALL },
    Case {
        name: "exact1000",
        about: "as h1-small, with 1,000 rules used in turn",
        path: "/exact/{n}",
        variants: MANY,
        ..SMALL
    },
];

/// A path that no rule allows.
pub const DENIED: &str = "/denied";
/// The case whose rules and path idle connections are opened with.
pub const IDLE: &Case = &CASES[0];

impl Case {
    /// The paths, as requests take them in turn.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        (0..self.variants).map(|number| self.path.replace("{n}", &number.to_string())).collect()
    }

    /// The paths that are allowed, with GET, while this case runs.
    #[must_use]
    pub fn rules(&self) -> Vec<String> {
        if self.denied { SMALL.paths() } else { self.paths() }
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
    use super::{CASES, DENIED};

    #[test]
    fn every_case_asks_for_what_its_name_says() {
        for case in &CASES {
            assert_eq!(case.paths().len(), case.variants, "{}", case.name);
            assert_eq!(case.paths()[0] == DENIED, case.denied, "{}", case.name);
            assert!(!case.rules().iter().any(|rule| rule == DENIED), "{}", case.name);
            assert_eq!(case.paths().iter().all(|path| case.rules().contains(path)), !case.denied, "{}", case.name);
        }
        assert_eq!(CASES[6].paths()[999], "/exact/999");
    }
}
