//! Brokers, and direct access to them past the node: on a listener of their loopback device, to which no policy
//! applies.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use portcullis_integration::{
    Pod, Process, Site,
    kafka::{PORT, cache},
};

use crate::{
    authorizer,
    wire::{Connection, Reader, Writer},
    within,
};

/// Where clients connect that say who they are.
pub(crate) const SASL_PORT: u16 = 9094;
/// What they say.
pub(crate) const USER: &str = "shop";
pub(crate) const PASSWORD: &str = "secret";
/// Where brokers connect to the controller.
pub(crate) const CONTROLLER_PORT: u16 = 9093;
/// Where the tests ask.
const ADMIN_PORT: u16 = 19092;
/// A broker starts in a tenth of that.
const START: Duration = Duration::from_secs(120);

/// Which Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// The one that clients are of.
    Current,
    /// The last of those before.
    Three,
}

impl Version {
    pub(crate) fn jars(self) -> PathBuf {
        cache().join(if self == Self::Current { "kafka/jars" } else { "kafka-3/jars" })
    }
}

/// A program of Java that is started often and is small.
pub(crate) fn java<'a>(classes: &'a str, memory: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    let start = ["java", memory, "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-cp"];
    [&start[..], &[classes], words].concat()
}

/// A broker in a pod. The one with the number 1 is its cluster's controller too.
pub(crate) struct Broker {
    site: Site,
    ip: Ipv4Addr,
    v6: Ipv6Addr,
    version: Version,
    file: PathBuf,
    process: Option<Process>,
}

impl Broker {
    /// Starts one of a cluster of so many; its controller is in the first pod. It is ready after [`Broker::wait`].
    pub(crate) fn start(version: Version, number: usize, cluster: &[&Pod]) -> Self {
        let pod = cluster[number - 1];
        let file = pod.directory().join("server.properties");
        fs::write(&file, properties(version, number, cluster)).unwrap();
        let mut broker = Self { site: (**pod).clone(), ip: pod.v4, v6: pod.v6, version, file, process: None };
        let classes = version.jars().join("*").display().to_string();
        let format = ["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"];
        let file = broker.file.display().to_string();
        let words = [&format[..], &[&file]].concat();
        pod.run(&java(&classes, "-Xmx128m", &words)).unwrap().ok().unwrap();
        broker.start_again();
        broker
    }

    pub(crate) fn start_again(&mut self) {
        let classes = self.version.jars().join("*").display().to_string();
        let file = self.file.display().to_string();
        let words = java(&classes, "-Xmx320m", &["kafka.Kafka", &file]);
        self.process = Some(self.site.spawn("broker", &words).unwrap());
    }

    /// Waits until it takes requests.
    pub(crate) fn wait(&mut self) {
        let process = self.process.as_mut().unwrap();
        within(START, "a broker that answers", || {
            process.alive().unwrap();
            let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT));
            let answered = self.site.inside(|| {
                let mut connection = Connection::open(admin).ok()?;
                connection.ask(18, 0, false, &Writer::default()).ok()
            });
            answered.map(|_| ())
        });
    }

    /// Kills it at once.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Where clients find it.
    pub(crate) fn bootstrap(&self) -> String {
        format!("{}:{PORT}", self.ip)
    }

    /// A connection past the node.
    pub(crate) fn connect(&self) -> Connection {
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT));
        self.site.inside(|| Connection::open(admin).unwrap())
    }

    /// The same over IPv6.
    pub(crate) fn bootstrap_v6(&self) -> String {
        format!("[{}]:{PORT}", self.v6)
    }

    /// Where clients find it that say who they are.
    pub(crate) fn sasl_bootstrap(&self) -> String {
        format!("{}:{SASL_PORT}", self.ip)
    }

    /// Asks it directly.
    pub(crate) fn ask(&self, key: i16, version: i16, body: &Writer) -> Vec<u8> {
        self.connect().ask(key, version, false, body).unwrap()
    }

    /// Makes topics of one partition, each with the brokers that keep it, the one that leads first.
    pub(crate) fn make(&self, topics: &[(&str, &[i32])]) {
        let mut body = Writer::default().count(topics.len());
        for (name, brokers) in topics {
            body = body.text(name).i32(-1).i16(-1).count(1).i32(0).count(brokers.len());
            body = brokers.iter().fold(body, |body, broker| body.i32(*broker)).i32(0);
        }
        let answer = self.ask(19, 2, &body.i32(10_000).i8(0));
        let mut answer = Reader(&answer);
        answer.i32();
        for _ in 0..answer.count() {
            let name = answer.text();
            assert_eq!((answer.i16(), answer.text()), (0, String::new()), "{name} is not made");
        }
    }

    /// Makes topics that are kept by the only broker, and waits until they can be written to.
    pub(crate) fn create(&self, names: &[&str]) {
        self.make(&names.iter().map(|name| (*name, &[1][..])).collect::<Vec<_>>());
        within(START, "topics with leaders", || names.iter().all(|name| self.end(name) == Some(0)).then_some(()));
    }

    /// Deletes a topic, and waits until it is gone.
    pub(crate) fn delete(&self, name: &str) {
        let answer = self.ask(20, 1, &Writer::default().count(1).text(name).i32(10_000));
        assert!(answer.ends_with(&[0, 0]), "{name} is not deleted: {}", answer.escape_ascii());
        within(START, "a topic to go", || (!self.topics().iter().any(|topic| topic == name)).then_some(()));
    }

    /// All topics that there are.
    pub(crate) fn topics(&self) -> Vec<String> {
        let answer = self.ask(3, 4, &Writer::default().i32(-1).i8(0));
        let mut answer = Reader(&answer);
        answer.i32();
        for _ in 0..answer.count() {
            answer.i32();
            answer.text();
            answer.i32();
            answer.text();
        }
        answer.text();
        answer.i32();
        let mut names = Vec::new();
        for _ in 0..answer.count() {
            answer.i16();
            names.push(answer.text());
            answer.i8();
            for _ in 0..answer.count() {
                answer.raw(2 + 4 + 4);
                let replicas = answer.count();
                answer.raw(4 * replicas);
                let in_sync = answer.count();
                answer.raw(4 * in_sync);
            }
        }
        names
    }

    /// How many records were written to a topic's partition, those of transactions' ends included; `None` without the topic.
    pub(crate) fn end(&self, topic: &str) -> Option<i64> {
        let body = Writer::default().i32(-1).count(1).text(topic).count(1).i32(0).i64(-1);
        let answer = self.ask(2, 1, &body);
        let mut answer = Reader(&answer);
        assert_eq!((answer.count(), answer.text(), answer.count(), answer.i32()), (1, topic.to_owned(), 1, 0));
        let error = answer.i16();
        answer.i64();
        (error == 0).then(|| answer.i64())
    }

    /// Writes a record, past the node.
    pub(crate) fn write(&self, topic: &str, value: &str) {
        self.connect().write(topic, value);
    }

    /// What a group has committed for a topic's partition; -1 for nothing.
    pub(crate) fn committed(&self, group: &str, topic: &str) -> i64 {
        let answer = self.ask(9, 1, &Writer::default().text(group).count(1).text(topic).count(1).i32(0));
        let mut answer = Reader(&answer);
        assert_eq!((answer.count(), answer.text(), answer.count(), answer.i32()), (1, topic.to_owned(), 1, 0));
        answer.i64()
    }

    /// The groups that it coordinates.
    pub(crate) fn groups(&self) -> Vec<String> {
        let answer = self.ask(16, 0, &Writer::default());
        let mut answer = Reader(&answer);
        assert_eq!(answer.i16(), 0);
        let group = |answer: &mut Reader<'_>| {
            let name = answer.text();
            answer.text();
            name
        };
        (0..answer.count()).map(|_| group(&mut answer)).collect()
    }
}

fn properties(version: Version, number: usize, cluster: &[&Pod]) -> String {
    let (pod, controller) = (cluster[number - 1], cluster[0].v4);
    let (ip, logs) = (pod.v4, pod.directory().join("logs"));
    let replicas = cluster.len();
    let (roles, third) = if number == 1 {
        ("broker,controller", format!(",CONTROLLER://{controller}:{CONTROLLER_PORT}"))
    } else {
        ("broker", String::new())
    };
    let own = format!(
        "PLAINTEXT://{ip}:{PORT},V6://[{}]:{PORT},SASL://{ip}:{SASL_PORT},ADMIN://127.0.0.1:{ADMIN_PORT}",
        pod.v6
    );
    let login = format!("org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";");
    let internal = ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"].map(|topic| {
        format!("{topic}.replication.factor={replicas}\n{topic}.min.isr={replicas}\n{topic}.num.partitions=1\n")
    });
    let mut text = format!(
        "process.roles={roles}\nnode.id={number}\ncontroller.quorum.voters=1@{controller}:{CONTROLLER_PORT}\n\
         listeners={own}{third}\nadvertised.listeners={own}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,V6:PLAINTEXT,SASL:SASL_PLAINTEXT,ADMIN:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         sasl.enabled.mechanisms=PLAIN\nlistener.name.sasl.plain.sasl.jaas.config={login}\n\
         listener.name.sasl.connections.max.reauth.ms=1500\n\
         controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\nlog.dirs={}\n{}\
         auto.create.topics.enable=true\nmin.insync.replicas={replicas}\ndefault.replication.factor={replicas}\n\
         group.initial.rebalance.delay.ms=0\ngroup.min.session.timeout.ms=1000\n\
         log.retention.ms=-1\nmessage.max.bytes=8388608\nbroker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=500\nreplica.lag.time.max.ms=2000\n\
         num.network.threads=2\nnum.io.threads=4\nbackground.threads=2\nlog.cleaner.dedupe.buffer.size=2097152\n",
        logs.display(),
        internal.concat(),
    );
    if version == Version::Current {
        // Often enough that a change is soon seen.
        text += "group.consumer.min.heartbeat.interval.ms=500\ngroup.consumer.heartbeat.interval.ms=500\n\
                 group.streams.min.heartbeat.interval.ms=500\ngroup.streams.heartbeat.interval.ms=500\n\
                 group.share.min.heartbeat.interval.ms=500\ngroup.share.heartbeat.interval.ms=500\n";
    }
    if authorizer::judges() {
        text += authorizer::PROPERTIES;
    }
    text
}

/// For what a story waits for at a broker.
pub(crate) fn soon<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(Duration::from_secs(40), what, look)
}

/// How long something took, for what a test tells of itself.
pub(crate) fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f32())
}
