//! A server and a client of tonic, for the tests of the steered path. Messages are raw bytes. `clients/go-grpc` and
//! `clients/grpc_peer.py` are its counterparts, with the same methods and mostly the same exchanges.

mod client;
mod server;

use std::{env, error::Error, io::Write, process::ExitCode};

use bytes::{Buf, BufMut, Bytes};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

const USAGE: &str = "Usage: tonic_peer server ADDRESS...   one line for each call, and one for its end
       tonic_peer client ADDRESS STORY [ARGUMENT]
Stories: kinds SERVICE, crowd COUNT, give-up, bulk BYTES; each prints JSON";

/// Bytes of the largest message.
const LARGEST: usize = 64 << 20;

type Failure = Box<dyn Error + Send + Sync>;

/// Messages are bytes as they are.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, input: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = input.remaining();
        Ok(Some(input.copy_to_bytes(length)))
    }
}

/// Writes one line at once.
fn say(line: &str) {
    // Nobody may be left to read it.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match &*words {
        ["server", addresses @ ..] if !addresses.is_empty() => server::serve(addresses).await,
        ["client", address, story @ ..] => client::tell(address, story).await.map(|told| say(&told.to_string())),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
