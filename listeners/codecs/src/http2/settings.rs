//! SETTINGS (RFC 9113 §6.5): relayed, lowered to what the relay supports, and applied once the other side has
//! acknowledged them.

use std::collections::VecDeque;

use super::{frame::PAYLOAD, hpack, violation::Violation};
use crate::http::Limits;
use crate::relay::Side;

const TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const STREAMS: u16 = 0x3;
const WINDOW: u16 = 0x4;
const FRAME_SIZE: u16 = 0x5;
const LIST_SIZE: u16 = 0x6;
const CONNECT_PROTOCOL: u16 = 0x8;

/// Bytes of one setting.
const SETTING: usize = 6;

/// What one side has said that matters to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Values {
    /// Bytes of the dynamic table that the other side's encoder may use.
    pub(super) table_size: u32,
    /// Bytes of a frame's payload that the other side may send.
    pub(super) frame_size: u32,
    /// Whether the other side may use extended CONNECT (RFC 8441 §3).
    pub(super) extended_connect: bool,
}

impl Values {
    /// Before anything is said (RFC 9113 §6.5.2).
    const FIRST: Self = Self { table_size: 4096, frame_size: PAYLOAD, extended_connect: false };
}

/// The settings of one side.
#[derive(Debug)]
pub(super) struct Http2Settings {
    /// What the other side keeps to.
    pub(super) in_force: Values,
    /// What it has not acknowledged yet, oldest first.
    pending: VecDeque<Values>,
    last: Values,
    /// Whether a frame has been relayed.
    pub(super) begun: bool,
}

impl Http2Settings {
    pub(super) const fn new() -> Self {
        Self { in_force: Values::FIRST, pending: VecDeque::new(), last: Values::FIRST, begun: false }
    }

    /// Those that a client has sent in HTTP2-Settings: in force at once (RFC 7540 §3.2.1). What we would have to lower
    /// cannot be taken, as it went to the server as it was; an ENABLE_PUSH there is none of it, as pushes are refused
    /// anyway.
    pub(super) fn of_upgrade(payload: &[u8], limits: &Limits) -> Result<Self, Violation> {
        let mut settings = Self::new();
        let lowered = settings.take(Side::Downstream, payload, limits)?;
        let said = |payload: &[u8]| values(payload).filter(|(id, _)| matches!(*id, TABLE_SIZE | LIST_SIZE)).collect();
        let (before, behind): (Vec<_>, Vec<_>) = (said(payload), said(&lowered));
        if before != behind {
            return Err(Violation::SettingValue);
        }
        settings.acknowledge();
        settings.begun = false;
        Ok(settings)
    }

    /// Takes a frame that `from` sends: what goes to the other side instead.
    pub(super) fn take(&mut self, from: Side, payload: &[u8], limits: &Limits) -> Result<Vec<u8>, Violation> {
        let most = limits.http2.settings as usize;
        if payload.len() / SETTING > most {
            return Err(Violation::ManySettings);
        }
        if self.pending.len() >= most {
            return Err(Violation::SettingsFlood);
        }
        let mut relayed = Vec::with_capacity(payload.len() + 3 * SETTING);
        let mut table_sizes = 0;
        for (id, value) in values(payload) {
            table_sizes += u8::from(id == TABLE_SIZE);
            if table_sizes > 1 {
                return Err(Violation::SettingValue);
            }
            if let Some(value) = self.one(from, id, value, limits)? {
                push(id, value, &mut relayed);
            }
        }
        if !std::mem::replace(&mut self.begun, true) {
            for (id, value) in first(from, limits) {
                if !values(&relayed).any(|(said, _)| said == id) {
                    push(id, value, &mut relayed);
                }
            }
        }
        self.pending.push_back(self.last);
        Ok(relayed)
    }

    /// Takes one setting: the value that is relayed, if it is (RFC 9113 §6.5.2, RFC 8441 §3).
    fn one(&mut self, from: Side, id: u16, value: u32, limits: &Limits) -> Result<Option<u32>, Violation> {
        let client = from == Side::Downstream;
        let bounded = |most: usize| value.min(u32::try_from(most).unwrap_or(u32::MAX));
        match id {
            TABLE_SIZE => self.last.table_size = bounded(hpack::MAX_TABLE_SIZE),
            ENABLE_PUSH if value > u32::from(client) => return Err(Violation::SettingValue),
            WINDOW if value > i32::MAX.cast_unsigned() => return Err(Violation::InitialWindow),
            FRAME_SIZE if !(PAYLOAD..1 << 24).contains(&value) => return Err(Violation::SettingValue),
            FRAME_SIZE => self.last.frame_size = value,
            CONNECT_PROTOCOL if value > 1 => return Err(Violation::SettingValue),
            CONNECT_PROTOCOL if !client => self.last.extended_connect = value == 1 && limits.http2.extended_connect,
            _ => {}
        }
        Ok(match id {
            TABLE_SIZE => Some(self.last.table_size),
            ENABLE_PUSH => Some(0),
            STREAMS if client => Some(value),
            STREAMS => Some(value.min(limits.http2.streams)),
            WINDOW | FRAME_SIZE => Some(value),
            LIST_SIZE if client => Some(bounded(limits.response_head)),
            LIST_SIZE => Some(bounded(limits.request_head)),
            CONNECT_PROTOCOL if !client && limits.http2.extended_connect => Some(value),
            // What we do not know could change what the two say to each other.
            _ => None,
        })
    }

    /// The other side has acknowledged the oldest frame. Returns whether there was one.
    pub(super) fn acknowledge(&mut self) -> bool {
        let oldest = self.pending.pop_front();
        self.in_force = oldest.unwrap_or(self.in_force);
        oldest.is_some()
    }
}

/// What a side's first frame has to say in any case.
fn first(from: Side, limits: &Limits) -> Vec<(u16, u32)> {
    match from {
        Side::Downstream => vec![(ENABLE_PUSH, 0)],
        Side::Upstream => {
            let list_size = u32::try_from(limits.request_head).unwrap_or(u32::MAX);
            vec![(STREAMS, limits.http2.streams), (LIST_SIZE, list_size)]
        }
    }
}

fn values(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    payload
        .chunks_exact(SETTING)
        .map(|setting| (u16::from_be_bytes([setting[0], setting[1]]), super::frame::word(&setting[2..])))
}

fn push(id: u16, value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Side = Side::Upstream;
    const CLIENT: Side = Side::Downstream;

    fn payload(settings: &[(u16, u32)]) -> Vec<u8> {
        let mut out = Vec::new();
        settings.iter().for_each(|(id, value)| push(*id, *value, &mut out));
        out
    }

    fn relayed(from: Side, said: &[(u16, u32)], limits: &Limits) -> Result<Vec<(u16, u32)>, Violation> {
        let mut settings = Http2Settings::new();
        settings.begun = true;
        settings.take(from, &payload(said), limits).map(|payload| values(&payload).collect())
    }

    #[test]
    fn settings_are_relayed_lowered_and_unknown_ones_dropped() {
        let mut limits = Limits { request_head: 1000, response_head: 5000, ..Limits::default() };
        limits.http2.streams = 10;
        for (from, said, wanted) in [
            (CLIENT, (TABLE_SIZE, 4096), Some(4096)),
            (CLIENT, (TABLE_SIZE, 1 << 20), Some(65_536)),
            (SERVER, (TABLE_SIZE, u32::MAX), Some(65_536)),
            (SERVER, (TABLE_SIZE, 0), Some(0)),
            (CLIENT, (ENABLE_PUSH, 1), Some(0)),
            (CLIENT, (ENABLE_PUSH, 0), Some(0)),
            (SERVER, (ENABLE_PUSH, 0), Some(0)),
            (SERVER, (STREAMS, 100), Some(10)),
            (SERVER, (STREAMS, 3), Some(3)),
            (CLIENT, (STREAMS, 100), Some(100)),
            (CLIENT, (WINDOW, 0x7fff_ffff), Some(0x7fff_ffff)),
            (SERVER, (FRAME_SIZE, 16_777_215), Some(16_777_215)),
            (SERVER, (LIST_SIZE, 2000), Some(1000)),
            (CLIENT, (LIST_SIZE, 6000), Some(5000)),
            (SERVER, (CONNECT_PROTOCOL, 1), None),
            (CLIENT, (CONNECT_PROTOCOL, 1), None),
            (CLIENT, (0x9, 1), None),
            (SERVER, (0xf0f0, 7), None),
        ] {
            let wanted = wanted.map(|value| (said.0, value)).into_iter().collect::<Vec<_>>();
            assert_eq!(relayed(from, &[said], &limits), Ok(wanted), "{from:?} {said:?}");
        }
        limits.http2.extended_connect = true;
        assert_eq!(relayed(SERVER, &[(CONNECT_PROTOCOL, 1)], &limits), Ok(vec![(CONNECT_PROTOCOL, 1)]));
        assert_eq!(relayed(CLIENT, &[(CONNECT_PROTOCOL, 1)], &limits), Ok(vec![]));
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        let limits = Limits::default();
        for (from, said, wanted) in [
            (CLIENT, vec![(ENABLE_PUSH, 2)], Violation::SettingValue),
            (SERVER, vec![(ENABLE_PUSH, 1)], Violation::SettingValue),
            (CLIENT, vec![(WINDOW, 0x8000_0000)], Violation::InitialWindow),
            (CLIENT, vec![(FRAME_SIZE, 16_383)], Violation::SettingValue),
            (SERVER, vec![(FRAME_SIZE, 16_777_216)], Violation::SettingValue),
            (SERVER, vec![(CONNECT_PROTOCOL, 2)], Violation::SettingValue),
            (CLIENT, vec![(TABLE_SIZE, 0), (TABLE_SIZE, 4096)], Violation::SettingValue),
            (CLIENT, vec![(WINDOW, 1); 33], Violation::ManySettings),
        ] {
            assert_eq!(relayed(from, &said, &limits), Err(wanted), "{from:?} {said:?}");
        }
        assert!(relayed(CLIENT, &[(WINDOW, 1), (WINDOW, 2)], &limits).is_ok());
    }

    #[test]
    fn the_first_frame_says_what_the_other_side_has_to_know() {
        let limits = Limits::default();
        let first = |from, said: &[(u16, u32)]| {
            let relayed = Http2Settings::new().take(from, &payload(said), &limits).unwrap();
            values(&relayed).collect::<Vec<_>>()
        };
        assert_eq!(first(CLIENT, &[]), [(ENABLE_PUSH, 0)]);
        assert_eq!(first(CLIENT, &[(ENABLE_PUSH, 1), (WINDOW, 5)]), [(ENABLE_PUSH, 0), (WINDOW, 5)]);
        assert_eq!(first(SERVER, &[]), [(STREAMS, 1024), (LIST_SIZE, 131_072)]);
        assert_eq!(first(SERVER, &[(STREAMS, 7)]), [(STREAMS, 7), (LIST_SIZE, 131_072)]);
    }

    #[test]
    fn each_frame_comes_into_force_with_its_own_acknowledgement() {
        let limits = Limits::default();
        let mut settings = Http2Settings::new();
        assert!(!settings.acknowledge());
        settings.take(SERVER, &payload(&[(TABLE_SIZE, 100)]), &limits).unwrap();
        settings.take(SERVER, &payload(&[(FRAME_SIZE, 20_000)]), &limits).unwrap();
        assert_eq!(settings.in_force, Values::FIRST);
        assert!(settings.acknowledge());
        assert_eq!(settings.in_force, Values { table_size: 100, ..Values::FIRST });
        assert!(settings.acknowledge());
        assert_eq!(settings.in_force, Values { table_size: 100, frame_size: 20_000, extended_connect: false });
        assert!(!settings.acknowledge());
        for _ in 0..32 {
            settings.take(SERVER, &[], &limits).unwrap();
        }
        assert_eq!(settings.take(SERVER, &[], &limits), Err(Violation::SettingsFlood));
    }

    #[test]
    fn what_an_upgrade_says_is_in_force_at_once_unless_it_is_too_much() {
        let limits = Limits::default();
        let of =
            |said: &[(u16, u32)]| Http2Settings::of_upgrade(&payload(said), &limits).map(|settings| settings.in_force);
        let java = [(TABLE_SIZE, 16_384), (ENABLE_PUSH, 1), (STREAMS, 100), (WINDOW, 1 << 24), (FRAME_SIZE, 16_384)];
        assert_eq!(of(&java), Ok(Values { table_size: 16_384, ..Values::FIRST }));
        assert_eq!(of(&[]), Ok(Values::FIRST));
        assert_eq!(of(&[(TABLE_SIZE, 65_537)]), Err(Violation::SettingValue));
        assert_eq!(of(&[(WINDOW, u32::MAX)]), Err(Violation::InitialWindow));
    }
}
