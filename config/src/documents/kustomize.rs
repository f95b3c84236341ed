//! What a `kustomization.yaml` says of the documents of its directory.

use super::Document;
use crate::yaml::{Tree, YamlValue};

/// What kustomize makes of other files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kustomization {
    /// The namespace that it gives to what it builds.
    pub namespace: Option<String>,
    /// Files that are parts of documents: patches.
    pub patches: Vec<String>,
}

/// Reads a document that tells kustomize what to build; `None` for every other one.
#[must_use]
pub fn kustomization(document: &Document) -> Option<Kustomization> {
    let (version, kind) = document.kind()?;
    if !version.starts_with("kustomize.config.k8s.io/") || !["Kustomization", "Component"].contains(&kind) {
        return None;
    }
    let tree = document.parsed.as_ref().ok()?;
    let listed = |name: &str| match tree.get(name).map(|tree| &tree.value) {
        Some(YamlValue::List(items)) => items.as_slice(),
        _ => &[],
    };
    let path = |item: &Tree| item.text("path").map(str::to_owned);
    let whole = |item: &Tree| match &item.value {
        YamlValue::Text(text) => Some(text.clone()),
        _ => None,
    };
    let mut patches: Vec<String> = listed("patches").iter().filter_map(path).collect();
    patches.extend(listed("patchesJson6902").iter().filter_map(path));
    patches.extend(listed("patchesStrategicMerge").iter().filter_map(whole));
    Some(Kustomization { namespace: tree.text("namespace").map(str::to_owned), patches })
}
