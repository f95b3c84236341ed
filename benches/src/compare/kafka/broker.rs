//! The broker behind the proxies: Apache Kafka, with its log in memory.

use std::{
    fs, io,
    path::PathBuf,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use super::{
    super::{
        laboratory::{Laboratory, Place, Process, SERVER},
        peers::find,
    },
    RECORDS, SIZES, Task, answered, asked, message,
    peers::BROKER,
};

/// How long it may take to start and to make topics.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether it has.
const PAUSE: Duration = Duration::from_millis(50);
/// Requests that write and read before anything is measured, of each size: the JVM compiles what it has seen often.
const WARM_UP: u64 = 3_000;
/// A small heap, which two threads that take requests do well with.
const JAVA: [&str; 4] = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:-UsePerfData"];

/// A directory of the set-up.
///
/// # Errors
/// It is not there.
pub(super) fn set_up(name: &str) -> io::Result<PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    let path = PathBuf::from(cache).join("portcullis").join(name);
    if path.exists() {
        return Ok(path);
    }
    Err(io::Error::other(format!("{} is missing; deploy/setup.sh bench installs it", path.display())))
}

/// Starts it, makes the topics, and writes the records that are to be read.
///
/// # Errors
/// It is not installed, or does not come up.
pub fn start(laboratory: &Laboratory) -> io::Result<Process> {
    let classes = set_up("kafka/jars")?.join("*");
    let file = laboratory.directory().join("server.properties");
    let logs = laboratory.memory_directory()?.join("kafka");
    fs::write(&file, properties(&logs.display().to_string()))?;
    let java = |class: &str| {
        let mut command = laboratory.command(Place::Server, find("java")?);
        command.args(JAVA).arg("-cp").arg(&classes).arg(class);
        Ok::<_, io::Error>(command)
    };
    let mut format = java("kafka.tools.StorageTool")?;
    format.args(["format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"]).arg(&file).stdout(Stdio::null());
    let formatted = format.stderr(Stdio::null()).status()?;
    if !formatted.success() {
        return Err(io::Error::other(format!("Kafka does not format its storage: {formatted}")));
    }
    let mut process = laboratory.start("kafka", java("kafka.Kafka")?.arg(&file))?;
    let tasks: Vec<Task> = SIZES
        .iter()
        .flat_map(|size| [format!("produce/{size}"), format!("consume/{size}")])
        .map(|of| Task::of(&of))
        .collect();
    let topics: Vec<String> = tasks.iter().map(|task| task.topic.clone()).collect();
    let mut patient = |act: &(dyn Fn() -> io::Result<()> + Sync)| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match laboratory.in_client(act) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline || !process.runs()? => {
                    let said = laboratory.said("kafka");
                    return Err(io::Error::other(format!("Kafka does not come up: {error}\n{said}")));
                }
                Err(_) => thread::park_timeout(PAUSE),
            }
        }
    };
    patient(&|| asked(BROKER, &message::create(&topics)).map(drop))?;
    for task in &tasks {
        // It takes a moment until the leader is known.
        let write = message::produce(&task.topic, &task.batch);
        let written = || message::Answer::to_produce(&asked(BROKER, &write)?)?.allowed().map(drop);
        for _ in 0..RECORDS {
            patient(&written)?;
        }
    }
    for size in SIZES {
        laboratory.in_client(|| {
            (0..WARM_UP / 10).try_for_each(|_| {
                answered(BROKER, &format!("produce/{size}"))?;
                answered(BROKER, &format!("consume/{size}"))
            })
        })?;
    }
    Ok(process)
}

/// What was written is kept for a moment only; what is to be read is less than that. The kernel sizes the buffers of sockets: with
/// Kafka's own 100 KiB it depends on luck in how many pieces a proxy has to write a record of that size.
fn properties(logs: &str) -> String {
    let internal = ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"]
        .map(|topic| format!("{topic}.replication.factor=1\n{topic}.min.isr=1\n{topic}.num.partitions=1\n"));
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:9093\n\
         listeners=PLAINTEXT://:{port},CONTROLLER://127.0.0.1:9093\nadvertised.listeners=PLAINTEXT://{SERVER}:{port}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\nlog.dirs={logs}\n{}\
         socket.receive.buffer.bytes=-1\nsocket.send.buffer.bytes=-1\nnum.network.threads=1\nnum.io.threads=2\nbackground.threads=1\nlog.cleaner.dedupe.buffer.size=2097152\n\
         log.segment.bytes=67108864\nlog.retention.ms=-1\nlog.retention.bytes=134217728\nlog.retention.check.interval.ms=1000\n\
         log.initial.task.delay.ms=1000\nmax.incremental.fetch.session.cache.slots=100000\nlog.segment.delete.delay.ms=100\n",
        internal.concat(),
        port = BROKER.port(),
    )
}
