//! Another program with root's rights: `bpf.py`.

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

/// Pins a program for devices that lets everything pass.
pub(crate) fn pin_pass(path: &Path) {
    assert!(script("pin-pass", path).status().unwrap().success());
}

/// The same for a link at a cgroup.
pub(crate) fn swap_at_cgroup(pin: &Path) {
    let received = pin.file_name().is_some_and(|name| name.to_string_lossy().contains("-receive-"));
    assert!(script(if received { "swap-received" } else { "swap-sent" }, pin).status().unwrap().success());
}

/// How many programs are at both sides of a device.
pub(crate) fn programs_at(netns: &Path, device: u32) -> usize {
    let counted = script("count", netns).arg(device.to_string()).output().unwrap();
    String::from_utf8_lossy(&counted.stdout).trim().parse().unwrap()
}

/// Another program, until it is dropped.
pub(crate) struct Another(Child);

impl Another {
    /// An `sk_lookup` program in a namespace that lets everything pass.
    pub(crate) fn lookup(netns: &Path) -> Self {
        Self::start(script("attach", netns))
    }

    /// One at a side of a device of a namespace, before all others, that lets everything pass.
    pub(crate) fn at_device(netns: &Path, device: u32, side: &str) -> Self {
        let mut command = script("attach-device", netns);
        command.args([&device.to_string(), side]);
        Self::start(command)
    }

    /// One at a device that hands what comes in to the peer of another one.
    pub(crate) fn redirecting(netns: &Path, device: u32, to: u32) -> Self {
        let mut command = script("redirect-device", netns);
        command.args([&device.to_string(), "ingress", &to.to_string()]);
        Self::start(command)
    }

    /// At `eth0` of a namespace, behind ours: sends datagrams of IPv6 to another address than they name.
    pub(crate) fn rewriting(netns: &Path) -> Self {
        Self::start(script("rewrite", netns))
    }

    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "attached\n");
        Self(child)
    }
}

impl Drop for Another {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
