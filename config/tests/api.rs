//! The API over its socket.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Fake, Lab, key, local, policy, told};
use portcullis_config::{
    ApiLimits, Store,
    proto::{
        self, ApplyRequest, DeleteRequest, ListRequest, ResourceType, StatusRequest, StreamResourcesRequest,
        WatchRequest, config_service_client::ConfigServiceClient, name_service_client::NameServiceClient,
        verdict_service_client::VerdictServiceClient,
    },
    serve,
};
use std::sync::Arc;
use tokio::{net::UnixListener, sync::watch, task::JoinHandle};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

/// A node that serves its API.
struct Node {
    _lab: Lab,
    store: Store,
    fake: Fake,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    channel: Channel,
}

impl Node {
    async fn start() -> Self {
        let lab = Lab::default();
        let (store, fake) = lab.open();
        let socket = lab.path("api.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (stop, stopped) = watch::channel(false);
        let (served, node) = (store.clone(), Arc::new(fake.clone()));
        let serving =
            tokio::spawn(async move { serve(listener, served, node, ApiLimits::default(), stopped).await.unwrap() });
        let uri = format!("unix://{}", socket.display());
        let channel = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
        Self { _lab: lab, store, fake, stop, serving, channel }
    }

    fn config(&self) -> ConfigServiceClient<Channel> {
        ConfigServiceClient::new(self.channel.clone())
    }
}

#[tokio::test]
async fn a_stream_answers_every_request_with_ack_or_nack() {
    let node = Node::start().await;
    let (requests, receiver) = tokio::sync::mpsc::channel(4);
    let mut answers = node.config().stream_resources(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let push = |nonce: &str, resources| StreamResourcesRequest {
        nonce: nonce.into(),
        version: format!("v{nonce}"),
        resources,
        ..Default::default()
    };
    requests.send(push("1", vec![policy("p", "all"), policy("q", "everybody")])).await.unwrap();
    let answer = answers.next().await.unwrap().unwrap();
    assert_eq!((answer.nonce.as_str(), answer.version.as_str(), answer.revision), ("1", "v1", 2));
    let expected = ["p ok", "q refused spec.ingress[0].fromEntities[0] unsupported entity: everybody"];
    assert_eq!(told(&answer.results), expected);
    let problem = &answer.results[1].problems[0];
    assert_eq!((problem.line, problem.column, answer.results[1].version.as_str()), (4, 56, "1"));
    assert!(!problem.remedy.is_empty());
    requests.send(push("2", vec![policy("p", "all")])).await.unwrap();
    let answer = answers.next().await.unwrap().unwrap();
    assert_eq!((answer.nonce.as_str(), answer.revision), ("2", 2), "answered, although nothing changed");
    requests.send(push("3", Vec::new())).await.unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap().nonce, "3");
    // What makes no sense ends the stream, and leaves the node as it is.
    requests.send(StreamResourcesRequest { full: true, ..push("4", Vec::new()) }).await.unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(node.store.revision(), 2);
}

#[tokio::test]
async fn unary_calls_apply_list_delete_and_tell_the_state() {
    let node = Node::start().await;
    let mut config = node.config();
    let resources = vec![policy("p", "all"), local("e", "10.0.0.1")];
    let dry = config.apply(ApplyRequest { resources: resources.clone(), dry_run: true }).await.unwrap().into_inner();
    assert_eq!((told(&dry.results).join(","), dry.revision), ("p ok,e ok".into(), 1));
    let applied = config.apply(ApplyRequest { resources, dry_run: false }).await.unwrap().into_inner();
    assert_eq!((applied.revision, node.fake.last().revision), (2, 2), "in force when the answer comes");
    let all = config.list(ListRequest::default()).await.unwrap().into_inner().resources;
    assert_eq!(all.len(), 2);
    let endpoints = ListRequest { r#type: ResourceType::Endpoint.into() };
    let endpoints = config.list(endpoints).await.unwrap().into_inner().resources;
    assert_eq!((endpoints.len(), endpoints[0].state.as_str()), (1, "steered as 1"));
    let status = config.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.revision, status.policies, status.local_endpoints), (2, 1, 1));
    let keys = vec![key(ResourceType::Policy, "p")];
    let deleted = config.delete(DeleteRequest { keys }).await.unwrap().into_inner();
    assert_eq!((told(&deleted.results).join(","), deleted.revision), ("p ok".into(), 3));
    let error = config.list(ListRequest { r#type: 77 }).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::InvalidArgument, "type: 77 is no type of resource"));
}

#[tokio::test]
async fn a_full_push_may_be_as_large_as_64_mib_and_no_larger() {
    let node = Node::start().await;
    let mut config = node.config();
    let large = |bytes: usize| {
        let text = format!("{}# {}\n", common::policy_text("p", "all"), "x".repeat(bytes));
        let body = proto::resource::Body::Policy(proto::Policy { document: text });
        ApplyRequest { resources: vec![common::resource("1", body)], dry_run: true }
    };
    let applied = config.apply(large(1 << 20)).await.unwrap().into_inner();
    assert_eq!(told(&applied.results), ["p ok"]);
    let applied = config.apply(large(60 << 20)).await.unwrap().into_inner();
    assert!(told(&applied.results)[0].starts_with("p refused  has 62914"), "{:?}", told(&applied.results));
    assert_eq!(config.apply(large(65 << 20)).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test]
async fn verdicts_are_watched() {
    let node = Node::start().await;
    let verdict = |word: &str| proto::Verdict { verdict: word.into(), ..Default::default() };
    node.fake.0.lock().unwrap().verdicts = vec![verdict("allow"), verdict("deny")];
    let mut verdicts = VerdictServiceClient::new(node.channel.clone());
    let watched = verdicts.watch(WatchRequest { denied_only: true, ..Default::default() }).await.unwrap().into_inner();
    let seen: Vec<_> = watched.map(|verdict| verdict.unwrap().verdict).collect().await;
    assert_eq!(seen, ["deny"]);
}

#[tokio::test]
async fn names_are_listed_and_followed_until_the_node_stops() {
    let node = Node::start().await;
    let name = |name: &str, selected| {
        let addresses = vec![proto::LearntAddress { address: "192.0.2.1".into(), expires: 30, origins: Vec::new() }];
        proto::LearntName { name: name.into(), addresses, selected }
    };
    let all = vec![name("a.test.", true), name("b.test.", false)];
    node.fake.0.lock().unwrap().names.clone_from(&all);
    let mut names = NameServiceClient::new(node.channel.clone());
    let listed = names.list(proto::ListNamesRequest::default()).await.unwrap().into_inner().names;
    assert_eq!(listed, all);
    let request = proto::ListNamesRequest { pattern: "b.test.".into(), ..Default::default() };
    assert_eq!(names.list(request).await.unwrap().into_inner().names, all[1..]);
    let request = proto::WatchNamesRequest { selected_only: true, ..Default::default() };
    let mut updates = names.watch(request).await.unwrap().into_inner();
    let update = updates.next().await.unwrap().unwrap();
    assert_eq!((update.names.as_slice(), update.complete), (&all[..1], true));
    node.stop.send(true).unwrap();
    assert_eq!(updates.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn every_service_is_healthy_until_the_node_stops() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let node = Node::start().await;
    let mut health = HealthClient::new(node.channel.clone());
    for service in ["", "portcullis.v1.ConfigService", "portcullis.v1.NameService", "portcullis.v1.VerdictService"] {
        let request = HealthCheckRequest { service: service.into() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status, 1, "{service}");
    }
    let request = HealthCheckRequest { service: "portcullis.v1.Other".into() };
    assert_eq!(health.check(request).await.unwrap_err().code(), Code::NotFound);
    // Streams that would go on for ever are ended.
    let (_requests, receiver) = tokio::sync::mpsc::channel(4);
    let mut answers = node.config().stream_resources(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let mut watched = health.watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(watched.next().await.unwrap().unwrap().status, 1);
    node.stop.send(true).unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
    assert_eq!(watched.next().await.unwrap().unwrap().status, 2, "not serving");
    node.serving.await.unwrap();
}

#[tokio::test]
async fn both_versions_of_reflection_tell_what_there_is() {
    let node = Node::start().await;
    let expected = [
        "grpc.health.v1.Health",
        "portcullis.v1.ConfigService",
        "portcullis.v1.NameService",
        "portcullis.v1.VerdictService",
    ];
    macro_rules! names {
        ($version:ident) => {{
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
            };
            let ask = |message| ServerReflectionRequest { message_request: Some(message), ..Default::default() };
            let requests = tokio_stream::iter([
                ask(MessageRequest::ListServices(String::new())),
                ask(MessageRequest::FileContainingSymbol("portcullis.v1.ConfigService.Apply".into())),
            ]);
            let mut client = ServerReflectionClient::new(node.channel.clone());
            let mut answers = client.server_reflection_info(requests).await.unwrap().into_inner();
            let answer = answers.next().await.unwrap().unwrap().message_response;
            let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
            let answer = answers.next().await.unwrap().unwrap().message_response;
            assert!(matches!(answer, Some(MessageResponse::FileDescriptorResponse(_))), "{answer:?}");
            list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
        }};
    }
    for mut names in [names!(v1), names!(v1alpha)] {
        names.retain(|name| !name.starts_with("grpc.reflection"));
        names.sort();
        assert_eq!(names, expected);
    }
}

#[tokio::test]
async fn an_unknown_service_is_said_to_be_unknown() {
    let node = Node::start().await;
    let mut grpc = tonic::client::Grpc::new(node.channel.clone());
    grpc.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/other.v1.Service/Method");
    let codec = tonic_prost::ProstCodec::<StatusRequest, proto::StatusResponse>::default();
    let error = grpc.unary(tonic::Request::new(StatusRequest {}), path, codec).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
}
