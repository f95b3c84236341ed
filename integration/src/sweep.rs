//! Removes what laboratories have created: of one laboratory by its name, and of all whose process is gone.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    error::{Result, trying},
    namespace,
    process::run,
    wait,
};

/// What every name begins with; the number of the process follows.
const PREFIX: &str = "pclab-";

/// Where pins go.
const BPFFS: &str = "/sys/fs/bpf";

/// The name of a laboratory of this process.
pub(crate) fn name(number: usize) -> String {
    format!("{PREFIX}{}-{number}", std::process::id())
}

/// The directory of bpffs of a laboratory.
pub(crate) fn bpffs(lab: &str) -> PathBuf {
    Path::new(BPFFS).join(lab)
}

/// The directory of files of a laboratory.
pub(crate) fn files(lab: &str) -> PathBuf {
    std::env::temp_dir().join(lab)
}

/// Mounts bpffs where this machine has none. The node under test would not: in its own mount namespace it would be the only
/// one to see it.
pub(crate) fn mount_bpffs() -> Result<()> {
    // One at a time: a second mount hides the first.
    let path = std::env::temp_dir().join("pclab-bpffs.lock");
    let file = trying("open a lock file", fs::File::create(&path))?;
    trying("lock it", file.lock())?;
    let mounts = trying("read the mounts", fs::read_to_string("/proc/mounts"))?;
    if mounts.lines().any(|line| line.split(' ').skip(1).take(2).eq([BPFFS, "bpf"])) {
        return Ok(());
    }
    run(&["mount", "-t", "bpf", "bpf", BPFFS], "").map(|_| ())
}

/// Where cgroup2 is mounted.
pub(crate) fn cgroup_root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mount = mounts.lines().map(|line| line.split(' ')).find(|words| words.clone().nth(2) == Some("cgroup2"));
    mount.and_then(|mut words| words.nth(1)).map(PathBuf::from)
}

/// Removes whatever is there of laboratories whose process is gone.
pub fn leftovers() {
    let mut dead: Vec<String> = places().iter().flat_map(|place| names(place)).filter_map(|name| lab(&name)).collect();
    dead.sort_unstable();
    dead.dedup();
    for lab in dead.iter().filter(|lab| !is_alive(lab)) {
        remove(lab);
    }
}

/// Removes a laboratory: its programs first, then its namespaces and files.
pub(crate) fn remove(lab: &str) {
    if let Some(cgroup) = cgroup_root().map(|root| root.join(lab)) {
        remove_cgroup(&cgroup);
    }
    let _ = fs::remove_dir_all(bpffs(lab));
    let belongs = |name: &String| name == lab || name.starts_with(&format!("{lab}-"));
    for name in names(Path::new(namespace::DIRECTORY)).filter(belongs) {
        let _ = run(&["ip", "netns", "delete", &name], "");
    }
    let _ = fs::remove_dir_all(files(lab));
}

/// Whatever is of laboratories, dead or alive, whose name begins with `lab`: for tests of the laboratory itself.
#[must_use]
pub fn remains(lab: &str) -> Vec<PathBuf> {
    let found = |place: &PathBuf| {
        names(place).filter(|name| name.starts_with(lab)).map(|name| place.join(name)).collect::<Vec<_>>()
    };
    places().iter().flat_map(found).collect()
}

fn places() -> Vec<PathBuf> {
    let fixed = [PathBuf::from(namespace::DIRECTORY), PathBuf::from(BPFFS), std::env::temp_dir()];
    fixed.into_iter().chain(cgroup_root()).collect()
}

fn names(place: &Path) -> impl Iterator<Item = String> + use<> {
    fs::read_dir(place).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok())
}

/// The laboratory a name belongs to: `pclab-PID-NUMBER` without what follows.
fn lab(name: &str) -> Option<String> {
    let mut parts = name.strip_prefix(PREFIX)?.split('-');
    let (pid, number) = (parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<usize>().ok()?);
    Some(format!("{PREFIX}{pid}-{number}"))
}

fn is_alive(lab: &str) -> bool {
    let pid = lab.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).unwrap_or_default();
    Path::new("/proc").join(pid).exists()
}

/// The kernel kills every process of a cgroup, also those that their parents have lost.
fn remove_cgroup(cgroup: &Path) {
    if !cgroup.exists() {
        return;
    }
    let _ = fs::write(cgroup.join("cgroup.kill"), "1");
    for child in names(cgroup) {
        let child = cgroup.join(child);
        if child.is_dir() {
            remove_cgroup(&child);
        }
    }
    // A cgroup is busy until the last of its processes has been buried.
    let _ = wait::until("an empty cgroup", String::new, || {
        Ok(match fs::remove_dir(cgroup) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => None,
            _ => Some(()),
        })
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_laboratory_and_whether_its_process_lives() {
        let ours = name(3);
        assert_eq!(lab(&format!("{ours}-app")), Some(ours.clone()));
        assert!(is_alive(&ours));
        assert_eq!(lab("pclab-4194999-0-client-0"), Some("pclab-4194999-0".into()));
        assert!(!is_alive("pclab-4194999-0"), "above the largest number of a process");
        for other in ["pclab-", "pclab-x-0", "somebody-else", "pclab-12"] {
            assert_eq!(lab(other), None, "{other}");
        }
    }
}
