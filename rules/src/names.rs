//! DNS names and patterns of names (cilium pkg/fqdn/matchpattern, pkg/fqdn/dns).

/// Longest name or pattern.
pub const LONGEST: usize = 255;
/// One character of a name, as a regular expression.
const CHARACTER: &str = "[-a-zA-Z0-9_]";

/// A name as it is compared: lower case, with its final dot.
#[must_use]
pub fn normal(name: &str) -> String {
    let mut name = name.to_ascii_lowercase();
    if !name.ends_with('.') {
        name.push('.');
    }
    name
}

/// Whether a pattern is nothing but stars, maybe with a final dot.
#[must_use]
pub fn is_everything(pattern: &str) -> bool {
    let stars = pattern.strip_suffix('.').unwrap_or(pattern);
    !stars.is_empty() && stars.bytes().all(|byte| byte == b'*')
}

/// The regular expression over a normal name that a `matchPattern` of `toFQDNs` stands for. All stars take every name
/// whose labels are not empty.
#[must_use]
pub fn selector_regex(pattern: &str) -> String {
    if is_everything(pattern) { format!("({CHARACTER}+[.])+|[.]") } else { regex(pattern) }
}

/// The regular expression over a normal name that a `matchName` or a `matchPattern` of a DNS rule stands for; `None` for
/// all stars, which take whatever is asked.
#[must_use]
pub fn rule_regex(pattern: &str) -> Option<String> {
    (!is_everything(pattern)).then(|| regex(pattern))
}

fn regex(pattern: &str) -> String {
    let pattern = normal(pattern.trim());
    let after_stars = pattern.trim_start_matches('*');
    let (mut regex, rest) = match after_stars.strip_prefix('.') {
        // `**.` stands for one or more whole labels.
        Some(rest) if pattern.len() - after_stars.len() >= 2 => (format!("({CHARACTER}+([.]{CHARACTER}+)*)[.]"), rest),
        _ => (String::new(), pattern.as_str()),
    };
    let mut in_stars = false;
    for character in rest.chars() {
        match character {
            '*' if in_stars => {}
            '*' => {
                regex.push_str(CHARACTER);
                regex.push('*');
            }
            '.' => regex.push_str("[.]"),
            _ => regex.push(character),
        }
        in_stars = character == '*';
    }
    regex
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::compile;

    #[test]
    fn patterns_mean_what_ciliums_tables_say() {
        for (pattern, name, matches) in [
            ("cilium.io.", "cilium.io.", true),
            ("cilium.io", "anysub.cilium.io.", false),
            ("*.cilium.io.", "anysub.cilium.io.", true),
            ("*.cilium.io.", "cilium.io.", false),
            ("*.ci*.io.", "anysub.ciliumandmore.io.", true),
            ("*", "cilium.io", false),
            ("*", "cilium.io.", true),
            ("*", ".cilium.io.", false),
            ("**.", ".", true),
            (".", ".", true),
            ("**.cilium.io.", "test.app.new.cilium.io.", true),
            ("**.cilium.io.", "cilium.io.", false),
            ("***.cilium.io.", "test.app.cilium.io.", true),
            ("**.*.cilium.io.", "foo.cilium.io.", false),
            ("**.*.cilium.io.", "_foo._bar._tcp.cilium.io.", true),
            ("*cilium.io", "cilium.io.", true),
            ("*cilium.io", "www.cilium.io.", false),
            ("sub*.cilium.io", "blog.cilium.io.", false),
            ("part*ial.com", "part-extra-ial.com.", true),
            ("a.**.test", "a.b.c.test.", false),
            ("a.**.test", "a.b.test.", true),
        ] {
            let regex = compile(&selector_regex(pattern)).unwrap();
            assert_eq!(regex.is_match(name.as_bytes()), matches, "{pattern} on {name}");
        }
        assert_eq!(rule_regex("**"), None, "a DNS rule of stars takes what no selector takes");
    }
}
