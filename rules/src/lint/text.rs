//! Regular expressions as their authors see them: a sequence of characters, some with a special meaning.

/// One thing in a regular expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegexToken {
    /// A character that stands for itself.
    Literal(char),
    /// An escaped character that stands for itself.
    Escaped(char),
    /// `.`
    Any,
    /// `*`, `+`, `?` or a count.
    Repeat(char),
    /// A class, a group's border, an alternative, an anchor, an escape with a meaning.
    Other,
}

impl RegexToken {
    /// The character that it stands for.
    fn character(self) -> Option<char> {
        match self {
            Self::Literal(character) | Self::Escaped(character) => Some(character),
            _ => None,
        }
    }

    fn is_word(self) -> bool {
        self.character().is_some_and(|character| character.is_alphanumeric() || "-_".contains(character))
    }
}

/// Takes a pattern apart. What is no regular expression gives tokens nevertheless.
pub(super) fn tokens(pattern: &str) -> Vec<RegexToken> {
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            '\\' => match characters.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => RegexToken::Escaped(escaped),
                _ => RegexToken::Other,
            },
            '.' => RegexToken::Any,
            '*' | '+' | '?' => RegexToken::Repeat(character),
            '[' => {
                skip_class(&mut characters);
                RegexToken::Other
            }
            '{' if is_count(characters.clone()) => {
                let _ = characters.by_ref().find(|end| *end == '}');
                RegexToken::Repeat('{')
            }
            '(' | ')' | '|' | '^' | '$' => RegexToken::Other,
            literal => RegexToken::Literal(literal),
        });
    }
    tokens
}

fn skip_class(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    characters.next_if_eq(&'^');
    let mut first = true;
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            ']' if !first => return,
            _ => {}
        }
        first = false;
    }
}

fn is_count(characters: std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let inside: String = characters.take_while(|character| *character != '}').collect();
    let mut numbers = inside.splitn(2, ',');
    let first = numbers.next().unwrap_or_default();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !first.is_empty() && digits(first) && numbers.next().is_none_or(digits)
}

/// The value of a pattern that has no meaning but itself.
pub(super) fn literal(pattern: &str) -> Option<String> {
    tokens(pattern).into_iter().map(RegexToken::character).collect()
}

/// Whether it looks like a glob: `/api/*`, `*.example.com`, `/{a,b}`.
pub(super) fn is_glob(pattern: &str) -> bool {
    let tokens = tokens(pattern);
    let starred = tokens.first() == Some(&RegexToken::Repeat('*'))
        || tokens.windows(2).any(|pair| {
            pair[1] == RegexToken::Repeat('*') && (pair[0].is_word() || pair[0] == RegexToken::Literal('/'))
        });
    starred || has_braces(&tokens)
}

/// Whether a text that is compared as it stands looks like a pattern: `10.*`, `Bearer .+`, `^a$`, `(a|b)`. A star alone is a
/// value of some headers, as in `Accept: */*`.
pub(super) fn is_pattern(value: &str) -> bool {
    let tokens = tokens(value);
    let repeats =
        tokens.windows(2).any(|pair| pair[0] == RegexToken::Any && matches!(pair[1], RegexToken::Repeat('*' | '+')));
    let starred = value.len() > 1 && value.ends_with('*') && !value.contains('/');
    let anchored = value.starts_with('^') || (value.len() > 1 && value.ends_with('$'));
    let grouped = value.contains('|') && value.contains('(') && value.contains(')');
    repeats || starred || anchored || grouped
}

/// `{a,b}`, which stands for itself.
fn has_braces(tokens: &[RegexToken]) -> bool {
    let place =
        |wanted: char, from: usize| tokens.iter().skip(from).position(|token| *token == RegexToken::Literal(wanted));
    let Some(open) = place('{', 0) else { return false };
    let comma = place(',', open);
    let close = place('}', open);
    matches!((comma, close), (Some(comma), Some(close)) if comma < close)
}

/// Whether a dot between words of a host stands for any character.
pub(super) fn has_open_dot(pattern: &str) -> bool {
    let tokens = tokens(pattern);
    let mut pairs = tokens.windows(2);
    pairs.any(|pair| pair[0] == RegexToken::Any && pair[1].is_word())
}

/// Whether a query string seems to begin with a question mark that is none: `/a?x=1`.
pub(super) fn has_open_question(pattern: &str) -> bool {
    let tokens = tokens(pattern);
    (1..tokens.len()).any(|at| {
        let named = tokens[at + 1..].iter().take_while(|token| token.is_word()).count();
        tokens[at] == RegexToken::Repeat('?')
            && tokens[at - 1].character().is_some()
            && named > 0
            && tokens.get(at + 1 + named) == Some(&RegexToken::Literal('='))
    })
}

/// The character that every match certainly begins with.
pub(super) fn first(pattern: &str) -> Option<char> {
    if pattern.contains('|') {
        return None;
    }
    let tokens = tokens(pattern.trim_start_matches('^'));
    let optional = matches!(tokens.get(1), Some(RegexToken::Repeat('*' | '?' | '{')));
    tokens.first().filter(|_| !optional)?.character()
}

#[cfg(test)]
mod tests {
    use super::{first, has_open_dot, has_open_question, is_glob, is_pattern, literal};

    #[test]
    fn globs_are_told_from_regular_expressions() {
        for glob in ["/api/*", "*.example.com", "*", "/api*", "/a/*/b", "/{v1,v2}/x"] {
            assert!(is_glob(glob), "{glob}");
        }
        for regex in ["/api/.*", r"[^/]*", "(ab)*", r"/a\*", "/a{2}", "/a{1,2}", "/.+", r"\d*", "[*]", "/ab?", "[]a]*"]
        {
            assert!(!is_glob(regex), "{regex}");
        }
    }

    #[test]
    fn values_that_look_like_patterns_are_told_from_those_that_do_not() {
        for pattern in ["10.*", "Bearer .+", "^10\\.", "a$", "(a|b)", "team-*"] {
            assert!(is_pattern(pattern), "{pattern}");
        }
        for value in ["10.0.0.1", "*", "*/*", "text/*", "application/json;q=0.5, */*", "a|b", "W/\"x\"", "$"] {
            assert!(!is_pattern(value), "{value}");
        }
    }

    #[test]
    fn dots_that_match_anything_are_found() {
        for open in ["example.com", ".*.example[.]com", r"a\.example.com", "a.b"] {
            assert!(has_open_dot(open), "{open}");
        }
        for closed in [r"example\.com", "example[.]com", ".*", r"[^.]+\.com", "a.+", r".*\.com"] {
            assert!(!has_open_dot(closed), "{closed}");
        }
    }

    #[test]
    fn a_question_mark_before_a_parameter_is_no_query() {
        for open in ["/a?x=1", "/search?q=.*"] {
            assert!(has_open_question(open), "{open}");
        }
        for closed in [r"/a\?x=1", "/a?", "https?", r"/a(\?.*)?", "/a?b", "/colou?r"] {
            assert!(!has_open_question(closed), "{closed}");
        }
    }

    #[test]
    fn values_that_mean_themselves_are_read() {
        for (pattern, value) in
            [("/a", Some("/a")), (r"/a\.b", Some("/a.b")), ("/a.b", None), ("", Some("")), ("a|b", None)]
        {
            assert_eq!(literal(pattern).as_deref(), value, "{pattern}");
        }
        for (pattern, character) in
            [("/a", Some('/')), ("^/a", Some('/')), ("a*", None), ("api/.*", Some('a')), ("a|/b", None)]
        {
            assert_eq!(first(pattern), character, "{pattern}");
        }
    }
}
