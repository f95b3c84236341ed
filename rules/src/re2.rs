//! Translates RE2's syntax (github.com/google/re2/wiki/Syntax, as Go's regexp/syntax reads it) into that of Rust's
//! regular expressions.
//!
//! The two agree on most, but differ in details that would silently change a policy: Rust's `\d`, `\w`, `\s` and `\b`
//! are Unicode, RE2's are ASCII; Rust reads `[a&&b]`, `[a--b]` and `[[a]]` as set operations, `\<` as a word start and
//! `(?x)` as a mode with comments. So every character is parsed here and written again.

use std::fmt::Write as _;

/// Largest count of a repetition (Go: `maxRepeat` is 1000).
const MAX_REPEAT: u32 = 1000;

/// Translates a pattern.
///
/// # Errors
/// Says what RE2 does not understand, in the words of Go's regexp package.
pub(crate) fn translate(pattern: &str) -> Result<String, String> {
    let mut reader =
        Reader { rest: pattern, out: String::with_capacity(pattern.len() + 8), depth: 0, last: Last::Start };
    while !reader.rest.is_empty() {
        reader.item()?;
    }
    if reader.depth > 0 {
        return Err(format!("missing closing ): `{pattern}`"));
    }
    Ok(reader.out)
}

/// What was read last, for repetitions.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    /// Nothing that can be repeated.
    Start,
    /// Something that can.
    Atom,
    /// A repetition, which cannot be repeated again.
    Repeat,
}

struct Reader<'a> {
    rest: &'a str,
    out: String,
    depth: usize,
    last: Last,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn eat(&mut self, wanted: &str) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn item(&mut self) -> Result<(), String> {
        let start = self.rest;
        let Some(character) = self.next() else { return Ok(()) };
        match character {
            '(' => return self.open(start),
            ')' => {
                self.depth = self.depth.checked_sub(1).ok_or_else(|| "unexpected )".to_owned())?;
                self.out.push(')');
            }
            '|' => {
                self.out.push('|');
                self.last = Last::Start;
                return Ok(());
            }
            '*' | '+' | '?' => return self.repeat(start, &character.to_string()),
            '{' => match counted(start) {
                Some(count) => {
                    self.rest = &start[count.len()..];
                    check_count(count)?;
                    return self.repeat(start, count);
                }
                None => self.out.push_str(r"\{"),
            },
            '[' => self.class(start)?,
            '\\' => self.escape(start)?,
            '.' | '^' | '$' => self.out.push(character),
            literal => push(&mut self.out, literal),
        }
        self.last = Last::Atom;
        Ok(())
    }

    fn repeat(&mut self, start: &str, operator: &str) -> Result<(), String> {
        match self.last {
            Last::Start => return Err(format!("missing argument to repetition operator: `{operator}`")),
            Last::Repeat => return Err(format!("invalid nested repetition operator: `{}`", short(start))),
            Last::Atom => {}
        }
        self.out.push_str(operator);
        if self.eat("?") {
            self.out.push('?');
        }
        self.last = Last::Repeat;
        Ok(())
    }

    /// A group. Nobody asks what it captured, so none captures.
    fn open(&mut self, start: &str) -> Result<(), String> {
        self.last = Last::Start;
        self.depth += 1;
        if !self.rest.starts_with('?') {
            self.out.push_str("(?:");
            return Ok(());
        }
        let unsupported = || format!("invalid or unsupported Perl syntax: `{}`", short(start));
        self.eat("?");
        if self.eat("P<") || self.eat("<") {
            let (name, rest) = self.rest.split_once('>').ok_or_else(unsupported)?;
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(format!("invalid named capture: `{}`", short(start)));
            }
            self.rest = rest;
            self.out.push_str("(?:");
            return Ok(());
        }
        let end = self.rest.find([':', ')']).ok_or_else(unsupported)?;
        let (flags, rest) = self.rest.split_at(end);
        let valid = flags.chars().all(|flag| matches!(flag, 'i' | 'm' | 's' | 'U' | '-'));
        if !valid || flags.matches('-').count() > 1 || flags.ends_with('-') {
            return Err(unsupported());
        }
        let _ = write!(self.out, "(?{flags}");
        self.rest = &rest[1..];
        if rest.starts_with(':') {
            self.out.push(':');
        } else {
            self.out.push(')');
            self.depth -= 1;
        }
        Ok(())
    }

    fn escape(&mut self, start: &str) -> Result<(), String> {
        if self.eat("Q") {
            let (literal, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
            self.rest = rest;
            literal.chars().for_each(|character| push(&mut self.out, character));
            return Ok(());
        }
        for (escape, written) in [("A", r"\A"), ("z", r"\z"), ("b", r"(?-u:\b)"), ("B", r"(?-u:\B)")] {
            if self.eat(escape) {
                self.out.push_str(written);
                return Ok(());
            }
        }
        match self.set(start)? {
            Some(set) => self.out.push_str(&set),
            None => {
                let character = self.escaped(start)?;
                push(&mut self.out, character);
            }
        }
        Ok(())
    }

    /// An escape that stands for several characters, after the backslash.
    fn set(&mut self, start: &str) -> Result<Option<String>, String> {
        let sets = [
            ("d", "[0-9]"),
            ("D", "[^0-9]"),
            ("w", "[0-9A-Za-z_]"),
            ("W", "[^0-9A-Za-z_]"),
            ("s", r"[\t\n\f\r ]"),
            ("S", r"[^\t\n\f\r ]"),
        ];
        if let Some((_, set)) = sets.into_iter().find(|(escape, _)| self.eat(escape)) {
            return Ok(Some(set.to_owned()));
        }
        if !self.rest.starts_with(['p', 'P']) {
            return Ok(None);
        }
        let mut negated = self.next() == Some('P');
        let invalid = || format!("invalid character class range: `{}`", short(start));
        let name = if self.eat("{") {
            let (name, rest) = self.rest.split_once('}').ok_or_else(invalid)?;
            self.rest = rest;
            name
        } else {
            let (name, rest) = self.rest.split_at(self.rest.chars().next().ok_or_else(invalid)?.len_utf8());
            self.rest = rest;
            name
        };
        let name = name.strip_prefix('^').inspect(|_| negated = !negated).unwrap_or(name);
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(invalid());
        }
        Ok(Some(format!(r"\{}{{{name}}}", if negated { 'P' } else { 'p' })))
    }

    /// An escape that stands for one character, after the backslash.
    fn escaped(&mut self, start: &str) -> Result<char, String> {
        let invalid = || format!("invalid escape sequence: `{}`", short(start));
        let escape = self.next().ok_or("trailing backslash at end of expression")?;
        let code = match escape {
            'a' => 0x07,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            'x' if self.eat("{") => {
                let (digits, rest) = self.rest.split_once('}').ok_or_else(invalid)?;
                self.rest = rest;
                hexadecimal(digits).ok_or_else(invalid)?
            }
            'x' => {
                let digits = self.rest.get(..2).ok_or_else(invalid)?;
                self.rest = &self.rest[2..];
                hexadecimal(digits).ok_or_else(invalid)?
            }
            // One digit but 0 would refer back, which RE2 cannot.
            '1'..='7' if !self.rest.starts_with(octal) => return Err(invalid()),
            '0'..='7' => {
                let digits = self.rest.chars().take(2).take_while(|digit| octal(*digit)).count();
                let (more, rest) = self.rest.split_at(digits);
                self.rest = rest;
                more.chars()
                    .fold(u32::from(escape) - u32::from('0'), |code, digit| code * 8 + digit.to_digit(8).unwrap_or(0))
            }
            escaped if escaped.is_ascii_punctuation() => u32::from(escaped),
            _ => return Err(invalid()),
        };
        char::from_u32(code).ok_or_else(invalid)
    }

    /// A class in brackets.
    fn class(&mut self, start: &str) -> Result<(), String> {
        let unclosed = || format!("missing closing ]: `{}`", short(start));
        self.out.push('[');
        if self.eat("^") {
            self.out.push('^');
        }
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            if self.rest.is_empty() {
                return Err(unclosed());
            }
            first = false;
            let here = self.rest;
            if self.rest.starts_with("[:") && self.rest.contains(":]") {
                self.posix(here)?;
                continue;
            }
            if self.eat(r"\") {
                if let Some(set) = self.set(here)? {
                    self.out.push_str(&set);
                    continue;
                }
                self.rest = here;
            }
            let low = self.member(here)?;
            let high = if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.eat("-");
                self.member(here)?
            } else {
                low
            };
            if high < low {
                return Err(format!("invalid character class range: `{}`", short(here)));
            }
            let _ = write!(self.out, r"\x{{{:x}}}-\x{{{:x}}}", u32::from(low), u32::from(high));
        }
        self.eat("]");
        self.out.push(']');
        Ok(())
    }

    fn posix(&mut self, start: &str) -> Result<(), String> {
        let end = self.rest.find(":]").map_or(0, |end| end + 2);
        let (name, rest) = self.rest.split_at(end);
        let known = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
            "word", "xdigit",
        ];
        let plain = name.trim_start_matches("[:").trim_end_matches(":]").trim_start_matches('^');
        if !known.contains(&plain) {
            return Err(format!("invalid character class range: `{}`", short(start)));
        }
        self.rest = rest;
        self.out.push_str(name);
        Ok(())
    }

    fn member(&mut self, start: &str) -> Result<char, String> {
        match self.next() {
            Some('\\') => self.escaped(start),
            Some(character) => Ok(character),
            None => Err(format!("missing closing ]: `{}`", short(start))),
        }
    }
}

fn octal(digit: char) -> bool {
    digit.is_digit(8)
}

fn hexadecimal(digits: &str) -> Option<u32> {
    let valid = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| valid)
}

/// Writes one literal character.
fn push(out: &mut String, literal: char) {
    if literal.is_ascii_alphanumeric() || !literal.is_ascii() || matches!(literal, '/' | '_' | '"' | '\'' | ',' | ' ') {
        out.push(literal);
    } else {
        let _ = write!(out, r"\x{{{:x}}}", u32::from(literal));
    }
}

/// `{n}`, `{n,}` or `{n,m}` at the start. Anything else in braces is literal.
fn counted(text: &str) -> Option<&str> {
    let end = text.find('}')?;
    let number = |digits: &str| {
        !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits.len() == 1 || !digits.starts_with('0'))
    };
    let inner = &text[1..end];
    let valid = match inner.split_once(',') {
        Some((min, max)) => number(min) && (max.is_empty() || number(max)),
        None => number(inner),
    };
    valid.then_some(&text[..=end])
}

fn check_count(count: &str) -> Result<(), String> {
    let numbers = count.trim_matches(['{', '}']).split(',').filter(|number| !number.is_empty());
    let numbers: Vec<u32> = numbers.map(|number| number.parse().unwrap_or(u32::MAX)).collect();
    let ordered = numbers.is_sorted() && numbers.iter().all(|number| *number <= MAX_REPEAT);
    if ordered { Ok(()) } else { Err(format!("invalid repeat count: `{count}`")) }
}

/// What an error shows of the rest.
fn short(text: &str) -> String {
    text.chars().take(16).collect()
}
