//! Somebody else with the rights of root: `bpf.py`.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

fn script(what: &str, path: &Path) -> Command {
    let mut command = Command::new("python3");
    command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/steering/bpf.py")).arg(what).arg(path);
    command
}

/// Detaches a pinned link.
pub(crate) fn detach(pin: &Path) {
    assert!(script("detach", pin).status().unwrap().success());
}

/// Swaps the program of a pinned `sk_lookup` link for one that lets everything pass.
pub(crate) fn swap(pin: &Path) {
    assert!(script("swap", pin).status().unwrap().success());
}

/// The same for a link at a device.
pub(crate) fn swap_at_device(pin: &Path) {
    assert!(script("swap-device", pin).status().unwrap().success());
}

/// The same for a link at a cgroup.
pub(crate) fn swap_at_cgroup(pin: &Path) {
    let received = pin.file_name().is_some_and(|name| name.to_string_lossy().contains("-receive-"));
    assert!(script(if received { "swap-received" } else { "swap-sent" }, pin).status().unwrap().success());
}

/// Another program somewhere, until it is dropped.
pub(crate) struct Other(Child);

impl Other {
    /// `sk_lookup` in a namespace.
    pub(crate) fn lookup(netns: &Path) -> Self {
        Self::attach("attach", netns)
    }

    /// At `eth0` of a namespace, behind ours: sends datagrams of IPv6 to another address than they name.
    pub(crate) fn rewrite(netns: &Path) -> Self {
        Self::attach("rewrite", netns)
    }

    fn attach(what: &str, netns: &Path) -> Self {
        let mut child = script(what, netns).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "attached\n");
        Self(child)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
