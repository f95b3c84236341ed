//! Third-party clients, each a process that executes one command per line.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    time::Duration,
};

use portcullis_integration::{Pod, kafka::cache};
use serde_json::{Value, json};

use crate::{
    broker::{Version, java},
    within,
};

/// Longer than the clients' own patience with a broker.
const ANSWER: Duration = Duration::from_secs(90);

/// A program that was started in a pod. Killed when dropped.
pub(crate) struct Client {
    name: String,
    process: Child,
    input: ChildStdin,
    output: PathBuf,
    errors: PathBuf,
    heard: usize,
}

impl Client {
    /// Kafka's own clients.
    pub(crate) fn java(pod: &Pod, bootstrap: &str) -> Self {
        Self::java_named(pod, "java", bootstrap)
    }

    /// One more in the same pod.
    pub(crate) fn java_named(pod: &Pod, name: &str, bootstrap: &str) -> Self {
        let jars = Version::Current.jars();
        let classes = format!("{}:{}", cache().join("kafka/client").display(), jars.join("*").display());
        let quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn";
        Self::start(pod, name, &java(&classes, "-Xmx160m", &[quiet, "KafkaClient", bootstrap]))
    }

    /// One of those of Python, by the name of its library.
    pub(crate) fn python(pod: &Pod, library: &str, bootstrap: &str) -> Self {
        let python = cache().join("venv/bin/python3").display().to_string();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/kafka_client.py").display().to_string();
        Self::start(pod, library, &[&python, &program, library, bootstrap])
    }

    fn start(pod: &Pod, name: &str, words: &[&str]) -> Self {
        let file = |kind: &str| pod.directory().join(format!("{name}.{kind}"));
        let (output, errors) = (file("out"), file("err"));
        let mut command = pod.command(words);
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::piped());
        command.stdout(File::create(&output).unwrap()).stderr(File::create(&errors).unwrap());
        let mut process = command.spawn().unwrap();
        let input = process.stdin.take().unwrap();
        Self { name: format!("{name} in {}", pod.name), process, input, output, errors, heard: 0 }
    }

    /// Has it begin with something.
    pub(crate) fn tell(&mut self, command: &Value) {
        writeln!(self.input, "{command}").unwrap_or_else(|error| panic!("{error}: {}", self.said()));
    }

    /// Waits for its next answer.
    pub(crate) fn hear(&mut self) -> Value {
        let what = format!("an answer of {}", self.name);
        let answer = within(ANSWER, &what, || {
            let all = fs::read_to_string(&self.output).unwrap();
            if let Some(line) = all.split_inclusive('\n').nth(self.heard).filter(|line| line.ends_with('\n')) {
                return Some(Ok(line.to_owned()));
            }
            self.process.try_wait().unwrap().map(Err)
        });
        let line = answer.unwrap_or_else(|status| panic!("{} ended with {status}: {}", self.name, self.said()));
        self.heard += 1;
        serde_json::from_str(&line).unwrap()
    }

    /// Has it do something and waits for the answer.
    pub(crate) fn ask(&mut self, command: &Value) -> Value {
        self.tell(command);
        self.hear()
    }

    /// What it wrote beside its answers.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// Sends records; the outcome of each.
    pub(crate) fn produce(&mut self, records: &[(&str, &str)]) -> Value {
        self.produce_with(records, &json!({}))
    }

    pub(crate) fn produce_with(&mut self, records: &[(&str, &str)], config: &Value) -> Value {
        let answer = self.ask(&json!({ "do": "produce", "records": records, "config": config }));
        answer.get("outcomes").cloned().unwrap_or(answer)
    }

    /// Makes a member of a group, which reads from the beginning.
    pub(crate) fn subscribe(&mut self, name: &str, group: &str, topics: &[&str], config: &Value) -> Value {
        self.ask(&json!({ "do": "subscribe", "name": name, "group": group, "topics": topics, "config": config }))
    }

    /// Reads until there are so many records or something fails.
    pub(crate) fn poll(&mut self, name: &str, count: usize) -> Value {
        self.ask(&json!({ "do": "poll", "name": name, "count": count }))
    }

    /// Reads for some time.
    pub(crate) fn poll_for(&mut self, name: &str, time: Duration) -> Value {
        self.ask(&json!({ "do": "poll", "name": name, "millis": u64::try_from(time.as_millis()).unwrap() }))
    }

    /// Asks for something that has only a name.
    pub(crate) fn simple(&mut self, what: &str, name: &str) -> Value {
        self.ask(&json!({ "do": what, "name": name }))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
