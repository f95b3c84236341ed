//! From an answer that nobody waits for to the file that survives the node.

use std::fs;

use portcullis_codecs::resolution::LearnedAddress;
use portcullis_config::names::{NameCache, NameLimits};

use super::*;
use crate::run::resolutions::tests::{ORIGIN, room};

/// An address for each number.
fn resolution(number: u32, ttl: u32) -> LearnedAddresses {
    LearnedAddresses {
        name: format!("n{number}.test."),
        addresses: vec![LearnedAddress { address: number.to_be_bytes().into(), ttl }],
    }
}

#[test]
fn all_that_the_name_installer_was_told_is_known_and_written_down_when_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (installer, queue) = NameInstallerThread::queue(NeverOpen::default());
    let (_, memory) = NameStorage::open(directory.path(), NameLimits::default()).unwrap();
    let resolutions = room().1;
    assert!(installer.remind(&resolution(0, 30), ORIGIN), "it waits until somebody tells");
    let name_installer = queue.begin(resolutions.clone(), memory, NameMetrics::default()).unwrap();
    for number in 1..=5_000 {
        // Twice, and once more with another time: that renews it.
        for ttl in [300, 300, 600] {
            assert!(installer.remind(&resolution(number, ttl), ORIGIN));
        }
        while number % 500 == 0 && resolutions.read(NameCache::names) <= number as usize {
            thread::yield_now();
        }
    }
    name_installer.end();
    let (names, text) = resolutions.read(|cache| (cache.names(), cache.to_text()));
    assert_eq!(names, 5_001);
    assert!(fs::read_to_string(directory.path().join("names")).unwrap() == text, "the file is the name cache");
    assert!(!installer.remind(&resolution(5_001, 30), ORIGIN), "nobody hears it");
}

#[test]
fn a_name_installer_that_is_gone_without_a_word_is_asked_no_more() {
    let (installer, queue) = NameInstallerThread::queue(NeverOpen::default());
    assert!(installer.remind(&resolution(1, 30), ORIGIN));
    drop(queue);
    assert!(!installer.remind(&resolution(2, 30), ORIGIN));
}
