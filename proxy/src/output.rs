//! The only module that writes to standard output and standard error.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

/// How a word is shown on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Allowed, in force.
    Good,
    /// Denied, refused, failed.
    Bad,
    /// Worth a look.
    Warn,
    /// Of second rank.
    Faint,
    /// Headings.
    Strong,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Bad => "31",
            Self::Warn => "33",
            Self::Faint => "2",
            Self::Strong => "1",
        }
    }
}

/// Whether words are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(pub bool);

impl Paint {
    /// The word in its style, or bare where nothing is coloured.
    #[must_use]
    pub fn style<'a>(self, style: Style, word: &'a str) -> Painted<'a> {
        Painted { style: self.0.then_some(style), word }
    }
}

/// A word in a style.
#[derive(Clone, Copy, Debug)]
pub struct Painted<'a> {
    style: Option<Style>,
    word: &'a str,
}

impl fmt::Display for Painted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.style {
            Some(style) => write!(f, "\x1b[{}m{}\x1b[0m", style.code(), self.word),
            None => f.write_str(self.word),
        }
    }
}

/// Where commands write.
pub struct CommandOutput {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    /// Colours of standard output.
    pub paint: Paint,
    /// Colours of standard error.
    pub paint_err: Paint,
}

impl CommandOutput {
    /// The process's own streams. Colours only on a terminal, and never with `NO_COLOR` (no-color.org: set and not
    /// empty) or `TERM=dumb`.
    #[must_use]
    pub fn process() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            paint: Paint(wanted && io::stdout().is_terminal()),
            paint_err: Paint(wanted && io::stderr().is_terminal()),
        }
    }

    /// Streams of the caller's, without colours.
    #[must_use]
    pub fn to(out: Box<dyn Write>, err: Box<dyn Write>) -> Self {
        Self { out, err, paint: Paint(false), paint_err: Paint(false) }
    }

    /// Writes a line to standard output.
    ///
    /// # Errors
    /// The reader is gone (`portcullis monitor | head`), or the disk is full.
    pub fn line(&mut self, line: impl fmt::Display) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// Writes a text as it is to standard output.
    ///
    /// # Errors
    /// As for [`CommandOutput::line`].
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    /// Makes sure that everything written so far is out.
    ///
    /// # Errors
    /// As for [`CommandOutput::line`].
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes a line to standard error. There is nobody left to tell when that fails.
    pub fn say(&mut self, line: impl fmt::Display) {
        let _ = writeln!(self.err, "{line}");
    }
}

/// Text from the network or from a document, made safe for a terminal: control characters (which could move the
/// cursor, forge lines or set the title) and what reverses the direction of text are shown escaped.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                plain.extend(character.escape_unicode());
            }
            character if character.is_control() => plain.extend(character.escape_default()),
            character => plain.push(character),
        }
    }
    plain
}

/// The same in double quotes, so that its ends are seen.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", plain(&text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::{Paint, Style, plain, quoted};

    #[test]
    fn a_hostile_path_cannot_drive_the_terminal() {
        assert_eq!(plain("/a\x1b[2J\r\nxx"), "/a\\u{1b}[2J\\r\\nxx");
        assert_eq!(plain("/\u{202e}gpj"), "/\\u{202e}gpj");
        assert_eq!(plain("\"q\" \\ é 日"), "\"q\" \\ é 日");
        assert_eq!(quoted("\"q\" \\\n"), r#""\"q\" \\\n""#);
        assert_eq!(plain("\u{9b}31m"), "\\u{9b}31m", "C1 control characters start sequences too");
    }

    #[test]
    fn words_are_bare_where_nothing_is_coloured() {
        assert_eq!(Paint(false).style(Style::Bad, "denied").to_string(), "denied");
        assert_eq!(Paint(true).style(Style::Bad, "denied").to_string(), "\x1b[31mdenied\x1b[0m");
    }
}
