//! What is learnt, how long it holds, and what has to go.

use std::net::IpAddr;

use super::{Book, Change, Evicted, Limits};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn book(limits: Limits) -> Book {
    Book::new(Limits { grace: 0, ..limits })
}

fn learn(book: &mut Book, name: &str, answer: &[(&str, u32)], now: u64) -> Vec<String> {
    let answer: Vec<(IpAddr, u32)> = answer.iter().map(|(address, ttl)| (ip(address), *ttl)).collect();
    shown(book.learn(name, &answer, now))
}

fn expire(book: &mut Book, now: u64) -> Vec<String> {
    shown(book.expire(now, &|_| false))
}

fn shown(changes: Vec<Change>) -> Vec<String> {
    changes.into_iter().map(|change| format!("{}: {}", change.address, change.names.join(" "))).collect()
}

fn list(book: &Book) -> Vec<String> {
    book.list().map(|listed| format!("{} {} {}", listed.name, listed.address, listed.expires)).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_answer_tells_all_names_of_each_address_that_has_others_now() {
    let mut book = book(Limits::default());
    assert_eq!(
        learn(&mut book, "A.test", &[("192.0.2.1", 30), ("2001:db8::1", 30)], 100),
        ["192.0.2.1: a.test.", "2001:db8::1: a.test."]
    );
    assert_eq!(learn(&mut book, "b.test.", &[("192.0.2.1", 30)], 100), ["192.0.2.1: a.test. b.test."]);
    assert_eq!(learn(&mut book, "a.test.", &[("192.0.2.1", 10)], 110), NOTHING, "nothing new");
    assert_eq!(learn(&mut book, "c.test.", &[("::ffff:192.0.2.1", 30)], 110), ["192.0.2.1: a.test. b.test. c.test."]);
    assert_eq!(learn(&mut book, &"x.".repeat(200), &[("192.0.2.1", 30)], 110), NOTHING, "no name is so long");
    assert_eq!((book.names(), book.addresses()), (3, 4));
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
        let mut book = book(Limits { min_ttl, ..Limits::default() });
        for (ttl, now) in &ttls {
            learn(&mut book, "a.test", &[("192.0.2.1", *ttl)], *now);
        }
        assert_eq!(list(&book), [format!("a.test. 192.0.2.1 {expires}")], "{ttls:?}, at least {min_ttl}");
        assert_eq!(expire(&mut book, expires - 1), NOTHING);
        assert_eq!(expire(&mut book, expires), ["192.0.2.1: "]);
        assert_eq!((book.names(), book.addresses(), book.due()), (0, 0, None));
    }
    let mut book = book(Limits::default());
    learn(&mut book, "a.test", &[("192.0.2.1", 10), ("192.0.2.1", 90), ("192.0.2.1", 30)], 0);
    assert_eq!(list(&book), ["a.test. 192.0.2.1 90"]);
}

#[test]
fn an_address_is_forgotten_with_its_last_name_and_told_of_each() {
    let mut book = book(Limits::default());
    learn(&mut book, "a.test", &[("192.0.2.1", 10)], 0);
    learn(&mut book, "b.test", &[("192.0.2.1", 20)], 0);
    assert_eq!(book.due(), Some(10));
    assert_eq!(expire(&mut book, 10), ["192.0.2.1: b.test."]);
    assert_eq!(expire(&mut book, 20), ["192.0.2.1: "]);
}

#[test]
fn who_was_answered_just_before_has_the_grace_to_connect() {
    let mut book = Book::new(Limits { grace: 60, ..Limits::default() });
    learn(&mut book, "a.test", &[("192.0.2.1", 0)], 100);
    assert_eq!(list(&book), ["a.test. 192.0.2.1 100"]);
    assert_eq!(expire(&mut book, 159), NOTHING);
    assert_eq!(expire(&mut book, 160), ["192.0.2.1: "]);
}

#[test]
fn what_is_in_use_is_kept_until_it_is_not() {
    let mut book = book(Limits::default());
    learn(&mut book, "a.test", &[("192.0.2.1", 10), ("192.0.2.2", 10)], 0);
    let in_use = |address| address == ip("192.0.2.1");
    assert_eq!(shown(book.expire(10, &in_use)), ["192.0.2.2: "]);
    assert_eq!(book.due(), Some(130), "it is looked at again");
    assert_eq!(shown(book.expire(130, &in_use)), NOTHING);
    assert_eq!(learn(&mut book, "a.test", &[("192.0.2.1", 10)], 131), NOTHING, "an answer makes its time no shorter");
    assert_eq!(expire(&mut book, 249), NOTHING);
    assert_eq!(expire(&mut book, 250), ["192.0.2.1: "]);
}

#[test]
fn what_is_over_first_makes_room_for_what_is_new() {
    let limits = Limits { addresses_per_name: 2, ..Limits::default() };
    let mut book = book(limits);
    learn(&mut book, "a.test", &[("192.0.2.1", 50), ("192.0.2.2", 20)], 0);
    assert_eq!(learn(&mut book, "a.test", &[("192.0.2.3", 1)], 0), ["192.0.2.2: ", "192.0.2.3: a.test."]);
    assert_eq!(learn(&mut book, "b.test", &[("192.0.2.1", 1), ("192.0.2.4", 1), ("192.0.2.5", 1)], 0).len(), 2);
    assert_eq!(book.evicted(), Evicted { per_name: 2, ..Evicted::default() }, "one of b.test is too many by itself");

    let mut book = self::book(Limits { names_per_address: 2, ..Limits::default() });
    for (name, ttl) in [("a.test", 50), ("b.test", 20), ("c.test", 1)] {
        learn(&mut book, name, &[("192.0.2.1", ttl), ("192.0.2.2", 5)], 0);
    }
    assert_eq!(list(&book)[..2], ["a.test. 192.0.2.1 50", "b.test. 192.0.2.2 5"]);
    assert_eq!(book.evicted(), Evicted { per_address: 2, ..Evicted::default() });

    let mut book = self::book(Limits { addresses: 2, ..Limits::default() });
    learn(&mut book, "a.test", &[("192.0.2.1", 50)], 0);
    learn(&mut book, "b.test", &[("192.0.2.2", 20)], 0);
    assert_eq!(learn(&mut book, "c.test", &[("192.0.2.3", 0)], 0), ["192.0.2.2: ", "192.0.2.3: c.test."]);
    assert_eq!(book.evicted(), Evicted { total: 1, ..Evicted::default() });
    assert_eq!((book.names(), book.addresses()), (2, 2));
}

#[test]
fn a_book_is_read_as_it_was_written_but_for_what_is_over() {
    let mut book = Book::new(Limits::default());
    learn(&mut book, "b.test", &[("192.0.2.1", 10), ("2001:db8::1", 500)], 1000);
    learn(&mut book, "a.test", &[("192.0.2.1", 500)], 1000);
    let text = book.to_text();
    assert_eq!(text.lines().count(), 3);
    let read = Book::from_text(&text, Limits::default(), 1050).unwrap();
    assert_eq!(list(&read), list(&book), "within the grace");
    let mut later = Book::from_text(&text, Limits::default(), 1070).unwrap();
    assert_eq!(list(&later), ["a.test. 192.0.2.1 1500", "b.test. 2001:db8::1 1500"]);
    assert_eq!(shown(later.expire(1560, &|_| false)).len(), 2);
    let small = Book::from_text(&text, Limits { addresses: 1, ..Limits::default() }, 1050).unwrap();
    assert_eq!(small.addresses(), 1);
    let yesterday = Book::from_text(&text, Limits::default(), 0).unwrap();
    assert!(yesterday.list().all(|listed| listed.expires <= 7 * 24 * 3600));
}

#[test]
fn a_damaged_file_is_told_with_its_line_and_counts_for_nothing() {
    let head = r#"{"kind":"portcullis names","version":1}"#;
    for (text, wanted) in [
        (String::new(), "line 1: the file is empty"),
        ("nonsense".to_owned(), "line 1: expected"),
        (head.replace('1', "2"), "line 1: it is \"portcullis names\" of version 2, not"),
        (head.replace("names", "numbers"), "line 1: it is \"portcullis numbers\""),
        (format!("{head}\n{{\"name\":\"a.test.\",\"addresses\":{{\"192.0.2.1\":1}}}}\n{{\"na"), "line 3: EOF"),
        (format!("{head}\n{{\"name\":\"a.test\",\"addresses\":{{}}}}"), "line 2: the name is not"),
        (format!("{head}\n{{\"name\":\"A.\",\"addresses\":{{}}}}"), "line 2: the name is not"),
        (format!("{head}\n{{\"name\":\"a.\",\"addresses\":{{\"somewhere\":1}}}}"), "line 2: invalid IP address"),
        (format!("{head}\n{{\"name\":\"a.\",\"addresses\":{{}},\"more\":1}}"), "line 2: unknown field"),
    ] {
        let damaged = Book::from_text(&text, Limits::default(), 0).unwrap_err().to_string();
        assert!(damaged.starts_with(wanted), "{text:?}: {damaged}");
        assert!(damaged.ends_with("learnt anew when they are asked for"), "{damaged}");
    }
    assert_eq!(Book::from_text(head, Limits::default(), 0).unwrap().names(), 0);
}

#[test]
fn whoever_follows_is_told_which_names_an_address_has_lost() {
    let mut book = book(Limits { addresses_per_name: 1, ..Limits::default() });
    learn(&mut book, "a.test", &[("192.0.2.1", 30)], 0);
    learn(&mut book, "b.test", &[("192.0.2.1", 60)], 0);
    let gone = |changes: Vec<Change>| -> Vec<String> {
        changes.into_iter().map(|change| format!("{} -{}", change.address, change.gone.join(" -"))).collect()
    };
    assert_eq!(gone(book.learn("a.test", &[(ip("192.0.2.2"), 30)], 0)), ["192.0.2.1 -a.test.", "192.0.2.2 -"]);
    assert_eq!(gone(book.expire(60, &|_| false)), ["192.0.2.1 -b.test.", "192.0.2.2 -a.test."]);
}

#[test]
fn the_book_is_read_page_by_page() {
    let mut book = book(Limits::default());
    for (name, addresses) in [("a.test", 3), ("b.test", 1), ("c.test", 1), ("d.test", 2)] {
        let answer: Vec<(IpAddr, u32)> = (1..=addresses).map(|last| (IpAddr::from([192, 0, 2, last]), 30)).collect();
        book.learn(name, &answer, 100);
    }
    let names = |after: Option<&str>, most| -> Vec<String> {
        book.page(after, most).iter().map(|known| format!("{} {}", known.name, known.addresses.len())).collect()
    };
    assert_eq!(names(None, 1), ["a.test. 3"]);
    assert_eq!(names(None, 4), ["a.test. 3", "b.test. 1"]);
    assert_eq!(names(Some("a.test."), 100), ["b.test. 1", "c.test. 1", "d.test. 2"]);
    assert_eq!(names(Some("bb.test."), 1), ["c.test. 1"], "the name itself may be gone");
    assert_eq!(names(Some("d.test."), 1), NOTHING);
    assert_eq!(book.get("B.test").unwrap().addresses, [(ip("192.0.2.1"), 130)]);
    assert_eq!(book.get("e.test"), None);
}
