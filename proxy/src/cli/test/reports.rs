//! Reports: for people, for test harnesses (TAP 14, testanything.org), for build servers (JUnit's XML).

use std::{fmt::Write as _, io};

use super::outcome::{Suite, TestOutcome};
use crate::output::{CommandOutput, Style, plain};

/// One line for each test; failures with their reasons.
pub(super) fn text(suites: &[Suite], quiet: bool, output: &mut CommandOutput) -> io::Result<()> {
    for suite in suites {
        for test in &suite.tests {
            if test.passed && quiet {
                continue;
            }
            let (style, word) = if test.passed { (Style::Good, "ok  ") } else { (Style::Bad, "FAIL") };
            let place = format!("{}:{}", suite.file, test.line);
            output.line(format_args!(
                "{} {}: {}",
                output.paint.style(style, word),
                plain(&place),
                plain(&test.name)
            ))?;
            if !test.passed {
                lines(test).iter().try_for_each(|line| output.line(format_args!("       {}", plain(line))))?;
            }
        }
    }
    let (passed, failed) = counts(suites);
    let style = if failed == 0 { Style::Good } else { Style::Bad };
    let total = passed + failed;
    let summary = format!("{total} test{}: {passed} passed, {failed} failed", if total == 1 { "" } else { "s" });
    output.line(output.paint.style(style, &summary))
}

fn counts(suites: &[Suite]) -> (usize, usize) {
    let tests = || suites.iter().flat_map(|suite| &suite.tests);
    let passed = tests().filter(|test| test.passed).count();
    (passed, tests().count() - passed)
}

/// What is to be said of a failure.
fn lines(test: &TestOutcome) -> Vec<String> {
    let mut lines =
        vec![test.question.clone(), format!("expected {}", test.expected), format!("got      {}", test.got)];
    lines.extend(test.why.iter().map(|why| format!("  {why}")));
    lines
}

/// TAP 14: a plan, a line for each test, a YAML block for each failure.
pub(super) fn tap(suites: &[Suite]) -> String {
    let (passed, failed) = counts(suites);
    let mut tap = format!("TAP version 14\n1..{}\n", passed + failed);
    let tests = suites.iter().flat_map(|suite| suite.tests.iter().map(move |test| (suite, test)));
    for (number, (suite, test)) in (1..).zip(tests) {
        let word = if test.passed { "ok" } else { "not ok" };
        let name = plain(&format!("{}: {}", suite.name, test.name)).replace('\\', "\\\\").replace('#', "\\#");
        // Writing to a String cannot fail.
        let _ = writeln!(tap, "{word} {number} - {name}");
        if !test.passed {
            // JSON's strings are YAML's.
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            let _ = write!(
                tap,
                "  ---\n  message: {}\n  severity: fail\n  at:\n    file: {}\n    line: {}\n  found: {}\n  wanted: {}\n",
                quoted(&test.question),
                quoted(&suite.file),
                test.line,
                quoted(&test.got),
                quoted(&test.expected)
            );
            tap.push_str("  why:\n");
            for why in &test.why {
                let _ = writeln!(tap, "    - {}", quoted(why));
            }
            tap.push_str("  ...\n");
        }
    }
    tap
}

/// JUnit's XML, as build servers read it.
pub(super) fn junit(suites: &[Suite]) -> String {
    let (passed, failed) = counts(suites);
    let total = passed + failed;
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"portcullis\" tests=\"{total}\" failures=\"{failed}\" errors=\"0\">\n"
    );
    for suite in suites {
        let failed = suite.tests.iter().filter(|test| !test.passed).count();
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" file=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\">",
            escaped(&suite.name),
            escaped(&suite.file),
            suite.tests.len()
        );
        for test in &suite.tests {
            let head = format!(
                "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{}\"",
                escaped(&test.name),
                escaped(&suite.name),
                escaped(&suite.file),
                test.line
            );
            if test.passed {
                let _ = writeln!(xml, "{head}/>");
                continue;
            }
            let message = escaped(&format!("expected {}, got {}", test.expected, test.got));
            let body = escaped(&lines(test).join("\n"));
            let _ = writeln!(
                xml,
                "{head}>\n      <failure type=\"verdict\" message=\"{message}\">{body}</failure>\n    </testcase>"
            );
        }
        xml.push_str("  </testsuite>\n");
    }
    xml + "</testsuites>\n"
}

/// Text in XML 1.0, which has no place for most control characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            character if character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}')
            }
            character => escaped.push(character),
        }
    }
    escaped
}
