//! Names of fields that frame or route a message or belong to one hop. Some servers accept other spellings of them:
//! `Transfer_Encoding` (HTTP::Daemon), `Content_Length` (uWSGI). Such spellings are refused, because a message that
//! has one does not mean the same to every server.

use super::text::is_variable_of;

/// Fields that frame or route a message: nobody may nominate them in Connection or send them in a trailer.
const FRAMING: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];

/// Fields of the hop, and those that tell how a message goes on.
const HOP: [&[u8]; 8] =
    [b"connection", b"expect", b"http2-settings", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"];

/// How the bytes of a name stand to each other: letters and digits are 0, `-` is 1, and all others are 3.
static SIGNS: [u8; 256] = {
    let mut table = [3_u8; 256];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            table[byte] = 0;
        }
        byte += 1;
    }
    table[b'-' as usize] = 1;
    table
};

/// Whether a field frames or routes a message, in any spelling.
pub(crate) fn is_framing(name: &[u8]) -> bool {
    FRAMING.iter().any(|field| is_variable_of(name, field))
}

/// Whether no trailer may be of this name (RFC 9110 §6.5.1), in any spelling.
pub(crate) fn is_barred_from_trailers(name: &[u8]) -> bool {
    is_framing(name) || HOP.iter().any(|field| is_variable_of(name, field))
}

/// Whether a name is not that of a field that frames, routes or is of the hop, but one that some server takes for it.
pub(crate) fn is_imitation(name: &[u8]) -> bool {
    // Most names of a request begin otherwise.
    name.first().is_some_and(|first| FIRST[usize::from(*first)]) && !is_plain(name) && is_imitation_of_some(name)
}

/// What an imitation may begin with: a sign, or the first letter of one of the fields.
static FIRST: [bool; 256] = {
    let mut table = [true; 256];
    let mut byte = 0;
    while byte < 128 {
        let letter = (byte as u8).to_ascii_lowercase();
        table[byte] =
            !letter.is_ascii_alphanumeric() || matches!(letter, b'c' | b'e' | b'h' | b'k' | b'p' | b't' | b'u');
        byte += 1;
    }
    table
};

#[cold]
fn is_imitation_of_some(name: &[u8]) -> bool {
    is_barred_from_trailers(name)
}

/// Whether a name is words with one `-` between them, as nearly all are: then it has no other spelling.
fn is_plain(name: &[u8]) -> bool {
    let (mut odd, mut before) = (0_u8, 1_u8);
    for byte in name {
        let sign = SIGNS[usize::from(*byte)];
        odd |= (sign & before) | (sign & 2);
        before = sign;
    }
    odd | before == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_has_the_words_of_a_field_that_frames_is_that_field_or_an_imitation() {
        for sign in "!#$%&'*+-.^_`|~".chars() {
            for field in FRAMING.iter().chain(&HOP) {
                let field = String::from_utf8_lossy(field).to_uppercase();
                let other = field.replace('-', &sign.to_string());
                assert_eq!(is_imitation(other.as_bytes()), other != field, "{other}");
                assert!(is_barred_from_trailers(other.as_bytes()), "{other}");
                let twice = field.replace('-', &format!("{sign}{sign}"));
                for name in
                    [twice.clone(), format!("{sign}{field}"), format!("{field}{sign}"), format!("{twice}{sign}")]
                {
                    assert_eq!(is_imitation(name.as_bytes()), name != field, "{name}");
                }
            }
        }
    }

    #[test]
    fn other_names_are_none() {
        for name in [
            "accept",
            "content-type",
            "x_host",
            "x-content-length",
            "content-length-x",
            "contentlength",
            "my_header",
            "a--b",
            "_",
            "",
            "sec-websocket-key",
            "hosts",
            "x-te",
        ] {
            assert!(!is_imitation(name.as_bytes()) && !is_barred_from_trailers(name.as_bytes()), "{name}");
        }
    }
}
