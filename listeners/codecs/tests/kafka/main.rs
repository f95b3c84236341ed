//! Kafka: walks compared with other parsers, and the relay in scripts.

#[path = "../playbook/mod.rs"]
mod playbook;

mod answers;
mod authorizer;
mod broker;
mod denials;
mod exchanges;
mod groups;
mod large;
mod message;
mod names;
mod offline;
mod oracle;
mod outcome;
mod partial;
mod random;
mod sample;
mod sequences;
mod strictness;
mod versions;
mod walking;
