//! Labels and selectors (pkg/labels, pkg/policy/api/selector.go).

/// A set of labels with their sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels {}

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

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.source, self.key)?;
        if self.value.is_empty() { Ok(()) } else { write!(f, "={}", self.value) }
    }
}

impl Labels {
    /// The labels of a pod: its own (a key may carry its source, as in `reserved:host`), and those that Cilium derives
    /// (`io.kubernetes.pod.namespace`, `io.cilium.k8s.policy.cluster`, `io.cilium.k8s.policy.serviceaccount`).
    #[must_use]
    pub fn of_pod(_namespace: &str, _service_account: &str, _labels: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {}
    }

    /// All labels, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Label> {
        std::iter::empty()
    }
}
