//! Damaged files are reported, with what is damaged; they never just lack something.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use coven_store::Error;
use coven_store::Store;
use coven_store::sqlite::{Options, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

use super::rooms::Rooms;

fn options(folder: &Path) -> Options {
    Options {
        log_limit: 16 << 10,
        ..Options::new(folder.join("coven.db"))
    }
}

/// A store with something in every table; closed, or left as a crash leaves it.
fn filled(closed: bool) -> (TempDir, u64) {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    for _ in 0..250 {
        rooms.go_on().unwrap();
    }
    let last = rooms.last;
    if closed {
        store.close().wait().unwrap();
        return (folder, last);
    }
    let copy = TempDir::new().unwrap();
    for name in ["coven.db", "coven.db-wal", "coven.db-lock"] {
        fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    (copy, last)
}

/// Opens and reads everything. The error, if one is reported; panics if something is silently other than it was.
fn read_all(folder: &Path, last: u64) -> Result<(), Error> {
    let store = SqliteStore::open(options(folder))?;
    let rooms = Rooms::claim(&store)?;
    let findings = store.verify().wait()?;
    if let Some(finding) = findings.into_iter().next() {
        return Err(Error::Corrupt(finding));
    }
    assert_eq!(rooms.last, last, "commits are gone");
    rooms.check()
}

#[test]
fn flipped_bytes_of_the_database_are_never_silent() {
    let (folder, last) = filled(true);
    let file = folder.path().join("coven.db");
    let whole = fs::read(&file).unwrap();
    let (mut reported, mut harmless) = (0, 0);
    for number in 0..250 {
        let mut damaged = whole.clone();
        let at = (number * 7919 + 100) % whole.len();
        damaged[at] ^= 1 << (number % 8);
        fs::write(&file, damaged).unwrap();
        let _ = fs::remove_file(folder.path().join("coven.db-wal"));
        let outcome = catch_unwind(AssertUnwindSafe(|| read_all(folder.path(), last)));
        match outcome.unwrap_or_else(|_| panic!("byte {at} made a silent difference")) {
            Ok(()) => harmless += 1,
            Err(error) => {
                assert!(
                    matches!(error, Error::Corrupt(_) | Error::Unfit(_) | Error::Io(_)),
                    "{error:?}"
                );
                reported += 1;
            }
        }
    }
    // The rest hit what is not in use.
    assert!(reported > 100, "{reported} reported, {harmless} harmless");
}

#[test]
fn flipped_bytes_of_the_write_ahead_log_are_never_silent() {
    let (folder, last) = filled(false);
    let (file, base) = (
        folder.path().join("coven.db-wal"),
        folder.path().join("coven.db"),
    );
    let (whole, database) = (fs::read(&file).unwrap(), fs::read(&base).unwrap());
    // The last transaction, if damaged, cannot be told from one that was never flushed.
    let most = whole.len() * 9 / 10;
    for number in 0..60 {
        let mut damaged = whole.clone();
        let at = (number * 104_729) % most;
        damaged[at] ^= 1 << (number % 8);
        fs::write(&base, &database).unwrap();
        fs::write(&file, damaged).unwrap();
        let _ = fs::remove_file(folder.path().join("coven.db-shm"));
        let error = read_all(folder.path(), last).expect_err("silent");
        let Error::Corrupt(what) = error else {
            panic!("byte {at}: {error:?}")
        };
        assert!(
            what.contains("coven.db-wal") && what.contains("bytes to go on"),
            "{what}"
        );
    }
}

#[test]
fn a_damaged_write_ahead_log_opens_when_it_is_cut_as_the_message_says() {
    let (folder, last) = filled(false);
    let file = folder.path().join("coven.db-wal");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let Error::Corrupt(what) = SqliteStore::open(options(folder.path())).unwrap_err() else {
        panic!()
    };
    let words: Vec<&str> = what.split(' ').collect();
    let at = words.iter().position(|word| *word == "bytes").unwrap();
    bytes.truncate(words[at - 1].parse().unwrap());
    fs::write(&file, &bytes).unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let rooms = Rooms::claim(&store).unwrap();
    assert!(rooms.last > 0 && rooms.last < last);
    rooms.check().unwrap();
}

/// Changes the closed store by SQL, and answers why it does not open.
fn refused_after(sql: &str) -> String {
    let (folder, last) = filled(true);
    Connection::open(folder.path().join("coven.db"))
        .unwrap()
        .execute_batch(sql)
        .unwrap();
    match read_all(folder.path(), last).unwrap_err() {
        Error::Corrupt(what) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn missing_rows_are_reported() {
    let what = refused_after("DELETE FROM log WHERE id = (SELECT max(id) - 5 FROM log)");
    assert!(what.contains("of table log are missing"), "{what}");
    let what = refused_after("DELETE FROM log WHERE id = (SELECT min(id) FROM log)");
    assert!(what.contains("of table log are missing"), "{what}");
    let what = refused_after("DELETE FROM pages WHERE id = (SELECT max(id) FROM pages)");
    assert!(
        what.contains("of table pages: the row is missing"),
        "{what}"
    );
    let what = refused_after("DELETE FROM snapshots");
    assert!(
        what.contains("of table snapshots: the row is missing"),
        "{what}"
    );
    let what = refused_after("DELETE FROM channels");
    assert!(what.contains("of table log"), "{what}");
}

#[test]
fn exchanged_and_changed_rows_are_reported() {
    let what = refused_after(
        "UPDATE pages SET data = (SELECT data FROM pages ORDER BY id LIMIT 1) WHERE id = (SELECT max(id) FROM pages)",
    );
    assert!(
        what.contains("of table pages: the checksum does not match"),
        "{what}"
    );
    let what = refused_after(
        "UPDATE pages SET before = before + 1 WHERE id = (SELECT max(id) FROM pages)",
    );
    assert!(
        what.contains("of table pages: its columns do not fit its data"),
        "{what}"
    );
    let what = refused_after("UPDATE channels SET unsent = 12345 WHERE id = 1");
    assert!(
        what.contains("row 1 of table channels: its columns do not fit its data"),
        "{what}"
    );
    let what = refused_after("UPDATE shards SET data = zeroblob(40)");
    assert!(
        what.contains("row 3 of table shards: the checksum does not match"),
        "{what}"
    );
}

#[test]
fn what_is_damaged_is_named_and_the_rest_works() {
    let (folder, last) = filled(true);
    let sql = "UPDATE pages SET data = zeroblob(50) WHERE id = (SELECT max(id) FROM pages)";
    Connection::open(folder.path().join("coven.db"))
        .unwrap()
        .execute_batch(sql)
        .unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let findings = store.verify().wait().unwrap();
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0].contains("of table pages: the checksum does not match"),
        "{findings:?}"
    );
    let mut rooms = Rooms::claim(&store).unwrap();
    assert_eq!(rooms.last, last);
    for _ in 0..100 {
        rooms.commit().unwrap();
    }
}

#[test]
fn a_check_says_what_is_damaged_and_changes_nothing() {
    let (folder, last) = filled(false);
    let options = options(folder.path());
    assert_eq!(
        SqliteStore::check(options.clone()).unwrap(),
        [] as [&str; 0]
    );
    let store = SqliteStore::open(options.clone()).unwrap();
    assert!(matches!(
        SqliteStore::check(options.clone()),
        Err(Error::Locked { .. })
    ));
    assert_eq!(Rooms::claim(&store).unwrap().last, last);
    store.close().wait().unwrap();
    drop(store);

    let db = Connection::open(&options.path).unwrap();
    let changed = db.execute_batch(
        "UPDATE pages SET data = zeroblob(9) WHERE id = (SELECT min(id) FROM pages);
         UPDATE log SET data = zeroblob(9) WHERE id = (SELECT max(id) FROM log)",
    );
    changed.unwrap();
    drop(db);
    let found = SqliteStore::check(options.clone()).unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("log") && found[1].contains("pages"),
        "{found:?}"
    );
    let absent = Options {
        path: folder.path().join("none.db"),
        ..options
    };
    assert!(matches!(SqliteStore::check(absent), Err(Error::Unfit(_))));
}
