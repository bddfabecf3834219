//! Rules that a run can leave out, to see that it goes red without them (docs/adr/009).
//!
//!  They are left out where the simulation stands in for the world, so that nothing in the product can be switched off.

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The output gate (I2): without it output leaves before its commit is durable. Here the store says that a commit is done
    /// as soon as it is asked.
    Gate,
    /// The replay of output that is not acknowledged, by the next owner (I3). Here the store knows of none.
    Unsent,
    /// Acknowledgements wait for a ping barrier (I3). Here what was written counts as taken in.
    Barrier,
}

impl Rule {
    /// All, with the names they have on the command line.
    pub const ALL: [(&str, Self); 3] = [
        ("gate", Self::Gate),
        ("unsent", Self::Unsent),
        ("barrier", Self::Barrier),
    ];

    /// The rule of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let named = Self::ALL.iter().find(|(of, _)| *of == name);
        named.map(|(_, rule)| *rule)
    }

    /// Whether it takes many crashes to be missed.
    #[must_use]
    pub fn is_harsh(self) -> bool {
        self != Self::Barrier
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, rule)| *rule == self);
        named.map_or("", |(name, _)| name)
    }
}
