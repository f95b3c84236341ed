//! Reads the flows that the kernel refused, or let pass and reports, as they happen.

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
};

use aya::maps::{MapData, PerCpuArray, RingBuf};
use portcullis_redirect_common::{INGRESS, KIND_NO_LISTENER, KIND_PASSED, KIND_REFUSED, KernelRefusalRecord};
use tokio::io::unix::AsyncFd;

use crate::{error::RedirectError, probe::is_try, sys, table::FlowDirection};

/// What became of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Policy refuses it.
    Refused,
    /// Policy wants it steered, and there is no listener, so it was refused.
    NoListener,
    /// Policy denies it and is only tried out, so it passed.
    Passed,
}

/// A flow that was refused in the kernel, or passed although policy denies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedFlow {
    /// Number of the endpoint.
    pub endpoint: u32,
    /// Direction, seen from it.
    pub direction: FlowDirection,
    /// IP protocol number.
    pub protocol: u8,
    /// The other side.
    pub peer: IpAddr,
    /// Port that was connected to.
    pub port: u16,
    /// Port of the side that connected; 0 when it had none yet.
    pub source_port: u16,
    /// What became of it.
    pub kind: RefusalKind,
}

/// Reads refused flows. Bounded: what user space does not read in time is counted as lost.
pub struct Refusals {
    ring: AsyncFd<RingBuf<MapData>>,
    lost: PerCpuArray<MapData, u64>,
}

impl Refusals {
    pub(crate) fn new(ring: RingBuf<MapData>, lost: PerCpuArray<MapData, u64>) -> Result<Self, RedirectError> {
        Ok(Self { ring: sys::poll_ring(ring).map_err(RedirectError::map("REFUSALS", "poll"))?, lost })
    }

    /// The next refused flow.
    ///
    /// # Errors
    /// The ring cannot be polled.
    pub async fn next(&mut self) -> io::Result<RefusedFlow> {
        loop {
            let mut ready = self.ring.readable_mut().await?;
            if let Some(item) = ready.get_inner_mut().next() {
                if let Some(refused) = parse(&item).filter(|refused| !is_try(refused.port, refused.peer)) {
                    return Ok(refused);
                }
                continue;
            }
            ready.clear_ready();
        }
    }

    /// How many did not fit into the ring, since the maps were made.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn lost(&self) -> Result<u64, RedirectError> {
        let values = self.lost.get(&0, 0).map_err(RedirectError::map("LOST", "read"))?;
        Ok(values.iter().sum())
    }
}

/// Reads one event; `None` for a length or a kind that is not ours.
fn parse(bytes: &[u8]) -> Option<RefusedFlow> {
    let bytes: &[u8; size_of::<KernelRefusalRecord>()] = bytes.try_into().ok()?;
    let u16_at = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    let mut peer = [0; 16];
    peer.copy_from_slice(&bytes[12..28]);
    Some(RefusedFlow {
        endpoint: u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        direction: if bytes[4] == INGRESS { FlowDirection::Ingress } else { FlowDirection::Egress },
        protocol: bytes[5],
        port: u16_at(6),
        source_port: u16_at(8),
        kind: match u16_at(10) {
            KIND_REFUSED => RefusalKind::Refused,
            KIND_NO_LISTENER => RefusalKind::NoListener,
            KIND_PASSED => RefusalKind::Passed,
            _ => return None,
        },
        peer: Ipv6Addr::from(peer).to_canonical(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_the_kernel_reads_as_it_was_written() {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&7_u32.to_ne_bytes());
        bytes.extend_from_slice(&[INGRESS, 6]);
        for number in [5432_u16, 40000, 0] {
            bytes.extend_from_slice(&number.to_ne_bytes());
        }
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1]);
        let refused = parse(&bytes).unwrap();
        assert_eq!(refused.endpoint, 7);
        assert_eq!(refused.direction, FlowDirection::Ingress);
        assert_eq!((refused.port, refused.source_port, refused.kind), (5432, 40000, RefusalKind::Refused));
        assert_eq!(refused.peer, "10.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(parse(&bytes[1..]), None);
        for (kind, wanted) in [(1, Some(RefusalKind::NoListener)), (2, Some(RefusalKind::Passed)), (3, None)] {
            bytes[10..12].copy_from_slice(&u16::to_ne_bytes(kind));
            assert_eq!(parse(&bytes).map(|refused| refused.kind), wanted);
        }
    }
}
