//! The lists of the documentation are those of the code: settings with their defaults, metrics with their labels, reasons,
//! flags and exit codes.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use clap::Command;
use portcullis_codecs::PROTOCOLS;
use portcullis_config::settings::{NodeSettings, parse};
use portcullis_listeners::telemetry;
use portcullis_proxy::{
    admin::metrics as admin,
    cli::{arguments, exit::ExitStatus},
};
use portcullis_rules::verdict::Reason;
use prometheus_client::registry::Registry;
use serde_json::Value;

/// A page of the documentation, or another file of the repository.
fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// The rows of the tables of a text whose first cell is code, each as its cells.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').splitn(3, '|').map(str::trim).collect())
        .collect()
}

/// The part of a page below a heading, up to the next one of its level.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let level = heading.split(' ').next().unwrap();
    let (_, below) = page.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    below.split(&format!("\n{level} ")).next().unwrap()
}

/// What stands in backquotes in a text.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// A mapping with one value at the end of a path.
fn nested(path: &str, value: &str) -> String {
    path.rsplit('.').fold(value.to_owned(), |inner, key| format!("{{{key}: {inner}}}"))
}

/// The keys of the settings below a path, from what the reader says of a key that it does not know.
fn keys_below(path: &str, found: &mut BTreeSet<String>) {
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let problems = parse(&nested(&join("thereIsNoSuchKey"), "1"), &PROTOCOLS.limits()).unwrap_err();
    let said = problems.iter().map(ToString::to_string).find(|said| said.contains("known here: "));
    match said {
        Some(said) => {
            let known = said.split("known here: ").nth(1).unwrap().trim_end_matches(')');
            known.split(", ").for_each(|key| keys_below(&join(key), found));
        }
        // It takes no mapping.
        None => drop(found.insert(path.to_owned())),
    }
}

/// The keys of a settings file with their values.
fn flattened(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flattened(&path, value, into);
            }
        }
        value => drop(into.insert(path.to_owned(), value.clone())),
    }
}

#[test]
fn every_setting_has_its_row_with_its_default_and_stands_in_the_example() {
    let mut known = BTreeSet::new();
    keys_below("", &mut known);
    let page = file("docs/operations.md");
    let rows = rows(section(&page, "## Settings"));
    let documented: BTreeSet<String> = rows.iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!(documented, known, "docs/operations.md and the reader of the settings");
    assert_eq!(rows.len(), known.len(), "a key has two rows");
    let mut example = BTreeMap::new();
    let text = file("deploy/portcullis.yaml");
    flattened("", &serde_saphyr::from_str(&text).unwrap(), &mut example);
    let optional = |key: &&String| text.contains(&format!("# {key}:"));
    let missing: Vec<_> = known.iter().filter(|key| !example.contains_key(*key)).filter(|key| !optional(key)).collect();
    assert!(missing.is_empty(), "deploy/portcullis.yaml lacks {missing:?}");
    for row in &rows {
        // One that depends on the machine is a sentence.
        let Some(default) = row[1].strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) else { continue };
        let text = nested(row[0].trim_matches('`'), default);
        let read = parse(&text, &PROTOCOLS.limits()).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
        assert_eq!(read, NodeSettings::default(), "the default of {}", row[0]);
    }
}

#[test]
fn every_reason_of_a_verdict_is_listed() {
    let page = file("docs/operations.md");
    let (_, listed) = page.split_once("\nReasons: ").unwrap();
    let listed: BTreeSet<&str> = quoted(listed.split("\n\n").next().unwrap()).into_iter().collect();
    let known: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(listed, known, "docs/operations.md and the code");
}

#[test]
fn every_metric_has_its_row_with_its_labels() {
    let page = file("docs/operations.md");
    let rows = rows(section(&page, "## Metrics and health"));
    let metrics = rows.iter().filter(|row| row[0].starts_with("`portcullis_"));
    let documented: BTreeMap<&str, Vec<&str>> =
        metrics.map(|row| (row[0].trim_matches('`'), quoted(row[1].trim()))).collect();
    let all = telemetry::declared(PROTOCOLS).into_iter().chain(admin::declared());
    let known: Vec<_> = all.map(|declared| (declared.name, declared.labels)).collect();
    let known: BTreeMap<&str, Vec<&str>> = known.iter().map(|(name, labels)| (name.as_str(), labels.clone())).collect();
    assert_eq!(documented, known, "docs/operations.md and the code");
}

#[test]
fn what_is_declared_is_what_is_scraped() {
    let mut registry = Registry::default();
    let metrics = admin::ConfigMetrics::default();
    metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for declared in admin::declared().iter().filter(|declared| declared.labels.is_empty()) {
        assert!(text.lines().any(|line| line.starts_with(&format!("{} ", declared.name))), "{text}");
    }
}

#[test]
fn tables_of_exit_codes_have_all_of_them() {
    let all: Vec<String> = ExitStatus::ALL.iter().map(|exit| (*exit as u8).to_string()).collect();
    let mut tables = 0;
    for page in ["docs/operations.md", "docs/policy-testing.md"] {
        for table in file(page).split("\n| exit code |").skip(1) {
            let codes: Vec<&str> =
                table.lines().skip(2).map_while(|row| row.strip_prefix("| ")?.split(' ').next()).collect();
            assert_eq!(codes, all, "{page}");
            tables += 1;
        }
    }
    assert_eq!(tables, 3);
    let help = arguments::command(PROTOCOLS).render_long_help().to_string();
    assert!(all.iter().all(|code| help.contains(&format!("\n  {code}  "))), "{help}");
}

/// The long flags of a command.
fn flags(command: &Command) -> BTreeSet<String> {
    command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?))).collect()
}

#[test]
fn flags_in_the_documentation_are_flags_of_their_command() {
    let command = arguments::command(PROTOCOLS);
    let mut global: BTreeSet<String> = flags(&command);
    global.extend(["--help".to_owned(), "--version".to_owned()]);
    let mut seen = 0;
    for page in ["README.md", "docs/operations.md", "docs/policy.md", "docs/policy-testing.md", "docs/architecture.md"]
    {
        for line in file(page).lines() {
            for call in line.split("portcullis ").skip(1) {
                let mut words = call.split([' ', '`', '|', ')', ',', ';', '&']);
                let Some(of) = words.next().and_then(|name| command.find_subcommand(name)) else { continue };
                let own = flags(of);
                let until_code_ends = call.split(['`', '|', ';', '&', ')', '#']).next().unwrap();
                for flag in until_code_ends.split_whitespace().filter(|word| word.starts_with("--")) {
                    let flag = flag.split('=').next().unwrap().trim_end_matches(['.', ',', ':', ']']);
                    assert!(
                        own.contains(flag) || global.contains(flag),
                        "{page}: {line}\n{} has no {flag}",
                        of.get_name()
                    );
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 10, "{seen} flags");
}

#[test]
fn flags_of_run_name_the_settings_that_they_replace() {
    let mut known = BTreeSet::new();
    keys_below("", &mut known);
    let command = arguments::command(PROTOCOLS);
    let run = command.find_subcommand("run").unwrap();
    let mut named = 0;
    for argument in run.get_arguments() {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let Some((_, key)) = help.split_once('(') else { continue };
        let key = key.split(')').next().unwrap();
        assert!(known.contains(key), "{}: {help}", argument.get_id());
        named += 1;
    }
    assert!(named >= 8, "{named}");
}
