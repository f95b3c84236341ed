//! Lines of the corpus, and what they are answered.

use portcullis_codecs::{PROTOCOLS, question::QuestionWord};
use portcullis_corpus::{answer, places_of};
use serde_json::{Value, json};

#[test]
fn lines_are_answered_one_by_one_in_order() {
    let rule = json!({"endpointSelector": {"matchLabels": {"app": "server"}}, "ingress": [{
        "fromEndpoints": [{"matchLabels": {"app": "a"}}],
        "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"path": "/a"}]}}],
    }]});
    let line = |id: &str, peer: &str, path: &str| {
        let request = json!({"method": "GET", "path": path, "authority": "server", "headers": {}});
        let input = json!({"dir": "ingress", "peer": peer, "port": 80, "proto": "TCP", "request": request});
        json!({"id": id, "area": "http", "policy": rule.to_string(), "input": input}).to_string()
    };
    let bad = json!({"id": "bad", "area": "sanitize", "policy": "{\"ingress\":[{}]}", "input": {}}).to_string();
    let lines = [line("1", "app=a", "/a"), line("2", "app=a", "/b"), bad, line("3", "app=b", "/a"), "{".to_owned()];
    let mut out = Vec::new();
    answer(PROTOCOLS, lines.join("\n").as_bytes(), &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    let answers: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |number: usize| {
        let field = |name: &str| answers[number][name].clone();
        [field("id"), field("verdict"), field("l34"), field("l7"), field("how")]
    };
    assert_eq!(told(0), [json!("1"), json!("allow"), json!("redirected"), json!("http"), Value::Null]);
    assert_eq!(told(1), [json!("2"), json!("deny"), json!("redirected"), json!("http"), json!("reset")]);
    assert_eq!(told(2)[..2], [json!("bad"), json!("error")]);
    assert!(answers[2]["reason"].as_str().unwrap().contains("rule must have one of EndpointSelector or NodeSelector"));
    assert_eq!(told(3), [json!("3"), json!("deny"), json!("denied"), Value::Null, json!("drop")]);
    assert_eq!(told(4)[..2], [Value::Null, json!("error")]);
}

#[test]
fn every_word_of_the_corpus_is_one_of_the_protocols() {
    for protocol in PROTOCOLS.iter() {
        let Some(question) = &protocol.question else { continue };
        let known = |key: &str| question.words.iter().any(|word: &QuestionWord| word.key == key);
        for key in places_of(protocol.schema.protocol) {
            assert!(known(key), "{} has no word {key}", protocol.schema.protocol);
        }
    }
}
