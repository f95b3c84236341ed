//! The sysctls of a steered namespace. Their old values are remembered beside the pins, so that the process after a
//! crashed one can restore them too.

use std::{fs, io};

/// Accepted sockets inherit the mark (both families), and a RST that answers one of our upstream connections goes back with its mark:
/// without it the RST belongs to no socket and goes to the real client.
const WANTED: [&str; 3] =
    ["/proc/sys/net/ipv4/tcp_fwmark_accept", "/proc/sys/net/ipv4/fwmark_reflect", "/proc/sys/net/ipv6/fwmark_reflect"];

/// Switches them on in the calling thread's namespace; gives the old values, a bit each.
pub(crate) fn switch_on() -> io::Result<u32> {
    let mut old = 0;
    for (bit, path) in WANTED.iter().enumerate() {
        match fs::read_to_string(path) {
            Ok(value) if value.trim() != "0" => old |= 1 << bit,
            Ok(_) => fs::write(path, "1")?,
            // No IPv6 in this kernel or namespace: nothing to steer there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(old)
}

/// Puts the old values back.
pub(crate) fn restore(old: u32) -> io::Result<()> {
    for (bit, path) in WANTED.iter().enumerate() {
        if old & (1 << bit) == 0 && fs::metadata(path).is_ok() {
            fs::write(path, "0")?;
        }
    }
    Ok(())
}

/// Whether the calling thread's namespace has IPv6.
pub(crate) fn has_ipv6() -> bool {
    fs::read_to_string("/proc/sys/net/ipv6/conf/all/disable_ipv6").is_ok_and(|value| value.trim() == "0")
}
