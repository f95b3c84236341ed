//! Measures cost: CPU time of single processes and of the whole machine, and memory.

use std::{fs, io, time::Duration};

use nix::unistd::{SysconfVar, sysconf};

/// Counters at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// CPU nanoseconds of the proxy, user and system, all threads.
    pub proxy: u64,
    /// CPU microseconds of the machine that were not idle, interrupts and kernel threads included.
    pub machine: u64,
    /// CPU microseconds of the machine in user mode.
    pub machine_user: u64,
    /// CPU microseconds in user mode of all processes of the comparison.
    pub ours_user: u64,
}

/// What one timed part cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// CPU microseconds of the proxy.
    pub proxy: f64,
    /// CPU microseconds of the machine.
    pub machine: f64,
    /// Share (0 to 1) of the machine's time that other programs took in user mode. Kernel work is never counted as
    /// somebody else's: it may be on behalf of the proxy.
    pub disturbance: f64,
}

/// The processes that are watched.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// The proxy under comparison; none for a direct run.
    pub proxy: Option<u32>,
    /// Load and upstream.
    pub others: Vec<u32>,
}

impl Meter {
    /// Reads all counters.
    ///
    /// # Errors
    /// A process is gone, or `/proc` is not what it is on Linux.
    pub fn read(&self) -> io::Result<Reading> {
        let (machine, machine_user) = machine(&fs::read_to_string("/proc/stat")?)?;
        let mut ours_user = 0;
        for process in self.proxy.iter().chain(&self.others) {
            ours_user += user_time(*process)?;
        }
        let proxy = self.proxy.map_or(Ok(0), cpu_time)?;
        Ok(Reading { proxy, machine, machine_user, ours_user })
    }
}

impl Reading {
    /// What was used since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Cost {
        let machine = self.machine.saturating_sub(before.machine) as f64;
        let user = self.machine_user.saturating_sub(before.machine_user);
        let ours = self.ours_user.saturating_sub(before.ours_user);
        Cost {
            proxy: self.proxy.saturating_sub(before.proxy) as f64 / 1000.0,
            machine,
            disturbance: user.saturating_sub(ours) as f64 / machine.max(1.0),
        }
    }
}

/// CPU nanoseconds of a process, from the scheduler's own clock (`/proc/PID/task/TID/schedstat`).
///
/// # Errors
/// The process is gone.
pub fn cpu_time(process: u32) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread that ended in between has nothing to read.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        sum +=
            text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).ok_or_else(|| unknown("schedstat"))?;
    }
    Ok(sum)
}

/// Resident memory of a process in KiB.
///
/// # Errors
/// The process is gone.
pub fn resident(process: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or_else(|| unknown("status"))?;
    line.trim().trim_end_matches(" kB").parse().map_err(|_| unknown("status"))
}

/// Microseconds in user mode (field 14 of `/proc/PID/stat`; the name in field 2 may hold blanks and brackets).
fn user_time(process: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, rest) = text.rsplit_once(") ").ok_or_else(|| unknown("stat"))?;
    let ticks: u64 = rest.split(' ').nth(11).and_then(|field| field.parse().ok()).ok_or_else(|| unknown("stat"))?;
    Ok(ticks * tick()?)
}

/// How long the machine's processors have been busy since it started.
///
/// # Errors
/// The kernel does not tell.
pub fn busy() -> io::Result<Duration> {
    Ok(Duration::from_micros(machine(&fs::read_to_string("/proc/stat")?)?.0))
}

/// Microseconds of the machine that were not idle, and those in user mode (first line of `/proc/stat`).
fn machine(text: &str) -> io::Result<(u64, u64)> {
    let line = text.lines().next().and_then(|line| line.strip_prefix("cpu ")).ok_or_else(|| unknown("/proc/stat"))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let [user, nice, system, _, _, irq, softirq, ..] = ticks[..] else { return Err(unknown("/proc/stat")) };
    let tick = tick()?;
    Ok(((user + nice + system + irq + softirq) * tick, (user + nice) * tick))
}

/// Microseconds of one tick of the counters.
fn tick() -> io::Result<u64> {
    let per_second =
        sysconf(SysconfVar::CLK_TCK)?.and_then(|ticks| u64::try_from(ticks).ok()).filter(|ticks| *ticks > 0);
    Ok(1_000_000 / per_second.ok_or_else(|| unknown("CLK_TCK"))?)
}

fn unknown(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is not as expected"))
}

#[cfg(test)]
mod tests {
    use super::{cpu_time, machine, resident, tick, user_time};

    #[test]
    fn idle_and_stolen_time_of_the_machine_is_nobodys_work() {
        let tick = tick().unwrap();
        let text = "cpu  10 1 5 900 50 2 3 77 8 0\ncpu0 1 2 3\n";
        assert_eq!(machine(text).unwrap(), (21 * tick, 11 * tick));
        for wrong in ["", "cpu0 1 2 3 4 5 6 7 8\n", "cpu  1 2 3\n", "cpu  a b c d e f g h\n"] {
            assert!(machine(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_process_that_works_has_used_time_and_memory() {
        let own = std::process::id();
        let before = cpu_time(own).unwrap();
        while cpu_time(own).unwrap() - before < 1_000_000 {}
        assert!(resident(own).unwrap() > 100);
        assert!(user_time(own).is_ok());
        // No process has number 0.
        assert!(cpu_time(0).is_err() && resident(0).is_err() && user_time(0).is_err());
    }
}
