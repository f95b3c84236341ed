//! What a protocol publishes about its limits, and what the settings say of them. So each limit has its key, default, bounds and
//! meaning in one place: the codec's folder.

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes: `128KiB`, `8MiB`, or a plain number.
    Bytes,
    /// Pieces: a plain number.
    Count,
    /// Nothing: `true` (1) or `false` (0).
    Switch,
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
    }
}
