//! SYN cookies: the kernel then stores nothing of a handshake, so its answers belong to no socket.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use portcullis_integration::Site;
use portcullis_redirect::PacketJudge;

use crate::{
    bench::{APP, Bench, FAMILIES, REFUSED, STEERED, UNSTEERED, able, ip, table},
    packets::{WAYS, by},
};

/// Has every handshake here go by a cookie.
fn only_cookies(site: &Site) {
    site.inside(|| std::fs::write("/proc/sys/net/ipv4/tcp_syncookies", "2").unwrap());
}

#[test]
fn a_handshake_by_a_cookie_comes_to_our_listener_and_so_does_what_follows() {
    if !able() {
        return;
    }
    for links in WAYS {
        let bench = by(links, &table());
        assert_eq!(bench.redirect.guard(APP), PacketJudge::Outside);
        only_cookies(&bench.app);
        let _servers = [STEERED, UNSTEERED, REFUSED].map(|port| Bench::serve(&bench.app, port));
        for v6 in FAMILIES {
            let outcome = bench.ingress(v6, STEERED);
            assert!(outcome.is_steered_from(ip(&bench.outside, v6)), "links: {links}: {outcome:?}");
            let outcome = bench.ingress(v6, UNSTEERED);
            assert!(outcome.is_direct_from(ip(&bench.outside, v6)), "links: {links}: {outcome:?}");
            assert!(bench.ingress(v6, REFUSED).is_refused());
        }
    }
}

#[test]
fn a_cookie_of_somebody_elses_listener_lets_nothing_in() {
    if !able() {
        return;
    }
    let bench = by(true, &table());
    only_cookies(&bench.app);
    for words in [
        "nft add table inet x",
        "nft add chain inet x p { type nat hook prerouting priority -100 ; }",
        &format!("nft add rule inet x p tcp dport {STEERED} redirect to :{UNSTEERED}"),
    ] {
        bench.app.run(&words.split(' ').collect::<Vec<_>>()).unwrap().ok().unwrap();
    }
    let listener = bench.app.inside(|| TcpListener::bind(bench.app.address(false, UNSTEERED)).unwrap());
    listener.set_nonblocking(true).unwrap();
    let to = bench.app.address(false, STEERED);
    // The client may believe in the handshake, but nothing of what it says arrives.
    if let Ok(mut client) = bench.outside.inside(|| TcpStream::connect_timeout(&to, Duration::from_secs(3))) {
        client.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        client.write_all(b"unjudged").unwrap();
        assert!(client.read(&mut [0; 16]).map_or(0, |length| length) == 0);
    }
    assert!(listener.accept().is_err(), "no connection came to the program");
    // Without the translation the same listener is reached at its own port.
    bench.app.run(&["nft", "delete", "table", "inet", "x"]).unwrap().ok().unwrap();
    let _client = bench.outside.inside(|| TcpStream::connect(bench.app.address(false, UNSTEERED)).unwrap());
    listener.set_nonblocking(false).unwrap();
    assert!(listener.accept().is_ok());
}
