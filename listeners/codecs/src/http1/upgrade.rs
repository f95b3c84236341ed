//! Which protocols an Upgrade field names (RFC 9110 §7.8). After a switch to any protocol other than HTTP/2 the bytes
//! are not judged.

use crate::http::text::members;

/// The protocols of the lines of Upgrade of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UpgradeProtocols {
    /// `websocket` (RFC 6455 §11.2).
    pub(super) websocket: bool,
    /// `h2c` (RFC 7540 §3.2).
    pub(super) h2c: bool,
    /// Any other.
    pub(super) other: bool,
}

impl UpgradeProtocols {
    /// Takes the value of one line into account. Names of protocols are compared without their case.
    pub(super) fn note(&mut self, value: &[u8]) {
        for protocol in members(value) {
            match protocol {
                _ if protocol.eq_ignore_ascii_case(b"websocket") => self.websocket = true,
                _ if protocol.eq_ignore_ascii_case(b"h2c") => self.h2c = true,
                _ => self.other = true,
            }
        }
    }

    /// Whether some protocol is named, and none that an offer does not name.
    pub(super) fn are_of(self, offer: Self) -> bool {
        let Self { websocket, h2c, other } = self;
        let named = websocket || h2c || other;
        named && (!websocket || offer.websocket) && (!h2c || offer.h2c) && (!other || offer.other)
    }
}

#[cfg(test)]
mod tests {
    use super::UpgradeProtocols;

    #[test]
    fn protocols_are_told_apart_whatever_their_case_and_order() {
        let of = |lines: &[&str]| {
            let mut protocols = UpgradeProtocols::default();
            lines.iter().for_each(|line| protocols.note(line.as_bytes()));
            (protocols.websocket, protocols.h2c, protocols.other)
        };
        for (lines, wanted) in [
            (&["websocket"][..], (true, false, false)),
            (&[" , WebSocket ,"], (true, false, false)),
            (&["h2c, websocket"], (true, true, false)),
            (&["H2C"], (false, true, false)),
            (&["h2c", "tcp"], (false, true, true)),
            (&["websocket/13"], (false, false, true)),
            (&["\"websocket\""], (false, false, true)),
            (&["web socket"], (false, false, true)),
            (&["h2"], (false, false, true)),
            (&[""], (false, false, false)),
        ] {
            assert_eq!(of(lines), wanted, "{lines:?}");
        }
    }

    #[test]
    fn a_server_may_take_up_what_was_offered_and_nothing_else() {
        let websocket = UpgradeProtocols { websocket: true, ..UpgradeProtocols::default() };
        let (h2c, other) = (
            UpgradeProtocols { h2c: true, ..websocket },
            UpgradeProtocols { other: true, ..UpgradeProtocols::default() },
        );
        assert!(websocket.are_of(websocket) && websocket.are_of(h2c) && other.are_of(other));
        assert!(!h2c.are_of(websocket) && !other.are_of(h2c) && !websocket.are_of(other));
        assert!(!UpgradeProtocols::default().are_of(h2c), "it has to name one");
    }
}
