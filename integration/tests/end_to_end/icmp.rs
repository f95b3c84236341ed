//! `icmps`: which echo requests may leave a pod.

use portcullis_integration::{Need, Pod, documents::policy, require};
use serde_json::{Value, json};

use crate::scene::{FAMILIES, SHOP, Scene, able};

/// Sends an echo request by a ping socket that does not connect, as `ping` does, and one by a raw socket. Prints what came
/// of each.
const PING: &str = r#"
import errno, socket, struct, sys
to = sys.argv[1]
open('/proc/sys/net/ipv4/ping_group_range', 'w').write('0 2147483647')
v6 = ':' in to
message = struct.pack('!BBHHH', 128, 0, 0, 1, 1) if v6 else struct.pack('!BBHHH', 8, 0, 0xf7fd, 1, 1)
for kind in socket.SOCK_DGRAM, socket.SOCK_RAW:
    s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, kind, 58 if v6 else 1)
    s.settimeout(2)
    try:
        s.sendto(message, (to, 0))
        s.recv(2048)
        print('answered')
    except OSError as error: print('refused' if error.errno == errno.EPERM else error)
"#;

fn ping(from: &Pod, to: &Pod, v6: bool) -> Vec<String> {
    ping_address(from, &to.address(v6, 0).ip().to_string())
}

/// What comes of an echo request by each kind of socket.
pub(crate) fn ping_address(from: &Pod, to: &str) -> Vec<String> {
    let asked = from.run(&["python3", "-c", PING, to]).unwrap();
    asked.stdout.lines().chain(asked.stderr.lines()).map(str::to_owned).collect()
}

fn echo(direction: &str, peers: &str) -> Value {
    let mut spec = json!({ "endpointSelector": { "matchLabels": { "app": "client" } } });
    let fields = json!([{ "fields": [{ "type": "EchoRequest" }, { "family": "IPv6", "type": 128 }] }]);
    spec[direction] = json!([{ "icmps": fields }]);
    spec[direction][0][peers] = json!([{ "matchLabels": { "app": "app" } }]);
    policy(SHOP, "echo", &spec)
}

#[test]
fn echo_requests_leave_for_whom_policy_allows_and_what_is_not_judged_is_said() {
    if !able() || !require(&[Need::Program("python3")]) {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[echo("egress", "toEndpoints")]);
    for v6 in FAMILIES {
        assert_eq!(ping(&scene.client, &scene.app, v6), ["answered", "answered"]);
        // The kernel tells the owner of an IPv6 ping socket nothing.
        let unsaid = if v6 { "timed out" } else { "refused" };
        assert_eq!(ping(&scene.client, &scene.other, v6), [unsaid, "refused"]);
        assert_eq!(ping(&scene.other, &scene.client, v6), ["answered", "answered"], "from outside, and the answer");
    }
    assert!(
        scene.node.metric("portcullis_verdicts_total", &[r#"protocol="icmp""#, r#"verdict="deny""#]).unwrap() > 0.0
    );
    let text = echo("ingress", "fromEndpoints").to_string();
    let told = scene.node.cli_with(&["apply", "-f", "-"], &text).unwrap();
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(told.stderr.contains("spec.ingress[0].icmps: ICMP that comes in is not judged"), "{}", told.stderr);
    assert_eq!(ping(&scene.client, &scene.other, false), ["answered", "answered"], "the rule for egress is gone");
}
