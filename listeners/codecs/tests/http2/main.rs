//! HTTP/2 as scripts of client and server, each played with its bytes split at every position.

#[path = "../playbook/mod.rs"]
mod playbook;

mod denials;
mod exchanges;
mod floods;
mod frames;
mod peers;
mod rewriting;
mod settings;
mod streams;
mod strictness;
mod tables;
mod upgrade;
mod violations;
