//! Each kind of client at one broker.

use serde_json::json;

use crate::{
    authorizer,
    broker::Version,
    changes,
    java::{self, both},
    others,
    scene::{Scene, able, say, tell},
    sessions,
};

#[test]
fn clients_do_what_is_allowed_and_see_their_own_errors_otherwise() {
    if !able(Version::Current) {
        return;
    }
    let pods = [&java::PODS[..], &others::PODS, &changes::PODS, &sessions::PODS].concat();
    let mut scene = Scene::start(Version::Current, 1, &pods);
    tell(&scene, &[&java::STORIES[..], &others::STORIES, &changes::STORIES, &sessions::STORIES].concat());
    // By itself: it looks at the node's memory.
    tell(&scene, &[sessions::LONG]);
    changes::a_node_that_is_killed_comes_back(&mut scene);
    say("and with a node that was killed");
}

/// Without ids clients are offered the versions before them, which say names.
#[test]
fn clients_go_on_by_names_where_no_ids_are_learnt() {
    if authorizer::judges() || !able(Version::Current) {
        return;
    }
    let pods = [&java::PODS[..], &others::PODS].concat();
    let scene = Scene::start_with(Version::Current, 1, &pods, &json!({ "topicIds": "cap" }));
    tell(&scene, &[&java::STORIES[..java::OF_OLD_BROKERS], &others::STORIES[..2], &[java::MODERN]].concat());
    no_share_group(&scene);
}

fn no_share_group(scene: &Scene) {
    scene.broker().create(&["nobody"]);
    scene.allow("share", &both("nobody"));
    let mut java = scene.java("share");
    java.ask(&json!({ "do": "subscribe", "share": true, "name": "sharer", "group": "sharer", "topics": ["nobody"] }));
    assert_eq!(java.poll("sharer", 1)["error"], "UnsupportedVersionException");
}
