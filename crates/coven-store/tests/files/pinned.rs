//! Channels that get no snapshot for long: they must not stop the others.

use bytes::Bytes;
use coven_store::sqlite::{Options, SqliteStore};
use coven_store::{
    ArchiveMeta, ArchiveQuery, ChannelCommit, ChannelKey, Claim, Commit, CommitNumber, Entry,
    Epoch, Error, Life, Loaded, Receipts, Sent, Sequence, SessionId, ShardId, Snapshot, Store,
    Timestamp,
};
use rusqlite::Connection;
use tempfile::TempDir;

const SHARD: ShardId = ShardId(3);

/// Rooms that say numbered things.
struct House {
    store: SqliteStore,
    epoch: Epoch,
    last: CommitNumber,
}

fn options(folder: &TempDir, log_limit: u64) -> Options {
    Options {
        log_limit,
        ..Options::new(folder.path().join("coven.db"))
    }
}

fn key(room: &str) -> ChannelKey {
    ChannelKey::new("chat.example", room)
}

impl House {
    fn open(options: Options) -> Self {
        let store = SqliteStore::open(options).unwrap();
        let claim = Claim {
            session: SessionId(1),
            judged_dead: store.owner(SHARD).wait().unwrap(),
            known: Epoch(0),
        };
        let granted = store.claim(SHARD, claim).wait().unwrap();
        Self {
            store,
            epoch: granted.epoch,
            last: granted.last_commit,
        }
    }

    /// Event `sequence` of a room, archived unless it is the first.
    fn says(&mut self, room: &str, sequence: u64, bytes: usize) -> Result<(), Error> {
        let mut change = ChannelCommit::new(key(room), Sequence(sequence - 1));
        change.entries.push(Entry {
            sequence: Sequence(sequence),
            first_epoch: Epoch(1),
            stamp: Timestamp(1_000 + sequence),
            kind: 1,
            life: if sequence == 1 {
                Life::Creates
            } else {
                Life::Within
            },
            archive: (sequence > 1).then(ArchiveMeta::default),
            record: text(sequence, bytes),
        });
        change.unsent = true;
        let commit = Commit {
            number: self.last.next(),
            channels: vec![change],
            receipts: Receipts::default(),
        };
        self.store.commit(SHARD, self.epoch, commit).wait()?;
        self.last = self.last.next();
        Ok(())
    }

    fn snapshot(&self, room: &str, sequence: u64) {
        let sent = Sent {
            key: key(room),
            commit: self.last,
        };
        let receipts = Receipts {
            sent: vec![sent],
            ..Receipts::default()
        };
        let acknowledged = self.store.acknowledge(SHARD, self.epoch, receipts);
        let snapshot = Snapshot {
            sequence: Sequence(sequence),
            state: "state".into(),
        };
        let written = self
            .store
            .snapshot(SHARD, self.epoch, key(room), snapshot)
            .wait();
        acknowledged.wait().unwrap();
        written.unwrap();
    }

    fn load(&self, room: &str) -> Loaded {
        self.store.load(SHARD, &key(room)).wait().unwrap().unwrap()
    }

    fn archived(&self, room: &str) -> usize {
        let query = ArchiveQuery {
            max: usize::MAX,
            ..ArchiveQuery::default()
        };
        let page = self.store.archive_page(SHARD, &key(room), query).wait();
        page.unwrap().unwrap().entries.len()
    }

    fn close(self) {
        self.store.close().wait().unwrap();
    }
}

fn text(sequence: u64, bytes: usize) -> Bytes {
    let mut text = format!("{sequence} ").into_bytes();
    text.resize(bytes, b'x');
    text.into()
}

/// The journal is what was said from `first` to `last`, without a gap.
fn is_whole(loaded: &Loaded, first: u64, last: u64) {
    let told = |entry: &Entry| {
        let said = String::from_utf8(entry.record.to_vec()).unwrap();
        let number: u64 = said.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(number, entry.sequence.0);
        number
    };
    let found: Vec<u64> = loaded.journal.iter().map(told).collect();
    assert_eq!(found, (first..=last).collect::<Vec<_>>());
}

fn rows_held(folder: &TempDir) -> i64 {
    let db = Connection::open(options(folder, 0).path).unwrap();
    let sql = "SELECT count(*) FROM held";
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A damaged channel is never snapshotted: the log goes on without it, and it keeps its journal.
#[test]
fn i9_a_channel_in_quarantine_does_not_stop_the_others() {
    let folder = TempDir::new().unwrap();
    let mut house = House::open(options(&folder, 1 << 20));
    for sequence in 1..=40 {
        house.says("damaged", sequence, 200).unwrap();
    }
    for sequence in 1..=400 {
        let said = house.says("lively", sequence, 64 << 10);
        assert_eq!(said, Ok(()), "at {sequence}");
        house.snapshot("lively", sequence);
    }
    assert!(house.store.stats().log_bytes < 4 << 20);
    is_whole(&house.load("damaged"), 1, 40);
    house.close();

    let mut house = House::open(options(&folder, 1 << 20));
    is_whole(&house.load("damaged"), 1, 40);
    assert_eq!(house.archived("damaged"), 39);
    house.says("damaged", 41, 200).unwrap();
    is_whole(&house.load("damaged"), 1, 41);
    assert_eq!(house.store.verify().wait().unwrap(), [] as [&str; 0]);
}

/// A group of servers is away: its channels go on, nothing of them is snapshotted, everybody can still speak.
#[test]
fn i9_channels_that_nobody_acknowledges_do_not_stop_the_others() {
    let folder = TempDir::new().unwrap();
    let mut house = House::open(options(&folder, 4096));
    let rooms = ["elsinore", "dunsinane", "arden"];
    for sequence in 1..=300 {
        for room in rooms {
            house.says(room, sequence, 300).unwrap();
        }
    }
    let log = house.store.stats().log_bytes;
    assert!(log < 64 << 10, "{log} bytes of log");
    for room in rooms {
        is_whole(&house.load(room), 1, 300);
        assert_eq!(house.archived(room), 299);
    }
    house.close();

    let mut house = House::open(options(&folder, 4096));
    for room in rooms {
        is_whole(&house.load(room), 1, 300);
    }
    assert!(rows_held(&folder) > 0);
    // It is back: a snapshot takes the place of what was put aside, in part and as a whole.
    house.snapshot("arden", 5);
    is_whole(&house.load("arden"), 6, 300);
    for room in rooms {
        house.snapshot(room, 300);
        is_whole(&house.load(room), 301, 300);
        house.says(room, 301, 300).unwrap();
        is_whole(&house.load(room), 301, 301);
    }
    assert_eq!(rows_held(&folder), 0);
    assert_eq!(house.store.verify().wait().unwrap(), [] as [&str; 0]);
}

/// A file of the version before goes on, with the table that it lacks.
#[test]
fn a_file_of_schema_version_1_is_taken_over() {
    let folder = TempDir::new().unwrap();
    let mut house = House::open(options(&folder, 4096));
    house.says("arden", 1, 300).unwrap();
    house.close();
    let db = Connection::open(options(&folder, 0).path).unwrap();
    db.execute_batch("DROP TABLE held; PRAGMA user_version = 1")
        .unwrap();
    drop(db);
    let mut house = House::open(options(&folder, 4096));
    for sequence in 2..=300 {
        house.says("arden", sequence, 300).unwrap();
    }
    is_whole(&house.load("arden"), 1, 300);
    assert!(rows_held(&folder) > 0);
}
