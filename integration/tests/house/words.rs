//! Words: each type that leaves its module has a name of its own, and private words do not come back.

use std::collections::BTreeMap;

use crate::{text, tracked, with_end};

/// Words that say something only to those who invented them, and the word to use instead.
const PRIVATE: [(&str, &str); 29] = [
    ("bell", "waker"),
    ("births", "creations"),
    ("book", "cache"),
    ("court", "context"),
    ("desk", "queue"),
    ("doors", "listeners"),
    ("doorway", "listener"),
    ("fate", "outcome"),
    ("fates", "outcomes"),
    ("hearing", "checker"),
    ("leg", "upstream connection"),
    ("legs", "upstream connections"),
    ("lesson", "resolution"),
    ("lessons", "resolutions"),
    ("mend", "repair"),
    ("mended", "repaired"),
    ("offence", "violation"),
    ("offences", "violations"),
    ("offend", "violate"),
    ("overheard", "snooped"),
    ("pupil", "installer"),
    ("seat", "subscriber"),
    ("seats", "subscribers"),
    ("taught", "installed, learned"),
    ("teach", "install"),
    ("teacher", "installer"),
    ("teaches", "resolves"),
    ("ticket", "pending release"),
    ("town", "world builder"),
];
/// Files that tell of former names and have such words nevertheless. An empty word is any.
const FORMER: [(&str, &str); 8] = [
    ("CHANGELOG.md", ""),
    ("config/src/settings/read.rs", "leg"),
    ("config/tests/settings.rs", "leg"),
    ("docs/operations.md", "leg"),
    ("docs/operations.md", "offences"),
    ("integration/tests/house/words.rs", ""),
    ("listeners/src/telemetry/metrics.rs", "leg"),
    ("listeners/src/telemetry/metrics.rs", "offences"),
];

/// The name of the type that a line declares for others than its own module.
fn declared(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(scope) => scope.split_once(") ")?.1,
        None => rest.strip_prefix(' ')?,
    };
    let rest = rest.strip_prefix("unsafe ").unwrap_or(rest);
    let name = ["struct ", "enum ", "trait ", "union ", "type "].iter().find_map(|kind| rest.strip_prefix(kind))?;
    name.split(|end: char| !end.is_alphanumeric() && end != '_').next()
}

/// The sources of the product, without their tests.
fn product() -> Vec<String> {
    let tests = |file: &str| file.contains("/tests/") || file.ends_with("/tests.rs");
    let developers = |file: &str| file.starts_with("integration/") || file.starts_with("benches/");
    with_end(".rs").into_iter().filter(|file| file.contains("/src/") && !tests(file) && !developers(file)).collect()
}

#[test]
fn a_type_that_leaves_its_module_has_a_name_of_its_own() {
    let mut homes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in product() {
        let text = text(&file);
        let lines = text.lines().take_while(|line| !line.trim_start().starts_with("mod tests {"));
        for name in lines.filter_map(declared) {
            homes.entry(name.to_owned()).or_default().push(file.clone());
        }
    }
    assert!(homes.len() > 400, "only {} types", homes.len());
    homes.retain(|_, files| files.len() > 1);
    assert_eq!(homes, BTreeMap::new(), "a search for such a name finds others");
}

#[test]
fn declarations_are_found_whoever_may_see_them() {
    assert_eq!(declared("pub struct Relay<'a> {"), Some("Relay"));
    assert_eq!(declared("    pub(crate) enum Outcome {"), Some("Outcome"));
    assert_eq!(declared("pub(in crate::kafka) struct Head;"), Some("Head"));
    assert_eq!(declared("struct Private;"), None);
    assert_eq!(declared("pub fn relay() {"), None);
}

/// The words of a line in lower case. `UpstreamPort`, `upstream_port` and `upstream port` have the same.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for sign in line.chars() {
        if !sign.is_alphabetic() || (sign.is_uppercase() && lower) {
            words.push(String::new());
        }
        lower = sign.is_lowercase();
        if sign.is_alphabetic() {
            words.last_mut().expect("one").extend(sign.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn words_are_found_however_they_are_joined() {
    for line in ["UpstreamPort", "upstream_port", "an upstream port.", "UPSTREAM_PORT", "upstreamPort"] {
        let found = words(line);
        assert!(found.ends_with(&["upstream".to_owned(), "port".to_owned()]), "{line}: {found:?}");
    }
}

#[test]
fn private_words_do_not_come_back() {
    let ends = [".rs", ".md", ".proto", ".yaml", ".sh", ".py"];
    let mut found = Vec::new();
    for file in tracked() {
        if !ends.iter().any(|end| file.ends_with(end)) {
            continue;
        }
        let former = |word: &str| FORMER.iter().any(|(tells, of)| *tells == file && (of.is_empty() || *of == word));
        for (number, line) in text(&file).lines().enumerate() {
            for word in words(line) {
                if let Some((_, better)) = PRIVATE.iter().find(|(private, _)| *private == word && !former(private)) {
                    found.push(format!("{file}:{}: {word}: say {better}", number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
}
