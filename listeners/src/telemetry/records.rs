//! Access records: one JSON object a line for each request, written by a thread of its own.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use portcullis_codecs::fact::Facts;
use portcullis_rules::verdict;
use prometheus_client::metrics::counter::Counter;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::telemetry::{
    event::{DnsReply, EventParty, VerdictEvent},
    time::rfc3339,
};

/// Records that wait for the writer; what comes above is lost and counted.
const QUEUE: usize = 16 * 1024;

/// Where access records go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RecordTarget {
    /// Nowhere: requests cost nothing for them.
    #[default]
    Off,
    /// The standard output.
    Stdout,
    /// The end of a file, which is made if it is not there.
    File(PathBuf),
}

/// One request, or one flow that was passed or refused as a whole.
#[derive(Debug)]
pub(crate) struct AccessRecord {
    pub(crate) event: Arc<VerdictEvent>,
    /// The protocol's number of the answer; `None` if none came.
    pub(crate) status: Option<i32>,
    /// What else the answer says.
    pub(crate) facts: Facts,
    /// The answer, if it tells names.
    pub(crate) reply: Option<DnsReply>,
    /// From the verdict to the beginning of the answer (to its end where it carries the status of a call), or to the end
    /// of the flow.
    pub(crate) duration: Duration,
    /// Bytes of the connection so far that were relayed from the client.
    pub(crate) received: u64,
    /// Bytes of the connection so far that were relayed from the server.
    pub(crate) sent: u64,
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct RecordWriter {
    queue: Option<SyncSender<AccessRecord>>,
    thread: Option<JoinHandle<()>>,
    lost: Counter,
}

impl RecordWriter {
    pub(crate) fn start(to: &RecordTarget, lost: Counter) -> io::Result<Option<Self>> {
        let out: Box<dyn Write + Send> = match to {
            RecordTarget::Off => return Ok(None),
            RecordTarget::Stdout => Box::new(io::stdout()),
            RecordTarget::File(path) => Box::new(File::options().create(true).append(true).open(path)?),
        };
        Self::onto(out, QUEUE, lost).map(Some)
    }

    pub(crate) fn onto(out: Box<dyn Write + Send>, queue: usize, lost: Counter) -> io::Result<Self> {
        let (queue, records) = sync_channel(queue);
        let counter = lost.clone();
        let thread = thread::Builder::new()
            .name("access-records".to_owned())
            .spawn(move || write_all(&records, BufWriter::new(out), &counter))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), lost })
    }

    pub(crate) fn put(&self, record: AccessRecord) {
        let taken = self.queue.as_ref().is_some_and(|queue| queue.try_send(record).is_ok());
        if !taken {
            self.lost.inc();
        }
    }
}

impl Drop for RecordWriter {
    /// What waits is written before.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes access records has panicked");
        }
    }
}

/// Writes until nobody can send any more. Flushes whenever nothing waits.
fn write_all(records: &Receiver<AccessRecord>, mut out: impl Write, lost: &Counter) {
    let mut failing = false;
    let mut note = |result: io::Result<()>| match result {
        Ok(()) => failing = false,
        Err(error) => {
            lost.inc();
            // A full disk is one line, not one for each record.
            if !std::mem::replace(&mut failing, true) {
                tracing::error!(%error, "access records cannot be written");
            }
        }
    };
    loop {
        let record = match records.try_recv() {
            Ok(record) => record,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                note(out.flush());
                let Ok(record) = records.recv() else { break };
                record
            }
        };
        note(line(&record, &mut out));
    }
    note(out.flush());
}

#[derive(Serialize)]
struct RecordLine<'a> {
    time: String,
    verdict: &'static str,
    layer: &'static str,
    direction: &'static str,
    protocol: &'static str,
    source: PeerRecord<'a>,
    destination: PeerRecord<'a>,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    miss: Option<MissRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<RefusedRecord<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_headers: Vec<Missing<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    rejected_headers: &'a [String],
    #[serde(skip_serializing_if = "Map::is_empty")]
    request: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
    #[serde(flatten)]
    facts: Named<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<ResponseRecord>,
    duration_us: u64,
    bytes_received: u64,
    bytes_sent: u64,
    revision: u64,
}

#[derive(Serialize)]
struct PeerRecord<'a> {
    address: String,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
}

#[derive(Serialize)]
struct MissRecord<'a> {
    predicate: &'a str,
    pattern: &'a str,
    value: &'a str,
}

impl<'a> From<&'a verdict::Miss> for MissRecord<'a> {
    fn from(miss: &'a verdict::Miss) -> Self {
        Self { predicate: &miss.predicate, pattern: &miss.pattern, value: &miss.value }
    }
}

/// The values of a request that are refused.
#[derive(Serialize)]
struct RefusedRecord<'a> {
    count: usize,
    /// What the first of them missed.
    misses: Vec<RefusedValue<'a>>,
}

#[derive(Serialize)]
struct RefusedValue<'a> {
    #[serde(flatten)]
    miss: MissRecord<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
}

impl<'a> From<&'a VerdictEvent> for RefusedRecord<'a> {
    fn from(event: &'a VerdictEvent) -> Self {
        let value = |miss: &'a verdict::Miss| {
            let rule = miss.rule.as_deref();
            RefusedValue {
                miss: miss.into(),
                policy: rule.map(|rule| &*rule.policy),
                rule: rule.map(|rule| &*rule.rule),
            }
        };
        Self { count: event.refused, misses: event.misses.iter().map(value).collect() }
    }
}

#[derive(Serialize)]
struct ResponseRecord {
    #[serde(flatten)]
    status: Named<String>,
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<bool>,
}

impl From<&DnsReply> for ResponseRecord {
    fn from(reply: &DnsReply) -> Self {
        Self {
            status: Named(vec![(reply.status_name, reply.shown.clone().into_owned())]),
            addresses: reply.addresses.iter().map(ToString::to_string).collect(),
            more: (reply.more > 0).then_some(reply.more),
            held_us: reply.held.map(micros),
            replaced: (!reply.passed).then_some(true),
        }
    }
}

/// Values under the names that a protocol has for them.
struct Named<T>(Vec<(&'static str, T)>);

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[derive(Serialize)]
struct Missing<'a> {
    name: &'a str,
    wanted: &'a str,
}

impl<'a> From<&'a EventParty> for PeerRecord<'a> {
    fn from(party: &'a EventParty) -> Self {
        let endpoint = party.endpoint.as_ref();
        Self {
            address: party.address.ip().to_string(),
            port: party.address.port(),
            namespace: endpoint.map(|endpoint| &*endpoint.namespace),
            endpoint: endpoint.map(|endpoint| &*endpoint.name),
        }
    }
}

/// The fields of the request: a text each, or a list where one has several values, which then may have more than are shown.
fn request(event: &VerdictEvent) -> Map<String, Value> {
    let mut request = Map::new();
    let mut more = Map::new();
    for field in &event.fields {
        match request.get_mut(field.name) {
            None => drop(request.insert(field.name.to_owned(), field.value.as_str().into())),
            Some(Value::Array(values)) => values.push(field.value.as_str().into()),
            Some(first) => *first = Value::Array(vec![first.take(), field.value.as_str().into()]),
        }
        if field.more > 0 {
            more.insert(field.name.to_owned(), field.more.into());
        }
    }
    if !more.is_empty() {
        request.insert("more".to_owned(), more.into());
    }
    if !event.version.is_empty() {
        request.insert("version".to_owned(), event.version.into());
    }
    request
}

fn line(record: &AccessRecord, mut out: impl Write) -> io::Result<()> {
    let event = &*record.event;
    let request = request(event);
    let line = RecordLine {
        time: rfc3339(event.time),
        verdict: event.outcome.as_str(),
        layer: event.layer.as_str(),
        direction: event.direction.as_str(),
        protocol: event.protocol,
        source: (&event.source).into(),
        destination: (&event.destination).into(),
        reason: event.reason.as_str(),
        policy: event.policy.as_deref(),
        rule: event.rule.as_deref(),
        miss: event.misses.first().map(MissRecord::from),
        refused: (event.refused > 0).then(|| event.into()),
        missing_headers: event.missing_headers.iter().map(|(name, wanted)| Missing { name, wanted }).collect(),
        rejected_headers: &event.rejected_headers,
        request,
        status: record.status,
        facts: Named(record.facts.iter().map(|fact| (fact.name, fact.value)).collect()),
        answer: record.reply.as_ref().map(ResponseRecord::from),
        duration_us: micros(record.duration),
        bytes_received: record.received,
        bytes_sent: record.sent,
        revision: event.generation,
    };
    serde_json::to_writer(&mut out, &line)?;
    out.write_all(b"\n")
}
