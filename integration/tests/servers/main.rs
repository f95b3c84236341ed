//! Real web servers as the oracle: their logs show which requests they executed, and the node must have allowed each
//! of them. Raw bytes that some server reads differently than they are meant go to all servers, then random mutations
//! of them.
//!
//! `PORTCULLIS_FUZZ_SECONDS` sets the duration (default 20), `PORTCULLIS_FUZZ_SEED` the seed.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod cases;
mod client;
mod fleet;
mod mutants;
mod oracle;

use std::{
    collections::BTreeSet,
    env,
    io::Write,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use fleet::{Fleet, Server, able, rules};
use serde_json::json;

/// Quiet after which a server is taken to have said all.
const QUIET: Duration = Duration::from_millis(40);

/// The same where an answer has to come.
const PATIENCE: Duration = Duration::from_secs(5);

fn say(text: &str) {
    // Straight to the stream: the test harness hides what a passing test prints.
    let _ = writeln!(std::io::stderr(), "servers: {text}");
}

#[test]
fn no_server_runs_what_was_not_allowed() {
    if !able() {
        return;
    }
    let began = Instant::now();
    let fleet = Fleet::start();
    fleet.apply(&[rules("any", &fleet.ports(), &json!([{ "path": "[^~]*" }]))]);
    say(&format!("{} servers after {:.1} s", fleet.servers.len(), began.elapsed().as_secs_f32()));
    let mut found = ordinary(&fleet);
    found.extend(vectors(&fleet));
    found.extend(tunnels(&fleet));
    found.extend(gateway(&fleet));
    fleet.apply(&[rules("any", &fleet.ports(), &json!([{ "path": "[^~]*" }]))]);
    found.extend(fuzz(&fleet));
    say(&format!("all after {:.1} s", began.elapsed().as_secs_f32()));
    assert!(found.is_empty(), "{} ways around:\n{}", found.len(), found.join("\n"));
}

/// Each server serves what is allowed, by several requests on one connection, and logs it.
fn ordinary(fleet: &Fleet) -> Vec<String> {
    let sent = [
        "GET /one HTTP/1.1\r\nHost: app.shop\r\n\r\n",
        "GET /two HTTP/1.1\r\nHost: app.shop\r\nConnection: close\r\n\r\n",
    ];
    let segments = sent.map(|text| text.as_bytes().to_vec());
    thread::scope(|scope| {
        for server in &fleet.servers {
            let segments = &segments;
            scope.spawn(move || {
                let answer = fleet.client.inside(|| client::talk(fleet.address(server), segments, PATIENCE));
                let text = String::from_utf8_lossy(&answer);
                assert!(text.contains("ok GET /one") && text.contains("ok GET /two"), "{}: {text}", server.name);
            });
        }
    });
    fleet.settle();
    for server in &fleet.servers {
        for wanted in ["GET /one", "GET /two"] {
            let log = server.requests();
            assert!(log.iter().any(|line| line.starts_with(wanted)), "{} logs nothing: {log:?}", server.name);
        }
    }
    fleet.unjudged()
}

/// Every case to every server, all servers at once.
fn vectors(fleet: &Fleet) -> Vec<String> {
    let cases = cases::all();
    thread::scope(|scope| {
        for server in &fleet.servers {
            let cases = &cases;
            scope.spawn(move || {
                fleet.client.inside(|| {
                    for (number, case) in cases.iter().enumerate() {
                        client::talk(fleet.address(server), &case.numbered(&number.to_string()), QUIET);
                    }
                });
            });
        }
    });
    fleet.settle();
    say(&format!("{} cases", cases.len()));
    let hit = |(server, line): (&Server, String)| {
        let number = line.rsplit(['-']).next().and_then(|tail| tail.parse::<usize>().ok());
        let case = number.and_then(|number| cases.get(number)).map_or("?", |case| &case.name);
        format!("{} ran {line:?} ({case})", server.name)
    };
    fleet.ran_unjudged().into_iter().map(hit).collect()
}

/// Behind CONNECT or a switch nobody judges, so no rule opens one that does not mean it.
fn tunnels(fleet: &Fleet) -> Vec<String> {
    let mut found = Vec::new();
    let host = r"app\.shop(:[0-9]+)?";
    for (number, (rule, opens)) in [
        (json!({ "host": host }), false),
        (json!({ "headers": ["X-Tenant"] }), false),
        (json!({}), false),
        (json!({ "method": ".*", "host": host }), false),
        (json!({ "method": "GET|POST|CONNECT", "host": host }), true),
    ]
    .into_iter()
    .enumerate()
    {
        fleet.apply(&[rules("any", &fleet.ports(), &json!([rule]))]);
        let connect = "CONNECT app.shop:80 HTTP/1.1\r\nHost: app.shop:80\r\nX-Tenant: a\r\n\r\n";
        let inside = format!("GET /tunnel-{number} HTTP/1.1\r\nHost: denied.shop\r\n\r\n");
        let segments = [connect.as_bytes().to_vec(), inside.into_bytes()];
        let quiet = if opens { PATIENCE / 2 } else { QUIET * 4 };
        thread::scope(|scope| {
            for server in &fleet.servers {
                let segments = &segments;
                scope.spawn(move || fleet.client.inside(|| client::talk(fleet.address(server), segments, quiet)));
            }
        });
        fleet.settle();
        let through: Vec<&str> = fleet
            .servers
            .iter()
            .filter(|server| server.requests().iter().any(|line| line.contains(&format!("/tunnel-{number}"))))
            .map(|server| server.name)
            .collect();
        if !opens {
            found.extend(through.iter().map(|name| format!("{name} served a tunnel under {rule}")));
        } else {
            assert!(through.contains(&"go"), "a rule that means it opens a tunnel: {through:?}");
            say(&format!("answer CONNECT and go on in HTTP: {}", through.join(", ")));
        }
    }
    fleet.forget();
    found
}

/// Spellings of one path that a gateway and the server behind it take for different ones.
fn gateway(fleet: &Fleet) -> Vec<String> {
    let Some(tomcat) = fleet.behind_gateway() else { return Vec::new() };
    fleet.apply(&[rules("any", &[fleet::GATEWAY_PORT], &json!([{ "path": "/public/.*" }]))]);
    let spellings = cases::spellings();
    let address = fleet.app.address(false, fleet::GATEWAY_PORT);
    fleet.client.inside(|| {
        for target in &spellings {
            let head = format!("GET {target} HTTP/1.1\r\nHost: app.shop\r\nConnection: close\r\n\r\n");
            client::talk(address, &[head.into_bytes()], PATIENCE);
        }
    });
    fleet.settle();
    let log = tomcat.requests();
    assert!(log.iter().any(|line| line.ends_with(" /public/plain")), "the gateway works: {log:?}");
    let outside = |line: &&String| {
        let path = line.splitn(3, ' ').nth(2).unwrap_or_default();
        line.contains("secret") && !path.starts_with("/public/") || path.contains("/../")
    };
    let found = log.iter().filter(outside).map(|line| format!("tomcat behind nginx served {line:?}")).collect();
    fleet.forget();
    found
}

/// Mutated pairs, for a bounded time.
fn fuzz(fleet: &Fleet) -> Vec<String> {
    let number = |name: &str| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seconds = number("PORTCULLIS_FUZZ_SECONDS").unwrap_or(20);
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |time| time.as_secs());
    let seed = number("PORTCULLIS_FUZZ_SEED").unwrap_or_else(clock);
    let (deadline, sent) = (Instant::now() + Duration::from_secs(seconds), AtomicU64::new(0));
    thread::scope(|scope| {
        for (place, server) in fleet.servers.iter().enumerate() {
            for lane in 0..2 {
                let sent = &sent;
                scope.spawn(move || {
                    fleet.client.inside(|| {
                        let mut number = lane;
                        while Instant::now() < deadline {
                            let segments = mutants::segments(seed, place, number);
                            client::talk(fleet.address(server), &segments, QUIET / 3);
                            sent.fetch_add(1, Ordering::Relaxed);
                            number += 2;
                        }
                    });
                });
            }
        }
    });
    fleet.settle();
    say(&format!("{} mutants in {seconds} s, seed {seed}", sent.load(Ordering::Relaxed)));
    let mut told = BTreeSet::new();
    let hits = fleet.ran_unjudged().into_iter();
    hits.filter(|(server, line)| told.insert((server.name, mutants::origin(line))))
        .map(|(server, line)| {
            let bytes = mutants::origin(&line).map(|(place, number)| mutants::segments(seed, place, number));
            let shown: Vec<String> = bytes.iter().flatten().map(|bytes| bytes.escape_ascii().to_string()).collect();
            format!("{} ran {line:?}; seed {seed}, sent:\n  {}", server.name, shown.join("\n  "))
        })
        .collect()
}
