//! A process that dies, wherever it is, leaves everything that it answered.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use coven_store::sqlite::{Options, SqliteStore};
use coven_store::{CommitNumber, Store};
use tempfile::TempDir;

use super::rooms::{Rooms, SHARD};

const FOLDER: &str = "COVEN_STORE_CRASH_TEST";

fn options(folder: &Path) -> Options {
    Options {
        log_limit: 4096,
        ..Options::new(folder.join("coven.db"))
    }
}

/// Not a test by itself: what the other process does.
#[test]
fn crash_child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let store = SqliteStore::open(options(Path::new(&folder))).unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    loop {
        rooms.go_on().unwrap();
        println!("committed {}", rooms.last);
    }
}

fn child(folder: &Path, failpoint: Option<String>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["crash::crash_child", "--exact", "--nocapture"])
        .env(FOLDER, folder);
    if let Some(failpoint) = failpoint {
        command.env("COVEN_FAILPOINT", failpoint);
    }
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads what the child has committed, up to `most` lines, then kills it. Answers the last number.
fn watch(mut child: Child, most: usize) -> u64 {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let committed = lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("committed ")?.parse().ok());
    let mut last = 0;
    for number in committed.take(most) {
        last = number;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    last
}

/// Opens what the dead left. Answers the newest commit.
fn survives(folder: &Path, answered: u64) -> u64 {
    let store = SqliteStore::open(options(folder)).unwrap();
    let rooms = Rooms::claim(&store).unwrap();
    assert!(
        rooms.last >= answered,
        "answered {answered}, found {}",
        rooms.last
    );
    rooms.check().unwrap();
    assert_eq!(store.verify().wait().unwrap(), [] as [&str; 0]);
    rooms.last
}

#[test]
fn i2_a_killed_process_loses_nothing_that_it_answered() {
    let folder = TempDir::new().unwrap();
    let mut last = 0;
    for round in 1..=8 {
        let answered = watch(child(folder.path(), None), 23 * round);
        assert!(answered > last, "the child made no progress");
        last = survives(folder.path(), answered);
    }
}

#[test]
#[cfg(feature = "fail-points")]
fn i2_death_at_each_fail_point_loses_nothing() {
    for point in [
        "store-before-commit",
        "store-after-commit",
        "store-during-snapshot",
        "store-during-packing",
        "store-during-trimming",
    ] {
        let folder = TempDir::new().unwrap();
        for nth in [1, 2, 5, 11] {
            let answered = watch(child(folder.path(), Some(format!("{point}:{nth}"))), 5_000);
            let found = survives(folder.path(), answered);
            assert!(found < 5_000, "the process did not die at {point}");
        }
    }
}

/// A power failure: of the write-ahead log only so many bytes came to the disk.
#[test]
fn i2_a_torn_write_ahead_log_keeps_what_was_flushed() {
    let folder = TempDir::new().unwrap();
    let wal = folder.path().join("coven.db-wal");
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    // The log's end after each commit.
    let mut ends = Vec::new();
    for _ in 0..60 {
        rooms.go_on().unwrap();
        ends.push((fs::metadata(&wal).unwrap().len(), rooms.last));
    }
    let whole = ends.last().unwrap().0;
    for cut in (0..=whole).step_by(1777) {
        let torn = TempDir::new().unwrap();
        for name in ["coven.db", "coven.db-lock"] {
            fs::copy(folder.path().join(name), torn.path().join(name)).unwrap();
        }
        let bytes = fs::read(&wal).unwrap();
        let cut = usize::try_from(cut).unwrap();
        fs::write(torn.path().join("coven.db-wal"), &bytes[..cut]).unwrap();
        let flushed = ends
            .iter()
            .filter(|(end, _)| *end <= cut as u64)
            .map(|(_, number)| *number)
            .max();
        let Some(flushed) = flushed else { continue };
        survives(torn.path(), flushed);
    }
}

/// A copy of the files under a running store opens, and is a store of its own.
#[test]
fn a_copy_of_a_running_store_opens() {
    let (folder, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let mut rooms = Rooms::claim(&store).unwrap();
    (0..40).for_each(|_| rooms.go_on().unwrap());
    for name in ["coven.db", "coven.db-wal"] {
        fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    assert_eq!(survives(copy.path(), 40), 40);
    rooms.go_on().unwrap();
    assert_eq!(Rooms::claim(&store).unwrap().last, 41);
    assert!(
        store
            .commit(
                SHARD,
                rooms.epoch,
                coven_store::Commit {
                    number: CommitNumber(42),
                    ..Default::default()
                }
            )
            .wait()
            .is_err()
    );
}
