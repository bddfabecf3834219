//! Checkpoints: moving what the write-ahead log holds into the database file, on a thread and a connection of its own.
//!
//! With `Durability::Interval` the same thread flushes the write-ahead log.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tracing::warn;

use super::failure::failed;
use super::shared::Shared;
use super::{Durability, schema};
use crate::Error;

/// A checkpoint is due after so many bytes.
const DUE: u64 = 16 << 20;
/// From so many frames (of 4 KiB) on, writers wait once for the write-ahead log to begin anew.
const LONG: i64 = 16 << 10;

/// Tells the thread what is to do.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    written: u64,
    flush: bool,
    stop: bool,
}

impl Signal {
    /// The writer has appended about `bytes` to the write-ahead log.
    pub(super) fn written(&self, bytes: u64) {
        let mut state = self.lock();
        state.written += bytes;
        let first = !std::mem::replace(&mut state.flush, true);
        if state.written >= DUE || first {
            self.changed.notify_one();
        }
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_one();
    }

    /// Waits for something to do. `interval`: how long written bytes may stay unflushed, if flushing is our business.
    fn wait(&self, interval: Option<Duration>) -> Task {
        let mut state = self.lock();
        loop {
            if state.stop {
                return Task::Stop;
            }
            if state.written >= DUE {
                state.written = 0;
                state.flush = false;
                return Task::Checkpoint;
            }
            let Some(interval) = interval.filter(|_| state.flush) else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (guard, late) = self
                .changed
                .wait_timeout(state, interval)
                .unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if late.timed_out() && state.flush {
                state.flush = false;
                return Task::Flush;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Task {
    Checkpoint,
    Flush,
    Stop,
}

/// The thread's work, until it is stopped.
pub(super) fn run(shared: &Arc<Shared>, db: &Connection) {
    let interval = match shared.options.durability {
        Durability::Sync => None,
        Durability::Interval(interval) => Some(interval),
    };
    loop {
        let done = match shared.checkpoints.wait(interval) {
            Task::Stop => return,
            Task::Checkpoint => checkpoint(db, shared),
            Task::Flush => flush(shared),
        };
        if let Err(error) = done {
            warn!(%error, "checkpoint failed");
        }
    }
}

fn checkpoint(db: &Connection, shared: &Shared) -> Result<(), Error> {
    Shared::count(&shared.counters.checkpoints);
    let (frames, moved) = pragma(db, "PASSIVE")?;
    if frames > LONG && moved < frames {
        pragma(db, "RESTART")?;
    }
    Ok(())
}

/// Moves everything into the database file and empties the write-ahead log: for a clean end.
pub(super) fn finish(db: &Connection) -> Result<(), Error> {
    pragma(db, "TRUNCATE").map(|_| ())
}

/// Answers frames in the write-ahead log, and how many of them are in the database file.
fn pragma(db: &Connection, mode: &str) -> Result<(i64, i64), Error> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    db.query_row(&sql, [], |row| Ok((row.get(1)?, row.get(2)?)))
        .map_err(failed)
}

fn flush(shared: &Shared) -> Result<(), Error> {
    let path = schema::wal_path(&shared.path);
    File::open(&path)
        .and_then(|file| file.sync_data())
        .map_err(|error| failed_flush(&path, &error))
}

fn failed_flush(path: &Path, error: &std::io::Error) -> Error {
    Error::Io(format!("flushing {}: {error}", path.display()))
}
