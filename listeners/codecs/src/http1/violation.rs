//! The protocol violations of HTTP/1: one variant each, with the rule that it breaks.

use crate::{http::target::TargetError, violation::violations};

violations! {
    /// Why a message cannot be relayed: two conforming parsers could read it differently, or a limit is hit.
    told by /// The status that a client is told.
    status -> u16;
    /// A line ends in LF without CR (RFC 9112 §2.2).
    BareLf = "bare_lf", 400;
    /// A CR that no LF follows (RFC 9112 §2.2).
    BareCr = "bare_cr", 400;
    /// The request line is not `method SP target SP version` (RFC 9112 §3).
    RequestLine = "request_line", 400;
    /// The method is not a token (RFC 9110 §9.1).
    Method = "method", 400;
    /// The target has a forbidden byte: CTL, space or `#` (RFC 9112 §3.2).
    TargetByte = "target_byte", 400;
    /// The target has none of the four forms, or one the method does not go with (RFC 9112 §3.2).
    TargetForm = "target_form", 400;
    /// The authority carries user information (RFC 9110 §4.2.4).
    UserInfo = "user_info", 400;
    /// The version is not HTTP/1.0 or HTTP/1.1 (RFC 9112 §2.3).
    Version = "version", 505;
    /// The preface of HTTP/2 where HTTP/1 is spoken (RFC 9113 §3.4).
    Http2Preface = "http2_preface", 505;
    /// A field name is empty or not a token (RFC 9112 §5.1).
    FieldName = "field_name", 400;
    /// A field name that some servers take for one that frames or routes the message: `Transfer_Encoding`.
    FieldVariant = "field_variant", 400;
    /// An expectation other than one `100-continue` (RFC 9110 §10.1.1).
    Expectation = "expectation", 417;
    /// White space between a field name and its colon (RFC 9112 §5.1).
    SpaceBeforeColon = "space_before_colon", 400;
    /// A folded line (RFC 9112 §5.2).
    ObsFold = "obs_fold", 400;
    /// A field value has NUL or another control byte (RFC 9110 §5.5).
    FieldValue = "field_value", 400;
    /// HTTP/1.1 without Host (RFC 9112 §3.2).
    NoHost = "no_host", 400;
    /// More than one Host (RFC 9112 §3.2).
    TwoHosts = "two_hosts", 400;
    /// Host is no authority (RFC 9112 §3.2).
    HostValue = "host_value", 400;
    /// Host and the authority of the target differ (RFC 9112 §3.2.2).
    HostMismatch = "host_mismatch", 400;
    /// Content-Length beside Transfer-Encoding (RFC 9112 §6.1).
    LengthAndEncoding = "length_and_encoding", 400;
    /// Content-Length is not `1*DIGIT`, or is too large (RFC 9112 §6.2).
    ContentLength = "content_length", 400;
    /// Content-Length more than once (RFC 9112 §6.3).
    TwoLengths = "two_lengths", 400;
    /// Transfer-Encoding is not exactly one `chunked` (RFC 9112 §6.1).
    TransferEncoding = "transfer_encoding", 501;
    /// Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1).
    EncodingInHttp10 = "encoding_in_http10", 400;
    /// Connection nominates a field that frames or routes the message (RFC 9110 §7.6.1).
    ConnectionNominates = "connection_nominates", 400;
    /// CONNECT with a body (RFC 9110 §9.3.6).
    ConnectBody = "connect_body", 400;
    /// The body of an offer to switch begins like HTTP/2 (RFC 9113 §3.4): a server that switches before it reads the body
    /// takes it for requests.
    OfferedPreface = "offered_preface", 400;
    /// The chunk size is empty, signed, spaced, over 2^31 - 1 or no number (RFC 9112 §7.1).
    ChunkSize = "chunk_size", 400;
    /// A chunk extension has a control byte (RFC 9112 §7.1.1).
    ChunkExtension = "chunk_extension", 400;
    /// Chunk extensions over the limit.
    ChunkExtensions = "chunk_extensions", 400, limit "chunk_extensions";
    /// No CRLF behind chunk data (RFC 9112 §7.1).
    ChunkEnd = "chunk_end", 400;
    /// A trailer field frames or routes the message (RFC 9110 §6.5.1).
    TrailerField = "trailer_field", 400;
    /// The trailer section is over the limit.
    Trailers = "trailers", 431, limit "trailers", of servers "response_head";
    /// The request line alone is over the limit of the head.
    LongTarget = "long_target", 414, limit "request_head";
    /// The request head is over the limit.
    LongHead = "long_head", 431, limit "request_head";
    /// More header lines than the limit.
    ManyHeaders = "many_headers", 431, limit "request_headers";
    /// The head did not come in time.
    HeadTimeout = "head_timeout", 408, limit "head_timeout";
    /// The client ended its stream inside a head.
    TruncatedHead = "truncated_head", 400;
    /// The status line is not one (RFC 9112 §4).
    StatusLine = "status_line", 502;
    /// The response head is over the limit.
    LongResponseHead = "long_response_head", 502, limit "response_head";
    /// The server ended its stream inside a response head.
    TruncatedResponseHead = "truncated_response_head", 502;
    /// A response that no request asks for (RFC 9112 §9.2).
    UnaskedResponse = "unasked_response", 502;
    /// A body on a response that cannot have one (RFC 9112 §6.3).
    UnexpectedBody = "unexpected_body", 502;
    /// 101 without an offer, without a protocol, to one that was not offered, or to a version of HTTP that cannot be judged
    /// (RFC 9110 §15.2.2).
    BadSwitch = "bad_switch", 502;
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
