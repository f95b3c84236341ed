//! The playbook: scripts of what client and server send and what must result, played against a relay with the bytes
//! split in every way.

#![allow(dead_code, reason = "each test uses its part of it")]

pub(crate) mod framed;
pub(crate) mod lenient;
pub(crate) mod outcome;
pub(crate) mod pair;
pub(crate) mod script;
