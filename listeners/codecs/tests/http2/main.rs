//! HTTP/2 as stories between a client and a server, each told with its bytes cut in every way.

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
