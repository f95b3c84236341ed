//! Fetch sessions (KIP-227): a client states once what it reads, and afterwards only the changes.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    authorizer,
    broker::{Broker, soon},
    java::{all, both},
    scene::{Scene, Story},
    wire::{Connection, Reader, Writer, batch, records},
};

pub(crate) const PODS: [&str; 5] = ["long", "cached", "owner", "thief", "guess"];

pub(crate) const STORIES: [Story<Scene>; 3] = [
    ("an id that somebody knows gives no right", an_id_that_somebody_knows_gives_no_right),
    ("what a session has is judged at every fetch", what_a_session_has_is_judged_at_every_fetch),
    ("a session is of its connection", a_session_is_of_its_connection),
];

pub(crate) const LONG: Story<Scene> = ("a long session reads each record once", a_long_session_reads_each_record_once);

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const TOPIC_DENIED: i16 = 29;
const NO_SUCH_SESSION: i16 = 70;

/// A topic as one of the two layouts says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    Name(String),
    Id([u8; 16]),
}

/// The id of a topic, asked past the node.
fn id(broker: &Broker, topic: &str) -> [u8; 16] {
    let body = Writer::default().compact(1).raw(&[0; 16]).compact(topic.len()).raw(topic.as_bytes()).raw(&[0, 0, 0, 0]);
    let answer = broker.connect().ask(3, 12, true, &body).unwrap();
    // Behind its name.
    let at = answer.windows(topic.len()).position(|window| window == topic.as_bytes()).unwrap() + topic.len();
    answer[at..at + 16].try_into().unwrap()
}

/// What one fetch told of a partition.
#[derive(Debug)]
struct Told {
    topic: Topic,
    error: i16,
    records: Vec<u8>,
}

/// A client of fetches.
struct Session {
    connection: Connection,
    by_id: bool,
    id: i32,
    epoch: i32,
    /// What it has said that it reads, and from where on.
    reads: BTreeMap<Topic, i64>,
}

impl Session {
    fn open(to: SocketAddr, by_id: bool) -> Self {
        Self { connection: Connection::open(to).unwrap(), by_id, id: 0, epoch: 0, reads: BTreeMap::new() }
    }

    /// Fetches what changed, and begins anew where there is no session any more, as clients do.
    fn go_on(&mut self, topics: &[(Topic, i64)], forgotten: &[Topic], wait: i32) -> Vec<Told> {
        self.reads.extend(topics.iter().cloned());
        self.reads.retain(|topic, _| !forgotten.contains(topic));
        let mut answer = self.fetch(topics, forgotten, wait);
        if answer.0 == NO_SUCH_SESSION {
            (self.id, self.epoch) = (0, 0);
            let all: Vec<_> = self.reads.iter().map(|(topic, from)| (topic.clone(), *from)).collect();
            answer = self.fetch(&all, &[], wait);
        }
        assert_eq!(answer.0, 0, "{:?}", answer.1);
        answer.1
    }

    /// Fetches what changed, of partition 0 of topics from these offsets on; the error of the whole, and what it told.
    fn fetch(&mut self, topics: &[(Topic, i64)], forgotten: &[Topic], wait: i32) -> (i16, Vec<Told>) {
        let version = if self.by_id { 16 } else { 11 };
        let body = if self.by_id { self.tagged(topics, forgotten, wait) } else { self.plain(topics, forgotten, wait) };
        let answer = self.connection.ask(FETCH, version, self.by_id, &body).unwrap();
        let mut answer = Reader(&answer);
        answer.i32();
        let (error, session) = (answer.i16(), answer.i32());
        let told = if self.by_id { tagged_answer(&mut answer) } else { plain_answer(&mut answer) };
        if error == 0 {
            (self.id, self.epoch) = (session, self.epoch + 1);
        }
        (error, told)
    }

    fn plain(&self, topics: &[(Topic, i64)], forgotten: &[Topic], wait: i32) -> Writer {
        let name = |topic: &Topic| match topic {
            Topic::Name(name) => name.clone(),
            Topic::Id(_) => panic!("an id in a layout of names"),
        };
        // A replica's number, times, sizes, isolation.
        let body = Writer::default().i32(-1).i32(wait).i32(1).i32(1 << 20).i8(0).i32(self.id).i32(self.epoch);
        let body = topics.iter().fold(body.count(topics.len()), |body, (topic, from)| {
            body.text(&name(topic)).count(1).i32(0).i32(-1).i64(*from).i64(-1).i32(1 << 20)
        });
        let body = body.count(forgotten.len());
        forgotten.iter().fold(body, |body, topic| body.text(&name(topic)).count(1).i32(0)).text("")
    }

    fn tagged(&self, topics: &[(Topic, i64)], forgotten: &[Topic], wait: i32) -> Writer {
        let id = |topic: &Topic| match topic {
            Topic::Id(id) => *id,
            Topic::Name(_) => panic!("a name in a layout of ids"),
        };
        let body = Writer::default().i32(wait).i32(1).i32(1 << 20).i8(0).i32(self.id).i32(self.epoch);
        let body = topics.iter().fold(body.compact(topics.len()), |body, (topic, from)| {
            let partition = body.raw(&id(topic)).compact(1).i32(0).i32(-1).i64(*from).i32(-1).i64(-1).i32(1 << 20);
            partition.raw(&[0, 0])
        });
        let body = body.compact(forgotten.len());
        let body = forgotten.iter().fold(body, |body, topic| body.raw(&id(topic)).compact(1).i32(0).raw(&[0]));
        // No rack, no tags.
        body.compact(0).raw(&[0])
    }
}

fn plain_answer(answer: &mut Reader<'_>) -> Vec<Told> {
    let mut told = Vec::new();
    for _ in 0..answer.count() {
        let topic = Topic::Name(answer.text());
        for _ in 0..answer.count() {
            answer.i32();
            let error = answer.i16();
            answer.raw(3 * 8);
            for _ in 0..answer.count() {
                answer.raw(16);
            }
            answer.i32();
            let size = answer.count();
            told.push(Told { topic: topic.clone(), error, records: answer.raw(size).to_vec() });
        }
    }
    told
}

fn tagged_answer(answer: &mut Reader<'_>) -> Vec<Told> {
    let mut told = Vec::new();
    for _ in 0..answer.compact() {
        let topic = Topic::Id(answer.raw(16).try_into().unwrap());
        for _ in 0..answer.compact() {
            answer.i32();
            let error = answer.i16();
            answer.raw(3 * 8);
            for _ in 0..answer.compact() {
                answer.raw(16);
                answer.tags();
            }
            answer.i32();
            let size = answer.compact();
            told.push(Told { topic: topic.clone(), error, records: answer.raw(size).to_vec() });
            answer.tags();
        }
        answer.tags();
    }
    told
}

fn address(broker: &Broker) -> SocketAddr {
    broker.bootstrap().parse().unwrap()
}

/// Both layouts: with names, and with ids.
fn topics<const N: usize>(broker: &Broker, names: [&str; N], by_id: bool) -> [Topic; N] {
    names.map(|name| if by_id { Topic::Id(id(broker, name)) } else { Topic::Name(name.to_owned()) })
}

fn what_a_session_has_is_judged_at_every_fetch(scene: &Scene) {
    let broker = scene.broker();
    let names = ["cached-kept", "cached-lost"];
    broker.create(&names);
    let mut written = 0;
    for by_id in [false, true] {
        let rules = all([both("cached-kept"), both("cached-lost")]);
        scene.allow("cached", &rules);
        let [kept, lost] = topics(broker, names, by_id);
        let mut session = scene.pod("cached").inside(|| Session::open(address(broker), by_id));
        session.go_on(&[(kept.clone(), written), (lost.clone(), written)], &[], 0);
        assert_ne!(session.id, 0);
        assert!(session.go_on(&[], &[], 0).is_empty(), "nothing has changed");

        scene.allow("cached", &both("cached-kept"));
        for name in names {
            broker.write(name, &format!("r{written}"));
        }
        for _ in 0..4 {
            let told = session.go_on(&[(kept.clone(), written)], &[], 0);
            let of_lost: Vec<_> = told.iter().filter(|one| one.topic == lost).collect();
            assert_eq!(of_lost.len(), 1, "{told:?}");
            assert!(of_lost[0].error == TOPIC_DENIED && of_lost[0].records.is_empty(), "{told:?}");
            let of_kept = told.iter().find(|one| one.topic == kept).unwrap();
            assert_eq!(records(&of_kept.records, written).0, [format!("r{written}")]);
        }

        scene.allow("cached", &rules);
        let told = soon("what was withheld", || {
            let told = session.go_on(&[(kept.clone(), written + 1)], &[], 0);
            told.into_iter().find(|one| one.topic == lost && one.error == 0)
        });
        assert_eq!(records(&told.records, written).0, [format!("r{written}")]);
        // What is forgotten is told no more.
        session.go_on(&[], std::slice::from_ref(&lost), 0);
        broker.write(names[1], "forgotten");
        broker.write(names[0], "forgotten");
        let told = session.go_on(&[], &[], 500);
        assert!(told.iter().all(|one| one.topic == kept) && told.len() == 1, "{told:?}");
        written += 2;
    }
}

/// Nobody has learned the node these ids, and the client asks for nothing before.
fn an_id_that_somebody_knows_gives_no_right(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["guess", "guess-secret"]);
    broker.write("guess-secret", "s");
    scene.allow("guess", &both("guess"));
    let [open, secret] = ["guess", "guess-secret"].map(|topic| id(broker, topic));
    let batch = batch("x");
    let topic =
        |body: Writer, id: &[u8; 16]| body.raw(id).compact(1).i32(0).compact(batch.len()).raw(&batch).raw(&[0, 0]);
    let body = Writer::default().raw(&[0]).i16(-1).i32(10_000).compact(2);
    let body = topic(topic(body, &secret), &open).raw(&[0]);
    let mut connection = scene.pod("guess").inside(|| Connection::open(address(broker)).unwrap());
    let answer = connection.ask(PRODUCE, 13, true, &body).unwrap();
    for (id, error) in [(open, 0), (secret, TOPIC_DENIED)] {
        let told = Writer::default().raw(&id).compact(1).i32(0).i16(error).0;
        assert!(answer.windows(told.len()).any(|window| window == told), "{error}: {}", answer.escape_ascii());
    }
    assert_eq!((broker.end("guess"), broker.end("guess-secret")), (Some(1), Some(1)));

    let mut session = scene.pod("guess").inside(|| Session::open(address(broker), true));
    let told = session.go_on(&[(Topic::Id(secret), 0), (Topic::Id(open), 0)], &[], 0);
    let of = |id| told.iter().find(|one| one.topic == Topic::Id(id)).unwrap();
    assert_eq!((of(secret).error, of(secret).records.len()), (TOPIC_DENIED, 0));
    assert_eq!(records(&of(open).records, 0).0, ["x"]);
}

/// A broker takes the number of a session from whoever says it.
fn a_session_is_of_its_connection(scene: &Scene) {
    let broker = scene.broker();
    let names = ["owned", "owned-secret"];
    broker.create(&names);
    scene.allow("owner", &all(names.map(both)));
    scene.allow("thief", &both("owned"));
    for by_id in [false, true] {
        let [open, secret] = topics(broker, names, by_id);
        let mut owner = scene.pod("owner").inside(|| Session::open(address(broker), by_id));
        assert_eq!(owner.fetch(&[(open.clone(), 0), (secret.clone(), 0)], &[], 0).0, 0);
        broker.write("owned-secret", "s");
        let mut thief = scene.pod("thief").inside(|| Session::open(address(broker), by_id));
        thief.id = owner.id;
        thief.epoch = owner.epoch;
        let (error, told) = thief.fetch(&[], &[], 0);
        assert!(told.iter().all(|one| one.records.is_empty()), "{error} {told:?}");
        if !authorizer::judges() {
            assert_eq!((error, told.len()), (NO_SUCH_SESSION, 0));
        }
        // Nobody has taken it from its owner.
        let (error, told) = owner.fetch(&[], &[], 0);
        if !authorizer::judges() {
            assert!(error == 0 && told.len() == 1 && told[0].topic == secret, "{error} {told:?}");
        }
    }
}

/// Many fetches of one session: each record once, and the node takes no more memory for it.
fn a_long_session_reads_each_record_once(scene: &Scene) {
    const FETCHES: usize = 12_000;
    const WARM: usize = 2_000;
    const EVERY: usize = 20;
    /// They take three seconds.
    const LONGEST: Duration = Duration::from_secs(60);
    let broker = scene.broker();
    for by_id in [false, true] {
        let names = if by_id { ["long-a2", "long-b2", "long-c2"] } else { ["long-a1", "long-b1", "long-c1"] };
        broker.create(&names);
        scene.allow("long", &all(names.map(both)));
        let topics = topics(broker, names, by_id);
        let mut next: BTreeMap<Topic, i64> = topics.iter().map(|topic| (topic.clone(), 0)).collect();
        let mut got: BTreeMap<Topic, Vec<String>> = BTreeMap::new();
        let mut session = scene.pod("long").inside(|| Session::open(address(broker), by_id));
        let mut changed: Vec<(Topic, i64)> = next.iter().map(|(topic, from)| (topic.clone(), *from)).collect();
        let (mut writer, mut written, mut before) = (broker.connect(), 0, 0);
        let began = Instant::now();
        for number in 0..FETCHES {
            assert!(began.elapsed() < LONGEST, "only {number} fetches in {} s", LONGEST.as_secs());
            if number % EVERY == 0 {
                writer.write(names[written % 3], &written.to_string());
                written += 1;
            }
            if number == WARM {
                before = resident(scene.node.process.pid());
            }
            let (error, told) = session.fetch(&changed, &[], 0);
            assert_eq!(error, 0, "fetch {number}");
            changed.clear();
            for one in told {
                assert_eq!(one.error, 0, "fetch {number}: {one:?}");
                let from = next[&one.topic];
                let (values, to) = records(&one.records, from);
                got.entry(one.topic.clone()).or_default().extend(values);
                if to > from {
                    next.insert(one.topic.clone(), to);
                    changed.push((one.topic, to));
                }
            }
        }
        for (place, topic) in topics.iter().enumerate() {
            let expected: Vec<String> = (place..written).step_by(3).map(|number| number.to_string()).collect();
            assert_eq!(got.remove(topic).unwrap_or_default(), expected, "{topic:?}");
        }
        let after = resident(scene.node.process.pid());
        assert!(after < before + (2 << 20), "the node took {before} bytes of memory, and takes {after}");
    }
}

/// The resident memory of a process, in bytes.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}
