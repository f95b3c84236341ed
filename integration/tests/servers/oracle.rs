//! Compares the requests that the node allowed with those that the servers executed.

use std::{collections::HashMap, fmt::Write as _, fs, path::Path};

use serde_json::Value;

/// A request as both sides tell it: only what neither can write differently. Some servers write methods in capitals
/// (gunicorn), or escape what should have been (Perl's URI).
fn plain(method: &str, target: &str) -> String {
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
        _ => target,
    };
    let mut kept = method.to_ascii_uppercase() + " ";
    for letter in target.chars().filter(|letter| letter.is_ascii_graphic() && *letter != '?') {
        if "\"<>\\^`{|}".contains(letter) {
            let _ = write!(kept, "%{:02X}", u32::from(letter));
        } else {
            kept.push(letter);
        }
    }
    kept
}

/// What the first line of HTTP/2 is to a server that does not speak it (RFC 9113 §3.4). A client that begins in HTTP/2 needs
/// it to get there before any request can be judged; nothing behind it may run.
const PREFACE: &str = "PRI *";

/// How often each request was allowed, by the server's port.
pub(crate) struct Allowed(HashMap<u16, HashMap<String, usize>>);

impl Allowed {
    /// Reads the node's records from a place on.
    pub(crate) fn read(records: &Path, from: usize) -> Self {
        let text = fs::read_to_string(records).unwrap_or_default();
        let mut ports: HashMap<u16, HashMap<String, usize>> = HashMap::new();
        for line in text.get(from..).unwrap_or_default().lines() {
            let Ok(record) = serde_json::from_str::<Value>(line) else { continue };
            let request = &record["request"];
            let port = record["destination"]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
            if let (Some("allow"), Some(port), Some(method)) =
                (record["verdict"].as_str(), port, request["method"].as_str())
            {
                let target = request["path"].as_str().unwrap_or_default();
                *ports.entry(port).or_default().entry(plain(method, target)).or_default() += 1;
            }
        }
        Self(ports)
    }

    /// The lines of a server's log that were not allowed, or not as often.
    pub(crate) fn others(&self, port: u16, log: &[String]) -> Vec<String> {
        let mut left = self.0.get(&port).cloned().unwrap_or_default();
        let mut judged = |line: &&String| {
            let mut words = line.split(' ');
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            match left.get_mut(&plain(method, target)) {
                Some(times) if *times > 0 => {
                    *times -= 1;
                    true
                }
                _ => false,
            }
        };
        log.iter().filter(|line| **line != PREFACE && !judged(line)).cloned().collect()
    }
}

#[test]
fn what_ran_more_often_than_it_was_allowed_is_found() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let record = |verdict: &str, path: &str| {
        format!(
            "{{\"verdict\":\"{verdict}\",\"destination\":{{\"port\":80}},\"request\":{{\"method\":\"GET\",\"path\":\"{path}\"}}}}\n"
        )
    };
    fs::write(file.path(), record("allow", "/a?b") + &record("deny", "/~") + &record("allow", "/a?b")).unwrap();
    let allowed = Allowed::read(file.path(), 0);
    let log = ["GET /a?b", "GET http://h/a?b", "GET /a?b", "GET /~", "PRI *"].map(str::to_owned);
    assert_eq!(allowed.others(80, &log), ["GET /a?b", "GET /~"]);
    assert_eq!(allowed.others(81, &log).len(), log.len() - 1);
}
