//! What is allowed. Pure: no I/O, no clock, no runtime.
//!
//! [`policy`] is the written form, [`world`] what is known of endpoints and services, [`snapshot`] the compiled form
//! that the data path asks: *which rules concern this flow* ([`snapshot::Snapshot::flow`]), once a connection, and *is
//! this request allowed* ([`snapshot::RuleSet::check`]), once a request.

pub mod labels;
pub mod pattern;
pub mod policy;
pub mod request;
pub mod ruleset;
pub mod schema;
pub mod settings;
pub mod snapshot;
pub mod steering;
pub mod verdict;
pub mod world;
