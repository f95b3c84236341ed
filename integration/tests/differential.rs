//! Agreement with Cilium: the engine of `portcullis explain` gives the same answers as Cilium's own engine, which are recorded
//! in `differential/`.
#![allow(missing_docs)]

use std::{
    collections::BTreeMap,
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use portcullis_integration::need::{Need, require};
use serde_json::{Value, json};

/// The program that answers: the engine of `portcullis explain`, asked line by line (`corpus/`).
const CORPUS: &str = "portcullis-corpus";
/// Cases of all recordings together; a recording that is lost is no agreement.
const CASES: usize = 60_000;
/// Disagreements that are shown.
const SHOWN: usize = 5;

/// One recorded case.
struct Case {
    /// The line that [`CORPUS`] reads.
    question: Value,
    /// What Cilium answered.
    recorded: Value,
}

fn recordings() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("differential");
    let entries = fs::read_dir(folder).expect("the recordings").map(|entry| entry.expect("a file").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "gz")).collect();
    files.sort();
    files
}

/// Takes a recording apart: cases that share their policies stand together.
fn read(recording: &Path) -> Vec<Case> {
    let unpacked = Command::new("gzip").arg("-dc").arg(recording).output().expect("gzip starts");
    assert!(unpacked.status.success(), "{}: {}", recording.display(), String::from_utf8_lossy(&unpacked.stderr));
    let text = String::from_utf8(unpacked.stdout).expect("UTF-8");
    text.lines().flat_map(|line| group(&serde_json::from_str(line).expect("JSON"))).collect()
}

fn group(group: &Value) -> Vec<Case> {
    let policy = group["policies"].to_string();
    let case = |recorded: &Value| {
        let mut input = recorded["input"].clone();
        input["namespaces"] = group["namespaces"].clone();
        Case { question: json!({ "id": recorded["id"], "policy": policy, "input": input }), recorded: recorded.clone() }
    };
    group["cases"].as_array().expect("cases").iter().map(case).collect()
}

/// What decides, for comparison: the verdict, what the datapath does, and which proxy is asked.
fn decisive(answer: &Value, verdict: &str) -> [Value; 3] {
    [answer[verdict].clone(), answer["l34"].clone(), answer["l7"].clone()]
}

/// Asks all questions of one recording; tells the disagreements.
fn disagreements(cases: &[Case], name: &str) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let questions: String = cases.iter().map(|case| format!("{}\n", case.question)).collect();
    fs::write(file.path(), questions).expect("it can be written");
    let program = portcullis_integration::node::built(CORPUS).expect("it is built");
    let output = Command::new(program).arg(file.path()).output().expect("it starts");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(answers.len(), cases.len(), "{name}: an answer for each question");
    let differ = |(case, answer): (&Case, &Value)| {
        assert_eq!(case.recorded["id"], answer["id"], "{name}: answers in the order of the questions");
        let same = decisive(&case.recorded, "expect") == decisive(answer, "verdict");
        (!same).then(|| format!("{}\n  Cilium: {}\n  ours:   {answer}", case.question, case.recorded))
    };
    cases.iter().zip(&answers).filter_map(differ).collect()
}

/// Holds that nothing of one recording is answered in another way; tells the number of its cases.
fn agrees(recording: &Path) -> usize {
    let cases = read(recording);
    let name = recording.display().to_string();
    let found = disagreements(&cases, &name);
    let shown = found[..found.len().min(SHOWN)].join("\n");
    assert!(found.is_empty(), "{name}: {} of {} cases differ:\n{shown}", found.len(), cases.len());
    cases.len()
}

#[test]
fn every_recorded_answer_of_cilium_is_ours() {
    if !require(&[Need::Built(CORPUS), Need::Program("gzip")]) {
        return;
    }
    let recordings = recordings();
    let at_once = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut asked = 0;
    for some in recordings.chunks(at_once) {
        // A panic in a thread is the test's.
        asked += thread::scope(|scope| {
            let running: Vec<_> = some.iter().map(|recording| scope.spawn(|| agrees(recording))).collect();
            running.into_iter().map(|thread| thread.join().expect("agreement")).sum::<usize>()
        });
    }
    assert_eq!(asked, CASES, "recorded cases");
}

#[test]
fn the_recordings_tell_of_every_protocol_and_every_verdict() {
    if !require(&[Need::Program("gzip")]) {
        return;
    }
    let mut counted: BTreeMap<[String; 3], usize> = BTreeMap::new();
    for case in recordings().iter().flat_map(|recording| read(recording)) {
        *counted.entry(decisive(&case.recorded, "expect").map(|value| value.to_string())).or_default() += 1;
    }
    let of = |verdict: &str, l34: &str, l7: &str| {
        let key = [json!(verdict), json!(l34), if l7.is_empty() { Value::Null } else { json!(l7) }];
        counted.get(&key.map(|value| value.to_string())).copied().unwrap_or_default()
    };
    for (verdict, l34, l7) in [
        ("deny", "denied", ""),
        ("allow", "allowed", ""),
        ("allow", "redirected", "http"),
        ("deny", "redirected", "http"),
        ("allow", "redirected", "dns"),
        ("deny", "redirected", "dns"),
        ("allow", "redirected", "tls"),
        ("deny", "redirected", "tls"),
    ] {
        assert!(of(verdict, l34, l7) > 1_000, "{verdict} {l34} {l7}: {counted:?}");
    }
}
