//! Commits and receipts, made of numbers.

use bytes::Bytes;
use coven_store::{
    Acknowledgement, Answered, ArchiveMeta, ChannelCommit, Commit, CommitNumber, ConnectionId,
    Entry, Epoch, LeaseNumber, Life, Outcome, ProcessId, Receipts, Rewrite, SenderId, Sent,
    Sequence, ShardId, Store, Timestamp,
};

use super::pair::{Pair, key};
use super::requests::{Kind, Part, Receipt};

impl Pair {
    pub(crate) fn commit(
        &mut self,
        shard: u16,
        mut parts: Vec<Part>,
        receipts: Vec<Receipt>,
        offset: i8,
    ) -> Commit {
        parts.dedup_by_key(|part| part.local);
        let number = (self.last_commit(shard) + 1).saturating_add_signed(offset.into());
        let channels = parts
            .into_iter()
            .map(|part| self.part(shard, part))
            .collect();
        Commit {
            number: CommitNumber(number),
            channels,
            receipts: self.receipts(shard, receipts),
        }
    }

    fn part(&mut self, shard: u16, part: Part) -> ChannelCommit {
        let loaded = self
            .model
            .load(ShardId(shard), &key(part.local))
            .wait()
            .unwrap();
        let mut alive = loaded.as_ref().is_some_and(|loaded| !loaded.dead);
        let head = loaded.map_or(0, |loaded| loaded.head.0);
        let mut change =
            ChannelCommit::new(key(part.local), Sequence(head + u64::from(part.wrong)));
        for kind in part.entries {
            let sequence = Sequence(change.expected.0 + change.entries.len() as u64 + 1);
            let life = match kind {
                _ if !alive => Life::Creates,
                Kind::Destroy => Life::Destroys,
                _ => Life::Within,
            };
            alive = life != Life::Destroys;
            change.entries.push(self.entry(sequence, kind, life));
        }
        let rewrites = part
            .rewrites
            .into_iter()
            .map(|back| (head + 5).saturating_sub(back));
        change.rewrites = rewrites
            .map(|sequence| Rewrite {
                sequence: Sequence(sequence),
                kind: 9,
                record: Bytes::from("rewritten"),
            })
            .collect();
        change.outcomes = part.outcome.into_iter().map(outcome).collect();
        change.unsent = part.unsent;
        change.timer = part.timer;
        change
    }

    fn entry(&mut self, sequence: Sequence, kind: Kind, life: Life) -> Entry {
        self.now += 3;
        let sender = |number| ArchiveMeta {
            sender: (number > 0).then_some(SenderId([number; 20])),
        };
        let archive = match kind {
            Kind::Message(number) => Some(sender(number)),
            Kind::Event | Kind::Destroy => None,
        };
        let record = Bytes::from(format!("{kind:?} at {}", self.now));
        Entry {
            sequence,
            first_epoch: Epoch(1),
            stamp: Timestamp(self.now / 4),
            kind: 1,
            life,
            archive,
            record,
        }
    }

    pub(crate) fn receipts(&self, shard: u16, all: Vec<Receipt>) -> Receipts {
        let mut receipts = Receipts::default();
        let last = self.last_commit(shard);
        let connection = |number: u8| ConnectionId(format!("c{number}").into());
        for receipt in all {
            match receipt {
                Receipt::Ack {
                    local,
                    connection: number,
                    lease,
                    back,
                } => receipts.acks.push(Acknowledgement {
                    key: key(local),
                    connection: connection(number),
                    lease: LeaseNumber(lease),
                    sequence: Sequence(self.head(shard, local).saturating_sub(back)),
                    commit: CommitNumber(last),
                }),
                Receipt::Sent { local, back } => {
                    receipts.sent.push(Sent {
                        key: key(local),
                        commit: CommitNumber(last.saturating_sub(back)),
                    });
                }
                Receipt::Gone {
                    local,
                    connection: number,
                } => receipts.gone.push((key(local), connection(number))),
                Receipt::Answered {
                    local,
                    process,
                    base,
                } => {
                    receipts.answered.push(Answered {
                        key: key(local),
                        process: ProcessId(process),
                        base,
                    });
                }
            }
        }
        receipts
    }
}

fn outcome((process, n, below): (u128, u64, u64)) -> Outcome {
    let base = n.saturating_sub(below + 1);
    let (process, result) = (ProcessId(process), Bytes::from("result"));
    Outcome {
        process,
        n,
        base,
        after: Sequence(0),
        addressee: None,
        result,
    }
}
