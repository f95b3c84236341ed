//! Builds DNS requests from command-line questions (`explain`, `test`).

use super::{DnsQuestion, kind};
use crate::question::{QuestionSchema, QuestionValues, QuestionWord, Sample};

/// The type where none is said.
const USUAL: &str = "A";

/// How they are asked about.
pub(super) const QUESTION: QuestionSchema = QuestionSchema {
    words: &[
        QuestionWord {
            key: "name",
            flag: "dns",
            value: "NAME",
            help: "A query of DNS: its name",
            case: "dns",
            ..QuestionWord::NOWHERE
        },
        QuestionWord {
            key: "type",
            flag: "qtype",
            value: "TYPE",
            help: "Its type: A, AAAA, TYPE65, ...",
            default: Some(USUAL),
            case: "qtype",
            ..QuestionWord::NOWHERE
        },
    ],
    usual_port: "53/UDP",
    read,
};

fn read(said: &QuestionValues) -> Result<Sample, String> {
    let name = said.one("name").ok_or("has a qtype without dns: write the name that is looked up")?;
    let word = said.one("type").unwrap_or(USUAL);
    let number = kind::number(word);
    let number = number.ok_or_else(|| format!("{word:?} is no type of query: write A, AAAA, TYPE65, ..."))?;
    let shown = said.one("type").map_or_else(|| format!("DNS {name}"), |kind| format!("DNS {name} {kind}"));
    Ok(Sample::new(shown, DnsQuestion::new(name).of_type(number)))
}
