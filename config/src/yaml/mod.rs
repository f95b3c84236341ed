//! YAML and JSON with positions.

mod fields;
mod tree;

pub(crate) use fields::{Field, Fields};
pub(crate) use tree::{Parsed, Tree, Value, parse};
