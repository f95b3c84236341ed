//! The limits that protocols publish are accepted by the settings file, shown in the example and described in the
//! documentation.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{collections::BTreeSet, path::Path};

use portcullis_codecs::{PROTOCOLS, dns, http, kafka};
use portcullis_config::settings::{NodeSettings, load, parse};
use portcullis_rules::limits::{LimitSpec, Unit};

/// A file of the repository.
fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn written(spec: &LimitSpec, value: &str) -> String {
    match spec.key.split_once('.') {
        None => format!("limits: {{{}: {value}}}\n", spec.key),
        Some((outer, key)) => format!("limits: {{{outer}: {{{key}: {value}}}}}\n"),
    }
}

#[test]
fn the_example_loads_and_says_the_defaults() {
    let limits = PROTOCOLS.limits();
    assert_eq!(load(&file("deploy/portcullis.yaml"), &limits).unwrap(), NodeSettings::default());
    let example = std::fs::read_to_string(file("deploy/portcullis.yaml")).unwrap();
    for spec in limits {
        let key = spec.key.rsplit('.').next().unwrap();
        let line = format!("{key}: {}", spec.written_default());
        assert!(example.lines().any(|other| other.trim() == line), "the example lacks `{line}`");
    }
}

#[test]
fn every_limit_of_a_protocol_is_read_by_its_key() {
    let limits = PROTOCOLS.limits();
    for spec in &limits {
        let (text, value) = match spec.unit {
            Unit::Switch => ((spec.default == 0).to_string(), u64::from(spec.default == 0)),
            Unit::Bytes | Unit::Count => (spec.most.to_string(), spec.most),
            Unit::Words(words) => (words.last().unwrap().to_string(), words.len() as u64 - 1),
        };
        let read = parse(&written(spec, &text), &limits).unwrap_or_else(|problems| panic!("{problems:?}"));
        assert_eq!(read.limits.protocols.of(spec), value, "{}", spec.key);
        let others = limits.iter().filter(|other| other.key != spec.key);
        others.for_each(|other| assert_eq!(read.limits.protocols.of(other), other.default, "{}", other.key));
        assert_eq!(parse(&written(spec, &spec.written_default()), &limits).unwrap(), NodeSettings::default());
        assert!(parse(&written(spec, "-1"), &limits).is_err(), "{}", spec.key);
    }
}

#[test]
fn the_codecs_have_what_the_file_says() {
    let text = "\
limits: {requestHead: 8MiB, requestHeaders: 1, responseHead: 4096, pipelined: 2, queries: 3, chunkExtensions: 3B, trailers: 6, swallowed: 7,
  http2: {streams: 10, continuations: 11, rapidResets: 12, provokedResets: 13, pings: 14,
  settings: 15, emptyData: 16, windowUpdates: 17, ignored: 18, trailers: 1KiB, extendedConnect: true},
  kafka: {topicIds: cap, learntTopicIds: 19}}
";
    let values = parse(text, &PROTOCOLS.limits()).unwrap().limits.protocols;
    let limits = http::Limits::of(&values);
    assert_eq!((limits.request_head, limits.request_headers, limits.response_head), (8 << 20, 1, 4096));
    assert_eq!((limits.pipelined, limits.chunk_extensions, limits.trailers), (2, 3, 6));
    assert_eq!((dns::Limits::of(&values).queries, limits.swallowed), (3, 7));
    let http2 = limits.http2;
    assert_eq!((http2.streams, http2.continuations, http2.rapid_resets, http2.provoked_resets), (10, 11, 12, 13));
    assert_eq!(
        (http2.pings, http2.settings, http2.empty_data, http2.window_updates, http2.ignored),
        (14, 15, 16, 17, 18)
    );
    assert_eq!((http2.trailers, http2.extended_connect), (1024, true));
    let kafka = kafka::Limits::of(&values);
    assert_eq!((kafka.topic_ids, kafka.learnt_ids), (kafka::TopicIdUse::Cap, 19));
}

#[test]
fn a_key_is_one_limit_and_within_its_own_bounds() {
    let limits = PROTOCOLS.limits();
    let keys: BTreeSet<_> = limits.iter().map(|spec| spec.key).collect();
    assert_eq!(keys.len(), limits.len(), "{keys:?}");
    for own in ["connections", "flows", "openFiles", "policyLabels", "compilation"] {
        assert!(!keys.iter().any(|key| key.split('.').next() == Some(own)), "{own} is the data plane's");
    }
    limits.iter().for_each(|spec| assert!((spec.least..=spec.most).contains(&spec.default), "{}", spec.key));
}

#[test]
fn the_documentation_has_what_the_protocols_publish() {
    let page = std::fs::read_to_string(file("docs/operations.md")).unwrap();
    for spec in PROTOCOLS.limits() {
        let row = format!("| `limits.{}` | `{}` | {} |", spec.key, spec.written_default(), spec.meaning);
        assert!(page.lines().any(|line| line == row), "docs/operations.md lacks\n{row}");
    }
}
