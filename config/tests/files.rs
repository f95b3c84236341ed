//! Resources from files: read as one update, watched, and never lost to an invalid or vanished file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use portcullis_rules::params::FlowParams;
use std::{fs, os::unix::fs::symlink};

use common::{Lab, key, listed, local, policy, policy_text, told, until};
use portcullis_config::proto::{ListedResource, ResourceType};

const POLICY: ResourceType = ResourceType::Policy;

fn seen(listed: &[ListedResource], name: &str) -> ListedResource {
    listed.iter().find(|one| one.key.as_ref().is_some_and(|key| key.name == name)).unwrap().clone()
}

#[tokio::test]
async fn what_files_say_is_in_force_from_the_start() {
    let lab = Lab::with_files();
    lab.write("files/a.yaml", &format!("{}---\n{}", policy_text("p", "all"), policy_text("q", "all")));
    lab.write("files/b.json", "{\"apiVersion\": \"portcullis.io/v1\", \"kind\": \"Endpoint\", \"metadata\": {\"name\": \"e\"},\n \"spec\": {\"addresses\": [\"10.0.0.1\"]}}");
    lab.write("files/c.txt", "no document");
    lab.write("files/.hidden.yaml", "no document");
    let (store, fake) = lab.open();
    assert_eq!(fake.calls().len(), 1);
    assert_eq!(listed(&store, ResourceType::Unspecified), ["p", "q", "e"]);
    assert_eq!(seen(&store.list(POLICY), "p").origin, lab.path("files/a.yaml").to_str().unwrap());
    assert!(store.status().faults.len() == 1, "{:?}", store.status().faults);
}

#[tokio::test]
async fn what_a_file_gives_the_api_does_not_change() {
    let lab = Lab::with_files();
    lab.write("files/a.yaml", &policy_text("p", "all"));
    let (store, _) = lab.open();
    let file = lab.path("files/a.yaml").display().to_string();
    let refused = format!("p refused metadata.name policy shop/p is given by the file {file}");
    assert_eq!(
        told(&store.apply(vec![policy("p", "world")], false).await.unwrap().results),
        std::slice::from_ref(&refused)
    );
    assert_eq!(told(&store.delete(vec![key(POLICY, "p")]).await.unwrap().results), [refused]);
    // A file takes over what was pushed before.
    store.apply(vec![policy("q", "all")], false).await.unwrap();
    lab.write("files/b.yaml", &policy_text("q", "world"));
    store.reload_files().await.unwrap();
    assert_eq!(seen(&store.list(POLICY), "q").origin, lab.path("files/b.yaml").display().to_string());
}

#[tokio::test]
async fn of_two_files_with_one_name_the_first_wins_and_the_second_is_told() {
    let lab = Lab::with_files();
    lab.write("files/a.yaml", &policy_text("p", "all"));
    lab.write("files/b.yaml", &policy_text("p", "world"));
    let (store, _) = lab.open();
    let p = seen(&store.list(POLICY), "p");
    assert_eq!(p.origin, lab.path("files/a.yaml").display().to_string());
    assert!(told(&[p.rejected.unwrap()])[0].contains("is given by"), "it says by whom");
}

#[tokio::test]
async fn a_broken_file_keeps_what_it_gave_last_also_over_a_restart() {
    let lab = Lab::with_files();
    lab.write("files/a.yaml", &format!("{}---\n{}", policy_text("p", "all"), policy_text("q", "all")));
    let (store, fake) = lab.open();
    // One document is refused: its last good version stays, with the line of the file.
    lab.write("files/a.yaml", &format!("{}---\n{}", policy_text("p", "world"), policy_text("q", "everybody")));
    store.reload_files().await.unwrap();
    assert_eq!(listed(&store, POLICY), ["p", "q!"]);
    assert_eq!(seen(&store.list(POLICY), "q").rejected.unwrap().problems[0].line, 9);
    assert_eq!(fake.0.lock().unwrap().rejected, ["policy"]);
    store.reload_files().await.unwrap();
    assert_eq!(fake.0.lock().unwrap().rejected, ["policy"], "the same fault is told once");
    // The file is no YAML from some line on: whatever it gave may be meant.
    lab.write("files/a.yaml", &format!("{}---\na: [\n", policy_text("p", "all")));
    store.reload_files().await.unwrap();
    assert_eq!(listed(&store, POLICY), ["p", "q!"]);
    assert!(store.status().faults[1].contains("a.yaml:"), "{:?}", store.status().faults);
    store.close().await;
    let (store, _) = lab.open();
    assert_eq!(listed(&store, POLICY), ["p", "q!"]);
    lab.write("files/a.yaml", &policy_text("p", "all"));
    store.reload_files().await.unwrap();
    assert_eq!(listed(&store, POLICY), ["p"], "a sound file without it removes it");
    assert_eq!(store.status().faults, ["of the node"]);
}

#[tokio::test]
async fn a_file_that_goes_takes_its_resources_but_an_empty_or_missing_directory_takes_none() {
    let lab = Lab::with_files();
    lab.write("files/a.yaml", &policy_text("p", "all"));
    lab.write("files/b.yaml", &policy_text("q", "all"));
    let (store, _) = lab.open();
    fs::remove_file(lab.path("files/a.yaml")).unwrap();
    store.reload_files().await.unwrap();
    assert_eq!(listed(&store, POLICY), ["q"]);
    fs::remove_file(lab.path("files/b.yaml")).unwrap();
    store.reload_files().await.unwrap();
    assert_eq!(listed(&store, POLICY), ["q"], "kept");
    assert!(store.status().faults[1].contains("is suddenly empty"), "{:?}", store.status().faults);
    fs::remove_dir(lab.path("files")).unwrap();
    store.reload_files().await.unwrap();
    assert_eq!(listed(&store, POLICY), ["q"], "kept");
    assert!(store.status().faults[1].contains("cannot be read"), "{:?}", store.status().faults);
    fs::create_dir(lab.path("files")).unwrap();
    lab.write("files/none.yaml", "# all gone, and meant\n");
    store.reload_files().await.unwrap();
    assert!(listed(&store, POLICY).is_empty());
    assert_eq!(store.status().faults, ["of the node"]);
}

#[tokio::test]
async fn a_path_taken_out_of_the_settings_takes_its_resources() {
    let lab = Lab::with_files();
    lab.write("files/a.yaml", &policy_text("p", "all"));
    let (store, _) = lab.open();
    store.apply(vec![local("e", "10.0.0.1")], false).await.unwrap();
    store.reconfigure(lab.settings, FlowParams::default(), Vec::new()).await.unwrap();
    assert_eq!(listed(&store, ResourceType::Unspecified), ["e"]);
}

#[tokio::test]
async fn a_full_push_leaves_files_alone() {
    let lab = Lab::with_files();
    lab.write("files/a.yaml", &policy_text("p", "all"));
    let (store, _) = lab.open();
    let request = portcullis_config::proto::StreamResourcesRequest {
        full: true,
        types: vec![POLICY.into()],
        ..Default::default()
    };
    store.push(request).await.unwrap();
    assert_eq!(listed(&store, POLICY), ["p"]);
}

#[tokio::test]
async fn changes_are_seen_however_they_are_made() {
    let lab = Lab::with_files();
    lab.write("files/a.yaml", &policy_text("p", "all"));
    let (store, fake) = lab.open();
    // Written in place.
    lab.write("files/b.yaml", &policy_text("q", "all"));
    until(|| listed(&store, POLICY) == ["p", "q"]).await;
    // Renamed over.
    lab.write("new", &policy_text("r", "all"));
    fs::rename(lab.path("new"), lab.path("files/b.yaml")).unwrap();
    until(|| listed(&store, POLICY) == ["p", "r"]).await;
    fs::remove_file(lab.path("files/b.yaml")).unwrap();
    until(|| listed(&store, POLICY) == ["p"]).await;
    // The directory made anew.
    fs::rename(lab.path("files"), lab.path("old")).unwrap();
    fs::create_dir(lab.path("files")).unwrap();
    lab.write("files/c.yaml", &policy_text("s", "all"));
    until(|| listed(&store, POLICY) == ["s"]).await;
    lab.write("files/c.yaml", &policy_text("t", "all"));
    until(|| listed(&store, POLICY) == ["t"]).await;
    let calls = fake.calls();
    assert!(calls.windows(2).all(|pair| pair[0].revision < pair[1].revision));
}

/// As the kubelet does: the files are links into `..data`, which is a link to a directory that is swapped.
#[tokio::test]
async fn a_mounted_config_map_is_followed() {
    for resources in ["files", "files/p.yaml"] {
        let mut lab = Lab::with_files();
        lab.resources = vec![lab.path(resources)];
        let version = |name: &str, entity: &str| {
            fs::create_dir(lab.path(&format!("files/{name}"))).unwrap();
            lab.write(&format!("files/{name}/p.yaml"), &policy_text("p", entity));
            symlink(name, lab.path("files/..tmp")).unwrap();
            fs::rename(lab.path("files/..tmp"), lab.path("files/..data")).unwrap();
        };
        version("..1", "all");
        symlink("..data/p.yaml", lab.path("files/p.yaml")).unwrap();
        let (store, _) = lab.open();
        assert_eq!(listed(&store, POLICY), ["p"]);
        let revision = store.revision();
        version("..2", "world");
        until(|| store.revision() > revision).await;
        assert_eq!(listed(&store, POLICY), ["p"]);
    }
}

#[tokio::test]
async fn a_single_file_is_watched_too() {
    let mut lab = Lab::default();
    lab.resources.push(lab.path("only.yaml"));
    let (store, _) = lab.open();
    assert!(store.status().faults[1].contains("only.yaml cannot be read"), "{:?}", store.status().faults);
    lab.write("only.yaml", &policy_text("p", "all"));
    until(|| listed(&store, POLICY) == ["p"]).await;
    fs::remove_file(lab.path("only.yaml")).unwrap();
    until(|| store.status().faults.len() > 1).await;
    assert_eq!(listed(&store, POLICY), ["p"], "kept");
}
