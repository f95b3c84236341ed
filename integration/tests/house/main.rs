//! The house rules: the repository has the structure that `docs/architecture.md` and `CONTRIBUTING.md` describe.
#![allow(missing_docs)]

mod words;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// What the repository has at its top, and nothing else.
const TOP: [&str; 22] = [
    ".ci",
    ".clippy.toml",
    ".dockerignore",
    ".gitignore",
    ".rustfmt.toml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "benches",
    "config",
    "deploy",
    "docs",
    "integration",
    "listeners",
    "proxy",
    "redirect-ebpf",
];
/// The last of [`TOP`], apart because it is the root of all dependencies.
const RULES: &str = "rules";

/// Each crate, and the crates of ours it may depend on.
const DIRECTIONS: [(&str, &[&str]); 10] = [
    ("portcullis-rules", &[]),
    ("portcullis-codecs", &["portcullis-rules"]),
    ("portcullis-listeners", &["portcullis-rules", "portcullis-codecs"]),
    ("portcullis-config", &["portcullis-rules"]),
    ("portcullis-redirect-common", &[]),
    ("portcullis-redirect", &["portcullis-redirect-common"]),
    (
        "portcullis",
        &[
            "portcullis-rules",
            "portcullis-codecs",
            "portcullis-listeners",
            "portcullis-config",
            "portcullis-redirect-common",
            "portcullis-redirect",
        ],
    ),
    ("portcullis-integration", &[]),
    ("portcullis-corpus", &["portcullis-rules", "portcullis-codecs", "portcullis-config", "portcullis"]),
    ("portcullis-benches", &["portcullis-rules", "portcullis-codecs"]),
];
/// Tests of any crate may use the laboratory.
const LABORATORY: &str = "portcullis-integration";

/// Files and folders with unsafe code, and why.
const UNSAFE: [(&str, &str); 5] = [
    ("redirect-ebpf/src/sys.rs", "raw bpf(2) calls that no library offers"),
    ("redirect-ebpf/common/src/lib.rs", "plain data that is handed to the kernel as bytes"),
    ("redirect-ebpf/programs/src/", "helpers and packet memory of the kernel"),
    ("rules/tests/allocation.rs", "a test's allocator that counts; there is no other way to count"),
    ("rules/tests/bounds.rs", "the same"),
];

/// Manifests that do not take the workspace's lints, and why.
const WITHOUT_LINTS: [(&str, &str); 1] =
    [("redirect-ebpf/common/Cargo.toml", "also built for the kernel, outside the workspace, by another compiler")];

/// Lines of a source file.
const LONGEST: usize = 400;
/// Sources that may be longer, and why.
const LONGER: [(&str, &str); 2] = [
    ("listeners/codecs/src/kafka/denial/table.rs", "the same, of denials"),
    ("listeners/codecs/src/kafka/table.rs", "a table that is made from Kafka's schema, one line a field"),
];

/// What a pure crate must not name: input and output, clocks, threads.
const IMPURE: [&str; 12] = [
    "std::fs",
    "std::io",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "UdpSocket",
    "Instant",
    "SystemTime",
    "tokio",
    "println!",
    "thread_local!",
];
/// What a pure crate names nevertheless, where, and why.
const NO_EFFECT: [(&str, &str, &str); 1] =
    [("rules/src/automaton.rs", "thread_local!", "working memory, on which no answer depends")];

/// Who must not know a protocol by its name, and the names.
const GENERAL: [&str; 4] = ["rules/src/", "config/src/", "listeners/src/", "proxy/src/"];
const PROTOCOLS: [&str; 4] = ["http", "dns", "tls", "kafka"];
/// Who does nevertheless, and why.
const KNOWING: [(&str, &str); 3] = [
    ("config/src/policy/l7.rs", "what Cilium's documents may have, whether we know it or not"),
    ("config/src/settings/read.rs", "the setting http.upgrades"),
    ("proxy/src/run/verdicts.rs", "messages of the API that are older than its fields"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).current_dir(root()).output().expect("it starts");
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Files under version control that are there.
fn tracked() -> Vec<String> {
    // The owner may be another user than root, who runs the tests.
    let files = run("git", &["-c", "safe.directory=*", "ls-files"]);
    let files: Vec<_> = files.lines().filter(|file| root().join(file).exists()).map(str::to_owned).collect();
    assert!(files.len() > 100, "only {} files", files.len());
    files
}

fn with_end(end: &str) -> Vec<String> {
    tracked().into_iter().filter(|file| file.ends_with(end)).collect()
}

/// The text of a file, nothing for one that is no text.
fn text(file: &str) -> String {
    fs::read(root().join(file)).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

fn metadata() -> Vec<Value> {
    let text = run(env!("CARGO"), &["metadata", "--offline", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&text).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// The library names that a manifest's sections of dependencies name.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && line != "[workspace.dependencies]";
        } else if inside && line.starts_with(|first: char| first.is_ascii_alphabetic()) {
            names.insert(line.split([' ', '.', '=']).next().unwrap_or_default().to_owned());
        }
    }
    names
}

#[test]
fn dependencies_point_one_way() {
    let packages = metadata();
    assert_eq!(packages.len(), DIRECTIONS.len(), "a crate is missing in DIRECTIONS, or there");
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let (_, allowed) = DIRECTIONS.iter().find(|(crate_name, _)| *crate_name == name).expect(name);
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let other = dependency["name"].as_str().expect("a name");
            let of_tests = dependency["kind"] == "dev";
            let fine = !other.starts_with("portcullis") || allowed.contains(&other) || of_tests && other == LABORATORY;
            assert!(fine, "{name} must not depend on {other}");
        }
    }
}

#[test]
fn pure_crates_do_no_input_output_and_read_no_clock() {
    for file in with_end(".rs") {
        if !file.starts_with("rules/src/") && !file.starts_with("listeners/codecs/src/") || file.contains("/tests") {
            continue;
        }
        let whole = text(&file);
        let code = whole.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let exempt = |word: &str| NO_EFFECT.iter().any(|(room, fine, _)| *room == file && *fine == word);
            let found = IMPURE.iter().find(|word| line.contains(**word) && !exempt(word));
            assert_eq!(found, None, "{file}:{}: {line}", number + 1);
        }
    }
}

#[test]
fn a_protocol_is_known_by_its_descriptor_and_not_by_its_name() {
    let names = PROTOCOLS.iter().flat_map(|name| [format!("\"{name}\""), format!("codecs::{name}")]);
    let names: Vec<String> = names.chain(["codecs::http1".to_owned(), "codecs::http2".to_owned()]).collect();
    let mut knowing = BTreeSet::new();
    for file in with_end(".rs").into_iter().filter(|file| GENERAL.iter().any(|room| file.starts_with(room))) {
        let whole = text(&file);
        let code = whole.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        if file.contains("/tests") || !names.iter().any(|name| code.contains(name)) {
            continue;
        }
        assert!(KNOWING.iter().any(|(fine, _)| *fine == file), "{file} names a protocol");
        knowing.insert(file);
    }
    assert_eq!(knowing.len(), KNOWING.len(), "somebody in KNOWING does not any more: {knowing:?}");
}

#[test]
fn the_repository_has_its_rooms_and_no_others() {
    let found: BTreeSet<_> = tracked().iter().filter_map(|file| file.split('/').next().map(str::to_owned)).collect();
    let expected: BTreeSet<_> = TOP.into_iter().chain([RULES]).map(str::to_owned).collect();
    assert_eq!(found, expected);
    let page = text("docs/architecture.md");
    for room in expected.iter().filter(|name| !name.starts_with('.') && root().join(name).is_dir()) {
        assert!(page.contains(&format!("{room}/")), "docs/architecture.md does not tell of {room}/");
    }
}

#[test]
fn unsafe_code_is_in_its_rooms_only() {
    let word = concat!("un", "safe");
    let marks = [" {", " fn", " impl", " extern", " trait", "("].map(|after| format!("{word}{after}"));
    let allowance = format!("({word}_code");
    for file in with_end(".rs") {
        if UNSAFE.iter().any(|(room, _)| file.starts_with(room)) || file.ends_with("integration/tests/house/main.rs") {
            continue;
        }
        for (number, line) in text(&file).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let found = marks.iter().any(|mark| code.contains(mark.as_str()));
            let allowed = code.contains(&allowance) && !code.contains("forbid") && !code.contains("deny");
            assert!(!found && !allowed, "{file}:{}: {line}", number + 1);
        }
    }
    for (room, _) in UNSAFE {
        assert!(root().join(room).exists(), "{room} is gone; take it out of the list");
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for package in metadata() {
        let manifest = PathBuf::from(package["manifest_path"].as_str().expect("a path"));
        let name = manifest.strip_prefix(root()).expect("inside").to_string_lossy().into_owned();
        let takes = text(&name).contains("[lints]\nworkspace = true\n");
        assert_ne!(takes, WITHOUT_LINTS.iter().any(|(exempt, _)| *exempt == name), "{name}");
    }
}

#[test]
fn every_library_is_explained_and_every_explained_one_is_used() {
    let mut used = BTreeSet::new();
    for manifest in with_end("Cargo.toml") {
        used.extend(dependencies(&text(&manifest)).into_iter().filter(|name| !name.starts_with("portcullis")));
    }
    let page = text("docs/dependencies.md");
    let (libraries, _) = page.split_once("## What is not a Rust library").expect("the section");
    let rows = libraries.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let explained: BTreeSet<_> =
        rows.filter(|first| *first != "library").flat_map(|first| first.split(", ")).map(str::to_owned).collect();
    assert_eq!(
        used.difference(&explained).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "add them to docs/dependencies.md"
    );
    assert_eq!(explained.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "nothing uses them any more");
}

#[test]
fn sources_are_short_enough_to_be_read() {
    for file in with_end(".rs").into_iter().chain(with_end(".sh")).chain(with_end(".py")) {
        let of_tests = file.contains("/tests/") || file.contains("/benches/") || file.ends_with("/tests.rs");
        let lines = text(&file).lines().count();
        let exempt = LONGER.iter().any(|(long, _)| *long == file);
        assert!(of_tests || exempt || lines <= LONGEST, "{file} has {lines} lines");
    }
}

#[test]
fn nothing_names_the_place_it_was_written_at() {
    let places = [concat!("/wor", "k/"), concat!("../sha", "red"), concat!("/tmp/br", "ief")];
    for file in tracked() {
        for (number, line) in text(&file).lines().enumerate() {
            assert!(!places.iter().any(|place| line.contains(place)), "{file}:{}: {line}", number + 1);
        }
    }
}

#[test]
fn commands_that_the_pages_name_are_goals_of_the_makefile() {
    let makefile = text("Makefile");
    let mut named = BTreeSet::new();
    for file in with_end(".md") {
        for line in text(&file).lines() {
            for after in line.split("make ").skip(1).filter(|_| line.contains("`make ") || line.starts_with("$ make "))
            {
                named.insert((
                    file.clone(),
                    after
                        .split(|end: char| !end.is_ascii_lowercase() && end != '-')
                        .next()
                        .unwrap_or_default()
                        .to_owned(),
                ));
            }
        }
    }
    assert!(named.contains(&("README.md".to_owned(), "demo".to_owned())), "{named:?}");
    assert!(named.contains(&("README.md".to_owned(), "test".to_owned())), "{named:?}");
    for (file, goal) in named {
        assert!(makefile.contains(&format!("\n{goal}:")), "{file} says make {goal}");
    }
}

#[test]
fn files_that_the_guide_for_contributors_names_are_there() {
    let page = text("CONTRIBUTING.md");
    let in_a_room = |path: &&str| {
        path.split_once('/').is_some_and(|(room, _)| TOP.contains(&room) || room == RULES)
            && !path.contains(['<', '*', ' '])
    };
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).filter(in_a_room).collect();
    assert!(named.len() > 40, "{named:?}");
    for path in named {
        assert!(root().join(path).exists(), "CONTRIBUTING.md names {path}, which is not there");
    }
    for package in metadata() {
        let name = package["name"].as_str().expect("a name");
        assert!(page.contains(&format!("| `{name}` |")), "CONTRIBUTING.md does not say what {name} is for");
    }
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    for file in with_end(".md") {
        let folder = Path::new(&file).parent().expect("a folder");
        for link in text(&file).split("](").skip(1).filter_map(|after| after.split(')').next()) {
            if link.starts_with("http") || link.contains(char::is_whitespace) {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { PathBuf::from(&file) } else { folder.join(path) };
            assert!(root().join(&target).exists(), "{file} links to {link}");
            let page = text(&target.to_string_lossy());
            let headings: Vec<_> = page.lines().filter(|line| line.starts_with('#')).map(slug).collect();
            assert!(anchor.is_empty() || headings.iter().any(|heading| heading == anchor), "{file} links to {link}");
        }
    }
}

/// A heading as the anchor that readers of Markdown make of it.
fn slug(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}
