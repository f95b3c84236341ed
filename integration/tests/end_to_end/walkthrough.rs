//! The walkthrough, step by step, over IPv4 and IPv6.

use portcullis_integration::{
    Need, Pod,
    curl::{Answer, REFUSED, RESET, curl},
    require,
    walkthrough::{Cluster, DURING, Manifest},
};

use crate::scene::{FAMILIES, able};

fn ask(cluster: &Cluster, v6: bool, more: &[&str], url: &str) -> Answer {
    ask_of(&cluster.client, v6, more, url)
}

fn ask_of(pod: &Pod, v6: bool, more: &[&str], url: &str) -> Answer {
    let family = if v6 { "-6" } else { "-4" };
    curl(pod, &[&[family], more].concat(), url).unwrap()
}

#[test]
fn the_story_comes_out_as_it_was_told() {
    if !able() || !require(&["initdb", "unbound"].map(Need::Program)) {
        return;
    }
    let cluster = Cluster::new().unwrap();
    let app = |path: &str| format!("http://app-service.test-app{path}");
    for v6 in FAMILIES {
        assert_eq!(ask(&cluster, v6, &[], &app("/status/200")).status, 200, "step 2");
    }

    cluster.apply(Manifest::L3L4).unwrap();
    cluster.enforce(DURING).unwrap();
    for v6 in FAMILIES {
        assert_eq!(ask(&cluster, v6, &[], &app("/status/200")).status, 200, "step 3");
        let refused = ask(&cluster, v6, &[], "http://database-service.test-app:5432");
        assert_eq!(refused.exit, REFUSED, "step 3: {refused:?}");
    }

    cluster.apply(Manifest::L7).unwrap();
    for v6 in FAMILIES {
        for (more, path) in [(&[][..], "/status/200"), (&[], "/get"), (&["-X", "POST"], "/post")] {
            let answer = ask(&cluster, v6, more, &app(path));
            assert_eq!((answer.exit, answer.status), (0, 200), "step 4, {path}: {answer:?}");
        }
        for path in ["/anything-else", "/status/404"] {
            let reset = ask(&cluster, v6, &[], &app(path));
            assert_eq!(reset.exit, RESET, "step 4, {path}: {reset:?}");
        }
    }
    cluster.apply(Manifest::External).unwrap();
    for v6 in FAMILIES {
        let answer = ask_of(&cluster.app, v6, &[], "http://example.com/");
        assert_eq!((answer.exit, answer.status), (0, 200), "step 5: {answer:?}\n{}", cluster.node.process.log());
        let refused = ask_of(&cluster.app, v6, &[], "http://google.com/");
        assert_eq!(refused.exit, REFUSED, "step 5: {refused:?}");
    }
    assert!(cluster.unbound.arrived("google.com.") > 0, "it was refused, but it resolves");
    assert_eq!(ask_of(&cluster.app, false, &[], "http://203.0.113.10:8080/").status, 200, "step 5, inside the range");
    let refused = ask_of(&cluster.app, false, &[], "http://198.51.100.10:8080/");
    assert_eq!(refused.exit, REFUSED, "step 5, outside: {refused:?}");
    // The last allowed request was made after each denied one.
    assert_eq!(ask(&cluster, true, &[], &app("/get")).status, 200);
    assert_eq!(cluster.httpbin.arrived("/anything-else") + cluster.httpbin.arrived("/status/404"), 0);
    assert_eq!(cluster.httpbin.arrived("GET /get "), 3);
}
