//! DNS sessions over datagrams.

use portcullis_codecs::{
    datagram::{AnswerStep, DatagramSession, QueryStep},
    dns,
    dns::Limits,
    fact::Facts,
    relay::{Decision, ResponseSummary, Side},
};

use crate::{
    message::{A, AAAA, Message, opt, option},
    playbook::pair::{Recorder, told, without_changes},
};

/// One flow and what it tells.
pub(crate) struct Flow {
    session: Box<dyn DatagramSession>,
    pub(crate) recorder: Recorder,
}

impl Flow {
    /// Names that begin with `deny` are denied in this way.
    fn new(decision: Decision, learns: bool) -> Self {
        let limits = Limits { queries: 3 };
        let mut recorder = Recorder::new(without_changes(crate::streams::deny_with(decision)));
        recorder.learns = learns;
        Self { session: dns::session(&limits), recorder }
    }

    fn query(&mut self, message: &Message, now: u64) -> QueryStep {
        self.session.query(&message.bytes(), now, &mut self.recorder)
    }

    fn answer(&mut self, message: &Message) -> AnswerStep {
        self.session.answer(&message.bytes(), &mut self.recorder)
    }
}

fn allowed() -> Flow {
    Flow::new(Decision::Respond, false)
}

fn status(exchange: u32, status: u16) -> ResponseSummary {
    ResponseSummary { exchange, status: Some(status.into()), facts: Facts::NONE }
}

#[test]
fn a_query_goes_out_and_its_answer_comes_back() {
    let mut flow = allowed();
    assert_eq!(flow.query(&Message::query(7, "WwW.a.test", A), 5), QueryStep::Forward);
    assert_eq!((flow.session.outstanding(), flow.session.oldest()), (1, Some(5)));
    // The case of the name is the client's affair.
    let answer = Message::answer(7, "www.A.test", A).address("www.a.test", 9, "192.0.2.1");
    assert_eq!(flow.answer(&answer), AnswerStep::Forward);
    assert_eq!(flow.recorder.judged, ["www.a.test. A"]);
    assert_eq!(flow.recorder.answered, [status(0, 0)]);
    assert_eq!((flow.session.outstanding(), flow.session.oldest()), (0, None));
}

#[test]
fn only_what_was_asked_is_answered() {
    let mut flow = allowed();
    flow.query(&Message::query(7, "a.test", A), 0);
    for answer in [
        Message::answer(8, "a.test", A),
        Message::answer(7, "b.test", A),
        Message::answer(7, "a.test", AAAA),
        Message::answer(7, "", A),
    ] {
        assert_eq!(flow.answer(&answer), AnswerStep::Drop("unasked"), "{:02x?}", answer.bytes());
    }
    assert_eq!(flow.answer(&Message::query(7, "a.test", A)), AnswerStep::Drop("not_an_answer"));
    assert_eq!(flow.session.outstanding(), 1, "they have not used up the query");
    assert_eq!(flow.answer(&Message::answer(7, "a.test", A)), AnswerStep::Forward);
    assert_eq!(flow.answer(&Message::answer(7, "a.test", A)), AnswerStep::Drop("unasked"));
    assert!(flow.recorder.violations.iter().all(|(side, _)| *side == Side::Upstream));
    assert_eq!(flow.recorder.violations.len(), 6);
}

#[test]
fn a_type_that_is_a_letter_is_not_compared_as_one() {
    // Type 65 is HTTPS and the letter A, type 97 the letter a.
    let mut flow = allowed();
    flow.query(&Message::query(7, "a.test", 65), 0);
    assert_eq!(flow.answer(&Message::answer(7, "a.test", 97)), AnswerStep::Drop("unasked"));
    assert_eq!(flow.answer(&Message::answer(7, "a.test", 65)), AnswerStep::Forward);
}

#[test]
fn two_questions_may_have_one_id_and_one_may_be_sent_twice() {
    let mut flow = allowed();
    let (v4, v6) = (Message::query(7, "a.test", A), Message::query(7, "a.test", AAAA));
    for query in [&v4, &v6, &v4] {
        assert_eq!(flow.query(query, 0), QueryStep::Forward);
    }
    assert_eq!(flow.answer(&Message::answer(7, "a.test", AAAA)), AnswerStep::Forward);
    assert_eq!(flow.answer(&Message::answer(7, "a.test", A).flags(0x8183)), AnswerStep::Forward);
    assert_eq!(flow.answer(&Message::answer(7, "a.test", A)), AnswerStep::Forward);
    assert_eq!(flow.recorder.answered, [status(1, 0), status(0, 3), status(2, 0)]);
}

#[test]
fn a_server_that_cannot_read_the_query_may_leave_the_question_out() {
    let mut flow = allowed();
    flow.query(&Message::query(7, "a.test", A), 0);
    let bare = Message { body: vec![], ..Message::answer(7, "", A).counts([0; 4]) };
    assert_eq!(flow.answer(&bare), AnswerStep::Drop("question_count"), "but not without an error");
    assert_eq!(flow.answer(&bare.clone().flags(0x8181)), AnswerStep::Forward);
    assert_eq!(flow.answer(&bare.flags(0x8181)), AnswerStep::Drop("unasked"));
}

#[test]
fn at_the_limit_a_query_fails_and_old_ones_are_forgotten_by_their_time() {
    let mut flow = allowed();
    for id in 0..3 {
        assert_eq!(flow.query(&Message::query(id, "a.test", A), 10 + u64::from(id)), QueryStep::Forward);
    }
    let failed = Message::answer(3, "a.test", A).flags(0x8182).bytes();
    assert_eq!(flow.query(&Message::query(3, "a.test", A), 13), QueryStep::Answer(failed));
    assert_eq!(flow.recorder.violations, [(Side::Downstream, "outstanding")]);
    assert_eq!(flow.session.expire(12, &mut flow.recorder), 2);
    assert_eq!(flow.session.oldest(), Some(12));
    let lost = |exchange| ResponseSummary { exchange, status: None, facts: Facts::NONE };
    assert_eq!(flow.recorder.answered, [lost(0), lost(1)]);
    assert_eq!(flow.answer(&Message::answer(0, "a.test", A)), AnswerStep::Drop("unasked"));
    assert_eq!(flow.answer(&Message::answer(2, "a.test", A)), AnswerStep::Forward);
}

#[test]
fn a_denied_query_is_answered_as_policy_wants() {
    let query = || Message::query(7, "Deny.test", A);
    for (decision, rcode, code) in [(Decision::Respond, 5, 18_u16), (Decision::Hide, 3, 15)] {
        let mut flow = Flow::new(decision, false);
        let plain = Message::answer(7, "Deny.test", A).flags(0x8180 | rcode);
        assert_eq!(flow.query(&query(), 0), QueryStep::Answer(plain.bytes()));
        // RD and CD are the client's; whether the answer says that it recurses follows RD.
        let not_recursive = plain.clone().flags(0x8010 | rcode);
        assert_eq!(flow.query(&query().flags(0x0010), 0), QueryStep::Answer(not_recursive.bytes()));
        // An OPT has an OPT, which says why, keeps DO, and gives the cookie back.
        let reason = option(15, &code.to_be_bytes());
        let cookie = option(10, b"12345678");
        let with_opt = plain.clone().with(3, &opt(0x8000, &reason));
        assert_eq!(flow.query(&query().with(3, &opt(0x8000, b"")), 0), QueryStep::Answer(with_opt.bytes()));
        let with_cookie = plain.clone().with(3, &opt(0, &[reason, cookie.clone()].concat()));
        assert_eq!(flow.query(&query().with(3, &opt(0, &cookie)), 0), QueryStep::Answer(with_cookie.bytes()));
        assert_eq!(flow.session.outstanding(), 0);
        assert_eq!(flow.recorder.judged[0], format!("deny.test. A -> {decision:?}"));
    }
    for decision in [Decision::Reset, Decision::Rewrite] {
        let mut flow = Flow::new(decision, false);
        assert_eq!(flow.query(&query(), 0), QueryStep::Drop("denied"));
        assert_eq!(flow.session.outstanding(), 0);
    }
}

#[test]
fn a_malformed_query_is_told_so_and_reaches_nobody() {
    let query = || Message::query(7, "a.test", A);
    let answer = |rcode: u16| Message::answer(7, "a.test", A).flags(0x8180 | rcode);
    let bare = |flags, id| Message { id, flags, counts: [0; 4], body: vec![] };
    for (message, wanted) in [
        (query().flags(0x1100), QueryStep::Answer(answer(4).flags(0x9184).bytes())),
        (query().counts([2, 0, 0, 0]), QueryStep::Answer(bare(0x8181, 7).bytes())),
        (query().counts([1, 1, 0, 0]), QueryStep::Answer(answer(1).bytes())),
        (Message::query(7, "a.test", 252), QueryStep::Answer(Message::answer(7, "a.test", 252).flags(0x8185).bytes())),
        (query().flags(0x8180), QueryStep::Drop("not_a_query")),
    ] {
        let mut flow = allowed();
        assert_eq!(flow.query(&message, 0), wanted, "{:02x?}", message.bytes());
        assert_eq!((flow.recorder.violations.len(), flow.session.outstanding()), (1, 0));
        assert!(flow.recorder.judged.is_empty());
    }
    let mut flow = allowed();
    assert_eq!(flow.session.query(b"\x00\x07", 0, &mut flow.recorder), QueryStep::Drop("short"));
}

#[test]
fn an_answer_waits_for_what_it_resolves_and_fails_otherwise() {
    let mut flow = Flow::new(Decision::Respond, true);
    flow.query(&Message::query(7, "a.test", A), 0);
    let answer = Message::answer(7, "A.test", A).alias("a.test", 5, "b.test").address("b.test", 9, "192.0.2.1");
    let AnswerStep::Hold(resolution) = flow.answer(&answer) else { panic!("it is held") };
    assert_eq!(told(&resolution), "a.test. 192.0.2.1 for 5");
    assert_eq!(flow.session.unlearnt(&answer.bytes()), Message::answer(7, "A.test", A).flags(0x8182).bytes());
    // Where there is nothing to learn, nothing waits.
    flow.query(&Message::query(8, "a.test", A), 0);
    assert_eq!(flow.answer(&Message::answer(8, "a.test", A).flags(0x8183)), AnswerStep::Forward);
}

#[test]
fn an_answer_that_cannot_be_read_is_dropped_where_names_are_learnt_only() {
    let broken = Message::answer(7, "a.test", A).with(1, b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x09\x00\x03abc");
    for learns in [false, true] {
        let mut flow = Flow::new(Decision::Respond, learns);
        flow.query(&Message::query(7, "a.test", A), 0);
        let wanted = if learns { AnswerStep::Drop("address") } else { AnswerStep::Forward };
        assert_eq!(flow.answer(&broken), wanted);
        // The right one may still come.
        assert_eq!(flow.session.outstanding(), usize::from(learns));
    }
}

#[test]
fn an_answer_has_the_code_that_its_header_and_its_opt_say_together() {
    let plain = || Message::answer(7, "a.test", A).address("a.test", 9, "192.0.2.1");
    // The first byte of an OPT's TTL is the higher part of the code (RFC 6891 §6.1.3).
    let extended = |higher: u8| {
        let mut opt = opt(0, &[]);
        opt[5] = higher;
        opt
    };
    let bare = Message { body: Vec::new(), ..Message::answer(7, "a.test", A).counts([0; 4]) };
    for (answer, code) in [
        (plain(), 0),
        (plain().with(3, &extended(0)), 0),
        (plain().with(3, &extended(1)), 16),
        (plain().flags(0x8187).with(3, &extended(1)), 23),
        (bare.flags(0x8181).with(3, &extended(2)), 33),
    ] {
        for learns in [false, true] {
            let mut flow = Flow::new(Decision::Respond, learns);
            flow.query(&Message::query(7, "a.test", A), 0);
            let step = flow.answer(&answer);
            assert_eq!(flow.recorder.answered, [status(0, code)]);
            assert_eq!(matches!(step, AnswerStep::Hold(_)), learns && code == 0, "an error tells nothing: {code}");
        }
    }
    // What cannot be read as a whole is relayed where nothing is learnt, by the code of its header.
    let mut flow = allowed();
    flow.query(&Message::query(7, "a.test", A), 0);
    assert_eq!(flow.answer(&plain().flags(0x8183).with(3, &extended(1)[..9])), AnswerStep::Forward);
    assert_eq!(flow.recorder.answered, [status(0, 3)]);
}
