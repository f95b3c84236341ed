//! Builds TLS requests (a server name) from command-line questions (`explain`, `test`).

use super::ClientHello;
use crate::question::{QuestionSchema, QuestionValues, QuestionWord, Sample};

/// How they are asked about.
pub(super) const QUESTION: QuestionSchema = QuestionSchema {
    words: &[QuestionWord {
        key: "name",
        flag: "sni",
        value: "NAME",
        help: "A ClientHello of TLS: its server name; empty for one without",
        case: "sni",
        ..QuestionWord::NOWHERE
    }],
    usual_port: "443",
    read,
};

fn read(said: &QuestionValues) -> Result<Sample, String> {
    let name = said.one("name").unwrap_or_default();
    Ok(Sample::new(format!("TLS {name}"), ClientHello::new(name)))
}
