//! The Kafka chapter of the demo: who may write and read which topics, and what happens to a running client when that
//! changes.

use portcullis_integration::{
    Error, Finished, Pod, Process, Result,
    documents::{endpoint, service},
    kafka::{Kafka, PORT, kcat, spawn_kcat},
    walkthrough::{Cluster, Manifest, NAMESPACE},
};

use crate::report::Report;

/// How clients find the broker.
const NAME: &str = "kafka-service.test-app";

/// What is to become of a client.
const TOPIC: &str = "Broker: Topic authorization failed";
const GROUP: &str = "FindCoordinator response error: Group authorization failed.";
const WRITTEN: &str = "written";
const READ: [&str; 4] = ["-C", "-t", "orders", "-e"];

/// A record that one of the clients writes, or records that it reads.
struct Client {
    pod: &'static str,
    words: &'static [&'static str],
    record: &'static str,
    outcome: &'static str,
}

const fn writes(topic: &'static [&'static str], record: &'static str, outcome: &'static str) -> Client {
    Client { pod: "producer", words: topic, record, outcome }
}

const fn reads(pod: &'static str, words: &'static [&'static str], outcome: &'static str) -> Client {
    Client { pod, words, record: "", outcome }
}

/// How a member of a group is started that reads what is there.
const MEMBER: [&str; 4] = ["-c", "2", "-X", "auto.offset.reset=earliest"];

const CLIENTS: [Client; 8] = [
    writes(&["-P", "-t", "orders"], "order 2", WRITTEN),
    writes(&["-P", "-t", "payments"], "payment 2", TOPIC),
    writes(&["-P", "-t", "drafts"], "draft 1", TOPIC),
    reads("producer", &READ, TOPIC),
    reads("consumer", &READ, "read: order 1, order 2"),
    reads("consumer", &["-C", "-t", "payments", "-e"], TOPIC),
    reads("consumer", &["-G", "billing", "orders"], "read: order 1, order 2"),
    reads("consumer", &["-G", "audit", "orders"], GROUP),
];

/// What the monitor has to say: each row is parts of one line.
const MONITORED: [&[&str]; 6] = [
    &[
        "<- kafka from test-app/producer (",
        "to test-app/kafka (",
        "allowed produce",
        "orders",
        "policy test-app/kafka-topics",
    ],
    &["xx kafka from test-app/producer (", "payments", "policy test-app/kafka-topics"],
    &["xx kafka from test-app/producer (", "drafts", "policy test-app/kafka-topics"],
    &["xx kafka from test-app/producer (", "orders", "policy test-app/kafka-topics"],
    &["xx kafka from test-app/consumer (", "payments", "policy test-app/kafka-topics"],
    &["xx kafka from test-app/consumer (", "audit", "policy test-app/kafka-topics"],
];

/// The broker and its clients. Fields drop in this order.
pub(crate) struct Shop {
    kafka: Kafka,
    v6: bool,
    producer: Pod,
    consumer: Pod,
    _broker: Pod,
}

impl Shop {
    /// Adds them to the cluster. The broker starts meanwhile.
    pub(crate) fn begin(cluster: &mut Cluster, v6: bool) -> Result<Self> {
        let lab = &mut cluster.lab;
        let [broker, producer, consumer] = [lab.pod("kafka")?, lab.pod("producer")?, lab.pod("consumer")?];
        let made = lab.service(NAME, PORT, &[&broker])?;
        let kafka = Kafka::begin(&broker, NAME)?;
        let endpoints = [&broker, &producer, &consumer].map(|pod| endpoint(NAMESPACE, pod, &[("app", &pod.name)]));
        cluster.node.apply(&[&endpoints[..], &[service(NAMESPACE, &made, &[&broker])]].concat())?;
        Ok(Self { kafka, v6, producer, consumer, _broker: broker })
    }

    /// Tells the chapter.
    pub(crate) fn tell(&mut self, report: &mut Report, cluster: &Cluster) -> Result<()> {
        let family = if self.v6 { "IPv6" } else { "IPv4" };
        report.title(&format!("{family}, step 7: Kafka, {}", Manifest::Kafka.file()));
        self.kafka.wait()?;
        report.action("the broker has the topics orders and payments, with one record each");
        self.kafka.write("orders", "order 1")?;
        self.kafka.write("payments", "payment 1")?;
        cluster.apply(Manifest::Kafka)?;
        let mut monitor = cluster.node.monitor("monitor-kafka", &["--protocol", "kafka"])?;
        for client in &CLIENTS {
            let told = self.told(client)?;
            report.compare(&self.shown(client), client.outcome, &told);
        }

        report.title(&format!(
            "{family}, step 7: who was denied, by `portcullis monitor`, and why, by `portcullis explain`"
        ));
        denied(report, &mut monitor)?;
        explained(report, cluster)?;

        report.title(&format!("{family}, step 8: {}, under a running consumer", Manifest::KafkaChanged.file()));
        self.changed(report, cluster)?;

        report.title(&format!("{family}: what arrived at the broker, by its own end offsets"));
        for (topic, records) in [("orders", "3 records"), ("payments", "1 records")] {
            report.compare(topic, records, &format!("{} records", self.kafka.end(topic)?));
        }
        let drafts = if self.kafka.topics()?.iter().any(|topic| topic == "drafts") { "there" } else { "not there" };
        report.compare("the topic drafts, which a client may have made by asking for it", "not there", drafts);
        Ok(())
    }
}

impl Shop {
    fn pod(&self, name: &str) -> &Pod {
        if name == self.producer.name { &self.producer } else { &self.consumer }
    }

    fn shown(&self, client: &Client) -> String {
        let family = if self.v6 { "v6" } else { "v4" };
        let record = if client.record.is_empty() { String::new() } else { format!(", {:?}", client.record) };
        format!("{}, {family}: kcat {}{record}", client.pod, client.words.join(" "))
    }

    /// What became of a client, in the words of what was expected where it is one of those.
    fn told(&self, client: &Client) -> Result<String> {
        let member = if client.words[0] == "-G" { &MEMBER[..] } else { &[] };
        let words = [member, client.words].concat();
        let ended = kcat(self.pod(client.pod), self.v6, NAME, &words, client.record)?;
        Ok(outcome(&ended))
    }

    /// A consumer that runs while its policy changes.
    fn changed(&self, report: &mut Report, cluster: &Cluster) -> Result<()> {
        let mut monitor = cluster.node.monitor("monitor-fetch", &["--protocol", "kafka"])?;
        let mut consumer = spawn_kcat(&self.consumer, self.v6, NAME, &["-C", "-t", "orders", "-u"])?;
        consumer.wait_for_line("order 2")?;
        report.compare("consumer: kcat -C -t orders, which goes on", "read: order 1, order 2", &read(&consumer.log()));

        cluster.apply(Manifest::KafkaChanged)?;
        consumer.wait()?;
        let said = consumer.log();
        report.compare("the same consumer, after the change", TOPIC, phrase(&said).unwrap_or(&said));
        let denied =
            monitor.until("a denied fetch", |log| fetches(log, "xx").first().map(|line| (*line).to_owned()))?;
        report.action(&denied);
        let log = monitor.log();
        let before = fetches(&log, "<-").into_iter().any(|line| connection(line) == connection(&denied));
        let same = if before { "that of allowed ones" } else { "another one" };
        report.compare("the connection of the denied fetch, by the monitor", "that of allowed ones", same);

        let (more, reader) = (writes(&["-P", "-t", "orders"], "order 3", WRITTEN), reads("consumer", &READ, TOPIC));
        for client in [more, reader] {
            report.compare(&self.shown(&client), client.outcome, &self.told(&client)?);
        }
        cluster.apply(Manifest::Kafka)?;
        let reader = reads("consumer", &READ, "read: order 1, order 2, order 3");
        report.compare(&format!("{}, after a change back", self.shown(&reader)), reader.outcome, &self.told(&reader)?);
        Ok(())
    }
}

/// The lines of a monitor's log about fetches, allowed (`<-`) or denied (`xx`).
fn fetches<'l>(log: &'l str, mark: &str) -> Vec<&'l str> {
    let begin = format!(" {mark} kafka from test-app/consumer (");
    log.lines().filter(|line| line.contains(&begin) && line.contains(" fetch ")).collect()
}

/// Address and port of the client that a line of the monitor is about.
fn connection(line: &str) -> &str {
    line.split(['(', ')']).nth(1).unwrap_or_default()
}

/// What kcat says of a broker's error.
fn phrase(said: &str) -> Option<&str> {
    let begin = |line: &str| ["Broker: ", "FindCoordinator"].iter().find_map(|begin| line.find(begin));
    said.lines().find_map(|line| begin(line).map(|at| &line[at..]))
}

/// The records in kcat's output, in which everything else begins with a percent sign.
fn read(output: &str) -> String {
    let records: Vec<&str> = output.lines().filter(|line| !line.starts_with('%')).collect();
    format!("read: {}", records.join(", "))
}

fn outcome(ended: &Finished) -> String {
    match (ended.code, phrase(&ended.stderr)) {
        (Some(0), None) if ended.stdout.is_empty() => WRITTEN.to_owned(),
        (Some(0), None) => read(&ended.stdout),
        (_, Some(error)) => error.to_owned(),
        (code, None) => format!("kcat exit {code:?}: {}{}", ended.stdout, ended.stderr),
    }
}

/// Prints the monitor's lines about denials and looks for each expected one.
fn denied(report: &mut Report, monitor: &mut Process) -> Result<()> {
    let is = |line: &str, parts: &[&str]| parts.iter().all(|part| line.contains(part));
    let all = |log: &str| MONITORED.iter().all(|parts| log.lines().any(|line| is(line, parts))).then_some(());
    if let Err(error @ Error::Interrupted) = monitor.until("a line for each verdict", all) {
        return Err(error);
    }
    let log = monitor.log();
    log.lines().filter(|line| line.contains(" xx ")).for_each(|line| report.action(line));
    for parts in MONITORED {
        let seen = log.lines().any(|line| is(line, parts));
        report.compare(&format!("a line with {}", parts.join(" ... ")), "seen", if seen { "seen" } else { "not seen" });
    }
    Ok(())
}

/// Asks the node itself about an allowed and about a denied request.
fn explained(report: &mut Report, cluster: &Cluster) -> Result<()> {
    const FLOW: &str = "explain --direction ingress --endpoint app=kafka -n test-app --port 9092/TCP --kafka produce --peer app=producer";
    for (topic, expected) in [("orders", "ALLOWED at L7"), ("payments", "DENIED at L7")] {
        let words: Vec<&str> = FLOW.split(' ').chain(["--topic", topic]).collect();
        let told = cluster.node.cli(&words)?.stdout;
        told.lines().for_each(|line| report.action(line));
        let verdict = told.split(" (").next().unwrap_or_default();
        report.compare(
            &format!("portcullis explain ... --kafka produce --peer app=producer --topic {topic}"),
            expected,
            verdict,
        );
    }
    Ok(())
}
