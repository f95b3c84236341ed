//! Declares protocol violations in one form for all protocols, with the side that commits each.

use std::fmt::{Debug, Display};

use crate::relay::{ProtocolViolation, Side};

/// One of the violations of a protocol.
pub trait ViolationSet: Copy + Debug + Display {
    /// The word for metrics: one violation, one word.
    fn word(self) -> &'static str;

    /// The limit that is hit where this side commits it, if it is one.
    fn limit(self, side: Side) -> Option<&'static str>;
}

/// A violation and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{violation} by {side:?}")]
pub struct AttributedViolation<V: ViolationSet> {
    /// What.
    pub violation: V,
    /// Whose.
    pub side: Side,
}

impl<V: ViolationSet> ProtocolViolation for AttributedViolation<V> {
    fn kind(&self) -> &'static str {
        self.violation.word()
    }

    fn side(&self) -> Side {
        self.side
    }

    fn limit(&self) -> Option<&'static str> {
        self.violation.limit(self.side)
    }
}

/// Declares the violations of a protocol: for each its word, what the offender is told, and the limit that it hits, where
/// it matters by a server with another name.
macro_rules! violations {
    (
        $(#[doc = $about:literal])+
        told by $(#[doc = $tells:literal])+ $told:ident -> $Told:ty;
        $(
            $(#[doc = $doc:literal])+
            $name:ident = $word:literal, $answer:expr
            $(, limit $limit:literal $(, of servers $other:literal)?)?;
        )+
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        pub enum Violation {
            $(
                $(#[doc = $doc])+
                #[error($word)]
                $name,
            )+
        }

        impl Violation {
            /// Every violation.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word for metrics.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            $(#[doc = $tells])+
            #[must_use]
            pub fn $told(self) -> $Told {
                match self { $(Self::$name => $answer,)+ }
            }
        }

        impl $crate::violation::ViolationSet for Violation {
            fn word(self) -> &'static str {
                self.word()
            }

            fn limit(self, side: $crate::relay::Side) -> Option<&'static str> {
                match (self, side) {
                    $($(
                        $((Self::$name, $crate::relay::Side::Upstream) => Some($other),)?
                        (Self::$name, _) => Some($limit),
                    )?)+
                    _ => None,
                }
            }
        }

        /// A violation and whose it is.
        pub type Violated = $crate::violation::AttributedViolation<Violation>;
    };
}

pub(crate) use violations;
