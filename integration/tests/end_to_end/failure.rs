//! What happens when the node or a pod stops and starts again.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use portcullis_integration::{
    Process, Site,
    curl::{REFUSED, RESET, curl},
    documents::endpoint,
    servers::Httpbin,
    wait,
};
use serde_json::json;

use crate::scene::{FAMILIES, SHOP, Scene, able, egress, ingress};

/// A server of the client's pod: policy says nothing of it.
fn unsteered(scene: &Scene) -> Process {
    let words = ["python3", "-m", "http.server", "8080", "--bind", "::"];
    let mut server = scene.client.spawn("unsteered", &words).unwrap();
    scene.client.wait_for_port(scene.client.address(false, 8080), &mut server).unwrap();
    server
}

fn state(site: &Site) -> String {
    let show = |words: &[&str]| site.run(words).unwrap().ok().unwrap().stdout;
    let rules = [show(&["ip", "rule"]), show(&["ip", "-6", "rule"])].concat();
    rules + &show(&["sysctl", "net.ipv4.tcp_fwmark_accept", "net.ipv4.fwmark_reflect", "net.ipv6.fwmark_reflect"])
}

#[test]
fn a_killed_node_means_refused_for_steered_flows_and_a_restart_recovers() {
    if !able() {
        return;
    }
    let mut scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/get" }])), egress(&json!([{ "path": "/get" }]))]);
    let _server = unsteered(&scene);
    scene.node.crash().unwrap();
    for v6 in FAMILIES {
        for client in [&scene.client, &scene.other] {
            let refused = curl(client, &[], &scene.url(v6, "/get")).unwrap();
            assert_eq!(refused.exit, REFUSED, "{}: {refused:?}", client.name);
        }
        let url = format!("http://{}/", scene.client.address(v6, 8080));
        assert_eq!(curl(&scene.other, &[], &url).unwrap().status, 200, "what is not steered never notices");
    }
    scene.node.start_again().unwrap();
    for v6 in FAMILIES {
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/get")).unwrap().status, 200);
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().exit, RESET, "policies were kept");
    }
    assert_eq!(scene.httpbin.arrived("/uuid"), 0);
}

/// What is there of a node that has stopped: rules and routes of a pod, pins, sockets.
fn left(scene: &Scene) -> String {
    let node = scene.lab.node();
    let bpffs = scene.lab.bpffs().display().to_string();
    let pins = node.run(&["find", &bpffs]).unwrap().ok().unwrap().stdout;
    let mut pins: Vec<&str> = pins.lines().collect();
    pins.sort_unstable();
    let directory = node.directory().display().to_string();
    let sockets = node.run(&["find", &directory, "-type", "s"]).unwrap().ok().unwrap().stdout;
    format!("{}\n{}\n{sockets}", state(&scene.app), pins.join("\n"))
}

/// The signal comes at many moments of a start: before anything is made, in between, and when it serves.
#[test]
fn a_start_that_is_told_to_stop_leaves_what_a_stop_leaves_and_opens_nothing() {
    if !able() {
        return;
    }
    let mut scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
    assert_eq!(scene.node.stop().unwrap(), Some(0));
    let before = left(&scene);
    let (mut killed, mut ended) = (0, 0);
    for moment in 0..30 {
        let told = scene.node.process.log().len();
        scene.node.begin_again(&[]).unwrap();
        thread::park_timeout(Duration::from_millis(20 * moment));
        let code = scene.node.stop().unwrap();
        // What it said before is in the same file.
        let log = scene.node.process.log().split_off(told);
        match code {
            Some(0) => ended += 1,
            // The program had not begun: it says so as soon as it has, and before it makes anything.
            None if !log.contains("starting") => killed += 1,
            other => panic!("after {} ms it ended with {other:?}:\n{log}", 20 * moment),
        }
        assert_eq!(left(&scene), before, "after {} ms", 20 * moment);
        for path in ["/get", "/uuid"] {
            assert_eq!(curl(&scene.other, &[], &scene.url(false, path)).unwrap().exit, REFUSED);
        }
    }
    assert!(ended > 5, "{killed} ended before they had begun, {ended} in order");
    scene.node.start_again().unwrap();
    assert_eq!(curl(&scene.client, &[], &scene.url(false, "/get")).unwrap().status, 200);
    assert_eq!(curl(&scene.client, &[], &scene.url(false, "/uuid")).unwrap().exit, RESET);
}

#[test]
fn where_the_settings_say_so_a_killed_node_lets_everything_pass() {
    if !able() {
        return;
    }
    let mut scene = Scene::with(&json!({ "onProxyDown": "pass" }));
    scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
    assert_eq!(curl(&scene.client, &[], &scene.url(false, "/uuid")).unwrap().exit, RESET);
    scene.node.crash().unwrap();
    for v6 in FAMILIES {
        wait::until("an unjudged request", String::new, || {
            Ok((curl(&scene.client, &[], &scene.url(v6, "/uuid"))?.status == 200).then_some(()))
        })
        .unwrap();
    }
}

#[test]
fn a_release_after_an_orderly_stop_leaves_nothing_behind() {
    if !able() {
        return;
    }
    let mut scene = Scene::new();
    let pods = |scene: &Scene| [state(&scene.client), state(&scene.app)];
    let steered = pods(&scene);
    scene.apply(&[ingress(&json!([{ "path": "/get" }])), egress(&json!([{ "path": "/get" }]))]);
    assert_eq!(scene.node.release().unwrap().code, Some(1), "a node that runs is not released");
    assert_eq!(curl(&scene.client, &[], &scene.url(false, "/uuid")).unwrap().exit, RESET);
    for on_stop in [false, true] {
        assert_eq!(scene.node.stop().unwrap(), Some(0), "{}", scene.node.process.log());
        if !on_stop {
            for v6 in FAMILIES {
                assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/get")).unwrap().exit, REFUSED, "as after a crash");
            }
            assert!(scene.node.release().unwrap().ok().unwrap().stdout.contains("everything passes"));
            assert!(scene.node.release().unwrap().ok().unwrap().stdout.contains("nothing to release"));
        }
        let left = pods(&scene);
        assert!(left.iter().zip(&steered).all(|(left, steered)| left != steered), "{left:?}");
        assert!(left.iter().all(|state| !state.contains("fwmark 0x") && !state.contains("= 1")), "{left:?}");
        assert!(!scene.lab.bpffs().exists());
        for v6 in FAMILIES {
            assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().status, 200);
        }
        if !on_stop {
            scene.node.start_again_with(&["--release-on-stop"]).unwrap();
            assert_eq!(curl(&scene.client, &[], &scene.url(false, "/uuid")).unwrap().exit, RESET);
        }
    }
}

#[test]
fn a_pod_that_is_made_anew_under_its_name_is_judged_again() {
    if !able() {
        return;
    }
    let mut scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
    let Scene { node, httpbin, client, other, app, mut lab } = scene;
    drop((httpbin, app));
    let app = lab.pod("app").unwrap();
    let httpbin = Httpbin::start(&app).unwrap();
    node.apply(&[endpoint(SHOP, &app, &[("app", "app")])]).unwrap();
    scene = Scene { node, httpbin, client, other, app, lab };
    for v6 in FAMILIES {
        wait::until(
            "a judged request",
            || scene.node.process.log(),
            || Ok((curl(&scene.client, &[], &scene.url(v6, "/uuid"))?.exit == RESET).then_some(())),
        )
        .unwrap();
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/get")).unwrap().status, 200);
    }
}

#[test]
fn a_second_node_on_the_same_socket_is_refused_and_the_first_is_none_the_worse() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
    let settings = scene.lab.node().directory().join("portcullis.yaml");
    let second = scene.node.cli(&["run", "--config", settings.to_str().unwrap()]).unwrap();
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("another portcullis is running"), "{}", second.stderr);
    assert_eq!(curl(&scene.client, &[], &scene.url(false, "/get")).unwrap().status, 200);
    assert_eq!(curl(&scene.client, &[], &scene.url(false, "/uuid")).unwrap().exit, RESET);
}

#[test]
fn while_nodes_die_and_start_again_no_denied_request_gets_through_and_none_hangs() {
    if !able() {
        return;
    }
    let Scene { mut node, httpbin, client, other, app, lab } = Scene::new();
    node.apply(&[ingress(&json!([{ "path": "/get" }]))]).unwrap();
    let done = AtomicBool::new(false);
    let exits: Vec<i32> = thread::scope(|scope| {
        let hammers = FAMILIES.map(|v6| {
            let (url, done, client) = (format!("http://{}/uuid", app.address(v6, 80)), &done, &client);
            scope.spawn(move || {
                let ask = || curl(client, &[], &url).unwrap().exit;
                let mut exits = vec![ask()];
                while !done.load(Ordering::Relaxed) {
                    exits.push(ask());
                }
                exits
            })
        });
        for _ in 0..4 {
            node.crash().unwrap();
            node.start_again().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        hammers.into_iter().flat_map(|hammer| hammer.join().unwrap()).collect()
    });
    let (answered, hung) = (exits.iter().filter(|exit| **exit == 0).count(), exits.iter().filter(|exit| **exit == 28));
    assert_eq!((answered, hung.count()), (0, 0), "{exits:?}");
    assert_eq!(httpbin.arrived("/uuid"), 0);
    assert!(exits.contains(&REFUSED) && exits.contains(&RESET), "refused while dead, reset while alive: {exits:?}");
    drop((other, lab));
}

#[test]
fn rules_and_routes_that_somebody_takes_away_come_back_and_nothing_passes_unjudged_until_then() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[egress(&json!([{ "path": "/get" }]))]);
    let before = state(&scene.client);
    let ours = ["rule del pref 100", "route flush table 20547", "-6 rule del pref 100", "-6 route flush table 20547"];
    for line in ours {
        let words: Vec<_> = ["ip"].into_iter().chain(line.split(' ')).collect();
        scene.client.run(&words).unwrap().ok().unwrap();
    }
    // They may be back already: the node is told of what goes.
    for v6 in FAMILIES {
        let steered = || curl(&scene.client, &[], &scene.url(v6, "/get")).unwrap();
        assert!(curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().exit != 0);
        wait::until("rules and routes", String::new, || Ok((steered().exit == 0).then_some(()))).unwrap();
    }
    assert_eq!(state(&scene.client), before);
    assert_eq!(scene.httpbin.arrived("/uuid"), 0);
}
