//! YAML and JSON with positions.

mod fields;
mod tree;

pub(crate) use fields::{Fields, YamlField};
pub(crate) use tree::{Parsed, Tree, YamlValue, parse};
