//! What SQLite's errors mean here.

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::Error;

/// Turns a failure of SQLite into one of ours.
pub(super) fn failed(error: rusqlite::Error) -> Error {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full(text),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::Busy("another process is writing")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt(text),
        _ => Error::Io(text),
    }
}

/// Whether a failed COMMIT certainly left nothing durable.
///
/// Frames go to the write-ahead log in order, the one that completes a transaction last; when a write fails, that one
/// is missing. When the flush after it fails, it may be there.
pub(super) fn is_certain(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || extended == Some(ffi::SQLITE_IOERR_WRITE)
}
