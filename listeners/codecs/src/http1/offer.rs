//! Offers to upgrade to HTTP/2 (`Upgrade: h2c`, RFC 7540 §3.2). The mechanism is obsolete (RFC 9113 §3.1), but Java's
//! client uses it with its first request. If the server accepts the offer, the relay switches to HTTP/2 too and judges
//! what follows.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::field::FieldLine;
use crate::{http::Limits, http::text::members, http2::UpgradeOffer};

/// What the lines of a request say about HTTP/2.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offered<'a> {
    /// Upgrade names `h2c`.
    h2c: bool,
    /// Connection names Upgrade, and HTTP2-Settings.
    upgrade: bool,
    nominated: bool,
    settings: Option<&'a [u8]>,
    /// HTTP2-Settings more than once.
    twice: bool,
}

impl<'a> Offered<'a> {
    /// Takes one line into account.
    pub(super) fn note(&mut self, line: &FieldLine<'a>) {
        let names = |name: &[u8]| members(line.value).any(|member| member.eq_ignore_ascii_case(name));
        if line.is(b"upgrade") {
            self.h2c |= names(b"h2c");
        } else if line.is(b"connection") {
            self.upgrade |= names(b"upgrade");
            self.nominated |= names(b"http2-settings");
        } else if line.is(b"http2-settings") {
            self.twice |= self.settings.replace(line.value).is_some();
        }
    }

    /// The offer, if it can be followed. One that cannot goes on as it came, and may not be taken up.
    pub(super) fn read(&self, head: bool, limits: &Limits) -> Option<Box<UpgradeOffer>> {
        if !self.h2c || !self.upgrade || !self.nominated || self.twice {
            return None;
        }
        let settings = base64url(self.settings?)?;
        UpgradeOffer::new(&settings, head, limits).ok().map(Box::new)
    }
}

/// Decodes `base64url` without padding (RFC 4648 §5), canonical only: whole entries of SETTINGS, six bytes each.
fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len().is_multiple_of(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_base64url() {
        assert_eq!(base64url(b""), Some(vec![]));
        assert_eq!(base64url(b"AAMAAABk"), Some(vec![0, 3, 0, 0, 0, 100]));
        assert_eq!(base64url(b"AAT__-_-"), Some(vec![0, 4, 0xff, 0xff, 0xef, 0xfe]));
        for bad in ["AAMAAABk=", "AAMAAAB", "AAMA", "AAMAAABkAA", "AAM AABk", "AAT//+/+", "A"] {
            assert_eq!(base64url(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn an_offer_is_one_that_says_all_of_it_once() {
        let offer = |lines: &[(&str, &str)]| {
            let mut offered = Offered::default();
            for (name, value) in lines {
                offered.note(&FieldLine { name: name.as_bytes(), value: value.as_bytes() });
            }
            offered.read(false, &Limits::default()).is_some()
        };
        let upgrade = ("Upgrade", "foo, H2C");
        let connection = ("Connection", "Upgrade, HTTP2-Settings");
        let settings = ("HTTP2-Settings", "AAMAAABk");
        assert!(offer(&[upgrade, connection, settings]));
        assert!(offer(&[("Connection", "upgrade"), upgrade, ("connection", "http2-settings"), settings]));
        for lines in [
            &[upgrade, settings][..],
            &[upgrade, connection],
            &[connection, settings],
            &[("Upgrade", "websocket"), connection, settings],
            &[upgrade, ("Connection", "Upgrade"), settings],
            &[upgrade, connection, settings, settings],
            // A table of 2^31 bytes, which we do not follow.
            &[upgrade, connection, ("HTTP2-Settings", "AAGAAAAA")],
        ] {
            assert!(!offer(lines), "{lines:?}");
        }
    }
}
