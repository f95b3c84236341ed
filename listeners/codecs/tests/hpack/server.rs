//! Our code as the client of `h2`'s server.

use std::collections::VecDeque;

use http::{Request, Response};
use portcullis_codecs::http2::hpack::{Decoder, Encoder, FieldList, HeaderField, MAX_TABLE_SIZE, Representation};
use tokio::io::{AsyncWriteExt, DuplexStream};

use crate::{
    LIMITS, Message, fields, of_list, of_map, of_message,
    wire::{ACK, HEADERS, PREFACE, SETTINGS, Wire},
    without_secrecy,
};

/// Sends each request; the server sends its header lines back. `theirs` is the size of the server's table, `ours` that
/// of the client's.
pub(crate) async fn exchange(requests: &[Message], theirs: usize, ours: usize) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let expected: VecDeque<Message> = requests.iter().cloned().collect();
    tokio::join!(serve(far, theirs, expected), ask(near, requests, ours.min(MAX_TABLE_SIZE)));
}

async fn serve(io: DuplexStream, table_size: usize, mut expected: VecDeque<Message>) {
    let mut builder = h2::server::Builder::new();
    builder.header_table_size(u32::try_from(table_size).unwrap()).max_header_list_size(1 << 20);
    let mut connection = builder.handshake::<_, &'static [u8]>(io).await.unwrap();
    while let Some(accepted) = connection.accept().await {
        // The client goes away behind the last answer.
        let Some(message) = expected.pop_front() else { return };
        let (request, mut answer): (Request<h2::RecvStream>, _) = accepted.unwrap();
        assert_eq!(request.method(), "GET");
        assert_eq!(request.uri(), "http://example.com/path?query");
        assert_eq!(of_map(request.headers()), without_secrecy(of_message(&message)));
        let mut response = Response::new(());
        *response.headers_mut() = crate::header_map(&message);
        answer.send_response(response, true).unwrap();
    }
    assert!(expected.is_empty());
}

async fn ask(io: DuplexStream, requests: &[Message], table_size: usize) {
    let mut wire = Wire(io);
    let (mut encoder, mut decoder) = (Encoder::new(MAX_TABLE_SIZE), Decoder::new());
    wire.0.write_all(PREFACE).await.unwrap();
    wire.write_table_size(table_size).await;
    let mut list = FieldList::default();
    for (number, message) in (0_u32..).zip(requests) {
        let stream = number * 2 + 1;
        let mut block = Vec::new();
        encoder.encode(pseudo().chain(fields(message)), &mut block);
        wire.write_block(stream, &block).await;
        loop {
            let frame = wire.read().await;
            match frame.kind {
                SETTINGS if frame.is_ack() => decoder.allow_table_size(table_size),
                SETTINGS => {
                    frame.table_size().into_iter().for_each(|size| encoder.allow_table_size(size));
                    wire.write(SETTINGS, ACK, 0, &[]).await;
                }
                HEADERS => {
                    assert_eq!(frame.stream, stream);
                    let block = wire.read_block(frame).await;
                    decoder.decode(&block, &LIMITS, &mut list).unwrap();
                    break;
                }
                _ => {}
            }
        }
        assert_eq!(list.get(0).map(|field| (field.name, field.value)), Some((&b":status"[..], &b"200"[..])));
        assert_eq!(of_list(&list), of_message(message));
    }
}

fn pseudo<'a>() -> impl Iterator<Item = HeaderField<'a>> {
    [(":method", "GET"), (":scheme", "http"), (":authority", "example.com"), (":path", "/path?query")].into_iter().map(
        |(name, value)| HeaderField {
            name: name.as_bytes(),
            value: value.as_bytes(),
            representation: Representation::Incremental,
        },
    )
}
