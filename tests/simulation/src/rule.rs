//! Rules that a run can leave out, to see that it goes red without them (docs/adr/009).
//!
//! They are left out where the simulation stands in for the world, so that nothing in the product can be switched off.

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The output gate (I2): without it output leaves before its commit is durable. Here the store says that a commit is done
    /// as soon as it is asked.
    Gate,
    /// The replay of output that is not acknowledged, by the next owner (I3). Here the store knows of none.
    Unsent,
    /// The check of the epoch (I1). Here the store takes commits of whoever owned the shard.
    Epoch,
    /// The check of the commit's number and of the expected sequences (I3). Here the store appends wherever they stand.
    Sequence,
    /// The check whether an operation was done already (I4). Here the store knows no outcomes.
    Operation,
    /// The roster from which a front-end catches up on what another has left unacknowledged (I3). Here it says that all was.
    Roster,
    /// The filter by (sequence, first epoch) at the front-end (I3). Here each event comes as one that it has not seen.
    Filter,
    /// The wait before an unplanned change of view. Here a front-end that is late with its session counts as dead, and the
    /// server takes two streams of one domain.
    Wait,
    /// No rule: the faults and the server of [`Rule::Wait`], with all rules in force.
    Nothing,
    /// Acknowledgements wait for a ping barrier (I3). Here what was written counts as taken in.
    Barrier,
}

impl Rule {
    /// All, with the names they have on the command line.
    pub const ALL: [(&str, Self); 10] = [
        ("gate", Self::Gate),
        ("epoch", Self::Epoch),
        ("sequence", Self::Sequence),
        ("operation", Self::Operation),
        ("roster", Self::Roster),
        ("filter", Self::Filter),
        ("wait", Self::Wait),
        ("nothing", Self::Nothing),
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

    /// Whether one process alone does not need it.
    #[must_use]
    pub fn is_of_a_cluster(self) -> bool {
        !matches!(self, Self::Gate | Self::Unsent | Self::Barrier)
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, rule)| *rule == self);
        named.map_or("", |(name, _)| name)
    }
}
