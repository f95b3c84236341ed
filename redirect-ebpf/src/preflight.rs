//! Checks the requirements before anything is created: a node that lacked one would start and judge nothing.

use std::{fs, io};

use aya::{
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported},
    util::KernelVersion,
};
use nix::sys::utsname::uname;

use crate::error::RedirectError;

/// Capabilities by number (linux/capability.h), and what for.
const NEEDED: [(u32, &str, &str); 5] = [
    (12, "CAP_NET_ADMIN", "rules, routes, transparent sockets and attaching programs"),
    (13, "CAP_NET_RAW", "answers to DNS queries"),
    (21, "CAP_SYS_ADMIN", "entering network namespaces"),
    (38, "CAP_PERFMON", "programs that read the kernel's socket structures"),
    (39, "CAP_BPF", "loading programs and maps"),
];
/// Stands in for those that were split off from it (Linux 5.8, `bpf_capable` and `perfmon_capable`).
const SYS_ADMIN: u32 = 21;
const SPLIT_OFF: [u32; 2] = [38, 39];

/// Looks at this process and the kernel.
///
/// # Errors
/// What is missing.
pub(crate) fn look() -> Result<(), RedirectError> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    if let Some(missing) = effective(&status).and_then(missing) {
        return Err(RedirectError::Capability(missing));
    }
    // Without a helper the verifier's answer is pages long, and says nothing of a version.
    match is_helper_supported(ProgramType::CgroupSockAddr, BpfHelper::BPF_FUNC_set_retval) {
        Ok(true) => Ok(()),
        Ok(false) => Err(RedirectError::Kernel { release: release(), lacks: "bpf_set_retval for connect programs" }),
        Err(error) => Err(RedirectError::Probe { source: Box::new(error) }),
    }
}

/// Whether a program of a cgroup may ask for the namespace of a packet's socket, which the judge of echo requests does.
pub(crate) fn has_echo() -> bool {
    is_helper_supported(ProgramType::CgroupSkb, BpfHelper::BPF_FUNC_get_netns_cookie).unwrap_or(false)
}

/// Whether programs can be attached to devices by links (tcx, commit e420bed02507 in Linux 6.6). Nobody who administers a
/// namespace can take such a link away.
pub(crate) fn has_device_links() -> bool {
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 6, 0))
}

/// The effective capabilities in proc_pid_status(5).
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// What is missing, with what it is for.
fn missing(held: u64) -> Option<String> {
    let has = |number: u32| held & (1 << number) != 0;
    let lacks = |number: &u32| !(has(*number) || (SPLIT_OFF.contains(number) && has(SYS_ADMIN)));
    let missing: Vec<String> = NEEDED
        .iter()
        .filter(|(number, ..)| lacks(number))
        .map(|(_, name, purpose)| format!("{name} ({purpose})"))
        .collect();
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// The kernel's release.
pub(crate) fn release() -> String {
    let told: io::Result<_> = uname().map_err(Into::into);
    told.map_or_else(|_| "unknown".into(), |name| name.release().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::{effective, missing};

    #[test]
    fn each_capability_that_is_missing_is_named_with_its_purpose() {
        let held = effective("Name:\tx\nCapInh:\t0000000000000000\nCapEff:\t000000c000203000\n").unwrap();
        assert_eq!(missing(held), None);
        assert_eq!(missing(held & !(1 << 38) & !(1 << 39)), None, "CAP_SYS_ADMIN holds them");
        for (number, name) in
            [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW"), (21, "CAP_SYS_ADMIN (entering network namespaces)")]
        {
            let told = missing(held & !(1 << number)).unwrap();
            assert!(told.starts_with(name) && told.matches("CAP_").count() == 1, "{told}");
        }
        assert_eq!(missing(0).unwrap().matches("CAP_").count(), 5);
    }
}
