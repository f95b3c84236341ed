//! Isolation between pods: the queries, answers and resources of a hostile pod affect only that pod.

use portcullis_integration::{Pod, Process, documents::policy, wait};
use serde_json::{Value, json};

use super::crowd::{Crowd, JUDGED, PLAIN, able, addresses, all_names, client, count, records, told};
use crate::scene::SHOP;

/// A crowd in which `other` is hostile: it may ask anybody for any name, and has a DNS server of its own.
struct Neighbours {
    _server: Process,
    evil_dns: Pod,
    crowd: Crowd,
}

impl Neighbours {
    fn new(settings: &Value) -> Self {
        let mut crowd = Crowd::new([records(PLAIN, 10, 300), records(JUDGED, 2, 300)].concat(), settings);
        let evil_dns = crowd.lab.pod("evil-dns").unwrap();
        let program = client("hostile.py");
        let mut server =
            evil_dns.spawn("evil-dns", &["/usr/bin/python3", &program, "serve", &evil_dns.v4.to_string()]).unwrap();
        server.wait_for_line("serving").unwrap();
        crowd.apply(&[all_names(), hostile()]);
        Self { _server: server, evil_dns, crowd }
    }

    fn run(&self, pod: &Pod, words: &[&str]) -> Value {
        let program = client("hostile.py");
        let ended = pod.run(&[&["/usr/bin/python3", &*program], words].concat()).unwrap().ok();
        told(&ended.unwrap_or_else(|error| panic!("{error}\n{}", self.crowd.node.process.log())).stdout)
    }

    /// Has the hostile pod ask its own server.
    fn installed(&self, names: &[&str]) -> Value {
        let server = self.evil_dns.v4.to_string();
        self.run(&self.crowd.other, &[&["ask", &*server], names].concat())
    }

    /// What the other pod is told by the server of the cluster: it has an answer to each.
    fn asks(&self, pod: &Pod, names: &[String]) -> Value {
        let server = self.crowd.kube_dns.v4.to_string();
        let words: Vec<&str> = ["ask", &server].into_iter().chain(names.iter().map(String::as_str)).collect();
        self.run(pod, &words)
    }

    fn reaches(&self, pod: &Pod, address: &str) -> bool {
        let url = format!("http://{address}/get");
        pod.run(&["curl", "-sS", "--max-time", "5", &url]).unwrap().stdout == "ok"
    }

    /// What the node has counted, for a test that fails.
    fn counted(&self) -> String {
        let metrics = self.crowd.node.metrics().unwrap();
        let some =
            |line: &&str| ["limit", "fqdn", "datagrams", "unlearnt", "_active"].iter().any(|word| line.contains(word));
        metrics.lines().filter(|line| !line.starts_with('#')).filter(some).collect::<Vec<_>>().join("\n")
    }

    fn limit(&self, name: &str) -> f64 {
        let limit = format!("limit=\"{name}\"");
        self.crowd.metric("portcullis_endpoint_limits_hit_total", &[&limit, "endpoint=\"shop/other\""])
    }
}

fn hostile() -> Value {
    let port = json!([{ "ports": [{ "port": "80", "protocol": "TCP" }] }]);
    let judged = json!([{ "ports": [{ "port": "80", "protocol": "TCP" }], "rules": { "http": [{ "path": "/get" }] } }]);
    policy(
        SHOP,
        "hostile",
        &json!({
            "endpointSelector": { "matchLabels": { "app": "other" } },
            "egress": [
                { "toPorts": [{
                    "ports": [{ "port": "53", "protocol": "ANY" }],
                    "rules": { "dns": [{ "matchPattern": "**" }] },
                }] },
                { "toFQDNs": [{ "matchPattern": "**.race.example" }, { "matchPattern": "*.evil.test" }], "toPorts": port },
                { "toFQDNs": [{ "matchPattern": "h*.race.example" }], "toPorts": judged },
            ],
        }),
    )
}

fn name(kind: (&str, [u8; 4], &str), number: u32) -> String {
    kind.0.replace('#', &number.to_string())
}

#[test]
fn a_thousand_addresses_over_and_over_evict_nobody_elses_names() {
    if !able() {
        return;
    }
    let neighbours = Neighbours::new(&json!({ "fqdn": { "addresses": 20_000 } }));
    let crowd = &neighbours.crowd;
    let asked = neighbours.asks(&crowd.client, &[name(PLAIN, 1)]);
    let address = &addresses(PLAIN, 1)[0];
    assert_eq!(asked, json!([[0, [address]]]));
    let server = neighbours.evil_dns.v4.to_string();
    // Which of them are learnt, and which are too many to be learnt in time, is the flood's own matter.
    for _ in 0..2 {
        neighbours.run(&crowd.other, &["flood", &server, "many", "120"]);
    }
    let evicted = |limit: &str| crowd.metric("portcullis_fqdn_evicted_total", &[&format!("limit=\"{limit}\"")]);
    assert!(evicted("addressesPerEndpoint") > 1_000.0, "{}", neighbours.counted());
    assert_eq!(evicted("addresses"), 0.0);
    assert!(neighbours.reaches(&crowd.client, address), "{}", crowd.node.process.log());
    let asked = neighbours.asks(&crowd.client, &[name(PLAIN, 2)]);
    assert_eq!(asked, json!([[0, [addresses(PLAIN, 2)[0]]]]), "and it learns others");
    assert!(neighbours.reaches(&crowd.client, &addresses(PLAIN, 2)[0]));
}

#[test]
fn queries_that_nobody_answers_lose_no_query_of_another() {
    if !able() {
        return;
    }
    let neighbours = Neighbours::new(&json!({ "workers": 1, "limits": { "flows": 512 } }));
    let crowd = &neighbours.crowd;
    let server = neighbours.evil_dns.v4.to_string();
    let told = neighbours.run(&crowd.other, &["flood", &server, "silent", "2000"]);
    assert_eq!(count(&told, "answered"), 0);
    assert!(neighbours.limit("flowsPerEndpoint") > 200.0, "{}", neighbours.counted());
    let names: Vec<String> = (0..10).map(|number| name(PLAIN, number)).collect();
    let answers: Vec<Value> = (0..10).map(|number| json!([0, [addresses(PLAIN, number)[0]]])).collect();
    assert_eq!(neighbours.asks(&crowd.client, &names), json!(answers), "{}", crowd.node.process.log());
}

#[test]
fn what_one_pod_is_told_by_a_server_of_its_own_opens_nothing_for_another() {
    if !able() {
        return;
    }
    for must_agree in [true, false] {
        let neighbours = Neighbours::new(&json!({ "fqdn": { "serverMustAgree": must_agree } }));
        let crowd = &neighbours.crowd;
        // A name that the client follows, and an address of the web server that it does not have.
        let target = "198.18.77.77";
        let told = neighbours.installed(&["at-198-18-77-77.evil.test", "at-198-18-77-77.n1.race.example"]);
        assert_eq!(told, json!([[0, [target]], [0, [target]]]));
        assert!(neighbours.reaches(&crowd.other, target), "it learnt that itself\n{}", crowd.node.process.log());
        assert!(!neighbours.reaches(&crowd.client, target), "the client follows other names");
        // `n*` is one label: the very name that the client follows has to be asked for.
        let told = neighbours.installed(&["at-198-18-77-78.race.example"]);
        assert_eq!(told, json!([[0, ["198.18.77.78"]]]));
        let follows = json!([{ "matchPattern": "*.race.example" }]);
        let all = json!([{ "matchPattern": "**" }]);
        crowd.apply(&[super::names(&all, &follows, &super::port_80())]);
        assert_eq!(neighbours.reaches(&crowd.client, "198.18.77.78"), !must_agree, "{}", crowd.node.process.log());
        // What the client asks the server of the cluster counts for both.
        assert_eq!(neighbours.asks(&crowd.client, &[name(PLAIN, 3)])[0][0], 0);
        assert!(neighbours.reaches(&crowd.client, &addresses(PLAIN, 3)[0]));
        let listed = crowd.node.cli(&["get", "fqdn", "at-198-18-77-78.race.example"]).unwrap().ok().unwrap().stdout;
        assert!(listed.contains(&neighbours.evil_dns.v4.to_string()), "{listed}");
    }
}

#[test]
fn no_name_opens_the_machine_itself_and_what_is_next_to_it() {
    if !able() {
        return;
    }
    let neighbours = Neighbours::new(&json!({}));
    let crowd = &neighbours.crowd;
    let own = crowd.node.cli(&["get", "fqdn"]).unwrap().ok().unwrap().stdout;
    assert!(!own.contains("evil"), "{own}");
    let hostile = ["127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.251", "255.255.255.255"];
    let names = hostile.map(|address| format!("at-{}.evil.test", address.replace('.', "-")));
    let told = neighbours.installed(&names.each_ref().map(String::as_str));
    let answers = hostile.map(|address| json!([0, [address]]));
    assert_eq!(told, json!(answers), "the answers go on as they came");
    let counted = || Ok((crowd.metric("portcullis_fqdn_never_open_total", &[]) >= 5.0).then_some(()));
    wait::until("five addresses to be counted", || neighbours.counted(), counted).unwrap();
    let listed = crowd.node.cli(&["get", "fqdn"]).unwrap().ok().unwrap().stdout;
    assert!(!listed.contains("evil"), "{listed}");
}

#[test]
fn connections_that_say_nothing_leave_room_for_others_and_end() {
    if !able() {
        return;
    }
    let settings = json!({ "workers": 1, "limits": { "connections": 200 }, "timeouts": { "firstByte": "3s" } });
    let neighbours = Neighbours::new(&settings);
    let crowd = &neighbours.crowd;
    let judged = &addresses(JUDGED, 1)[0];
    for pod in [&crowd.client, &crowd.other] {
        assert_eq!(neighbours.asks(pod, &[name(JUDGED, 1)])[0][0], 0);
    }
    crowd.apply(&[only_judged()]);
    let program = client("hostile.py");
    let words = ["/usr/bin/python3", &*program, "hold", judged, "300"];
    let mut hold = crowd.other.spawn("hold", &words).unwrap();
    hold.wait_for_line("open").unwrap();
    assert!(neighbours.limit("connectionsPerEndpoint") > 100.0, "{}", neighbours.counted());
    assert_eq!(crowd.metric("portcullis_limits_hit_total", &["limit=\"connections\""]), 0.0);
    let (url, host) = (format!("http://{judged}/get"), format!("Host: {}", name(JUDGED, 1)));
    let answer = crowd.client.run(&["curl", "-sS", "--max-time", "20", "-H", &host, &url]).unwrap();
    assert_eq!(answer.stdout, "ok", "{}\n{}", answer.stderr, neighbours.counted());
    let ended = |log: &str| (count(&told(log), "open") == 0).then_some(());
    hold.until("the silent ones to end", ended).unwrap();
    assert!(crowd.metric("portcullis_connections_total", &["outcome=\"first_byte_timeout\""]) > 50.0);
}

/// The hostile pod without the rule that lets it connect without being judged.
fn only_judged() -> Value {
    let mut hostile = hostile();
    hostile["spec"]["egress"].as_array_mut().unwrap().remove(1);
    hostile
}
