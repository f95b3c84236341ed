//! DNS names and name patterns (cilium pkg/fqdn/matchpattern, pkg/fqdn/dns), and addresses that no name may allow.

use std::net::{IpAddr, Ipv4Addr};

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

/// What is wrong with a name, or with a pattern of names, that somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameFault {
    /// What.
    pub message: String,
    /// What to write instead.
    pub remedy: &'static str,
}

/// What is wrong with a text in `matchName`, or with `stars` in `matchPattern`: only names that DNS can ask for are taken, and
/// stars (cilium pkg/policy/api/fqdn.go, `FQDNMatchNameRegexString` and `FQDNMatchPatternRegexString`, which the API server
/// checks: no label is empty, and the root alone is no name).
#[must_use]
pub fn fault(text: &str, stars: bool) -> Option<NameFault> {
    let kind = if stars { "MatchPattern" } else { "MatchName" };
    let fault = |message, remedy| Some(NameFault { message, remedy });
    if text.trim().len() > LONGEST {
        let message = format!("Invalid {kind}: {text:?}. Must be <= {LONGEST} characters long.");
        return fault(message, "names of DNS are no longer than that");
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || (stars && c == '*');
    if text.is_empty() || !text.chars().all(fits) {
        let also = if stars { "and * characters" } else { "characters" };
        let message =
            format!("Invalid characters in {kind}: \"{text}\". Only 0-9, a-z, A-Z and ., -, _ {also} are allowed");
        let remedy = match text {
            _ if !text.is_ascii() => "write each label as DNS has it: xn--...",
            _ if text.contains(['/', ':']) => "write the name only, without scheme, port and path",
            _ if !stars && text.contains('*') => "write it as matchPattern",
            _ if text.contains(['[', '(', '|', '?', '\\', '^', '$', '+']) => {
                "this is no regular expression: write one item for each name, or matchPattern with stars"
            }
            _ if stars => "write letters, digits, '-', '_', '.' and '*' only",
            _ => "write letters, digits, '-', '_', '.' only",
        };
        return fault(message, remedy);
    }
    let labels = text.strip_suffix('.').unwrap_or(text);
    if labels.split('.').any(str::is_empty) {
        let message = format!("{kind} {text:?} has an empty label, and no name has");
        let remedy = if stars {
            "write no dot at the beginning and no two in a row; *.example.com takes one label more, **.example.com any"
        } else {
            "write no dot at the beginning and no two in a row"
        };
        return fault(message, remedy);
    }
    None
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

/// A pattern of names with stars, ready to be compared: what [`selector_regex`] says, without a regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    /// Begins with `**.`: one or more whole labels.
    deep: bool,
    /// What follows that. Each row of stars is one.
    rest: Box<[u8]>,
}

/// What every name that a pattern takes begins or ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Affix<'p> {
    Start(&'p [u8]),
    End(&'p [u8]),
}

impl NamePattern {
    /// A pattern in [normal form](normal) that is [not everything](is_everything).
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let after_stars = pattern.trim_start_matches('*');
        let (deep, rest) = match after_stars.strip_prefix('.') {
            Some(rest) if pattern.len() - after_stars.len() >= 2 => (true, rest),
            _ => (false, pattern),
        };
        let mut rest = rest.as_bytes().to_vec();
        rest.dedup_by(|a, b| *a == b'*' && *b == b'*');
        Self { deep, rest: rest.into() }
    }

    /// Whether it takes a name in normal form.
    #[must_use]
    pub fn takes(&self, name: &[u8]) -> bool {
        if !self.deep {
            return glob(&self.rest, name);
        }
        // A star takes no dot, so the rest has as many labels as it has dots.
        let dots = self.rest.iter().filter(|byte| **byte == b'.').count();
        let mut ends = name.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
        let Some((labels, rest)) = ends.nth(dots).map(|end| name.split_at(end + 1)) else { return false };
        let whole = |label: &[u8]| !label.is_empty() && label.iter().all(|byte| is_character(*byte));
        labels[..labels.len() - 1].split(|byte| *byte == b'.').all(whole) && glob(&self.rest, rest)
    }

    /// The longer of what all its names begin and end with.
    pub(crate) fn affix(&self) -> Affix<'_> {
        let stars = || self.rest.iter().enumerate().filter(|(_, byte)| **byte == b'*').map(|(at, _)| at);
        let start = if self.deep { 0 } else { stars().next().unwrap_or(self.rest.len()) };
        let end = stars().next_back().map_or(0, |star| star + 1);
        if start > self.rest.len() - end { Affix::Start(&self.rest[..start]) } else { Affix::End(&self.rest[end..]) }
    }
}

/// Whether a byte is one that a star takes.
fn is_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Whether a pattern of literals and single stars takes a name. Only the last star ever has to take more: what stands
/// before it lies as far in front as it can, and every byte that an earlier star would take is one of those that it takes
/// itself.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut wanted) = (0, 0);
    // Behind the last star, and where what follows it was last tried.
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match (pattern.get(wanted), &mut star) {
            (Some(b'*'), _) => {
                wanted += 1;
                star = Some((wanted, at));
            }
            (Some(byte), _) if *byte == name[at] => {
                wanted += 1;
                at += 1;
            }
            (_, Some((behind, tried))) if is_character(name[*tried]) => {
                *tried += 1;
                (wanted, at) = (*behind, *tried);
            }
            _ => return false,
        }
    }
    pattern[wanted..].iter().all(|byte| *byte == b'*')
}

/// Whether no name opens an address: one of `also`, or one that is always meant (loopback, multicast, broadcast, `0.0.0.0/8`
/// and `::`). One that stands for an IPv4 address fares as that does (RFC 6052 §2.1).
pub fn never_opens(address: IpAddr, also: impl Fn(IpAddr) -> bool) -> bool {
    let address = address.to_canonical();
    let inside = translated(address).map(IpAddr::from);
    [Some(address), inside].into_iter().flatten().any(|address| is_nobodys(address) || also(address))
}

/// Loopback, multicast, broadcast, the unspecified address, and all of 0.0.0.0/8, which means this host (RFC 6890 §2.2.2).
fn is_nobodys(address: IpAddr) -> bool {
    let v4 = |address: Ipv4Addr| address.is_broadcast() || address.octets()[0] == 0;
    address.is_loopback()
        || address.is_multicast()
        || address.is_unspecified()
        || matches!(address, IpAddr::V4(address) if v4(address))
}

/// The IPv4 address that an address of the prefix 64:ff9b::/96 stands for.
fn translated(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] = address.octets() else { return None };
    Some(Ipv4Addr::new(a, b, c, d))
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
            // Stars alone are no pattern of a DNS rule: there they take whatever is asked.
            if !is_everything(pattern) {
                let takes = NamePattern::new(&normal(pattern)).takes(name.as_bytes());
                assert_eq!(takes, matches, "{pattern} on {name}, without a regular expression");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn a_pattern_takes_what_its_regular_expression_does(pattern in "[*.a-]{1,8}", name in "[.a-b*]{0,10}[.]?") {
            if is_everything(&pattern) {
                return Ok(());
            }
            let regex = compile(&selector_regex(&pattern)).unwrap();
            let takes = NamePattern::new(&normal(&pattern)).takes(name.as_bytes());
            proptest::prop_assert_eq!(takes, regex.is_match(name.as_bytes()), "{} on {}", pattern, name);
        }

        #[test]
        fn every_name_that_a_pattern_takes_has_its_affix(pattern in "[*.ab]{1,8}", name in "[.ab]{0,10}[.]") {
            let pattern = NamePattern::new(&normal(&pattern));
            if pattern.takes(name.as_bytes()) {
                let has = match pattern.affix() {
                    Affix::Start(start) => name.as_bytes().starts_with(start),
                    Affix::End(end) => name.as_bytes().ends_with(end),
                };
                proptest::prop_assert!(has, "{:?} on {}", pattern, name);
            }
        }
    }
}
