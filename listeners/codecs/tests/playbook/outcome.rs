//! The invariants for arbitrary HTTP bytes, split in any way. Random tests and fuzz targets share them.

use portcullis_codecs::{
    http,
    http::Limits,
    relay::{Decision, ResponseSummary, Side},
};

use super::pair::{Pair, deny_with};

/// All that can be seen of a connection pair from outside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) to_client: Vec<u8>,
    pub(crate) to_server: Vec<u8>,
    pub(crate) judged: Vec<String>,
    pub(crate) answered: Vec<ResponseSummary>,
    pub(crate) violations: Vec<(Side, &'static str)>,
    close: String,
}

impl Outcome {
    /// Of a pair that has met its end.
    pub(crate) fn of(pair: Pair) -> Self {
        Self {
            close: format!("{:?}", pair.close),
            to_client: pair.to_client,
            to_server: pair.to_server,
            judged: pair.recorder.judged,
            answered: pair.recorder.answered,
            violations: pair.recorder.violations,
        }
    }
}

/// Sends bytes in pieces of these lengths, over and over.
pub(crate) fn send_in_pieces(pair: &mut Pair, from: Side, bytes: &[u8], lengths: &[usize]) {
    let mut rest = bytes;
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            return;
        }
        let (piece, behind) = rest.split_at((*length).clamp(1, rest.len()));
        pair.send(from, piece);
        rest = behind;
    }
}

/// How a pair is driven.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drive<'a> {
    pub(crate) lengths: &'a [usize],
    pub(crate) decision: Decision,
    pub(crate) unseen: bool,
}

/// Plays what the sides send, one after the other, and then ends both.
pub(crate) fn outcome(parts: &[(Side, &[u8])], drive: Drive<'_>) -> Outcome {
    under(&Limits::default(), parts, drive)
}

fn under(limits: &Limits, parts: &[(Side, &[u8])], drive: Drive<'_>) -> Outcome {
    let mut pair = Pair::new(http::relay(limits), deny_with(drive.decision));
    pair.unseen = drive.unseen;
    for (from, bytes) in parts {
        send_in_pieces(&mut pair, *from, bytes, drive.lengths);
    }
    pair.end(Side::Downstream);
    pair.end(Side::Upstream);
    Outcome::of(pair)
}

/// Checks that the outcome is the same however the parts are cut, and what holds for every outcome: with the default limits,
/// and where requests may be pipelined and have trailers.
pub(crate) fn check(parts: &[(Side, &[u8])], drive: Drive<'_>) {
    check_under(&Limits::default(), parts, drive);
    check_under(&Limits { pipelined: 4, trailers: 1000, ..Limits::default() }, parts, drive);
}

fn check_under(limits: &Limits, parts: &[(Side, &[u8])], drive: Drive<'_>) {
    let whole = under(limits, parts, Drive { lengths: &[usize::MAX], unseen: false, ..drive });
    let bytes = under(limits, parts, Drive { lengths: &[1], ..drive });
    let pieces = under(limits, parts, drive);
    assert_eq!(whole, bytes, "byte by byte");
    assert_eq!(whole, pieces, "in pieces");
    let client: Vec<u8> = parts
        .iter()
        .filter(|(from, _)| *from == Side::Downstream)
        .flat_map(|(_, bytes)| bytes.iter().copied())
        .collect();
    // HTTP/2 has other invariants (`framed`), at once or behind an upgrade.
    if client.windows(24).any(|bytes| bytes == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") {
        return;
    }
    assert!(is_subsequence(&whole.to_server, &client), "something was added for the server");
    // Each side offends once at most: then nothing of it is read any more.
    for side in [Side::Downstream, Side::Upstream] {
        assert!(whole.violations.iter().filter(|(whose, _)| *whose == side).count() <= 1, "{:?}", whole.violations);
    }
    // Where nothing was allowed, nothing got there.
    let allowed = whole.judged.iter().filter(|line| !line.contains(" -> ")).count();
    assert!(allowed > 0 || whole.to_server.is_empty(), "bytes without a verdict");
    assert!(whole.answered.len() <= allowed, "more answers than requests");
}

fn is_subsequence(part: &[u8], whole: &[u8]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|byte| rest.any(|other| other == byte))
}
