//! Matches one value: literals are compared, everything else is a regular expression over the whole value.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use regex_automata::util::syntax;
use regex_syntax::hir::{Hir, HirKind, literal::Extractor};

pub use crate::automaton::Automaton;
use crate::{automaton::NotMade, names::NamePattern, policy::Matcher, re2::translate};

/// Largest compiled size of one regular expression in bytes.
pub const REGEX_BUDGET: usize = 1 << 20;
/// Longest regular expression, in bytes. Literals alone of that length are over the budget.
const LONGEST: usize = 64 << 10;
/// Most classes of Unicode, such as `\pL`, of one regular expression. Each takes some KiB while it is read.
const MOST_CLASSES: usize = 256;
/// Largest compiled size in bytes of one automaton that stands for many regular expressions.
const MANY_BUDGET: usize = 8 << 20;

/// Why a regular expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    /// It is none.
    #[error("{0}")]
    Syntax(String),
    /// It is over [`REGEX_BUDGET`].
    #[error("it needs more than {0} bytes compiled")]
    TooLarge(usize),
}

/// A matcher in its compiled form.
#[derive(Debug)]
pub(crate) enum Pattern {
    /// The whole value.
    Exact(Box<[u8]>),
    /// A regular expression over the whole value, and the bytes every match begins with.
    Regex(Arc<Automaton>, Box<[u8]>),
    /// Any value.
    Present,
    /// A name that a pattern with stars takes.
    Name(NamePattern),
    /// One of these values.
    AnyOf(Box<[Box<[u8]>]>),
    /// A regular expression that is broken or over its budget: nothing matches.
    Broken,
}

/// Compiled regular expressions, each one once for as long as somebody has it. Clones are the same.
///
/// Many policies say the same, and each policy is compiled again whenever another one changes.
#[derive(Clone, Debug, Default)]
pub struct Patterns(Arc<Mutex<KnownPatterns>>);

#[derive(Debug, Default)]
struct KnownPatterns {
    by_text: HashMap<String, (Result<Weak<Automaton>, RegexError>, u64)>,
    /// Number of the compilation.
    compilation: u64,
}

impl Patterns {
    /// A compilation begins: what the last one had no use for is forgotten.
    pub(crate) fn begin(&self) {
        let mut known = self.lock();
        let last = known.compilation;
        known.by_text.retain(|_, (made, used)| match made {
            Ok(automaton) => automaton.strong_count() > 0,
            Err(_) => *used == last,
        });
        known.compilation += 1;
    }

    /// The automaton of an expression. It is not compiled again while it is in use.
    pub(crate) fn compile(&self, pattern: &str) -> Result<Arc<Automaton>, RegexError> {
        self.get(pattern, || read(pattern))
    }

    fn get(&self, pattern: &str, said: impl FnOnce() -> Result<Hir, RegexError>) -> Result<Arc<Automaton>, RegexError> {
        let mut known = self.lock();
        let compilation = known.compilation;
        if let Some((made, used)) = known.by_text.get_mut(pattern) {
            *used = compilation;
            match made {
                Err(error) => return Err(error.clone()),
                Ok(automaton) => {
                    if let Some(automaton) = automaton.upgrade() {
                        return Ok(automaton);
                    }
                }
            }
        }
        let made = said().and_then(|said| build([said], REGEX_BUDGET)).map(Arc::new);
        let kept = made.as_ref().map(Arc::downgrade).map_err(Clone::clone);
        known.by_text.insert(pattern.to_owned(), (kept, compilation));
        made
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, KnownPatterns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pattern {
    pub(crate) fn new(matcher: &Matcher, patterns: &Patterns) -> Self {
        match matcher {
            Matcher::Present => Self::Present,
            Matcher::Exact(value) => Self::Exact(value.as_bytes().into()),
            Matcher::Name(pattern) if !pattern.contains('*') => Self::Exact(pattern.as_bytes().into()),
            Matcher::Name(pattern) => Self::Name(NamePattern::new(pattern)),
            Matcher::AnyOf(values) => Self::AnyOf(values.iter().map(|value| value.as_bytes().into()).collect()),
            Matcher::Regex(pattern) => {
                let Ok(said) = read(pattern) else { return Self::Broken };
                if let Some(value) = literal(&said) {
                    return Self::Exact(value.into());
                }
                let start = common_start(&said);
                patterns.get(pattern, || Ok(said)).map_or(Self::Broken, |automaton| Self::Regex(automaton, start))
            }
        }
    }

    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => **wanted == *value,
            Self::Regex(automaton, prefix) => value.starts_with(prefix) && automaton.is_match(value),
            Self::Present => true,
            Self::Name(pattern) => pattern.takes(value),
            Self::AnyOf(values) => values.iter().any(|wanted| **wanted == *value),
            Self::Broken => false,
        }
    }
}

/// A text as a regular expression that matches nothing else.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 4);
    for character in text.chars() {
        if character.is_ascii_punctuation() && !"-_".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Compiles a regular expression of the whole value: RE2's syntax as far as policies use it, case-sensitive, linear
/// time.
///
/// # Errors
/// Says what is wrong with it, or that it is over its budget.
pub fn compile(pattern: &str) -> Result<Automaton, RegexError> {
    build([read(pattern)?], REGEX_BUDGET)
}

/// Compiles several patterns, each of a whole value, into one automaton. It reports the first that matches.
pub(crate) fn compile_many(patterns: &[&str]) -> Option<Automaton> {
    let patterns = patterns.iter().map(|pattern| read(pattern)).collect::<Result<Vec<Hir>, RegexError>>().ok()?;
    build(patterns, MANY_BUDGET).ok()
}

/// What a pattern says. One that would take much memory to read is not read: classes of Unicode are many ranges each.
pub(crate) fn read(pattern: &str) -> Result<Hir, RegexError> {
    let classes = pattern.as_bytes().windows(2).filter(|pair| pair.eq_ignore_ascii_case(b"\\p")).count();
    if pattern.len() > LONGEST || classes > MOST_CLASSES {
        return Err(RegexError::TooLarge(REGEX_BUDGET));
    }
    let bytes = syntax::Config::new().utf8(false);
    let pattern = translate(pattern).map_err(RegexError::Syntax)?;
    syntax::parse_with(&pattern, &bytes).map_err(|error| RegexError::Syntax(reason(&error)))
}

fn build(patterns: impl IntoIterator<Item = Hir>, budget: usize) -> Result<Automaton, RegexError> {
    Automaton::new(patterns, budget).map_err(|error| match error {
        NotMade::TooLarge => RegexError::TooLarge(budget),
        NotMade::Other(message) => RegexError::Syntax(message),
    })
}

/// The last line of a syntax error: what is wrong, without the drawing of where.
fn reason(error: &impl ToString) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// The value a pattern stands for, if it takes only one.
fn literal(pattern: &Hir) -> Option<&[u8]> {
    match pattern.kind() {
        HirKind::Empty => Some(&[]),
        HirKind::Literal(value) => Some(&value.0),
        _ => None,
    }
}

/// The bytes that every match begins with, as far as they are certain.
fn common_start(pattern: &Hir) -> Box<[u8]> {
    Extractor::new().extract(pattern).longest_common_prefix().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> Pattern {
        Pattern::new(&Matcher::Regex(pattern.to_owned()), &Patterns::default())
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
            // RE2's classes are ASCII's, and Rust's set operations are plain characters to it.
            (r"\d", "٣", false),
            (r"\w+", "é", false),
            (r"[a&&b]+", "&", true),
            (r"[a--b]", "-", false),
            (r"[+--]", "-", true),
            (r"[[a]", "[", true),
            (r"[]a]", "]", true),
            (r"[^]a]", "b", true),
            (r"[\d\-]+", "4-2", true),
            (r"[[:alpha:]]+", "abc", true),
            (r"\<a\>", "<a>", true),
            (r"\Qa.b\E+", "a.bbb", true),
            (r"\Qa.b\E+", "axb", false),
            (r"/a{,2}", "/a{,2}", true),
            (r"/x\x41\101\x{42}", "/xAAB", true),
            (r"(?P<name>a)(b)", "ab", true),
            (r"\bx\b", "x", true),
            (r"(?i:a)B", "AB", true),
            (r"(?i:a)B", "Ab", false),
            (".", "\n", false),
            ("(?s).", "\n", true),
        ] {
            assert_eq!(regex(pattern).matches(value.as_bytes()), matches, "{pattern} on {value}");
        }
    }

    #[test]
    fn an_escaped_text_matches_itself_only() {
        let text: String = (' '..='~').chain("é\n\u{1f600}".chars()).collect();
        assert!(matches!(regex(&escaped(&text)), Pattern::Exact(value) if *value == *text.as_bytes()));
        assert!(!regex(&escaped("a.b")).matches(b"axb") && regex(&escaped("a.b")).matches(b"a.b"));
    }

    #[test]
    fn a_literal_needs_no_automaton() {
        assert!(matches!(regex("/status/200"), Pattern::Exact(_)));
        assert!(matches!(regex(r"/a\.json"), Pattern::Exact(_)));
        assert!(matches!(regex("/a[.](json)"), Pattern::Exact(_)));
        assert!(matches!(regex(""), Pattern::Exact(_)));
        assert!(matches!(regex("/a.json"), Pattern::Regex(..)));
    }

    #[test]
    fn what_each_match_begins_with_is_known_as_far_as_it_is_certain() {
        for (pattern, start) in [
            ("/api/.*", "/api/"),
            (r"/v1\.0/\d+", "/v1.0/"),
            ("/a(b|c)/d", "/a"),
            ("/a(?:bc|bd)/e", "/ab"),
            ("/ab*c", "/a"),
            ("/ab?c", "/a"),
            ("/ab+c", "/ab"),
            ("/a{0,2}", "/"),
            ("/éé?", "/é"),
            ("^/a.*$", "/a"),
            ("a.*|b.*", ""),
            ("(?i)get.*", ""),
            (".*", ""),
        ] {
            let Pattern::Regex(_, told) = regex(pattern) else { panic!("{pattern}") };
            assert_eq!(String::from_utf8_lossy(&told), start, "{pattern}");
        }
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for pattern in [
            "*",
            "a**",
            "a*+",
            "(?x)a",
            "(?=a)",
            r"\1",
            r"\y",
            r"\C",
            "a{1001}",
            "a{2,1}",
            "(",
            ")",
            "[a",
            "[b-a]",
            "a)|(?:b",
            r"a\",
            "[[:foo:]]",
            r"\p{Nothing}",
            "(?i",
            "|*",
        ] {
            assert!(matches!(compile(pattern), Err(RegexError::Syntax(_))), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_cannot_close_the_group_that_anchors_it() {
        assert!(!regex("a)|(?:b").matches(b"xb"));
        assert!(!regex("a|b").matches(b"xb"));
    }

    #[test]
    fn a_broken_or_too_large_pattern_matches_nothing() {
        assert!(matches!(regex("*"), Pattern::Broken));
        assert!(matches!(regex("(((a{100}){100}){100})"), Pattern::Broken));
        assert!(matches!(compile("(((a{100}){100}){100})"), Err(RegexError::TooLarge(_))));
        assert!(!regex("*").matches(b"*"));
    }
}
