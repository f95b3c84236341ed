//! DNS: messages on the wire, datagram flows, and TCP streams with their bytes split at every position.

#[path = "../playbook/mod.rs"]
mod playbook;

mod answers;
mod differential;
mod message;
mod oracle;
mod queries;
mod rules;
mod sessions;
mod streams;
