//! Latencies in buckets whose width is 1.6 % of their value.

/// Buckets per doubling.
const STEPS: u64 = 64;

/// Counts of nanoseconds, from 0 to 2^64.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// Counts one latency.
    pub fn record(&mut self, nanoseconds: u64) {
        let bucket = bucket(nanoseconds);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    /// Latencies counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The latency in nanoseconds that `share` (0 to 1) of all do not exceed, 0 when nothing was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper(bucket);
            }
        }
        0
    }
}

/// Values below `STEPS` have a bucket each; above, the leading bits after the highest one choose it.
fn bucket(value: u64) -> usize {
    if value < STEPS {
        return usize::try_from(value).unwrap_or(usize::MAX);
    }
    let doubling = u64::from(value.ilog2() - STEPS.ilog2());
    usize::try_from(doubling * STEPS + (value >> doubling)).unwrap_or(usize::MAX)
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let doubling = bucket / STEPS - 1;
    let step = bucket - doubling * STEPS;
    ((step + 1) << doubling) - 1
}

#[cfg(test)]
mod tests {
    use super::{Histogram, bucket, upper};

    #[test]
    fn every_value_lies_below_the_end_of_its_bucket_and_within_two_percent_of_it() {
        let mut value = 1_u64;
        while value < 1 << 60 {
            for near in [value - 1, value, value + 1, value + value / 3] {
                let end = upper(bucket(near));
                assert!(end >= near && end - near <= near / 50, "{near} ends at {end}");
                assert_eq!(bucket(end), bucket(near), "{near}");
                assert_eq!(bucket(end + 1), bucket(near) + 1, "{near}");
            }
            value *= 2;
        }
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        for value in 1..=100 {
            histogram.record(value);
        }
        assert_eq!((histogram.total(), histogram.quantile(0.5), histogram.quantile(1.0)), (100, 50, 100));
        assert_eq!(histogram.quantile(0.0), 1);
        assert_eq!(histogram.quantile(0.99), 99);
    }
}
