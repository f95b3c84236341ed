//! The binary as users run it: real pods, real peers, the real kernel.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod bounds;
mod changes;
mod churn;
mod clients;
mod demonstration;
mod entities;
mod failure;
mod groups;
mod grpc;
mod h2spec;
mod headers;
mod host;
mod icmp;
mod intact;
mod judged;
mod names;
mod nodes;
mod open;
mod reporting;
mod scene;
mod services;
mod siege;
mod walkthrough;
