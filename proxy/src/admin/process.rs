//! `process_*`: the resources that the process uses, read from `/proc/self` at each scrape.

use std::{
    fmt, fs,
    time::{SystemTime, UNIX_EPOCH},
};

use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage},
    time::TimeVal,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

/// Collects the `process_*` metrics that every Prometheus client library exports.
#[derive(Debug)]
pub struct Process {
    /// Seconds since 1970 at which the process started.
    started: f64,
}

impl Default for Process {
    fn default() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Self { started }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            let seconds = ConstCounter::new(seconds(usage.user_time()) + seconds(usage.system_time()));
            metric(&mut encoder, "process_cpu_seconds", "CPU time of user and system, in seconds", &seconds)?;
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory", kibibytes(&status, "VmRSS:")),
            ("process_virtual_memory_bytes", "Virtual memory", kibibytes(&status, "VmSize:")),
            ("process_threads", "Threads", field(&status, "Threads:")),
            ("process_open_fds", "Open file descriptors", open_files()),
            ("process_max_fds", "Largest number of open file descriptors", largest_open_files()),
        ] {
            if let Some(value) = value {
                metric(&mut encoder, name, help, &ConstGauge::new(value))?;
            }
        }
        let started = ConstGauge::new(self.started);
        metric(&mut encoder, "process_start_time_seconds", "Start of the process, in seconds since 1970", &started)
    }
}

fn metric(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

#[expect(clippy::cast_precision_loss, reason = "seconds of CPU time stay far below 2^52")]
fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

/// A number of `/proc/self/status` (proc_pid_status(5)).
fn field(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn kibibytes(status: &str, name: &str) -> Option<i64> {
    field(status, name).map(|number| number * 1024)
}

/// Since Linux 6.2 the size of the directory is the number of open files; before, it is 0 and they have to be counted.
fn open_files() -> Option<i64> {
    let files = match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        files => files,
    };
    i64::try_from(files).ok()
}

fn largest_open_files() -> Option<i64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    i64::try_from(soft).ok()
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::{Process, field, kibibytes};

    #[test]
    fn a_scrape_shows_the_process_as_it_is() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::default()));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_threads",
            "process_open_fds",
            "process_max_fds",
            "process_start_time_seconds",
        ] {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
            let value: f64 =
                line.and_then(|line| line.split(' ').nth(1)).unwrap_or_else(|| panic!("{name}")).parse().unwrap();
            assert!(value > 0.0, "{name} is {value}");
        }
    }

    #[test]
    fn numbers_are_taken_from_their_own_line() {
        let status = "Name:\tx\nVmSize:\t  2048 kB\nVmRSS:\t     12 kB\nThreads:\t7\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(12 * 1024));
        assert_eq!(kibibytes(status, "VmSize:"), Some(2048 * 1024));
        assert_eq!(field(status, "Threads:"), Some(7));
        assert_eq!(field(status, "VmSwap:"), None);
    }
}
