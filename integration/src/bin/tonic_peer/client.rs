//! The tonic client: scripted exchanges over one channel.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    sync::{Barrier, mpsc},
    task::JoinSet,
    time::timeout,
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{
    Code, Request, Status, Streaming,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};

use super::{Failure, LARGEST, Raw, USAGE};

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// The deadline that one call runs into.
const DEADLINE: Duration = Duration::from_secs(1);

type Outcome = Result<(), Status>;

/// Tells a story; what each call came to.
pub(super) async fn tell(address: &str, words: &[&str]) -> Result<Value, Failure> {
    let client = Client(Endpoint::from_shared(format!("http://{address}"))?.connect().await?);
    Ok(match words {
        ["kinds", service] => client.kinds(service).await,
        ["crowd", count] => client.crowd(count.parse()?).await?,
        ["give-up"] => client.give_up().await,
        ["bulk", bytes] => client.bulk(bytes.parse()?).await,
        _ => return Err(USAGE.into()),
    })
}

/// The code of an outcome as the specification writes it, and what was said of it.
fn shown(outcome: &Outcome) -> String {
    let Err(status) = outcome else { return "OK".to_owned() };
    format!("{}: {}", name(status.code()), status.message())
}

fn name(code: Code) -> String {
    match code {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "CANCELLED".to_owned(),
        // As Rust writes it, with a line before each further word.
        other => format!("{other:?}").chars().enumerate().fold(String::new(), |mut name, (place, letter)| {
            if place > 0 && letter.is_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
            name
        }),
    }
}

/// What came has to be what was wanted.
fn same<T: PartialEq + std::fmt::Debug>(came: &T, wanted: &T) -> Outcome {
    if came == wanted { Ok(()) } else { Err(Status::data_loss(format!("{came:?} came instead of {wanted:?}"))) }
}

#[derive(Clone)]
struct Client(Channel);

impl Client {
    /// Begins a call; any kind of call is one with streams both ways, as far as others can see.
    async fn call(
        &self,
        method: &str,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Streaming<Bytes>, Status> {
        let mut grpc = Grpc::new(self.0.clone()).max_decoding_message_size(LARGEST);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::try_from(method).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let mut request = Request::new(messages);
        request.set_timeout(PATIENCE);
        Ok(grpc.streaming(request, path, Raw).await?.into_inner())
    }

    async fn say(&self, method: &str) -> Outcome {
        let mut answers = self.call(method, tokio_stream::once(Bytes::from("hello"))).await?;
        let answer = answers.message().await?;
        same(&answer, &Some(Bytes::from("hello")))?;
        same(&answers.message().await?, &None)
    }

    async fn put(&self, method: &str, count: usize, size: usize) -> Outcome {
        let message = Bytes::from(vec![b'x'; size]);
        let messages = tokio_stream::iter((0..count).map(move |_| message.clone()));
        let answer = self.call(method, messages).await?.message().await?;
        same(&answer, &Some(Bytes::from((count * size).to_string())))
    }

    async fn get(&self, method: &str, count: usize, size: usize) -> Outcome {
        let asked = Bytes::from(format!("{count} {size}"));
        let mut answers = self.call(method, tokio_stream::once(asked)).await?;
        let mut came = 0;
        while let Some(message) = answers.message().await? {
            came += message.len();
        }
        same(&came, &(count * size))
    }

    /// Three messages come back, one after the other; `met` is awaited behind the first.
    async fn chat(&self, method: &str, met: impl Future<Output = ()>) -> Outcome {
        let (messages, waiting) = mpsc::channel(1);
        let gone = |_| Status::internal("the call is over");
        messages.send(Bytes::from("0")).await.map_err(gone)?;
        let mut answers = self.call(method, ReceiverStream::new(waiting)).await?;
        same(&answers.message().await?, &Some(Bytes::from("0")))?;
        met.await;
        for number in ["1", "2"] {
            messages.send(Bytes::from(number)).await.map_err(gone)?;
            same(&answers.message().await?, &Some(Bytes::from(number)))?;
        }
        drop(messages);
        same(&answers.message().await?, &None)
    }

    /// A call of each kind.
    async fn kinds(&self, service: &str) -> Value {
        let method = |name: &str| format!("/{service}/{name}");
        json!({
            "say": shown(&self.say(&method("Say")).await),
            "put": shown(&self.put(&method("Put"), 100, 10_000).await),
            "get": shown(&self.get(&method("Get"), 100, 10_000).await),
            "chat": shown(&self.chat(&method("Chat"), async {}).await),
        })
    }

    /// Calls that are open at the same time: of even number those of a service, of odd number those of another one.
    async fn crowd(&self, count: usize) -> Result<Value, Failure> {
        let all_open = Arc::new(Barrier::new(count.div_ceil(2)));
        let mut calls = JoinSet::new();
        for number in 0..count {
            let (client, all_open) = (self.clone(), all_open.clone());
            calls.spawn(async move {
                let (service, outcome) = if number % 2 == 0 {
                    let met = async {
                        all_open.wait().await;
                    };
                    ("lab.Echo", client.chat("/lab.Echo/Chat", met).await)
                } else {
                    ("lab.Secret", client.chat("/lab.Secret/Chat", async {}).await)
                };
                format!("{service} {}", outcome.map_or_else(|status| name(status.code()), |()| "OK".to_owned()))
            });
        }
        let mut told = BTreeMap::<String, u32>::new();
        while let Some(outcome) = calls.join_next().await {
            *told.entry(outcome?).or_default() += 1;
        }
        Ok(json!(told))
    }

    /// One call runs into its deadline, another one is cancelled, once the server has begun with them.
    async fn give_up(&self) -> Value {
        let wait = async || {
            let mut answers = self.call("/lab.Echo/Wait", tokio_stream::once(Bytes::from("x"))).await?;
            same(&answers.message().await?, &Some(Bytes::from("x")))?;
            Ok(answers)
        };
        let deadline = async {
            match timeout(DEADLINE, async { wait().await?.message().await.map(drop) }).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Status::deadline_exceeded("the client's")),
            }
        };
        let cancel = async { wait().await.and_then(|_given_up| Err(Status::cancelled("the client's"))) };
        json!({
            "deadline": shown(&deadline.await),
            "cancel": shown(&cancel.await),
            "after": shown(&self.say("/lab.Echo/Say").await),
        })
    }

    /// Bytes in messages of one MiB, first down, then up.
    async fn bulk(&self, bytes: usize) -> Value {
        json!({
            "get": shown(&self.get("/lab.Echo/Get", bytes >> 20, 1 << 20).await),
            "put": shown(&self.put("/lab.Echo/Put", bytes >> 20, 1 << 20).await),
        })
    }
}
