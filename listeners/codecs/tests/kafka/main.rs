//! Kafka: messages walked by the table beside another reader's, and the relay in scripts.

mod names;
mod oracle;
mod random;
mod walking;
