//! A client and a server of another library talk through the relay. Each sees what it sees without the relay.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response};
use portcullis_codecs::{
    http::Limits,
    http2::ErrorCode,
    relay::{Decision, Relay, RelayOutput, Side},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    runtime,
    sync::Mutex,
    task::{JoinSet, spawn},
    time::timeout,
};

use crate::playbook::pair::{Recorder, deny_with, without_changes};

/// A message: what stands in its head beside its number, the pieces of its body, and its trailers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    fields: Vec<(String, String)>,
    body: Vec<usize>,
    trailers: Option<Vec<(String, String)>>,
}

/// What the server does with a request that has come as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Deed {
    Answer(u16, Message),
    Reset(u32),
}

#[derive(Clone, Debug)]
struct Exchange {
    method: &'static str,
    request: Message,
    deed: Deed,
    /// The path is one that is denied.
    denied: bool,
    /// The client gives up behind the head.
    given_up: bool,
}

#[derive(Clone, Copy, Debug)]
struct Ways {
    windows: [u32; 2],
    frames: [u32; 2],
    tables: [u32; 2],
    /// Bytes that the relay reads at a time.
    cut: usize,
}

/// What one side has seen, by the number of the exchange.
type Seen = BTreeMap<usize, String>;

fn any_fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        select(&["x-a", "x-b", "cookie", "authorization", "accept"][..]).prop_map(str::to_owned),
        "x-[a-z]{1,8}"
    ];
    vec((name, "([!-~]([ -~]{0,30}[!-~])?)?"), 0..6)
}

fn any_message() -> impl Strategy<Value = Message> {
    let piece = prop_oneof![8 => 0_usize..50, 3 => 1000_usize..5000, 1 => 70_000_usize..80_000];
    (any_fields(), vec(piece, 0..4), option::weighted(0.3, any_fields())).prop_map(|(fields, body, trailers)| Message {
        fields,
        body,
        trailers,
    })
}

fn any_exchange() -> impl Strategy<Value = Exchange> {
    let deed = prop_oneof![
        6 => (select(&[200_u16, 201, 404, 500][..]), any_message()).prop_map(|(status, message)| Deed::Answer(status, message)),
        1 => select(&[0_u32, 2, 7, 8, 11][..]).prop_map(Deed::Reset),
    ];
    (select(&["GET", "POST", "PUT"][..]), any_message(), deed, prop::bool::weighted(0.2), prop::bool::weighted(0.1))
        .prop_map(|(method, request, deed, denied, given_up)| Exchange { method, request, deed, denied, given_up })
}

fn any_ways() -> impl Strategy<Value = Ways> {
    let pair = |values: &'static [u32]| (select(values), select(values)).prop_map(|(a, b)| [a, b]);
    (
        pair(&[500, 20_000, 65_535, 1 << 20]),
        pair(&[16_384, 20_000, 1 << 20]),
        pair(&[0, 100, 4096, 1 << 20]),
        prop_oneof![5_usize..100, 1000_usize..70_000],
    )
        .prop_map(|(windows, frames, tables, cut)| Ways { windows, frames, tables, cut })
}

fn map(fields: &[(String, String)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| {
            (name.parse::<http::HeaderName>().expect("a name"), value.parse::<http::HeaderValue>().expect("a value"))
        })
        .collect()
}

fn shown(map: &HeaderMap) -> String {
    let mut lines: Vec<String> =
        map.iter().map(|(name, value)| format!("{name}: {}", value.as_bytes().escape_ascii())).collect();
    // The library groups lines by name; among themselves they keep their order.
    lines.sort_by(|a, b| a.split(':').next().cmp(&b.split(':').next()));
    lines.join("\n")
}

async fn send(mut stream: SendStream<Bytes>, message: &Message) -> Result<(), h2::Error> {
    for (number, length) in message.body.iter().enumerate() {
        let last = number + 1 == message.body.len() && message.trailers.is_none();
        let byte = b'a' + u8::try_from(number).expect("a few pieces");
        let mut left = Bytes::from(vec![byte; *length]);
        loop {
            stream.reserve_capacity(left.len());
            if left.is_empty() {
                stream.send_data(left, last)?;
                break;
            }
            let Some(room) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else { return Ok(()) };
            let piece = left.split_to(room?.min(left.len()));
            let ends = last && left.is_empty();
            stream.send_data(piece, ends)?;
            if left.is_empty() {
                break;
            }
        }
    }
    if let Some(trailers) = &message.trailers {
        stream.send_trailers(map(trailers))?;
    }
    Ok(())
}

/// Reads a body: its bytes in runs, and the trailers.
async fn receive(mut body: RecvStream) -> Result<String, h2::Error> {
    let mut runs: Vec<(u8, usize)> = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        for byte in data {
            match runs.last_mut() {
                Some((last, count)) if *last == byte => *count += 1,
                _ => runs.push((byte, 1)),
            }
        }
    }
    let trailers = body.trailers().await?.map(|trailers| shown(&trailers));
    Ok(format!("{runs:?} {trailers:?}"))
}

fn said(error: &h2::Error) -> String {
    format!("reset {:?}", error.reason())
}

async fn serve(io: DuplexStream, plan: Arc<Vec<Exchange>>, ways: Ways) -> Seen {
    let seen = Arc::new(Mutex::new(Seen::new()));
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(ways.windows[1]).max_frame_size(ways.frames[1]).header_table_size(ways.tables[1]);
    let mut connection = builder.handshake::<_, Bytes>(io).await.expect("a handshake");
    let mut tasks = JoinSet::new();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (plan, seen) = (Arc::clone(&plan), Arc::clone(&seen));
        tasks.spawn(async move {
            let (head, body) = request.into_parts();
            let number: usize =
                head.uri.path().rsplit('/').next().and_then(|number| number.parse().ok()).expect("a number");
            let exchange = &plan[number];
            let content = receive(body).await.unwrap_or_else(|error| said(&error));
            let sight = format!("{} {}\n{}\n{content}", head.method, head.uri, shown(&head.headers));
            seen.lock().await.insert(number, sight);
            match &exchange.deed {
                Deed::Reset(reason) => respond.send_reset(Reason::from(*reason)),
                Deed::Answer(status, message) => {
                    let mut response = Response::new(());
                    *response.status_mut() = (*status).try_into().expect("a status");
                    *response.headers_mut() = map(&message.fields);
                    let end = message.body.is_empty() && message.trailers.is_none();
                    if let Ok(stream) = respond.send_response(response, end) {
                        // The client may have given up.
                        let _ = send(stream, message).await;
                    }
                }
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    Arc::try_unwrap(seen).expect("all tasks are done").into_inner()
}

async fn ask(io: DuplexStream, plan: Arc<Vec<Exchange>>, ways: Ways) -> Seen {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(ways.windows[0]).max_frame_size(ways.frames[0]).header_table_size(ways.tables[0]);
    let (sender, connection) = builder.handshake::<_, Bytes>(io).await.expect("a handshake");
    let connection = spawn(connection);
    let seen = Arc::new(Mutex::new(Seen::new()));
    let mut tasks = JoinSet::new();
    for (number, exchange) in plan.iter().cloned().enumerate() {
        let seen = Arc::clone(&seen);
        let sender = sender.clone();
        tasks.spawn(async move {
            let mut sender = sender.ready().await.expect("a sender");
            let folder = if exchange.denied { "deny" } else { "a" };
            let mut request = Request::new(());
            *request.method_mut() = exchange.method.parse::<Method>().expect("a method");
            *request.uri_mut() = format!("http://h/{folder}/{number}").parse().expect("a URI");
            *request.headers_mut() = map(&exchange.request.fields);
            let end = exchange.request.body.is_empty() && exchange.request.trailers.is_none();
            let (response, mut stream) = sender.send_request(request, end).expect("a stream");
            drop(sender);
            if exchange.given_up {
                stream.send_reset(Reason::CANCEL);
                return;
            }
            let sent = spawn({
                let message = exchange.request.clone();
                async move { if end { Ok(()) } else { send(stream, &message).await } }
            });
            let sight = match response.await {
                Err(error) => said(&error),
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    let content = receive(body).await.unwrap_or_else(|error| said(&error));
                    format!("{}\n{}\n{content}", head.status, shown(&head.headers))
                }
            };
            let _ = sent.await;
            seen.lock().await.insert(number, sight);
        });
    }
    drop(sender);
    while let Some(done) = tasks.join_next().await {
        done.expect("a task");
    }
    connection.await.expect("a task").expect("a connection that ends in order");
    Arc::try_unwrap(seen).expect("all tasks are done").into_inner()
}

/// Moves bytes between two sockets as the driver does, in pieces.
async fn relayed(client: DuplexStream, server: DuplexStream, cut: usize) {
    let (mut client, mut at_client) = tokio::io::split(client);
    let (mut server, mut at_server) = tokio::io::split(server);
    let mut relay = portcullis_codecs::http::relay(&Limits::default());
    let mut recorder = Recorder::new(without_changes(deny_with(Decision::Reset)));
    let mut held = [Vec::new(), Vec::new()];
    let mut out = [Vec::new(), Vec::new()];
    let mut ended = [false; 2];
    let (mut from_client, mut from_server) = (vec![0; cut], vec![0; cut]);
    while !ended[1] {
        let [to_client, to_server] = &mut out;
        tokio::select! {
            read = client.read(&mut from_client), if !ended[0] && to_server.is_empty() => {
                let read = read.unwrap_or(0);
                ended[0] = read == 0;
                held[0].extend_from_slice(&from_client[..read]);
                if read == 0 { at_server.write_all(to_server).await.ok(); to_server.clear(); at_server.shutdown().await.ok(); }
            }
            read = server.read(&mut from_server), if to_client.is_empty() => {
                let read = read.unwrap_or(0);
                ended[1] = read == 0;
                held[1].extend_from_slice(&from_server[..read]);
            }
            wrote = at_client.write(to_client), if !to_client.is_empty() => { to_client.drain(..wrote.unwrap_or(to_client.len())); }
            wrote = at_server.write(to_server), if !to_server.is_empty() => { to_server.drain(..wrote.unwrap_or(to_server.len())); }
        }
        for side in [Side::Downstream, Side::Upstream] {
            show(&mut *relay, side, &mut held[side as usize], &mut out, &mut recorder);
        }
        assert_eq!(recorder.violations, []);
    }
    at_client.write_all(&out[0]).await.ok();
    at_client.shutdown().await.ok();
}

fn show(relay: &mut dyn Relay, side: Side, held: &mut Vec<u8>, out: &mut [Vec<u8>; 2], recorder: &mut Recorder) {
    while !held.is_empty() {
        let mut said = RelayOutput::default();
        let step = relay.receive(side, held, recorder, &mut said);
        out[side.peer() as usize].extend_from_slice(&held[..step.forward]);
        out[0].extend_from_slice(&said.downstream);
        out[1].extend_from_slice(&said.upstream);
        assert_eq!(said.close, None, "{:?}", recorder.violations);
        held.drain(..step.taken());
        if step.taken() == 0 {
            return;
        }
    }
}

/// What client and server see, directly or through the relay.
fn play(plan: &Arc<Vec<Exchange>>, ways: Ways, relay: bool) -> (Seen, Seen) {
    let runtime = runtime::Builder::new_current_thread().enable_time().build().expect("sound");
    runtime.block_on(async {
        let (client, near) = duplex(1 << 16);
        let (server, task) = if relay {
            let (far, server) = duplex(1 << 16);
            (server, Some(spawn(relayed(near, far, ways.cut))))
        } else {
            (near, None)
        };
        let served = spawn(serve(server, Arc::clone(plan), ways));
        let asked =
            timeout(Duration::from_secs(20), ask(client, Arc::clone(plan), ways)).await.expect("nothing stalls");
        let served = served.await.expect("sound");
        if let Some(task) = task {
            task.await.expect("sound");
        }
        (asked, served)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn both_sides_see_what_they_see_without_us(plan in vec(any_exchange(), 1..10), ways in any_ways()) {
        let plan = Arc::new(plan);
        let (asked, served) = play(&plan, ways, true);
        let allowed: Vec<Exchange> = plan.iter().map(|exchange| Exchange { denied: false, ..exchange.clone() }).collect();
        let (directly_asked, directly_served) = play(&Arc::new(allowed), ways, false);
        for (number, exchange) in plan.iter().enumerate().filter(|(_, exchange)| !exchange.given_up) {
            if exchange.denied {
                prop_assert_eq!(&asked[&number], &format!("reset {:?}", Some(Reason::from(ErrorCode::Cancel as u32))));
                prop_assert!(!served.contains_key(&number), "{}", served[&number]);
            } else {
                prop_assert_eq!(&asked[&number], &directly_asked[&number]);
                prop_assert_eq!(&served[&number], &directly_served[&number]);
            }
        }
    }
}
