//! The cost of packet programs for an allowed connection: CPU time of one thread that sends and receives, with and
//! without them. Run alone: `cargo test -p portcullis-redirect --test steering cost -- --ignored --nocapture`.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use nix::time::ClockId;
use portcullis_redirect::{Action, FlowDirection, KernelPortClass, PacketJudge, RedirectOptions};

use crate::bench::{APP, Bench, TCP, able, class, options};

type Run = fn(&mut TcpStream, &mut TcpStream, usize, usize) -> f64;

const ROUNDS: usize = 40;

/// CPU time of this thread. What `getrusage` gives is in whole ticks of some kernels.
fn spent() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap().into()
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

/// Connections that come, ask, get an answer and go: what this thread spends on both ends of each.
fn come_and_go(to: SocketAddr, listener: &TcpListener, count: usize) -> f64 {
    let (ask, mut buffer) = ([7; 64], [0; 64]);
    let before = spent();
    for _ in 0..count {
        let mut from = TcpStream::connect(to).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        from.write_all(&ask).unwrap();
        accepted.read_exact(&mut buffer).unwrap();
        accepted.write_all(&ask).unwrap();
        from.read_exact(&mut buffer).unwrap();
        drop(accepted);
        drop(from);
    }
    (spent() - before).as_secs_f64() / count as f64
}

/// Two endpoints with the same policy, the second of which is judged at packets too; and what listens outside of each.
fn benches() -> [(Bench, TcpListener); 2] {
    [false, true].map(|packets| {
        let mut bench = Bench::by(&[], |lab| RedirectOptions { packets, ..options(lab, true) });
        let listener = bench.outside.inside(|| TcpListener::bind(bench.there(false, 9000)).unwrap());
        bench.redirect.set_table(APP, &closed()).unwrap();
        assert_eq!(bench.redirect.guard(APP), if packets { PacketJudge::Outside } else { PacketJudge::Off });
        (bench, listener)
    })
}

#[test]
#[ignore = "a measurement"]
fn cost_of_connections_that_come_and_go() {
    if !able() {
        return;
    }
    let benches = benches();
    let mut spent = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for ((bench, listener), spent) in benches.iter().zip(&mut spent) {
            spent.push(bench.app.inside(|| come_and_go(bench.there(false, 9000), listener, 600)));
        }
    }
    eprintln!("{}", report("come and go", spent));
}

fn closed() -> [KernelPortClass; 4] {
    [
        class(FlowDirection::Egress, TCP, 0..=8999, Action::Refuse),
        class(FlowDirection::Egress, TCP, 9000..=9000, Action::Pass),
        class(FlowDirection::Egress, TCP, 9001..=65535, Action::Refuse),
        class(FlowDirection::Ingress, TCP, 0..=65535, Action::Refuse),
    ]
}

fn report(what: &str, spent: [Vec<f64>; 2]) -> String {
    let [off, on] = spent.map(|mut values| [10, 50].map(|part| percentile(&mut values, part)));
    let [low, middle] = [on[0] / off[0], on[1] / off[1]];
    format!("{what}: with the second line {low:.3} of without (tenth percentile), {middle:.3} (median)")
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
    let benches = benches();
    let mut connections = benches.each_ref().map(|(bench, listener)| {
        let from = bench.app.inside(|| TcpStream::connect(bench.there(false, 9000)).unwrap());
        let (to, _) = listener.accept().unwrap();
        from.set_nodelay(true).unwrap();
        to.set_nodelay(true).unwrap();
        (from, to)
    });
    let ways: [(&str, Run, usize, usize); 5] = [
        ("in turn", run, 64, 6000),
        ("in turn", run, 1400, 6000),
        ("in turn", run, 65536, 1500),
        ("stream", stream, 64, 30_000),
        ("stream", stream, 65536, 2000),
    ];
    for (way, run, size, count) in ways {
        let mut spent = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for ((from, to), spent) in connections.iter_mut().zip(&mut spent) {
                spent.push(run(from, to, size, count));
            }
        }
        eprintln!("{}", report(&format!("{way}, {size} bytes"), spent));
    }
}
