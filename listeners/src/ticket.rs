//! The handle by which a held answer is released.

use std::sync::Arc;

use crate::{
    plane::{Command, Mailbox},
    worker::Token,
};

/// What waits for a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A connection pair, and the number of the lesson that its relay waits for.
    Pair(Token, u64),
    /// A flow of datagrams, and the number of the answer that it holds.
    Flow(Token, u64),
}

/// Lets one answer go, or has it replaced by a failure. One that is dropped without a word is a failure, and so is
/// what comes too late.
pub struct Ticket {
    mailbox: Arc<Mailbox>,
    /// Gone once it is redeemed.
    holder: Option<Holder>,
}

impl Ticket {
    pub(crate) fn new(mailbox: Arc<Mailbox>, holder: Holder) -> Self {
        Self { mailbox, holder: Some(holder) }
    }

    /// What the answer teaches is in force (`known`), or will not be.
    pub fn redeem(mut self, known: bool) {
        self.tell(known);
    }

    /// There is nothing to tell: the answer is not held.
    pub fn void(mut self) {
        self.holder = None;
    }

    fn tell(&mut self, known: bool) {
        if let Some(holder) = self.holder.take() {
            self.mailbox.put(Command::Commit { holder, known });
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.tell(false);
    }
}
