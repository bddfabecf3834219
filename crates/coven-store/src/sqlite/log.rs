//! The bytes of the log: one blob per transaction, with everything that transaction appended.
//!
//! A body is a run of items. A commit's item holds a section per channel; the index keeps the offset of each section
//! with entries, so that they can be read without the rest. Written by `writer`, read by `replay`, `pack`, `reader`.

use bytes::Bytes;

use super::codec::{Decoder, Encoder, Malformed, Table, corrupt};
use crate::{
    Acknowledgement, Answered, ArchiveMeta, ChannelCommit, ChannelKey, CommitNumber, ConnectionId,
    Entry, Epoch, Error, LeaseNumber, Life, Outcome, ProcessId, Receipts, Rewrite, SenderId, Sent,
    Sequence, ShardId, TimerChange, Timestamp,
};

const COMMIT: u8 = 1;
const RECEIPTS: u8 = 2;
const FORGET: u8 = 3;
const FORGET_PROCESS: u8 = 4;

/// One item of a log blob, as it is read back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A commit follows: so many sections, then its receipts.
    Commit {
        shard: ShardId,
        number: CommitNumber,
        sections: usize,
    },
    /// Receipts, of a commit or alone, follow.
    Receipts { shard: ShardId },
    /// All that was known of a channel so far is void.
    Forget { shard: ShardId, key: ChannelKey },
    /// All outcomes of a process on a shard are void.
    ForgetProcess { shard: ShardId, process: ProcessId },
}

/// Begins a commit; its sections and receipts have to follow.
pub(super) fn put_commit(to: &mut Encoder, shard: ShardId, number: CommitNumber, sections: usize) {
    to.byte(COMMIT);
    to.number(shard.0.into());
    to.number(number.0);
    to.count(sections);
}

/// Begins receipts without a commit.
pub(super) fn put_receipts_item(to: &mut Encoder, shard: ShardId, receipts: &Receipts) {
    to.byte(RECEIPTS);
    to.number(shard.0.into());
    put_receipts(to, receipts);
}

pub(super) fn put_forget(to: &mut Encoder, shard: ShardId, key: &ChannelKey) {
    to.byte(FORGET);
    to.number(shard.0.into());
    to.key(key);
}

pub(super) fn put_forget_process(to: &mut Encoder, shard: ShardId, process: ProcessId) {
    to.byte(FORGET_PROCESS);
    to.number(shard.0.into());
    to.wide(process.0);
}

/// The next item; `None` at the end.
pub(super) fn item(from: &mut Decoder<'_>) -> Result<Option<Item>, Malformed> {
    if from.is_at_end() {
        return Ok(None);
    }
    Ok(Some(match from.byte()? {
        COMMIT => Item::Commit {
            shard: ShardId(from.small()?),
            number: CommitNumber(from.number()?),
            sections: from.count()?,
        },
        RECEIPTS => Item::Receipts {
            shard: ShardId(from.small()?),
        },
        FORGET => Item::Forget {
            shard: ShardId(from.small()?),
            key: from.key()?,
        },
        FORGET_PROCESS => Item::ForgetProcess {
            shard: ShardId(from.small()?),
            process: ProcessId(from.wide()?),
        },
        _ => return Err(Malformed("an unknown item")),
    }))
}

/// One channel's part of a commit. Begins with the entries, so that these can be read alone.
pub(super) fn put_section(to: &mut Encoder, change: &ChannelCommit) {
    to.key(&change.key);
    to.number(change.expected.0);
    to.count(change.entries.len());
    for entry in &change.entries {
        put_entry(to, entry);
    }
    to.count(change.rewrites.len());
    for rewrite in &change.rewrites {
        to.number(rewrite.sequence.0);
        to.number(rewrite.kind.into());
        to.bytes(&rewrite.record);
    }
    to.count(change.outcomes.len());
    for outcome in &change.outcomes {
        put_outcome(to, outcome);
    }
    to.byte(change.unsent.into());
    match change.timer {
        TimerChange::Keep => to.byte(0),
        TimerChange::Clear => to.byte(1),
        TimerChange::Set(at) => {
            to.byte(2);
            to.number(at.0);
        }
    }
}

/// The section at the decoder's place.
pub(super) fn section(from: &mut Decoder<'_>) -> Result<ChannelCommit, Malformed> {
    let (key, expected) = (from.key()?, Sequence(from.number()?));
    Ok(ChannelCommit {
        key,
        expected,
        entries: list(from, entry)?,
        rewrites: list(from, rewrite)?,
        outcomes: list(from, outcome)?,
        unsent: from.byte()? != 0,
        timer: match from.byte()? {
            0 => TimerChange::Keep,
            1 => TimerChange::Clear,
            2 => TimerChange::Set(Timestamp(from.number()?)),
            _ => return Err(Malformed("an unknown change of a timer")),
        },
    })
}

/// Passes over the section at the decoder's place; answers whose it is.
pub(super) fn skip_section(from: &mut Decoder<'_>) -> Result<ChannelKey, Malformed> {
    let key = from.key()?;
    from.number()?;
    for _ in 0..from.count()? {
        skip_entry(from)?;
    }
    for _ in 0..from.count()? {
        from.number()?;
        from.number()?;
        from.skip()?;
    }
    list(from, outcome)?;
    from.byte()?;
    if from.byte()? == 2 {
        from.number()?;
    }
    Ok(key)
}

fn skip_entry(from: &mut Decoder<'_>) -> Result<(), Malformed> {
    let flags = from.byte()?;
    for _ in 0..4 {
        from.number()?;
    }
    if flags & 3 == 2 {
        from.array::<20>()?;
    }
    from.skip()
}

/// Only the entries of the section at `offset` of the blob in log row `row`, whose seal was checked.
pub(super) fn entries_in(blob: &Bytes, row: i64, offset: u32) -> Result<Vec<Entry>, Error> {
    let mut from = Decoder::at(blob, usize::try_from(offset).unwrap_or(usize::MAX));
    let mut read = || {
        from.skip()?;
        from.skip()?;
        from.number()?;
        list(&mut from, entry)
    };
    read().map_err(|why| corrupt(Table::Log, row, why))
}

/// An entry, in the log and in archive pages.
pub(crate) fn put_entry(to: &mut Encoder, entry: &Entry) {
    let sender = entry.archive.and_then(|meta| meta.sender);
    let archived = match (entry.archive, sender) {
        (None, _) => 0,
        (Some(_), None) => 1,
        (Some(_), Some(_)) => 2,
    };
    let life = match entry.life {
        Life::Within => 0,
        Life::Creates => 4,
        Life::Destroys => 8,
    };
    to.byte(archived | life);
    to.number(entry.sequence.0);
    to.number(entry.first_epoch.0);
    to.number(entry.stamp.0);
    to.number(entry.kind.into());
    if let Some(sender) = sender {
        to.fixed(&sender.0);
    }
    to.bytes(&entry.record);
}

/// The entry at the decoder's place.
pub(crate) fn entry(from: &mut Decoder<'_>) -> Result<Entry, Malformed> {
    let flags = from.byte()?;
    let life = match flags >> 2 {
        0 => Life::Within,
        1 => Life::Creates,
        2 => Life::Destroys,
        _ => return Err(Malformed("an unknown kind of entry")),
    };
    Ok(Entry {
        sequence: Sequence(from.number()?),
        first_epoch: Epoch(from.number()?),
        stamp: Timestamp(from.number()?),
        kind: from.small()?,
        life,
        archive: match flags & 3 {
            0 => None,
            1 => Some(ArchiveMeta { sender: None }),
            2 => Some(ArchiveMeta {
                sender: Some(SenderId(from.array()?)),
            }),
            _ => return Err(Malformed("an unknown kind of entry")),
        },
        record: from.bytes()?,
    })
}

pub(crate) fn put_outcome(to: &mut Encoder, outcome: &Outcome) {
    to.wide(outcome.process.0);
    to.number(outcome.n);
    to.number(outcome.base);
    to.number(outcome.after.0);
    to.byte(outcome.addressee.is_some().into());
    if let Some(connection) = &outcome.addressee {
        to.bytes(connection.0.as_bytes());
    }
    to.bytes(&outcome.result);
}

pub(crate) fn outcome(from: &mut Decoder<'_>) -> Result<Outcome, Malformed> {
    Ok(Outcome {
        process: ProcessId(from.wide()?),
        n: from.number()?,
        base: from.number()?,
        after: Sequence(from.number()?),
        addressee: if from.byte()? == 0 {
            None
        } else {
            Some(ConnectionId(from.text()?))
        },
        result: from.bytes()?,
    })
}

pub(super) fn put_receipts(to: &mut Encoder, receipts: &Receipts) {
    to.count(receipts.acks.len());
    for ack in &receipts.acks {
        to.key(&ack.key);
        to.bytes(ack.connection.0.as_bytes());
        to.number(ack.lease.0);
        to.number(ack.sequence.0);
        to.number(ack.commit.0);
    }
    to.count(receipts.gone.len());
    for (key, connection) in &receipts.gone {
        to.key(key);
        to.bytes(connection.0.as_bytes());
    }
    to.count(receipts.sent.len());
    for sent in &receipts.sent {
        to.key(&sent.key);
        to.number(sent.commit.0);
    }
    to.count(receipts.answered.len());
    for answered in &receipts.answered {
        to.key(&answered.key);
        to.wide(answered.process.0);
        to.number(answered.base);
    }
}

pub(super) fn receipts(from: &mut Decoder<'_>) -> Result<Receipts, Malformed> {
    Ok(Receipts {
        acks: list(from, acknowledgement)?,
        gone: list(from, |from| Ok((from.key()?, ConnectionId(from.text()?))))?,
        sent: list(from, |from| {
            Ok(Sent {
                key: from.key()?,
                commit: CommitNumber(from.number()?),
            })
        })?,
        answered: list(from, |from| {
            Ok(Answered {
                key: from.key()?,
                process: ProcessId(from.wide()?),
                base: from.number()?,
            })
        })?,
    })
}

fn acknowledgement(from: &mut Decoder<'_>) -> Result<Acknowledgement, Malformed> {
    Ok(Acknowledgement {
        key: from.key()?,
        connection: ConnectionId(from.text()?),
        lease: LeaseNumber(from.number()?),
        sequence: Sequence(from.number()?),
        commit: CommitNumber(from.number()?),
    })
}

fn rewrite(from: &mut Decoder<'_>) -> Result<Rewrite, Malformed> {
    Ok(Rewrite {
        sequence: Sequence(from.number()?),
        kind: from.small()?,
        record: from.bytes()?,
    })
}

/// A count and so many of `one`.
pub(crate) fn list<'a, T>(
    from: &mut Decoder<'a>,
    mut one: impl FnMut(&mut Decoder<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = from.count()?;
    // A count beyond what the blob can hold fails at its first missing element; do not reserve for it.
    let mut all = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        all.push(one(from)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn change() -> ChannelCommit {
        let mut change =
            ChannelCommit::new(ChannelKey::new("chat.example", "coven"), Sequence(300));
        let lives = [Life::Within, Life::Creates, Life::Destroys];
        let archived = [None, Some(None), Some(Some(SenderId([9; 20])))];
        for (number, (life, sender)) in (301_u64..).zip(lives.into_iter().zip(archived)) {
            change.entries.push(Entry {
                sequence: Sequence(number),
                first_epoch: Epoch(u64::MAX),
                stamp: Timestamp(number << 40),
                kind: 70_000,
                life,
                archive: sender.map(|sender| ArchiveMeta { sender }),
                record: Bytes::from(vec![b'x'; 200]),
            });
        }
        let record = Bytes::from_static(b"tombstone");
        change.rewrites = vec![Rewrite {
            sequence: Sequence(1),
            kind: 2,
            record,
        }];
        change.outcomes = vec![Outcome {
            process: ProcessId(u128::MAX),
            n: 3,
            base: 2,
            after: Sequence(303),
            addressee: Some(ConnectionId("main/1".into())),
            result: Bytes::from_static(b"conflict"),
        }];
        change.unsent = true;
        change.timer = TimerChange::Set(Timestamp(77));
        change
    }

    #[test]
    fn a_section_is_read_passed_over_and_read_in_part() {
        let mut to = Encoder::new();
        let offset = u32::try_from(to.position()).unwrap();
        put_section(&mut to, &change());
        put_forget(&mut to, ShardId(9), &change().key);
        let blob = Bytes::from(to.seal(Table::Log, 1));
        let mut from = Decoder::open(Table::Log, 1, &blob).unwrap();
        assert_eq!(section(&mut from), Ok(change()));
        let mut skipping = Decoder::open(Table::Log, 1, &blob).unwrap();
        assert_eq!(skip_section(&mut skipping), Ok(change().key));
        assert_eq!(skipping.position(), from.position());
        assert_eq!(entries_in(&blob, 1, offset), Ok(change().entries));
        let key = change().key;
        assert_eq!(
            item(&mut from),
            Ok(Some(Item::Forget {
                shard: ShardId(9),
                key
            }))
        );
        assert_eq!(item(&mut from), Ok(None));
    }
}
