//! Reads one element of `toPorts`.

use portcullis_rules::{
    policy::{L7Rule, L7Rules, PortRef, PortRule, PortSpec},
    schema::{FieldIndex, Schema},
    world::Transport,
};

use super::{Language, entry::EntryKind, l7};
use crate::{
    problem::DocumentProblem,
    yaml::{Fields, YamlField},
};

/// Known to Cilium only.
const UNSUPPORTED: &[&str] = &["terminatingTLS", "originatingTLS", "serverNames", "listener"];
/// A port of a protocol that has none: all of it.
const NO_PORT: PortRef = PortRef::Range(0, 0);

/// Reads one element.
pub(super) fn read(
    item: &YamlField<'_>,
    kind: EntryKind,
    language: Language<'_>,
    problems: &mut Vec<DocumentProblem>,
) -> PortRule {
    let mut fields = item.fields(problems);
    let ports = fields.get("ports").map(|field| field.items(problems)).unwrap_or_default();
    let ports = ports.iter().filter_map(|item| port(item, language, problems)).collect();
    let rules = fields.get("rules");
    let l7 = match rules {
        Some(rules) if kind.deny => {
            let remedy = "remove it: what is denied is denied whatever it says";
            problems.push(rules.problem("deny rules have no L7 rules", remedy));
            None
        }
        Some(rules) => l7::read(&rules, language, problems),
        None => None,
    };
    let server_names = if kind.deny { None } else { server_names(&mut fields, language, problems) };
    if let Some(listener) = item.tree.get("listener").filter(|_| !kind.deny) {
        let name = listener.text("name").unwrap_or_default();
        let fault = match (kind.egress, l7.is_some()) {
            (false, _) => Some("on ingress"),
            (true, true) => Some("with L7 rules"),
            (true, false) => None,
        };
        if let Some(fault) = fault
            && let Some(field) = fields.get("listener")
        {
            let message = format!("Listener is not allowed {fault} ({name})");
            problems.push(field.problem(message, "remove it: listeners of Envoy are not known here"));
        }
    }
    // A node takes no TLS off, so there `finish` refuses these.
    let offline = !language.live && !kind.deny;
    let terminates_tls = offline && tls(&mut fields, "terminatingTLS", problems);
    let originates_tls = offline && tls(&mut fields, "originatingTLS", problems);
    if server_names.is_some() && l7.is_some() {
        let message = if terminates_tls {
            "ServerNames with L7 rules inside of TLS are not supported by this version"
        } else {
            "ServerNames are not allowed with L7 rules without TLS termination"
        };
        problems.push(item.problem(message, "write two elements, one with serverNames and one with rules"));
    }
    let server_names = match server_names {
        // TLS that is only looked at: every connection goes through the proxy, and all are allowed.
        None if l7.is_none() && (terminates_tls || originates_tls) => any_name(language),
        names => names,
    };
    fields.finish(UNSUPPORTED, problems);
    PortRule { ports, l7, server_names, terminates_tls }
}

/// Reads a TLS context; tells whether it is there.
fn tls(fields: &mut Fields<'_>, name: &'static str, problems: &mut Vec<DocumentProblem>) -> bool {
    let Some(context) = fields.get(name) else { return false };
    let mut fields = context.fields(problems);
    if let Some(secret) = fields.require("secret", "write secret: {namespace: NAMESPACE, name: NAME}", problems) {
        let mut inner = secret.fields(problems);
        inner.require("name", "write name: NAME-OF-THE-SECRET", problems).and_then(|field| field.text(problems));
        inner.get("namespace").and_then(|field| field.text(problems));
        inner.finish(&[], problems);
    }
    for key in ["trustedCA", "certificate", "privateKey"] {
        fields.get(key).and_then(|field| field.text(problems));
    }
    fields.finish(&[], problems);
    true
}

/// The rule of TLS that takes every name, and none.
fn any_name(language: Language<'_>) -> Option<L7Rules> {
    let schema = language.schemas.iter().find(|schema| schema.nature.list.is_some())?;
    Some(L7Rules { schema, rules: vec![L7Rule::default()] })
}

/// A list of texts that is the only field of a protocol, such as `serverNames` of TLS.
fn server_names(
    fields: &mut Fields<'_>,
    language: Language<'_>,
    problems: &mut Vec<DocumentProblem>,
) -> Option<L7Rules> {
    let listed = |schema: &&'static Schema| schema.nature.list.map(|list| (*schema, list));
    let (schema, list) = language.schemas.iter().find_map(listed)?;
    let field = fields.get(list)?;
    let rule = |item: &YamlField<'_>, problems: &mut Vec<DocumentProblem>| {
        let text = item.text(problems)?;
        l7::words(item, schema, FieldIndex(0), text, problems).map(|predicate| L7Rule {
            predicates: predicate.into_iter().collect(),
            position: item.tree.position,
            ..L7Rule::default()
        })
    };
    let rules: Vec<L7Rule> = field.items(problems).iter().filter_map(|item| rule(item, problems)).collect();
    (!rules.is_empty()).then_some(L7Rules { schema, rules })
}

fn port(item: &YamlField<'_>, language: Language<'_>, problems: &mut Vec<DocumentProblem>) -> Option<PortSpec> {
    let mut fields = item.fields(problems);
    let extended = extended(item.tree.text("protocol").unwrap_or_default()).is_some();
    let field = fields.get("port");
    // Cilium then takes every protocol without a port, as all of its ports: more than anybody means by leaving one out.
    let may_lack = language.settings.extended_ip_protocols && extended;
    if item.tree.get("port").is_none() && !may_lack {
        let remedy = "write port: \"80\", or \"0\" for every port";
        let path = format!("{}.port", item.path);
        problems.push(DocumentProblem::new(path, "port must be specified", remedy).at(item.tree.position));
    }
    let port = match field {
        Some(field) => number_or_name(&field, extended, may_lack, problems),
        None => may_lack.then_some(NO_PORT),
    };
    let end = fields.get("endPort").and_then(|field| field.number(0, u64::from(u16::MAX), problems));
    let transport = fields.get("protocol").and_then(|field| protocol(&field, language, problems));
    fields.finish(&[], problems);
    let port = match (port?, end.and_then(|end| u16::try_from(end).ok())) {
        (PortRef::Range(first, _), Some(last)) if last != 0 => PortRef::Range(first, last),
        (port, _) => port,
    };
    Some(PortSpec { port, transport: transport.flatten() })
}

/// The text of a port; `extended` is about a protocol that has none.
fn number_or_name(
    field: &YamlField<'_>,
    extended: bool,
    may_lack: bool,
    problems: &mut Vec<DocumentProblem>,
) -> Option<PortRef> {
    let text = field.text(problems)?;
    let remedy = "write port: \"0\"";
    if text.is_empty() {
        if !may_lack {
            problems.push(field.problem("port must be specified", remedy));
        }
        return may_lack.then_some(NO_PORT);
    }
    // Cilium takes names here, which no endpoint has for these protocols.
    if extended && text != "0" {
        problems.push(field.problem("port must be empty or 0", remedy));
        return None;
    }
    let port = parse_port(text);
    if port.is_none() {
        let remedy = "write a number from 0 to 65535 in quotes, or the name of a port";
        problems.push(field.problem(format!("unable to parse port {text:?}"), remedy));
    }
    port
}

/// A number, or else a name. Cilium reads numbers with base 0, so that `017` is 15; here it is refused.
fn parse_port(text: &str) -> Option<PortRef> {
    if is_service_name(text) {
        return Some(PortRef::Named(text.to_ascii_lowercase()));
    }
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let number = text.parse().ok().filter(|_| plain)?;
    Some(PortRef::Range(number, number))
}

/// An IANA service name (RFC 6335 §5.1). Case does not count.
pub(super) fn is_service_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=15).contains(&text.len())
        && text.bytes().all(fits)
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// A protocol without ports, by its name in any case.
fn extended(text: &str) -> Option<Transport> {
    let named = |transport: &Transport| transport.is_extended() && transport.as_str().eq_ignore_ascii_case(text);
    Transport::ALL.into_iter().find(named)
}

/// `Some(None)` is `ANY`. The agent takes lower case too.
fn protocol(
    field: &YamlField<'_>,
    language: Language<'_>,
    problems: &mut Vec<DocumentProblem>,
) -> Option<Option<Transport>> {
    let text = field.text(problems)?;
    if let Some(transport) = extended(text) {
        if language.settings.extended_ip_protocols {
            return Some(Some(transport));
        }
        let message = format!("{text} is a protocol without ports, and such protocols are switched off");
        let remedy = "switch on enableExtendedIPProtocols in the settings, or write TCP, UDP, SCTP or ANY";
        problems.push(field.problem(message, remedy));
        return None;
    }
    match text.to_ascii_uppercase().as_str() {
        "" | "ANY" => Some(None),
        "TCP" => Some(Some(Transport::Tcp)),
        "UDP" => Some(Some(Transport::Udp)),
        "SCTP" => Some(Some(Transport::Sctp)),
        "ICMP" | "ICMPV6" => {
            problems.push(field.problem(format!("{text} is not supported by this version"), "write icmps instead"));
            None
        }
        _ => {
            problems.push(field.problem(
                format!("invalid protocol {text:?}, must be one of TCP, UDP, SCTP, ANY"),
                "write TCP, UDP, SCTP or ANY",
            ));
            None
        }
    }
}
