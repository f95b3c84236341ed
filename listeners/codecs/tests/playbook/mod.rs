//! A playbook: scripts of what client and server send and what has to come of it, played against a relay however the
//! bytes may be cut.

#![allow(dead_code, reason = "each test uses its part of it")]

pub(crate) mod framed;
pub(crate) mod lenient;
pub(crate) mod outcome;
pub(crate) mod pair;
pub(crate) mod script;
