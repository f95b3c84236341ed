//! Current clients with an older broker.

use crate::{
    broker::Version,
    java,
    others::kcat_keeps_to_its_topic,
    scene::{Scene, Story, able, tell},
};

const STORIES: [Story<Scene>; 1] =
    [("kcat keeps to its topic at an old broker", |scene| kcat_keeps_to_its_topic(scene, "kcat"))];

#[test]
fn clients_keep_to_their_topics_at_an_old_broker() {
    if !able(Version::Three) {
        return;
    }
    let scene = Scene::start(Version::Three, 1, &[&java::PODS[..], &["kcat"]].concat());
    tell(&scene, &[&java::STORIES[..java::OF_OLD_BROKERS], &STORIES].concat());
}
