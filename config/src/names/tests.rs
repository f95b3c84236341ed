//! What the cache learns, how long it keeps it, and what it evicts.

use std::net::IpAddr;

use portcullis_rules::world::{EndpointId, LearnedFrom, Transport};

use super::{Change, EvictedAddresses, NameCache, NameLimits, NameLookup};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn cache(limits: NameLimits) -> NameCache {
    NameCache::new(NameLimits { grace: 0, ..limits })
}

/// What endpoint 1 is told by the server of the cluster.
fn learn(cache: &mut NameCache, name: &str, answer: &[(&str, u32)], now: u64) -> Vec<String> {
    learn_of(cache, 1, name, answer, now)
}

fn learn_of(cache: &mut NameCache, endpoint: u32, name: &str, answer: &[(&str, u32)], now: u64) -> Vec<String> {
    let addresses: Vec<(IpAddr, u32)> = answer.iter().map(|(address, ttl)| (ip(address), *ttl)).collect();
    shown(cache.learn(&NameLookup { name, addresses: &addresses, origin: origin(endpoint), selected: true }, now))
}

fn origin(endpoint: u32) -> LearnedFrom {
    LearnedFrom {
        endpoint: EndpointId(endpoint),
        server: ip("10.0.0.53"),
        port: 53,
        transport: Transport::Udp,
        known: true,
    }
}

fn expire(cache: &mut NameCache, now: u64) -> Vec<String> {
    shown(cache.expire(now, &|_| false))
}

fn shown(changes: Vec<Change>) -> Vec<String> {
    changes.into_iter().map(|change| format!("{}: {}", change.address, names(&change).join(" "))).collect()
}

fn names(change: &Change) -> Vec<&str> {
    change.names.iter().map(|(name, _)| &**name).collect()
}

fn list(cache: &NameCache) -> Vec<String> {
    cache.list().map(|listed| format!("{} {} {}", listed.name, listed.address, listed.expires)).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_answer_tells_all_names_of_each_address_that_has_others_now() {
    let mut cache = cache(NameLimits::default());
    assert_eq!(
        learn(&mut cache, "A.test", &[("192.0.2.1", 30), ("2001:db8::1", 30)], 100),
        ["192.0.2.1: a.test.", "2001:db8::1: a.test."]
    );
    assert_eq!(learn(&mut cache, "b.test.", &[("192.0.2.1", 30)], 100), ["192.0.2.1: a.test. b.test."]);
    assert_eq!(learn(&mut cache, "a.test.", &[("192.0.2.1", 10)], 110), NOTHING, "nothing new");
    assert_eq!(learn(&mut cache, "c.test.", &[("::ffff:192.0.2.1", 30)], 110), ["192.0.2.1: a.test. b.test. c.test."]);
    assert_eq!(learn(&mut cache, &"x.".repeat(200), &[("192.0.2.1", 30)], 110), NOTHING, "no name is so long");
    assert_eq!((cache.names(), cache.addresses()), (3, 4));
}

#[test]
fn the_answer_that_holds_longest_counts() {
    for (ttls, min_ttl, expires) in [
        (vec![(30, 100)], 0, 130),
        (vec![(30, 100), (60, 110)], 0, 170),
        (vec![(300, 100), (10, 110)], 0, 400),
        (vec![(30, 100)], 3600, 3700),
        (vec![(7200, 100)], 3600, 7300),
        (vec![(0, 100)], 0, 100),
        (vec![(u32::MAX, 100)], 0, 100 + 7 * 24 * 3600),
    ] {
        let mut cache = cache(NameLimits { min_ttl, ..NameLimits::default() });
        for (ttl, now) in &ttls {
            learn(&mut cache, "a.test", &[("192.0.2.1", *ttl)], *now);
        }
        assert_eq!(list(&cache), [format!("a.test. 192.0.2.1 {expires}")], "{ttls:?}, at least {min_ttl}");
        assert_eq!(expire(&mut cache, expires - 1), NOTHING);
        assert_eq!(expire(&mut cache, expires), ["192.0.2.1: "]);
        assert_eq!((cache.names(), cache.addresses(), cache.due()), (0, 0, None));
    }
    let mut cache = cache(NameLimits::default());
    learn(&mut cache, "a.test", &[("192.0.2.1", 10), ("192.0.2.1", 90), ("192.0.2.1", 30)], 0);
    assert_eq!(list(&cache), ["a.test. 192.0.2.1 90"]);
}

#[test]
fn an_address_is_forgotten_with_its_last_name_and_told_of_each() {
    let mut cache = cache(NameLimits::default());
    learn(&mut cache, "a.test", &[("192.0.2.1", 10)], 0);
    learn(&mut cache, "b.test", &[("192.0.2.1", 20)], 0);
    assert_eq!(cache.due(), Some(10));
    assert_eq!(expire(&mut cache, 10), ["192.0.2.1: b.test."]);
    assert_eq!(expire(&mut cache, 20), ["192.0.2.1: "]);
}

#[test]
fn who_was_answered_just_before_has_the_grace_to_connect() {
    let mut cache = NameCache::new(NameLimits { grace: 60, ..NameLimits::default() });
    learn(&mut cache, "a.test", &[("192.0.2.1", 0)], 100);
    assert_eq!(list(&cache), ["a.test. 192.0.2.1 100"]);
    assert_eq!(expire(&mut cache, 159), NOTHING);
    assert_eq!(expire(&mut cache, 160), ["192.0.2.1: "]);
}

#[test]
fn what_is_in_use_is_kept_until_it_is_not() {
    let mut cache = cache(NameLimits::default());
    learn(&mut cache, "a.test", &[("192.0.2.1", 10), ("192.0.2.2", 10)], 0);
    let in_use = |address| address == ip("192.0.2.1");
    assert_eq!(shown(cache.expire(10, &in_use)), ["192.0.2.2: "]);
    assert_eq!(cache.due(), Some(130), "it is looked at again");
    assert_eq!(shown(cache.expire(130, &in_use)), NOTHING);
    assert_eq!(learn(&mut cache, "a.test", &[("192.0.2.1", 10)], 131), NOTHING, "an answer makes its time no shorter");
    assert_eq!(expire(&mut cache, 249), NOTHING);
    assert_eq!(expire(&mut cache, 250), ["192.0.2.1: "]);
}

#[test]
fn what_is_over_first_makes_room_for_what_is_new() {
    let limits = NameLimits { addresses_per_name: 2, ..NameLimits::default() };
    let mut cache = cache(limits);
    learn(&mut cache, "a.test", &[("192.0.2.1", 50), ("192.0.2.2", 20)], 0);
    assert_eq!(learn(&mut cache, "a.test", &[("192.0.2.3", 1)], 0), ["192.0.2.2: ", "192.0.2.3: a.test."]);
    assert_eq!(learn(&mut cache, "b.test", &[("192.0.2.1", 1), ("192.0.2.4", 1), ("192.0.2.5", 1)], 0).len(), 2);
    assert_eq!(
        cache.evicted(),
        EvictedAddresses { per_name: 2, ..EvictedAddresses::default() },
        "one of b.test is too many by itself"
    );

    let mut cache = self::cache(NameLimits { names_per_address: 2, ..NameLimits::default() });
    for (name, ttl) in [("a.test", 50), ("b.test", 20), ("c.test", 1)] {
        learn(&mut cache, name, &[("192.0.2.1", ttl), ("192.0.2.2", 5)], 0);
    }
    assert_eq!(list(&cache)[..2], ["a.test. 192.0.2.1 50", "b.test. 192.0.2.2 5"]);
    assert_eq!(cache.evicted(), EvictedAddresses { per_address: 2, ..EvictedAddresses::default() });

    let mut cache = self::cache(NameLimits { addresses: 2, ..NameLimits::default() });
    learn(&mut cache, "a.test", &[("192.0.2.1", 50)], 0);
    learn(&mut cache, "b.test", &[("192.0.2.2", 20)], 0);
    assert_eq!(learn(&mut cache, "c.test", &[("192.0.2.3", 0)], 0), ["192.0.2.2: ", "192.0.2.3: c.test."]);
    assert_eq!(cache.evicted(), EvictedAddresses { total: 1, ..EvictedAddresses::default() });
    assert_eq!((cache.names(), cache.addresses()), (2, 2));
}

#[test]
fn a_cache_is_read_as_it_was_written_but_for_what_is_over() {
    let mut cache = NameCache::new(NameLimits::default());
    learn(&mut cache, "b.test", &[("192.0.2.1", 10), ("2001:db8::1", 500)], 1000);
    learn(&mut cache, "a.test", &[("192.0.2.1", 500)], 1000);
    let text = cache.to_text();
    assert_eq!(text.lines().count(), 3);
    let read = NameCache::from_text(&text, NameLimits::default(), 1050).unwrap();
    assert_eq!(list(&read), list(&cache), "within the grace");
    let mut later = NameCache::from_text(&text, NameLimits::default(), 1070).unwrap();
    assert_eq!(list(&later), ["a.test. 192.0.2.1 1500", "b.test. 2001:db8::1 1500"]);
    assert_eq!(shown(later.expire(1560, &|_| false)).len(), 2);
    let small = NameCache::from_text(&text, NameLimits { addresses: 1, ..NameLimits::default() }, 1050).unwrap();
    assert_eq!(small.addresses(), 1);
    let yesterday = NameCache::from_text(&text, NameLimits::default(), 0).unwrap();
    assert!(yesterday.list().all(|listed| listed.expires <= 7 * 24 * 3600));
}

#[test]
fn a_damaged_file_is_told_with_its_line_and_counts_for_nothing() {
    let head = r#"{"kind":"portcullis names","version":2}"#;
    let line = |name: &str, addresses: &str| {
        let origin = r#""endpoint":1,"server":"10.0.0.53","port":53,"transport":"UDP","known":true"#;
        format!("{{\"name\":\"{name}\",{origin},\"addresses\":{addresses}}}")
    };
    for (text, wanted) in [
        (format!("{head}\n{}", line("a.", "{}").replace("UDP", "SCTP")), "line 2: \"SCTP\" is no transport of DNS"),
        (String::new(), "line 1: the file is empty"),
        ("nonsense".to_owned(), "line 1: expected"),
        (head.replace('2', "1"), "line 1: it is \"portcullis names\" of version 1, not"),
        (head.replace("names", "numbers"), "line 1: it is \"portcullis numbers\""),
        (format!("{head}\n{}\n{{\"na", line("a.test.", "{\"192.0.2.1\":1}")), "line 3: EOF"),
        (format!("{head}\n{}", line("a.test", "{}")), "line 2: the name is not"),
        (format!("{head}\n{}", line("A.", "{}")), "line 2: the name is not"),
        (format!("{head}\n{}", line("a.", "{\"somewhere\":1}")), "line 2: invalid IP address"),
        (format!("{head}\n{}", line("a.", "{},\"more\":1")), "line 2: unknown field"),
    ] {
        let damaged = NameCache::from_text(&text, NameLimits::default(), 0).unwrap_err().to_string();
        assert!(damaged.starts_with(wanted), "{text:?}: {damaged}");
        assert!(damaged.ends_with("learns names again from new queries"), "{damaged}");
    }
    assert_eq!(NameCache::from_text(head, NameLimits::default(), 0).unwrap().names(), 0);
}

#[test]
fn whoever_follows_is_told_which_names_an_address_has_lost() {
    let mut cache = cache(NameLimits { addresses_per_name: 1, ..NameLimits::default() });
    learn(&mut cache, "a.test", &[("192.0.2.1", 30)], 0);
    learn(&mut cache, "b.test", &[("192.0.2.1", 60)], 0);
    let gone = |changes: Vec<Change>| -> Vec<String> {
        changes.into_iter().map(|change| format!("{} -{}", change.address, change.gone.join(" -"))).collect()
    };
    let answer = [(ip("192.0.2.2"), 30)];
    let answer = NameLookup { name: "a.test", addresses: &answer, origin: origin(1), selected: true };
    assert_eq!(gone(cache.learn(&answer, 0)), ["192.0.2.1 -a.test.", "192.0.2.2 -"]);
    assert_eq!(gone(cache.expire(60, &|_| false)), ["192.0.2.1 -b.test.", "192.0.2.2 -a.test."]);
}

#[test]
fn the_cache_is_read_page_by_page() {
    let mut cache = cache(NameLimits::default());
    for (name, addresses) in [("a.test", 3), ("b.test", 1), ("c.test", 1), ("d.test", 2)] {
        let addresses: Vec<(IpAddr, u32)> = (1..=addresses).map(|last| (IpAddr::from([192, 0, 2, last]), 30)).collect();
        cache.learn(&NameLookup { name, addresses: &addresses, origin: origin(1), selected: true }, 100);
    }
    let paged = |after: Option<&str>, most| -> Vec<String> {
        cache.page(after, most).iter().map(|known| format!("{} {}", known.name, known.addresses.len())).collect()
    };
    assert_eq!(paged(None, 1), ["a.test. 3"]);
    assert_eq!(paged(None, 4), ["a.test. 3", "b.test. 1"]);
    assert_eq!(paged(Some("a.test."), 100), ["b.test. 1", "c.test. 1", "d.test. 2"]);
    assert_eq!(paged(Some("bb.test."), 1), ["c.test. 1"], "the name itself may be gone");
    assert_eq!(paged(Some("d.test."), 1), NOTHING);
    let [known] = &cache.get("B.test").unwrap().addresses[..] else { panic!("one address") };
    assert_eq!((known.address, known.expires, &known.origins[..]), (ip("192.0.2.1"), 130, &[origin(1)][..]));
    assert_eq!(cache.get("e.test"), None);
}

#[test]
fn an_endpoint_that_learns_too_much_forgets_what_is_its_own() {
    let limits = NameLimits {
        addresses_per_name: 2,
        names_per_address: 2,
        addresses_per_endpoint: Some(4),
        ..NameLimits::default()
    };
    let mut cache = cache(limits);
    learn_of(&mut cache, 1, "a.test", &[("192.0.2.1", 1)], 0);
    for number in 1..100 {
        let address = format!("198.51.100.{number}");
        learn_of(&mut cache, 2, "a.test", &[(&address, 9_000)], 0);
        learn_of(&mut cache, 2, &format!("n{number}.test"), &[("192.0.2.1", 9_000)], 0);
        learn_of(&mut cache, 2, &format!("m{number}.test"), &[(&address, 9_000)], 0);
    }
    let kept = |endpoint| cache.by_endpoint().find(|(id, _)| *id == EndpointId(endpoint)).map(|(_, number)| number);
    assert_eq!((kept(1), kept(2)), (Some(1), Some(4)));
    assert!(list(&cache).contains(&"a.test. 192.0.2.1 1".to_owned()), "{:?}", list(&cache));
    assert!(cache.evicted().total == 0 && cache.evicted().per_endpoint > 0);
}

#[test]
fn whoever_has_most_makes_room_for_those_that_have_less() {
    // By itself, and although each is within a limit of its own.
    for addresses_per_endpoint in [None, Some(80)] {
        let mut cache = cache(NameLimits { addresses: 200, addresses_per_endpoint, ..NameLimits::default() });
        learn_of(&mut cache, 1, "a.test", &[("192.0.2.1", 1), ("192.0.2.2", 1)], 0);
        for number in 0..5_000_u16 {
            let [high, low] = number.to_be_bytes();
            let address = format!("198.51.{high}.{low}");
            learn_of(&mut cache, 2 + u32::from(number % 4), &format!("n{number}.test"), &[(&address, 9_000)], 0);
        }
        assert!((1..=200).contains(&cache.addresses()), "{}", cache.addresses());
        let kept: Vec<String> = list(&cache).into_iter().filter(|line| line.starts_with("a.test.")).collect();
        assert_eq!(kept, ["a.test. 192.0.2.1 1", "a.test. 192.0.2.2 1"]);
        learn_of(&mut cache, 9, "late.test", &[("192.0.2.9", 1)], 0);
        assert!(cache.get("late.test").is_some(), "there is room for somebody new");
        let others: Vec<usize> = cache.by_endpoint().map(|(_, number)| number).filter(|number| *number > 2).collect();
        let (least, most) = (others.iter().min().unwrap(), others.iter().max().unwrap());
        assert!(most - least <= 1, "{others:?}");
    }
}

#[test]
fn names_that_nobody_selects_do_not_hold_for_long() {
    for (unselected_ttl, ttl, expires) in [(3600, u32::MAX, Some(3600)), (3600, 30, Some(30)), (0, 30, None)] {
        let mut cache = cache(NameLimits { unselected_ttl, min_ttl: 7_200, ..NameLimits::default() });
        let addresses = [(ip("192.0.2.1"), ttl)];
        cache.learn(&NameLookup { name: "a.test", addresses: &addresses, origin: origin(1), selected: false }, 0);
        assert_eq!(cache.list().next().map(|listed| listed.expires), expires, "{ttl} of {unselected_ttl}");
    }
}

#[test]
fn each_origin_of_an_address_has_its_own_time_and_the_name_goes_with_the_last() {
    let mut cache = cache(NameLimits::default());
    learn_of(&mut cache, 1, "a.test", &[("192.0.2.1", 10)], 0);
    let change = |cache: &mut NameCache, now| {
        let changes = cache.expire(now, &|_| false);
        let [change] = &changes[..] else { panic!("{changes:?}") };
        let origins = change.names.iter().flat_map(|(_, origins)| origins).map(|origin| origin.endpoint.0);
        (origins.collect::<Vec<_>>(), change.gone.len())
    };
    assert_eq!(
        learn_of(&mut cache, 2, "a.test", &[("192.0.2.1", 20)], 0),
        ["192.0.2.1: a.test."],
        "from elsewhere, too"
    );
    assert_eq!(learn_of(&mut cache, 2, "a.test", &[("192.0.2.1", 20)], 0), NOTHING);
    let read = NameCache::from_text(&cache.to_text(), NameLimits { grace: 0, ..NameLimits::default() }, 0).unwrap();
    assert!(read.list().eq(cache.list()));
    assert_eq!(change(&mut cache, 10), (vec![2], 0));
    assert_eq!(change(&mut cache, 20), (vec![], 1));
}

#[test]
fn an_answer_that_waits_to_be_learnt_keeps_what_is_there_and_brings_nothing_new() {
    let mut cache = cache(NameLimits::default());
    learn(&mut cache, "a.test", &[("192.0.2.1", 10)], 0);
    let addresses = [(ip("192.0.2.1"), 30), (ip("192.0.2.2"), 30)];
    cache.renew(&NameLookup { name: "A.test", addresses: &addresses, origin: origin(1), selected: true }, 5);
    cache.renew(&NameLookup { name: "b.test", addresses: &addresses, origin: origin(1), selected: true }, 5);
    cache.renew(&NameLookup { name: "a.test", addresses: &addresses, origin: origin(2), selected: true }, 5);
    assert_eq!(list(&cache), ["a.test. 192.0.2.1 35"]);
}

#[test]
fn addresses_are_forgotten_whatever_their_time() {
    let mut cache = cache(NameLimits::default());
    learn(&mut cache, "a.test", &[("192.0.2.1", 10), ("192.0.2.2", 10)], 0);
    assert_eq!(shown(cache.forget(&|address| address == ip("192.0.2.1"))), ["192.0.2.1: "]);
    assert_eq!(list(&cache), ["a.test. 192.0.2.2 10"]);
}
