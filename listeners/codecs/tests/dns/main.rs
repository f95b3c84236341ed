//! DNS: messages read from the wire, flows of datagrams, and streams told with their bytes cut in every way.

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
