//! TLS as far as policies name it: the server name of a ClientHello. No bytes are read from the wire yet.

mod question;

use std::borrow::Cow;

use portcullis_rules::{
    policy::Matcher,
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema},
};

use crate::protocol::Protocol;

/// The protocol. It has no relay yet.
pub static PROTOCOL: Protocol = Protocol { question: Some(question::QUESTION), ..Protocol::new(&SCHEMA) };

/// What TLS publishes to the rules: the server name in lower case (cilium/proxy cilium/network_policy.cc, `SniPattern`;
/// cilium pkg/envoy/utils.go, `sanitizeServerNamePattern`).
pub static SCHEMA: Schema = Schema {
    protocol: "tls",
    fields: &[FieldSpec { name: "serverNames", form: FieldForm::Words, checked: true }],
    nature: &ProtocolTraits { priority: 116, list: Some("serverNames"), read, ..ProtocolTraits::STREAM },
};

/// Regular expression of one whole label.
const LABEL: &str = "[-a-z0-9_]+";

fn read(_: FieldIndex, text: &str) -> Result<Option<Matcher>, String> {
    if text.is_empty() {
        return Err("empty server name is not allowed".to_owned());
    }
    let pattern = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let after_stars = pattern.trim_start_matches('*');
    let (deep, rest) = match after_stars.strip_prefix('.') {
        Some(rest) if pattern.len() - after_stars.len() >= 2 => (true, rest),
        _ => (false, pattern.as_str()),
    };
    let fits = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_*".contains(&byte))
    };
    if !rest.split('.').all(fits) {
        return Err(format!("Invalid server name pattern {text:?}: labels of letters, digits, '-', '_' and '*' only"));
    }
    let mut regex = if deep { format!("{LABEL}([.]{LABEL})*[.]") } else { String::new() };
    if !deep && rest.bytes().all(|byte| byte == b'*') {
        return Ok(Some(Matcher::Regex(format!("{LABEL}([.]{LABEL})*"))));
    }
    for (number, label) in rest.split('.').enumerate() {
        if number > 0 {
            regex.push_str("[.]");
        }
        let mut before = None;
        for character in label.chars() {
            match character {
                '*' if before == Some('*') => {}
                '*' => regex.push_str("[-a-z0-9_]*"),
                _ => regex.push(character),
            }
            before = Some(character);
        }
    }
    Ok(Some(Matcher::Regex(regex)))
}

/// A ClientHello.
#[derive(Debug)]
pub struct ClientHello {
    server_name: Option<String>,
}

impl ClientHello {
    /// One with a server name, or without where it is empty.
    #[must_use]
    pub fn new(server_name: &str) -> Self {
        Self { server_name: (!server_name.is_empty()).then(|| server_name.to_ascii_lowercase()) }
    }
}

impl Request for ClientHello {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, _: FieldIndex, _: &str) -> FieldValue<'_> {
        let name = self.server_name.as_deref();
        name.map_or(FieldValue::Absent, |name| FieldValue::Value(Cow::Borrowed(name.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_rules::{
        policy::L7Rule, policy::Predicate, ruleset::RuleSet, settings::DenyWith, verdict::RuleInfo,
    };

    use super::*;

    fn takes(pattern: &str, name: &str) -> bool {
        let matcher = read(FieldIndex(0), pattern).unwrap().unwrap();
        let predicate = Predicate { field: FieldIndex(0), key: String::new(), matcher };
        let rule = L7Rule { predicates: vec![predicate], ..L7Rule::default() };
        let info = RuleInfo { policy: "p".into(), rule: "r".into() };
        RuleSet::new(&SCHEMA, [(&rule, info.into())], DenyWith::Reset).check(&ClientHello::new(name)).outcome.passes()
    }

    #[test]
    fn patterns_of_server_names_take_whole_labels() {
        for (pattern, name, wanted) in [
            ("example.com", "EXaMpLE.COM", true),
            ("example.com", "", false),
            ("example.com", "example.com.", false),
            ("*.example.com", "foo.bar.example.com", false),
            ("**.example.com", "a.b.example.com", true),
            ("**.example.com", "example.com", false),
            ("***.example.com.", "a.example.com", true),
            ("*", "localhost", true),
            ("**", "a.b.c", true),
            ("*", "ex@mple.com", false),
            ("sub*.example.com", "subdomain.example.com", true),
            ("sub.example-*.com", "sub.example.com", false),
        ] {
            assert_eq!(takes(pattern, name), wanted, "{pattern} on {name:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["", "example..com", "(foo|bar).example.com", ".", "a b.com"] {
            assert!(read(FieldIndex(0), pattern).is_err(), "{pattern:?}");
        }
    }
}
