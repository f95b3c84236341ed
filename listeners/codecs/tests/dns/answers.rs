//! Answers: which addresses they give for the name that was asked for.

use portcullis_codecs::dns::{Violation, resolution};

use crate::{
    message::{A, AAAA, CNAME, HTTPS, Message, TXT, name, opt, option, record},
    playbook::pair::told,
};

fn resolves(message: &Message) -> Result<String, Violation> {
    resolution(&message.bytes()).map(|resolution| resolution.as_ref().map_or_else(String::new, told))
}

/// A service binding: priority, target, parameters.
fn service(priority: u16, target: &str, parameters: &[u8]) -> Vec<u8> {
    [&priority.to_be_bytes()[..], &name(target), parameters].concat()
}

fn answer() -> Message {
    Message::answer(7, "A.test", A)
}

#[test]
fn an_answer_of_a_resolver_is_read() {
    // dig www.shop.test, with an alias, both records compressed, and an OPT.
    let captured = b"\x12\x34\x81\x80\x00\x01\x00\x03\x00\x00\x00\x01\x03wWw\x04shop\x04test\x00\x00\x01\x00\x01\
        \xc0\x0c\x00\x05\x00\x01\x00\x00\x01\x2c\x00\x0b\x04edge\x03cdn\xc0\x15\
        \xc0\x2b\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x07\
        \xc0\x2b\x00\x01\x00\x01\x00\x00\x02\x58\x00\x04\xc0\x00\x02\x08\
        \x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
    let resolution = resolution(captured).unwrap().unwrap();
    assert_eq!(told(&resolution), "www.shop.test. 192.0.2.7 for 60 192.0.2.8 for 300");
}

#[test]
fn addresses_are_learnt_under_the_name_that_was_asked_for() {
    let v6 = Message::answer(7, "a.test", AAAA);
    let chain = answer().alias("a.test", 50, "b.test").alias("b.test", 20, "c.test");
    for (message, wanted) in [
        (answer(), ""),
        (answer().address("a.test", 9, "192.0.2.1"), "a.test. 192.0.2.1 for 9"),
        (answer().address("A.TEST", 9, "192.0.2.1"), "a.test. 192.0.2.1 for 9"),
        (answer().address("a.test", 0, "192.0.2.1"), "a.test. 192.0.2.1 for 0"),
        (answer().address("a.test", 0x8000_0000, "192.0.2.1"), "a.test. 192.0.2.1 for 0"),
        (v6.clone().address("a.test", 9, "2001:db8::1"), "a.test. 2001:db8::1 for 9"),
        (v6.address("a.test", 9, "::ffff:192.0.2.1"), "a.test. 192.0.2.1 for 9"),
        (answer().address("x.a.test", 9, "192.0.2.1"), "a.test. 192.0.2.1 for 9"),
        (
            answer().address("b.test", 9, "192.0.2.1").address("a.test", 8, "192.0.2.2"),
            "a.test. 192.0.2.1 for 9 192.0.2.2 for 8",
        ),
        (chain.clone().address("c.test", 30, "192.0.2.1"), "a.test. 192.0.2.1 for 20"),
        (chain.clone().address("c.test", 10, "192.0.2.1"), "a.test. 192.0.2.1 for 10"),
        (chain.clone().address("b.test", 90, "192.0.2.1"), "a.test. 192.0.2.1 for 50"),
        // No alias leads there, and clients take it.
        (chain.clone().address("d.test", 30, "192.0.2.1"), "a.test. 192.0.2.1 for 30"),
        (answer().address("lb.pool.test", 30, "192.0.2.1"), "a.test. 192.0.2.1 for 30"),
        (chain.clone(), ""),
        // Whatever their order.
        (
            answer().address("c.test", 9, "192.0.2.1").alias("b.test", 5, "c.test").alias("a.test", 7, "b.test"),
            "a.test. 192.0.2.1 for 5",
        ),
        // Loops end.
        (answer().alias("a.test", 5, "a.test").address("a.test", 9, "192.0.2.1"), "a.test. 192.0.2.1 for 9"),
        (
            answer().alias("a.test", 5, "b.test").alias("b.test", 4, "a.test").address("b.test", 9, "192.0.2.1"),
            "a.test. 192.0.2.1 for 5",
        ),
        // Only the answer section counts.
        (answer().with(2, &record(&name("a.test"), A, 9, &[192, 0, 2, 1])), ""),
        (answer().with(3, &record(&name("a.test"), A, 9, &[192, 0, 2, 1])), ""),
        // Truncated, it tells what is there.
        (answer().flags(0x8380).address("a.test", 9, "192.0.2.1"), "a.test. 192.0.2.1 for 9"),
        // Errors tell nothing.
        (answer().flags(0x8183).address("a.test", 9, "192.0.2.1"), ""),
        (answer().flags(0x8182).address("a.test", 9, "192.0.2.1"), ""),
        (answer().address("a.test", 9, "192.0.2.1").with(3, b"\0\0\x29\x04\xd0\x01\0\0\0\0\0"), ""),
    ] {
        assert_eq!(resolves(&message).as_deref(), Ok(wanted), "{:02x?}", message.bytes());
    }
}

#[test]
fn hints_of_service_bindings_are_addresses_too() {
    let asked = || Message::answer(7, "a.test", HTTPS);
    let v4 = option(4, &[192, 0, 2, 1, 192, 0, 2, 2]);
    let v6 = option(6, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let both = [option(1, b"\x02h2"), v4.clone(), v6.clone()].concat();
    let with = |data: &[u8]| asked().with(1, &record(&[0xc0, 12], HTTPS, 9, data));
    for (message, wanted) in [
        (with(&service(1, "", &both)), Ok("a.test. 192.0.2.1 for 9 192.0.2.2 for 9 2001:db8::1 for 9")),
        (with(&service(1, "pool.test", &v4)), Ok("a.test. 192.0.2.1 for 9 192.0.2.2 for 9")),
        (with(&service(1, "", &[])), Ok("")),
        (with(&service(0, "b.test", &[])), Ok("")),
        (with(&service(0, "b.test", &v4)), Ok("")),
        (
            asked().alias("a.test", 3, "b.test").with(1, &record(&name("b.test"), HTTPS, 9, &service(1, "", &v6))),
            Ok("a.test. 2001:db8::1 for 3"),
        ),
        (with(&[0]), Err(Violation::Service)),
        (with(&[0, 1]), Err(Violation::Service)),
        (with(&[0, 1, 0xc0, 12]), Err(Violation::Service)),
        (with(&service(1, "", &[0, 4, 0])), Err(Violation::Service)),
        (with(&service(1, "", &[0, 4, 0, 4, 1])), Err(Violation::Service)),
        (with(&service(1, "", &option(4, &[]))), Err(Violation::Service)),
        (with(&service(1, "", &option(4, &[1, 2, 3, 4, 5]))), Err(Violation::Service)),
        (with(&service(1, "", &option(6, &[0; 15]))), Err(Violation::Service)),
        (with(&service(1, "", &[v6.clone(), v4.clone()].concat())), Err(Violation::Service)),
        (with(&service(1, "", &[v4.clone(), v4.clone()].concat())), Err(Violation::Service)),
    ] {
        assert_eq!(resolves(&message).as_deref(), wanted.as_ref().copied(), "{:02x?}", message.bytes());
    }
}

#[test]
fn an_answer_that_cannot_be_read_resolves_nothing_and_says_why() {
    use Violation::{
        Address, Alias, CutRecord, LabelType, LongName, NotAnAnswer, Opcode, Options, Pointer, QuestionCount, Short,
    };
    let with = |record: &[u8]| answer().with(1, record);
    // The question ends at 24: the first record begins there.
    let to = |target: &[u8]| record(&[0xc0, 12], CNAME, 9, target);
    let label = [vec![63], vec![b'x'; 63]].concat();
    for (message, violation) in [
        (Message { body: vec![], ..answer() }, Violation::CutQuestion),
        (answer().flags(0x0100), NotAnAnswer),
        (answer().flags(0x8980), Opcode),
        (answer().counts([2, 0, 0, 0]), QuestionCount),
        (answer().counts([0, 0, 0, 0]), QuestionCount),
        (answer().counts([1, 1, 0, 0]), CutRecord),
        (answer().counts([1, 0, 1, 0]), CutRecord),
        (answer().counts([1, 0, 0, 1]), CutRecord),
        (answer().counts([1, u16::MAX, u16::MAX, u16::MAX]), CutRecord),
        (with(&record(&name("a.test"), A, 9, &[192, 0, 2])), Address),
        (with(&record(&name("a.test"), A, 9, &[192, 0, 2, 1, 0])), Address),
        (with(&record(&name("a.test"), AAAA, 9, &[0; 15])), Address),
        (with(&record(&name("a.test"), A, 9, &[1, 2, 3, 4])[..20]), CutRecord),
        // A name that points at itself, forwards, into the header.
        (with(&record(&[0xc0, 24], A, 9, &[1, 2, 3, 4])), Pointer),
        (with(&record(&[0xc0, 26], A, 9, &[1, 2, 3, 4])), Pointer),
        (with(&record(&[0xc0, 0], A, 9, &[1, 2, 3, 4])), Pointer),
        (with(&record(&[1, b'x', 0xc0, 24], A, 9, &[1, 2, 3, 4])), Pointer),
        (with(&record(&[0x41, b'x', 0], A, 9, &[1, 2, 3, 4])), LabelType),
        (with(&to(&[])), CutRecord),
        (with(&to(&[1, b'x', 0, 0])), Alias),
        (with(&to(&[0xff, 0xff])), Pointer),
        (with(&to(&[0xc0, 36])), Pointer),
        (with(&to(&[label.repeat(4), vec![0]].concat())), LongName),
        (answer().with(3, &opt(0, b"\x00\x0a\x00")), Options),
    ] {
        assert_eq!(resolves(&message), Err(violation), "{:02x?}", message.bytes());
    }
    assert_eq!(resolution(b"\x00\x01\x81"), Err(Short));
}

#[test]
fn what_is_not_about_the_name_may_be_of_any_form() {
    let message = answer()
        .with(1, &record(&[0xc0, 12], TXT, 9, b"\xff\xff\xff"))
        .with(1, &record(&[0xc0, 12], 65280, 9, b""))
        .address("a.test", 9, "192.0.2.1")
        .with(2, &record(&[0xc0, 0], 6, 9, b"no start of authority"));
    assert_eq!(resolves(&message).as_deref(), Ok("a.test. 192.0.2.1 for 9"));
}

#[test]
fn chains_are_followed_as_far_as_resolvers_do() {
    let chain = |aliases: u32| {
        let links = (0..aliases).fold(Message::answer(7, "n0.test", A), |message, link| {
            message.alias(&format!("n{link}.test"), 1000 - link, &format!("n{}.test", link + 1))
        });
        links.address(&format!("n{aliases}.test"), 2000, "192.0.2.1")
    };
    assert_eq!(resolves(&chain(32)).as_deref(), Ok("n0.test. 192.0.2.1 for 969"));
    assert_eq!(resolves(&chain(33)), Err(Violation::LongChain));
}

#[test]
fn a_large_answer_resolves_all_its_addresses() {
    let message = (0..4000_u32)
        .fold(answer(), |message, number| message.with(1, &record(&[0xc0, 12], A, 60, &number.to_be_bytes())));
    assert!(message.bytes().len() <= usize::from(u16::MAX));
    let resolution = resolution(&message.bytes()).unwrap().unwrap();
    assert_eq!(resolution.addresses.len(), 4000);
}
