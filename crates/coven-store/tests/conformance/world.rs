//! The stores under test, and a short way to tell a case.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use coven_store::sqlite::Options;
use coven_store::{
    Acknowledgement, ArchiveMeta, ArchivePage, ArchiveQuery, ChannelCommit, ChannelKey, Claim,
    Commit, CommitNumber, ConnectionId, Entry, Epoch, Error, LeaseNumber, Life, Loaded,
    MemoryStore, Ownership, Place, Receipts, SenderId, Sent, Sequence, SessionId, ShardId,
    Snapshot, SqliteStore, Store, Timestamp, UnknownPlace,
};
use tempfile::TempDir;

/// The shard of most cases.
pub(crate) const SHARD: ShardId = ShardId(7);

/// One store, and how to open it again.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    again: Box<dyn Fn() -> Arc<dyn Store>>,
    _folder: Option<TempDir>,
    /// Several processes use it: the end of one does not end its ownership.
    pub(crate) shared: bool,
}

impl World {
    pub(crate) fn memory() -> Self {
        let store = MemoryStore::new();
        let first: Arc<dyn Store> = Arc::new(store.clone());
        Self {
            store: first,
            again: Box::new(move || Arc::new(store.reopen())),
            _folder: None,
            shared: false,
        }
    }

    /// A store of its own in the Redis of this run; `None` where there is no Redis to be had.
    pub(crate) fn redis() -> Option<Self> {
        Self::in_redis(super::redis_server::url())
    }

    /// One behind Sentinels, which a replica has to have.
    pub(crate) fn redis_sentinel() -> Option<Self> {
        Self::in_redis(super::redis_server::sentinel_url())
    }

    /// One in a cluster.
    pub(crate) fn redis_cluster() -> Option<Self> {
        Self::in_redis(super::redis_server::cluster_url())
    }

    fn in_redis(url: Option<String>) -> Option<Self> {
        static WORLDS: AtomicU64 = AtomicU64::new(0);
        let mut options = coven_store::redis::Options::new(url?);
        options.prefix = format!("world{}", WORLDS.fetch_add(1, Ordering::Relaxed)).into();
        options.shards = 64;
        Some(Self::on(options))
    }

    /// A store in a Redis.
    pub(crate) fn on(options: coven_store::redis::Options) -> Self {
        let again = Box::new(move || -> Arc<dyn Store> {
            Arc::new(coven_store::RedisStore::open(options.clone()).unwrap())
        });
        Self {
            store: again(),
            again,
            _folder: None,
            shared: true,
        }
    }

    pub(crate) fn sqlite() -> Self {
        Self::in_file(|_| ())
    }

    pub(crate) fn sqlite_short_log() -> Self {
        Self::in_file(|options| options.log_limit = 2048)
    }

    fn in_file(set: impl Fn(&mut Options)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut options = Options::new(folder.path().join("coven.db"));
        set(&mut options);
        let again = Box::new(move || -> Arc<dyn Store> {
            Arc::new(SqliteStore::open(options.clone()).unwrap())
        });
        Self {
            store: again(),
            again,
            _folder: Some(folder),
            shared: false,
        }
    }

    /// Ends the process and starts it again.
    pub(crate) fn restart(&mut self) {
        self.store.close().wait().unwrap();
        self.store = (self.again)();
    }

    /// Claims a shard in which nobody else has a say.
    pub(crate) fn own(&self, shard: ShardId) -> Owner {
        let granted = self.claim(shard, 1).unwrap();
        Owner {
            store: Arc::clone(&self.store),
            shard,
            epoch: granted.epoch,
            last: granted.last_commit,
        }
    }

    /// Claims as `session`, whoever has it.
    pub(crate) fn claim(&self, shard: ShardId, session: u128) -> Result<Ownership, Error> {
        let judged_dead = self.store.owner(shard).wait()?;
        let claim = Claim {
            session: SessionId(session),
            judged_dead,
            known: Epoch(0),
        };
        self.store.claim(shard, claim).wait()
    }
}

/// A node that owns a shard.
pub(crate) struct Owner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) shard: ShardId,
    pub(crate) epoch: Epoch,
    pub(crate) last: CommitNumber,
}

impl Owner {
    /// The next commit.
    pub(crate) fn next(&mut self, channels: Vec<ChannelCommit>) -> Commit {
        self.last = self.last.next();
        Commit {
            number: self.last,
            channels,
            receipts: Receipts::default(),
        }
    }

    /// Commits, and expects that to succeed.
    pub(crate) fn commit(&mut self, channels: Vec<ChannelCommit>) -> CommitNumber {
        let commit = self.next(channels);
        self.store
            .commit(self.shard, self.epoch, commit)
            .wait()
            .unwrap();
        self.last
    }

    /// Commits, and expects that to fail.
    pub(crate) fn refused(&mut self, channels: Vec<ChannelCommit>) -> Error {
        let commit = self.next(channels);
        self.last = CommitNumber(self.last.0 - 1);
        self.store
            .commit(self.shard, self.epoch, commit)
            .wait()
            .unwrap_err()
    }

    pub(crate) fn acknowledge(&self, receipts: Receipts) {
        self.store
            .acknowledge(self.shard, self.epoch, receipts)
            .wait()
            .unwrap();
    }

    pub(crate) fn snapshot(&self, key: &ChannelKey, sequence: u64) -> Result<(), Error> {
        let state = Bytes::from(format!("state at {sequence}"));
        let snapshot = Snapshot {
            sequence: Sequence(sequence),
            state,
        };
        self.store
            .snapshot(self.shard, self.epoch, key.clone(), snapshot)
            .wait()
    }

    pub(crate) fn load(&self, key: &ChannelKey) -> Option<Loaded> {
        self.store.load(self.shard, key).wait().unwrap()
    }

    pub(crate) fn page(
        &self,
        key: &ChannelKey,
        query: ArchiveQuery,
    ) -> Result<ArchivePage, UnknownPlace> {
        self.store
            .archive_page(self.shard, key, query)
            .wait()
            .unwrap()
    }

    /// What the whole archive says.
    pub(crate) fn archive(&self, key: &ChannelKey) -> Vec<String> {
        texts(
            &self
                .page(
                    key,
                    ArchiveQuery {
                        max: usize::MAX,
                        ..ArchiveQuery::default()
                    },
                )
                .unwrap()
                .entries,
        )
    }
}

/// A channel, and where it is.
pub(crate) struct Channel {
    pub(crate) key: ChannelKey,
    pub(crate) head: u64,
    pub(crate) stamp: u64,
    pub(crate) epoch: Epoch,
}

impl Channel {
    pub(crate) fn new(local: &str) -> Self {
        Self {
            key: ChannelKey::new("chat.example", local),
            head: 0,
            stamp: 1_000,
            epoch: Epoch(1),
        }
    }

    /// A channel that is created already.
    pub(crate) fn created(owner: &mut Owner, local: &str) -> Self {
        let mut channel = Self::new(local);
        let created = channel.creates();
        owner.commit(vec![created]);
        channel
    }

    /// A change that appends nothing yet.
    pub(crate) fn change(&self) -> ChannelCommit {
        ChannelCommit::new(self.key.clone(), Sequence(self.head))
    }

    pub(crate) fn creates(&mut self) -> ChannelCommit {
        self.with(|channel| {
            vec![Entry {
                life: Life::Creates,
                ..channel.event("created")
            }]
        })
    }

    pub(crate) fn destroys(&mut self) -> ChannelCommit {
        self.with(|channel| {
            vec![Entry {
                life: Life::Destroys,
                ..channel.event("destroyed")
            }]
        })
    }

    pub(crate) fn says(&mut self, text: &str) -> ChannelCommit {
        self.with(|channel| vec![channel.message(1, text)])
    }

    pub(crate) fn does(&mut self, text: &str) -> ChannelCommit {
        self.with(|channel| vec![channel.event(text)])
    }

    /// A change with some entries.
    pub(crate) fn with(&mut self, entries: impl FnOnce(&mut Self) -> Vec<Entry>) -> ChannelCommit {
        let change = self.change();
        ChannelCommit {
            entries: entries(self),
            ..change
        }
    }

    /// The next event, not archived.
    pub(crate) fn event(&mut self, text: &str) -> Entry {
        self.head += 1;
        self.stamp += 10;
        Entry {
            sequence: Sequence(self.head),
            first_epoch: self.epoch,
            stamp: Timestamp(self.stamp),
            kind: 1,
            life: Life::Within,
            archive: None,
            record: Bytes::from(text.to_owned()),
        }
    }

    /// The next event, archived.
    pub(crate) fn message(&mut self, from: u8, text: &str) -> Entry {
        Entry {
            archive: Some(ArchiveMeta {
                sender: Some(sender(from)),
            }),
            ..self.event(text)
        }
    }

    /// Appends `count` messages `m1`, `m2`, ... of two senders in turn, and answers their places.
    pub(crate) fn chats(&mut self, owner: &mut Owner, count: usize) -> Vec<Place> {
        static TURN: AtomicU64 = AtomicU64::new(0);
        let mut places = Vec::new();
        for number in 1..=count {
            let entry = self.message(u8::try_from(number % 2).unwrap(), &format!("m{number}"));
            places.push(entry.place());
            let expected = Sequence(entry.sequence.0 - 1);
            let change = ChannelCommit {
                entries: vec![entry],
                ..ChannelCommit::new(self.key.clone(), expected)
            };
            // Some wait for each other, some do not: groups of all sizes come about.
            let commit = owner.next(vec![change]);
            let pending = owner.store.commit(owner.shard, owner.epoch, commit);
            if number == count || TURN.fetch_add(1, Ordering::Relaxed).is_multiple_of(7) {
                pending.wait().unwrap();
            }
        }
        places
    }
}

pub(crate) fn sender(number: u8) -> SenderId {
    SenderId([number; 20])
}

pub(crate) fn texts(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| String::from_utf8(entry.record.to_vec()).unwrap())
        .collect()
}

/// `m1`, `m2`, ...
pub(crate) fn chat(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers
        .into_iter()
        .map(|number| format!("m{number}"))
        .collect()
}

pub(crate) fn ack(
    key: &ChannelKey,
    connection: &str,
    lease: u64,
    sequence: u64,
    commit: CommitNumber,
) -> Acknowledgement {
    let connection = ConnectionId(connection.into());
    let (lease, sequence) = (LeaseNumber(lease), Sequence(sequence));
    Acknowledgement {
        key: key.clone(),
        connection,
        lease,
        sequence,
        commit,
    }
}

pub(crate) fn acks(acks: Vec<Acknowledgement>) -> Receipts {
    Receipts {
        acks,
        ..Receipts::default()
    }
}

pub(crate) fn sent(key: &ChannelKey, commit: CommitNumber) -> Receipts {
    Receipts {
        sent: vec![Sent {
            key: key.clone(),
            commit,
        }],
        ..Receipts::default()
    }
}
