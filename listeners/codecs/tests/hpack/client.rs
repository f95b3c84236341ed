//! Our code as the server of `h2`'s client.

use http::{Request, StatusCode};
use portcullis_codecs::http2::hpack::{
    DEFAULT_TABLE_SIZE, Decoder, Encoder, FieldList, HeaderField, MAX_TABLE_SIZE, Representation, Stateless,
};
use tokio::io::{AsyncReadExt, DuplexStream};

use crate::{
    LIMITS, Message, fields, of_list, of_map, of_message,
    wire::{ACK, HEADERS, PREFACE, SETTINGS, Wire},
    without_secrecy,
};

/// What every third answer is: ours, between those of the encoder.
const OURS: [(&str, &str); 3] =
    [("content-type", "text/plain"), ("x-one", "the same each time"), ("content-length", "0")];

/// Answers each request with its header lines. Before the request of each number in `sizes`, the client is told of
/// another size of its table; `theirs` is the size that it allows us.
pub(crate) async fn exchange(requests: &[Message], sizes: &[(usize, usize)], theirs: usize) {
    let (near, far) = tokio::io::duplex(1 << 20);
    // Our end stays open until the client has read all.
    let ((), _wire) = tokio::join!(ask(far, requests, theirs), serve(near, requests, sizes));
}

async fn ask(io: DuplexStream, requests: &[Message], table_size: usize) {
    let mut builder = h2::client::Builder::new();
    builder.header_table_size(u32::try_from(table_size).unwrap()).max_header_list_size(1 << 20);
    let (mut send, connection) = builder.handshake::<_, &'static [u8]>(io).await.unwrap();
    let talk = async move {
        for (number, message) in requests.iter().enumerate() {
            let mut request = Request::get("http://example.com/path?query").body(()).unwrap();
            *request.headers_mut() = crate::header_map(message);
            send = send.ready().await.unwrap();
            let (answer, _) = send.send_request(request, true).unwrap();
            let answer = answer.await.unwrap();
            if number % 3 == 2 {
                assert_eq!(answer.status(), StatusCode::FORBIDDEN);
                let expected = OURS.map(|(name, value)| (name.to_owned(), vec![value.as_bytes().to_vec()]));
                assert_eq!(of_map(answer.headers()), expected.into_iter().collect());
            } else {
                assert_eq!(answer.status(), StatusCode::OK);
                assert_eq!(of_map(answer.headers()), without_secrecy(of_message(message)));
            }
        }
    };
    tokio::select! {
        () = talk => {}
        outcome = connection => panic!("the connection ends early: {outcome:?}"),
    }
}

async fn serve(io: DuplexStream, requests: &[Message], sizes: &[(usize, usize)]) -> Wire {
    let mut wire = Wire(io);
    let (mut encoder, mut decoder) = (Encoder::new(MAX_TABLE_SIZE), Decoder::new());
    let mut preface = [0; PREFACE.len()];
    wire.0.read_exact(&mut preface).await.unwrap();
    assert_eq!(preface, PREFACE);
    wire.write_table_size(DEFAULT_TABLE_SIZE).await;
    let mut told = std::collections::VecDeque::from([DEFAULT_TABLE_SIZE]);
    let (mut list, mut block) = (FieldList::default(), Vec::new());
    for (number, message) in requests.iter().enumerate() {
        let frame = loop {
            let frame = wire.read().await;
            match frame.kind {
                SETTINGS if frame.is_ack() => decoder.allow_table_size(told.pop_front().unwrap()),
                SETTINGS => {
                    frame.table_size().into_iter().for_each(|size| encoder.allow_table_size(size));
                    wire.write(SETTINGS, ACK, 0, &[]).await;
                }
                HEADERS => break frame,
                _ => {}
            }
        };
        let stream = frame.stream;
        decoder.decode(&wire.read_block(frame).await, &LIMITS, &mut list).unwrap();
        assert_eq!(of_list(&list), of_message(message));
        for (_, size) in sizes.iter().filter(|(before, _)| *before == number + 1) {
            let size = (*size).min(MAX_TABLE_SIZE);
            wire.write_table_size(size).await;
            told.push_back(size);
        }
        block.clear();
        if number % 3 == 2 {
            let mut own = Stateless::new(None, &mut block);
            own.field(b":status", b"403");
            OURS.iter().for_each(|(name, value)| _ = own.field(name.as_bytes(), value.as_bytes()));
        } else {
            let status = HeaderField { name: b":status", value: b"200", representation: Representation::Indexed };
            encoder.encode([status].into_iter().chain(fields(message)), &mut block);
        }
        wire.write_block(stream, &block).await;
    }
    wire
}
