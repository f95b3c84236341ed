//! The set-up that most tests share: two clients, httpbin, and a node.

use portcullis_integration::{
    Lab, Need, Pod,
    documents::{endpoint, policy, service},
    node::Node,
    require,
    servers::Httpbin,
};
use serde_json::{Value, json};

/// The Kubernetes namespace of everything.
pub(crate) const SHOP: &str = "shop";

/// Both families.
pub(crate) const FAMILIES: [bool; 2] = [false, true];

/// Whether this machine can do it.
pub(crate) fn able() -> bool {
    let programs = ["ip", "nft", "curl", "gunicorn"].map(Need::Program);
    let others = [Need::Root, Need::Bpf, Need::Ipv6, Need::PythonModule("httpbin"), Need::Portcullis];
    require(&[&others[..], &programs[..]].concat())
}

/// Fields drop in this order: the laboratory last.
pub(crate) struct Scene {
    pub(crate) node: Node,
    pub(crate) httpbin: Httpbin,
    /// Labelled `app=client`.
    pub(crate) client: Pod,
    /// Labelled `app=other`.
    pub(crate) other: Pod,
    /// Labelled `app=app`; behind the service `app-service.shop`.
    pub(crate) app: Pod,
    pub(crate) lab: Lab,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(&json!({}))
    }

    /// With more settings.
    pub(crate) fn with(settings: &Value) -> Self {
        let mut lab = Lab::new().unwrap();
        let [client, other, app] = ["client", "other", "app"].map(|name| lab.pod(name).unwrap());
        let made = lab.service("app-service.shop", 80, &[&app]).unwrap();
        let httpbin = Httpbin::start(&app).unwrap();
        let node = Node::start(&lab, settings).unwrap();
        let endpoints = [&client, &other, &app].map(|pod| endpoint(SHOP, pod, &[("app", &pod.name)]));
        node.apply(&[&endpoints[..], &[service(SHOP, &made, &[&app])]].concat()).unwrap();
        Self { node, httpbin, client, other, app, lab }
    }

    /// A URL of the application by its own address.
    pub(crate) fn url(&self, v6: bool, path: &str) -> String {
        format!("http://{}{path}", self.app.address(v6, 80))
    }

    pub(crate) fn apply(&self, documents: &[Value]) {
        self.node.apply(documents).unwrap();
    }
}

/// Lets the client make these requests at the application, and nobody else any.
pub(crate) fn ingress(rules: &Value) -> Value {
    policy(
        SHOP,
        "app-http",
        &json!({
            "endpointSelector": { "matchLabels": { "app": "app" } },
            "ingress": [{
                "fromEndpoints": [{ "matchLabels": { "app": "client" } }],
                "toPorts": [{ "ports": [{ "port": "80", "protocol": "TCP" }], "rules": { "http": rules } }],
            }],
        }),
    )
}

/// Lets the client make these requests to the application, and connect to nothing else.
pub(crate) fn egress(rules: &Value) -> Value {
    policy(
        SHOP,
        "client-http",
        &json!({
            "endpointSelector": { "matchLabels": { "app": "client" } },
            "egress": [{
                "toEndpoints": [{ "matchLabels": { "app": "app" } }],
                "toPorts": [{ "ports": [{ "port": "80", "protocol": "TCP" }], "rules": { "http": rules } }],
            }],
        }),
    )
}
