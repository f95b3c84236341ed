//! The side-by-side comparison with other proxies (`make compare`). Micro benchmarks are in `benches/`.

pub mod compare;
pub mod requests;
