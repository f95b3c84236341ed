//! The command line as people and scripts see it: the binary itself, its help, its exit codes, its generated files.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{
    fs,
    io::Write,
    os::unix::net::UnixListener,
    process::{Command, Output, Stdio},
};

const COMMANDS: [&str; 11] =
    ["run", "apply", "delete", "get", "status", "monitor", "explain", "lint", "test", "completion", "man"];

fn portcullis(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .env_remove("PORTCULLIS_SERVER")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_command_explains_itself_with_examples() {
    for command in COMMANDS {
        let help = portcullis(&[command, "--help"]);
        assert_eq!(help.status.code(), Some(0), "{command}");
        let text = out(&help);
        assert!(text.contains("Examples:\n"), "{command} --help has no examples:\n{text}");
        assert!(text.contains(&format!("portcullis {command}")), "{command} --help shows itself in use:\n{text}");
        assert!(err(&help).is_empty(), "{command} --help says something on standard error");
        assert!(!text.contains('\x1b'), "{command} --help is coloured outside a terminal");
    }
}

#[test]
fn the_main_help_names_commands_exit_codes_and_environment() {
    let text = out(&portcullis(&["--help"]));
    for word in COMMANDS.iter().chain(&["Exit codes:", "NO_COLOR", "PORTCULLIS_SERVER"]) {
        assert!(text.contains(word), "{word} is missing:\n{text}");
    }
}

#[test]
fn the_version_says_which_build_it_is() {
    let output = portcullis(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    let text = out(&output);
    assert!(text.starts_with(&format!("portcullis {} (", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(text.contains("rustc "), "{text}");
}

#[test]
fn a_wrong_command_line_exits_2_and_says_what_is_wrong() {
    for (arguments, word) in [
        (vec!["bogus"], "bogus"),
        (vec!["apply"], "--file"),
        (vec!["delete"], "TYPE"),
        (vec!["delete", "policy"], "NAME"),
        (vec!["get", "pod"], "pod"),
        (vec!["get", "fqdn", "-n", "shop"], "namespace"),
        (vec!["delete", "fqdn", "example.com"], "fqdn"),
        (vec!["get", "policy", "-o", "xml"], "xml"),
        (vec!["monitor", "--count", "0"], "--count"),
        (vec!["monitor", "--timeout", "5"], "30s"),
        (vec!["run", "--workers", "0"], "--workers"),
        (vec!["run", "--enforcement", "sometimes"], "always"),
        (vec!["status", "--server", "tcp:127.0.0.1:1"], "unix:PATH"),
        (vec!["completion", "tcsh"], "bash"),
    ] {
        let output = portcullis(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains(word), "{arguments:?} does not mention {word}: {}", err(&output));
        assert!(out(&output).is_empty(), "{arguments:?} prints to standard output");
    }
}

#[test]
fn nothing_to_do_shows_the_help() {
    let output = portcullis(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("Usage: portcullis"), "{}", err(&output));
}

#[test]
fn without_a_node_each_client_command_says_how_to_get_one() {
    let directory = tempfile::tempdir().unwrap();
    let policy = directory.path().join("policy.yaml");
    fs::write(
        &policy,
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a, namespace: n}\nspec: {endpointSelector: {}, ingress: [{}]}\n",
    )
    .unwrap();
    let policy = policy.to_str().unwrap();
    let server = format!("unix:{}", directory.path().join("api.sock").display());
    for arguments in [
        vec!["status"],
        vec!["get", "policy"],
        vec!["get", "fqdn"],
        vec!["monitor"],
        vec!["apply", "-f", policy],
        vec!["delete", "-f", policy],
        vec!["delete", "policy", "a", "-n", "n"],
    ] {
        let output = portcullis(&[arguments.as_slice(), &["--server", &server]].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains("is portcullis running?"), "{arguments:?}: {}", err(&output));
        assert!(out(&output).is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_socket_that_nobody_serves_is_told_from_one_that_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("api.sock");
    drop(UnixListener::bind(&path).unwrap());
    let output = portcullis(&["status", "--server", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("not running any more"), "{}", err(&output));
}

#[test]
fn documents_that_cannot_be_read_exit_3_before_any_node_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken.yaml");
    fs::write(&broken, "kind: CiliumNetworkPolicy\nmetadata: {name: a\n  spec: [\n").unwrap();
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for (path, word) in [(&broken, "broken.yaml"), (&empty, "empty")] {
        let path = path.to_str().unwrap();
        let output = portcullis(&["apply", "-f", path, "--server", "/nowhere/api.sock"]);
        assert_eq!(output.status.code(), Some(3), "{path}: {}", err(&output));
        assert!(err(&output).contains(word), "{path}: {}", err(&output));
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = portcullis(&["apply", "-f", "/nowhere/policy.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("/nowhere/policy.yaml"), "{}", err(&output));
}

#[test]
fn standard_input_is_a_file_too() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["apply", "-f", "-", "--server", "/nowhere/api.sock"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{not a document\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("-:"), "the position in standard input is missing: {}", err(&output));
}

#[test]
fn each_shell_gets_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = portcullis(&["completion", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        for command in COMMANDS {
            assert!(out(&output).contains(command), "{shell} does not know {command}");
        }
    }
}

#[test]
fn bash_accepts_its_script() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("portcullis.bash");
    fs::write(&script, portcullis(&["completion", "bash"]).stdout).unwrap();
    let checked = Command::new("bash").arg("-n").arg(&script).output().unwrap();
    assert!(checked.status.success(), "{}", err(&checked));
}

#[test]
fn each_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(portcullis(&["man", directory.path().to_str().unwrap()]).status.code(), Some(0));
    for command in COMMANDS {
        let page = fs::read_to_string(directory.path().join(format!("portcullis-{command}.1"))).unwrap();
        assert!(page.contains(".TH"), "{command}");
        assert!(page.contains("Examples:"), "{command}");
    }
    assert!(out(&portcullis(&["man"])).contains(".TH portcullis 1"));
    let nowhere = portcullis(&["man", "/nowhere"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(err(&nowhere).contains("/nowhere"), "{}", err(&nowhere));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["completion", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(err(&output).is_empty(), "{}", err(&output));
}
