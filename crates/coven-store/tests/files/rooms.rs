//! A few rooms that talk, and a check that nothing they were promised is missing.

use bytes::Bytes;
use coven_store::{
    Acknowledgement, ArchiveMeta, ArchiveQuery, ChannelCommit, ChannelKey, Claim, Commit,
    CommitNumber, ConnectionId, Entry, Epoch, Error, LeaseNumber, Life, Receipts, SenderId, Sent,
    Sequence, SessionId, ShardId, Snapshot, Store, Timestamp,
};

pub(crate) const SHARD: ShardId = ShardId(3);
pub(crate) const ROOMS: usize = 5;

/// Rooms of one shard, and who owns it. Commit `n` is the same for ever: what is found can be told from its number.
pub(crate) struct Rooms<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) epoch: Epoch,
    /// The newest commit.
    pub(crate) last: u64,
    /// Room `r` had its newest snapshot after this commit.
    snapshots: [u64; ROOMS],
}

pub(crate) fn key(room: usize) -> ChannelKey {
    ChannelKey::new("chat.example", format!("room-{room}"))
}

/// The rooms take turns: commit `n` is by room `n % ROOMS`, and makes two entries.
fn room_of(number: u64) -> usize {
    usize::try_from(number).unwrap() % ROOMS
}

fn turns(room: usize, number: u64) -> u64 {
    (1..=number)
        .filter(|number| room_of(*number) == room)
        .count() as u64
}

fn text(number: u64) -> String {
    format!(
        "message {number} {}",
        "x".repeat(usize::try_from(number).unwrap() * 37 % 400)
    )
}

impl<'a> Rooms<'a> {
    pub(crate) fn claim(store: &'a dyn Store) -> Result<Self, Error> {
        let judged_dead = store.owner(SHARD).wait()?;
        let claim = Claim {
            session: SessionId(1),
            judged_dead,
            known: Epoch(0),
        };
        let granted = store.claim(SHARD, claim).wait()?;
        Ok(Self {
            store,
            epoch: granted.epoch,
            last: granted.last_commit.0,
            snapshots: [0; ROOMS],
        })
    }

    /// The next commit.
    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        self.last += 1;
        let done = self
            .store
            .commit(SHARD, self.epoch, self.next(self.last))
            .wait();
        self.last -= u64::from(done.is_err());
        done
    }

    /// A commit with a newer snapshot of its room, once in a while.
    pub(crate) fn go_on(&mut self) -> Result<(), Error> {
        self.commit()?;
        if self.last.is_multiple_of(7) {
            self.acknowledge(room_of(self.last))?;
        }
        if self.last.is_multiple_of(13) {
            self.snapshot(room_of(self.last))?;
        }
        Ok(())
    }

    fn acknowledge(&self, room: usize) -> Result<(), Error> {
        let receipts = Receipts {
            acks: vec![Acknowledgement {
                key: key(room),
                connection: ConnectionId("c1".into()),
                lease: LeaseNumber(1),
                sequence: Sequence(2 * turns(room, self.last)),
                commit: CommitNumber(self.last),
            }],
            sent: vec![Sent {
                key: key(room),
                commit: CommitNumber(self.last),
            }],
            ..Receipts::default()
        };
        self.store.acknowledge(SHARD, self.epoch, receipts).wait()
    }

    /// Acknowledges all output of a room, and takes a snapshot of it.
    pub(crate) fn snapshot(&mut self, room: usize) -> Result<(), Error> {
        self.acknowledge(room)?;
        self.snapshots[room] = self.last;
        let sequence = Sequence(2 * turns(room, self.last));
        let state = Bytes::from(format!("room {room} at {sequence}"));
        self.store
            .snapshot(SHARD, self.epoch, key(room), Snapshot { sequence, state })
            .wait()
    }

    /// Ends a room for good; nothing else can be checked after it.
    pub(crate) fn destroy(&mut self, room: usize) -> Result<(), Error> {
        self.acknowledge(room)?;
        let head = self.store.load(SHARD, &key(room)).wait()?.unwrap().head;
        let mut change = ChannelCommit::new(key(room), head);
        change.entries.push(Entry {
            sequence: head.next(),
            first_epoch: Epoch(1),
            stamp: Timestamp(u64::MAX),
            kind: 1,
            life: Life::Destroys,
            archive: None,
            record: Bytes::new(),
        });
        self.last += 1;
        let number = CommitNumber(self.last);
        let channels = vec![change];
        let receipts = Receipts::default();
        let commit = Commit {
            number,
            channels,
            receipts,
        };
        self.store.commit(SHARD, self.epoch, commit).wait()
    }

    fn next(&self, number: u64) -> Commit {
        let room = room_of(number);
        let turn = turns(room, number);
        let expected = 2 * (turn - 1);
        let mut change = ChannelCommit::new(key(room), Sequence(expected));
        let entry = |more: u64, life, archive, record: String| Entry {
            sequence: Sequence(expected + more),
            first_epoch: Epoch(1),
            stamp: Timestamp(1_000 + number),
            kind: 1,
            life,
            archive,
            record: record.into(),
        };
        let life = if turn == 1 {
            Life::Creates
        } else {
            Life::Within
        };
        change
            .entries
            .push(entry(1, life, None, format!("event of commit {number}")));
        let archive = Some(ArchiveMeta {
            sender: Some(SenderId([7; 20])),
        });
        change
            .entries
            .push(entry(2, Life::Within, archive, text(number)));
        change.unsent = true;
        Commit {
            number: CommitNumber(number),
            channels: vec![change],
            receipts: Receipts::default(),
        }
    }

    /// Everything up to the newest commit is there, and nothing else. `kept`: entries covered by a snapshot that was
    /// answered are not looked for in the journal.
    pub(crate) fn check(&self) -> Result<(), Error> {
        (0..ROOMS).try_for_each(|room| self.check_room(room))
    }

    fn check_room(&self, room: usize) -> Result<(), Error> {
        let numbers: Vec<u64> = (1..=self.last)
            .filter(|number| room_of(*number) == room)
            .collect();
        let loaded = self.store.load(SHARD, &key(room)).wait()?;
        assert_eq!(loaded.is_some(), !numbers.is_empty());
        let Some(loaded) = loaded else { return Ok(()) };
        assert_eq!(loaded.head.0, 2 * numbers.len() as u64, "room {room}");
        let mut expected: Vec<String> = numbers
            .iter()
            .flat_map(|number| [format!("event of commit {number}"), text(*number)])
            .collect();
        if let Some(snapshot) = &loaded.snapshot {
            assert_eq!(
                snapshot.state,
                format!("room {room} at {}", snapshot.sequence)
            );
            expected.drain(..usize::try_from(snapshot.sequence.0).unwrap());
        } else {
            assert_eq!(
                self.snapshots[room], 0,
                "the snapshot of room {room} is gone"
            );
        }
        same(&texts(&loaded.journal), &expected);

        let query = ArchiveQuery {
            max: usize::MAX,
            ..ArchiveQuery::default()
        };
        let page = self
            .store
            .archive_page(SHARD, &key(room), query)
            .wait()?
            .unwrap();
        let said: Vec<_> = numbers.iter().map(|number| text(*number)).collect();
        same(&texts(&page.entries), &said);
        assert_eq!(page.count, Some(numbers.len() as u64));

        let marked = self
            .store
            .unsent(SHARD)
            .wait()?
            .into_iter()
            .any(|sent| sent.key == key(room));
        assert_eq!(marked, loaded.unsent.is_some());
        Ok(())
    }
}

/// Compares without showing all of it.
fn same(found: &[String], expected: &[String]) {
    let differs = found
        .iter()
        .zip(expected)
        .position(|(one, other)| one != other);
    assert_eq!((differs, found.len()), (None, expected.len()));
}

fn texts(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| String::from_utf8(entry.record.to_vec()).unwrap())
        .collect()
}
