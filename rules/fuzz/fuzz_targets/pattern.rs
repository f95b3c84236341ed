//! Fuzzes patterns against values: no panic, a plain word matches exactly itself, and a pattern has the same meaning
//! alone and in a group.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_rules::pattern::compile;

fuzz_target!(|input: (&str, &[u8])| {
    let (pattern, value) = input;
    let Ok(regex) = compile(pattern) else { return };
    let matches = regex.is_match(value);
    if pattern.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'/') {
        assert_eq!(matches, pattern.as_bytes() == value);
    }
    // Grouped, it is the same pattern: nothing in it reaches out of its group.
    if let Ok(grouped) = compile(&format!("(?:{pattern})")) {
        assert_eq!(grouped.is_match(value), matches);
    }
});
