//! Base64 as Kubernetes writes it: the standard alphabet with padding (RFC 4648 §4), line breaks ignored.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Decodes a text; `None` if it is none. It says nothing of the text, which may be a secret.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    STANDARD.decode(bytes).ok()
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
