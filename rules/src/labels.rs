//! Labels and selectors (cilium pkg/labels, pkg/policy/api/selector.go).

use std::fmt;

/// Key of the label that carries a pod's namespace.
pub const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Key of the label that carries the cluster's name.
pub const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
/// Key of the label that carries a pod's service account.
pub const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";
/// Name of the cluster that policies are of, and endpoints that name none.
pub const DEFAULT_CLUSTER: &str = "default";
/// Prefix of the keys of a namespace's own labels.
pub const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
/// Source of labels that no pod can give itself.
const RESERVED: &str = "reserved";

/// One label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// Source: `k8s`, `reserved`, `cidr`.
    pub source: String,
    /// Key.
    pub key: String,
    /// Value; may be empty.
    pub value: String,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.key)?;
        if self.value.is_empty() { Ok(()) } else { write!(f, "={}", self.value) }
    }
}

/// A set of labels with their sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelSet {
    labels: Vec<Label>,
}

/// A key as written: `source:key`, or `key` for any source.
fn split_key(key: &str) -> (Option<&str>, &str) {
    match key.split_once(':') {
        Some(("any", key)) => (None, key),
        Some((source, key)) => (Some(source), key),
        None => (None, key),
    }
}

impl LabelSet {
    /// Labels as they are.
    pub fn new(labels: impl IntoIterator<Item = Label>) -> Self {
        let mut labels: Vec<Label> = labels.into_iter().collect();
        labels.sort();
        labels.dedup();
        Self { labels }
    }

    /// The labels of a pod: its own (a key may carry its source, as in `reserved:host`), and those that Cilium derives
    /// (`io.kubernetes.pod.namespace`, `io.cilium.k8s.policy.cluster`, `io.cilium.k8s.policy.serviceaccount`). A cluster that
    /// is named is kept: the pod is of another one. Who has a reserved label is no pod, and gets none of these.
    #[must_use]
    pub fn of_pod(namespace: &str, service_account: &str, labels: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut all: Vec<Label> = labels
            .into_iter()
            .map(|(key, value)| {
                let (source, key) = split_key(&key);
                Label { source: source.unwrap_or("k8s").to_owned(), key: key.to_owned(), value }
            })
            .collect();
        if !all.iter().any(|label| label.source == RESERVED) {
            let account = if service_account.is_empty() { "default" } else { service_account };
            let elsewhere = all.iter().any(|label| label.source == "k8s" && label.key == CLUSTER);
            let cluster = Some((CLUSTER, DEFAULT_CLUSTER)).filter(|_| !elsewhere);
            for (key, value) in [(NAMESPACE, namespace), (SERVICE_ACCOUNT, account)].into_iter().chain(cluster) {
                all.retain(|label| label.key != key);
                all.push(Label { source: "k8s".to_owned(), key: key.to_owned(), value: value.to_owned() });
            }
        }
        Self::new(all)
    }

    /// The labels of a pod as [`LabelSet::of_pod`] makes them, with those of its namespace
    /// (`io.cilium.k8s.namespace.labels.KEY`) and the name of the namespace among them, as Kubernetes sets it.
    #[must_use]
    pub fn of_pod_in<'a>(
        namespace: &'a str,
        namespace_labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        service_account: &str,
        labels: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let pod = Self::of_pod(namespace, service_account, labels);
        if pod.labels.iter().any(|label| label.source == RESERVED) {
            return pod;
        }
        let named = [("kubernetes.io/metadata.name", namespace)];
        let mut labels = pod.labels;
        for (key, value) in namespace_labels.into_iter().chain(named) {
            let key = format!("{NAMESPACE_LABELS}{key}");
            labels.retain(|label| label.key != key);
            labels.push(Label { source: "k8s".to_owned(), key, value: value.to_owned() });
        }
        Self::new(labels)
    }

    /// All labels, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Label> {
        self.labels.iter()
    }

    /// Whether a reserved label is there.
    #[must_use]
    pub fn has_reserved(&self, key: &str) -> bool {
        self.labels.iter().any(|label| label.source == RESERVED && label.key == key)
    }

    /// Whether they are of an address outside the cluster.
    #[must_use]
    pub fn has_world(&self) -> bool {
        ["world", "world-ipv4", "world-ipv6"].into_iter().any(|key| self.has_reserved(key))
    }

    /// Whether there is a label of this key, from any source.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.labels.iter().any(|label| label.key == key)
    }

    /// The value of a label from any source.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|label| label.key == key).map(|label| label.value.as_str())
    }
}

/// A label selector as written: `matchLabels` and `matchExpressions`, ANDed. Without either it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    /// `matchLabels`, then `matchExpressions`.
    pub requirements: Vec<Requirement>,
}

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// Key as written, with a source prefix such as `k8s:` where there is one.
    pub key: String,
    /// What is asked of it.
    pub operator: Operator,
    /// Values for `In` and `NotIn`; one for a `matchLabels` item, which is `In`.
    pub values: Vec<String>,
}

/// Operator of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

impl Requirement {
    fn is(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), operator: Operator::In, values: vec![value.to_owned()] }
    }

    pub(crate) fn key(&self) -> &str {
        split_key(&self.key).1
    }

    /// Whether it asks for what is not there: `NotIn`, `DoesNotExist`.
    pub(crate) fn is_negative(&self) -> bool {
        matches!(self.operator, Operator::NotIn | Operator::DoesNotExist)
    }

    /// What it asks for, or asks not to be there: with `In` for `NotIn`, and `Exists` for `DoesNotExist`.
    pub(crate) fn asserted(&self) -> Self {
        let operator = match self.operator {
            Operator::In | Operator::NotIn => Operator::In,
            Operator::Exists | Operator::DoesNotExist => Operator::Exists,
        };
        Self { operator, ..self.clone() }
    }

    pub(crate) fn matches(&self, labels: &LabelSet) -> bool {
        let (source, key) = split_key(&self.key);
        let mut found = labels
            .iter()
            .filter(|label| label.key == key && source.is_none_or(|source| source == label.source))
            .peekable();
        match self.operator {
            Operator::In => found.any(|label| self.values.contains(&label.value)),
            Operator::NotIn => !found.any(|label| self.values.contains(&label.value)),
            Operator::Exists => found.peek().is_some(),
            Operator::DoesNotExist => found.peek().is_none(),
        }
    }
}

impl fmt::Display for Selector {
    /// Equal selectors look equal, in whatever order they were written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |requirement: &Requirement| {
            let (source, key) = split_key(&requirement.key);
            let mut values = requirement.values.clone();
            values.sort_unstable();
            let key = format!("{}:{key}", source.unwrap_or("any"));
            let values = values.join("|");
            match requirement.operator {
                Operator::In => format!("{key}={values}"),
                Operator::NotIn => format!("{key}!={values}"),
                Operator::Exists => key,
                Operator::DoesNotExist => format!("!{key}"),
            }
        };
        let mut words: Vec<String> = self.requirements.iter().map(word).collect();
        words.sort_unstable();
        f.write_str(&words.join(","))
    }
}

impl Selector {
    /// Whether labels satisfy every requirement.
    #[must_use]
    pub fn matches(&self, labels: &LabelSet) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// The selector of a policy's subject. A namespaced policy is bound to its namespace, whatever the selector says
    /// of namespaces (pkg/k8s/apis/cilium.io/utils, `getEndpointSelector`).
    #[must_use]
    pub fn for_subject(&self, namespace: Option<&str>) -> Self {
        let mut bound = self.clone();
        if let Some(namespace) = namespace {
            bound.requirements.retain(|requirement| requirement.key() != NAMESPACE);
            bound.requirements.push(Requirement::is(&format!("k8s:{NAMESPACE}"), namespace));
        }
        bound
    }

    /// The selector of nodes as peers: those of other nodes (`fromNodes`, `toNodes`).
    #[must_use]
    pub fn for_nodes(&self) -> Self {
        let mut bound = self.clone();
        let key = format!("{RESERVED}:remote-node");
        bound.requirements.push(Requirement { key, operator: Operator::Exists, values: Vec::new() });
        bound
    }

    /// The selector of a peer: bound to the policy's namespace (for a cluster-wide policy: to pods) and to this cluster,
    /// unless it says something of these or names a reserved label.
    #[must_use]
    pub fn for_peer(&self, namespace: Option<&str>) -> Self {
        let mut bound = self.clone();
        let names = |wanted: &dyn Fn(&str) -> bool| self.requirements.iter().any(|r| wanted(r.key()));
        let reserved = self.requirements.iter().any(|r| split_key(&r.key).0 == Some(RESERVED));
        if reserved {
            return bound;
        }
        if !names(&|key| key == NAMESPACE || key.starts_with(NAMESPACE_LABELS)) {
            let key = format!("k8s:{NAMESPACE}");
            bound.requirements.push(match namespace {
                Some(namespace) => Requirement::is(&key, namespace),
                None => Requirement { key, operator: Operator::Exists, values: Vec::new() },
            });
        }
        if !names(&|key| key == CLUSTER) {
            bound.requirements.push(Requirement::is(&format!("k8s:{CLUSTER}"), DEFAULT_CLUSTER));
        }
        bound
    }
}
