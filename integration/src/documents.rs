//! The resources of a laboratory as documents.

use serde_json::{Value, json};

use crate::{pod::Pod, services::Service};

/// Labels of a document.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

fn metadata(namespace: &str, name: &str, labels: Labels<'_>) -> Value {
    let labels: serde_json::Map<String, Value> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    json!({ "name": name, "namespace": namespace, "labels": labels })
}

/// The endpoint that a pod is.
#[must_use]
pub fn endpoint(namespace: &str, pod: &Pod, labels: Labels<'_>) -> Value {
    json!({
        "apiVersion": "portcullis.io/v1",
        "kind": "Endpoint",
        "metadata": metadata(namespace, &pod.name, labels),
        "spec": { "addresses": pod.addresses(), "networkNamespace": pod.netns },
    })
}

/// A pod of another node: its address is known, its flows are not judged here.
#[must_use]
pub fn remote(namespace: &str, pod: &Pod, labels: Labels<'_>) -> Value {
    json!({
        "apiVersion": "portcullis.io/v1",
        "kind": "Endpoint",
        "metadata": metadata(namespace, &pod.name, labels),
        "spec": { "addresses": pod.addresses() },
    })
}

/// A service with its backends. Its name is the first part of the one that pods resolve.
#[must_use]
pub fn service(namespace: &str, service: &Service, backends: &[&Pod]) -> Value {
    let name = service.name.split('.').next().unwrap_or_default();
    let backends: Vec<_> = backends.iter().flat_map(|pod| pod.addresses()).collect();
    let port = |protocol| json!({ "port": service.port, "protocol": protocol, "targetPort": service.port });
    json!({
        "apiVersion": "portcullis.io/v1",
        "kind": "Service",
        "metadata": metadata(namespace, name, &[]),
        "spec": {
            "vips": [service.v4.to_string(), service.v6.to_string()],
            "ports": [port("TCP"), port("UDP")],
            "backends": backends,
        },
    })
}

/// A policy; `spec` as in the document.
#[must_use]
pub fn policy(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": { "name": name, "namespace": namespace },
        "spec": spec,
    })
}

/// A group of ranges of addresses.
#[must_use]
pub fn cidr_group(name: &str, cidrs: &[String]) -> Value {
    json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumCIDRGroup",
        "metadata": { "name": name },
        "spec": { "externalCIDRs": cidrs },
    })
}

/// A secret with one entry.
#[must_use]
pub fn secret(namespace: &str, name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": namespace },
        "stringData": { "value": value },
    })
}
