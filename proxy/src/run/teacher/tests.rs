//! From an answer that nobody waits for to the file that survives the node.

use std::fs;

use portcullis_codecs::lesson::LearnedAddress;
use portcullis_config::names::{NameCache, NameLimits};

use super::*;
use crate::run::lessons::tests::{ORIGIN, room};

/// An address for each number.
fn lesson(number: u32, ttl: u32) -> LearnedAddresses {
    LearnedAddresses {
        name: format!("n{number}.test."),
        addresses: vec![LearnedAddress { address: number.to_be_bytes().into(), ttl }],
    }
}

#[test]
fn all_that_the_teacher_was_told_is_known_and_written_down_when_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (pupil, desk) = NameInstallerThread::school(NeverOpen::default());
    let (_, memory) = NameStorage::open(directory.path(), NameLimits::default()).unwrap();
    let lessons = room().1;
    assert!(pupil.remind(&lesson(0, 30), ORIGIN), "it waits until somebody teaches");
    let teacher = desk.begin(lessons.clone(), memory, NameMetrics::default()).unwrap();
    for number in 1..=5_000 {
        // Twice, and once more with another time: that renews it.
        for ttl in [300, 300, 600] {
            assert!(pupil.remind(&lesson(number, ttl), ORIGIN));
        }
        while number % 500 == 0 && lessons.read(NameCache::names) <= number as usize {
            thread::yield_now();
        }
    }
    teacher.end();
    let (names, text) = lessons.read(|book| (book.names(), book.to_text()));
    assert_eq!(names, 5_001);
    assert!(fs::read_to_string(directory.path().join("names")).unwrap() == text, "the file is the book");
    assert!(!pupil.remind(&lesson(5_001, 30), ORIGIN), "nobody hears it");
}

#[test]
fn a_teacher_that_is_gone_without_a_word_is_asked_no_more() {
    let (pupil, desk) = NameInstallerThread::school(NeverOpen::default());
    assert!(pupil.remind(&lesson(1, 30), ORIGIN));
    drop(desk);
    assert!(!pupil.remind(&lesson(2, 30), ORIGIN));
}
