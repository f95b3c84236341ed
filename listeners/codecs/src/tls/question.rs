//! Builds TLS requests (a server name) from command-line questions (`explain`, `test`).

use super::ClientHello;
use crate::question::{Question, Said, Sample, Word};

/// How they are asked about.
pub(super) const QUESTION: Question = Question {
    words: &[Word {
        key: "name",
        flag: "sni",
        value: "NAME",
        help: "A ClientHello of TLS: its server name; empty for one without",
        case: "sni",
        ..Word::NOWHERE
    }],
    usual_port: "443",
    read,
};

fn read(said: &Said) -> Result<Sample, String> {
    let name = said.one("name").unwrap_or_default();
    Ok(Sample::new(format!("TLS {name}"), ClientHello::new(name)))
}
