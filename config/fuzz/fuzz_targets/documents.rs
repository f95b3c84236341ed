//! Fuzzes documents: arbitrary file contents are parsed without a panic, and every problem has a position in the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_config::{
    documents::{DocumentContent, check_policy, split},
    proto::resource::Body,
};

fuzz_target!(|text: &str| {
    let lines = text.lines().count() + 1;
    for document in split(text) {
        assert!(document.line as usize <= lines);
        match &document.content {
            Ok(DocumentContent::Resource(resource)) => {
                if let Some(Body::Policy(policy)) = &resource.body {
                    for problem in check_policy(&policy.document, &[], &Default::default()) {
                        assert!(problem.position.line as usize <= lines);
                    }
                }
            }
            Ok(DocumentContent::Foreign(_)) => {}
            Err(refused) => assert!(!refused.problems.is_empty()),
        }
    }
});
