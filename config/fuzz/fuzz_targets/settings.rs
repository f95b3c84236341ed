//! Whatever a settings file holds, it is settings or a list of faults.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(problems) = portcullis_config::settings::parse(text, &[]) {
        assert!(!problems.is_empty());
    }
});
