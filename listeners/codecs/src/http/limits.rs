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
            "header lines of a request";
        response_head: usize = "responseHead", Bytes, 8 << 20, 1 << 10, 8 << 20,
            "a response's first line and headers; 1 KiB to 8 MiB";
        /// At the limit no more is taken from the client.
        pipelined: usize = "pipelined", Count, 1, 1, 10_000_000,
            "requests of one HTTP/1 connection that wait for their response; further ones are not read yet. Hardly \
             any client pipelines, and some servers get confused when two requests arrive at once. Raise it only for \
             servers that do not";
        chunk_extensions: usize = "chunkExtensions", Bytes, 0, 0, 64 << 20,
            "chunk extensions of one request; `0` refuses them. Hardly any client sends them, and uWSGI reads what \
             follows one as the next request. Those of responses may be as long as a head";
        /// The empty line behind them is not counted.
        trailers: usize = "trailers", Bytes, 0, 0, 64 << 20,
            "trailers of one HTTP/1 request; `0` refuses them. Hardly any client sends them, and a server that does \
             not support them reads them as the next request. Those of responses may be as long as a head";
        /// With more it is closed behind the refusal.
        swallowed: usize = "swallowed", Bytes, 1 << 20, 0, 64 << 20,
            "body of a request denied with `respond` that is read and dropped, so that the connection stays open";
    }
}
