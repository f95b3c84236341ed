//! The parts of a worker below connections and flows, which know neither: tokens and slots, the mailbox, the listening sockets,
//! and the context that a worker lends.

pub(crate) mod context;
pub(crate) mod mailbox;
pub(crate) mod shared;
pub(crate) mod slots;
pub(crate) mod sources;
