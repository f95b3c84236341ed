//! The configurable limits of HTTP/2. Codecs read no clock, so what a peer may repeat is counted against useful
//! traffic: each kind has an allowance that it uses up and that useful traffic refills.

use crate::limits::limits;

limits! {
    /// Limits of HTTP/2.
    Http2Limits {
        streams: u32 = "http2.streams", Count, 1024, 1, 10_000_000,
            "open streams of one HTTP/2 connection; further ones are refused so that the client may retry them";
        continuations: u32 = "http2.continuations", Count, 64, 1, 10_000_000,
            "CONTINUATION frames of one request";
        /// Below `streams`, a client that gives up all it has asked for, as at a deadline, loses its connection.
        rapid_resets: u32 = "http2.rapidResets", Count, 1024, 1, 10_000_000,
            "requests that a client resets before they are answered; an answered request restores one. Keep it at \
             `streams` or above: a client that resets all its requests, at a deadline or when it stops, is no \
             attacker";
        provoked_resets: u32 = "http2.provokedResets", Count, 200, 1, 10_000_000,
            "streams that are reset because of an error of the client; an answered request restores one";
        pings: u32 = "http2.pings", Count, 100, 1, 10_000_000,
            "unanswered pings of one side";
        settings: u32 = "http2.settings", Count, 32, 1, 10_000_000,
            "unacknowledged SETTINGS frames of one side; also settings in one frame";
        empty_data: u32 = "http2.emptyData", Count, 100, 1, 10_000_000,
            "DATA frames of one side without data; each one with data restores 10";
        /// Each DATA frame of the other side, and each header block, gives some back.
        window_updates: u32 = "http2.windowUpdates", Count, 10_000, 1, 10_000_000,
            "WINDOW_UPDATE frames of one side; DATA of the other side and requests restore some";
        /// PRIORITY, unknown types, and those on streams that are over, unless they carry data.
        ignored: u32 = "http2.ignored", Count, 1000, 1, 10_000_000,
            "frames of one side without an effect; each request restores 8";
        trailers: u32 = "http2.trailers", Bytes, 16 << 10, 0, 64 << 20,
            "trailers of one HTTP/2 request";
        /// Such a request is judged as CONNECT with a path.
        extended_connect: bool = "http2.extendedConnect", Switch, 0, 0, 1,
            "whether servers may offer extended CONNECT (RFC 8441: WebSocket over HTTP/2)";
    }
}
