//! The steps of the walkthrough.

use portcullis_integration::{
    Error, Pod, Process, Result,
    curl::{Answer, REFUSED, RESET, curl},
    wait,
    walkthrough::{Cluster, DURING, Manifest},
};

use crate::{kafka::Shop, report::Report};

/// What a request is to come to.
#[derive(Clone, Copy)]
enum Outcome {
    Answered,
    Reset,
    Refused,
}

impl Outcome {
    fn text(self) -> &'static str {
        match self {
            Self::Answered => "HTTP 200",
            Self::Reset => "connection reset (curl exit 56)",
            Self::Refused => "connection refused, at once (curl exit 7)",
        }
    }
}

/// A request of the client pod.
struct Request {
    more: &'static [&'static str],
    url: &'static str,
    outcome: Outcome,
}

const fn get(url: &'static str, outcome: Outcome) -> Request {
    Request { more: &[], url, outcome }
}

const APP: &str = "http://app-service.test-app/status/200";
const DATABASE: &str = "http://database-service.test-app:5432";

const BY_L3_L4: [Request; 2] = [get(APP, Outcome::Answered), get(DATABASE, Outcome::Refused)];

const BY_L7: [Request; 5] = [
    get(APP, Outcome::Answered),
    get("http://app-service.test-app/get", Outcome::Answered),
    Request { more: &["-X", "POST"], url: "http://app-service.test-app/post", outcome: Outcome::Answered },
    get("http://app-service.test-app/anything-else", Outcome::Reset),
    get("http://app-service.test-app/status/404", Outcome::Reset),
];

/// Made by the application: what is outside, by name.
const BY_NAME: [Request; 2] =
    [get("http://example.com/", Outcome::Answered), get("http://google.com/", Outcome::Refused)];
/// The same by address, of which the policy has IPv4 only.
const BY_ADDRESS: [Request; 2] =
    [get("http://203.0.113.10:8080/", Outcome::Answered), get("http://198.51.100.10:8080/", Outcome::Refused)];

/// What the monitor has to say of those requests: each row is parts of one line.
const MONITORED: [&[&str]; 6] = [
    &[
        "<- http from test-app/client (",
        "to test-app/app (",
        "allowed GET http://app-service.test-app/status/200, policy",
    ],
    &["<- http", "allowed GET http://app-service.test-app/get, policy"],
    &["<- http", "allowed POST http://app-service.test-app/post, policy"],
    &[
        "xx http from test-app/client (",
        "to test-app/app (",
        "Policy denied (L7) GET http://app-service.test-app/anything-else,",
    ],
    &["xx http", "Policy denied (L7) GET http://app-service.test-app/status/404,"],
    &["xx tcp from test-app/client (", "to test-app/database (", "Policy denied (L3)"],
];

/// Tells the story once, in one family of addresses; what Kafka's chapter lacks on this machine, if it does.
pub(crate) fn tell(report: &mut Report, v6: bool, lacking: Option<&str>) -> Result<()> {
    let family = if v6 { "IPv6" } else { "IPv4" };
    report.title(&format!("{family}: the cluster"));
    report.action(
        "pods client, app (httpbin) and database (PostgreSQL), DNS (unbound), web servers outside, three services, one node",
    );
    let mut cluster = Cluster::new()?;
    let mut kafka = None;
    if lacking.is_none() {
        report.action(
            "pods kafka (Apache Kafka, which starts meanwhile), producer and consumer (kcat), a fourth service",
        );
        kafka = Some(Shop::begin(&mut cluster, v6)?);
    }

    report.title(&format!("{family}, step 2: no policy, enforcement default"));
    ask(report, &cluster, v6, &get(APP, Outcome::Answered))?;

    report.title(&format!("{family}, step 3: {}, enforcement {DURING}", Manifest::L3L4.file()));
    cluster.apply(Manifest::L3L4)?;
    cluster.enforce(DURING)?;
    BY_L3_L4.iter().try_for_each(|request| ask(report, &cluster, v6, request))?;

    report.title(&format!("{family}, step 4: {}", Manifest::L7.file()));
    cluster.apply(Manifest::L7)?;
    BY_L7.iter().try_for_each(|request| ask(report, &cluster, v6, request))?;

    report.title(&format!("{family}, step 5: {}, made by the application", Manifest::External.file()));
    cluster.apply(Manifest::External)?;
    BY_NAME.iter().try_for_each(|request| ask_of(report, &cluster.app, v6, request))?;
    let asked = if cluster.unbound.arrived("google.com.") > 0 { "resolved" } else { "never asked for" };
    report.compare("google.com, by the DNS server's log", "resolved", asked);
    if !v6 {
        BY_ADDRESS.iter().try_for_each(|request| ask_of(report, &cluster.app, v6, request))?;
    }

    report.title(&format!("{family}, step 6: the same requests, watched by `portcullis monitor`"));
    let mut monitor = cluster.node.monitor("monitor", &[])?;
    for request in BY_L7.iter().chain(&BY_L3_L4[1..]) {
        perform(&cluster.client, v6, request)?;
    }
    watched(report, &mut monitor)?;

    report.title(&format!("{family}: what arrived at httpbin, by its own access log"));
    arrived(report, &cluster)?;

    match (kafka, lacking) {
        (Some(mut shop), _) => shop.tell(report, &cluster),
        (None, lacking) => {
            report.title(&format!("{family}, step 7: Kafka"));
            report.skip(&format!("this machine lacks {}", lacking.unwrap_or_default()));
            Ok(())
        }
    }
}

fn ask(report: &mut Report, cluster: &Cluster, v6: bool, request: &Request) -> Result<()> {
    ask_of(report, &cluster.client, v6, request)
}

fn ask_of(report: &mut Report, pod: &Pod, v6: bool, request: &Request) -> Result<()> {
    let answer = perform(pod, v6, request)?;
    let words: Vec<&str> = ["curl", family(v6)].iter().chain(request.more).copied().chain([request.url]).collect();
    report.compare(&words.join(" "), request.outcome.text(), &told(&answer));
    Ok(())
}

fn family(v6: bool) -> &'static str {
    if v6 { "-6" } else { "-4" }
}

fn perform(pod: &Pod, v6: bool, request: &Request) -> Result<Answer> {
    let more: Vec<&str> = [family(v6)].iter().chain(request.more).copied().collect();
    curl(pod, &more, request.url)
}

/// What became of a request, in the words of [`Outcome::text`] where it is one of those.
fn told(answer: &Answer) -> String {
    match (answer.exit, answer.status) {
        (0, status) => format!("HTTP {status}"),
        (RESET, _) => Outcome::Reset.text().to_owned(),
        (REFUSED, _) => Outcome::Refused.text().to_owned(),
        (exit, _) => format!("curl exit {exit}: {}", answer.error),
    }
}

/// Prints the monitor's lines and looks for each expected one.
fn watched(report: &mut Report, monitor: &mut Process) -> Result<()> {
    let is = |line: &str, parts: &[&str]| parts.iter().all(|part| line.contains(part));
    let all = |log: &str| MONITORED.iter().all(|parts| log.lines().any(|line| is(line, parts))).then_some(());
    let complete = monitor.until("a line for each verdict", all);
    if let Err(error @ Error::Interrupted) = complete {
        return Err(error);
    }
    let log = monitor.log();
    log.lines().filter(|line| line.contains(" from ")).for_each(|line| report.action(line));
    for parts in MONITORED {
        let seen = log.lines().any(|line| is(line, parts));
        report.compare(&format!("a line with {}", parts.join(" ... ")), "seen", if seen { "seen" } else { "not seen" });
    }
    Ok(())
}

/// How often each request was made and allowed; those that were denied never got there. The allowed ones are waited
/// for, and the last of them was made after every denied one.
const ARRIVED: [(&str, usize); 5] =
    [("GET /status/200 ", 4), ("GET /get ", 3), ("POST /post ", 2), ("/anything-else", 0), ("/status/404", 0)];

fn arrived(report: &mut Report, cluster: &Cluster) -> Result<()> {
    curl(&cluster.client, &[], "http://app-service.test-app/get")?;
    for (request, expected) in ARRIVED {
        let log = || cluster.httpbin.requests().join("\n");
        wait::until("httpbin's access log", log, || Ok((cluster.httpbin.arrived(request) >= expected).then_some(())))?;
        let count = cluster.httpbin.arrived(request);
        report.compare(&format!("requests with {request:?}"), &expected.to_string(), &count.to_string());
    }
    Ok(())
}
