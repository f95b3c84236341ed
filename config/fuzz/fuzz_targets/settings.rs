//! Fuzzes settings: arbitrary file contents give settings or a list of problems.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_rules::limits::{LimitSpec, Unit};

const fn limit(key: &'static str, unit: Unit, most: u64) -> LimitSpec {
    LimitSpec { key, unit, default: 0, least: 0, most, meaning: "" }
}

/// Limits of each kind, as protocols publish them.
static LIMITS: [LimitSpec; 4] = [
    limit("head", Unit::Bytes, 1 << 20),
    limit("of.count", Unit::Count, 100),
    limit("of.switch", Unit::Switch, 1),
    limit("of.words", Unit::Words(&["one", "other"]), 1),
];

fuzz_target!(|text: &str| {
    if let Err(problems) = portcullis_config::settings::parse(text, &LIMITS.each_ref()) {
        assert!(!problems.is_empty());
    }
});
