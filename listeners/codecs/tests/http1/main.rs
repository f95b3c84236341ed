//! HTTP/1 as stories between a client and a server, each told with its bytes cut in every way.

#[path = "../playbook/mod.rs"]
mod playbook;

mod denials;
mod ends;
mod exchanges;
mod expectations;
mod lenient;
mod limits;
mod odd_answers;
mod requests;
mod rewriting;
mod rules;
mod streams;
mod strictness;
mod switching;
mod unread_bodies;
mod violations;
