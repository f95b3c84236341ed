//! The output of the demo.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

const GREEN: &str = "32";
const RED: &str = "31";
const YELLOW: &str = "33";
const BOLD: &str = "1";

/// Prints, counts, and knows whether there are colours.
pub(crate) struct Report {
    colours: bool,
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Report {
    pub(crate) fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: io::stdout().is_terminal() && !plain, passed: 0, failed: 0, skipped: 0 }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A line as it is. A reader that is gone is no reason to stop: the exit code still tells.
    pub(crate) fn line(&mut self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    pub(crate) fn title(&mut self, text: &str) {
        let text = self.paint(BOLD, text);
        self.line(&format!("\n{text}"));
    }

    /// Something that is done, before it is done.
    pub(crate) fn action(&mut self, text: &str) {
        self.line(&format!("  {text}"));
    }

    /// Compares what happened with what was expected.
    pub(crate) fn compare(&mut self, what: &str, expected: &str, actual: &str) {
        let same = expected == actual;
        let (word, count) = if same {
            (self.paint(GREEN, "PASS"), &mut self.passed)
        } else {
            (self.paint(RED, "FAIL"), &mut self.failed)
        };
        *count += 1;
        self.line(&format!("  {word}  {what}"));
        let told = if same { actual.to_owned() } else { format!("{}, expected: {expected}", self.paint(RED, actual)) };
        self.line(&format!("        {told}"));
    }

    /// Something that cannot be shown here.
    pub(crate) fn skip(&mut self, why: &str) {
        let word = self.paint(YELLOW, "SKIPPED");
        self.line(&format!("  {word}  {why}"));
        self.skipped += 1;
    }

    pub(crate) fn failure(&mut self, text: &str) {
        let word = self.paint(RED, "FAIL");
        self.line(&format!("\n{word}  {text}"));
    }

    /// The closing line.
    pub(crate) fn end(&mut self) -> ExitCode {
        let (passed, failed) = (self.passed, self.failed);
        let (colour, word) = if failed == 0 { (GREEN, "PASS") } else { (RED, "FAIL") };
        let word = self.paint(colour, word);
        let skipped = match self.skipped {
            0 => String::new(),
            skipped => format!(", {skipped} left out"),
        };
        self.line(&format!("\n{word}  {passed} as expected, {failed} different{skipped}"));
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
