//! The processes that the programs above all endpoints see: those below `steering.cgroup`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use portcullis_rules::world::EndpointId;

use crate::run::place::{self, PlaceIdentity};

/// Processes that are looked at in one go, the others in the next ones: a few microseconds each.
const AT_ONCE: usize = 4096;

/// The cgroup above all endpoints, as proc_pid_cgroup(5) names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentCgroup(String);

impl ParentCgroup {
    /// Of a path below a cgroup2 mount; `None` where that is not known, or where it is the root, below which all are.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let path = fs::canonicalize(path).ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        Self::by(&mounts, path.to_str()?)
    }

    /// By proc_pid_mountinfo(5): the root of the mount in its hierarchy, and what follows the mount point.
    fn by(mounts: &str, path: &str) -> Option<Self> {
        let below = |line: &str| {
            let (fields, kind) = line.split_once(" - ")?;
            let fields: Vec<&str> = fields.split(' ').collect();
            let (root, point) = (*fields.get(3)?, *fields.get(4)?);
            let rest = path.strip_prefix(point).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
            let named = format!("{}{rest}", root.trim_end_matches('/'));
            kind.starts_with("cgroup2 ").then_some((point.len(), named))
        };
        let (_, named) = mounts.lines().filter_map(below).max()?;
        let named = named.trim_end_matches('/').to_owned();
        (!named.is_empty()).then_some(Self(named))
    }

    /// Whether a process of this cgroup is below it.
    fn holds(&self, cgroup: &str) -> bool {
        cgroup.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether this process is.
    #[must_use]
    pub fn holds_me(&self) -> bool {
        cgroup(Path::new("/proc/self")).is_none_or(|cgroup| self.holds(&cgroup))
    }
}

/// The cgroup2 of a process, by its directory below `/proc`.
fn cgroup(process: &Path) -> Option<String> {
    let text = fs::read_to_string(process.join("cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// A look at all processes, a part at a time: which run in an endpoint's namespace but not below the cgroup, so that what
/// they open is not judged.
#[derive(Debug, Default)]
pub struct StrayProcesses {
    left: Vec<PathBuf>,
    seen: BTreeMap<EndpointId, String>,
    found: BTreeMap<EndpointId, String>,
}

impl StrayProcesses {
    /// Looks at the next part. Gives what was found when all were looked at last: for each endpoint one such process.
    pub fn look(
        &mut self,
        above: &ParentCgroup,
        places: &BTreeMap<PlaceIdentity, EndpointId>,
    ) -> &BTreeMap<EndpointId, String> {
        if self.left.is_empty() {
            self.left = place::processes().collect();
        }
        let rest = self.left.len().saturating_sub(AT_ONCE);
        for process in self.left.split_off(rest) {
            let Some(id) = place::identity(&process.join("ns/net")).ok().and_then(|at| places.get(&at)) else {
                continue;
            };
            if let Some(cgroup) = cgroup(&process).filter(|cgroup| !above.holds(cgroup)) {
                let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
                let pid = process.file_name().unwrap_or_default().to_string_lossy();
                self.seen.entry(*id).or_insert_with(|| format!("process {pid} ({}, cgroup {cgroup})", name.trim()));
            }
        }
        if self.left.is_empty() {
            self.found = std::mem::take(&mut self.seen);
        }
        let wanted: BTreeSet<&EndpointId> = places.values().collect();
        self.found.retain(|id, _| wanted.contains(id));
        &self.found
    }
}

#[cfg(test)]
mod tests {
    use super::ParentCgroup;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
42 31 0:39 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
";

    #[test]
    fn a_cgroup_is_named_as_processes_name_theirs() {
        let above = |mounts: &str, path: &str| ParentCgroup::by(mounts, path).map(|above| above.0);
        assert_eq!(above(HYBRID, "/sys/fs/cgroup/unified"), None, "the root: all are below it");
        assert_eq!(above(HYBRID, "/sys/fs/cgroup/unified/pods.slice").as_deref(), Some("/pods.slice"));
        assert_eq!(above(HYBRID, "/sys/fs/cgroup/cpu/pods.slice"), None);
        let nested = "30 1 0:26 /container.scope /sys/fs/cgroup rw shared:4 - cgroup2 cgroup rw\n";
        assert_eq!(above(nested, "/sys/fs/cgroup/pods").as_deref(), Some("/container.scope/pods"));
        assert_eq!(above(nested, "/sys/fs/cgroup").as_deref(), Some("/container.scope"));
    }

    #[test]
    fn a_process_is_below_or_is_not() {
        let above = ParentCgroup("/pods.slice".into());
        for (cgroup, below) in
            [("/pods.slice", true), ("/pods.slice/a/b", true), ("/pods.slice-2", false), ("/", false), ("/../x", false)]
        {
            assert_eq!(above.holds(cgroup), below, "{cgroup}");
        }
    }
}
