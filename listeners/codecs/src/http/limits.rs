//! The configurable limits of HTTP. Every hit is counted.

use crate::{http2::Http2Limits, limits::limits};

limits! {
    /// Limits of HTTP.
    Limits, with
    /// Those of HTTP/2 alone.
    http2: Http2Limits
    {
        request_head: usize = "requestHead", Bytes, 128 << 10, 1 << 10, 8 << 20,
            "a request's first line and headers; 1 KiB to 8 MiB";
        request_headers: usize = "requestHeaders", Count, 512, 1, 10_000_000,
            "lines of headers of a request";
        response_head: usize = "responseHead", Bytes, 8 << 20, 1 << 10, 8 << 20,
            "a response's first line and headers; 1 KiB to 8 MiB";
        /// At the limit no more is taken from the client.
        pipelined: usize = "pipelined", Count, 1, 1, 10_000_000,
            "requests of one HTTP/1 connection whose answers are due; further ones wait. Clients that pipeline are \
             extinct, and some servers lose their place when two requests come at once: raise it only for servers \
             that do not";
        chunk_extensions: usize = "chunkExtensions", Bytes, 0, 0, 64 << 20,
            "chunk extensions of one request; `0` refuses any. Hardly a client sends some, and uWSGI takes what \
             follows one for the next request. Those of answers may be as long as a head";
        /// The empty line behind them is not counted.
        trailers: usize = "trailers", Bytes, 0, 0, 64 << 20,
            "trailers of one HTTP/1 request; `0` refuses any. Hardly a client sends some, and a server that reads \
             none takes them for the next request. Those of answers may be as long as a head";
        /// With more it is closed behind the refusal.
        swallowed: usize = "swallowed", Bytes, 1 << 20, 0, 64 << 20,
            "body of a request denied with `respond` that is read and dropped so that the connection can go on";
    }
}
