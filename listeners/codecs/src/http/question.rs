//! Builds HTTP requests from command-line questions (`explain`, `test`).

use portcullis_rules::request::Request;

use crate::{
    http1,
    question::{QuestionSchema, QuestionValues, QuestionWord, Sample, Show},
};

/// The host where none is said.
const HOST: &str = "localhost";

/// How they are asked about.
pub(super) const QUESTION: QuestionSchema = QuestionSchema {
    words: &[
        QuestionWord {
            key: "line",
            flag: "http",
            value: "'GET /path'",
            help: "A request of HTTP: method and target",
            case: "http",
            ..QuestionWord::NOWHERE
        },
        QuestionWord { key: "method", case: "http.method", ..QuestionWord::NOWHERE },
        QuestionWord { key: "path", case: "http.path", ..QuestionWord::NOWHERE },
        QuestionWord {
            key: "host",
            flag: "host",
            value: "HOST",
            help: "Its host",
            case: "http.host",
            ..QuestionWord::NOWHERE
        },
        QuestionWord {
            key: "header",
            flag: "header",
            value: "'Name: value'",
            help: "One of its headers; may be repeated",
            many: true,
            ..QuestionWord::NOWHERE
        },
        QuestionWord { key: "headers", case: "http.headers", many: true, ..QuestionWord::NOWHERE },
    ],
    usual_port: "80",
    read,
};

/// The head of a request of HTTP/1.1 without a body.
struct QuestionHead(Vec<u8>);

impl Show for QuestionHead {
    fn show(&self, to: &mut dyn FnMut(&dyn Request)) -> Result<(), String> {
        http1::with_head(&self.0, to).map_err(|violation| violation.to_string())
    }
}

fn read(said: &QuestionValues) -> Result<Sample, String> {
    let line = said.one("line").map(|line| {
        line.split_once(' ').ok_or_else(|| format!("{line:?} is no request: write METHOD /path, such as GET /status"))
    });
    let (method, path) = line.transpose()?.unwrap_or(("GET", "/"));
    let method = said.one("method").unwrap_or(method);
    let path = said.one("path").unwrap_or(path.trim());
    let host = said.one("host").unwrap_or(HOST);
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
    for header in said.all("headers") {
        head.extend([header, "\r\n"]);
    }
    for header in said.all("header") {
        let (name, value) =
            header.split_once(':').ok_or_else(|| format!("{header:?} is no header: write 'Name: value'"))?;
        head.extend([name.trim(), ": ", value.trim(), "\r\n"]);
    }
    head.push_str("\r\n");
    Ok(Sample::new(format!("{method} {path}"), QuestionHead(head.into_bytes())))
}
