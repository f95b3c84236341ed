//! What a protocol publishes about its limits, and what the settings say of them. So each limit has its key, default, bounds and
//! meaning in one place: the codec's folder. And the limits of what a node holds at a time, whatever it speaks.

use std::ops::RangeInclusive;

/// Ports of upstream connections where the settings name no others: outside the range from which clients draw theirs
/// (`ip_local_port_range`, from 32768).
pub const UPSTREAM_PORTS: RangeInclusive<u16> = 10_000..=32_767;

/// What a node holds at a time. Sizes are bytes; a share of `None` is `auto`: as many as are still free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// `connections`: client connections, of the whole node. What comes above is reset.
    pub connections: usize,
    /// `connectionsPerEndpoint`: those of one endpoint.
    pub connections_per_endpoint: Option<usize>,
    /// `flows`: client sockets that wait for datagrams of one server, on one worker. What comes above is lost, as datagrams may
    /// be, and counted.
    pub flows: usize,
    /// `flowsPerEndpoint`: those of one endpoint.
    pub flows_per_endpoint: Option<usize>,
    /// `openFiles`: file descriptors of connections (two each) and flows (one each), of the whole node. What comes above is
    /// turned away. `None`: whoever starts the node says it, by what the process may have; without that there is no limit.
    pub open_files: Option<usize>,
    /// `openFilesPerEndpoint`: those of one endpoint.
    pub open_files_per_endpoint: Option<usize>,
    /// `bufferedBytes`: what is held of all connections beyond a read buffer each, where a request goes on or not as a whole:
    /// for each worker, and all of them share the sum. What comes above the protocol refuses in its own words.
    pub buffered_bytes: usize,
    /// `bufferedBytesPerEndpoint`: those of one endpoint, on all workers.
    pub buffered_bytes_per_endpoint: Option<usize>,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            connections: 100_000,
            connections_per_endpoint: None,
            flows: 4_096,
            flows_per_endpoint: None,
            open_files: None,
            open_files_per_endpoint: None,
            buffered_bytes: 64 << 20,
            buffered_bytes_per_endpoint: None,
        }
    }
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes: `128KiB`, `8MiB`, or a plain number.
    Bytes,
    /// Pieces: a plain number.
    Count,
    /// Nothing: `true` (1) or `false` (0).
    Switch,
    /// Nothing: one of these words, as its place among them.
    Words(&'static [&'static str]),
}

/// One limit of a protocol.
#[derive(Debug)]
pub struct LimitSpec {
    /// Its key below `limits` in the settings file, for example `requestHead`; a dot leads one mapping deeper: `http2.streams`.
    pub key: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// What it is where nothing is said.
    pub default: u64,
    /// The least that may be said.
    pub least: u64,
    /// The most that may be said.
    pub most: u64,
    /// What it limits, as the documentation has it.
    pub meaning: &'static str,
}

impl LimitSpec {
    /// The default as people write it in the settings file.
    #[must_use]
    pub fn written_default(&self) -> String {
        match (self.unit, self.default) {
            (Unit::Switch, value) => (value != 0).to_string(),
            (Unit::Bytes, size) if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{}MiB", size >> 20),
            (Unit::Bytes, size) if size >= 1 << 10 && size.is_multiple_of(1 << 10) => format!("{}KiB", size >> 10),
            (Unit::Bytes | Unit::Count, number) => number.to_string(),
            (Unit::Words(words), place) => {
                let word = usize::try_from(place).ok().and_then(|place| words.get(place));
                word.copied().unwrap_or_default().to_owned()
            }
        }
    }
}

/// The limits in force: those that differ from their defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitValues(Vec<(&'static str, u64)>);

impl LimitValues {
    /// Sets a limit. What is beyond its bounds is brought within.
    pub fn set(&mut self, spec: &LimitSpec, value: u64) {
        self.0.retain(|(key, _)| *key != spec.key);
        let value = value.clamp(spec.least, spec.most);
        if value != spec.default {
            self.0.push((spec.key, value));
            self.0.sort_unstable();
        }
    }

    /// The value of a limit.
    #[must_use]
    pub fn of(&self, spec: &LimitSpec) -> u64 {
        self.0.iter().find(|(key, _)| *key == spec.key).map_or(spec.default, |(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::{LimitSpec, LimitValues, Unit};

    const HEAD: LimitSpec =
        LimitSpec { key: "head", unit: Unit::Bytes, default: 8 << 20, least: 1 << 10, most: 16 << 20, meaning: "" };

    #[test]
    fn values_are_equal_where_they_mean_the_same() {
        let mut values = LimitValues::default();
        assert_eq!(values.of(&HEAD), 8 << 20);
        values.set(&HEAD, 1);
        assert_eq!(values.of(&HEAD), 1 << 10);
        values.set(&HEAD, 8 << 20);
        assert_eq!(values, LimitValues::default());
    }

    #[test]
    fn defaults_read_as_they_are_written() {
        let written = |unit, default| LimitSpec { unit, default, ..HEAD }.written_default();
        assert_eq!([written(Unit::Bytes, 8 << 20), written(Unit::Bytes, 0)], ["8MiB", "0"]);
        assert_eq!([written(Unit::Bytes, 1536), written(Unit::Count, 1024)], ["1536", "1024"]);
        assert_eq!([written(Unit::Switch, 0), written(Unit::Switch, 1)], ["false", "true"]);
        let words = Unit::Words(&["some", "none"]);
        assert_eq!([written(words, 0), written(words, 1)], ["some", "none"]);
    }
}
