//! The same HTTP/1, HTTP/2, DNS or Kafka work through several proxies in one run, reported as ratios to a plain L4
//! relay.
//!
//! A veth pair joins the client's network namespace to the server's. In the server's namespace our own upstream
//! answers on port 80 (HTTP/2: 50051, DNS: 53; a real Kafka broker: 9092), and each proxy under comparison runs in
//! front of it. Client, upstream, relay and proxies are separate processes, so that the kernel accounts for each of
//! them. `docs/performance.md` has the method and the results.

pub mod cases;
pub mod dns;
pub mod events;
pub mod histogram;
pub mod http2;
pub mod idle;
pub mod kafka;
pub mod laboratory;
pub mod load;
pub mod measure;
pub mod meter;
pub mod peers;
pub mod relay;
pub mod report;
pub mod run;
pub mod upstream;
mod web;
