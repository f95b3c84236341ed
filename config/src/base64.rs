//! Base64 as Kubernetes writes it: the standard alphabet with padding (RFC 4648 §4), line breaks passed over.

/// Decodes a text; `None` if it is none. It says nothing of the text, which may be a secret.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let digits = bytes.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let padding = bytes.len() - digits;
    if !bytes.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut decoded = Vec::with_capacity(bytes.len() / 4 * 3);
    for group in bytes[..digits].chunks(4) {
        let mut word = 0_u32;
        for byte in group {
            word = word << 6 | u32::from(digit(*byte)?);
        }
        let missing = 4 - group.len();
        let [_, octets @ ..] = (word << (6 * missing)).to_be_bytes();
        let (whole, rest) = octets.split_at(3 - missing);
        // Bits that nobody reads could hide something.
        if rest.iter().any(|octet| *octet != 0) {
            return None;
        }
        decoded.extend_from_slice(whole);
    }
    Some(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn the_vectors_of_the_standard_come_out() {
        let vectors = [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9v\r\nYmFy\n", "foobar"),
        ];
        for (text, decoded) in vectors {
            assert_eq!(decode(text).as_deref(), Some(decoded.as_bytes()), "{text:?}");
        }
        assert_eq!(decode("+/+/").as_deref(), Some(&[0xfb, 0xff, 0xbf][..]));
    }

    #[test]
    fn what_is_no_base64_is_not_decoded() {
        for text in
            ["Zg", "Zg=", "Zg===", "====", "Z===", "Zm9", "Z=9v", "Zm9v=", "Zh==", "Zm9=", "Zm-_", "Zm 9v", "é==="]
        {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
