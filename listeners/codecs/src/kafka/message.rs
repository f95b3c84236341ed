//! A request built from a command-line question, judged as the relay judges one on the wire.

use std::borrow::Cow;

use portcullis_rules::{
    request::{FieldValue, Request},
    schema::{FieldIndex, Schema},
};

use super::{
    Violation, api,
    denial::divides,
    fields::{API_KEY, API_VERSION, CLIENT_ID, GROUP, OPERATION, ROLE, SCHEMA, TOPIC, TRANSACTIONAL_ID},
    layout::{Layout, request},
    words,
};

/// The first version of OffsetFetch that asks for the offsets of all topics by naming none.
const OFFSETS_OF_ALL: i16 = 2;

/// A request.
#[derive(Clone, Debug)]
pub struct KafkaRequest {
    key: i16,
    version: i16,
    layout: Option<&'static Layout>,
    replica: bool,
    /// The number with the letter behind it.
    role: String,
    key_text: String,
    version_text: String,
    client: Option<String>,
    topics: Vec<String>,
    groups: Vec<String>,
    transactional_ids: Vec<String>,
}

impl KafkaRequest {
    /// A request of a kind and version, from a client about topics. A client that names itself with the empty string counts as
    /// one without a name.
    #[must_use]
    pub fn new(key: i16, version: i16, client: &str, topics: Vec<String>) -> Self {
        let (key_text, version_text) = (key.to_string(), version.to_string());
        let client = (!client.is_empty()).then(|| client.to_owned());
        let (groups, transactional_ids, role) = (Vec::new(), Vec::new(), String::new());
        let layout = request(key);
        Self {
            key,
            version,
            layout,
            replica: false,
            role,
            key_text,
            version_text,
            client,
            topics,
            groups,
            transactional_ids,
        }
        .with_role()
    }

    /// One that names groups.
    #[must_use]
    pub fn of_groups(self, groups: Vec<String>) -> Self {
        Self { groups, ..self }
    }

    /// One that names transactional ids. One that looks for a coordinator looks for that of a transaction then.
    #[must_use]
    pub fn of_transactions(self, transactional_ids: Vec<String>) -> Self {
        Self { transactional_ids, ..self }.with_role()
    }

    /// One that a broker sends for a replica.
    #[must_use]
    pub fn of_replica(self) -> Self {
        Self { replica: true, ..self }.with_role()
    }

    fn with_role(self) -> Self {
        let variety = api::variety(self.key, self.version, self.replica, self.transaction()).map(char::from);
        Self { role: self.key.to_string() + &String::from_iter(variety), ..self }
    }

    fn transaction(&self) -> bool {
        self.key == api::FIND_COORDINATOR && !self.transactional_ids.is_empty()
    }

    /// What the relay does not let pass of it, whatever the rules say.
    ///
    /// # Errors
    /// Its kind or version is not known, or the bytes behind it could not be judged.
    pub fn check(&self) -> Result<(), Violation> {
        let layout = self.layout.ok_or(Violation::UnknownRequest)?;
        match (self.key, self.version) {
            (api::SASL_HANDSHAKE, 0) => Err(Violation::UnframedTokens),
            // It is judged, and answered by the relay.
            (api::API_VERSIONS, _) => Ok(()),
            (_, version) if !layout.versions.contains(version) => Err(Violation::UnknownVersion),
            _ => Ok(()),
        }
    }

    fn values(&self, field: FieldIndex) -> &[String] {
        match field.0 {
            TOPIC => &self.topics,
            GROUP => &self.groups,
            TRANSACTIONAL_ID => &self.transactional_ids,
            _ => &[],
        }
    }
}

impl Request for KafkaRequest {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, field: FieldIndex, _: &str) -> FieldValue<'_> {
        let value = match field.0 {
            ROLE | OPERATION => Some(&self.role),
            API_KEY => Some(&self.key_text),
            API_VERSION => Some(&self.version_text),
            CLIENT_ID => self.client.as_ref(),
            _ => self.values(field).first(),
        };
        value.map_or(FieldValue::Absent, |value| FieldValue::Value(Cow::Borrowed(value.as_bytes())))
    }

    fn shown(&self, field: FieldIndex) -> Option<Cow<'_, [u8]>> {
        match (self.field(field, ""), field.0) {
            (_, API_KEY) => Some(words::shown(self.key)),
            (FieldValue::Value(value), _) => Some(value),
            (FieldValue::Absent | FieldValue::Ambiguous(_), _) => None,
        }
    }

    fn count(&self, field: FieldIndex) -> Option<usize> {
        let named = self.values(field).len();
        let concerned = match field.0 {
            // Naming none means all of them in the one, in the others a session without any.
            TOPIC if named == 0 && self.key != api::METADATA && api::may_want_nothing(self.key) => false,
            TOPIC => self.layout.is_some_and(|layout| api::concerns_topics(layout, named)),
            GROUP => api::concerns_groups(self.key, self.transaction()),
            TRANSACTIONAL_ID => api::concerns_transactions(self.key, self.transaction(), named),
            _ => false,
        };
        concerned.then_some(named)
    }

    fn each(&self) -> Option<FieldIndex> {
        let _ = api::each(self.key, self.version)?;
        let several = self.key != api::OFFSET_FETCH || self.groups.len() > 1;
        let field = if self.transactional_ids.is_empty() { GROUP } else { TRANSACTIONAL_ID };
        several.then_some(FieldIndex(field)).filter(|field| !self.values(*field).is_empty())
    }

    fn has_parts(&self) -> bool {
        // A group's topics are a list of their own.
        let topics = !self.topics.is_empty() && self.layout.is_some_and(|layout| divides(layout, self.version));
        self.each().is_some() || self.groups.len() <= 1 && topics
    }

    fn lists(&self) -> Option<FieldIndex> {
        let names_some = self.key == api::OFFSET_FETCH && self.version < OFFSETS_OF_ALL;
        let field = match self.key {
            key if api::lists_groups(key) => GROUP,
            key if api::lists_transactions(key) => TRANSACTIONAL_ID,
            key if self.topics.is_empty() && !names_some && api::lists_topics(key) => TOPIC,
            _ => return None,
        };
        Some(FieldIndex(field))
    }

    fn nth(&self, field: FieldIndex, number: usize) -> &[u8] {
        self.values(field).get(number).map_or(b"", |value| value.as_bytes())
    }
}
