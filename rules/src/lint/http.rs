//! Checks values of HTTP rules that mean something other than they seem to.

use crate::{
    lint::{LintReport, cover, element::Element, text},
    pattern::{RegexError, compile},
    policy::{HeaderValueSource as WantedHeader, L7Rule, L7Rules, Matcher, PortRef, PortRule, PortSpec, Predicate},
    schema::{FieldForm, FieldSpec},
    tunnel::{lists_tunnel, named_upgrade},
};

/// Ports on which the port is not sent with the host.
const USUAL: [u16; 2] = [80, 443];

/// Looks at the L7 rules of one element.
pub(super) fn element(element: &Element<'_>, report: &mut LintReport<'_>) {
    for (path, ports, l7) in element.l7() {
        for (number, rule) in l7.rules.iter().enumerate() {
            let place = RulePosition { element, path: format!("{path}[{number}]"), ports };
            place.rule(l7, rule, report);
        }
        if l7.schema.nature.web {
            list(element, &path, l7, report);
        }
    }
}

/// One L7 rule and where it stands.
struct RulePosition<'a> {
    element: &'a Element<'a>,
    path: String,
    ports: &'a PortRule,
}

impl RulePosition<'_> {
    fn rule(&self, l7: &L7Rules, rule: &L7Rule, report: &mut LintReport<'_>) {
        for predicate in &rule.predicates {
            let Some(field) = l7.schema.fields.get(usize::from(predicate.field.0)) else { continue };
            let Matcher::Regex(pattern) = &predicate.matcher else { continue };
            // What other words mean is no expression of the author's.
            if rule.written(predicate.field).is_some() {
                continue;
            }
            let path = format!("{}.{}", self.path, field.name);
            self.regex(field, pattern, &path, report);
            if l7.schema.nature.web {
                self.http(field.name, pattern, &path, report);
            }
        }
        self.tunnels(l7, rule, report);
        self.headers(l7, rule, report);
        if let Some(header) = contradiction(rule, l7) {
            let message = format!("the header {header} cannot have two values at once");
            report.add("PL307", self.element.policy, format!("{}.headers", self.path), message).remedy =
                "write two rules; rules are ORed".to_owned();
        }
    }

    /// Values of headers that look like patterns.
    fn headers(&self, l7: &L7Rules, rule: &L7Rule, report: &mut LintReport<'_>) {
        let is_header = |predicate: &Predicate| {
            l7.schema.fields.get(usize::from(predicate.field.0)).is_some_and(|field| field.form == FieldForm::Headers)
        };
        let exact = rule.predicates.iter().filter(|predicate| is_header(predicate)).filter_map(|predicate| {
            let Matcher::Exact(value) = &predicate.matcher else { return None };
            Some((predicate.key.as_str(), value.as_str()))
        });
        let changed = rule.actions.iter().filter_map(|action| match &action.wanted {
            WantedHeader::Value(value) => Some((action.name.as_str(), value.as_str())),
            WantedHeader::Secret(_) => None,
        });
        if let Some((name, value)) = exact.chain(changed).find(|(_, value)| text::is_pattern(value)) {
            let message = format!("`{value}` is compared with the whole value of {name}, letter by letter");
            report.add("PL312", self.element.policy, &self.path, message);
        }
    }

    /// What a rule says about tunnels, on purpose or not.
    fn tunnels(&self, l7: &L7Rules, rule: &L7Rule, report: &mut LintReport<'_>) {
        let Some((field, value)) = l7.schema.nature.tunnel else { return };
        let policy = self.element.policy;
        let name = l7.schema.fields.get(usize::from(field.0)).map_or("", |spec| spec.name);
        if lists_tunnel(l7.schema, rule) {
            let message = format!("allows {value}, and what is sent behind its answer is not judged");
            report.add("PL310", policy, format!("{}.{name}", self.path), message);
        } else if let Some(pattern) = rule.predicates.iter().find_map(|predicate| match &predicate.matcher {
            Matcher::Regex(pattern) if predicate.field == field && cover::matches(pattern, value) => Some(pattern),
            _ => None,
        }) {
            let message = format!("`{pattern}` matches {value} among others, which is denied all the same");
            report.add("PL311", policy, format!("{}.{name}", self.path), message);
        }
        if let Some(protocol) = named_upgrade(rule).filter(|protocol| !protocol.eq_ignore_ascii_case("websocket")) {
            let message = format!("allows a switch to {protocol}, and what is sent behind it is not judged");
            report.add("PL310", policy, format!("{}.headers", self.path), message);
        }
    }

    fn regex(&self, field: &FieldSpec, pattern: &str, path: &str, report: &mut LintReport<'_>) {
        match compile(pattern) {
            // The document is refused for it.
            Err(RegexError::Syntax(_)) if field.checked => {}
            Err(RegexError::Syntax(reason)) => {
                let message = format!("`{pattern}` is no regular expression ({reason}), so this rule matches nothing");
                report.add("PL305", self.element.policy, path, message);
            }
            Err(RegexError::TooLarge(budget)) => {
                let message = format!("needs more than {budget} bytes compiled, so this rule matches nothing");
                report.add("PL306", self.element.policy, path, message);
            }
            Ok(_) => {}
        }
    }

    fn http(&self, field: &str, pattern: &str, path: &str, report: &mut LintReport<'_>) {
        let policy = self.element.policy;
        if text::is_glob(pattern) {
            let message =
                format!("`{pattern}` looks like a glob, but is a regular expression: {}", glob(field, pattern));
            report.add("PL301", policy, path, message);
        }
        if text::has_open_question(pattern) {
            let message = format!("`?` in `{pattern}` makes the character before it optional");
            report.add("PL308", policy, path, message);
        }
        if field == "host" {
            self.host(pattern, path, report);
        }
        if let Some(message) = impossible(field, pattern) {
            report.add("PL307", policy, path, message);
        }
    }

    fn host(&self, pattern: &str, path: &str, report: &mut LintReport<'_>) {
        let policy = self.element.policy;
        if text::has_open_dot(pattern) && !text::is_glob(pattern) {
            let other = pattern.replacen('.', "x", 1);
            let message = format!("the dots of `{pattern}` match any character, as in {other}");
            report.add("PL302", policy, path, message).remedy = format!("write `{}`", escaped_dots(pattern));
        }
        let unusual = |spec: &PortSpec| match spec.port {
            PortRef::Range(first, last) if first == last => (!USUAL.contains(&first)).then_some(first),
            _ => None,
        };
        let open = pattern.contains(':') || pattern.ends_with(['*', '+', ')', '?']);
        if let Some(port) = self.ports.ports.iter().find_map(unusual).filter(|_| !open) {
            let message = format!("clients of port {port} send `Host: NAME:{port}`, which `{pattern}` does not match");
            report.add("PL309", policy, path, message);
        }
    }
}

/// What a glob means as a regular expression.
fn glob(field: &str, pattern: &str) -> String {
    match pattern.rfind('*') {
        Some(0) => "a star has nothing to repeat".to_owned(),
        Some(at) => {
            let before = pattern[..at].chars().next_back().unwrap_or_default();
            format!("`{before}*` is any number of `{before}`, and no {field} with anything else there matches")
        }
        None => "braces and commas stand for themselves".to_owned(),
    }
}

/// Dots between words, escaped.
fn escaped_dots(pattern: &str) -> String {
    let mut escaped = String::with_capacity(pattern.len() + 4);
    let mut before = ' ';
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        let word = characters.peek().is_some_and(|next| next.is_alphanumeric() || "-_".contains(*next));
        if character == '.' && before != '\\' && word {
            escaped.push('\\');
        }
        escaped.push(character);
        before = character;
    }
    escaped
}

/// Why no request can have such a value.
fn impossible(field: &str, pattern: &str) -> Option<String> {
    let literal = text::literal(pattern);
    match field {
        "method" => literal.filter(|method| method.chars().any(|letter| letter.is_ascii_lowercase())).map(|method| {
            format!("methods are compared with their case, and clients send {}, not {method}", method.to_uppercase())
        }),
        "path" => text::first(pattern)
            .filter(|first| !"/*".contains(*first))
            .map(|_| format!("a path begins with `/`, so `{pattern}` matches none")),
        "host" => literal
            .filter(|host| host.contains('/'))
            .map(|host| format!("a host has neither scheme nor path, so `{host}` matches none")),
        _ => None,
    }
}

/// The header of which a rule wants two values.
fn contradiction<'a>(rule: &'a L7Rule, l7: &L7Rules) -> Option<&'a str> {
    let header = |predicate: &&Predicate| {
        l7.schema.fields.get(usize::from(predicate.field.0)).is_some_and(|field| field.form == FieldForm::Headers)
    };
    let headers: Vec<&Predicate> = rule.predicates.iter().filter(header).collect();
    let clash = |a: &Predicate, b: &Predicate| {
        matches!((&a.matcher, &b.matcher), (Matcher::Exact(x), Matcher::Exact(y)) if x != y) && a.key == b.key
    };
    headers.iter().find(|a| headers.iter().any(|b| clash(a, b))).map(|a| a.key.as_str())
}

/// Method and path of one HTTP rule.
struct HttpRuleText<'a> {
    method: Option<&'a str>,
    path: Option<&'a str>,
}

impl<'a> HttpRuleText<'a> {
    fn of(l7: &L7Rules, rule: &'a L7Rule) -> Self {
        let value = |name: &str| {
            let field = l7.schema.field(name)?;
            let found = rule.predicates.iter().find(|predicate| predicate.field == field)?;
            if let Matcher::Regex(pattern) = &found.matcher { Some(pattern.as_str()) } else { None }
        };
        Self { method: value("method"), path: value("path") }
    }

    fn takes_method(&self, method: &str) -> bool {
        matches(self.method, method)
    }

    /// The path, if the rule has one that means itself.
    fn exact_path(&self) -> Option<String> {
        self.path.and_then(text::literal)
    }

    /// Whether it allows HEAD where another rule allows GET.
    fn heads(&self, other: &Self) -> bool {
        let same = self.path.is_none() || self.path == other.path;
        self.takes_method("HEAD") && (same || other.exact_path().is_some_and(|path| matches(self.path, &path)))
    }
}

fn matches(pattern: Option<&str>, value: &str) -> bool {
    pattern.is_none_or(|pattern| cover::matches(pattern, value))
}

/// What is told once for a list of HTTP rules, so that it is not told too often.
fn list(element: &Element<'_>, path: &str, l7: &L7Rules, report: &mut LintReport<'_>) {
    let rules: Vec<HttpRuleText<'_>> = l7.rules.iter().map(|rule| HttpRuleText::of(l7, rule)).collect();
    let headless = |rule: &HttpRuleText<'_>| {
        rule.method.is_some() && rule.takes_method("GET") && !rules.iter().any(|other| other.heads(rule))
    };
    if let Some(at) = rules.iter().position(headless) {
        report.add("PL304", element.policy, format!("{path}[{at}].method"), "allows GET, and no rule here allows HEAD");
    }
    let exact = |(at, rule): (usize, &HttpRuleText<'_>)| {
        let value = rule.exact_path().filter(|_| rule.takes_method("GET"))?;
        let (query, slash) = (format!("{value}?x=1"), format!("{}/", value.trim_end_matches('/')));
        let tolerant = rules.iter().any(|other| other.takes_method("GET") && matches(other.path, &query));
        let also = if slash == value { String::new() } else { format!(" nor {slash}") };
        (!tolerant).then(|| (at, format!("`{value}` does not match {query}{also}")))
    };
    if let Some((at, message)) = rules.iter().enumerate().find_map(exact) {
        report.add("PL303", element.policy, format!("{path}[{at}].path"), message);
    }
}
