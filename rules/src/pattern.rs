//! One value against one matcher: literals are compared, everything else is a regular expression over the whole value.

use regex_automata::{
    Input,
    meta::{Config, Regex},
    util::syntax,
};

use crate::policy::Matcher;

/// Largest compiled size of one regular expression in bytes.
pub const REGEX_BUDGET: usize = 1 << 20;

/// A matcher in its compiled form.
#[derive(Debug)]
pub(crate) enum Pattern {
    /// The whole value.
    Exact(Box<[u8]>),
    /// A regular expression over the whole value, and the bytes every match begins with.
    Regex(Box<Regex>, Box<[u8]>),
    /// Any value.
    Present,
    /// A regular expression that is broken or over its budget: nothing matches.
    Broken,
}

impl Pattern {
    pub(crate) fn new(matcher: &Matcher) -> Self {
        match matcher {
            Matcher::Present => Self::Present,
            Matcher::Exact(value) => Self::Exact(value.as_bytes().into()),
            Matcher::Regex(pattern) => match literal(pattern) {
                Some(value) => Self::Exact(value.into()),
                None => compile(pattern)
                    .map_or(Self::Broken, |regex| Self::Regex(Box::new(regex), literal_prefix(pattern).into())),
            },
        }
    }

    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => **wanted == *value,
            Self::Regex(regex, prefix) => value.starts_with(prefix) && regex.is_match(Input::new(value)),
            Self::Present => true,
            Self::Broken => false,
        }
    }
}

/// Compiles a regular expression of the whole value: RE2's syntax as far as policies use it, case-sensitive, linear
/// time.
///
/// # Errors
/// Says what is wrong with it, or that it is over its budget.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::builder()
        .configure(Config::new().nfa_size_limit(Some(REGEX_BUDGET)).utf8_empty(false))
        .syntax(syntax::Config::new().utf8(false))
        .build(&format!(r"\A(?:{pattern})\z"))
        .map_err(|error| match error.size_limit() {
            Some(limit) => format!("it needs more than {limit} bytes compiled"),
            None => error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string),
        })
}

/// The value a pattern stands for, if it has nothing but literal and escaped characters.
fn literal(pattern: &str) -> Option<Vec<u8>> {
    let (value, rest) = leading_literal(pattern);
    rest.is_empty().then_some(value)
}

/// The bytes that every match begins with, as far as they can be told at a glance.
fn literal_prefix(pattern: &str) -> Vec<u8> {
    if pattern.contains('|') {
        return Vec::new();
    }
    let (mut value, rest) = leading_literal(pattern);
    // What is repeated or optional is not certain.
    if rest.starts_with(['*', '?', '{', '+']) {
        while value.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
    }
    value
}

/// Literal characters at the start, and what is left.
fn leading_literal(pattern: &str) -> (Vec<u8>, &str) {
    let mut value = Vec::with_capacity(pattern.len());
    let mut rest = pattern;
    loop {
        let mut characters = rest.chars();
        match characters.next() {
            None => return (value, rest),
            Some('\\') => match characters.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => value.push(escaped as u8),
                _ => return (value, rest),
            },
            Some('.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$') => return (value, rest),
            Some(character) => value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = characters.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> Pattern {
        Pattern::new(&Matcher::Regex(pattern.to_owned()))
    }

    #[test]
    fn a_pattern_matches_the_whole_value_and_case_counts() {
        for (pattern, value, matches) in [
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a", "x/a", false),
            ("GET", "get", false),
            ("(?i)get", "GET", true),
            ("GET|HEAD", "HEAD", true),
            ("GET|HEAD", "GETX", false),
            ("/a.*", "/abc", true),
            ("/ab*", "/a", true),
            ("/ab?c", "/ac", true),
            ("/a{2}", "/aa", true),
            ("foo.bar", "fooXbar", true),
            (r"foo\.bar", "fooXbar", false),
            (r"foo\.bar", "foo.bar", true),
            (r"/item/\d+", "/item/42", true),
            ("é*", "", true),
        ] {
            assert_eq!(regex(pattern).matches(value.as_bytes()), matches, "{pattern} on {value}");
        }
    }

    #[test]
    fn a_literal_needs_no_automaton() {
        assert!(matches!(regex("/status/200"), Pattern::Exact(_)));
        assert!(matches!(regex(r"/a\.json"), Pattern::Exact(_)));
        assert!(matches!(regex("/a.json"), Pattern::Regex(..)));
    }

    #[test]
    fn a_broken_or_too_large_pattern_matches_nothing() {
        assert!(matches!(regex("*"), Pattern::Broken));
        assert!(matches!(regex("(((a{100}){100}){100})"), Pattern::Broken));
        assert!(compile("(((a{100}){100}){100})").unwrap_err().contains("bytes compiled"));
        assert!(!regex("*").matches(b"*"));
    }
}
