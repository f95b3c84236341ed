//! Real DNS messages: large ones, alias chains, many at once, and messages that cannot be read safely.

use portcullis_integration::{Need, Pod, Process, require};
use serde_json::{Value, json};

use super::crowd::{Crowd, PLAIN, able, addresses, all_names, client, records, told};
use crate::scene::FAMILIES;

/// How many aliases lead to an address, one after the other: as many as unbound follows at most.
const CHAIN: u32 = 7;

fn crowd() -> Crowd {
    let mut all = records(PLAIN, 100, 60);
    all.extend((0..500).map(|number| format!("n-many.race.example. 60 IN A {}", addresses(PLAIN, 1000 + number)[0])));
    all.extend(
        (0..CHAIN).map(|link| format!("n-link{link}.race.example. 60 IN CNAME n-link{}.race.example.", link + 1)),
    );
    all.push(format!("n-link{CHAIN}.race.example. 60 IN CNAME n7.race.example."));
    all.push(format!("n-brief.race.example. 0 IN A {}", addresses(PLAIN, 2000)[0]));
    let crowd = Crowd::new(all, &json!({}));
    crowd.apply(&[all_names()]);
    crowd
}

fn reached(crowd: &Crowd, address: &str) -> bool {
    let url = format!("http://{address}/");
    crowd.client.run(&["curl", "-sS", "--max-time", "20", &url]).unwrap().stdout == "ok"
}

fn dig(crowd: &Crowd, words: &[&str]) -> String {
    crowd.client.run(&[&["dig", "+tries=1"], words].concat()).unwrap().stdout
}

#[test]
fn a_name_with_five_hundred_addresses_is_truncated_and_asked_for_again_over_tcp() {
    if !able() || !require(&[Need::Program("dig")]) {
        return;
    }
    let crowd = crowd();
    let cut = dig(&crowd, &["+ignore", "n-many.race.example"]);
    assert!(cut.lines().any(|line| line.contains("flags:") && line.contains(" tc")), "{cut}");
    let whole = dig(&crowd, &["n-many.race.example"]);
    assert!(whole.contains("ANSWER: 500,") && whole.contains("(TCP)"), "{whole}");
    for number in [0, 250, 499] {
        assert!(reached(&crowd, &addresses(PLAIN, 1000 + number)[0]), "{number}");
    }
    assert!(!reached(&crowd, &addresses(PLAIN, 1500)[0]));
    assert_eq!(crowd.metric("portcullis_fqdn_addresses", &[]), 500.0);
}

#[test]
fn a_chain_of_aliases_and_a_ttl_of_zero_let_out_whoever_asked() {
    if !able() || !require(&[Need::Program("dig")]) {
        return;
    }
    let crowd = crowd();
    let chain = dig(&crowd, &["n-link0.race.example"]);
    let address = &addresses(PLAIN, 7)[0];
    assert!(chain.contains(&format!("ANSWER: {}", CHAIN + 2)) && chain.contains(address.as_str()), "{chain}");
    assert!(reached(&crowd, address), "{}", crowd.node.process.log());
    let brief = dig(&crowd, &["n-brief.race.example"]);
    assert!(brief.contains("\t0\tIN\tA\t"), "the client gets the TTL that the server gave: {brief}");
    assert!(reached(&crowd, &addresses(PLAIN, 2000)[0]));
}

#[test]
fn a_hundred_queries_over_one_connection_before_any_answer_is_read() {
    if !able() {
        return;
    }
    let crowd = crowd();
    for v6 in FAMILIES {
        let told = crowd.ask(&crowd.client, "pipeline", v6, &["n#.race.example", "--count", "100"]);
        for number in 0..100 {
            let expected = json!([0, [addresses(PLAIN, number)[0]]]);
            assert_eq!(told[number.to_string()], expected, "{told}");
        }
    }
    assert!((0..100).all(|number| crowd.unbound.arrived(&format!("n{number}.race.example.")) == 2));
    assert!(reached(&crowd, &addresses(PLAIN, 99)[0]));
}

/// A query as a resolver sends it, with what comes after the question.
fn query(id: u16, flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let words = [&[id, flags][..], &counts].concat();
    [words.iter().flat_map(|word| word.to_be_bytes()).collect(), rest.to_vec()].concat()
}

/// `www.ExAmPlE.tEsT`, A, IN.
const QUESTION: &[u8] = b"\x03www\x07ExAmPlE\x04tEsT\0\0\x01\0\x01";
/// An OPT record (RFC 6891) of 1232 bytes and DO, with a cookie (RFC 7873), a client subnet (RFC 7871), an option nobody
/// knows, and padding (RFC 7830).
const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\x80\0\0\x2d\
    \0\x0a\0\x08\x01\x02\x03\x04\x05\x06\x07\x08\
    \0\x08\0\x07\0\x01\x18\0\xc0\0\x02\
    \xfd\xe9\0\x03abc\
    \0\x0c\0\x0b\0\0\0\0\0\0\0\0\0\0\0";

/// A DNS server that sends back what it gets, in a pod that the client may ask; sends messages there.
fn mirror(crowd: &Crowd) -> Process {
    let (program, [v4, v6]) = (client("mirror.py"), crowd.mirror.addresses().map(|address| address.to_string()));
    let mut mirror = crowd.mirror.spawn("mirror", &["/usr/bin/python3", &program, &v4, &v6]).unwrap();
    crowd.mirror.wait_for_port(crowd.mirror.address(false, 53), &mut mirror).unwrap();
    mirror
}

#[test]
fn the_servers_answers_are_the_same_with_and_without_a_judge() {
    if !able() {
        return;
    }
    let crowd = crowd();
    let question = |name: &[u8], kind: u8| [name, &[0, 0, kind, 0, 1]].concat();
    let known = question(b"\x02N7\x04rAcE\x07ExAmPlE", 1);
    let unknown = question(b"\x07nothing\x04race\x07example", 28);
    let messages = [
        query(7, 0x0100, [1, 0, 0, 0], &known),
        query(8, 0x0100, [1, 0, 0, 1], &[&*known, OPT].concat()),
        query(9, 0x0000, [1, 0, 0, 0], &unknown),
        query(10, 0x0110, [1, 0, 0, 1], &[&*unknown, OPT].concat()),
    ];
    for v6 in FAMILIES {
        let server = crowd.kube_dns.address(v6).ip().to_string();
        for tcp in [false, true] {
            let direct = send(&crowd.other, &server, tcp, &messages);
            assert!(direct.iter().all(Value::is_string), "{direct:?}");
            assert_eq!(send(&crowd.client, &server, tcp, &messages), direct);
        }
    }
}

/// A client that may ask for every name, and a server that says what it was told.
fn before_a_mirror() -> (Crowd, Process) {
    let crowd = Crowd::new(vec![], &json!({}));
    let mirror = mirror(&crowd);
    crowd.apply(&[all_names()]);
    (crowd, mirror)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn send(pod: &Pod, server: &str, tcp: bool, messages: &[Vec<u8>]) -> Vec<Value> {
    let (program, messages) = (client("resolve.py"), messages.iter().map(|message| hex(message)).collect::<Vec<_>>());
    let mut words = vec!["/usr/bin/python3", &*program, "raw", server];
    words.extend(tcp.then_some("--tcp"));
    words.push("--messages");
    words.extend(messages.iter().map(String::as_str));
    let ended = pod.run(&words).unwrap().ok().unwrap();
    serde_json::from_value(told(&ended.stdout)).unwrap()
}

#[test]
fn queries_arrive_as_they_were_sent_and_answers_too() {
    if !able() {
        return;
    }
    let (crowd, mirror) = before_a_mirror();
    let messages = [
        query(0x1234, 0x0100, [1, 0, 0, 0], QUESTION),
        // AD and CD.
        query(0, 0x0130, [1, 0, 0, 0], QUESTION),
        query(0xffff, 0x0100, [1, 0, 0, 1], &[QUESTION, OPT].concat()),
    ];
    for v6 in FAMILIES {
        for (tcp, way) in [(false, "udp"), (true, "tcp")] {
            let answers = send(&crowd.client, &crowd.mirror.address(v6, 53).ip().to_string(), tcp, &messages);
            for (message, answer) in messages.iter().zip(answers) {
                let mut expected = message.clone();
                expected[2] |= 0x80;
                assert_eq!(answer, json!(hex(&expected)), "{way}\n{}", crowd.node.process.log());
                assert!(mirror.log().lines().any(|line| line == format!("{way} {}", hex(message))), "{}", mirror.log());
            }
        }
    }
}

#[test]
fn what_cannot_be_read_safely_is_no_query_for_any_server() {
    if !able() {
        return;
    }
    let (crowd, mirror) = before_a_mirror();
    let messages = [
        ("two questions", query(1, 0x0100, [2, 0, 0, 0], &[QUESTION, QUESTION].concat())),
        ("no question", query(2, 0x0100, [0, 0, 0, 0], b"")),
        ("bytes behind the message", query(3, 0x0100, [1, 0, 0, 0], &[QUESTION, b"x"].concat())),
        ("a compressed name", query(4, 0x0100, [1, 0, 0, 0], b"\xc0\x0c\0\x01\0\x01")),
        ("a name without its end", query(5, 0x0100, [1, 0, 0, 0], b"\x3fabc")),
        ("an answer", query(6, 0x8100, [1, 0, 0, 0], QUESTION)),
        ("a dynamic update", query(7, 0x2800, [1, 0, 0, 0], QUESTION)),
        ("half a header", vec![0, 8, 1]),
        ("two OPT records", query(9, 0x0100, [1, 0, 0, 2], &[QUESTION, OPT, OPT].concat())),
    ];
    let server = crowd.mirror.v4.to_string();
    let before = mirror.log().lines().count();
    for (violations, (what, message)) in (1..).zip(&messages) {
        let [answer] = &send(&crowd.client, &server, false, std::slice::from_ref(message))[..] else {
            panic!("{what}")
        };
        // FORMERR, NOTIMP or REFUSED for what has a number, silence for what has none.
        let code = answer.as_str().map(|answer| u8::from_str_radix(&answer[6..8], 16).unwrap() & 15);
        assert!([None, Some(1), Some(4), Some(5)].contains(&code), "{what}: {answer}");
        let counted = crowd.metric("portcullis_violations_total", &["protocol=\"dns\"", "side=\"downstream\""]);
        assert_eq!(counted, f64::from(violations), "{what}\n{}", crowd.node.process.log());
    }
    assert_eq!(mirror.log().lines().count(), before, "{}", mirror.log());
}
