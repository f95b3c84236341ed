//! Types of queries and records (IANA, "Resource Record (RR) TYPEs").

use std::borrow::Cow;

pub(super) const A: u16 = 1;
pub(super) const CNAME: u16 = 5;
pub(super) const SIG: u16 = 24;
pub(super) const AAAA: u16 = 28;
pub(super) const OPT: u16 = 41;
pub(super) const SVCB: u16 = 64;
pub(super) const HTTPS: u16 = 65;
pub(super) const TSIG: u16 = 250;
pub(super) const IXFR: u16 = 251;
pub(super) const AXFR: u16 = 252;

/// The words of those that have one, by number.
const WORDS: &[(u16, &str)] = &[
    (A, "A"),
    (2, "NS"),
    (CNAME, "CNAME"),
    (6, "SOA"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (14, "MINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (SIG, "SIG"),
    (25, "KEY"),
    (26, "PX"),
    (AAAA, "AAAA"),
    (29, "LOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (39, "DNAME"),
    (OPT, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (55, "HIP"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (SVCB, "SVCB"),
    (HTTPS, "HTTPS"),
    (99, "SPF"),
    (104, "NID"),
    (105, "L32"),
    (106, "L64"),
    (107, "LP"),
    (108, "EUI48"),
    (109, "EUI64"),
    (249, "TKEY"),
    (TSIG, "TSIG"),
    (IXFR, "IXFR"),
    (AXFR, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
    (258, "AVC"),
    (32768, "TA"),
    (32769, "DLV"),
];

/// The word of a type: its mnemonic, or `TYPE` and its number (RFC 3597 §5).
#[must_use]
pub fn word(kind: u16) -> Cow<'static, str> {
    match WORDS.binary_search_by_key(&kind, |(number, _)| *number) {
        Ok(place) => Cow::Borrowed(WORDS[place].1),
        Err(_) => Cow::Owned(format!("TYPE{kind}")),
    }
}

/// The type that a word means, whatever its case: a mnemonic, or `TYPE` and a number (RFC 3597 §5).
#[must_use]
pub fn number(word: &str) -> Option<u16> {
    if let Some((number, _)) = WORDS.iter().find(|(_, known)| known.eq_ignore_ascii_case(word)) {
        return Some(*number);
    }
    let (letters, digits) = word.split_at_checked(4)?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain && letters.eq_ignore_ascii_case("TYPE") { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_one_word() {
        assert!(WORDS.is_sorted_by(|(a, _), (b, _)| a < b));
        for kind in 0..=u16::MAX {
            assert_eq!(number(&word(kind)), Some(kind));
            assert_eq!(number(&format!("type{kind}")), Some(kind));
        }
        for word in ["", "TYPE", "TYPE-1", "TYPE+1", "TYPE65536", "AAAAA", "A ", "TYPé"] {
            assert_eq!(number(word), None, "{word:?}");
        }
    }
}
