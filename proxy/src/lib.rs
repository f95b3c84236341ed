//! The node: command line, wiring of the crates, admin endpoints.

pub mod admin;
pub mod cli;
pub mod output;
pub mod render;
pub mod run;
