//! Where a store ends: its disk, its queue, its log, its process.

use std::path::Path;
use std::process::{Command, Stdio};

use coven_store::sqlite::{Durability, Options, SqliteStore};
use coven_store::{Commit, CommitNumber, Error, Retention, Store};
use rusqlite::Connection;
use tempfile::TempDir;

use super::rooms::{ROOMS, Rooms, SHARD, key};

fn file(folder: &TempDir) -> Options {
    Options::new(folder.path().join("coven.db"))
}

#[test]
fn a_second_opener_is_told_that_it_is_locked() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(file(&folder)).unwrap();
    let path = file(&folder).path;
    assert_eq!(
        SqliteStore::open(file(&folder)).unwrap_err(),
        Error::Locked { path }
    );
    drop(store);
    SqliteStore::open(file(&folder)).unwrap();
}

#[cfg(unix)]
#[test]
fn the_files_are_for_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(file(&folder)).unwrap();
    Rooms::claim(&store).unwrap().commit().unwrap();
    for name in ["coven.db", "coven.db-wal", "coven.db-shm", "coven.db-lock"] {
        let of = std::fs::metadata(folder.path().join(name)).unwrap();
        assert_eq!(of.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn i1_whoever_opens_in_spite_of_the_lock_ends_the_other_ones_writing() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(file(&folder)).unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    rooms.commit().unwrap();
    // As on a file system without working locks.
    std::fs::remove_file(folder.path().join("coven.db-lock")).unwrap();
    let other = SqliteStore::open(file(&folder)).unwrap();
    assert!(matches!(rooms.commit(), Err(Error::Locked { .. })));
    let mut rooms = Rooms::claim(&other).unwrap();
    assert_eq!(rooms.last, 1);
    rooms.commit().unwrap();
    rooms.check().unwrap();
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = TempDir::new().unwrap();
    let absent = Options {
        must_exist: true,
        ..file(&folder)
    };
    assert!(matches!(
        SqliteStore::open(absent.clone()),
        Err(Error::Unfit(_))
    ));
    drop(SqliteStore::open(file(&folder)).unwrap());
    drop(SqliteStore::open(absent).unwrap());
    let shards = Options {
        shards: 64,
        ..file(&folder)
    };
    let Error::Unfit(what) = SqliteStore::open(shards).unwrap_err() else {
        panic!()
    };
    assert!(what.contains("1024") && what.contains("64"), "{what}");

    let other = TempDir::new().unwrap();
    Connection::open(file(&other).path)
        .unwrap()
        .execute_batch("CREATE TABLE notes (text)")
        .unwrap();
    assert!(matches!(
        SqliteStore::open(file(&other)),
        Err(Error::Unfit(_))
    ));
    Connection::open(file(&folder).path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let Error::Unfit(what) = SqliteStore::open(file(&folder)).unwrap_err() else {
        panic!()
    };
    assert!(what.contains("schema version 99"), "{what}");

    let text = TempDir::new().unwrap();
    std::fs::write(
        file(&text).path,
        "no database, but text that is long enough to be one".repeat(99),
    )
    .unwrap();
    assert!(matches!(
        SqliteStore::open(file(&text)),
        Err(Error::Corrupt(_))
    ));
}

#[test]
fn i5_a_full_disk_refuses_and_keeps_what_was_answered() {
    let folder = TempDir::new().unwrap();
    let small = Options {
        max_bytes: Some(400 << 10),
        log_limit: 4096,
        ..file(&folder)
    };
    let store = SqliteStore::open(small.clone()).unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    let error = loop {
        assert!(rooms.last < 10_000, "it never got full");
        if let Err(error) = rooms.commit() {
            break error;
        }
    };
    assert!(
        matches!(error, Error::Full(_)) && error.is_temporary(),
        "{error:?}"
    );
    let full = rooms.last;
    rooms.check().unwrap();
    store.close().wait().unwrap();

    let store = SqliteStore::open(small).unwrap();
    let rooms = Rooms::claim(&store);
    // Even a claim may be too much; but nothing is lost.
    assert!(rooms.as_ref().map_or(true, |rooms| rooms.last == full));
    drop(store);
    let store = SqliteStore::open(file(&folder)).unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    assert_eq!(rooms.last, full);
    rooms.check().unwrap();
    rooms.commit().unwrap();
}

const FOLDER: &str = "COVEN_STORE_FULL_TEST";

/// Not a test by itself: a process that may write files of a certain size only.
#[test]
fn full_child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let options = Options::new(Path::new(&folder).join("coven.db"));
    let store = SqliteStore::open(options).unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    while rooms.commit().is_ok() {
        assert!(rooms.last < 10_000, "it never got full");
    }
    rooms.check().unwrap();
    let error = rooms.commit().unwrap_err();
    assert!(matches!(error, Error::Full(_) | Error::Io(_)), "{error:?}");
    rooms.check().unwrap();
    println!("full after {}", rooms.last);
}

#[test]
fn i5_writes_that_fail_leave_what_was_answered() {
    let folder = TempDir::new().unwrap();
    // Files of at most 600 KiB: the write-ahead log cannot grow any further.
    let script = "trap '' XFSZ; ulimit -f 1200; exec \"$0\" limits::full_child --exact --nocapture";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    let full: u64 = text
        .lines()
        .find_map(|line| line.split("full after ").nth(1)?.parse().ok())
        .unwrap();
    let store = SqliteStore::open(file(&folder)).unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    assert_eq!(
        rooms.last, full,
        "a commit that was refused is there, or one that was answered is not"
    );
    rooms.check().unwrap();
    rooms.commit().unwrap();
}

#[test]
fn a_long_log_asks_for_snapshots_of_the_oldest() {
    let folder = TempDir::new().unwrap();
    let options = Options {
        log_limit: 8192,
        ..file(&folder)
    };
    let store = SqliteStore::open(options).unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    assert!(store.wants_snapshot().is_empty());
    while store.stats().log_bytes <= 8192 {
        rooms.commit().unwrap();
    }
    let wanted = store.wants_snapshot();
    // Room 1 spoke first.
    assert_eq!(wanted[0], (SHARD, key(1)));
    assert_eq!(wanted.len(), 5);
    let before = store.stats().log_bytes;
    (0..ROOMS).for_each(|room| rooms.snapshot(room).unwrap());
    for _ in 0..ROOMS {
        rooms.commit().unwrap();
    }
    assert!(
        store.stats().log_bytes < before,
        "snapshots let it be trimmed"
    );
    assert!(store.wants_snapshot().is_empty());
    rooms.check().unwrap();
}

#[test]
fn an_idle_channel_is_not_in_memory() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(file(&folder)).unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    for _ in 0..13 * 5 {
        rooms.go_on().unwrap();
    }
    let receipts = coven_store::Receipts {
        sent: (0..5)
            .map(|room| coven_store::Sent {
                key: key(room),
                commit: CommitNumber(rooms.last),
            })
            .collect(),
        ..Default::default()
    };
    store
        .acknowledge(SHARD, rooms.epoch, receipts)
        .wait()
        .unwrap();
    assert!(store.stats().live_channels > 0);
    for room in 0..5 {
        let snapshot = coven_store::Snapshot {
            sequence: coven_store::Sequence(26),
            state: "state".into(),
        };
        store
            .snapshot(SHARD, rooms.epoch, key(room), snapshot)
            .wait()
            .unwrap();
    }
    // Messages that fill no page hold a channel until the log is trimmed, its journal does not.
    for room in 0..5 {
        assert!(
            store
                .load(SHARD, &key(room))
                .wait()
                .unwrap()
                .unwrap()
                .journal
                .is_empty()
        );
    }
}

#[test]
fn many_commits_share_a_transaction() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(file(&folder)).unwrap();
    let rooms = Rooms::claim(&store).unwrap();
    let before = store.stats().transactions;
    let pending: Vec<_> = (1..=500)
        .map(|number| {
            let commit = Commit {
                number: CommitNumber(number),
                ..Commit::default()
            };
            store.commit(SHARD, rooms.epoch, commit)
        })
        .collect();
    pending
        .into_iter()
        .for_each(|answer| answer.wait().unwrap());
    let transactions = store.stats().transactions - before;
    assert!(
        transactions < 250,
        "{transactions} transactions for 500 commits"
    );
}

#[test]
fn i9_a_full_queue_refuses_at_once() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(file(&folder)).unwrap();
    let rooms = Rooms::claim(&store).unwrap();
    let mut answers = Vec::new();
    for number in 1..=40_000 {
        let commit = Commit {
            number: CommitNumber(number),
            ..Commit::default()
        };
        answers.push(store.commit(SHARD, rooms.epoch, commit));
    }
    let answers: Vec<_> = answers
        .into_iter()
        .map(coven_store::Pending::wait)
        .collect();
    let done = answers.iter().take_while(|answer| answer.is_ok()).count();
    let rest = &answers[done..];
    assert!(
        rest.is_empty() || matches!(rest[0], Err(Error::Busy(_))),
        "{:?}",
        rest.first()
    );
    assert!(
        rest.iter()
            .all(|answer| matches!(answer, Err(Error::Busy(_) | Error::Diverged { .. })))
    );
    let rooms = Rooms::claim(&store).unwrap();
    assert_eq!(rooms.last, done as u64);
}

#[test]
fn interval_durability_answers_without_waiting_for_the_disk() {
    let folder = TempDir::new().unwrap();
    let durability = Durability::Interval(std::time::Duration::from_millis(5));
    let store = SqliteStore::open(Options {
        durability,
        ..file(&folder)
    })
    .unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    for _ in 0..300 {
        rooms.go_on().unwrap();
    }
    rooms.check().unwrap();
    store.close().wait().unwrap();
    let store = SqliteStore::open(file(&folder)).unwrap();
    let rooms = Rooms::claim(&store).unwrap();
    assert_eq!(rooms.last, 300);
    rooms.check().unwrap();
}

#[test]
fn muc_mam_23_the_pages_of_a_destroyed_channel_are_deleted() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(Options {
        log_limit: 4096,
        ..file(&folder)
    })
    .unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    for _ in 0..400 {
        rooms.go_on().unwrap();
    }
    let keep = Retention {
        not_before: None,
        max_count: Some(40),
    };
    assert_eq!(
        store.expire(SHARD, rooms.epoch, keep).wait().unwrap(),
        5 * 40
    );
    rooms.destroy(2).unwrap();
    store.close().wait().unwrap();
    drop(store);

    // Deleting takes turns with requests, or waits for the next start.
    let store = SqliteStore::open(file(&folder)).unwrap();
    let rooms = Rooms::claim(&store).unwrap();
    store.release(SHARD, rooms.epoch).wait().unwrap();
    store.close().wait().unwrap();
    let db = Connection::open(file(&folder).path).unwrap();
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM channels"), 4);
    assert_eq!(count("SELECT count(*) FROM doomed"), 0);
    assert_eq!(count("SELECT count(DISTINCT id >> 24) FROM pages"), 4);
    assert!(count("SELECT sum(count) FROM pages") <= 4 * (40 + 31));
}

/// Whoever makes archives be searched keeps nobody from being loaded.
#[test]
fn i9_archive_queries_do_not_hold_up_loads() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(file(&folder)).unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    (0..10).for_each(|_| rooms.commit().unwrap());
    let (go, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let slow = || {
        let wait = std::sync::Arc::clone(&wait);
        coven_store::ArchiveQuery {
            filter: Some(std::sync::Arc::new(move |_| {
                let _until = wait.lock().unwrap().recv();
                true
            })),
            max: 10,
            ..Default::default()
        }
    };
    let asked: Vec<_> = (0..8)
        .map(|_| store.archive_page(SHARD, &key(1), slow()))
        .collect();
    let (loaded, came) = std::sync::mpsc::sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(|| loaded.send(store.load(SHARD, &key(2)).wait().is_ok()));
        let came = came.recv_timeout(std::time::Duration::from_secs(5));
        drop(go);
        assert_eq!(came, Ok(true));
    });
    for page in asked {
        assert!(page.wait().unwrap().is_ok());
    }
}
