//! A histogram of durations without a lock. The library's own takes a lock for each observation.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

const NANOS: f64 = 1e9;

#[derive(Debug)]
struct Inner {
    /// Upper bounds in nanoseconds, ascending; what is above all of them has the last bucket.
    bounds: &'static [u64],
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// Counts durations by upper bounds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram(Arc<Inner>);

impl Histogram {
    /// `bounds` are in nanoseconds and ascend.
    pub(crate) fn new(bounds: &'static [u64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds, buckets, sum: AtomicU64::new(0) }))
    }

    pub(crate) fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = self.0.bounds.partition_point(|bound| *bound < nanos);
        self.0.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    #[expect(clippy::cast_precision_loss, reason = "seconds for people; 2^53 nanoseconds are 104 days")]
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = self.0.bounds.iter().map(|bound| *bound as f64 / NANOS).chain([f64::INFINITY]);
        let counts = self.0.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.0.sum.load(Ordering::Relaxed) as f64 / NANOS;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::Histogram;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it_and_in_all_above() {
        let histogram = Histogram::new(&[1_000, 1_000_000]);
        for nanos in [1_000, 1_001, 5_000_000_000] {
            histogram.observe(Duration::from_nanos(nanos));
        }
        let mut registry = Registry::default();
        registry.register("check_seconds", "Checks", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            r#"check_seconds_bucket{le="0.000001"} 1"#,
            r#"check_seconds_bucket{le="0.001"} 2"#,
            r#"check_seconds_bucket{le="+Inf"} 3"#,
            "check_seconds_count 3",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
