//! The protocol violations of Kafka: one variant each, with the rule that it breaks. Kafka has no error code for them:
//! a broker closes the connection, and so does the relay.

use crate::{relay::Close, violation::violations};

violations! {
    /// Why a message is not relayed: two readers could read it differently, or a limit is hit.
    told by /// How the connection ends: as at a broker where nothing is wrong but that it cannot do what is asked.
    close -> Close;
    /// A frame without room for what stands in front of every message, or of a negative length.
    ShortFrame = "short_frame", Close::Reset;
    /// A frame above the limit.
    LongFrame = "long_frame", Close::Reset, limit "kafka_frame";
    /// TLS, where requests in plain text are judged.
    Tls = "tls", Close::Reset;
    /// A request that has to be there as a whole before it is judged, and is above the limit of what is held; or whose answer is.
    LongRequest = "long_request", Close::Reset, limit "kafka_held";
    /// A request or response that has to be held, and there is no room for it.
    NoRoom = "no_room", Close::Reset, limit "buffered_bytes";
    /// The stream ended inside a frame.
    CutFrame = "cut_frame", Close::Reset;
    /// A frame did not come in time.
    FrameTimeout = "frame_timeout", Close::Reset, limit "head_timeout";
    /// A request that no broker takes from clients, or that nothing is known of.
    UnknownRequest = "unknown_request", Close::Graceful;
    /// A version of a request that nothing is known of.
    UnknownVersion = "unknown_version", Close::Graceful;
    /// The SASL handshake that is followed by tokens without frames (KIP-152).
    UnframedTokens = "unframed_tokens", Close::Graceful;
    /// SASL tokens without a handshake before them (KIP-43).
    NoHandshake = "no_handshake", Close::Graceful;
    /// A number of variable length that is longer than it has to be.
    LongVarint = "long_varint", Close::Reset;
    /// A number of variable length that is no number of 32 bits.
    WideVarint = "wide_varint", Close::Reset;
    /// A length below that of null, or beyond the end of the frame or the tagged field that it stands in.
    Length = "length", Close::Reset;
    /// A text of more than 32,767 bytes.
    LongText = "long_text", Close::Reset;
    /// A count below that of null, or of more entries than there are bytes left.
    Count = "count", Close::Reset;
    /// Null where a value has to be.
    Null = "null", Close::Reset;
    /// Whether a structure is there is told by neither of the two bytes that do.
    Presence = "presence", Close::Reset;
    /// A truth that is neither 0 nor 1.
    Truth = "truth", Close::Reset;
    /// A name that is not UTF-8.
    Text = "text", Close::Reset;
    /// Tags that do not rise (KIP-482).
    TagOrder = "tag_order", Close::Reset;
    /// A tagged field that does not fill its size.
    TagSize = "tag_size", Close::Reset;
    /// The frame, or the tagged field, ends inside of a field.
    CutBody = "cut_body", Close::Reset;
    /// Bytes behind the last field.
    Trailing = "trailing", Close::Reset;
    /// More topics than the limit.
    ManyTopics = "many_topics", Close::Reset, limit "kafka_topics";
    /// A response while nothing is asked, or with the number of another request than the oldest: responses come in the
    /// order of the requests.
    Unasked = "unasked", Close::Reset;
    /// A response that has to be read and is above the limit.
    LongResponse = "long_response", Close::Reset, limit "kafka_held";
    /// A version of a response that has to be read and of which nothing is known.
    UnknownResponse = "unknown_response", Close::Reset;
}
