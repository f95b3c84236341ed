//! Splitting files into resources.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use portcullis_config::{
    documents::{self, Document, DocumentContent, check_policy, split},
    proto::{self, resource::Body},
};
use portcullis_rules::settings::PolicySettings;

/// `line: what`, one for each document.
fn told(text: &str) -> Vec<String> {
    let what = |document: &Document| match &document.content {
        Ok(DocumentContent::Resource(resource)) => match resource.body.as_ref().unwrap() {
            Body::Policy(policy) => format!("policy of {} lines", policy.document.lines().count()),
            Body::Endpoint(endpoint) => format!("endpoint {}/{}", endpoint.namespace, endpoint.id),
            Body::Service(service) => format!("service {}/{}", service.namespace, service.name),
            Body::CidrGroup(group) => format!("group {} of {}", group.name, group.cidrs.join(" ")),
            Body::Secret(secret) => format!("secret {}/{}", secret.namespace, secret.name),
        },
        Ok(DocumentContent::Foreign(problem)) => problem.message.clone(),
        Err(refused) => refused.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    };
    split(text).iter().map(|document| format!("{}: {}", document.line, what(document))).collect()
}

fn endpoint(text: &str) -> proto::Endpoint {
    let content = split(text).remove(0).content;
    let Ok(DocumentContent::Resource(resource)) = content else { panic!("{text}\n{content:?}") };
    let Some(Body::Endpoint(endpoint)) = resource.body else { panic!("no endpoint") };
    endpoint
}

const POLICY: &str = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec: {}\n";

#[test]
fn documents_begin_where_they_begin() {
    assert_eq!(told(POLICY), ["1: policy of 4 lines"]);
    assert_eq!(told(&format!("---\n{POLICY}")), ["1: policy of 5 lines"]);
    assert_eq!(
        told(&format!("# about it\n\n---\n{POLICY}---\n---\n# nothing\n---\n{POLICY}")),
        ["1: policy of 7 lines", "11: policy of 5 lines"]
    );
    assert_eq!(
        told(&format!("%YAML 1.2\n---\n{POLICY}...\n# between\n{POLICY}")),
        ["1: policy of 7 lines", "8: policy of 5 lines"]
    );
    assert_eq!(told(&format!("\u{feff}{}", POLICY.replace('\n', "\r\n"))), ["1: policy of 4 lines"]);
    assert!(told("").is_empty() && told("# only words\n").is_empty() && told("---\n---\n").is_empty());
}

#[test]
fn one_broken_document_holds_up_no_other() {
    let told = told(&format!("a: [\n---\n{POLICY}---\na: 1\na: 2\n"));
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("1: 1:4: cannot be read"), "{told:?}");
    assert_eq!(told[1], "2: policy of 5 lines");
    assert!(told[2].starts_with("7: 3:1: cannot be read"), "{told:?}");
}

#[test]
fn a_list_is_unrolled_and_every_item_keeps_its_place() {
    let list = "apiVersion: v1\nkind: List\nitems:\n\
                - apiVersion: cilium.io/v2\n  kind: CiliumNetworkPolicy\n  metadata:\n    name: p\n  spec:\n    \
                description: |\n      text\n\n      more\n# a comment\n    ingress: []\n\
                -   kind: CiliumNetworkPolicy\n    apiVersion: cilium.io/v2\n\
                - {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: \"}\\\"\"}}\n\
                - kind: Gateway\n  apiVersion: v1\nmetadata: {}\n";
    let documents = split(list);
    assert_eq!(
        told(list),
        [
            "4: policy of 11 lines",
            "15: policy of 2 lines",
            "17: policy of 1 lines",
            "18: 1:9: kind: Gateway of v1 is not a resource of ours (known are CiliumNetworkPolicy, \
             CiliumClusterwideNetworkPolicy and CiliumCIDRGroup of cilium.io/v2, NetworkPolicy of \
             networking.k8s.io/v1, NetworkPolicy, ClusterwideNetworkPolicy, Endpoint and Service of portcullis.io/v1, \
             Secret of v1)",
        ]
    );
    let place = documents[0].locate("spec.ingress");
    assert_eq!((documents[0].line + place.line - 1, place.column), (14, 14));
    let Ok(DocumentContent::Resource(resource)) = &documents[0].content else { panic!("no resource") };
    let Some(Body::Policy(policy)) = &resource.body else { panic!("no policy") };
    assert!(policy.document.starts_with("  apiVersion: cilium.io/v2\n  kind:"), "{}", policy.document);
}

#[test]
fn a_list_in_json_is_unrolled_too() {
    let list = "{\"kind\": \"CiliumNetworkPolicyList\", \"apiVersion\": \"v1\", \"items\": [\n\
                \t{\"apiVersion\": \"cilium.io/v2\", \"kind\": \"CiliumNetworkPolicy\",\n\
                \t\t\"metadata\": {\"name\": \"it's [}\"}}, {\"apiVersion\": \"cilium.io/v2\", \"kind\": \"CiliumNetworkPolicy\"}\n]}";
    assert_eq!(told(list), ["2: policy of 2 lines", "3: policy of 1 lines"]);
}

#[test]
fn an_item_that_leans_on_the_rest_of_its_list_is_refused() {
    let list = "kind: List\nmetadata: &m {name: p}\nitems:\n- apiVersion: cilium.io/v2\n  kind: CiliumNetworkPolicy\n  metadata: *m\n";
    assert_eq!(
        told(list),
        [
            "1: 4:3: items[0]: cannot be taken out of the list (write it as a document of its own, without anchors from outside)"
        ]
    );
}

#[test]
fn manifests_of_a_walk_through_are_skipped_and_all_else_is_refused() {
    for (version, kind) in [("v1", "Namespace"), ("v1", "Service"), ("apps/v1", "Deployment")] {
        let told = told(&format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n"));
        assert_eq!(told, [format!("1: {kind} of {version} is not a resource of ours: skipped")]);
    }
    for (version, kind, place) in [
        ("v1", "ConfigMap", "1: 2:7: kind"),
        ("apps/v1", "StatefulSet", "1: 2:7: kind"),
        ("networking.k8s.io/v1", "Ingress", "1: 2:7: kind"),
        ("cilium.io/v2alpha1", "CiliumNetworkPolicy", "1: 2:7: kind"),
        ("portcullis.io/v2", "Endpoint", "1: 2:7: kind"),
        ("portcullis.io/v1", "CiliumNetworkPolicy", "1: 2:7: kind"),
        ("cilium.io/v2", "NetworkPolicy", "1: 2:7: kind"),
    ] {
        let told = told(&format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n"));
        assert!(told[0].starts_with(place), "{told:?}");
    }
    assert!(told("kind: Endpoint\n")[0].contains("apiVersion: is missing"));
    assert!(told("a: b\n")[0].contains("kind: is missing"));
    assert!(told("just words\n")[0].contains("kind: is missing"));
}

#[test]
fn an_endpoint_says_who_has_an_address() {
    let read = endpoint(
        "apiVersion: portcullis.io/v1\nkind: Endpoint\n\
         metadata: {name: app-0, namespace: shop, labels: {app: app, 'reserved:host': ''}}\n\
         spec:\n  addresses: [10.0.1.12, \"fd00:1::c\"]\n  cgroup: /system.slice/app.service\n  serviceAccount: robot\n  \
         ports: [{name: http, port: 8080}, {port: 53, protocol: UDP}]\n",
    );
    assert_eq!((read.id.as_str(), read.namespace.as_str(), read.labels.len()), ("app-0", "shop", 2));
    assert_eq!(read.addresses, ["10.0.1.12", "fd00:1::c"]);
    assert_eq!((read.cgroup.as_str(), read.network_namespace.as_str()), ("/system.slice/app.service", ""));
    assert_eq!(read.service_account, "robot");
    assert_eq!(
        (read.ports[0].name.as_str(), read.ports[0].port, read.ports[1].protocol.as_str()),
        ("http", 8080, "UDP")
    );
    let read = endpoint(
        "apiVersion: portcullis.io/v1\nkind: Endpoint\nmetadata: {name: a}\nspec: {addresses: [10.0.0.1], networkNamespace: /run/netns/a}\n",
    );
    assert_eq!((read.namespace.as_str(), read.network_namespace.as_str()), ("default", "/run/netns/a"));
}

#[test]
fn a_service_says_who_is_behind_an_address() {
    let text = "apiVersion: portcullis.io/v1\nkind: Service\nmetadata: {name: app, namespace: shop}\n\
                spec:\n  vips: [10.9.0.1]\n  ports: [{name: http, port: 80, targetPort: 8080, protocol: TCP}, {port: 53}]\n  \
                backends: [10.0.1.12]\n";
    let Ok(DocumentContent::Resource(resource)) = split(text).remove(0).content else { panic!("no resource") };
    let Some(Body::Service(service)) = resource.body else { panic!("no service") };
    assert_eq!((service.vips.len(), service.backends.len()), (1, 1));
    assert_eq!((service.ports[0].port, service.ports[0].target_port, service.ports[1].target_port), (80, 8080, 0));
}

#[test]
fn endpoints_and_services_are_refused_at_the_place_of_their_fault() {
    let endpoint =
        |spec: &str| format!("apiVersion: portcullis.io/v1\nkind: Endpoint\nmetadata: {{name: a}}\nspec: {{{spec}}}\n");
    let service = |spec: &str| endpoint(spec).replace("Endpoint", "Service");
    let table = [
        (endpoint(""), "4:7: spec.addresses: is empty"),
        (endpoint("addresses: [10.0.0.256]"), "4:20: spec.addresses[0]: \"10.0.0.256\" is no address"),
        (endpoint("addresses: [10.0.0.0/24]"), "4:20: spec.addresses[0]: \"10.0.0.0/24\" is no address"),
        (
            endpoint("addresses: ['::ffff:10.0.0.1']"),
            "4:20: spec.addresses[0]: ::ffff:10.0.0.1 is an IPv4-mapped address",
        ),
        (endpoint("addresses: [0.0.0.0]"), "4:20: spec.addresses[0]: 0.0.0.0 cannot be the address of an endpoint"),
        (endpoint("addresses: ['fd00::1', 'fd00:0::1']"), "4:31: spec.addresses[1]: fd00:0::1 is there twice"),
        (
            endpoint("addresses: [10.0.0.1], networkNamespace: netns/a"),
            "4:49: spec.networkNamespace: \"netns/a\" is no absolute path",
        ),
        (endpoint("addresses: [10.0.0.1], cgroup: /a/../b"), "4:39: spec.cgroup: \"/a/../b\" is no absolute path"),
        (
            endpoint("addresses: [10.0.0.1], cgroup: /a, networkNamespace: /b"),
            "4:39: spec.cgroup: is there beside networkNamespace",
        ),
        (endpoint("addresses: [10.0.0.1], ports: [{port: 0}]"), "4:46: spec.ports[0].port: 0 is out of range"),
        (endpoint("addresses: [10.0.0.1], ports: [{port: 70000}]"), "4:46: spec.ports[0].port: 70000 is out of range"),
        (endpoint("addresses: [10.0.0.1], ports: [{name: a}]"), "4:39: spec.ports[0].port: is missing"),
        (
            endpoint("addresses: [10.0.0.1], ports: [{port: 1, protocol: tcp}]"),
            "4:59: spec.ports[0].protocol: unknown protocol \"tcp\"",
        ),
        (endpoint("addresses: [10.0.0.1], netns: /a"), "4:31: spec.netns: unknown field"),
        (
            endpoint("addresses: [10.0.0.1]").replace("name: a", "name: a, labels: {'a b': c}"),
            "3:37: metadata.labels.a b: \"a b\" is no key of a label",
        ),
        (service("vips: [10.0.0.1, 10.0.0.1]"), "4:25: spec.vips[1]: 10.0.0.1 is there twice"),
        (service("backends: [a]"), "4:19: spec.backends[0]: \"a\" is no address"),
        (
            service("ports: [{port: 80}, {port: 80, targetPort: 1}]"),
            "4:28: spec.ports[1]: port 80 of this protocol is there twice",
        ),
        (
            service("ports: [{port: 80, targetPort: http}]"),
            "4:39: spec.ports[0].targetPort: has to be a whole number, but is a string",
        ),
    ];
    for (text, expected) in table {
        let told = told(&text);
        assert!(told[0].starts_with(&format!("1: {expected}")), "{expected}\n{told:?}");
        assert!(told[0].ends_with(')'), "a remedy: {told:?}");
    }
}

#[test]
fn a_policy_may_be_of_a_kind_of_our_own() {
    let own = POLICY.replace("cilium.io/v2", "portcullis.io/v1").replace("CiliumNetwork", "Network");
    assert_eq!(told(&own), ["1: policy of 4 lines"]);
    let key = |text: &str| {
        let Ok(DocumentContent::Resource(resource)) = split(text).remove(0).content else { panic!("no resource") };
        let key = documents::key(&resource).unwrap();
        (key.namespace, key.name)
    };
    assert_eq!(key(&own), ("default".to_owned(), "p".to_owned()), "the same name as of Cilium's kind");
    assert_eq!(key(&own), key(POLICY));
    let clusterwide = own.replace("kind: Network", "kind: ClusterwideNetwork");
    assert_eq!(key(&clusterwide), (String::new(), "p".to_owned()));
    let check = |text: &str| check_policy(text, &[], &PolicySettings::default());
    let sound = |text: &str| text.replace("{}", "{endpointSelector: {}, ingress: [{fromEntities: [all]}]}");
    assert!(check(&sound(&own)).is_empty() && check(&sound(&clusterwide)).is_empty(), "{:?}", check(&sound(&own)));
    let crossed = check(&sound(&own).replace("portcullis.io/v1", "cilium.io/v2"));
    assert_eq!(
        crossed[0].to_string(),
        "2:7: kind: unknown value \"NetworkPolicy\" (write CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy)"
    );
    let named = check(&sound(&clusterwide).replace("name: p", "name: p, namespace: shop"));
    assert!(named[0].message.contains("has no namespace"), "{named:?}");
}

#[test]
fn groups_and_secrets_are_read() {
    let group = "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {name: office}\n\
                 spec: {externalCIDRs: [192.0.2.0/24, '2001:db8::/32']}\n";
    assert_eq!(told(group), ["1: group office of 192.0.2.0/24 2001:db8::/32"]);
    assert_eq!(told(&group.replace("io/v2", "io/v2alpha1")), ["1: group office of 192.0.2.0/24 2001:db8::/32"]);
    let refused = [
        ("name: office", "name: office, namespace: a", "3:37: metadata.namespace: a CIDR group has no namespace"),
        ("192.0.2.0/24", "192.0.2.0", "4:24: spec.externalCIDRs[0]: unable to parse CIDR \"192.0.2.0\""),
        ("192.0.2.0/24", "10", "4:24: spec.externalCIDRs[0]: has to be a string, but is a number"),
        ("externalCIDRs", "cidrs", "4:7: spec.externalCIDRs: is missing"),
    ];
    for (old, new, fault) in refused {
        let told = told(&group.replace(old, new));
        assert!(told[0].starts_with(&format!("1: {fault}")), "{fault}\n{told:?}");
    }
    let text = "apiVersion: v1\nkind: Secret\ntype: Opaque\nmetadata: {name: token, namespace: shop}\n\
                data: {a: aHVudGVyMg==, b: bm90IHRoaXM=}\nstringData: {b: swordfish}\n";
    assert_eq!(told(text), ["1: secret shop/token"]);
    let Ok(DocumentContent::Resource(resource)) = split(text).remove(0).content else { panic!("no resource") };
    let Some(Body::Secret(secret)) = resource.body else { panic!("no secret") };
    assert_eq!((secret.data["a"].as_slice(), secret.data["b"].as_slice()), (&b"hunter2"[..], &b"swordfish"[..]));
}

#[test]
fn what_is_wrong_with_a_secret_is_told_without_its_value() {
    let secret = |rest: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: token}}\n{rest}\n");
    let table = [
        (secret("data: {a: hunter2}"), "1: 4:11: data.a: is no base64"),
        (secret("data: {a: 7711}"), "1: 4:11: data.a: has to be a string"),
        (secret("stringData: {a: 7711}"), "1: 4:17: stringData.a: has to be a string"),
        (secret("stringData: {a: [hunter2]}"), "1: 4:17: stringData.a: has to be a string"),
        (secret("stringData: hunter2"), "1: 4:13: stringData: has to be a mapping"),
        (secret("stringdata: {a: hunter2}"), "1: 4:1: stringdata: unknown field"),
        (secret("stringData: {a: hunter2"), "1: "),
        (secret("stringData: {a: \"hunter2}"), "1: "),
        (secret("stringData: {a: hunter2, a: hunter2}"), "1: "),
        (secret("stringData: {a: *hunter2}"), "1: "),
    ];
    for (text, fault) in table {
        let told = told(&text);
        assert!(told[0].starts_with(fault) && !told[0].contains("secret default/token"), "{fault}\n{told:?}");
        // The name of an anchor is no value.
        let leaks = told[0].contains("hunter2") && !text.contains("*hunter2");
        assert!(!leaks && !told[0].contains("7711"), "{told:?}");
    }
}

#[test]
fn the_same_content_has_the_same_version() {
    let version = |text: &str| {
        let Ok(DocumentContent::Resource(resource)) = split(text).remove(0).content else { panic!("no resource") };
        resource.version
    };
    assert_eq!(version(POLICY), version(POLICY));
    assert_ne!(version(POLICY), version(&POLICY.replace("{}", "{ }")));
}

/// Every text that is one character away from a sound one: it is read or refused, at a place that is there.
#[test]
fn no_slip_makes_the_reader_panic() {
    let text = "kind: List\nitems:\n- apiVersion: cilium.io/v2\n  kind: CiliumNetworkPolicy\n  metadata: {name: p}\n  \
                spec:\n    endpointSelector: {matchLabels: {a: b}}\n    ingress: [{fromCIDR: [10.0.0.0/8]}]\n---\n\
                {\"apiVersion\": \"portcullis.io/v1\", \"kind\": \"Endpoint\", \"metadata\": {\"name\": \"e\"},\n \
                \"spec\": {\"addresses\": [\"fd00::1\"], \"ports\": [{\"port\": 80}]}}\n";
    assert_eq!(told(text), ["3: policy of 6 lines", "9: endpoint default/e"]);
    let check = |text: &str| {
        let lines = u32::try_from(text.lines().count()).unwrap() + 1;
        for document in split(text) {
            assert!(document.line <= lines);
            let problems = match document.content {
                Ok(DocumentContent::Resource(resource)) => match resource.body.unwrap() {
                    Body::Policy(policy) => check_policy(&policy.document, &[], &PolicySettings::default()),
                    _ => Vec::new(),
                },
                Ok(DocumentContent::Foreign(problem)) => vec![problem],
                Err(refused) => refused.problems,
            };
            assert!(problems.iter().all(|problem| document.line + problem.position.line <= lines + 1), "{problems:?}");
        }
    };
    for (offset, character) in text.char_indices() {
        let (before, after) = (&text[..offset], &text[offset + character.len_utf8()..]);
        for between in ["", "\n", "{", ": ", "\"", "*a "] {
            check(&format!("{before}{between}{after}"));
        }
    }
}

#[test]
fn policies_of_kubernetes_are_resources_of_a_type_of_their_own() {
    let both = format!("{POLICY}---\n{}", POLICY.replace("cilium.io/v2", "networking.k8s.io/v1").replace("Cilium", ""));
    let keys: Vec<_> = split(&both)
        .into_iter()
        .map(|document| match document.content {
            Ok(DocumentContent::Resource(resource)) => documents::key(&resource).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    let told: Vec<_> = keys.iter().map(|key| (key.r#type(), key.namespace.as_str(), key.name.as_str())).collect();
    assert_eq!(
        told,
        [(proto::ResourceType::Policy, "default", "p"), (proto::ResourceType::NetworkPolicy, "default", "p")]
    );
}

/// Whoever passes over one lets pass what it denies.
#[test]
fn policies_of_kubernetes_that_are_not_understood_are_refused_by_name() {
    for (version, kind) in [
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"),
        ("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy"),
        ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"),
    ] {
        let told = told(&format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{}}\n"));
        let [told] = told.as_slice() else { panic!("{told:?}") };
        assert!(told.contains(&format!("kind: {kind} of {version} is not a resource of ours")), "{told}");
        assert!(told.contains("write a CiliumClusterwideNetworkPolicy"), "{told}");
    }
}
