//! Queries: what is read from them, and what is refused.

use portcullis_codecs::dns::{Violation, kind, with_query};

use crate::message::{A, AAAA, HTTPS, Message, OPT, TSIG, TXT, name, opt, option, record};

/// What the rules see of a query.
fn read(message: &[u8]) -> Result<String, Violation> {
    with_query(message, |query| format!("{} {}", query.name(), kind::word(query.kind())))
}

#[test]
fn a_query_of_dig_is_read() {
    // dig +dnssec WWW.Example.org AAAA, with a cookie.
    let captured = b"\x8a\x11\x01\x20\x00\x01\x00\x00\x00\x00\x00\x01\x03WWW\x07Example\x03org\x00\x00\x1c\x00\x01\
        \x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x0c\x00\x0a\x00\x08\x52\x5f\x1a\xbb\x02\x6c\x03\x2f";
    assert_eq!(read(captured), Ok("www.example.org. AAAA".to_owned()));
}

#[test]
fn no_two_names_have_one_text() {
    for (wire, text) in [
        (&b"\x00"[..], "."),
        (b"\x01a\x00", "a."),
        (b"\x03A-_\x00", "a-_."),
        (b"\x03a.b\x00", "a\\046b."),
        (b"\x01a\x01b\x00", "a.b."),
        (b"\x01\\\x00", "\\092."),
        (b"\x04\\046\x00", "\\092046."),
        (b"\x01*\x01a\x00", "\\042.a."),
        (b"\x02\xc3\xa4\x00", "\\195\\164."),
        (b"\x01\x00\x00", "\\000."),
        (b"\x01 \x00", "\\032."),
        (b"\x01\xdf\x00", "\\223."),
    ] {
        let mut query = Message::query(1, "", A);
        query.body.splice(..1, wire.iter().copied());
        assert_eq!(read(&query.bytes()), Ok(format!("{text} A")));
    }
    // The longest name there is, of bytes that all are escaped.
    let longest: Vec<u8> =
        [63, 63, 63, 61].iter().flat_map(|length| [vec![*length], vec![0xff; usize::from(*length)]].concat()).collect();
    let mut query = Message::query(1, "", A);
    query.body.splice(..0, longest);
    assert_eq!(read(&query.bytes()).map(|text| text.len()), Ok(250 * 4 + 4 + 2));
}

#[test]
fn what_servers_have_to_be_asked_is_let_through() {
    let query = || Message::query(7, "a.test", HTTPS);
    let signature = record(&name("key.test"), TSIG, 0, b"whatever");
    let sig0 = record(&[0], 24, 0, &[0; 20]);
    for message in [
        query(),
        query().flags(0x0000),
        query().flags(0x0130),
        query().with(3, &opt(0x8000, b"")),
        query().with(3, &opt(0, &[option(10, b"12345678"), option(12, &[0; 99])].concat())),
        query().with(3, &signature),
        query().with(3, &opt(0, b"")).with(3, &signature),
        query().with(3, &sig0),
    ] {
        assert_eq!(read(&message.bytes()), Ok("a.test. HTTPS".to_owned()), "{:02x?}", message.bytes());
    }
}

#[test]
fn a_query_that_two_readers_could_read_differently_is_refused() {
    use Violation::{
        Additional, Class, CompressedQuestion, CutQuestion, LabelType, LongName, NotAQuery, Opcode, Options,
        QuestionCount, Records, ReservedBit, Short, Trailing, Transfer, TruncatedQuery,
    };
    let query = || Message::query(7, "a.test", A);
    let body = |body: &[u8]| Message { body: body.to_vec(), ..query() };
    let class = |high, low| body(&[&name("a.test")[..], &[0, 1, high, low]].concat());
    let long = [[63; 64].repeat(4), vec![0, 0, 1, 0, 1]].concat();
    let another = [&name("b.test")[..], &[0, 1, 0, 1]].concat();
    let (address, empty) = (record(&name("a.test"), A, 1, &[1, 2, 3, 4]), opt(0, b""));
    let signature = record(&name("key.test"), TSIG, 0, b"");
    let named_opt = record(&name("a"), OPT, 0, b"");
    let trailing = |extra: &[u8]| [query().bytes(), extra.to_vec()].concat();
    for (message, violation) in [
        (vec![], Short),
        (query().bytes()[..11].to_vec(), Short),
        (query().flags(0x8100).bytes(), NotAQuery),
        (query().flags(0x0900).bytes(), Opcode),
        (query().flags(0x2000).bytes(), Opcode),
        (query().flags(0x2800).bytes(), Opcode),
        (query().flags(0x0300).bytes(), TruncatedQuery),
        (query().flags(0x0140).bytes(), ReservedBit),
        (query().counts([0, 0, 0, 0]).bytes(), QuestionCount),
        (query().with(0, &another).bytes(), QuestionCount),
        (query().with(1, &address).bytes(), Records),
        (query().with(2, &address).bytes(), Records),
        (body(b"").bytes(), CutQuestion),
        (body(b"\x01a").bytes(), CutQuestion),
        (body(b"\x05a\x00\x00\x01\x00\x01").bytes(), CutQuestion),
        (body(b"\x01a\x00\x00\x01\x00").bytes(), CutQuestion),
        (body(b"\xc0\x0c\x00\x01\x00\x01").bytes(), CompressedQuestion),
        (body(b"\x01a\xc0\x0c\x00\x01\x00\x01").bytes(), CompressedQuestion),
        (body(b"\x41a\x00\x00\x01\x00\x01").bytes(), LabelType),
        (body(b"\x81a\x00\x00\x01\x00\x01").bytes(), LabelType),
        (body(&long).bytes(), LongName),
        (class(0, 3).bytes(), Class),
        (class(0, 255).bytes(), Class),
        (class(0x80, 1).bytes(), Class),
        (Message::query(7, "a.test", 252).bytes(), Transfer),
        (Message::query(7, "a.test", 251).bytes(), Transfer),
        (query().with(3, &address).bytes(), Additional),
        (query().with(3, &named_opt).bytes(), Additional),
        (query().with(3, &empty).with(3, &empty).bytes(), Additional),
        (query().with(3, &signature).with(3, &empty).bytes(), Additional),
        (query().with(3, &signature).with(3, &signature).bytes(), Additional),
        (query().with(3, &record(&[0], 24, 0, &[0, 1, 0, 0])).bytes(), Additional),
        (query().counts([1, 0, 0, 1]).bytes(), Additional),
        (query().with(3, &empty[..10]).bytes(), Additional),
        (query().with(3, &opt(0, b"\x00\x0a\x00")).bytes(), Options),
        (query().with(3, &opt(0, b"\x00\x0a\x00\x02x")).bytes(), Options),
        (trailing(b"\x00"), Trailing),
        (trailing(&empty), Trailing),
    ] {
        assert_eq!(read(&message), Err(violation), "{message:02x?}");
    }
}

#[test]
fn every_prefix_of_a_query_is_refused() {
    let whole = Message::query(7, "www.a.test", TXT).with(3, &opt(0, &option(10, b"12345678"))).bytes();
    for end in 0..whole.len() {
        assert!(read(&whole[..end]).is_err(), "{end} bytes");
    }
    assert!(read(&whole).is_ok());
}

#[test]
fn every_violation_has_a_word_of_its_own() {
    let mut words: Vec<_> = Violation::ALL.iter().map(|violation| violation.word()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Violation::ALL.len());
    assert_eq!(read(&Message::query(1, "a", AAAA).bytes()), Ok("a. AAAA".to_owned()));
}
