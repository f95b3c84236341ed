//! Metrics in the format that a scraper asks for: OpenMetrics 1.0, or the older Prometheus text format 0.0.4.

use hyper::{HeaderMap, header::ACCEPT};

/// OpenMetrics text (OpenMetrics 1.0, "Content-Type").
pub(super) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The text that everybody reads (Prometheus, "Text-based format").
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether a client takes OpenMetrics. Who does not say so may be older than it.
pub(super) fn takes_openmetrics(headers: &HeaderMap) -> bool {
    let texts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"));
        let mut weights = parts.filter_map(|parameter| parameter.strip_prefix("q="));
        is_named && weights.all(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
    })
}

/// Rewrites OpenMetrics text as the older one. There the name of a family is that of its samples, there are neither units,
/// nor information, nor sets of states, nor exemplars, and nothing marks the end.
pub(super) fn as_text(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    // OpenMetrics tells of the help before the type, or after it: both are held until the first sample.
    let (mut name, mut help, mut kind) = ("", "", "untyped");
    let mut told = true;
    for line in openmetrics.lines() {
        if let Some(described) = line.strip_prefix("# ") {
            let Some((word, rest)) = described.split_once(' ') else { continue };
            let (family, value) = rest.split_once(' ').unwrap_or((rest, ""));
            if family != name {
                (name, help, kind, told) = (family, "", "untyped", false);
            }
            match word {
                "HELP" => help = value,
                "TYPE" => kind = value,
                _ => {}
            }
            continue;
        }
        if !std::mem::replace(&mut told, true) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "gauge" | "histogram" | "summary" => ("", kind),
                "stateset" => ("", "gauge"),
                _ => ("", "untyped"),
            };
            text.extend(["# HELP ", name, suffix, " ", help, "\n# TYPE ", name, suffix, " ", kind, "\n"]);
        }
        text.extend([line.split(" # {").next().unwrap_or(line), "\n"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_who_asks_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, takes) in [
            (prometheus, true),
            ("application/openmetrics-text", true),
            ("Application/OpenMetrics-Text; version=0.0.1", true),
            ("text/plain;version=0.0.4", false),
            ("*/*", false),
            ("application/openmetrics-text;q=0, text/plain", false),
            ("application/vnd.google.protobuf", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(takes_openmetrics(&headers), takes, "{accept}");
        }
        assert!(!takes_openmetrics(&HeaderMap::new()));
    }

    #[test]
    fn the_older_text_names_families_as_their_samples() {
        let openmetrics = "# HELP a Some.\n# TYPE a counter\na_total{b=\"c # {d}\"} 1 # {e=\"f\"} 2\n\
            # HELP build What.\n# TYPE build info\nbuild_info{v=\"1\"} 1\n\
            # HELP s Time.\n# TYPE s histogram\n# UNIT s seconds\ns_sum 0\ns_count 0\ns_bucket{le=\"+Inf\"} 0\n\
            # HELP g Now.\n# TYPE g gauge\ng 3\n# HELP none Empty.\n# TYPE none counter\n# EOF\n";
        let text = as_text(&openmetrics.replace("c # {d}", "c"));
        let wanted = "# HELP a_total Some.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n\
            # HELP build_info What.\n# TYPE build_info gauge\nbuild_info{v=\"1\"} 1\n\
            # HELP s Time.\n# TYPE s histogram\ns_sum 0\ns_count 0\ns_bucket{le=\"+Inf\"} 0\n\
            # HELP g Now.\n# TYPE g gauge\ng 3\n";
        assert_eq!(text, wanted);
    }
}
