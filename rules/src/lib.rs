//! The policy engine: decides what is allowed. Pure: no I/O, no clock, no runtime.
//!
//! [`policy`] is the written form of policies, [`world`] describes endpoints and services, and [`snapshot`] is the
//! compiled form that the data path uses. It answers two questions: *which rules apply to this flow*
//! ([`snapshot::Snapshot::flow`]), once for each connection, and *is this request allowed*
//! ([`snapshot::RuleSet::check`]), once for each request.

mod automaton;
pub mod bounds;
mod compile;
mod coverage;
pub mod effects;
mod effort;
pub mod explain;
mod finder;
pub mod labels;
mod learning;
pub mod limits;
pub mod lint;
mod lpm;
pub mod names;
mod near;
mod overlay;
pub mod params;
pub mod pattern;
pub mod policy;
mod re2;
pub mod request;
mod resolved;
pub mod ruleset;
pub mod schema;
mod services;
pub mod settings;
pub mod snapshot;
pub mod steering;
mod table;
pub mod tunnel;
mod validate;
pub mod values;
pub mod verdict;
pub mod world;
