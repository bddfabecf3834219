//! From what the store has of a channel to its state (I7): snapshot, then every entry after it.

use crate::convert;
use crate::entry;
use crate::shared::Shared;
use coven_cluster::Channel;
use coven_core::{Channel as State, Record, Roster, Sequence};
use coven_proto::decode_snapshot;
use coven_store::{Loaded, StoredOutcome};
use smol_str::SmolStr;
use std::sync::Arc;

/// Why a channel cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store does not answer as it should; may pass.
    #[error("{0}")]
    Store(#[from] coven_store::Error),
    /// Its bytes mean nothing to this version.
    #[error("{0}")]
    Format(#[from] coven_proto::Error),
    /// The journal has a hole.
    #[error("the journal goes from {0} to {1}")]
    Gap(u64, u64),
}

impl Error {
    /// Whether it may pass by itself: a read that got no answer does as well.
    pub(crate) const fn is_temporary(&self) -> bool {
        let Self::Store(error) = self else {
            return false;
        };
        error.is_temporary() || matches!(error, coven_store::Error::Unknown(_))
    }

    /// Whether it may pass by itself, or with another owner of the shard.
    pub(crate) const fn may_pass(&self, is_cluster: bool) -> bool {
        self.is_temporary() || (self.is_newer() && is_cluster)
    }

    /// Whether a newer version has to go on (I7).
    pub(crate) const fn is_newer(&self) -> bool {
        matches!(self, Self::Format(coven_proto::Error::Newer))
    }
}

/// A channel as the store has it.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Its state at the head.
    pub(crate) state: State,
    /// The roster of the snapshot: what everything in `journal` builds on.
    pub(crate) base: Roster,
    /// Events after the snapshot.
    pub(crate) journal: Vec<Arc<Record>>,
    /// What connections have acknowledged.
    pub(crate) acknowledged: Vec<(SmolStr, Sequence)>,
    /// The same, as stored.
    pub(crate) acks: Vec<coven_store::Ack>,
    /// Output is not known to be acknowledged; the commit that made the newest.
    pub(crate) unsent: Option<u64>,
    /// Outcomes of operations that may be repeated.
    pub(crate) outcomes: Vec<StoredOutcome>,
}

/// Loads a channel; one that the store does not know is empty.
pub(crate) async fn load(shared: &Shared, channel: &Channel) -> Result<Stored, Error> {
    let shard = convert::shard(channel.shard());
    let loaded = shared.store.load(shard, &convert::key(channel)).await?;
    fold(channel, loaded.unwrap_or_default())
}

fn fold(channel: &Channel, loaded: Loaded) -> Result<Stored, Error> {
    let mut state = match loaded.snapshot {
        Some(snapshot) => {
            let s = decode_snapshot(snapshot.state)?;
            State::from_parts(channel.name().clone(), s.roster, s.key, s.lock)
        }
        None => State::new(channel.name().clone()),
    };
    let base = state.roster().clone();
    let mut journal = Vec::with_capacity(loaded.journal.len());
    for stored in &loaded.journal {
        let at = state.roster().at();
        let record = entry::decode(stored)?;
        if record.sequence != at.next() && at != Sequence(0) {
            return Err(Error::Gap(at.0, record.sequence.0));
        }
        state.apply(&record);
        journal.push(record);
    }
    let cursor = |ack: &coven_store::Ack| (ack.connection.0.clone(), Sequence(ack.sequence.0));
    Ok(Stored {
        state,
        base,
        journal,
        acknowledged: loaded.acks.iter().map(cursor).collect(),
        acks: loaded.acks,
        unsent: loaded.unsent.map(|n| n.0),
        outcomes: loaded.outcomes,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use coven_core::{ChannelName, Epoch, Event, Timestamp};

    fn entry(sequence: u64, event: &[u8]) -> coven_store::Entry {
        let record = Record {
            sequence: Sequence(sequence),
            first_epoch: Epoch(1),
            stamp: Timestamp(i64::try_from(sequence).unwrap() * 10),
            event: Event::Unlocked,
        };
        let mut entry = entry::encode(&record, 1);
        if !event.is_empty() {
            entry.record = event.to_vec().into();
        }
        entry
    }

    fn folded(events: [&[u8]; 3]) -> Result<Stored, Error> {
        let (space, local) = ("chat.example".into(), "coven".into());
        let channel = Channel::new(ChannelName { space, local }, 4);
        let entries = (1..).zip(events).map(|(n, event)| entry(n, event));
        let loaded = Loaded {
            journal: entries.collect(),
            ..Loaded::default()
        };
        fold(&channel, loaded)
    }

    #[test]
    fn i7_an_unknown_event_that_may_be_ignored_keeps_its_place() {
        // `ignorable`, and a body of a number that nobody has given out.
        let newer = [0x08, 0x01, 0xfa, 0x3f, 0x00];
        let stored = folded([b"", &newer, b""]).unwrap();
        assert_eq!(stored.state.roster().at(), Sequence(3));
        let last = folded([b"", b"", &newer]).unwrap();
        assert_eq!(last.state.roster().at(), Sequence(3));
        assert_eq!(last.state.roster().stamp(), Timestamp(30));
        assert_eq!(last.journal.len(), 3, "front-ends count it as well");
    }

    #[test]
    fn i7_an_unknown_event_that_may_not_be_ignored_is_an_error() {
        assert!(folded([b"", &[0xfa, 0x3f, 0x00], b""]).is_err());
    }
}
