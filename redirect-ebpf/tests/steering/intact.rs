//! States in which nothing would be judged, each created on purpose: refused at the start, or detected and repaired.

use std::{fs, os::fd::AsFd, process::Command};

use portcullis_integration::Lab;
use portcullis_redirect::{Redirect, RedirectError, RedirectInspection, RedirectOptions};

use crate::{
    bench::{ANSWERS, APP, Bench, FAMILIES, REFUSED, STEERED, WORKERS, able, attach, ip, options, table},
    bpf,
    proxy::Proxy,
    sockets::get,
};

/// Both hooks judge, in both families.
fn judges(bench: &Bench) {
    for v6 in FAMILIES {
        assert!(bench.ingress(v6, STEERED).is_steered_from(ip(&bench.outside, v6)));
        assert!(bench.egress(v6, STEERED).is_steered_from(ip(&bench.app, v6)));
        assert!(bench.ingress(v6, REFUSED).is_refused() && bench.egress(v6, REFUSED).is_refused());
    }
}

fn serve(bench: &Bench) -> impl Sized + use<> {
    [&bench.app, &bench.outside].map(|pod| [STEERED, REFUSED].map(|port| Bench::serve(pod, port)))
}

fn pins(lab: &Lab) -> Vec<String> {
    let entries = fs::read_dir(lab.bpffs().join(crate::bench::LAYOUT)).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn pinned(lab: &Lab, program: &str) -> std::path::PathBuf {
    let name = pins(lab).into_iter().find(|name| name.ends_with(&format!("-{program}"))).unwrap();
    lab.bpffs().join(crate::bench::LAYOUT).join(name)
}

#[test]
fn a_second_process_on_one_bpffs_is_refused_and_told_who_has_it() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let _servers = serve(&bench);
    let before = pins(&bench.lab);
    let second = Redirect::open(options(&bench.lab, true)).map(drop).unwrap_err();
    let told = second.to_string();
    assert!(matches!(second, RedirectError::Claimed { .. }), "{told}");
    assert!(told.contains(&format!("process {} (a test)", std::process::id())), "{told}");
    assert_eq!(pins(&bench.lab), before);
    assert_eq!(bench.redirect.inspect(), RedirectInspection::default());
    judges(&bench);
    let Bench { redirect, lab, .. } = bench;
    drop(redirect);
    drop(Redirect::open(options(&lab, true)).unwrap());
}

#[test]
fn a_start_that_fails_leaves_no_pins_where_none_were() {
    if !able() {
        return;
    }
    let lab = Lab::new().unwrap();
    let no_cgroup = RedirectOptions { cgroup: Some("/nowhere".into()), ..options(&lab, true) };
    assert!(Redirect::open(no_cgroup).is_err());
    assert!(!lab.bpffs().exists());
    // Opened, but nothing ever attached: a later step of the start failed.
    drop(Redirect::open(options(&lab, true)).unwrap());
    assert!(!lab.bpffs().exists());
}

#[test]
fn pins_that_somebody_removes_take_nothing_away_and_come_back() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let _servers = serve(&bench);
    let before = pins(&bench.lab);
    for whole in [false, true] {
        if whole {
            fs::remove_dir_all(bench.lab.bpffs()).unwrap();
        } else {
            before
                .iter()
                .for_each(|name| fs::remove_file(bench.lab.bpffs().join(crate::bench::LAYOUT).join(name)).unwrap());
        }
        judges(&bench);
        let found = bench.redirect.inspect();
        assert!(found.broken.is_empty() && found.detached.is_empty(), "{found:?}");
        assert!(found.repaired[0].starts_with(&format!("{} pins", before.len())), "{found:?}");
        assert_eq!(pins(&bench.lab), before);
        assert_eq!(bench.redirect.inspect(), RedirectInspection::default());
    }
    // The pins are the same objects: what is attached later judges by the same tables, and a successor takes them over.
    let other = bench.lab.pod("other").unwrap();
    fs::remove_dir_all(bench.lab.bpffs()).unwrap();
    bench.redirect.inspect();
    let proxy = Proxy::start(&other, 2, &other.addresses(), bench.redirect.upstreams());
    bench.redirect.set_table(2, &table()).unwrap();
    let netns = Redirect::open_netns(&other.netns).unwrap();
    let attachment = portcullis_redirect::KernelAttachment {
        id: 2,
        place: portcullis_redirect::AttachPoint::Pod { netns: netns.as_fd() },
        addresses: &other.addresses(),
        listeners: proxy.listeners(),
    };
    bench.redirect.attach(&attachment).unwrap();
    assert!(get(&other, bench.there(false, REFUSED)).is_refused());
    assert!(get(&bench.outside, other.address(false, REFUSED)).is_refused());
    let Bench { redirect, proxy: dead, app, outside, lab } = bench;
    drop((redirect, dead));
    for v6 in FAMILIES {
        assert!(get(&outside, app.address(v6, STEERED)).is_refused(), "as after any crash");
        assert!(get(&app, outside.address(v6, STEERED)).is_refused());
    }
    drop(lab);
}

#[test]
fn programs_that_are_attached_after_pins_went_judge_by_the_same_tables() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let _servers = serve(&bench);
    // Nobody looks in between: the load itself has to see it.
    fs::remove_dir_all(bench.lab.bpffs().join(crate::bench::LAYOUT)).unwrap();
    fs::create_dir(bench.lab.bpffs().join(crate::bench::LAYOUT)).unwrap();
    bench.redirect.detach(APP).unwrap();
    bench.redirect.set_table(APP, &table()).unwrap();
    attach(&mut bench.redirect, &bench.app, &bench.proxy, &bench.app.addresses());
    judges(&bench);
}

#[test]
fn links_that_are_detached_are_seen_and_made_again() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let _servers = serve(&bench);
    for program in ["connect4", "connect6", "lookup"] {
        bpf::detach(&pinned(&bench.lab, program));
        let found = bench.redirect.inspect();
        assert_eq!(found.detached.contains_key(&APP), program == "lookup", "{program}: {found:?}");
        assert_eq!(found.repaired.len(), usize::from(program != "lookup"), "{program}: {found:?}");
        attach(&mut bench.redirect, &bench.app, &bench.proxy, &bench.app.addresses());
        judges(&bench);
        assert_eq!(bench.redirect.inspect(), RedirectInspection::default(), "{program}");
    }
}

#[test]
fn a_lookup_program_that_is_swapped_is_seen_and_opens_nothing_where_packets_are_judged() {
    if !able() {
        return;
    }
    for packets in [false, true] {
        let mut bench = Bench::by(&table(), |lab| RedirectOptions { packets, ..options(lab, true) });
        let _servers = serve(&bench);
        bpf::swap(&pinned(&bench.lab, "lookup"));
        let outcome = bench.ingress(false, REFUSED);
        // The other program judges nothing: the client is not told that nobody listens, but no answer leaves.
        let (direct, silent) = (outcome.is_direct_from(ip(&bench.outside, false)), outcome.is_silence());
        assert_eq!((direct, silent), (!packets, packets), "{outcome:?}");
        assert!(bench.redirect.inspect().detached.contains_key(&APP));
        attach(&mut bench.redirect, &bench.app, &bench.proxy, &bench.app.addresses());
        judges(&bench);
        assert_eq!(bench.redirect.inspect(), RedirectInspection::default());
    }
}

#[test]
fn another_lookup_program_in_the_namespace_is_told_and_ours_comes_last() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let _servers = serve(&bench);
    let other = bpf::Another::lookup(&bench.app.netns);
    let found = bench.redirect.inspect();
    assert!(found.overruled[&APP].contains("another sk_lookup program"), "{found:?}");
    assert!(found.detached.contains_key(&APP), "it came behind: {found:?}");
    attach(&mut bench.redirect, &bench.app, &bench.proxy, &bench.app.addresses());
    let found = bench.redirect.inspect();
    assert!(found.detached.is_empty() && found.overruled.contains_key(&APP), "ours is the last: {found:?}");
    judges(&bench);
    drop(other);
    portcullis_integration::wait::until("the other program gone", String::new, || {
        Ok((bench.redirect.inspect() == RedirectInspection::default()).then_some(()))
    })
    .unwrap();
    judges(&bench);
}

/// The child makes the namespace, because this process would never see what is mounted elsewhere again.
#[test]
fn a_bpffs_that_only_this_mount_namespace_has_is_refused_where_it_has_to_outlive_the_process() {
    if !able() {
        return;
    }
    const CHILD: &str = "PORTCULLIS_TEST_PRIVATE_BPFFS";
    let name = "intact::a_bpffs_that_only_this_mount_namespace_has_is_refused_where_it_has_to_outlive_the_process";
    if let Some(place) = std::env::var_os(CHILD) {
        let lab = Lab::new().unwrap();
        for (pin, refused) in [(true, true), (false, false)] {
            let options = RedirectOptions { bpffs: place.clone().into(), ..options(&lab, pin) };
            let opened = Redirect::open(options).map(drop);
            assert_eq!(matches!(opened, Err(RedirectError::PrivateBpffs { .. })), refused, "{opened:?}");
        }
        return;
    }
    let own = std::env::current_exe().unwrap();
    for place in ["/sys/fs/bpf/private", "/mnt/private"] {
        let script =
            "mkdir -p /mnt && mount -t bpf bpf \"$(dirname \"$1\")\" && exec \"$0\" --exact \"$2\" --nocapture";
        let ended = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--", "sh", "-c", script])
            .arg(&own)
            .args([place, name])
            .env(CHILD, place)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && told.contains("1 passed"), "{told}");
    }
}

#[test]
fn each_capability_that_is_always_needed_is_missed_by_name_before_anything_is_made() {
    if !able() {
        return;
    }
    const CHILD: &str = "PORTCULLIS_TEST_WITHOUT_CAPABILITY";
    let name = "intact::each_capability_that_is_always_needed_is_missed_by_name_before_anything_is_made";
    if let Some(bpffs) = std::env::var_os(CHILD) {
        let (bpffs, owner) = (bpffs.into(), "a test".into());
        let (workers, answers) = (WORKERS, ANSWERS);
        let options = RedirectOptions {
            bpffs,
            cgroup: None,
            pin: true,
            workers,
            answers,
            owner,
            packets: true,
            device_links: true,
        };
        println!("told: {}", Redirect::open(options).map(drop).unwrap_err());
        return;
    }
    let lab = Lab::new().unwrap();
    let own = std::env::current_exe().unwrap();
    for (without, told) in [
        ("-net_admin", "CAP_NET_ADMIN"),
        ("-net_raw", "CAP_NET_RAW"),
        ("-sys_admin", "CAP_SYS_ADMIN"),
        ("-sys_admin,-perfmon", "CAP_PERFMON"),
        ("-sys_admin,-bpf", "CAP_BPF"),
    ] {
        let ended = Command::new("setpriv")
            .args(["--bounding-set", without, "--inh-caps", without, "--"])
            .arg(&own)
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, lab.bpffs())
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&ended.stdout).into_owned();
        let line = output.lines().find(|line| line.contains("told: ")).unwrap_or_else(|| panic!("{output}"));
        assert!(line.contains("this process lacks CAP_") && line.contains(told), "{line}");
        assert!(!lab.bpffs().exists());
    }
}

#[test]
fn a_descriptor_of_the_directory_does_not_travel_to_children() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let Bench { redirect, lab, .. } = bench;
    drop(redirect);
    let opened = Redirect::open(options(&lab, true)).map(drop);
    child.kill().unwrap();
    child.wait().unwrap();
    opened.unwrap();
}
