//! HTTP/1 as scripts of client and server, each played with its bytes split at every position.

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
