//! A node never stops enforcing silently. Each state in which traffic would pass unjudged is refused at the start, or
//! detected within moments, repaired where possible, and reported.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use portcullis_integration::{
    curl::{REFUSED, RESET, curl},
    documents::endpoint,
    wait,
};
use serde_json::{Value, json};

use crate::scene::{FAMILIES, SHOP, Scene, able, egress, ingress};

/// Waits until a fault of the status has all of these words; gives its line.
fn fault(scene: &Scene, words: &[&str]) -> String {
    let told = || scene.node.status().map(|status| status["faults"].clone()).unwrap_or_default();
    let found = || {
        let faults = told();
        let mut lines = faults.as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(lines.find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned))
    };
    wait::until(&format!("a fault with {words:?}"), || told().to_string(), found).unwrap()
}

fn is_whole(scene: &Scene) {
    let ready = || scene.node.ready().unwrap();
    wait::until("a node that is ready", ready, || Ok(ready().ends_with("200").then_some(()))).unwrap();
    assert_eq!(scene.node.status().unwrap()["faults"], json!([]));
}

fn judges(scene: &Scene) {
    for v6 in FAMILIES {
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/get")).unwrap().status, 200);
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().exit, RESET);
    }
}

#[test]
fn a_second_node_on_one_bpffs_is_told_who_has_it_and_the_first_goes_on() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
    let directory = scene.lab.node().directory();
    let settings = directory.join("second.yaml");
    let text = json!({
        "api": { "socket": directory.join("second.sock") },
        "admin": { "address": "127.0.0.1:9903" },
        "stateDirectory": directory.join("second"),
        "steering": { "bpffs": scene.lab.bpffs(), "cgroup": scene.lab.cgroup() },
    });
    fs::write(&settings, text.to_string()).unwrap();
    let second = scene.node.cli(&["run", "--config", settings.to_str().unwrap()]).unwrap();
    assert_eq!(second.code, Some(1), "{second:?}");
    let socket = directory.join("api.sock").display().to_string();
    assert!(second.stderr.contains("is used by process ") && second.stderr.contains(&socket), "{}", second.stderr);
    judges(&scene);
    is_whole(&scene);
}

#[test]
fn pins_that_somebody_removes_come_back_and_a_crash_after_that_still_refuses() {
    if !able() {
        return;
    }
    let mut scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/get" }])), egress(&json!([{ "path": "/get" }]))]);
    fs::remove_dir_all(scene.lab.bpffs()).unwrap();
    judges(&scene);
    let repairs = || scene.node.metric("portcullis_steering_repairs_total", &[]).unwrap();
    wait::until("pins", || scene.node.process.log(), || Ok((repairs() > 0.0).then_some(()))).unwrap();
    let notes = scene.node.status().unwrap()["notes"].to_string();
    assert!(notes.contains("were gone; they are back"), "{notes}");
    is_whole(&scene);
    scene.node.crash().unwrap();
    for v6 in FAMILIES {
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().exit, REFUSED);
        assert_eq!(curl(&scene.other, &[], &scene.url(v6, "/uuid")).unwrap().exit, REFUSED);
    }
    scene.node.start_again().unwrap();
    judges(&scene);
    assert_eq!(scene.httpbin.arrived("/uuid"), 0);
}

#[test]
fn an_endpoint_on_anothers_namespace_or_on_the_hosts_is_refused_by_name() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
    is_whole(&scene);
    let elsewhere = |name: &str, netns: &std::path::Path, last: u8| {
        let mut document = endpoint(SHOP, &scene.app, &[("app", "app")]);
        document["metadata"]["name"] = json!(name);
        document["spec"]["addresses"] = json!([format!("10.77.99.{last}")]);
        document["spec"]["networkNamespace"] = json!(netns);
        document
    };
    for (document, words) in [
        (elsewhere("twin", &scene.app.netns, 1), ["shop/twin: ", "the network namespace of endpoint shop/app already"]),
        (elsewhere("host", &scene.lab.node().netns, 2), ["shop/host: ", "is the host's network namespace"]),
    ] {
        scene.apply(std::slice::from_ref(&document));
        fault(&scene, &words);
        let ready = scene.node.ready().unwrap();
        assert!(ready.ends_with("503") && ready.contains(words[0]), "{ready}");
        let name = document["metadata"]["name"].as_str().unwrap().to_owned();
        let intact =
            |name: &str| scene.node.metric("portcullis_steering_intact", &[&format!("endpoint=\"{name}\"")]).unwrap();
        assert!(intact(&name) < 0.5 && intact("app") > 0.5);
        judges(&scene);
        scene.node.cli(&["delete", "endpoint", &name, "-n", SHOP]).unwrap().ok().unwrap();
        is_whole(&scene);
    }
    // The name of a pod that is gone is no gap: nothing is there that could pass.
    scene.apply(&[elsewhere("gone", std::path::Path::new("/run/netns/pclab-nowhere"), 3)]);
    fault(&scene, &["shop/gone: ", "is not there"]);
    assert!(scene.node.ready().unwrap().ends_with("200"));
}

#[test]
fn a_process_in_an_endpoints_namespace_that_no_hook_sees_is_told() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[egress(&json!([{ "path": "/get" }]))]);
    is_whole(&scene);
    // In the cgroup of this test, which is not below the laboratory's: as whoever enters a pod to look at it.
    let mut stray = Command::new("nsenter");
    stray.arg(format!("--net={}", scene.client.netns.display())).args(["--", "sleep", "60"]);
    let mut stray = stray.spawn().unwrap();
    let line = fault(&scene, &["shop/client: ", "not below steering.cgroup"]);
    assert!(line.contains(&format!("process {} (sleep", stray.id())), "{line}");
    assert!(scene.node.ready().unwrap().ends_with("503"));
    stray.kill().unwrap();
    stray.wait().unwrap();
    is_whole(&scene);
}

#[test]
fn a_restart_with_settings_that_have_become_wrong_lets_nothing_pass_until_they_are_repaired() {
    if !able() {
        return;
    }
    let Scene { mut node, httpbin, client, other, app, lab } = Scene::new();
    node.apply(&[ingress(&json!([{ "path": "/get" }])), egress(&json!([{ "path": "/get" }]))]).unwrap();
    let settings = lab.node().directory().join("portcullis.yaml");
    let right = fs::read_to_string(&settings).unwrap();
    let check = |node: &portcullis_integration::node::Node| {
        node.cli(&["run", "--check", "--config", settings.to_str().unwrap()]).unwrap()
    };
    assert!(check(&node).ok().unwrap().stdout.contains("the settings are right"));
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let exits: Vec<i32> = thread::scope(|scope| {
        let hammers = FAMILIES.map(|v6| {
            let (url, done, asked, client) = (format!("http://{}/uuid", app.address(v6, 80)), &done, &asked, &client);
            scope.spawn(move || {
                let mut exits = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    exits.push(curl(client, &[], &url).unwrap().exit);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                exits
            })
        });
        fs::write(&settings, right.replacen('{', "{ \"enforcment\": \"always\",", 1)).unwrap();
        assert_eq!(check(&node).code, Some(3));
        node.stop().unwrap();
        let failed = node.cli(&["run", "--config", settings.to_str().unwrap()]).unwrap();
        assert_eq!(failed.code, Some(3), "{failed:?}");
        let before = asked.load(Ordering::Relaxed);
        let more = || Ok((asked.load(Ordering::Relaxed) > before + 20).then_some(()));
        wait::until("requests meanwhile", String::new, more).unwrap();
        fs::write(&settings, &right).unwrap();
        node.start_again().unwrap();
        done.store(true, Ordering::Relaxed);
        hammers.into_iter().flat_map(|hammer| hammer.join().unwrap()).collect()
    });
    assert!(exits.contains(&REFUSED) && !exits.contains(&0), "{exits:?}");
    assert_eq!(httpbin.arrived("/uuid"), 0);
    for v6 in FAMILIES {
        assert_eq!(curl(&client, &[], &format!("http://{}/get", app.address(v6, 80))).unwrap().status, 200);
    }
    drop((other, lab));
}

/// Counts what leaves the pod's device for the addresses of the self-check, and drops tries on the loopback device on demand.
const WATCH: &str = "table inet watch {
 chain out { type filter hook output priority 0; oifname eth0 ip daddr 192.0.2.66 counter; oifname eth0 ip6 daddr fd50:4354::2 counter; }
}";
const BREAK: &str = "table inet break {
 chain in { type filter hook input priority 0; iif lo tcp dport 0 drop; }
}";

#[test]
fn the_node_tries_its_own_hooks_and_tells_when_they_do_not_hold() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[egress(&json!([{ "path": "/get" }]))]);
    let nft = |text: &str| scene.client.run_with(&["nft", "-f", "-"], text).unwrap().ok().unwrap();
    nft(WATCH);
    let checks =
        |result: &str| scene.node.metric("portcullis_self_checks_total", &[&format!("result=\"{result}\"")]).unwrap();
    let log = || scene.node.process.log();
    wait::until("three checks that passed", log, || Ok((checks("passed") > 2.5).then_some(()))).unwrap();
    assert!(checks("failed") < 0.5 && checks("skipped") < 0.5, "{}", log());
    assert_eq!(scene.node.status().unwrap()["denied"], json!(0), "tries are no verdicts");
    nft(BREAK);
    let line = fault(&scene, &["shop/client: ", "the self-check failed: a connect that has to be steered"]);
    assert!(scene.node.ready().unwrap().ends_with("503"), "{line}");
    scene.client.run(&["nft", "delete", "table", "inet", "break"]).unwrap().ok().unwrap();
    is_whole(&scene);
    // As somebody with NET_ADMIN in the pod would: what is steered would leave unjudged.
    for family in ["-4", "-6"] {
        let rule = |verb: &str| {
            scene.client.run(&["ip", family, "rule", verb, "pref", "50", "lookup", "main"]).unwrap().ok().unwrap();
        };
        rule("add");
        fault(&scene, &["shop/client: ", "the self-check failed: what is steered would leave"]);
        rule("del");
        is_whole(&scene);
    }
    // Whole or broken, nothing of it has left the pod.
    let counted = scene.client.run(&["nft", "list", "table", "inet", "watch"]).unwrap().ok().unwrap().stdout;
    assert_eq!(counted.matches("packets 0 ").count(), 2, "{counted}");
}

#[test]
fn policies_that_bind_nothing_here_are_told() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/get" }]))]);
    let notes = || scene.node.status().unwrap()["notes"].to_string();
    assert_eq!(notes(), "[]", "the node's addresses are known, so allowLocalhost has its effect");
    for pod in [&scene.client, &scene.other, &scene.app] {
        scene.node.cli(&["delete", "endpoint", &pod.name, "-n", SHOP]).unwrap().ok().unwrap();
    }
    assert!(notes().contains("no endpoint of this node is local, so none is enforced"), "{}", notes());
    let text = ingress(&json!([{ "path": "/anything" }])).to_string();
    let told = scene.node.cli_with(&["apply", "-f", "-"], &text).unwrap().ok().unwrap();
    assert!(told.stderr.contains("no endpoint of this node is local"), "{}", told.stderr);
}

#[test]
fn an_endpoint_named_by_a_process_stays_steered_when_that_ends_before_the_others() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/get" }])), egress(&json!([{ "path": "/get" }]))]);
    let mut first = scene.client.spawn("first", &["sleep", "600"]).unwrap();
    let _second = scene.client.spawn("second", &["sleep", "600"]).unwrap();
    let pid = first.pid();
    let mut document = endpoint(SHOP, &scene.client, &[("app", "client")]);
    document["spec"]["networkNamespace"] = json!(format!("/proc/{pid}/ns/net"));
    scene.apply(&[document]);
    judges(&scene);
    first.kill().unwrap();
    wait::until("the end of it", String::new, || {
        Ok((!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(()))
    })
    .unwrap();
    let log = || scene.node.process.log();
    let noticed = || Ok(log().contains("is gone, but its network namespace is in use").then_some(()));
    wait::until("the node to notice", log, noticed).unwrap();
    judges(&scene);
    is_whole(&scene);
}
