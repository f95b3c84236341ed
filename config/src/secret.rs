//! Checks pushed secrets and converts them for the rules, which compare headers with them. No message ever contains
//! the value of a secret.

use std::fmt;

use portcullis_rules::{effects::is_value, world};

use crate::{endpoint::or_default, metadata::name_problem, problem::DocumentProblem, proto};

/// Largest secret, in bytes of all its values: Kubernetes' own limit.
const LARGEST: usize = 1 << 20;
const REMEDY: &str = "rules that name it match nothing; give it one entry whose value a header can have";

/// What is known of a secret.
#[derive(Debug)]
pub(crate) struct KnownSecret {
    /// What headers are compared with; `None` where they cannot be.
    pub(crate) secret: Option<world::Secret>,
    /// Why they cannot be, as a warning.
    pub(crate) doubt: Option<DocumentProblem>,
}

/// Checks a secret.
///
/// # Errors
/// What is wrong, with the fields of its document.
pub(crate) fn read(secret: &proto::Secret) -> Result<KnownSecret, Vec<DocumentProblem>> {
    let namespace = or_default(&secret.namespace);
    let mut problems = Vec::new();
    problems.extend(name_problem("metadata.name", &secret.name));
    problems.extend(name_problem("metadata.namespace", namespace));
    let size: usize = secret.data.values().map(Vec::len).sum();
    if size > LARGEST {
        problems.push(DocumentProblem::new("data", format!("{size} bytes are too many"), "a secret has at most 1 MiB"));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let name = format!("{namespace}/{}", secret.name);
    Ok(match value(secret) {
        Ok(value) => KnownSecret { secret: Some(world::Secret { name, value }), doubt: None },
        Err(fault) => {
            let message = format!("no header can be compared with it: {fault}");
            KnownSecret { secret: None, doubt: Some(DocumentProblem::new("data", message, REMEDY).as_warning()) }
        }
    })
}

/// The only value of a secret (Cilium takes secrets with a single entry), if a header can have it. An empty one would
/// match whatever a header says, so it counts as none.
fn value(secret: &proto::Secret) -> Result<String, &'static str> {
    let mut values = secret.data.values();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(if secret.data.is_empty() { "it has no entry" } else { "it has several entries" });
    };
    let text = std::str::from_utf8(value).map_err(|_| "its value is no UTF-8")?;
    if text.is_empty() {
        return Err("its value is empty");
    }
    if !is_value(text) {
        return Err("its value has a line break, another control character, or white space at an end");
    }
    Ok(text.to_owned())
}

/// A secret as it is shown: the names of its entries, without their values.
pub(crate) fn without_values(secret: &proto::Secret) -> proto::Secret {
    let data = secret.data.keys().map(|entry| (entry.clone(), Vec::new())).collect();
    proto::Secret { name: secret.name.clone(), namespace: secret.namespace.clone(), data }
}

impl fmt::Debug for proto::Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, namespace, data } = self;
        let mut entries: Vec<_> = data.keys().collect();
        entries.sort();
        f.debug_struct("Secret").field("name", name).field("namespace", namespace).field("entries", &entries).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{read, without_values};
    use crate::proto::Secret;

    fn secret(entries: &[(&str, &[u8])]) -> Secret {
        let data = entries.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        Secret { name: "token".into(), namespace: "shop".into(), data }
    }

    #[test]
    fn headers_are_compared_with_the_only_entry_and_all_else_is_a_doubt() {
        let known = read(&secret(&[("token", b"hunter2")])).unwrap();
        let found = known.secret.unwrap();
        assert_eq!((found.name.as_str(), found.value.as_str()), ("shop/token", "hunter2"));
        let doubtful = [
            (secret(&[]), "no entry"),
            (secret(&[("a", b"x"), ("b", b"y")]), "several entries"),
            (secret(&[("a", b"")]), "empty"),
            (secret(&[("a", b"hunter2\n")]), "line break"),
            (secret(&[("a", b" hunter2")]), "white space"),
            (secret(&[("a", b"\xff")]), "UTF-8"),
        ];
        for (secret, why) in doubtful {
            let known = read(&secret).unwrap();
            let doubt = known.doubt.unwrap();
            assert!(known.secret.is_none() && doubt.warning && doubt.message.contains(why), "{doubt:?}");
            assert!(!doubt.to_string().contains("hunter2"), "{doubt}");
        }
    }

    #[test]
    fn a_secret_that_is_shown_has_no_values() {
        let secret = secret(&[("token", b"hunter2")]);
        let bytes = format!("{:?}", b"hunter2");
        let shown = format!("{secret:?} {:?}", crate::proto::resource::Body::Secret(secret.clone()));
        assert!(shown.contains("token") && !shown.contains("hunter2") && !shown.contains(&bytes), "{shown}");
        assert_eq!(without_values(&secret).data["token"], b"");
    }

    #[test]
    fn names_and_sizes_are_checked() {
        let nameless = Secret { name: String::new(), ..secret(&[]) };
        assert_eq!(read(&nameless).unwrap_err()[0].field, "metadata.name");
        let large = vec![b'x'; (1 << 20) + 1];
        assert!(read(&secret(&[("a", &large)])).unwrap_err()[0].message.contains("too many"));
    }
}
