//! How answers of DNS servers are reported. Needs root and `ip`.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use portcullis_codecs::resolution::LearnedAddresses;
use portcullis_rules::{snapshot::Snapshot, world::LearnedFrom};

use crate::{
    DataPlaneOptions, NameInstaller, PendingRelease,
    telemetry::DnsReply,
    tests::{
        datagrams::{Site, client, question, receive},
        records::RecordFile,
        transparent::in_namespace,
    },
};

/// In force already, in force soon, and never in force.
const KNOWN: u8 = 1;
const SOON: u8 = 2;
const NEVER: u8 = 3;

/// Goes by the last byte of an answer's first address.
struct StubInstaller;

impl NameInstaller for StubInstaller {
    fn learn(
        &self,
        _: LearnedFrom,
        resolution: LearnedAddresses,
        _: Option<&Snapshot>,
        release: PendingRelease,
    ) -> bool {
        let IpAddr::V4(first) = resolution.addresses[0].address else { panic!("no such answer is given") };
        match first.octets()[3] {
            KNOWN => {
                release.void();
                return true;
            }
            last => release.redeem(last == SOON),
        }
        false
    }

    fn opened(&self, _: IpAddr) {}

    fn closed(&self, _: IpAddr) {}
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

/// The answer to a query, with these addresses, or an extended code (RFC 6891 §6.1.3).
fn answer(query: &[u8], addresses: &[Ipv4Addr], higher: u8) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2] |= 0x80;
    answer[7] = u8::try_from(addresses.len()).unwrap();
    for address in addresses {
        answer.extend_from_slice(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x09\x00\x04");
        answer.extend_from_slice(&address.octets());
    }
    if higher > 0 {
        answer[11] = 1;
        answer.extend_from_slice(&[0, 0, 41, 4, 208, higher, 0, 0, 0, 0, 0]);
    }
    answer
}

/// Asks, and is answered with these addresses. Tells the code in the header that the client gets.
fn ask(site: &Site, addresses: &[Ipv4Addr], higher: u8) -> u8 {
    let client = client();
    client.send_to(&question(7), site.vip).unwrap();
    let (query, upstream) = site.arrived();
    site.server.send_to(&answer(&query, addresses, higher), upstream).unwrap();
    receive(&client).0[3] & 0x0f
}

#[test]
fn an_answer_is_told_with_its_code_what_it_resolves_and_how_long_it_was_held() {
    in_namespace(|namespace| {
        let file = RecordFile::new();
        let mut site =
            Site::with(DataPlaneOptions::default(), namespace, Some(Arc::new(StubInstaller)), &file.options());
        site.ask_by_name();
        let mut watcher = site.telemetry.watch(64);
        let many: Vec<Ipv4Addr> = (0..20).map(|more| address(SOON + 10 * more)).collect();
        let told: Vec<DnsReply> =
            [(&[address(KNOWN)][..], 0, 0), (&many, 0, 0), (&[address(NEVER)], 0, 2), (&[], 1, 0)]
                .into_iter()
                .map(|(addresses, higher, said)| {
                    assert_eq!(ask(&site, addresses, higher), said);
                    let (query, _) = watcher.try_recv().unwrap();
                    assert_eq!((query.outcome.passes(), &query.reply), (true, &None));
                    let (answer, _) = watcher.try_recv().unwrap();
                    assert_eq!((answer.field("matchName"), answer.generation), (query.field("matchName"), 2));
                    assert!(answer.time >= query.time && watcher.try_recv().is_none());
                    answer.reply.clone().unwrap()
                })
                .collect();
        let known = [0, 1, 2, 3].map(|place: usize| {
            let DnsReply { status, addresses, more, held, passed, .. } = &told[place];
            (*status, addresses.len(), *more, held.is_some(), *passed)
        });
        assert_eq!(
            known,
            [(0, 1, 0, false, true), (0, 16, 4, true, true), (0, 1, 0, true, false), (16, 0, 0, false, true)]
        );
        assert_eq!(told[1].addresses[1], IpAddr::from(address(SOON + 10)));

        drop((site, watcher));
        let (text, records) = file.read();
        assert_eq!(records.len(), 4, "{text}");
        assert_eq!(records[0]["answer"], serde_json::json!({"rcode": "NOERROR", "addresses": ["192.0.2.1"]}));
        assert_eq!((&records[1]["answer"]["more"], records[1]["answer"]["held_us"].is_u64()), (&4.into(), true));
        assert_eq!((&records[2]["answer"]["replaced"], &records[2]["status"]), (&true.into(), &0.into()));
        assert_eq!((&records[3]["answer"]["rcode"], &records[3]["status"]), (&"BADVERS".into(), &16.into()));
    });
}

#[test]
fn a_query_that_nobody_answers_has_a_record_without_an_answer() {
    in_namespace(|namespace| {
        let file = RecordFile::new();
        let mut site =
            Site::with(DataPlaneOptions::default(), namespace, Some(Arc::new(StubInstaller)), &file.options());
        site.ask_by_name();
        client().send_to(&question(7), site.vip).unwrap();
        site.arrived();
        drop(site);
        let record = file.only();
        assert_eq!((&record["verdict"], record.get("answer"), record.get("status")), (&"allow".into(), None, None));
    });
}
