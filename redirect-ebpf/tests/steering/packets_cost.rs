//! What the second line costs a connection that policy lets pass: CPU time of one thread that sends and receives, side by
//! side with and without. Run alone: `cargo test -p portcullis-redirect --test steering cost -- --ignored --nocapture`.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use nix::sys::resource::{UsageWho, getrusage};
use portcullis_redirect::{Action, Direction, Guard};

use crate::bench::{APP, Bench, TCP, able, class};

type Run = fn(&mut TcpStream, &mut TcpStream, usize, usize) -> f64;

const ROUNDS: usize = 40;

fn spent() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let time = |value: nix::sys::time::TimeVal| {
        Duration::from_secs(value.tv_sec().unsigned_abs()) + Duration::from_micros(value.tv_usec().unsigned_abs())
    };
    time(usage.user_time()) + time(usage.system_time())
}

/// Sends so many pieces, each of which is read before the next one goes.
fn run(from: &mut TcpStream, to: &mut TcpStream, size: usize, count: usize) -> f64 {
    let (piece, mut buffer) = (vec![7; size], vec![0; size]);
    let before = spent();
    for _ in 0..count {
        from.write_all(&piece).unwrap();
        to.read_exact(&mut buffer).unwrap();
    }
    (spent() - before).as_secs_f64() / count as f64
}

/// The same with a thread for each side, neither of which waits for the other: what both spend for each piece.
fn stream(from: &mut TcpStream, to: &mut TcpStream, size: usize, count: usize) -> f64 {
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let (piece, before) = (vec![7; size], spent());
            (0..count).for_each(|_| from.write_all(&piece).unwrap());
            spent() - before
        });
        let (mut buffer, mut left, before) = (vec![0; 65536], size * count, spent());
        while left > 0 {
            left -= to.read(&mut buffer).unwrap();
        }
        spent() - before + sender.join().unwrap()
    });
    sent.as_secs_f64() / count as f64
}

fn percentile(values: &mut [f64], part: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() * part / 100]
}

#[test]
#[ignore = "a measurement"]
fn cost_of_connections_that_pass() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[]);
    let closed = [
        class(Direction::Egress, TCP, 0..=8999, Action::Refuse),
        class(Direction::Egress, TCP, 9000..=9000, Action::Pass),
        class(Direction::Egress, TCP, 9001..=65535, Action::Refuse),
        class(Direction::Ingress, TCP, 0..=65535, Action::Refuse),
    ];
    let listener = bench.outside.inside(|| TcpListener::bind(bench.there(false, 9000)).unwrap());
    bench.redirect.set_table(APP, &closed).unwrap();
    let mut from = bench.app.inside(|| TcpStream::connect(bench.there(false, 9000)).unwrap());
    let (mut to, _) = listener.accept().unwrap();
    from.set_nodelay(true).unwrap();
    to.set_nodelay(true).unwrap();
    let ways: [(&str, Run, usize, usize); 5] = [
        ("in turn", run, 64, 6000),
        ("in turn", run, 1400, 6000),
        ("in turn", run, 65536, 1500),
        ("stream", stream, 64, 30_000),
        ("stream", stream, 65536, 2000),
    ];
    for (way, run, size, count) in ways {
        let (mut off, mut on) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bench.redirect.set_table(APP, &[]).unwrap();
            assert_eq!(bench.redirect.guard(APP), Guard::Off);
            off.push(run(&mut from, &mut to, size, count));
            bench.redirect.set_table(APP, &closed).unwrap();
            assert_eq!(bench.redirect.guard(APP), Guard::Outside);
            on.push(run(&mut from, &mut to, size, count));
        }
        let [low, middle] = [10, 50].map(|part| (percentile(&mut off, part), percentile(&mut on, part)));
        eprintln!(
            "{way}, {size} bytes: {:.3} -> {:.3} µs ({:.3}); medians {:.3} -> {:.3} µs ({:.3})",
            low.0 * 1e6,
            low.1 * 1e6,
            low.1 / low.0,
            middle.0 * 1e6,
            middle.1 * 1e6,
            middle.1 / middle.0
        );
    }
}
