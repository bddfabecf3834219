//! The lock of a store: one process at a time, for as long as it lives.
//!
//! The lock file also says how the store is flushed, so that the next process knows what a broken end of the write-ahead
//! log means. It is a file of its own, since closing any descriptor of a database drops SQLite's own locks on it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::{Durability, Options, schema, wal};
use crate::Error;

/// Takes the lock of a store: held until the file is dropped, released by the system when the process ends.
///
/// Errors: `Locked`; `Unfit` if there is no store and there must be; `Corrupt` if the write-ahead log is damaged.
pub(super) fn take(options: &Options) -> Result<File, Error> {
    let path = &options.path;
    if options.must_exist && !path.exists() {
        return Err(Error::Unfit(format!(
            "there is no store at {}, and it must exist",
            path.display()
        )));
    }
    let name = lock_path(path);
    let cannot = |error| Error::Io(format!("cannot lock {}: {error}", name.display()));
    let mut lock = private().open(&name).map_err(cannot)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Error::Locked { path: path.clone() }),
        Err(TryLockError::Error(error)) => return Err(cannot(error)),
    }
    let mut before = String::new();
    lock.read_to_string(&mut before).map_err(cannot)?;
    inspect(path, before.trim() == INTERVAL)?;
    let now = match options.durability {
        Durability::Sync => SYNC,
        Durability::Interval(_) => INTERVAL,
    };
    lock.set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "{now}"))
        .map_err(cannot)?;
    Ok(lock)
}

/// Makes the database file, if there is none and may be one, for nobody else to read. SQLite gives the files beside it
/// the same permissions.
pub(super) fn create(options: &Options) -> Result<(), Error> {
    let path = &options.path;
    if options.must_exist || path.exists() {
        return Ok(());
    }
    match private().open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::StorageFull => Err(Error::Full(error.to_string())),
        Err(error) => Err(Error::Io(format!(
            "cannot make {}: {error}",
            path.display()
        ))),
    }
}

/// For a file that only its owner may read.
fn private() -> OpenOptions {
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

const SYNC: &str = "sync";
const INTERVAL: &str = "interval";

/// `loose`: several transactions at the end may never have been flushed, so that nothing can be said for certain.
fn inspect(path: &Path, loose: bool) -> Result<(), Error> {
    let wal = schema::wal_path(path);
    let Some(damage) = wal::inspect(&wal)? else {
        return Ok(());
    };
    let (frame, sound, wal) = (damage.frame, damage.sound, wal.display());
    if loose {
        warn!(%wal, frame, "the write-ahead log ends in a broken frame: what was not flushed is lost");
        return Ok(());
    }
    Err(Error::Corrupt(format!(
        "frame {frame} of {wal} is damaged, and transactions follow it; \
         cut the file to {sound} bytes to go on without them"
    )))
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-lock");
    PathBuf::from(name)
}
