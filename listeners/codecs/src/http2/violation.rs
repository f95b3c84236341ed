//! The protocol violations of HTTP/2: one variant each, with the rule that it breaks and the error code that the peer
//! gets.

use ErrorCode::{
    CompressionError, EnhanceYourCalm, FlowControlError, FrameSizeError, ProtocolError, RefusedStream, StreamClosed,
};

use crate::{http::target::TargetError, violation::violations};

/// Error codes (RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// Nothing is wrong.
    NoError = 0x0,
    /// The protocol was broken, or a message is malformed.
    ProtocolError = 0x1,
    /// The fault is not the receiver's.
    InternalError = 0x2,
    /// Flow control was broken.
    FlowControlError = 0x3,
    /// A frame on a stream that its sender has ended.
    StreamClosed = 0x5,
    /// A frame of a wrong size.
    FrameSizeError = 0x6,
    /// The stream was not processed at all and may be tried again. Never said of a denied request.
    RefusedStream = 0x7,
    /// The stream is not wanted any more.
    Cancel = 0x8,
    /// The header compression cannot be kept up.
    CompressionError = 0x9,
    /// Too much of something.
    EnhanceYourCalm = 0xb,
}

violations! {
    /// Why a frame or a message cannot be relayed: it is malformed, or a limit is hit.
    told by /// The error code that the offender is told.
    code -> ErrorCode;
    /// The client does not begin with the preface (RFC 9113 §3.4).
    Preface = "preface", ProtocolError;
    /// The first frame is no SETTINGS (RFC 9113 §3.4).
    NoSettings = "no_settings", ProtocolError;
    /// A frame is larger than allowed, or has the wrong length for its type (RFC 9113 §4.2, §6).
    FrameSize = "frame_size", FrameSizeError;
    /// A frame on a stream that it cannot be on, or on none (RFC 9113 §5.1.1, §6).
    StreamId = "stream_id", ProtocolError;
    /// More padding than there is payload (RFC 9113 §6.1, §6.2).
    Padding = "padding", ProtocolError;
    /// A frame on a stream that nobody has opened (RFC 9113 §5.1).
    IdleStream = "idle_stream", ProtocolError;
    /// A frame on a stream behind END_STREAM (RFC 9113 §5.1).
    StreamClosed = "stream_closed", StreamClosed;
    /// A header block that does not go on with CONTINUATION, or CONTINUATION elsewhere (RFC 9113 §6.10).
    Continuation = "continuation", ProtocolError;
    /// PUSH_PROMISE: the client's ENABLE_PUSH is 0, and no client may send one (RFC 9113 §6.6).
    PushPromise = "push_promise", ProtocolError;
    /// A setting has a value that it cannot have, or two table sizes stand in one frame (RFC 9113 §6.5.2).
    SettingValue = "setting_value", ProtocolError;
    /// The initial window is larger than 2^31 - 1 (RFC 9113 §6.5.2).
    InitialWindow = "initial_window", FlowControlError;
    /// An acknowledgement of settings that nobody has sent (RFC 9113 §6.5.3).
    SettingsAck = "settings_ack", ProtocolError;
    /// A window is enlarged by 0 (RFC 9113 §6.9).
    WindowIncrement = "window_increment", ProtocolError;
    /// A stream depends on itself (RFC 7540 §5.3.1).
    SelfDependency = "self_dependency", ProtocolError;
    /// A header block cannot be decompressed (RFC 9113 §4.3).
    HeaderBlock = "header_block", CompressionError;
    /// A field name is empty, in upper case, or not a token (RFC 9113 §8.2.1).
    FieldName = "field_name", ProtocolError;
    /// A field name that some servers take for one that frames or routes the message: `content_length`.
    FieldVariant = "field_variant", ProtocolError;
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    Expectation = "expectation", ProtocolError;
    /// A field value has a control byte, or white space around it (RFC 9113 §8.2.1).
    FieldValue = "field_value", ProtocolError;
    /// A field that belongs to one connection of HTTP/1 (RFC 9113 §8.2.2).
    ConnectionField = "connection_field", ProtocolError;
    /// A pseudo-header field that is not known, repeated, behind another field, missing, or too much (RFC 9113 §8.3).
    PseudoField = "pseudo_field", ProtocolError;
    /// The method is not a token (RFC 9110 §9.1).
    Method = "method", ProtocolError;
    /// The scheme is neither `http` nor `https`.
    Scheme = "scheme", ProtocolError;
    /// The path has a forbidden byte: CTL, space, `#`, backslash, or one outside ASCII (RFC 9113 §8.3.1).
    TargetByte = "target_byte", ProtocolError;
    /// The path is empty or does not begin with `/`, or the method does not go with it (RFC 9113 §8.3.1).
    TargetForm = "target_form", ProtocolError;
    /// The authority carries user information (RFC 9113 §8.3.1).
    UserInfo = "user_info", ProtocolError;
    /// Neither `:authority` nor Host (RFC 9113 §8.3.1).
    NoHost = "no_host", ProtocolError;
    /// More than one Host.
    TwoHosts = "two_hosts", ProtocolError;
    /// Host or `:authority` is no authority (RFC 9113 §8.3.1).
    HostValue = "host_value", ProtocolError;
    /// Host and `:authority` differ (RFC 9113 §8.3.1).
    HostMismatch = "host_mismatch", ProtocolError;
    /// Content-Length is not `1*DIGIT`, or is too large, or is there more than once (RFC 9110 §8.6).
    ContentLength = "content_length", ProtocolError;
    /// CONNECT with a length (RFC 9110 §9.3.6).
    ConnectBody = "connect_body", ProtocolError;
    /// Extended CONNECT where the server has not offered it, or where it is not allowed (RFC 8441 §4).
    ExtendedConnect = "extended_connect", ProtocolError;
    /// DATA and Content-Length differ, or a message without content has some (RFC 9113 §8.1.1).
    LengthMismatch = "length_mismatch", ProtocolError;
    /// DATA in front of a response's head (RFC 9113 §8.1).
    NoHead = "no_head", ProtocolError;
    /// Trailers that do not end the stream (RFC 9113 §8.1).
    TrailersEnd = "trailers_end", ProtocolError;
    /// A trailer field frames or routes the message, or is a pseudo-header field (RFC 9113 §8.1, RFC 9110 §6.5.1).
    TrailerField = "trailer_field", ProtocolError;
    /// The status of a response is none, or one that HTTP/2 has not (RFC 9113 §8.3.2, §8.6).
    Status = "status", ProtocolError;
    /// The head did not come in time.
    HeadTimeout = "head_timeout", EnhanceYourCalm, limit "head_timeout";
    /// The fields of a request are larger than the limit.
    LongHead = "long_head", EnhanceYourCalm, limit "request_head";
    /// A request has more fields than the limit.
    ManyHeaders = "many_headers", EnhanceYourCalm, limit "request_headers";
    /// The fields of a response are larger than the limit.
    LongResponseHead = "long_response_head", EnhanceYourCalm, limit "response_head";
    /// The trailers of a request are over the limit.
    Trailers = "trailers", EnhanceYourCalm, limit "trailers";
    /// A header block that would grow without bound when it is decompressed (an "HPACK bomb", CVE-2016-6581).
    HpackBomb = "hpack_bomb", EnhanceYourCalm, limit "request_head";
    /// More open streams than the limit. The stream was not processed, so the client may try again.
    ManyStreams = "many_streams", RefusedStream, limit "streams";
    /// Requests that the client gives up before they are answered ("rapid reset", CVE-2023-44487).
    RapidReset = "rapid_reset", EnhanceYourCalm, limit "rapid_resets";
    /// Streams that somebody had to reset because of what the client did ("made you reset", CVE-2025-8671).
    ProvokedResets = "provoked_resets", EnhanceYourCalm, limit "provoked_resets";
    /// A header block in too many pieces ("CONTINUATION flood", CVE-2024-27316).
    ContinuationFlood = "continuation_flood", EnhanceYourCalm, limit "continuations";
    /// Pings faster than they are answered ("ping flood", CVE-2019-9512).
    PingFlood = "ping_flood", EnhanceYourCalm, limit "pings";
    /// Settings faster than they are acknowledged ("settings flood", CVE-2019-9515).
    SettingsFlood = "settings_flood", EnhanceYourCalm, limit "settings";
    /// More settings in one frame than there are ("large settings", CVE-2020-11080).
    ManySettings = "many_settings", EnhanceYourCalm, limit "settings";
    /// DATA without data ("empty frames flood", CVE-2019-9518).
    EmptyDataFlood = "empty_data_flood", EnhanceYourCalm, limit "empty_data";
    /// Windows enlarged without anything that uses them ("data dribble", CVE-2019-9511).
    WindowUpdateFlood = "window_update_flood", EnhanceYourCalm, limit "window_updates";
    /// Frames without an effect: PRIORITY, unknown types, anything on streams that are over ("resource loop",
    /// CVE-2019-9513).
    IgnoredFlood = "ignored_flood", EnhanceYourCalm, limit "ignored";
}

impl From<TargetError> for Violation {
    fn from(fault: TargetError) -> Self {
        match fault {
            TargetError::Byte => Self::TargetByte,
            TargetError::Form => Self::TargetForm,
            TargetError::UserInfo => Self::UserInfo,
            TargetError::Authority => Self::HostValue,
        }
    }
}
