//! What all HTTP versions share: the schema for the rules, the parsing of targets and fields, and the relay that
//! selects the client's version.

mod choice;
pub(crate) mod grpc;
mod limits;
pub(crate) mod names;
pub(crate) mod parts;
pub(crate) mod path;
mod question;
pub(crate) mod target;
pub(crate) mod text;

pub use self::{choice::relay, limits::Limits};

use portcullis_rules::{
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema},
    tunnel::{Tunnel, TunnelKind},
};

use crate::{
    http2::Http2Limits,
    protocol::{Live, Protocol, ShownFields},
};

/// The protocol.
pub static PROTOCOL: Protocol = Protocol {
    limits: &[Limits::SPECS, Http2Limits::SPECS],
    live: Some(Live {
        share: Live::nothing,
        relay: |context| relay(&Limits::of(context.limits)),
        session: None,
        held: |limits| {
            let limits = Limits::of(limits);
            limits.request_head.max(limits.response_head)
        },
    }),
    line: Some(line),
    question: Some(question::QUESTION),
    ..Protocol::new(&SCHEMA)
};

/// What HTTP publishes to the rules, with Cilium's meaning (cilium pkg/policy/api/http.go,
/// pkg/envoy/policy/envoy_l7_rules_translator.go):
///
/// - `method`: as it stands; case counts.
/// - `path`: Envoy's `:path`, that is the path with the query. Percent-encoded unreserved characters of the path are
///   decoded and hexadecimal digits made upper case for comparison; a path that two servers may read differently is
///   ambiguous. `*` for `OPTIONS *`; CONNECT has none.
/// - `host`: Envoy's `:authority`, that is the authority of an absolute target or of CONNECT, else Host. It stays as the
///   client sent it, with its port if it has one and in its case, because Cilium matches its case-sensitive regular
///   expression against exactly that: `(?i)example\.com(:80)?` takes all spellings of one server.
/// - `grpc`, which is ours: service and method of a call in the place of `method` and `path`.
/// - `headers`: lines of one name joined by `,`. `:method`, `:path`, `:authority`, and `host` in its place, name the
///   fields above, as they do in Envoy.
pub static SCHEMA: Schema = Schema {
    protocol: "http",
    fields: &[
        FieldSpec { name: "method", form: FieldForm::Regex, checked: true },
        FieldSpec { name: "path", form: FieldForm::Regex, checked: true },
        FieldSpec { name: "host", form: FieldForm::Regex, checked: false },
        FieldSpec { name: "headers", form: FieldForm::Headers, checked: true },
    ],
    nature: &ProtocolTraits {
        tunnel: Some((FieldIndex(METHOD), "CONNECT")),
        web: true,
        shorthands: &[grpc::SHORTHAND],
        ..ProtocolTraits::STREAM
    },
};

/// Method and URL, as far as they are known.
fn line(request: &ShownFields<'_>) -> String {
    let (method, host, path) = (request.first("method"), request.first("host"), request.first("path"));
    if path.starts_with('/') && !host.is_empty() {
        return format!("{method} http://{host}{path}");
    }
    format!("{method} {path}")
}

/// Number of the field `method`.
pub(crate) const METHOD: u8 = 0;
/// Number of the field `path`.
pub(crate) const PATH: u8 = 1;
/// Number of the field `host`.
pub(crate) const HOST: u8 = 2;
/// Number of the field `headers`.
pub(crate) const HEADERS: u8 = 3;

/// The tunnel that CONNECT asks for.
pub(crate) const CONNECT: Tunnel = Tunnel { kind: TunnelKind::Connect, field: FieldIndex(METHOD), key: "" };
