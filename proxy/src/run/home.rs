//! The node's own addresses. Connections from them may reach the node's endpoints if `allowLocalhost` is on.

use std::{net::IpAddr, time::Duration};

use portcullis_config::Store;
use tokio::time::{MissedTickBehavior, interval};

use crate::run::system::own_addresses;

/// How often it is looked for other addresses.
const LOOK: Duration = Duration::from_secs(1);

/// The addresses by which the node reaches its endpoints, in order. Those of loopback reach nobody else, and those of a link are
/// not the node's alone. None, where they cannot be listed: then nobody is let in for them.
#[must_use]
pub fn addresses() -> Vec<IpAddr> {
    let found = own_addresses().unwrap_or_else(|error| {
        tracing::warn!(%error, "the node's own addresses cannot be listed, so allowLocalhost has no effect");
        std::collections::BTreeSet::new()
    });
    found.into_iter().filter(|address| is_the_nodes(*address)).collect()
}

fn is_the_nodes(address: IpAddr) -> bool {
    let of_a_link = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !of_a_link && !address.is_loopback() && !address.is_multicast() && !address.is_unspecified()
}

/// Has everything compiled anew when the node has other addresses than before.
pub async fn follow(store: Store) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = None;
    loop {
        ticks.tick().await;
        let Ok(found) = tokio::task::spawn_blocking(addresses).await else { return };
        if known.as_ref() != Some(&found) {
            if store.moved().await.is_err() {
                return;
            }
            known = Some(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_nodes_alone_is_nobody() {
        for (address, wanted) in [
            ("10.0.0.1", true),
            ("fd00::1", true),
            ("169.254.1.1", false),
            ("fe80::1", false),
            ("127.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(is_the_nodes(address.parse().unwrap()), wanted, "{address}");
        }
    }
}
