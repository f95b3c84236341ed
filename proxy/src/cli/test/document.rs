//! The written form of a policy test: `kind: PolicyTest`.

use std::{collections::BTreeMap, fmt, marker::PhantomData, path::PathBuf};

use portcullis_rules::verdict::Outcome;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_saphyr::Spanned;

/// One document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestDocument {
    /// `portcullis.io/v1`; told before.
    #[serde(rename = "apiVersion")]
    _version: String,
    /// `PolicyTest`; told before.
    #[serde(rename = "kind")]
    _kind: String,
    /// Its name.
    #[serde(default)]
    pub metadata: TestMetadata,
    /// What it says.
    pub spec: Spec,
}

/// `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestMetadata {
    /// Name, for reports; without it the file's.
    #[serde(default)]
    pub name: Option<String>,
    /// The namespace of endpoints that name none; without it `default`.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// `spec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// Files and directories of policies and other resources, from the directory of the test.
    #[serde(default)]
    pub policies: Vec<PathBuf>,
    /// A settings file, from the directory of the test.
    #[serde(default)]
    pub settings_file: Option<PathBuf>,
    /// Settings; they go before those of the settings file.
    #[serde(default)]
    pub settings: Settings,
    /// Endpoints by name.
    #[serde(default)]
    pub endpoints: BTreeMap<String, TestEndpoint>,
    /// Labels of namespaces.
    #[serde(default)]
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Names that have been resolved, with their addresses.
    #[serde(default)]
    pub names: BTreeMap<String, Vec<std::net::IpAddr>>,
    /// The questions.
    pub tests: Vec<Spanned<Case>>,
}

/// `spec.settings`, as in the settings file.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Which endpoints have policy enforced.
    #[serde(default)]
    pub enforcement: Option<TestEnforcement>,
    /// How denied requests are answered.
    #[serde(default)]
    pub deny_with: Option<TestDenyWith>,
    /// The node's own address may open connections to its endpoints.
    #[serde(default)]
    pub allow_localhost: Option<bool>,
    /// Policies may name protocols without ports.
    #[serde(default, rename = "enableExtendedIPProtocols")]
    pub extended_ip_protocols: Option<bool>,
    /// Deviations from Cilium.
    #[serde(default)]
    pub deviations: TestDeviations,
}

/// Enforcement modes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words of the settings file")]
pub enum TestEnforcement {
    Default,
    Always,
    Never,
}

/// Answers to denied requests.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words of the settings file")]
pub enum TestDenyWith {
    Reset,
    Respond,
}

/// Deviations from Cilium; those that are not there are as the settings file has them.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the words of the settings file")]
pub struct TestDeviations {
    #[serde(default)]
    pub empty_rule_allows: Option<bool>,
    #[serde(default)]
    pub l7_binds_beside_l4: Option<bool>,
    #[serde(default)]
    pub kube_dns_entity: Option<bool>,
    #[serde(default)]
    pub names_without_dns_rule: Option<bool>,
    #[serde(default)]
    pub l7_on_nodes: Option<bool>,
}

/// One endpoint.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestEndpoint {
    /// Namespace; without it that of the document.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Labels, as on the pod.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Service account.
    #[serde(default)]
    pub service_account: String,
    /// Addresses; without any it gets one that nobody else has.
    #[serde(default)]
    pub addresses: Vec<std::net::IpAddr>,
    /// Named TCP ports.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
}

/// One question with the answer that is expected.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// What it holds, as a sentence.
    pub name: String,
    /// Who opens the connection.
    #[serde(default)]
    pub from: Option<Party>,
    /// To whom.
    #[serde(default)]
    pub to: Option<Party>,
    /// Port.
    #[serde(default)]
    pub port: Option<Port>,
    /// Whose policy is asked: that of the opener's egress, that of the other side's ingress, or both.
    #[serde(default)]
    pub direction: Option<TestDirection>,
    /// What comes of it.
    #[serde(default)]
    pub expect: Option<Flexible<Expect>>,
    /// What is said on the connection, in the words of a protocol.
    #[serde(flatten)]
    pub said: BTreeMap<String, serde_json::Value>,
}

/// Directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words are told at their field")]
pub enum TestDirection {
    Ingress,
    Egress,
}

/// Who stands at one end: the name of an endpoint, an address, `entity:NAME`, `fqdn:NAME`, or labels.
#[derive(Clone, Debug)]
pub enum Party {
    /// One word.
    Word(String),
    /// An endpoint that is nowhere else.
    Endpoint(Box<TestEndpoint>),
}

/// A number of TCP, `53/UDP`, or the name of a port of the endpoint that is connected to.
#[derive(Clone, Debug)]
pub struct Port(pub String);

/// The answer that is expected: `allow`, `deny`, or more of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Whether it passes.
    pub verdict: ExpectedVerdict,
    /// The layer that decides: l3, l4, l7.
    #[serde(default)]
    pub layer: Option<TestLayer>,
    /// The policy that decides, `namespace/name`, or one of its parts.
    #[serde(default)]
    pub policy: Option<String>,
    /// The rule of it, or the beginning of its path.
    #[serde(default)]
    pub rule: Option<String>,
    /// Why: the word of `portcullis monitor` and the metrics, such as `no_match`.
    #[serde(default)]
    pub reason: Option<String>,
    /// What becomes of it: pass, relay, drop, reset, respond.
    #[serde(default)]
    pub how: Option<String>,
}

/// Verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words say it")]
pub enum ExpectedVerdict {
    Allow,
    Deny,
}

impl From<ExpectedVerdict> for Outcome {
    fn from(verdict: ExpectedVerdict) -> Self {
        match verdict {
            ExpectedVerdict::Allow => Self::Allow,
            ExpectedVerdict::Deny => Self::Deny,
        }
    }
}

/// Layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words say it")]
pub enum TestLayer {
    L3,
    L4,
    L7,
}

/// What may be written as one word or as a mapping.
trait WordOrMap<'de>: Sized {
    const WANTED: &'static str;
    fn word(text: &str) -> Result<Self, String>;
    fn map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error>;
}

struct Reader<T>(PhantomData<T>);

impl<'de, T: WordOrMap<'de>> Visitor<'de> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WANTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::word(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::word(&number.to_string()).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::word(&number.to_string()).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::map(map)
    }
}

impl<'de> WordOrMap<'de> for Party {
    const WANTED: &'static str = "an endpoint's name, an address, entity:NAME, fqdn:NAME, or {labels: {KEY: VALUE}}";

    fn word(text: &str) -> Result<Self, String> {
        Ok(Self::Word(text.to_owned()))
    }

    fn map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        TestEndpoint::deserialize(MapAccessDeserializer::new(map)).map(|endpoint| Self::Endpoint(Box::new(endpoint)))
    }
}

impl<'de> WordOrMap<'de> for Port {
    const WANTED: &'static str = "80, 53/UDP, or the name of a port";

    fn word(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }

    fn map<A: MapAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(A::Error::custom(Self::WANTED))
    }
}

impl<'de> Deserialize<'de> for Party {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl<'de, T> Deserialize<'de> for Flexible<T>
where
    Self: WordOrMap<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

/// `Expect` reads its mapping by the derived code, which needs a type of its own.
macro_rules! word_or_map {
    ($type:ident, $wanted:literal, $word:expr) => {
        impl<'de> WordOrMap<'de> for Flexible<$type> {
            const WANTED: &'static str = $wanted;

            fn word(text: &str) -> Result<Self, String> {
                let word: fn(&str) -> Result<$type, String> = $word;
                word(text).map(Flexible)
            }

            fn map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
                $type::deserialize(MapAccessDeserializer::new(map)).map(Flexible)
            }
        }
    };
}

/// A value that may be one word.
#[derive(Clone, Debug)]
pub struct Flexible<T>(pub T);

word_or_map!(Expect, "allow, deny, or {verdict: deny, layer: l7, policy: NAME, reason: WORD}", |text| {
    let verdict = match text {
        "allow" => ExpectedVerdict::Allow,
        "deny" => ExpectedVerdict::Deny,
        _ => return Err(format!("unknown verdict `{text}`: write allow or deny")),
    };
    Ok(Expect { verdict, layer: None, policy: None, rule: None, reason: None, how: None })
});
