//! HTTP/1.0 and HTTP/1.1.

use portcullis_rules::schema::Schema;

use crate::relay::{Limits, Relay};

/// What HTTP publishes to the rules.
pub static SCHEMA: Schema = Schema { protocol: "http", fields: &[] };

/// Makes the relay of one connection pair.
#[must_use]
pub fn relay(_limits: &Limits) -> Box<dyn Relay> {
    unreachable!("contract only")
}
