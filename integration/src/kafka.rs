//! A real Kafka broker, and kcat as its client.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result, trying},
    need::Need,
    pod::Pod,
    process::{Finished, Process},
    site::Site,
    wait,
};

/// Where clients connect.
pub const PORT: u16 = 9092;
/// Where the laboratory asks past the node: on the loopback device, which no policy concerns.
const ADMIN: &str = "127.0.0.1:19092";
/// Of any cluster.
const ID: &str = "AAAAAAAAAAAAAAAAAAAAAQ";
/// Small, and quick to start rather than quick.
const JAVA: &str = "-Xmx320m -Xss512k -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData";
/// Makes the storage, and becomes the broker.
const START: &str = r#"java $1 -cp "$2" kafka.tools.StorageTool format -t "$3" -c "$0" &&
exec java $1 -cp "$2" kafka.Kafka "$0""#;

/// The directory of the set-up.
#[must_use]
pub fn cache() -> PathBuf {
    let home = env::var("HOME").unwrap_or_default();
    let cache = env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    PathBuf::from(cache).join("portcullis")
}

/// The classes of the broker.
#[must_use]
pub fn jars() -> PathBuf {
    cache().join("kafka/jars")
}

/// What the set-up writes when it has all of [`jars`].
#[must_use]
pub fn complete() -> PathBuf {
    cache().join("kafka/pom.xml")
}

/// What all this needs; `complete` is [`complete`].
#[must_use]
pub fn needs(complete: &str) -> [Need<'_>; 3] {
    [Need::Program("java"), Need::Program("kcat"), Need::Path(complete)]
}

/// A cluster of one broker, on all addresses of a pod.
#[derive(Debug)]
pub struct Kafka {
    /// The program.
    pub process: Process,
    site: Site,
}

impl Kafka {
    /// Begins to start it, and waits for nothing: see [`Kafka::wait`]. Clients are told that it is found at `name`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn begin(pod: &Pod, name: &str) -> Result<Self> {
        let file = pod.directory().join("server.properties");
        trying("write Kafka's settings", fs::write(&file, properties(name, &pod.directory().join("kafka"))))?;
        let (file, classes) = (file.display().to_string(), jars().join("*").display().to_string());
        let process = pod.spawn("kafka", &["sh", "-c", START, &file, JAVA, &classes, ID])?;
        Ok(Self { process, site: (**pod).clone() })
    }

    /// Waits until it takes requests.
    ///
    /// # Errors
    /// It ended, or does not come to that.
    pub fn wait(&mut self) -> Result<()> {
        let log = self.process.log();
        wait::until(
            "a broker that answers",
            || log,
            || {
                self.process.alive()?;
                let asked = self.site.run(&["kcat", "-b", ADMIN, "-m", "1", "-L", "-q"])?;
                Ok((asked.code == Some(0)).then_some(()))
            },
        )
    }

    /// Writes a record past the node; makes the topic, of one partition, where there is none.
    ///
    /// # Errors
    /// The broker does not take it.
    pub fn write(&self, topic: &str, record: &str) -> Result<()> {
        self.site.run_with(&["kcat", "-b", ADMIN, "-P", "-t", topic], record)?.ok().map(|_| ())
    }

    /// How many records were ever written to the partition of a topic: its end offset, as the broker tells it past the node.
    ///
    /// # Errors
    /// There is no such topic.
    pub fn end(&self, topic: &str) -> Result<u64> {
        let asked = self.site.run(&["kcat", "-b", ADMIN, "-Q", "-t", &format!("{topic}:0:-1")])?.ok()?;
        let offset = asked.stdout.trim().rsplit(' ').next().and_then(|number| number.parse().ok());
        offset.ok_or_else(|| Error::Unexpected(format!("kcat said: {}", asked.stdout)))
    }

    /// The topics that there are, those of the broker itself left out.
    ///
    /// # Errors
    /// The broker does not tell.
    pub fn topics(&self) -> Result<Vec<String>> {
        let told = self.site.run(&["kcat", "-b", ADMIN, "-L"])?.ok()?.stdout;
        let names = told.lines().filter_map(|line| line.trim().strip_prefix("topic \"")?.split('"').next());
        Ok(names.filter(|name| !name.starts_with("__")).map(str::to_owned).collect())
    }
}

/// Runs kcat to its end against the broker at `name`, in one family of addresses, with records as its input, one a line. What
/// hangs ends after 20 seconds (exit code 124).
///
/// # Errors
/// It cannot be started.
pub fn kcat(site: &Site, v6: bool, name: &str, more: &[&str], records: &str) -> Result<Finished> {
    site.run_with(&[&["timeout", "20"], &words(v6, name)[..], more].concat(), records)
}

/// Starts kcat in the background.
///
/// # Errors
/// It cannot be started.
pub fn spawn_kcat(site: &Site, v6: bool, name: &str, more: &[&str]) -> Result<Process> {
    site.spawn("kcat", &[&words(v6, name)[..], more].concat())
}

fn words(v6: bool, name: &str) -> [&str; 5] {
    ["kcat", "-b", name, "-X", if v6 { "broker.address.family=v6" } else { "broker.address.family=v4" }]
}

fn properties(name: &str, logs: &Path) -> String {
    let internal = ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"]
        .map(|topic| format!("{topic}.replication.factor=1\n{topic}.min.isr=1\n{topic}.num.partitions=1\n"));
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:9093\n\
         listeners=PLAINTEXT://:{PORT},ADMIN://{ADMIN},CONTROLLER://127.0.0.1:9093\n\
         advertised.listeners=PLAINTEXT://{name}:{PORT},ADMIN://{ADMIN}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,ADMIN:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\ninter.broker.listener.name=ADMIN\nlog.dirs={}\n{}\
         group.initial.rebalance.delay.ms=0\nnum.network.threads=1\nnum.io.threads=2\nbackground.threads=1\n\
         log.cleaner.dedupe.buffer.size=2097152\n",
        logs.display(),
        internal.concat(),
    )
}
