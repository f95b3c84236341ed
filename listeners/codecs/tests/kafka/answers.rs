//! A denial has the form that a broker gives it, and its place in the order. The allowed rest of a request is
//! forwarded.

use kafka_protocol::{
    messages::{
        FetchRequest, FetchResponse, MetadataRequest, MetadataResponse, OffsetFetchRequest, OffsetFetchResponse,
        ProduceResponse,
        fetch_request::FetchTopic,
        fetch_response::{FetchableTopicResponse, PartitionData},
        metadata_request::MetadataRequestTopic,
        metadata_response::{MetadataResponseBroker, MetadataResponseTopic},
        offset_fetch_response::OffsetFetchResponseTopic,
        produce_response::{PartitionProduceResponse, TopicProduceResponse},
    },
    protocol::{Encodable, StrBytes},
};
use portcullis_codecs::{
    kafka::{Limits, TopicIdUse},
    relay::{Close, Decision, Side},
};
use uuid::Uuid;

use crate::{
    exchanges::{Rules, judge_by, refusals_by, relay, ruled},
    message::{body, fetch, metadata, name, produce, produce_by_id, request, response},
    playbook::{pair::Pair, script::Play},
};

const ORDERS: Rules = &[&[("topic", "orders")]];
const ID: Uuid = Uuid::from_u128(0x62c8_4b2c_1a1b_4d43_9d3e_1d3e_2e3f_4a5b);

/// A response with a number, of a version with or without tags in its header.
fn answer(number: i32, flexible: bool, message: &impl Encodable, version: i16) -> Vec<u8> {
    let header: &[u8] = if flexible { &[0] } else { &[] };
    response(number, &[header, &body(message, version)].concat())
}

/// What a broker says of a topic with one partition.
fn stored(topic: &str, error: i16) -> TopicProduceResponse {
    let mut partition = PartitionProduceResponse::default().with_error_code(error).with_base_offset(-1);
    partition = partition.with_record_errors(Vec::new()).with_error_message(None);
    TopicProduceResponse::default().with_name(name(topic)).with_partition_responses(vec![partition])
}

fn produced(number: i32, version: i16, topics: &[(&str, i16)]) -> Vec<u8> {
    let topics = topics.iter().map(|(topic, error)| stored(topic, *error)).collect();
    answer(number, version >= 9, &ProduceResponse::default().with_responses(topics), version)
}

#[test]
fn a_denied_request_is_answered_in_its_turn_and_the_connection_goes_on() {
    for version in [3, 7, 9, 12] {
        let denied = produced(2, version, &[("payments", 29)]);
        ruled("between two others", ORDERS)
            .reaches_server(produce(1, version, -1, &["orders"], 9))
            .client(produce(2, version, -1, &["payments"], 9))
            .reaches_server(produce(3, version, -1, &["orders"], 9))
            .server(produced(1, version, &[("orders", 0)]))
            .client_sees([produced(1, version, &[("orders", 0)]), denied.clone()].concat())
            .reaches_client(produced(3, version, &[("orders", 0)]))
            .answered(&[0, 0])
            .run();
        ruled("alone", ORDERS).client(produce(2, version, -1, &["payments"], 9)).client_sees(denied).run();
    }
}

#[test]
fn what_is_allowed_of_a_request_goes_on_and_the_rest_is_answered_with_it() {
    for version in [3, 8, 9, 12] {
        ruled("two of three", ORDERS)
            .client(produce(1, version, -1, &["orders", "payments", "orders"], 9))
            .server_sees(produce(1, version, -1, &["orders", "orders"], 9))
            .server(produced(1, version, &[("orders", 0), ("orders", 0)]))
            .client_sees(produced(1, version, &[("payments", 29), ("orders", 0), ("orders", 0)]))
            .answered(&[0])
            .run();
    }
}

#[test]
fn what_goes_wrong_at_the_broker_is_told_by_its_first_error() {
    for version in [3, 9, 12] {
        ruled("one of two topics", ORDERS)
            .reaches_server(produce(1, version, -1, &["orders", "orders"], 9))
            .reaches_client(produced(1, version, &[("orders", 0), ("orders", 7)]))
            .answered(&[7])
            .run();
    }
}

#[test]
fn whoever_wants_no_response_learns_of_a_denial_by_the_end() {
    let end = |name| ruled(name, ORDERS).reaches_server(metadata(1, 5, None));
    end("all of it").client(produce(2, 9, 0, &["payments"], 9)).answers(&[]).reaches_client_then_closes();
    end("a part of it")
        .client(produce(2, 9, 0, &["payments", "orders"], 9))
        .server_sees(produce(2, 9, 0, &["orders"], 9))
        .reaches_client_then_closes();
}

trait Ends {
    fn reaches_client_then_closes(self);
}

impl Ends for Play {
    fn reaches_client_then_closes(self) {
        let all = answer(1, false, &MetadataResponse::default().with_brokers(Vec::new()), 5);
        self.reaches_client(all).closes(Close::Graceful).run();
    }
}

fn broker() -> MetadataResponseBroker {
    MetadataResponseBroker::default().with_host(StrBytes::from_static_str("broker.example")).with_port(9092)
}

fn told(topic: &str, error: i16, id: Uuid) -> MetadataResponseTopic {
    let topic = MetadataResponseTopic::default().with_name(Some(name(topic))).with_topic_id(id);
    topic.with_error_code(error)
}

fn topics(number: i32, version: i16, mut topics: Vec<MetadataResponseTopic>) -> Vec<u8> {
    // Before there were ids.
    topics.iter_mut().filter(|_| version < 10).for_each(|topic| topic.topic_id = Uuid::nil());
    let message = MetadataResponse::default().with_brokers(vec![broker()]).with_topics(topics);
    answer(number, version >= 9, &message, version)
}

fn asked(number: i32, version: i16, names: Option<&[&str]>, creates: bool) -> Vec<u8> {
    let names = names
        .map(|names| names.iter().map(|topic| MetadataRequestTopic::default().with_name(Some(name(topic)))).collect());
    // Before that could be said, asking created.
    let creates = creates || version < 4;
    let message = MetadataRequest::default().with_topics(names).with_allow_auto_topic_creation(creates);
    request(number, 3, version, &body(&message, version))
}

#[test]
fn of_all_topics_a_client_sees_those_that_it_may() {
    const SOME: Rules = &[&[("role", "consume"), ("topic", "orders")], &[("role", "consume"), ("topic", "returns")]];
    for version in [1, 4, 5, 9, 10, 13] {
        let all = ["audit", "orders", "payments", "returns"].map(|topic| told(topic, 0, Uuid::nil()));
        let some = vec![all[1].clone(), all[3].clone()];
        ruled("all", SOME)
            .reaches_server(asked(1, version, None, false))
            .server(topics(1, version, all.to_vec()))
            .client_sees(topics(1, version, some))
            .judged(&[&format!("metadata {version} app -> Filter")])
            .answered(&[0])
            .run();
    }
}

#[test]
fn brokers_are_told_to_whoever_may_ask_for_nothing_else() {
    const OTHER: Rules = &[&[("apiKey", "fetch"), ("topic", "orders")]];
    for version in [1, 5, 9, 11, 13] {
        ruled("of all topics", OTHER)
            .client(asked(1, version, None, true))
            .server_sees(asked(1, version, Some(&[]), true))
            .reaches_client(topics(1, version, Vec::new()))
            .judged(&[&format!("metadata {version} app -> Respond")])
            .answers(&[])
            .run();
        ruled("of one", OTHER)
            .client(asked(1, version, Some(&["orders"]), false))
            .server_sees(asked(1, version, Some(&[]), false))
            .server(topics(1, version, Vec::new()))
            .client_sees(topics(1, version, vec![told("orders", 29, Uuid::nil())]))
            .run();
    }
}

#[test]
fn a_topic_that_is_refused_is_told_by_its_error_and_never_asked_about() {
    for version in [1, 4, 5, 9, 11] {
        ruled("one of two", ORDERS)
            .client(asked(1, version, Some(&["secret", "orders"]), false))
            .server_sees(asked(1, version, Some(&["orders"]), false))
            .server(topics(1, version, vec![told("orders", 0, ID)]))
            .client_sees(topics(1, version, vec![told("secret", 29, Uuid::nil()), told("orders", 0, ID)]))
            .run();
        // Of its brokers only the server knows.
        ruled("the only one", ORDERS)
            .client(asked(1, version, Some(&["secret"]), false))
            .server_sees(asked(1, version, Some(&[]), false))
            .server(topics(1, version, Vec::new()))
            .client_sees(topics(1, version, vec![told("secret", 29, Uuid::nil())]))
            .answers(&[])
            .run();
    }
}

#[test]
fn no_topic_is_created_by_asking_unless_rules_let_it() {
    const CONSUME: Rules = &[&[("role", "consume"), ("topic", "orders")]];
    const CREATE: Rules =
        &[&[("role", "consume"), ("topic", "orders")], &[("apiKey", "createtopics"), ("topic", "orders")]];
    for version in [4, 8, 9, 13] {
        let wants = asked(1, version, Some(&["orders"]), true);
        ruled("it may not", CONSUME)
            .client(&wants)
            .server_sees(asked(1, version, Some(&["orders"]), false))
            .reaches_client(topics(1, version, vec![told("orders", 3, Uuid::nil())]))
            .answered(&[3])
            .run();
        ruled("it may", CREATE).reaches_server(&wants).run();
        ruled("it may, beside one that is refused", CREATE)
            .client(asked(1, version, Some(&["orders", "secret"]), true))
            .server_sees(&wants)
            .run();
        ruled("it may not, beside one that is refused", CONSUME)
            .client(asked(1, version, Some(&["orders", "secret"]), true))
            .server_sees(asked(1, version, Some(&["orders"]), false))
            .run();
    }
}

#[test]
fn groups_tell_the_offsets_of_allowed_topics_only() {
    let offsets = |topics: &[&str]| {
        let topics = topics.iter().map(|topic| OffsetFetchResponseTopic::default().with_name(name(topic))).collect();
        answer(1, true, &OffsetFetchResponse::default().with_topics(topics), 6)
    };
    let all = request(1, 9, 6, &body(&OffsetFetchRequest::default().with_topics(None), 6));
    ruled("of all", ORDERS)
        .reaches_server(all)
        .server(offsets(&["orders", "payments"]))
        .client_sees(offsets(&["orders"]))
        .run();
}

#[test]
fn denied_records_are_dropped_as_they_come_and_answered() {
    for version in [3, 7, 9, 12] {
        for acks in [1, -1] {
            let limits = Limits { held: 1 << 10, ..Limits::default() };
            Play::new("more than may be held", move || relay(&limits))
                .judged_by(|| judge_by(ORDERS, Decision::Respond))
                .refusing(|| refusals_by(ORDERS))
                .client(produce(2, version, acks, &["payments"], 1200))
                .client_sees(produced(2, version, &[("payments", 29)]))
                .judged(&[&format!("produce {version} app payments -> Respond")])
                .reaches_server(produce(3, version, acks, &["orders"], 1200))
                .run();
        }
        let limits = Limits { held: 1 << 10, ..Limits::default() };
        Play::new("nobody waits for an answer", move || relay(&limits))
            .judged_by(|| judge_by(ORDERS, Decision::Respond))
            .refusing(|| refusals_by(ORDERS))
            .client(produce(2, version, 0, &["payments"], 1200))
            .closes(Close::Graceful)
            .run();
    }
}

/// librdkafka asks for all topics with a count of four bytes, of which one is written (seen in 2.16.1).
#[test]
fn what_librdkafka_writes_behind_its_request_for_all_topics_is_cut_off() {
    let body = |slack: &[u8]| request(3, 3, 13, &[&[0, 0, 0, 0][..], slack].concat());
    ruled("three bytes", ORDERS)
        .client(body(&[1, 0, 0]))
        .server_sees(body(&[]))
        .server(topics(3, 13, vec![told("orders", 0, ID), told("secret", 0, ID)]))
        .client_sees(topics(3, 13, vec![told("orders", 0, ID)]))
        .run();
    ruled("others", ORDERS).client(body(&[1, 0, 1])).client_violates("trailing").closes(Close::Reset).run();
    ruled("four", ORDERS).client(body(&[1, 0, 0, 0])).client_violates("trailing").closes(Close::Reset).run();
    const ALL: Rules = &[&[("role", "consume")]];
    ruled("where all are allowed", ALL).client(body(&[1, 0, 0])).server_sees(body(&[])).run();
}

#[test]
fn a_kind_that_no_rule_allows_is_refused_for_what_a_broker_asks_first() {
    const PRODUCE: Rules = &[&[("role", "produce"), ("topic", "orders")]];
    let commit = |number: i32| {
        let topic = kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic::default()
            .with_name(name("orders"))
            .with_partitions(vec![Default::default()]);
        let message = kafka_protocol::messages::OffsetCommitRequest::default()
            .with_group_id(kafka_protocol::messages::GroupId(StrBytes::from_static_str("shop")))
            .with_topics(vec![topic]);
        request(number, 8, 8, &body(&message, 8))
    };
    let refused = |error: i16| {
        let topic = kafka_protocol::messages::offset_commit_response::OffsetCommitResponseTopic::default()
            .with_name(name("orders"))
            .with_partitions(vec![
                kafka_protocol::messages::offset_commit_response::OffsetCommitResponsePartition::default()
                    .with_error_code(error),
            ]);
        let message = kafka_protocol::messages::OffsetCommitResponse::default().with_topics(vec![topic]);
        answer(1, true, &message, 8)
    };
    ruled("the group", PRODUCE).client(commit(1)).client_sees(refused(30)).run();
    const OTHER: Rules = &[&[("role", "consume"), ("topic", "returns")]];
    ruled("the topic", OTHER).client(commit(1)).client_sees(refused(29)).run();
}

/// A request for records within a session.
fn fetching(number: i32, id: i32, epoch: i32, topics: &[&str]) -> Vec<u8> {
    let topics = topics.iter().map(|topic| FetchTopic::default().with_topic(name(topic))).collect();
    let message = FetchRequest::default().with_session_id(id).with_session_epoch(epoch).with_topics(topics);
    request(number, 1, 12, &body(&message, 12))
}

fn fetched(number: i32, id: i32, error: i16, topics: &[(&str, i16)]) -> Vec<u8> {
    let topics = topics.iter().map(|(topic, error)| {
        let mut partition = PartitionData::default().with_error_code(*error);
        if *error != 0 {
            partition = partition.with_high_watermark(-1).with_last_stable_offset(-1).with_log_start_offset(-1);
            partition = partition.with_aborted_transactions(Some(Vec::new())).with_records(Some(bytes::Bytes::new()));
        }
        FetchableTopicResponse::default()
            .with_topic(name(topic))
            .with_partitions(vec![partition; usize::from(*error == 0)])
    });
    let message = FetchResponse::default().with_session_id(id).with_error_code(error).with_responses(topics.collect());
    answer(number, true, &message, 12)
}

#[test]
fn a_session_goes_on_while_all_of_it_is_allowed() {
    ruled("opened, used, closed", ORDERS)
        .reaches_server(fetching(1, 0, 0, &["orders"]))
        .reaches_client(fetched(1, 77, 0, &[("orders", 0)]))
        .reaches_server(fetching(2, 77, 1, &[]))
        .reaches_client(fetched(2, 77, 0, &[]))
        .reaches_server(fetching(3, 77, -1, &["orders"]))
        .reaches_client(fetched(3, 0, 0, &[("orders", 0)]))
        .client(fetching(4, 77, 2, &[]))
        .client_sees(fetched(4, 0, 70, &[]))
        .judged(&["fetch 12 app orders", "fetch 12 app orders", "fetch 12 app orders"])
        .run();
}

#[test]
fn a_session_is_closed_without_a_topic() {
    ruled("as Java does", ORDERS)
        .reaches_server(fetching(1, 0, 0, &["orders"]))
        .reaches_client(fetched(1, 77, 0, &[("orders", 0)]))
        .reaches_server(fetching(2, 77, -1, &[]))
        .reaches_client(fetched(2, 0, 0, &[]))
        .client(fetching(3, 77, 1, &[]))
        .client_sees(fetched(3, 0, 70, &[]))
        .run();
}

#[test]
fn a_session_that_this_connection_did_not_open_is_none() {
    for (id, epoch) in [(5, 1), (5, 0), (5, -1), (0, 1), (5, -7)] {
        ruled("somebody else's", ORDERS)
            .client(fetching(1, id, epoch, &["orders"]))
            .client_sees(fetched(1, 0, 70, &[]))
            .judged(&[])
            .reaches_server(fetching(2, 0, 0, &["orders"]))
            .run();
    }
    ruled("another number", ORDERS)
        .reaches_server(fetching(1, 0, 0, &["orders"]))
        .reaches_client(fetched(1, 77, 0, &[]))
        .client(fetching(2, 78, 1, &[]))
        .client_sees(fetched(2, 0, 70, &[]))
        .run();
    ruled("the broker opens none", ORDERS)
        .reaches_server(fetching(1, 0, 0, &["orders"]))
        .reaches_client(fetched(1, 0, 0, &[("orders", 0)]))
        .client(fetching(2, 0, 1, &[]))
        .client_sees(fetched(2, 0, 70, &[]))
        .run();
}

#[test]
fn a_client_with_a_refused_topic_fetches_without_a_session_and_is_told_each_time() {
    let both = |number, epoch| fetching(number, 0, epoch, &["orders", "secret"]);
    let told = |number| fetched(number, 0, 0, &[("orders", 0)]);
    for epoch in [0, -1] {
        ruled("each time", ORDERS)
            .client(both(1, epoch))
            .server_sees(fetching(1, 0, -1, &["orders"]))
            .server(told(1))
            .reads_from_server_with_refusal()
            .client(both(2, epoch))
            .server_sees(fetching(2, 0, -1, &["orders"]))
            .run();
    }
    ruled("within a session", ORDERS)
        .reaches_server(fetching(1, 0, 0, &["orders"]))
        .reaches_client(fetched(1, 77, 0, &[]))
        .client(fetching(2, 77, 1, &["secret"]))
        .client_sees(fetched(2, 0, 70, &[]))
        .client(both(3, 0))
        .server_sees(fetching(3, 0, -1, &["orders"]))
        .run();
}

trait Refusal {
    fn reads_from_server_with_refusal(self) -> Self;
}

impl Refusal for Play {
    /// The client sees two topics, the refused one first: it has no partition in these requests.
    fn reads_from_server_with_refusal(self) -> Self {
        let refused = FetchableTopicResponse::default().with_topic(name("secret"));
        let allowed = FetchableTopicResponse::default()
            .with_topic(name("orders"))
            .with_partitions(vec![PartitionData::default()]);
        let message = FetchResponse::default().with_responses(vec![refused, allowed]);
        self.client_sees(answer(1, true, &message, 12))
    }
}

#[test]
fn a_policy_that_changes_counts_for_what_a_session_has() {
    const OTHER: Rules = &[&[("topic", "returns")]];
    let mut pair = Pair::new(relay(&Limits::default()), judge_by(ORDERS, Decision::Respond));
    pair.recorder.refusals = Some(refusals_by(ORDERS));
    pair.send(Side::Downstream, &fetching(1, 0, 0, &["orders"]));
    pair.send(Side::Upstream, &fetched(1, 77, 0, &[("orders", 0)]));
    pair.send(Side::Downstream, &fetching(2, 77, 1, &[]));
    pair.send(Side::Upstream, &fetched(2, 77, 0, &[]));
    pair.to_client.clear();
    pair.to_server.clear();
    pair.recorder.judge_by(judge_by(OTHER, Decision::Respond));
    pair.recorder.refusals = Some(refusals_by(OTHER));
    pair.send(Side::Downstream, &fetching(3, 77, 2, &[]));
    assert_eq!(pair.to_client, fetched(3, 0, 70, &[]));
    assert_eq!(pair.to_server, b"");
    pair.to_client.clear();
    pair.send(Side::Downstream, &fetching(4, 0, 0, &["orders"]));
    assert_eq!(pair.to_server, b"");
    assert!(!pair.to_client.is_empty());
}

#[test]
fn of_two_sessions_that_are_opened_at_once_none_is_taken_for_the_other() {
    const BOTH: Rules = &[&[("topic", "orders")], &[("topic", "returns")]];
    const OTHER: Rules = &[&[("topic", "returns")]];
    let mut pair = Pair::new(relay(&Limits::default()), judge_by(BOTH, Decision::Respond));
    pair.send(Side::Downstream, &[fetching(1, 0, 0, &["orders"]), fetching(2, 0, 0, &["returns"])].concat());
    pair.send(Side::Upstream, &fetched(1, 77, 0, &[("orders", 0)]));
    pair.to_client.clear();
    pair.to_server.clear();
    pair.recorder.judge_by(judge_by(OTHER, Decision::Respond));
    pair.recorder.refusals = Some(refusals_by(OTHER));
    // What the first has is refused now, whatever the second one has.
    pair.send(Side::Downstream, &fetching(3, 77, 1, &[]));
    pair.send(Side::Upstream, &fetched(2, 78, 0, &[("returns", 0)]));
    assert_eq!(pair.to_server, b"");
    assert_eq!(pair.to_client, [fetched(2, 78, 0, &[("returns", 0)]), fetched(3, 0, 70, &[])].concat());
}

/// What the relay asks about the id of [`produce_by_id`].
fn question() -> Vec<u8> {
    let topic = MetadataRequestTopic::default().with_name(None).with_topic_id(ID);
    let message = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
    request(0x706f_7274, 3, 12, &body(&message, 12))
}

fn said(topics_: Vec<MetadataResponseTopic>) -> Vec<u8> {
    topics(0x706f_7274, 12, topics_)
}

#[test]
fn an_id_that_is_not_known_is_asked_for_and_the_answer_is_nobody_elses() {
    let allowed = produce_by_id(2);
    ruled("its name is allowed", ORDERS)
        .reaches_server(asked(1, 12, Some(&["orders"]), false))
        .client([&allowed[..], &asked(3, 12, None, false)].concat())
        .server_sees(question())
        .server(topics(1, 12, Vec::new()))
        .client_sees(topics(1, 12, Vec::new()))
        .server(said(vec![told("orders", 0, ID)]))
        .server_sees([&allowed[..], &asked(3, 12, None, false)].concat())
        .answered(&[0])
        .run();
    ruled("its name is refused", ORDERS)
        .client(&allowed)
        .server_sees(question())
        .server(said(vec![told("secret", 0, ID)]))
        .client_reads_denial()
        .run();
    // The client's principal may not know it, or there is no such topic.
    let unknown = MetadataResponseTopic::default().with_name(None).with_topic_id(ID).with_error_code(100);
    ruled("it has none", ORDERS)
        .client(&allowed)
        .server_sees(question())
        .server(said(vec![unknown]))
        .client_reads_denial()
        .run();
}

trait Denied {
    fn client_reads_denial(self) -> Self;
}

impl Denied for Play {
    fn client_reads_denial(self) -> Self {
        let topic = TopicProduceResponse::default().with_topic_id(ID);
        let message = ProduceResponse::default().with_responses(vec![topic]);
        self.client_sees(answer(2, true, &message, 13))
    }
}

#[test]
fn names_that_a_server_has_told_are_known_without_asking() {
    for version in [10, 12, 13] {
        ruled("told before", ORDERS)
            .reaches_server(asked(1, version, Some(&["orders"]), false))
            .reaches_client(topics(1, version, vec![told("orders", 0, ID)]))
            .reaches_server(produce_by_id(2))
            .judged(&[&format!("metadata {version} app orders"), "produce 13 app orders"])
            .run();
        ruled("told of all", ORDERS)
            .reaches_server(asked(1, version, None, false))
            .server(topics(1, version, vec![told("secret", 0, ID)]))
            .client_sees(topics(1, version, Vec::new()))
            .client(produce_by_id(2))
            .client_reads_denial()
            .run();
    }
}

/// What a share group's member asks for, within its session.
fn sharing(number: i32, epoch: i32, topics: &[[u8; 16]]) -> Vec<u8> {
    let topics = topics.iter().map(|id| {
        let partition = kafka_protocol::messages::share_fetch_request::FetchPartition::default();
        kafka_protocol::messages::share_fetch_request::FetchTopic::default()
            .with_topic_id(Uuid::from_bytes(*id))
            .with_partitions(vec![partition])
    });
    let message = kafka_protocol::messages::ShareFetchRequest::default()
        .with_group_id(Some(kafka_protocol::messages::GroupId(StrBytes::from_static_str("shop"))))
        .with_member_id(Some(StrBytes::from_static_str("m")))
        .with_share_session_epoch(epoch)
        .with_topics(topics.collect());
    request(number, 78, 1, &body(&message, 1))
}

fn shared(number: i32, error: i16, topics: &[([u8; 16], i16)]) -> Vec<u8> {
    let topics = topics.iter().map(|(id, error)| {
        let partition = kafka_protocol::messages::share_fetch_response::PartitionData::default()
            .with_error_code(*error)
            .with_records(Some(bytes::Bytes::new()));
        kafka_protocol::messages::share_fetch_response::ShareFetchableTopicResponse::default()
            .with_topic_id(Uuid::from_bytes(*id))
            .with_partitions(vec![partition])
    });
    let message =
        kafka_protocol::messages::ShareFetchResponse::default().with_error_code(error).with_responses(topics.collect());
    answer(number, true, &message, 1)
}

const KEPT: [u8; 16] = *ID.as_bytes();
const LOST: [u8; 16] = [7; 16];

#[test]
fn a_share_group_goes_on_with_the_topics_that_it_may_have() {
    let known = || {
        ruled("some of two", ORDERS)
            .reaches_server(asked(1, 12, None, false))
            .server(topics(1, 12, vec![told("orders", 0, ID), told("secret", 0, Uuid::from_bytes(LOST))]))
            .client_sees(topics(1, 12, vec![told("orders", 0, ID)]))
    };
    known()
        .client(sharing(2, 0, &[KEPT, LOST]))
        .server_sees(sharing(2, 0, &[KEPT]))
        .server(shared(2, 0, &[(KEPT, 0)]))
        .client_sees(shared(2, 0, &[(LOST, 29), (KEPT, 0)]))
        // Acknowledgements go on.
        .reaches_server(sharing(3, 1, &[KEPT]))
        .reaches_client(shared(3, 0, &[(KEPT, 0)]))
        .reaches_server(sharing(4, 2, &[]))
        .run();
    known()
        .client(sharing(2, 0, &[LOST]))
        .server_sees(sharing(2, 0, &[]))
        .server(shared(2, 0, &[]))
        .client_sees(shared(2, 0, &[(LOST, 29)]))
        .run();
    known().client(sharing(2, 5, &[])).client_sees_error(122).run();
}

trait ShareError {
    fn client_sees_error(self, error: i16) -> Self;
}

impl ShareError for Play {
    fn client_sees_error(self, error: i16) -> Self {
        let message = kafka_protocol::messages::ShareFetchResponse::default().with_error_code(error);
        self.client_sees(answer(2, true, &message, 1))
    }
}

#[test]
fn a_share_session_begins_anew_when_what_it_may_have_changes() {
    const BOTH: Rules = &[&[("topic", "orders")], &[("topic", "secret")]];
    const NEITHER: Rules = &[&[("topic", "returns")]];
    for (other, error) in [(BOTH, 122), (NEITHER, 122), (ORDERS, 0)] {
        let mut pair = Pair::new(relay(&Limits::default()), judge_by(ORDERS, Decision::Respond));
        pair.recorder.refusals = Some(refusals_by(ORDERS));
        pair.send(Side::Downstream, &asked(1, 12, None, false));
        pair.send(
            Side::Upstream,
            &topics(1, 12, vec![told("orders", 0, ID), told("secret", 0, Uuid::from_bytes(LOST))]),
        );
        pair.send(Side::Downstream, &sharing(2, 0, &[KEPT, LOST]));
        pair.send(Side::Upstream, &shared(2, 0, &[(KEPT, 0)]));
        pair.to_client.clear();
        pair.to_server.clear();
        pair.recorder.judge_by(judge_by(other, Decision::Respond));
        pair.recorder.refusals = Some(refusals_by(other));
        pair.send(Side::Downstream, &sharing(3, 1, &[]));
        if error == 0 {
            assert_eq!((&*pair.to_client, &*pair.to_server), (&b""[..], &*sharing(3, 1, &[])));
        } else {
            let message = kafka_protocol::messages::ShareFetchResponse::default().with_error_code(error);
            let answered = answer(3, true, &message, 1);
            let end = answered.len().min(pair.to_client.len());
            // Its text stands behind the code.
            assert_eq!(pair.to_client[4..end][..11], answered[4..end][..11]);
            assert_eq!(&*pair.to_server, b"");
        }
    }
}

#[test]
fn where_ids_are_not_learnt_only_versions_with_names_pass() {
    let capped = || {
        let limits = Limits { topic_ids: TopicIdUse::Cap, ..Limits::default() };
        Play::new("capped", move || relay(&limits))
            .judged_by(|| judge_by(ORDERS, Decision::Respond))
            .refusing(|| refusals_by(ORDERS))
    };
    capped().reaches_server(produce(1, 12, -1, &["orders"], 9)).run();
    capped().client(produce_by_id(1)).client_violates("unknown_version").closes(Close::Graceful).run();
    // Who was told an id may ask what it is called: the answer says it.
    let by_id = MetadataRequestTopic::default().with_name(None).with_topic_id(ID);
    let message = MetadataRequest::default().with_topics(Some(vec![by_id])).with_allow_auto_topic_creation(false);
    for (name, seen) in [("orders", true), ("secret", false)] {
        let answered = vec![told(name, 0, ID)];
        capped()
            .reaches_server(request(1, 3, 12, &body(&message, 12)))
            .server(topics(1, 12, answered.clone()))
            .client_sees(topics(1, 12, if seen { answered } else { Vec::new() }))
            .run();
    }
}

#[test]
fn a_request_that_has_to_be_whole_is_refused_where_it_is_larger_than_what_is_held() {
    let limits = Limits { held: 1024, ..Limits::default() };
    let many: Vec<String> = (0..200).map(|number| format!("topic-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    Play::new("too many to hold", move || relay(&limits))
        .client(fetch(1, &many, &[]))
        .client_violates("long_request")
        .closes(Close::Reset)
        .run();
}
