//! Steering on this machine's kernel: real namespaces, real sockets, the checked-in programs.
//!
//! Each test has its own laboratory with two pods: `app` is the endpoint, `outside` is every other host. The proxy of
//! these tests relays one answer; a steered client reads `steered` in front of it.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod around;
mod around_udp;
mod bench;
mod bpf;
mod cleanup;
mod datagrams;
mod dns;
mod dns_life;
mod egress;
mod failure;
mod handed;
mod host;
mod icmp;
mod ingress;
mod intact;
mod namespaces;
mod node;
mod open;
mod open_datagrams;
mod packets;
mod packets_admin;
mod packets_cookies;
mod packets_cost;
mod packets_filters;
mod packets_host;
mod packets_inside;
mod packets_order;
mod packets_young;
mod people;
mod proxy;
mod refusals;
mod reports;
mod resolver;
mod sockets;
mod tables;
