//! The same HTTP/1, HTTP/2, DNS or Kafka work through several proxies in one run, told as ratios to a plain L4 relay.
//!
//! A client's network namespace is joined by a veth pair to a server's. In the server's, an upstream of our own answers
//! on port 80 (HTTP/2: 50051, DNS: 53; a real broker of Kafka: 9092); each proxy under comparison stands before it. Load, upstream, relay and proxies
//! are processes of their own, so that the kernel's accounting tells them apart. `docs/performance.md` has the method and
//! what came out.

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
