//! SARIF 2.1.0 (OASIS Static Analysis Results Interchange Format), as code hosts read it.

use portcullis_rules::lint::{CHECKS, Severity};
use serde_json::{Value, json};

use super::finding::{FindingPosition, LocatedFinding};
use crate::cli::exit::Failure;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Writes the findings as one run.
///
/// # Errors
/// They have no such form.
pub fn render(findings: &[LocatedFinding]) -> Result<String, Failure> {
    let rules: Vec<Value> = CHECKS
        .iter()
        .map(|check| {
            json!({
                "id": check.code,
                "name": check.name,
                "shortDescription": { "text": check.meaning },
                "help": { "text": check.remedy },
                "defaultConfiguration": { "level": level(check.severity) },
            })
        })
        .collect();
    let driver = json!({ "name": "portcullis", "version": env!("CARGO_PKG_VERSION"), "rules": rules });
    let results: Vec<Value> = findings.iter().map(result).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results }],
    });
    Ok(serde_json::to_string_pretty(&log).map_err(Failure::internal)? + "\n")
}

/// SARIF §3.27.10: `note` is the weakest.
fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

fn result(finding: &LocatedFinding) -> Value {
    let index = CHECKS.iter().position(|check| check.code == finding.check.code);
    let text = match (finding.field.as_str(), finding.remedy.as_str()) {
        ("", "") => finding.message.clone(),
        ("", remedy) => format!("{} ({remedy})", finding.message),
        (field, "") => format!("{field}: {}", finding.message),
        (field, remedy) => format!("{field}: {} ({remedy})", finding.message),
    };
    let mut result = json!({
        "ruleId": finding.check.code,
        "ruleIndex": index,
        "level": level(finding.severity),
        "message": { "text": text },
        "locations": [{ "physicalLocation": location(&finding.place) }],
    });
    if let Some(related) = &finding.related {
        result["relatedLocations"] = json!([{ "physicalLocation": location(related) }]);
    }
    result
}

fn location(place: &FindingPosition) -> Value {
    json!({
        "artifactLocation": { "uri": uri(&place.file) },
        "region": { "startLine": place.line, "startColumn": place.column },
    })
}

/// A path as a reference (RFC 3986 §4.2): what may not stand there is percent-encoded.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&byte);
    let mut uri = String::with_capacity(path.len() + 8);
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.strip_prefix("./").unwrap_or(path).bytes() {
        if plain(byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_become_references() {
        for (path, wanted) in [
            ("policies/a.yaml", "policies/a.yaml"),
            ("./a b.yaml", "a%20b.yaml"),
            ("/etc/é#1.yaml", "file:///etc/%C3%A9%231.yaml"),
            ("a:b.yaml", "a%3Ab.yaml"),
        ] {
            assert_eq!(uri(path), wanted);
        }
    }
}
