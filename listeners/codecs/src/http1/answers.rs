//! The HTTP/1 responses that the relay generates itself.

use crate::http::grpc::Call;

/// The answer to a denied request.
pub(super) fn denied(head: bool, call: Option<Call>, close: bool, out: &mut Vec<u8>) {
    match call {
        None => write(403, "Access denied\r\n", head, close, out),
        // Its status stands in the head, where there is nothing else to say.
        Some(call) => {
            let (status, message) = (Call::DENIED, Call::MESSAGE);
            let lines = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: 0\r\ngrpc-status: {status}\r\n\
                 grpc-message: {message}\r\n{}\r\n",
                call.content_type(),
                connection(close)
            );
            out.extend_from_slice(lines.as_bytes());
        }
    }
}

fn connection(close: bool) -> &'static str {
    if close { "Connection: close\r\n" } else { "" }
}

/// The answer to a request that cannot be relayed, or whose answer cannot. The connection ends behind it.
pub(super) fn refused(status: u16, head: bool, out: &mut Vec<u8>) {
    let text = match status {
        408 => "The request did not come in time\r\n",
        414 => "The request target is too long\r\n",
        417 => "This expectation is not supported\r\n",
        431 => "The request head or its trailers are too large\r\n",
        502 => "The server's answer cannot be relayed\r\n",
        501 => "This transfer coding is not supported\r\n",
        505 => "This version of HTTP is not supported\r\n",
        _ => "Malformed request\r\n",
    };
    write(status, text, head, true, out);
}

fn write(status: u16, text: &str, head: bool, close: bool, out: &mut Vec<u8>) {
    let reason = match status {
        403 => "Forbidden",
        408 => "Request Timeout",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "Bad Request",
    };
    let connection = connection(close);
    let length = text.len();
    let lines = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{connection}\r\n"
    );
    out.extend_from_slice(lines.as_bytes());
    if !head {
        out.extend_from_slice(text.as_bytes());
    }
}
