//! Response codes (RFC 1035 §4.1.1, in the names of RFC 6895 §2.3; IANA, "DNS RCODEs").

use crate::protocol::Statuses;

pub(super) const NO_ERROR: u16 = 0;
pub(super) const FORM_ERR: u16 = 1;
pub(super) const SERV_FAIL: u16 = 2;
pub(super) const NX_DOMAIN: u16 = 3;
pub(super) const NOT_IMP: u16 = 4;
pub(super) const REFUSED: u16 = 5;

/// The words of the codes that an answer's header can hold (RFC 1035 §4.1.1) and that are assigned, by number, as `dig`
/// writes them. Those of extended codes are [`EXTENDED`].
pub const WORDS: [&str; 12] = [
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    "DSOTYPENI",
];

/// The extended codes (RFC 6891 §6.1.3) that are assigned to answers, with their words (RFC 6891 §9, RFC 7873 §8). The codes
/// between them are those of TSIG and TKEY records, which are not about an answer.
pub const EXTENDED: [(u16, &str); 2] = [(16, "BADVERS"), (23, "BADCOOKIE")];

/// The codes of answers, for people.
pub(super) const STATUSES: Statuses = Statuses {
    name: "rcode",
    help: "Answers of servers to DNS queries that were allowed, by response code",
    common: WORDS.len(),
    word: |status| u16::try_from(status).ok().and_then(word),
    prefix: "RCODE",
    failure: SERV_FAIL as i32,
};

/// The word of a code, if it is assigned to answers.
fn word(code: u16) -> Option<&'static str> {
    let extended = || EXTENDED.iter().find(|(extended, _)| *extended == code).map(|(_, word)| *word);
    WORDS.get(usize::from(code)).copied().or_else(extended)
}
