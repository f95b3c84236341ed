//! Compares our walk with Kafka's own request parser, in the version from which the table is generated. This covers
//! every version, also the newest.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use portcullis_codecs::kafka::WalkProgress;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use crate::{
    oracle::{Way, framed, names, request_frame, walked},
    walking::{mutated, random_request, requests},
};

/// Random requests of each version.
const MANY: u64 = 10;
/// Requests with something changed.
const MUTATED: usize = 30_000;

/// The jars of Kafka's clients, where the set-up has put them. What is missing is said loudly, or is a failure.
fn jars() -> Option<PathBuf> {
    let home = env::var("HOME").unwrap_or_default();
    let cache = env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    let jars = Path::new(&cache).join("portcullis/kafka/jars");
    let java = Command::new("java").arg("-version").stderr(Stdio::null()).status();
    if jars.is_dir() && java.is_ok_and(|status| status.success()) {
        return Some(jars);
    }
    let message = format!("this machine lacks Java, or {}: run deploy/setup.sh test", jars.display());
    let strict = env::var_os("PORTCULLIS_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!strict, "{message} (PORTCULLIS_REQUIRE_ALL=1 makes this a failure)");
    // Straight to the stream: the test harness hides what a passing test prints.
    let _ = writeln!(std::io::stderr(), "SKIPPED {}: {message}", thread::current().name().unwrap_or("a test"));
    None
}

/// What Kafka reads of each frame: how many bytes are left behind the request, and its body as Kafka writes it.
fn read(jars: &Path, frames: &[Vec<u8>]) -> Vec<Result<(usize, Vec<u8>), String>> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integration/servers/kafka/Reader.java");
    let mut reader = Command::new("java")
        .arg("-cp")
        .arg(jars.join("*"))
        .arg(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Java starts");
    let mut input = reader.stdin.take().expect("its input");
    let all = frames.concat();
    let writes = thread::spawn(move || input.write_all(&all));
    let output = reader.wait_with_output().expect("it ends");
    writes.join().expect("the writer").expect("it takes all");
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).expect("a text");
    let read: Vec<_> = lines.lines().map(line).collect();
    assert_eq!(read.len(), frames.len());
    read
}

fn line(line: &str) -> Result<(usize, Vec<u8>), String> {
    let (left, body) = line.split_once(' ').expect("two words");
    let left = left.parse().map_err(|_| body.to_owned())?;
    let byte = |at: usize| u8::from_str_radix(&body[at..at + 2], 16).expect("two digits");
    Ok((left, (0..body.len()).step_by(2).map(byte).collect()))
}

/// Each frame, which we take, is read to its end, with the names that we read.
fn agree(frames: &[Vec<u8>], jars: &Path) {
    for (frame, read) in frames.iter().zip(read(jars, frames)) {
        let (key, version) = kind(frame);
        let shown = || format!("{key} v{version}: {}", frame.escape_ascii());
        let (left, again) = read.unwrap_or_else(|wrong| panic!("{wrong}, {}", shown()));
        assert_eq!(left, 0, "{}", shown());
        let (_, met) = walked(Way::Request, key, version, frame).expect("we take it");
        // As it writes it, which is without tagged fields that say what goes without saying.
        let again = request_frame(key, version, Some("client"), &again);
        let (progress, met_again) = walked(Way::Request, key, version, &again).expect("it writes valid requests");
        assert_eq!((progress, names(&met_again)), (WalkProgress::Complete, names(&met)), "{}", shown());
    }
}

fn kind(frame: &[u8]) -> (i16, i16) {
    (i16::from_be_bytes([frame[4], frame[5]]), i16::from_be_bytes([frame[6], frame[7]]))
}

#[test]
fn kafka_reads_every_request_to_the_same_end_with_the_same_names() {
    let Some(jars) = jars() else { return };
    let asked = requests().flat_map(|(key, version)| (0..MANY).map(move |seed| random_request(key, version, seed).0));
    agree(&asked.collect::<Vec<_>>(), &jars);
}

#[test]
fn kafka_reads_what_we_take_of_mutated_requests_to_the_same_end_with_the_same_names() {
    let Some(jars) = jars() else { return };
    let mut runner = TestRunner::deterministic();
    let any = mutated();
    let messages = (0..MUTATED).map(|_| any.new_tree(&mut runner).expect("a strategy without filters").current());
    let takes = |frame: &Vec<u8>| {
        let (key, version) = kind(frame);
        walked(Way::Request, key, version, frame).is_ok()
    };
    let taken: Vec<_> = messages.map(|message| framed(&message)).filter(takes).collect();
    assert!(taken.len() > MUTATED / 4, "only {} are requests still", taken.len());
    agree(&taken, &jars);
}
