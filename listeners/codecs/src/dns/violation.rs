//! The protocol violations of DNS: one variant each, with the rule that it breaks.

use super::rcode::{FORM_ERR, NOT_IMP, REFUSED, SERV_FAIL};
use crate::violation::violations;

violations! {
    /// Why a message is not relayed: two readers could read it differently, or a limit is hit.
    told by /// The response code that a client is told; `None` where it is told nothing.
    rcode -> Option<u16>;
    /// Shorter than a header (RFC 1035 §4.1.1).
    Short = "short", None;
    /// A response where a query belongs (RFC 1035 §4.1.1, QR).
    NotAQuery = "not_a_query", None;
    /// A query where a response belongs.
    NotAnAnswer = "not_an_answer", None;
    /// Another operation than a standard query (RFC 1035 §4.1.1, OPCODE).
    Opcode = "opcode", Some(NOT_IMP);
    /// A query that says of itself that it was cut (RFC 1035 §4.1.1, TC).
    TruncatedQuery = "truncated_query", Some(FORM_ERR);
    /// The bit that has to be zero (RFC 1035 §4.1.1, Z, as RFC 2535 §6.1 left it).
    ReservedBit = "reserved_bit", Some(FORM_ERR);
    /// Not exactly one question (RFC 9619 §4).
    QuestionCount = "question_count", Some(FORM_ERR);
    /// The message ends inside its question.
    CutQuestion = "cut_question", Some(FORM_ERR);
    /// A pointer in the name of the question: there is nothing before it to point to (RFC 1035 §4.1.4).
    CompressedQuestion = "compressed_question", Some(FORM_ERR);
    /// A label that is neither text nor a pointer (RFC 1035 §4.1.4, RFC 6891 §5).
    LabelType = "label_type", Some(FORM_ERR);
    /// A name of more than 255 bytes (RFC 1035 §2.3.4).
    LongName = "long_name", Some(FORM_ERR);
    /// A name in another class than IN: the rules speak of the Internet's names.
    Class = "class", Some(REFUSED);
    /// A zone transfer: a stream of answers that is no lookup (RFC 5936).
    Transfer = "transfer", Some(REFUSED);
    /// Records in the answer or authority section of a query.
    Records = "records", Some(FORM_ERR);
    /// The additional section of a query has more than one OPT and a signature at the end (RFC 6891 §6.1.1, RFC 8945
    /// §5.1, RFC 2931 §3.1).
    Additional = "additional", Some(FORM_ERR);
    /// The options of an OPT do not fill it exactly (RFC 6891 §6.1.2).
    Options = "options", Some(FORM_ERR);
    /// Bytes behind the last record of a query.
    Trailing = "trailing", Some(FORM_ERR);
    /// More queries without an answer than the limit.
    Outstanding = "outstanding", Some(SERV_FAIL), limit "queries";
    /// An answer to nothing that was asked, or to what was given up.
    Unasked = "unasked", None;
    /// The message ends inside a record.
    CutRecord = "cut_record", None;
    /// A pointer that does not lead back to an earlier place behind the header (RFC 1035 §4.1.4).
    Pointer = "pointer", None;
    /// An address of a wrong length (RFC 1035 §3.4.1, RFC 3596 §2.2).
    Address = "address", None;
    /// An alias whose data is not one name (RFC 1035 §3.3.1).
    Alias = "alias", None;
    /// A service binding that is not formed as it has to be (RFC 9460 §2.2).
    Service = "service", None;
    /// A name with more aliases than are followed.
    LongChain = "long_chain", None;
    /// A frame of a stream that is too short for a message (RFC 1035 §4.2.2).
    ShortFrame = "short_frame", None;
    /// The stream ended inside a frame.
    CutFrame = "cut_frame", None;
    /// A frame did not come in time.
    FrameTimeout = "frame_timeout", None, limit "head_timeout";
}
