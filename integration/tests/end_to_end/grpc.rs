//! HTTP/2 and gRPC between real clients and servers: each stream is judged by itself, and connections stay open.

mod calls;
mod connections;
mod load;
mod peers;
mod told;
mod web;
