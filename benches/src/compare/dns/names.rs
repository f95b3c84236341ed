//! The names in the queries, and the rules that allow them.

/// A name that nothing allows.
pub const DENIED: &str = "www.denied.test";

/// What a rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// One name.
    Name(usize),
    /// The names that are one label longer than one.
    Below(usize),
}

/// The rule of a number: names and patterns in turn.
#[must_use]
pub fn allowed(number: usize) -> Allowed {
    if number.is_multiple_of(2) { Allowed::Name(number) } else { Allowed::Below(number) }
}

impl Allowed {
    /// The name that the rule allows, or that all its names end with.
    #[must_use]
    pub fn base(self) -> String {
        match self {
            Self::Name(number) => format!("host{number}.bench.test"),
            Self::Below(number) => format!("zone{number}.bench.test"),
        }
    }

    /// A name that the rule allows and no other one.
    #[must_use]
    pub fn asked(self) -> String {
        match self {
            Self::Name(_) => self.base(),
            Self::Below(_) => format!("www.{}", self.base()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowed, allowed};

    #[test]
    fn half_of_the_rules_are_patterns() {
        let patterns = (0..1000).filter(|number| matches!(allowed(*number), Allowed::Below(_))).count();
        assert_eq!(patterns, 500);
        assert_eq!(allowed(6).asked(), "host6.bench.test");
        assert_eq!((allowed(7).base(), allowed(7).asked()), ("zone7.bench.test".into(), "www.zone7.bench.test".into()));
    }
}
