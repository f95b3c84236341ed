//! What a subscriber to names receives, in which order, and what is merged.

use futures_util::StreamExt as _;

use super::*;
use crate::run::resolutions::tests::{Fake, apply, compile, install, ip, room};

struct Room {
    resolutions: LearnedState<Fake>,
    names: NameService<Fake>,
}

impl Room {
    /// `*.test` is selected, and one name of it is known.
    fn new() -> Self {
        let (_, resolutions) = room();
        apply(&resolutions, &compile(&["*.test"], resolutions.names()));
        let room = Self { names: NameService(resolutions.clone()), resolutions };
        room.install("a.test", "192.0.2.1", 30);
        room
    }

    fn install(&self, name: &str, address: &str, ttl: u32) {
        install(&self.resolutions, name, &[(ip(address), ttl)], 0).unwrap();
    }

    fn list(&self, pattern: &str, selected_only: bool) -> Vec<String> {
        let request = proto::ListNamesRequest { pattern: pattern.into(), selected_only };
        self.names.list(&request).iter().map(shown).collect()
    }

    fn follow(&self, selected_only: bool) -> NamesUpdates {
        self.names.follow(&proto::WatchNamesRequest { pattern: String::new(), selected_only })
    }
}

/// `name! address@expires`, with the mark where it is selected.
fn shown(name: &proto::LearntName) -> String {
    let mark = if name.selected { "!" } else { "" };
    let addresses: Vec<_> =
        name.addresses.iter().map(|address| format!("{}@{}", address.address, address.expires)).collect();
    format!("{}{mark} {}", name.name, addresses.join(" ")).trim_end().to_owned()
}

async fn next(updates: &mut NamesUpdates) -> String {
    let update = updates.next().await.unwrap();
    let names: Vec<_> = update.names.iter().map(shown).collect();
    let complete = if update.complete { ", complete" } else { "" };
    let lost = if update.lost > 0 { format!(", {} lost", update.lost) } else { String::new() };
    format!("{}{complete}{lost}", names.join(", "))
}

#[test]
fn names_are_listed_by_pattern_and_by_whether_a_policy_selects_them() {
    let room = Room::new();
    for number in 0..2 * PAGE {
        room.install(&format!("n{number:04}.example"), "192.0.2.9", 30);
    }
    room.install("A.Test", "2001:db8::1", 60);
    assert_eq!(room.list("", true), ["a.test.! 192.0.2.1@30 2001:db8::1@60"]);
    assert_eq!(room.list("a.test", false).len(), 1);
    assert_eq!(room.list("N0007.example.", false), ["n0007.example. 192.0.2.9@30"]);
    assert_eq!(room.list("*.example", false).len(), 2 * PAGE);
    assert_eq!((room.list("*", false).len(), room.list("", false).len()), (2 * PAGE + 1, 2 * PAGE + 1));
    assert!(room.list("*.example", true).is_empty());
}

#[tokio::test]
async fn a_reader_has_what_is_known_first_and_then_each_change_once() {
    let room = Room::new();
    let mut updates = room.follow(false);
    assert_eq!(next(&mut updates).await, "a.test.! 192.0.2.1@30");
    assert_eq!(next(&mut updates).await, ", complete");
    room.install("a.test", "192.0.2.1", 10);
    room.install("b.example", "192.0.2.2", 10);
    assert_eq!(next(&mut updates).await, "b.example. 192.0.2.2@10", "of a.test nothing has changed");
    room.install("a.test", "192.0.2.1", 40);
    room.install("a.test", "192.0.2.3", 50);
    assert_eq!(next(&mut updates).await, "a.test.! 192.0.2.1@40 192.0.2.3@50");
    room.resolutions.expire(45, &|_| false).unwrap();
    assert_eq!(next(&mut updates).await, "a.test.! 192.0.2.3@50, b.example.");
}

#[tokio::test]
async fn a_change_of_policy_tells_the_names_that_are_selected_otherwise_and_no_others() {
    let room = Room::new();
    room.install("b.example", "192.0.2.2", 10);
    let (mut all, mut selected) = (room.follow(false), room.follow(true));
    assert_eq!(next(&mut all).await, "a.test.! 192.0.2.1@30, b.example. 192.0.2.2@10");
    assert_eq!(next(&mut all).await, ", complete");
    assert_eq!(next(&mut selected).await, "a.test.! 192.0.2.1@30");
    assert_eq!(next(&mut selected).await, ", complete");
    apply(&room.resolutions, &compile(&["*.test", "*.example"], room.resolutions.names()));
    assert_eq!(next(&mut all).await, "b.example.! 192.0.2.2@10");
    assert_eq!(next(&mut selected).await, "b.example.! 192.0.2.2@10");
    apply(&room.resolutions, &compile(&["b.example"], room.resolutions.names()));
    assert_eq!(next(&mut all).await, "a.test. 192.0.2.1@30");
    assert_eq!(next(&mut selected).await, "a.test.", "to whom it is not selected, it is not known");
}

#[tokio::test]
async fn a_slow_reader_is_told_how_much_it_lost_and_then_all_that_is_different() {
    let room = Room::new();
    let mut updates = room.follow(false);
    next(&mut updates).await;
    next(&mut updates).await;
    room.resolutions.expire(30, &|_| false).unwrap();
    let count = 5_000_u16;
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        room.install(&format!("n{number}.example"), &format!("198.51.{high}.{low}"), 30);
    }
    let (mut known, mut lost, mut gone) = (0, 0, Vec::new());
    loop {
        let update = updates.next().await.unwrap();
        lost += update.lost;
        known += update.names.iter().filter(|name| !name.addresses.is_empty()).count();
        gone.extend(update.names.into_iter().filter(|name| name.addresses.is_empty()).map(|name| name.name));
        if update.complete {
            break;
        }
    }
    assert_eq!((known, lost, gone), (usize::from(count), u64::from(count) + 1, vec!["a.test.".to_owned()]));
}

#[tokio::test]
async fn whoever_goes_is_followed_by_nobody() {
    let room = Room::new();
    let updates = room.follow(false);
    assert!(room.resolutions.followers().any());
    drop(updates);
    assert!(!room.resolutions.followers().any());
}
