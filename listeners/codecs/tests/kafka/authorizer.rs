//! A real broker as the oracle for denials. Its authorizer denies everything to clients without a name, and each
//! request in each version must get the same bytes from the broker and from us.

use std::{
    env, fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use portcullis_codecs::kafka::{
    Walk, WalkEvent,
    denial::{KafkaDenial, PartialTopic, deny, divide, merge},
    layout::{self, FieldMeaning},
};

use crate::{message, oracle::framed, sample::Sample, walking::requests};

/// How long a broker may take to start, and to answer.
const START: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(3);

/// The jars of a broker, where the set-up has put them. What is missing is said loudly, or is a failure.
fn jars() -> Option<PathBuf> {
    let home = env::var("HOME").unwrap_or_default();
    let cache = env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    let jars = Path::new(&cache).join("portcullis/kafka/jars");
    let java = Command::new("java").arg("-version").stderr(Stdio::null()).status();
    let broker = fs::read_dir(&jars)
        .is_ok_and(|files| files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("kafka_2.13-")));
    if broker && java.is_ok_and(|status| status.success()) {
        return Some(jars);
    }
    let message = format!("this machine lacks Java, or a broker in {}: run deploy/setup.sh test", jars.display());
    let strict = env::var_os("PORTCULLIS_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!strict, "{message} (PORTCULLIS_REQUIRE_ALL=1 makes this a failure)");
    // Straight to the stream: the test harness hides what a passing test prints.
    let _ = writeln!(std::io::stderr(), "SKIPPED {}: {message}", thread::current().name().unwrap_or("a test"));
    None
}

/// A broker that ends with the test.
struct Broker {
    process: Child,
    /// For clients without a name, to whom all is denied.
    clients: u16,
    /// For itself and whoever knows the secret.
    trusted: u16,
    folder: tempfile::TempDir,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Until a process that says nothing has got further.
fn pause() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(100)).await });
}

fn free_ports<const N: usize>() -> [u16; N] {
    let all = std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
    all.map(|listener: TcpListener| listener.local_addr().expect("its address").port())
}

fn properties(clients: u16, trusted: u16, controller: u16, logs: &Path) -> String {
    let login = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"broker\" \
                 password=\"secret\" user_broker=\"secret\";";
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=CLIENT://127.0.0.1:{clients},BROKER://127.0.0.1:{trusted},CONTROLLER://127.0.0.1:{controller}\n\
         listener.security.protocol.map=CLIENT:PLAINTEXT,BROKER:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT\n\
         controller.listener.names=CONTROLLER\ninter.broker.listener.name=BROKER\nsasl.enabled.mechanisms=PLAIN\n\
         sasl.mechanism.inter.broker.protocol=PLAIN\nsasl.mechanism.controller.protocol=PLAIN\n\
         listener.name.broker.plain.sasl.jaas.config={login}\nlistener.name.controller.plain.sasl.jaas.config={login}\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\nsuper.users=User:broker\n\
         log.dirs={}\n",
        logs.display()
    )
}

fn java(jars: &Path, class: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp"]).arg(jars.join("*")).arg(class);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Broker {
    fn start(jars: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [clients, trusted, controller] = free_ports();
        let file = folder.path().join("server.properties");
        fs::write(&file, properties(clients, trusted, controller, &folder.path().join("logs"))).expect("a file");
        let mut format = java(jars, "kafka.tools.StorageTool");
        let format = format.args(["format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"]).arg(&file).status();
        assert!(format.is_ok_and(|status| status.success()), "the storage is formatted");
        let process = java(jars, "kafka.Kafka").arg(&file).spawn().expect("Java starts");
        let mut broker = Self { process, clients, trusted, folder };
        let deadline = Instant::now() + START;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, clients)).is_err() {
            assert!(broker.process.try_wait().is_ok_and(|end| end.is_none()), "the broker ended");
            assert!(Instant::now() < deadline, "the broker did not start in {}", broker.folder.path().display());
            pause();
        }
        broker
    }

    /// Makes topics with two partitions each; their ids, in the order of the names.
    fn create(&self, names: &[&str]) -> Vec<[u8; 16]> {
        let mut stream = connect(self.trusted);
        for frame in [message::handshake(1, 1), authenticate()] {
            stream.write_all(&frame).expect("it is taken");
            read(&mut stream).expect("an answer");
        }
        let topic = |name: &&str| {
            let length = u8::try_from(name.len() + 1).expect("a short name");
            // Two partitions of one replica, no assignments, configurations, tags.
            [&[length], name.as_bytes(), &[0, 0, 0, 2, 0, 1, 1, 1, 0]].concat()
        };
        let topics = names.iter().flat_map(topic).collect();
        let count = u8::try_from(names.len() + 1).expect("few");
        let body = [vec![count], topics, 10_000_i32.to_be_bytes().to_vec(), vec![0, 0]].concat();
        stream.write_all(&message::request(2, 19, 7, &body)).expect("it is taken");
        let answer = read(&mut stream).expect("an answer");
        let mut found = Vec::new();
        let layout = layout::response(19).expect("it is read");
        let mut walk = Walk::response(layout, 7, answer.len());
        let walked = walk.walk(&answer, 0, &mut |event| {
            if let WalkEvent::Value { meaning: FieldMeaning::TopicId, span, .. } = event {
                found.push(answer[span].try_into().expect("an id"));
            }
        });
        assert!(walked.is_ok() && found.len() == names.len() && !found.contains(&[0; 16]), "{}", answer.escape_ascii());
        found
    }

    /// Allows clients without a name all about one topic, and about the groups and transactions of samples.
    fn allow(&self, topic: &str) {
        let mut stream = connect(self.trusted);
        for frame in [message::handshake(1, 1), authenticate()] {
            stream.write_all(&frame).expect("it is taken");
            read(&mut stream).expect("an answer");
        }
        let text = |text: &str| [&[u8::try_from(text.len() + 1).expect("a short one")], text.as_bytes()].concat();
        // A topic, a group and a transactional id; by the whole name; all operations are allowed.
        let creations = [(2, topic), (3, "some0"), (5, "some0")].map(|(kind, name)| {
            [vec![kind], text(name), vec![3], text("User:ANONYMOUS"), text("*"), vec![2, 3, 0]].concat()
        });
        let body = [&[4][..], &creations.concat(), &[0]].concat();
        stream.write_all(&message::request(2, 30, 3, &body)).expect("it is taken");
        let answer = read(&mut stream).expect("an answer");
        assert!(answer.ends_with(&[4, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0]), "{}", answer.escape_ascii());
    }

    /// Waits until it has heard of topics from its controller.
    fn wait_until_known(&self, topics: &[(&str, [u8; 16])]) {
        let frame = Sample { topics, kind: 2, entries: 1, nulls: false, by_id: true }.frame(3, 12);
        let deadline = Instant::now() + START;
        while self.ask(&frame).map(|it| compared(3, 12, it)) != ours(&frame).map(|it| compared(3, 12, it)) {
            assert!(Instant::now() < deadline, "the broker does not hear of topics");
            pause();
        }
    }

    /// What it answers; `None` if it closes the connection, or does not answer.
    fn ask(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let mut stream = connect(self.clients);
        stream.write_all(frame).expect("it is taken");
        read(&mut stream)
    }
}

fn authenticate() -> Vec<u8> {
    let tokens = b"\0broker\0secret";
    let length = u8::try_from(tokens.len() + 1).expect("a short one");
    message::request(2, 36, 2, &[&[length], &tokens[..], &[0]].concat())
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    stream.set_read_timeout(Some(ANSWER)).expect("a timeout");
    stream
}

/// One frame, its length included.
fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut message).ok()?;
    Some(framed(&message))
}

/// What we answer.
fn ours(frame: &[u8]) -> Option<Vec<u8>> {
    let (key, version) = (i16::from_be_bytes([frame[4], frame[5]]), i16::from_be_bytes([frame[6], frame[7]]));
    let mut out = Vec::new();
    let layout = layout::request(key).expect("there is such a request");
    let denial = deny(layout, version, frame, &mut out).unwrap_or_else(|wrong| panic!("{wrong:?}: {key} v{version}"));
    (denial == KafkaDenial::Answered).then_some(out)
}

/// Where a broker's answer is another one, and why. All versions but those that are named.
const DIFFERENCES: [(&[i16], &str); 3] = [
    (&[17, 18, 36], "nobody is denied these"),
    (&[38, 39, 40, 41], "64: on a listener without authentication there are no tokens, whoever asks"),
    (&[60, 71, 72], "its authorizer has no say in these"),
];
/// It answers these in the order of a hash table, and puts what belongs together into one entry.
const UNORDERED: [i16; 8] = [0, 19, 20, 21, 27, 37, 51, 75];

/// What a controller says of a denial, which no client has ever been able to read, in the words of the error code.
fn plain(mut answer: Vec<u8>, flexible: bool) -> Vec<u8> {
    const BEGIN: &[u8] = b"Request Request(";
    const PLAIN: &[u8] = b"Cluster authorization failed.";
    while let Some(at) = answer.windows(BEGIN.len()).position(|window| window == BEGIN) {
        let [high, low] = [answer[at - 2], answer[at - 1]].map(usize::from);
        let length = if flexible { (high & 0x7f | low << 7) - 1 } else { high << 8 | low };
        let prefix: &[u8] = if flexible { &[30] } else { &[0, 29] };
        answer.splice(at - 2..at + length, [prefix, PLAIN].concat());
    }
    framed(&answer[4..])
}

/// From where on an answer is compared: for Metadata behind the brokers, of which only a broker knows.
fn compared(key: i16, version: i16, answer: Vec<u8>) -> Vec<u8> {
    let flexible = layout::request(key).is_some_and(|layout| layout.flexible.contains(version));
    let answer = plain(answer, flexible);
    let mut from = 0;
    if key == 3 {
        let layout = layout::response(3).expect("it is read");
        let mut visit = |event: WalkEvent<'_>| {
            if let WalkEvent::List { meaning: FieldMeaning::Topics, span, .. } = event {
                from = span.start;
            }
        };
        Walk::response(layout, version, answer.len()).walk(&answer, 0, &mut visit).expect("a valid answer");
    }
    answer[from..].to_vec()
}

/// What it says of the one refused topic of two, in its own order, is what we would put in front.
fn divides(broker: &Broker, topics: &[(&str, [u8; 16])]) {
    broker.allow(topics[0].0);
    let (name, id) = topics[1];
    let refuse =
        |topic: PartialTopic<'_>| topic == PartialTopic::Name(name.as_bytes()) || topic == PartialTopic::Id(id);
    let mut same = 0;
    // OffsetFetch is not among them: while a group has no coordinator, that is said of all its topics.
    for (key, version) in requests().filter(|(key, _)| [1, 2, 3, 8, 21, 23, 28].contains(key)) {
        let layout = layout::request(key).expect("there is such a request");
        let frame = Sample { topics, kind: 2, entries: 1, nulls: false, by_id: false }.frame(key, version);
        let partial = divide(layout, version, &frame, &refuse).expect("a valid request").expect("divisible");
        let deadline = Instant::now() + START;
        loop {
            let answer = broker.ask(&frame).expect("an answer");
            let merged = broker.ask(&partial.request).and_then(|of| merge(key, version, &of, &partial).ok().flatten());
            let is_in = answer.windows(partial.entries.len()).any(|window| window == partial.entries);
            if is_in && merged.is_some_and(|merged| merged.len() == answer.len()) {
                break;
            }
            let (entries, answer) = (partial.entries.escape_ascii(), answer.escape_ascii());
            assert!(same == 0 && Instant::now() < deadline, "{key} v{version}: {entries} is not in {answer}");
            // It has not heard of what is allowed.
            pause();
        }
        same += 1;
    }
    assert!(same > 50, "only {same} were compared");
}

/// The requests of a kind and version that are compared.
fn samples<'t>(key: i16, version: i16, topics: &'t [(&'t str, [u8; 16])]) -> Vec<Sample<'t>> {
    let many = if UNORDERED.contains(&key) { 1 } else { 2 };
    let plain = Sample { topics: &topics[..many], kind: 2, entries: many, nulls: false, by_id: false };
    let mut samples = vec![];
    match (key, version) {
        // The transaction coordinator's keys are known from version 1 on; those of share groups are of brokers only.
        (10, 0) => samples.push(Sample { kind: 0, ..plain }),
        (10, _) => samples.extend([Sample { kind: 0, ..plain }, Sample { kind: 1, ..plain }]),
        // The cluster has one broker.
        (32, _) => samples.extend([Sample { kind: 4, entries: 1, ..plain }, Sample { kind: 32, ..plain }]),
        (33 | 44, _) => samples.extend([Sample { kind: 4, entries: 1, ..plain }, Sample { kind: 32, ..plain }]),
        // An id alone is taken from there on.
        (3, 12..) | (20, 6..) => samples.push(Sample { by_id: true, ..plain }),
        _ => {}
    }
    match (key, version) {
        // Other errors come first.
        (10 | 78 | 79, _) | (14, 5) | (20, 6) => {}
        // A broker never answers at all.
        (50, _) => {}
        _ => samples.push(Sample { nulls: true, ..plain }),
    }
    if key != 10 {
        samples.push(plain);
    }
    samples
}

#[test]
fn a_broker_denies_in_the_same_bytes() {
    let Some(jars) = jars() else { return };
    let broker = Broker::start(&jars);
    let names = ["orders", "payments"];
    let ids = broker.create(&names);
    let topics: Vec<_> = names.into_iter().zip(ids).collect();
    broker.wait_until_known(&topics);
    let (mut same, mut wrong) = (0, Vec::new());
    for (key, version) in requests() {
        if DIFFERENCES.iter().any(|(keys, _)| keys.contains(&key)) {
            continue;
        }
        for sample in samples(key, version, &topics) {
            let frame = sample.frame(key, version);
            let theirs = broker.ask(&frame).map(|it| compared(key, version, it));
            let ours = ours(&frame).map(|it| compared(key, version, it));
            if theirs == ours {
                same += 1;
                continue;
            }
            let shown = |it: Option<Vec<u8>>| it.map_or("nothing".to_owned(), |it| it.escape_ascii().to_string());
            let (theirs, ours) = (shown(theirs), shown(ours));
            wrong.push(format!("{key} v{version} {sample:?}\n  theirs {theirs}\n  ours   {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), wrong.len() + same, wrong.join("\n"));
    assert!(same > 500, "only {same} were compared");
    divides(&broker, &topics);
}
