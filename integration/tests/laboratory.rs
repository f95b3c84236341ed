//! The laboratory itself: it provides what it promises, and leaves nothing behind.

use std::{fs, panic::catch_unwind, path::Path, process::Command};

use portcullis_integration::{
    Lab, Need, Process,
    curl::{REFUSED, curl},
    require,
    servers::{Httpbin, Postgres},
    sweep,
};

const NEEDS: [Need<'static>; 4] = [Need::Root, Need::Program("ip"), Need::Program("nft"), Need::Program("curl")];

#[test]
fn namespaces_cgroups_and_files_come_and_go() {
    if !require(&NEEDS) {
        return;
    }
    let mut lab = Lab::new().unwrap();
    let name = lab.name().to_owned();
    let pod = lab.pod("app").unwrap();
    let sleeper = pod.spawn("sleeper", &["sleep", "1000"]).unwrap();
    assert!(sweep::remains(&name).len() >= 4, "node, pod, files, cgroup: {:?}", sweep::remains(&name));
    drop((pod, lab));
    assert_eq!(sweep::remains(&name), [""; 0].map(std::path::PathBuf::from));
    drop(sleeper);
}

#[test]
fn a_test_that_panics_leaves_nothing_behind_either() {
    if !require(&NEEDS) {
        return;
    }
    let name = std::sync::Mutex::new(String::new());
    let failed = catch_unwind(|| {
        let mut lab = Lab::new().unwrap();
        *name.lock().unwrap() = lab.name().to_owned();
        let _pod = lab.pod("app").unwrap();
        panic!("as a failed assertion does");
    });
    assert!(failed.is_err());
    assert_eq!(sweep::remains(&name.into_inner().unwrap()), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn what_a_killed_laboratory_left_is_swept_by_the_next_one() {
    if !require(&NEEDS) {
        return;
    }
    // A process that is certainly gone: its number is above what the kernel gives.
    let dead = "pclab-4194999-7";
    assert!(Command::new("ip").args(["netns", "add", &format!("{dead}-app")]).status().unwrap().success());
    fs::create_dir_all(std::env::temp_dir().join(dead)).unwrap();
    let lab = Lab::new().unwrap();
    assert_eq!(sweep::remains(dead), [""; 0].map(std::path::PathBuf::from));
    assert!(Path::new("/run/netns").join(format!("{}-node", lab.name())).exists(), "the living one stays");
}

#[test]
fn pods_reach_each_other_by_name_over_virtual_addresses_of_both_families() {
    if !require(&NEEDS) || !require(&[Need::Ipv6, Need::PythonModule("httpbin")]) {
        return;
    }
    let mut lab = Lab::new().unwrap();
    let (client, app) = (lab.pod("client").unwrap(), lab.pod("app").unwrap());
    lab.service("app-service.test-app", 80, &[&app]).unwrap();
    let httpbin = Httpbin::start(&app).unwrap();
    for (family, source) in [("-4", client.v4.to_string()), ("-6", client.v6.to_string())] {
        let answer = curl(&client, &[family], "http://app-service.test-app/get").unwrap();
        assert_eq!((answer.exit, answer.status), (0, 200), "{answer:?}");
        assert!(answer.body.contains("app-service.test-app"), "{}", answer.body);
        assert_eq!(httpbin.arrived(&format!("{source} - -")), 1, "{:?}", httpbin.requests());
    }
    let refused = curl(&client, &[], &format!("http://{}:81/", app.v4)).unwrap();
    assert_eq!(refused.exit, REFUSED, "{refused:?}");
}

#[test]
fn several_backends_take_turns() {
    if !require(&NEEDS) || !require(&[Need::PythonModule("httpbin")]) {
        return;
    }
    let mut lab = Lab::new().unwrap();
    let (client, one, two) = (lab.pod("client").unwrap(), lab.pod("one").unwrap(), lab.pod("two").unwrap());
    let service = lab.service("both.test-app", 80, &[&one, &two]).unwrap();
    let servers = [Httpbin::start(&one).unwrap(), Httpbin::start(&two).unwrap()];
    for v6 in [false, true] {
        for _ in 0..4 {
            assert_eq!(curl(&client, &[], &format!("http://{}/uuid", service.address(v6))).unwrap().status, 200);
        }
    }
    assert_eq!(servers.map(|server| server.arrived("/uuid")), [4, 4]);
}

#[test]
fn a_real_database_answers_over_a_service() {
    let needs = [Need::Program("psql"), Need::Program("initdb")];
    if !require(&NEEDS) || !require(&needs) {
        return;
    }
    let mut lab = Lab::new().unwrap();
    let (client, database) = (lab.pod("client").unwrap(), lab.pod("database").unwrap());
    lab.service("database-service.test-app", 5432, &[&database]).unwrap();
    let _postgres = Postgres::start(&database).unwrap();
    let sql = ["psql", "-h", "database-service.test-app", "-U", "postgres", "-Atc", "select 6 * 7"];
    assert_eq!(client.run(&sql).unwrap().ok().unwrap().stdout.trim(), "42");
}

#[test]
fn a_program_that_ends_early_is_told_with_its_output_and_not_waited_for() {
    if !require(&NEEDS) {
        return;
    }
    let mut lab = Lab::new().unwrap();
    let pod = lab.pod("app").unwrap();
    let mut process: Process = pod.spawn("broken", &["sh", "-c", "echo no such luck; exit 3"]).unwrap();
    let error = process.wait_for_line("ready").unwrap_err().to_string();
    assert!(error.contains("no such luck") && error.contains('3'), "{error}");
}

#[test]
fn programs_die_with_the_thread_that_started_them() {
    if !require(&NEEDS) {
        return;
    }
    let mut lab = Lab::new().unwrap();
    let pod = lab.pod("app").unwrap();
    let mut orphan = std::thread::scope(|scope| {
        let starter = scope.spawn(|| {
            let mut process = pod.spawn("orphan", &["sh", "-c", "echo up; exec sleep 1000"]).unwrap();
            process.wait_for_line("up").unwrap();
            process
        });
        starter.join().unwrap()
    });
    assert!(!orphan.wait().unwrap().success(), "killed");
}
