//! Requests and responses, written by `kafka-protocol`.

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        ApiVersionsRequest, ApiVersionsResponse, FetchRequest, MetadataRequest, ProduceRequest,
        SaslAuthenticateRequest, SaslHandshakeRequest, TopicName,
        api_versions_response::{ApiVersion, SupportedFeatureKey},
        fetch_request::{FetchTopic, ForgottenTopic},
        metadata_request::MetadataRequestTopic,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::{Encodable, StrBytes},
};

use crate::oracle::{framed, request_frame};

/// The id of a topic.
const ID: &str = "62c84b2c-1a1b-4d43-9d3e-1d3e2e3f4a5b";

pub(crate) fn name(text: &str) -> TopicName {
    TopicName(StrBytes::from_string(text.to_owned()))
}

pub(crate) fn body(message: &impl Encodable, version: i16) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).expect("a valid message");
    bytes.to_vec()
}

/// A request with a number, of a client called `app`.
pub(crate) fn request(number: i32, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = request_frame(key, version, Some("app"), body);
    frame[8..12].copy_from_slice(&number.to_be_bytes());
    frame
}

/// A response with a number.
pub(crate) fn response(number: i32, body: &[u8]) -> Vec<u8> {
    framed(&[&number.to_be_bytes()[..], body].concat())
}

/// Produce with one partition for each topic, and so many bytes of records in each.
pub(crate) fn produce(number: i32, version: i16, acks: i16, topics: &[&str], records: usize) -> Vec<u8> {
    let partition = PartitionProduceData::default().with_records(Some(Bytes::from(vec![0xee; records])));
    let topics = topics
        .iter()
        .map(|topic| TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![partition.clone()]));
    let message = ProduceRequest::default().with_acks(acks).with_topic_data(topics.collect());
    request(number, 0, version, &body(&message, version))
}

/// Produce by the ids of topics.
pub(crate) fn produce_by_id(number: i32) -> Vec<u8> {
    let topic = TopicProduceData::default().with_topic_id(ID.parse().expect("an id"));
    let message = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
    request(number, 0, 13, &body(&message, 13))
}

/// Metadata of topics, or of all.
pub(crate) fn metadata(number: i32, version: i16, topics: Option<&[&str]>) -> Vec<u8> {
    let topics =
        topics.map(|topics| topics.iter().map(|topic| MetadataRequestTopic::default().with_name(Some(name(topic)))));
    let message = MetadataRequest::default().with_topics(topics.map(Iterator::collect));
    request(number, 3, version, &body(&message, version))
}

/// Fetch of topics, while others leave the session.
pub(crate) fn fetch(number: i32, topics: &[&str], forgotten: &[&str]) -> Vec<u8> {
    let topics = topics.iter().map(|topic| FetchTopic::default().with_topic(name(topic))).collect();
    let forgotten = forgotten.iter().map(|topic| ForgottenTopic::default().with_topic(name(topic))).collect();
    let message = FetchRequest::default().with_topics(topics).with_forgotten_topics_data(forgotten);
    request(number, 1, 11, &body(&message, 11))
}

/// ApiVersions; a version that is not known has the body of the last one that is.
pub(crate) fn api_versions(number: i32, version: i16) -> Vec<u8> {
    let text = |text: &'static str| StrBytes::from_static_str(text);
    let message =
        ApiVersionsRequest::default().with_client_software_name(text("lib")).with_client_software_version(text("1.0"));
    let known = version.clamp(0, 4);
    let more: &[u8] = if version == 5 { &[0, 0, 0, 0, 9, 0] } else { &[0] };
    let mut bytes = body(&message, known);
    if known >= 3 {
        // Its tags stand behind what version 5 has more.
        bytes.truncate(bytes.len() - 1);
        bytes.extend_from_slice(more);
    }
    let mut frame = request(number, 18, known, &bytes);
    frame[6..8].copy_from_slice(&version.to_be_bytes());
    frame
}

/// What a broker says of its versions: request, first and last version.
pub(crate) fn offers(number: i32, version: i16, code: i16, offers: &[(i16, i16, i16)]) -> Vec<u8> {
    let offers = offers.iter().map(|(key, first, last)| {
        ApiVersion::default().with_api_key(*key).with_min_version(*first).with_max_version(*last)
    });
    let mut message = ApiVersionsResponse::default().with_error_code(code).with_api_keys(offers.collect());
    if version >= 3 {
        let feature = SupportedFeatureKey::default()
            .with_name(StrBytes::from_static_str("metadata.version"))
            .with_max_version(29);
        message = message.with_throttle_time_ms(3).with_supported_features(vec![feature]);
    }
    response(number, &body(&message, version.min(4)))
}

/// SaslHandshake.
pub(crate) fn handshake(number: i32, version: i16) -> Vec<u8> {
    let message = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str("PLAIN"));
    request(number, 17, version, &body(&message, version))
}

/// SaslAuthenticate.
pub(crate) fn authenticate(number: i32) -> Vec<u8> {
    let message = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(b"\0alice\0secret"));
    request(number, 36, 2, &body(&message, 2))
}
