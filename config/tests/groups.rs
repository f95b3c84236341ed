//! CIDR groups and secrets: they are added, changed and removed while policies name them, and no value is ever shown.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{borrow::Cow, fs, net::IpAddr, os::unix::fs::PermissionsExt as _};

use common::{Fake, HTTP, Lab, key, listed, local, resource, told};
use portcullis_config::{Store, documents, proto};
use portcullis_rules::{
    request::{FieldValue, Request},
    schema::{FieldIndex, Schema},
    snapshot::FlowKey,
    verdict::RuleInfo,
    world::{Direction, EndpointId, Transport},
};
use proto::{ResourceKey, ResourceType, resource::Body};

const GROUP: ResourceType = ResourceType::CidrGroup;
const SECRET: ResourceType = ResourceType::Secret;
const VALUE: &str = "hunter2";

/// A request whose only header is `x-token`.
struct Token(&'static str);

impl Request for Token {
    fn schema(&self) -> &'static Schema {
        &HTTP
    }

    fn field(&self, _: FieldIndex, key: &str) -> FieldValue<'_> {
        if key == "x-token" { FieldValue::Value(Cow::Borrowed(self.0.as_bytes())) } else { FieldValue::Absent }
    }
}

fn group(name: &str, team: &str, cidr: &str) -> proto::Resource {
    let labels = [("team".to_owned(), team.to_owned())].into();
    resource("1", Body::CidrGroup(proto::CidrGroup { name: name.into(), labels, cidrs: vec![cidr.into()] }))
}

fn secret(entries: &[(&str, &str)]) -> proto::Resource {
    let data = entries.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    resource("1", Body::Secret(proto::Secret { name: "token".into(), namespace: "shop".into(), data }))
}

/// A policy of the namespace `shop` for `local("e", "10.0.0.1")`.
fn policy(name: &str, element: &str) -> proto::Resource {
    let document = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{endpointSelector: {{}}, ingress: [{{{element}}}]}}\n"
    );
    resource("1", Body::Policy(proto::Policy { document }))
}

const BY_TOKEN: &str = "toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{headerMatches: \
                        [{name: X-Token, secret: {namespace: shop, name: token}}]}]}}]";

/// Whether the only endpoint lets a peer in, with a token where requests are judged.
fn lets_in(fake: &Fake, peer: &str, token: &'static str) -> bool {
    let peer: IpAddr = peer.parse().unwrap();
    let key =
        FlowKey { endpoint: EndpointId(1), direction: Direction::Ingress, transport: Transport::Tcp, peer, port: 80 };
    fake.last().snapshot.flow(&key).outcome_of(&Token(token)).passes()
}

async fn apply(store: &Store, resources: Vec<proto::Resource>) -> Vec<String> {
    told(&store.apply(resources, false).await.unwrap().results)
}

#[tokio::test]
async fn a_group_that_comes_changes_and_goes_is_in_force_like_a_policy() {
    let lab = Lab::default();
    let (store, fake) = lab.open();
    let by_name = policy("by-name", "fromCIDRSet: [{cidrGroupRef: office, except: [192.0.2.128/25]}]");
    let by_label = policy("by-label", "fromCIDRSet: [{cidrGroupSelector: {matchLabels: {team: b}}}]");
    let said = apply(&store, vec![local("e", "10.0.0.1"), by_name, by_label]).await;
    let missing = "spec.ingress[0].fromCIDRSet there is no cidrgroup office, so the name selects nobody";
    assert_eq!(said, ["e ok".to_owned(), format!("by-name ok {missing}"), "by-label ok".to_owned()]);
    assert_eq!(store.status().faults[1..], [format!("policy shop/by-name: {}", missing.replacen(' ', ": ", 1))]);
    assert!(!lets_in(&fake, "192.0.2.1", ""));

    assert_eq!(apply(&store, vec![group("office", "a", "192.0.2.0/24")]).await, ["office ok"]);
    assert!(lets_in(&fake, "192.0.2.1", "") && !lets_in(&fake, "192.0.2.129", ""), "the exception holds");
    assert_eq!((store.status().faults.len(), store.status().cidr_groups), (1, 1));
    assert!(!lets_in(&fake, "198.51.100.1", ""));

    apply(&store, vec![group("office", "a", "203.0.113.0/24"), group("other", "b", "198.51.100.0/24")]).await;
    assert!(!lets_in(&fake, "192.0.2.1", "") && lets_in(&fake, "198.51.100.1", ""), "by its label");
    let broken = apply(&store, vec![group("office", "a", "203.0.113.0")]).await;
    assert_eq!(broken, ["office refused spec.externalCIDRs[0] unable to parse CIDR \"203.0.113.0\""]);
    assert!(lets_in(&fake, "203.0.113.1", ""), "the last good version stays");
    assert_eq!(fake.0.lock().unwrap().rejected, ["cidrgroup"]);

    store.close().await;
    let (store, fake) = lab.open();
    assert!(lets_in(&fake, "203.0.113.1", ""), "also after a restart");
    let office = ResourceKey { r#type: GROUP.into(), namespace: "ignored".into(), name: "office".into() };
    let said = told(&store.delete(vec![office]).await.unwrap().results);
    assert_eq!(said, ["office ok  policy shop/by-name names it: it selects nobody now"]);
    assert!(!lets_in(&fake, "203.0.113.1", ""));
    assert_eq!(listed(&store, GROUP), ["other"]);
}

#[tokio::test]
async fn a_rule_that_names_a_secret_matches_nothing_without_it_and_its_value_with_it() {
    let lab = Lab::default();
    let (store, fake) = lab.open();
    let said = apply(&store, vec![local("e", "10.0.0.1"), policy("p", BY_TOKEN)]).await;
    let field = "spec.ingress[0].toPorts[0].rules.http[0].headerMatches";
    assert_eq!(said[1], format!("p ok {field} there is no secret shop/token, so the rule matches nothing"));
    assert!(!lets_in(&fake, "192.0.2.1", VALUE) && !lets_in(&fake, "192.0.2.1", ""), "it fails closed");

    assert_eq!(apply(&store, vec![secret(&[("token", VALUE)])]).await, ["token ok"]);
    assert!(lets_in(&fake, "192.0.2.1", VALUE) && !lets_in(&fake, "192.0.2.1", "hunter"));
    apply(&store, vec![secret(&[("token", "swordfish")])]).await;
    assert!(!lets_in(&fake, "192.0.2.1", VALUE) && lets_in(&fake, "192.0.2.1", "swordfish"), "rotated");

    let doubtful = apply(&store, vec![secret(&[("a", VALUE), ("b", VALUE)])]).await;
    assert_eq!(doubtful, ["token ok data no header can be compared with it: it has several entries"]);
    assert!(!lets_in(&fake, "192.0.2.1", VALUE) && !lets_in(&fake, "192.0.2.1", "swordfish"));
    let again = apply(&store, vec![policy("p", BY_TOKEN)]).await;
    assert_eq!(
        again,
        [format!("p ok {field} no header can be compared with secret shop/token, so the rule matches nothing")]
    );
    apply(&store, vec![secret(&[("a", "")])]).await;
    assert!(!lets_in(&fake, "192.0.2.1", VALUE), "an empty value would match any");

    let said = told(&store.delete(vec![key(SECRET, "token")]).await.unwrap().results);
    assert_eq!(said, ["token ok  policy shop/p names it: its rule matches nothing now"]);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_missing() {
    let lab = Lab::default();
    let (store, _) = lab.open();
    let dry = |resources| async { told(&store.apply(resources, true).await.unwrap().results) };
    assert!(dry(vec![policy("p", BY_TOKEN)]).await[0].contains("there is no secret shop/token"));
    assert_eq!(dry(vec![policy("p", BY_TOKEN), secret(&[("a", VALUE)])]).await, ["p ok", "token ok"]);
    assert!(listed(&store, SECRET).is_empty());
}

#[tokio::test]
async fn nothing_that_is_told_has_a_secrets_value() {
    let lab = Lab::default();
    let (store, fake) = lab.open();
    let endpoint = local("e", "10.0.0.1");
    let applied = store.apply(vec![endpoint, policy("p", BY_TOKEN), secret(&[("token", VALUE)])], false).await.unwrap();
    let all = store.list(ResourceType::Unspecified);
    let Some(Body::Secret(told)) = all.last().unwrap().resource.clone().unwrap().body else { panic!("no secret") };
    assert_eq!((told.name.as_str(), told.data["token"].as_slice()), ("token", &b""[..]));
    let bytes = format!("{:?}", VALUE.as_bytes());
    let snapshot = fake.last().snapshot;
    for text in [
        format!("{all:?}"),
        format!("{applied:?}"),
        format!("{:?}", store.status()),
        format!("{snapshot:?}"),
        store.dump().to_string(),
    ] {
        assert!(!text.contains(VALUE) && !text.contains(&bytes), "{text}");
    }
    assert_eq!(store.status().secrets, 1);
}

#[tokio::test]
async fn a_pushed_secret_outlasts_a_restart_in_a_file_of_the_nodes_own() {
    let lab = Lab::default();
    let (store, _) = lab.open();
    apply(&store, vec![local("e", "10.0.0.1"), policy("p", BY_TOKEN), secret(&[("token", VALUE)])]).await;
    store.close().await;
    let (store, fake) = lab.open();
    assert!(lets_in(&fake, "192.0.2.1", VALUE));
    let mode = |file: &str| fs::metadata(lab.path(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/secrets.state")), (0o700, 0o600));
    // What an earlier version, or somebody else, left open is closed.
    fs::write(lab.path("state/secrets.state.new"), "").unwrap();
    fs::set_permissions(lab.path("state/secrets.state.new"), fs::Permissions::from_mode(0o666)).unwrap();
    apply(&store, vec![secret(&[("token", "swordfish")])]).await;
    assert_eq!(mode("state/secrets.state"), 0o600);
    store.delete(vec![key(SECRET, "token")]).await.unwrap();
    let kept = fs::read(lab.path("state/secrets.state")).unwrap();
    assert!(!kept.windows(9).any(|window| window == b"swordfish"), "what is deleted is gone");
}

#[tokio::test]
async fn a_listing_is_a_world_that_answers_as_the_node_does() {
    let lab = Lab::with_files();
    lab.write("files/a.yaml", "# first\n---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {endpointSelector: {}, ingress: [{fromCIDRSet: [{cidrGroupRef: office}]}]}\n---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: q, namespace: shop}\nspec: {endpointSelector: {}, ingress: [{fromCIDRSet: [{cidrGroupRef: office}]}]}\n");
    let (store, _) = lab.open();
    let secrets = secret(&[("token", VALUE)]);
    apply(&store, vec![local("e", "10.0.0.1"), group("office", "a", "192.0.2.0/24"), secrets, policy("r", BY_TOKEN)])
        .await;
    store.close().await;
    let (store, _) = lab.open();
    let listing = store.listing(ResourceType::Unspecified);
    assert_eq!(listing.revision, store.revision());
    let told = documents::listed(&listing, &[&HTTP]).unwrap();
    assert!(told.loaded.problems.is_empty(), "{:?}", told.loaded.problems);
    assert_eq!(told.secrets, ["shop/token".to_owned()].into());
    let world = &told.loaded.world;
    assert_eq!(
        (world.policies.len(), world.endpoints.len(), world.cidr_groups.len(), world.secrets.len()),
        (3, 1, 1, 0)
    );
    let place = |policy: &str| {
        let rule = RuleInfo { policy: policy.into(), rule: "ingress[0]".into() };
        let place = told.loaded.places.of(&rule).unwrap();
        (place.file, place.position.line)
    };
    let file = lab.path("files/a.yaml").display().to_string();
    assert_eq!([place("shop/p"), place("shop/q"), place("shop/r")], [(file.clone(), 6), (file, 11), ("api".into(), 4)]);
}

#[tokio::test]
async fn of_a_secret_that_a_file_gives_no_copy_is_kept() {
    let lab = Lab::with_files();
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: token, namespace: shop}}\nstringData: {{a: {VALUE}}}\n"
    );
    lab.write("files/secret.yaml", &text);
    let (store, fake) = lab.open();
    apply(&store, vec![local("e", "10.0.0.1"), policy("p", BY_TOKEN)]).await;
    assert!(lets_in(&fake, "192.0.2.1", VALUE));
    let revision = store.revision();
    assert_eq!(store.reload_files().await.unwrap().revision, revision, "the same again is nothing new");
    for file in fs::read_dir(lab.state()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes()));
    }
    lab.write("files/secret.yaml", &text.replace(VALUE, "swordfish"));
    store.reload_files().await.unwrap();
    assert!(lets_in(&fake, "192.0.2.1", "swordfish"));
    lab.write("files/secret.yaml", "# nothing\n");
    store.reload_files().await.unwrap();
    assert!(!lets_in(&fake, "192.0.2.1", "swordfish"));
    assert_eq!(documents::split(&text).len(), 1);
}
