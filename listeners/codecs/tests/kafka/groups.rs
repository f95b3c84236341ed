//! Groups and transactional ids one by one: answers about all of them are cut down, and requests about several go on without
//! those that are refused.

use kafka_protocol::{
    messages::{
        DescribeGroupsRequest, DescribeGroupsResponse, DescribeTransactionsRequest, DescribeTransactionsResponse,
        FindCoordinatorRequest, FindCoordinatorResponse, GroupId, ListGroupsRequest, ListGroupsResponse,
        ListTransactionsRequest, ListTransactionsResponse, OffsetFetchRequest, OffsetFetchResponse, TransactionalId,
        describe_groups_response::DescribedGroup,
        describe_transactions_response::TransactionState as Described,
        find_coordinator_response::Coordinator,
        list_groups_response::ListedGroup,
        list_transactions_response::TransactionState,
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
        offset_fetch_response::{OffsetFetchResponseGroup, OffsetFetchResponseTopics},
    },
    protocol::{Encodable, StrBytes},
};
use portcullis_codecs::{
    kafka::Limits,
    relay::{Decision, Side},
};
use portcullis_rules::{request::Request, schema::FieldIndex};

use crate::{
    exchanges::{Rules, relay, ruled},
    message::{body, name, request, response},
    playbook::pair::Pair,
};

const GROUP: FieldIndex = FieldIndex(5);
const SHOP: Rules = &[&[("group", "shop")], &[("group", "stock")]];
const PAY: Rules = &[&[("transactionalID", "pay")], &[("transactionalID", "refund")]];

fn answer(number: i32, flexible: bool, message: &impl Encodable, version: i16) -> Vec<u8> {
    let header: &[u8] = if flexible { &[0] } else { &[] };
    response(number, &[header, &body(message, version)].concat())
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

fn transaction(name: &str) -> TransactionalId {
    TransactionalId(text(name))
}

#[test]
fn of_all_groups_a_client_sees_those_that_it_may() {
    for version in [0, 1, 3, 4, 5] {
        let told = |groups: &[&str], error| {
            let groups = groups.iter().map(|name| ListedGroup::default().with_group_id(group(name))).collect();
            let message = ListGroupsResponse::default().with_groups(groups).with_error_code(error);
            answer(1, version >= 3, &message, version)
        };
        ruled("groups", SHOP)
            .reaches_server(request(1, 16, version, &body(&ListGroupsRequest::default(), version)))
            .server(told(&["audit", "shop", "shopping", "stock"], 15))
            .client_sees(told(&["shop", "stock"], 15))
            .judged(&[&format!("listgroups {version} app -> Filter")])
            .answered(&[15])
            .run();
    }
    for version in [0, 1] {
        let told = |ids: &[&str]| {
            let state = |name: &&str| TransactionState::default().with_transactional_id(transaction(name));
            let states = ids.iter().map(state).collect();
            answer(1, true, &ListTransactionsResponse::default().with_transaction_states(states), version)
        };
        let all = request(1, 66, version, &body(&ListTransactionsRequest::default(), version));
        ruled("transactional ids", PAY)
            .reaches_server(all)
            .server(told(&["pay", "other", "refund"]))
            .client_sees(told(&["pay", "refund"]))
            .run();
    }
}

#[test]
fn groups_are_described_one_by_one() {
    for version in [0, 3, 5] {
        let asked = |groups: &[&str]| {
            let groups = groups.iter().map(|name| group(name)).collect();
            request(1, 15, version, &body(&DescribeGroupsRequest::default().with_groups(groups), version))
        };
        let told = |groups: &[(&str, i16)]| {
            let told = |(name, error): &(&str, i16)| {
                DescribedGroup::default().with_group_id(group(name)).with_error_code(*error)
            };
            let groups = groups.iter().map(told).collect();
            answer(1, version >= 5, &DescribeGroupsResponse::default().with_groups(groups), version)
        };
        ruled("each by a rule of its own", SHOP).reaches_server(asked(&["shop", "stock"])).run();
        ruled("some", SHOP)
            .client(asked(&["audit", "shop", "secret", "stock"]))
            .server_sees(asked(&["shop", "stock"]))
            .server(told(&[("shop", 0), ("stock", 0)]))
            .client_sees(told(&[("audit", 30), ("secret", 30), ("shop", 0), ("stock", 0)]))
            .answered(&[0])
            .run();
        ruled("none", SHOP)
            .client(asked(&["audit", "secret"]))
            .client_sees(told(&[("audit", 30), ("secret", 30)]))
            .answers(&[])
            .run();
    }
}

#[test]
fn transactional_ids_and_coordinators_are_told_one_by_one() {
    let described = |ids: &[&str]| {
        let ids = ids.iter().map(|name| transaction(name)).collect();
        request(1, 65, 0, &body(&DescribeTransactionsRequest::default().with_transactional_ids(ids), 0))
    };
    let states = |ids: &[(&str, i16)]| {
        let state = |(name, error): &(&str, i16)| {
            Described::default().with_transactional_id(transaction(name)).with_error_code(*error)
        };
        answer(
            1,
            true,
            &DescribeTransactionsResponse::default().with_transaction_states(ids.iter().map(state).collect()),
            0,
        )
    };
    ruled("transactional ids", PAY)
        .client(described(&["other", "pay", "refund"]))
        .server_sees(described(&["pay", "refund"]))
        .server(states(&[("pay", 0), ("refund", 0)]))
        .client_sees(states(&[("other", 53), ("pay", 0), ("refund", 0)]))
        .run();
    for version in [4, 5, 6] {
        let asked = |keys: &[&str]| {
            let keys = keys.iter().map(|name| text(name)).collect();
            request(1, 10, version, &body(&FindCoordinatorRequest::default().with_coordinator_keys(keys), version))
        };
        let told = |keys: &[(&str, i16)]| {
            let told = |(key, error): &(&str, i16)| {
                let one = Coordinator::default().with_key(text(key)).with_error_code(*error);
                if *error == 0 { one } else { one.with_node_id((-1).into()).with_port(-1) }
            };
            answer(
                1,
                true,
                &FindCoordinatorResponse::default().with_coordinators(keys.iter().map(told).collect()),
                version,
            )
        };
        ruled("coordinators", SHOP)
            .client(asked(&["shop", "audit"]))
            .server_sees(asked(&["shop"]))
            .server(told(&[("shop", 0)]))
            .client_sees(told(&[("audit", 30), ("shop", 0)]))
            .run();
    }
}

type Wanted<'a> = (&'a str, Option<&'a [&'a str]>);

fn offsets_of(version: i16, groups: &[Wanted<'_>]) -> Vec<u8> {
    let topic =
        |topic: &&str| OffsetFetchRequestTopics::default().with_name(name(topic)).with_partition_indexes(vec![0]);
    let one = |(of, topics): &Wanted<'_>| {
        let topics = topics.map(|topics| topics.iter().map(topic).collect());
        OffsetFetchRequestGroup::default().with_group_id(group(of)).with_topics(topics)
    };
    let message = OffsetFetchRequest::default().with_groups(groups.iter().map(one).collect());
    request(1, 9, version, &body(&message, version))
}

fn offsets(version: i16, groups: &[(&str, &[&str], i16)]) -> Vec<u8> {
    let topic = |topic: &&str| OffsetFetchResponseTopics::default().with_name(name(topic));
    let one = |(of, topics, error): &(&str, &[&str], i16)| {
        let told = OffsetFetchResponseGroup::default().with_group_id(group(of)).with_error_code(*error);
        told.with_topics(topics.iter().map(topic).collect())
    };
    answer(1, true, &OffsetFetchResponse::default().with_groups(groups.iter().map(one).collect()), version)
}

#[test]
fn offsets_of_several_groups_go_on_without_those_that_are_refused() {
    const OFFSETS: Rules = &[&[("group", "shop"), ("topic", "orders")], &[("group", "stock"), ("topic", "goods")]];
    for version in [8, 9] {
        ruled("each by a rule of its own", OFFSETS)
            .reaches_server(offsets_of(version, &[("shop", Some(&["orders"])), ("stock", Some(&["goods"]))]))
            .run();
        ruled("a group, and a topic of another", OFFSETS)
            .client(offsets_of(
                version,
                &[("audit", Some(&["orders"])), ("shop", Some(&["orders"])), ("stock", Some(&["orders"]))],
            ))
            .server_sees(offsets_of(version, &[("shop", Some(&["orders"]))]))
            .server(offsets(version, &[("shop", &["orders"], 0)]))
            .client_sees(offsets(version, &[("audit", &[], 30), ("stock", &[], 29), ("shop", &["orders"], 0)]))
            .answered(&[0])
            .run();
        ruled("all topics of all groups", OFFSETS)
            .client(offsets_of(version, &[("audit", None), ("shop", None), ("stock", None)]))
            .server_sees(offsets_of(version, &[("shop", None), ("stock", None)]))
            .server(offsets(version, &[("shop", &["goods", "orders"], 0), ("stock", &["goods", "orders"], 0)]))
            .client_sees(offsets(version, &[("audit", &[], 30), ("shop", &["orders"], 0), ("stock", &["goods"], 0)]))
            .run();
        ruled("of groups that are all allowed", OFFSETS)
            .reaches_server(offsets_of(version, &[("shop", None), ("stock", Some(&["goods"]))]))
            .server(offsets(version, &[("stock", &["goods"], 0), ("shop", &["goods", "orders"], 0)]))
            .client_sees(offsets(version, &[("stock", &["goods"], 0), ("shop", &["orders"], 0)]))
            .run();
        ruled("topics of none", OFFSETS)
            .client(offsets_of(version, &[("shop", Some(&["goods"])), ("stock", Some(&["orders"]))]))
            .client_sees(offsets(version, &[("shop", &[], 29), ("stock", &[], 29)]))
            .answers(&[])
            .run();
    }
}

#[test]
fn what_comes_behind_what_is_held_is_judged_too() {
    let many: Vec<String> = (0..40).map(|number| format!("shop-{number:04}")).collect();
    let asked = |last: &str| {
        let groups = many.iter().map(String::as_str).chain([last]).map(group).collect();
        request(1, 15, 4, &body(&DescribeGroupsRequest::default().with_groups(groups), 4))
    };
    let judge = |request: &dyn Request| {
        let mut groups = (0..request.count(GROUP).unwrap_or(0)).map(|number| request.nth(GROUP, number));
        if groups.all(|group| group.starts_with(b"shop-")) { Decision::Allow } else { Decision::Respond }
    };
    for (last, pieces) in [("secret", 1), ("secret", 2), ("shop-last", 2)] {
        let frame = asked(last);
        let mut pair = Pair::new(relay(&Limits { held: 200, ..Limits::default() }), Box::new(judge));
        frame.chunks(frame.len().div_ceil(pieces)).for_each(|piece| pair.send(Side::Downstream, piece));
        let whole = last != "secret";
        assert_eq!((pair.to_server == frame, pair.close.is_none()), (whole, whole), "{last} in {pieces}");
        assert!(whole || !pair.to_server.ends_with(b"secret"), "{last} in {pieces}");
    }
}
