//! Which bytes field names and values may contain, in all HTTP versions (RFC 9110 §5).

/// Where the first byte stands that a field value cannot have: all but VCHAR, obs-text, SP and HTAB (RFC 9110 §5.5).
/// Looks at eight bytes at a time.
pub(crate) fn control(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let delete = word ^ (ONES * 0x7f);
        // The lowest set bit of each half is exact, those above it need not be.
        let below_space = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (below_space | (delete.wrapping_sub(ONES) & !delete)) & HIGH;
        if found == 0 {
            at += 8;
            continue;
        }
        at += found.trailing_zeros() as usize / 8;
        if bytes[at] != b'\t' {
            return Some(at);
        }
        at += 1;
    }
    bytes[at..].iter().position(|byte| is_control(*byte)).map(|offset| at + offset)
}

/// Whether a byte is a control byte other than HTAB.
pub(crate) fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// Without optional white space in front of it.
pub(crate) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Without optional white space around it (RFC 9110 §5.6.3).
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = trim_start(bytes);
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether a byte may stand in a `token` (RFC 9110 §5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// The bytes of a `token`.
pub(crate) static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let c = byte as u8;
        table[byte] = c.is_ascii_alphanumeric()
            || matches!(
                c,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
};

/// The members of a comma-separated list, without the empty ones (RFC 9110 §5.6.1).
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// Whether a comma-separated list has a member of a lower-case name.
pub(crate) fn has_member(value: &[u8], name: &[u8]) -> bool {
    members(value).any(|member| member.eq_ignore_ascii_case(name))
}

/// Whether two names become one variable where headers are handed to programs: `x-user` and `X_User` both are
/// `HTTP_X_USER` (RFC 3875 §4.1.18). Some servers make `_` of each byte that is neither letter nor digit (lighttpd), so all
/// of these are one here, repeated or not, and those at the ends are none.
pub(crate) fn is_variable_of(one: &[u8], other: &[u8]) -> bool {
    let words = |name| <[u8]>::split(name, |byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let (mut one, mut other) = (words(one), words(other));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one.eq_ignore_ascii_case(other) => {}
            _ => return false,
        }
    }
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

/// `1*DIGIT`, at most 2^63 - 1 (RFC 9112 §6.2).
pub(crate) fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // 19 digits stay below 10^19 < 2^64, so the sum cannot wrap.
    let number = value.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    (number <= i64::MAX.cast_unsigned()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_become_one_variable_have_the_same_words() {
        for other in ["x-user", "X_User", "x.user", "X--User", "x-_~user", "-x-user", "x-user!", "X|User"] {
            assert!(is_variable_of(b"X-User", other.as_bytes()), "{other}");
        }
        for other in ["xuser", "x-users", "x-user-x", "x", "", "-", "y-user"] {
            assert!(!is_variable_of(b"X-User", other.as_bytes()), "{other}");
        }
        assert!(is_variable_of(b"-", b"!"), "neither has a word");
    }

    #[test]
    fn each_control_byte_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for place in 0..40 {
                let mut text = [b'\t', b' ', b'a', 0xff, b'~'].repeat(8);
                text[place] = byte;
                assert_eq!(control(&text), is_control(byte).then_some(place), "{byte:#x} at {place}");
            }
        }
    }
}
