//! What the corpus calls what is said of a request, and how Cilium's proxies refuse one: in its own words, which no user of
//! the product meets.

use portcullis_codecs::{Protocol, question::QuestionWord};

/// One protocol in the words of the corpus.
struct Spoken {
    protocol: &'static str,
    /// Keys of [`QuestionWord`]s, and where each stands in the input of a line: `qname`, or `request.method`. What stands below that
    /// is one `name: value` each.
    places: &'static [(&'static str, &'static str)],
    /// By a reset, and in words of the protocol.
    refusals: [&'static str; 2],
}

const SPOKEN: &[Spoken] = &[
    Spoken {
        protocol: "http",
        places: &[
            ("method", "request.method"),
            ("path", "request.path"),
            ("host", "request.authority"),
            ("headers", "request.headers"),
        ],
        refusals: ["reset", "403"],
    },
    Spoken { protocol: "dns", places: &[("name", "qname")], refusals: ["REFUSED"; 2] },
    Spoken { protocol: "tls", places: &[("name", "sni")], refusals: ["rst"; 2] },
    Spoken {
        protocol: "kafka",
        places: &[
            ("api", "api_key"),
            ("version", "api_version"),
            ("client", "client_id"),
            ("topic", "topics"),
            ("group", "groups"),
            ("transaction", "transactional_ids"),
            ("replica", "replica_id"),
        ],
        refusals: ["error 29"; 2],
    },
];

fn spoken(protocol: &str) -> Option<&'static Spoken> {
    SPOKEN.iter().find(|spoken| spoken.protocol == protocol)
}

/// The words of a protocol that the corpus has, each with its place in the input of a line.
pub(crate) fn places(
    protocol: &Protocol,
    words: &'static [QuestionWord],
) -> Vec<(&'static QuestionWord, &'static str)> {
    let spoken = spoken(protocol.schema.protocol).map_or(&[][..], |spoken| spoken.places);
    let place = |word: &'static QuestionWord| {
        let of_key = spoken.iter().find(|(key, _)| *key == word.key);
        Some((word, of_key?.1))
    };
    words.iter().filter_map(place).collect()
}

/// How Cilium's proxy for a protocol refuses a request.
pub(crate) fn refusals(protocol: Option<&str>) -> [&'static str; 2] {
    protocol.and_then(spoken).map_or(["reset", "403"], |spoken| spoken.refusals)
}

/// The keys of the words that the corpus has for a protocol.
pub fn places_of(protocol: &str) -> impl Iterator<Item = &'static str> {
    spoken(protocol).into_iter().flat_map(|spoken| spoken.places).map(|(key, _)| *key)
}
