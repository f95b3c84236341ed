//! A book as text: a line that says what it is, then one JSON object a name.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use portcullis_rules::names::{LONGEST, normal};
use serde::{Deserialize, Serialize};

use super::book::{Book, Known, Limits, Listed};

/// The version that is written.
const VERSION: u32 = 1;
/// The kind that is written.
const KIND: &str = "portcullis names";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Head {
    kind: String,
    version: u32,
}

/// A name: when the TTL of each address is over, in seconds.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    addresses: BTreeMap<IpAddr, u64>,
}

/// Why a text is no book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}; the node starts without it, and names are learnt anew when they are asked for")]
pub struct Damaged {
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl Book {
    /// What is known of one name, as a line of [`Book::to_text`]: appended there, it adds to what stands before.
    #[must_use]
    pub fn line(&self, name: &str) -> Option<String> {
        self.get(name).and_then(line)
    }

    /// The book as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let head = Head { kind: KIND.to_owned(), version: VERSION };
        // Text, numbers and addresses always have a JSON form.
        let mut text = serde_json::to_string(&head).unwrap_or_default() + "\n";
        self.known().filter_map(line).for_each(|line| text.push_str(&line));
        text
    }

    /// Reads what [`Book::to_text`] wrote. What has had its time by `now` is left out, what is over the limits evicted.
    ///
    /// # Errors
    /// Some line is not what was written; nothing of the text counts then.
    pub fn from_text(text: &str, limits: Limits, now: u64) -> Result<Self, Damaged> {
        let damaged = |line, message: String| Damaged { line, message };
        let mut lines = text.lines().zip(1..);
        let head = lines.next().ok_or_else(|| damaged(1, "the file is empty".to_owned()))?;
        let head: Head = serde_json::from_str(head.0).map_err(|error| damaged(1, error.to_string()))?;
        if (head.kind.as_str(), head.version) != (KIND, VERSION) {
            let message =
                format!("it is {:?} of version {}, not {KIND:?} of version {VERSION}", head.kind, head.version);
            return Err(damaged(1, message));
        }
        let mut book = Self::new(limits);
        for (text, number) in lines {
            let line: Line = serde_json::from_str(text).map_err(|error| damaged(number, error.to_string()))?;
            if line.name.len() > LONGEST + 1 || line.name != normal(&line.name) {
                return Err(damaged(
                    number,
                    "the name is not in lower case with a dot at its end, or too long".to_owned(),
                ));
            }
            let name: Arc<str> = line.name.into();
            for (address, expires) in line.addresses {
                let listed = Listed { name: Arc::clone(&name), address: address.to_canonical(), expires };
                book.restore(&listed, now);
            }
        }
        Ok(book)
    }
}

fn line(Known { name, addresses }: Known) -> Option<String> {
    let line = Line { name: name.to_string(), addresses: addresses.into_iter().collect() };
    serde_json::to_string(&line).ok().map(|line| line + "\n")
}
