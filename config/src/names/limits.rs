//! Limits of the name cache, and counters of their evictions.

/// What bounds a name cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameLimits {
    /// Least time that an answer holds, in seconds: a shorter TTL counts as this (cilium's `--tofqdns-min-ttl`).
    pub min_ttl: u32,
    /// Longest time that an answer holds about a name that no policy selects, in seconds; 0: none is kept. Cilium keeps it as
    /// any other.
    pub unselected_ttl: u32,
    /// How long an address is kept beyond its TTL, in seconds, for who was answered just before. Cilium keeps it until it
    /// next looks, once a minute.
    pub grace: u32,
    /// Addresses of one name that one endpoint learnt (cilium's `--tofqdns-endpoint-max-ip-per-hostname`).
    pub addresses_per_name: usize,
    /// Names of one address that one endpoint learnt.
    pub names_per_address: usize,
    /// Addresses of all names that one endpoint learnt; `None`: as many as others leave free.
    pub addresses_per_endpoint: Option<usize>,
    /// Addresses of all names together; one counts for each of its names, and for each endpoint and server it was learnt from.
    pub addresses: usize,
}

impl Default for NameLimits {
    fn default() -> Self {
        Self {
            min_ttl: 0,
            unselected_ttl: 3600,
            grace: 60,
            addresses_per_name: 1_000,
            names_per_address: 1_000,
            addresses_per_endpoint: None,
            addresses: 200_000,
        }
    }
}

/// Addresses that had to go before their time, since the name cache was opened, by the limit that was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvictedAddresses {
    /// [`NameLimits::addresses_per_name`], with those of an answer that is too long by itself.
    pub per_name: u64,
    /// [`NameLimits::names_per_address`].
    pub per_address: u64,
    /// [`NameLimits::addresses_per_endpoint`].
    pub per_endpoint: u64,
    /// [`NameLimits::addresses`].
    pub total: u64,
}
