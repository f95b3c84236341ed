//! Running out of file descriptors. The test needs its own process, because the limit applies to the whole process.

use std::{env, process::Command};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::tests::{Rig, Rules, assert_reset, expect};

const NAME: &str = "tests::descriptors::in_a_process_of_its_own";

#[test]
fn without_descriptors_clients_are_turned_away_and_later_ones_served_again() {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", NAME, "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "run by the test above"]
fn in_a_process_of_its_own() {
    use std::io::Write;

    let rig = Rig::under(&Rules::NotEnforced);
    // Connected, but not yet looked at: from here on the workers have no descriptor for it.
    let (first, server) = (rig.client(), rig.accept());
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let next = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let limit = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&next)).unwrap() + 1;
    setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
    // The client's own descriptor is made already; the worker's would be the first above the limit.
    next.connect(&rig.address.into()).unwrap();
    next.set_read_timeout(Some(super::PATIENCE)).unwrap();
    let mut turned_away: std::net::TcpStream = next.into();
    assert_reset(&mut turned_away);
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let metrics = rig.metrics();
    assert!(metrics.contains(r#"portcullis_limits_hit_total{limit="open_files"}"#), "{metrics}");
    let (mut client, mut other) = (rig.client(), rig.accept());
    client.write_all(b"hello").unwrap();
    expect(&mut other, "hello");
    drop((first, server));
}
