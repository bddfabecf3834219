//! Reads between COMMIT and index: whatever is read sees one transaction as a whole, in the database and in the index.
//!
//! The writer works on the thread of the test, and lets a read look in at each moment of each transaction: before COMMIT
//! it must see what was there, after it what is there when the index has taken it over.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;

use super::moments::Moment;
use super::queue::Queue;
use super::reader::Reader;
use super::shared::Shared;
use super::writer::{Job, Request, Writer};
use super::{Durability, Options, replay, schema};
use crate::{
    ArchiveMeta, ArchiveQuery, ChannelCommit, ChannelKey, Claim, Commit, CommitNumber, Entry,
    Epoch, Life, Pending, Receipts, Reply, Retention, Rewrite, Sent, Sequence, SessionId, ShardId,
    Snapshot, TimerChange, Timestamp,
};

const SHARD: ShardId = ShardId(2);
const EPOCH: Epoch = Epoch(1);
const ROOMS: usize = 5;

type Read = fn(&Reader, &ChannelKey) -> String;

fn key(room: usize) -> ChannelKey {
    ChannelKey::new("chat.example", format!("room-{room}"))
}

/// A writer without thread.
struct Desk {
    folder: TempDir,
    shared: Arc<Shared>,
    writer: Writer,
    last: CommitNumber,
    heads: [u64; ROOMS],
    alive: [bool; ROOMS],
    answers: Vec<Pending<()>>,
}

impl Desk {
    fn open() -> Self {
        let folder = TempDir::new().unwrap();
        let mut options = Options::new(folder.path().join("coven.db"));
        options.log_limit = 2048;
        options.durability = Durability::Interval(std::time::Duration::from_secs(3600));
        let db = schema::open_writer(&options.path, false).unwrap();
        db.pragma_update(None, "synchronous", "off").unwrap();
        let meta = schema::prepare(&db, options.shards, options.format).unwrap();
        let token = schema::take_over(&db).unwrap();
        let shared = Arc::new(Shared::new(options, replay::index(&db, &meta).unwrap()));
        let queue = Arc::new(Queue::new(1, 1));
        let writer = Writer::new(db, Arc::clone(&shared), queue, token, meta).unwrap();
        let mut desk = Self {
            folder,
            shared,
            writer,
            last: CommitNumber(0),
            heads: [0; ROOMS],
            alive: [false; ROOMS],
            answers: Vec::new(),
        };
        let (reply, granted) = Pending::channel();
        let claim = Claim {
            session: SessionId(1),
            judged_dead: None,
            known: Epoch(0),
        };
        desk.work(vec![Job::Claim {
            shard: SHARD,
            claim,
            reply,
        }]);
        assert_eq!(granted.wait().unwrap().epoch, EPOCH);
        desk
    }

    fn reader(&self) -> Reader {
        let db = schema::open_reader(&self.shared.path).unwrap();
        Reader::new(db, Arc::clone(&self.shared))
    }

    fn count(&self, sql: &str) -> i64 {
        let db = Connection::open(self.folder.path().join("coven.db")).unwrap();
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Does requests, all of which must be taken.
    fn work(&mut self, jobs: Vec<Job>) {
        self.writer.work(jobs);
        for answer in self.answers.drain(..) {
            answer.wait().unwrap();
        }
    }

    /// Lets upkeep do what it does while no request comes.
    fn idle(&mut self) {
        self.writer.transact(Vec::new()).unwrap();
    }

    fn job(&mut self, request: Request) -> Job {
        let (reply, answer): (Reply<()>, _) = Pending::channel();
        self.answers.push(answer);
        Job::Write {
            shard: SHARD,
            epoch: EPOCH,
            request,
            reply,
        }
    }

    /// A room says so many things, beginning it if need be.
    fn says(&mut self, room: usize, count: u64) -> Job {
        let Some((head, alive)) = self.heads.get_mut(room).zip(self.alive.get_mut(room)) else {
            unreachable!("a room that there is");
        };
        let mut change = ChannelCommit::new(key(room), Sequence(*head));
        for _ in 0..count {
            *head += 1;
            let life = if std::mem::replace(alive, true) {
                Life::Within
            } else {
                Life::Creates
            };
            change.entries.push(entry(*head, life));
        }
        change.rewrites.push(Rewrite {
            sequence: Sequence(*head / 2 + 1),
            kind: 9,
            record: Bytes::from(format!("rewritten at {head}")),
        });
        change.unsent = true;
        change.timer = TimerChange::Set(Timestamp(*head));
        self.commit(change)
    }

    fn destroy(&mut self, room: usize) -> Job {
        let Some((head, alive)) = self.heads.get_mut(room).zip(self.alive.get_mut(room)) else {
            unreachable!("a room that there is");
        };
        let mut change = ChannelCommit::new(key(room), Sequence(*head));
        *head += 1;
        *alive = false;
        change.entries.push(Entry {
            archive: None,
            ..entry(*head, Life::Destroys)
        });
        change.timer = TimerChange::Clear;
        self.commit(change)
    }

    fn commit(&mut self, change: ChannelCommit) -> Job {
        self.last = self.last.next();
        let commit = Commit {
            number: self.last,
            channels: vec![change],
            receipts: Receipts::default(),
        };
        self.job(Request::Commit(Box::new(commit)))
    }

    fn sent(&mut self, room: usize) -> Job {
        let sent = Sent {
            key: key(room),
            commit: self.last,
        };
        self.job(Request::Acknowledge(Receipts {
            sent: vec![sent],
            ..Receipts::default()
        }))
    }

    fn snapshot(&mut self, room: usize) -> Job {
        let sequence = Sequence(self.heads.get(room).copied().unwrap_or_default());
        let state = Bytes::from(format!("state {sequence}"));
        self.job(Request::Snapshot(key(room), Snapshot { sequence, state }))
    }

    fn expire(&self, retention: Retention) -> (Job, Pending<u64>) {
        let (reply, answer) = Pending::channel();
        let job = Job::Expire {
            shard: SHARD,
            epoch: EPOCH,
            retention,
            reply,
        };
        (job, answer)
    }

    /// Rooms live: one of them is never snapshotted, one is seldom heard, one dies again and again.
    fn live(&mut self) {
        for round in 1..=150 {
            let room = match round {
                _ if round % 13 == 0 => 4,
                _ => round % 4,
            };
            let mut jobs = vec![self.says(room, 1 + round as u64 % 6)];
            if room != 3 && (round % 3 == 0 || room == 4) {
                jobs.extend([self.sent(room), self.snapshot(room)]);
            }
            self.work(jobs);
            self.idle();
            if round % 20 == 0 {
                let jobs = vec![self.destroy(0), self.sent(0)];
                self.work(jobs);
            }
            if round % 17 == 0 {
                let (job, gone) = self.expire(Retention {
                    not_before: None,
                    max_count: Some(40),
                });
                self.work(vec![job]);
                gone.wait().unwrap();
            }
            if round % 5 == 0 {
                let jobs = vec![self.sent(1), self.snapshot(1)];
                self.work(jobs);
            }
        }
    }
}

fn entry(sequence: u64, life: Life) -> Entry {
    Entry {
        sequence: Sequence(sequence),
        first_epoch: EPOCH,
        stamp: Timestamp(sequence),
        kind: 1,
        life,
        archive: Some(ArchiveMeta::default()),
        record: Bytes::from(format!("said as number {sequence}")),
    }
}

/// A read that looks in.
struct Watch {
    reader: Reader,
    read: Read,
    transactions: usize,
    before: String,
    during: Option<String>,
    torn: Arc<Mutex<Vec<String>>>,
}

impl Watch {
    fn look(&self) -> String {
        let mut seen = String::new();
        for room in 0..ROOMS {
            writeln!(seen, "{}", (self.read)(&self.reader, &key(room))).unwrap();
            self.reader.end();
        }
        seen
    }

    fn visit(&mut self, moment: Moment) {
        let seen = match moment {
            // Sometimes nobody looks, and the writer has to tell the index itself.
            Moment::Committed if self.transactions.is_multiple_of(4) => return,
            _ => self.look(),
        };
        match moment {
            Moment::BeforeCommit if seen != self.before => self.is_torn("before", &seen),
            Moment::BeforeCommit => {}
            Moment::Committed => self.during = Some(seen),
            Moment::Published => {
                if let Some(during) = self.during.take().filter(|during| *during != seen) {
                    self.is_torn("after", &during);
                }
                if seen.contains("Err(") {
                    self.is_torn("at rest after", &seen);
                }
                self.before = seen;
                self.transactions += 1;
            }
        }
    }

    fn is_torn(&self, when: &str, seen: &str) {
        let number = self.transactions;
        let mut torn = self.torn.lock().unwrap();
        torn.push(format!("{when} COMMIT of transaction {number}: {seen}"));
    }
}

/// Whether a read sees each transaction as a whole, and nothing of it before COMMIT.
fn sees_one_transaction(read: Read) {
    let mut desk = Desk::open();
    let torn: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut watch = Watch {
        reader: desk.reader(),
        read,
        transactions: 0,
        before: String::new(),
        during: None,
        torn: Arc::clone(&torn),
    };
    watch.before = watch.look();
    let visit = Box::new(move |moment| watch.visit(moment));
    *desk.shared.moments.visitor.lock().unwrap() = Some(visit);
    desk.live();
    *desk.shared.moments.visitor.lock().unwrap() = None;

    assert!(desk.count("SELECT count(*) FROM pages") > 3, "packed");
    assert!(desk.count("SELECT count(*) FROM held") > 0, "put aside");
    assert!(desk.count("SELECT min(id) FROM log") > 50, "trimmed");
    let torn = torn.lock().unwrap();
    let first = torn.first().map_or("", String::as_str);
    assert!(torn.is_empty(), "{} times, first {first}", torn.len());
}

#[test]
fn i7_a_load_sees_one_transaction() {
    sees_one_transaction(|reader, key| format!("{:?}", reader.load(SHARD, key)));
}

#[test]
fn i7_whether_a_channel_exists_is_of_one_transaction() {
    sees_one_transaction(|reader, key| format!("{:?}", reader.exists(SHARD, key)));
}

#[test]
fn i3_an_archive_page_sees_one_transaction() {
    sees_one_transaction(|reader, key| {
        let query = ArchiveQuery {
            max: usize::MAX,
            ..ArchiveQuery::default()
        };
        format!("{:?}", reader.archive_page(SHARD, key, &query))
    });
}

#[test]
fn i3_archive_bounds_see_one_transaction() {
    sees_one_transaction(|reader, key| format!("{:?}", reader.archive_bounds(SHARD, key)));
}

#[test]
fn i5_what_is_unsent_is_of_one_transaction() {
    sees_one_transaction(|reader, _| format!("{:?}", reader.unsent(SHARD)));
}

#[test]
fn i5_timers_are_of_one_transaction() {
    sees_one_transaction(|reader, _| format!("{:?}", reader.timers(SHARD)));
}

#[test]
fn i7_a_list_of_channels_is_of_one_transaction() {
    sees_one_transaction(|reader, key| {
        let found = reader.channels(&key.space, None, 10);
        format!("{found:?}")
    });
}

/// The last page is only half full, all of it is old, and the messages that fill it are packed while it expires.
#[test]
fn muc_mam_22_an_expiry_spares_what_is_packed_with_it() {
    let mut desk = Desk::open();
    for _ in 0..40 {
        let job = desk.says(0, 1);
        desk.work(vec![job]);
    }
    desk.idle();
    desk.idle();
    let packed = desk.count("SELECT max(last_sequence) FROM pages");
    let last = desk.count("SELECT count FROM pages ORDER BY id DESC LIMIT 1");
    assert!((1..32).contains(&last), "{last} messages in the last page");
    assert!(packed < 40);

    let retention = Retention {
        not_before: Some(Timestamp(packed.unsigned_abs() + 1)),
        max_count: None,
    };
    let (expire, gone) = desk.expire(retention);
    let jobs = vec![desk.says(0, 40), expire];
    desk.work(jobs);
    assert_eq!(gone.wait(), Ok(packed.unsigned_abs()));
    for _ in 0..3 {
        let bounds = desk.reader().archive_bounds(SHARD, &key(0));
        let bounds = bounds.unwrap().expect("the newer messages");
        assert_eq!(bounds.first.sequence.0, packed.unsigned_abs() + 1);
        assert_eq!(bounds.last.sequence, Sequence(80));
        desk.idle();
    }
}
