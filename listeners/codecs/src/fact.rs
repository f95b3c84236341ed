//! What the relay reports about an answer in addition to its status number.

/// One thing that an answer says, by the name that records have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Key in access records, for example `grpc_status`. It must be none of those that every record has.
    pub name: &'static str,
    /// What it says.
    pub value: i64,
}

/// The facts of one answer, at most [`Facts::MOST`]: they are told for every answer, so they take no memory of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts([Option<Fact>; Facts::MOST]);

impl Facts {
    /// Most facts that one answer has; further ones are left out.
    pub const MOST: usize = 2;
    /// No fact.
    pub const NONE: Self = Self([None; Self::MOST]);

    /// With one more fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: i64) -> Self {
        if let Some(free) = self.0.iter_mut().find(|fact| fact.is_none()) {
            *free = Some(Fact { name, value });
        }
        self
    }

    /// All of them, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = Fact> {
        self.0.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::{Fact, Facts};

    #[test]
    fn facts_come_in_order_and_no_more_than_there_is_room_for() {
        let facts = Facts::NONE.with("a", -1).with("b", 2).with("c", 3);
        let told: Vec<Fact> = facts.iter().collect();
        assert_eq!(told, [Fact { name: "a", value: -1 }, Fact { name: "b", value: 2 }]);
    }
}
