//! What was done to the service, when, and what that excuses.
//!
//! Owns the marks that `serve` wrote on order: a fault begins and ends. A fault may excuse copies that come twice (what a
//! front-end had sent since its last acknowledgement) and messages that vanish (in the buffers of a broken stream), each
//! for a time and no longer.

use crate::history::Ticks;
use serde_json::Value;
use std::io;
use std::path::Path;

/// A copy that comes twice because of a fault does so within this time after its end.
const DUPLICATES_SECONDS: i32 = 15;
/// A message that vanishes because of a fault was sent this long before its begin, or after its end, at most.
const VANISHING_SECONDS: i32 = 5;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Its kind, such as `kill-node`.
    pub(super) name: String,
    /// From when.
    pub(super) begin: Ticks,
    /// Until when: all runs again.
    pub(super) end: Ticks,
    /// Whether copies may come twice.
    pub(super) may_duplicate: bool,
    /// Whether messages may vanish.
    pub(super) may_vanish: bool,
}

impl Fault {
    /// Whether a copy that comes a second time at `at` is its doing.
    pub(super) fn excuses_copy(&self, at: Ticks) -> bool {
        let until = self.end.plus_seconds(DUPLICATES_SECONDS);
        self.may_duplicate && self.begin <= at && at <= until
    }

    /// Whether a message sent at `at` may have vanished by it.
    pub(super) fn excuses_vanishing(&self, at: Ticks) -> bool {
        let from = self.begin.plus_seconds(-VANISHING_SECONDS);
        let until = self.end.plus_seconds(VANISHING_SECONDS);
        self.may_vanish && from <= at && at <= until
    }
}

/// The faults in a file of marks; none without a file.
///
/// # Errors
///
/// The file cannot be read, or has other lines.
pub(super) fn read(path: &Path) -> io::Result<Vec<Fault>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut faults: Vec<Fault> = Vec::new();
    for line in text.lines() {
        take(&serde_json::from_str(line)?, &mut faults)
            .ok_or_else(|| io::Error::other(format!("no mark: {line}")))?;
    }
    Ok(faults)
}

/// A fault that does not end lasts.
fn take(mark: &Value, faults: &mut Vec<Fault>) -> Option<()> {
    let name = mark.get("fault")?.as_str()?;
    let at = Ticks(u32::try_from(mark.get("at")?.as_u64()?).ok()?);
    let flag = |key: &str| mark.get(key).and_then(Value::as_bool).unwrap_or_default();
    match mark.get("phase")?.as_str()? {
        "begin" => faults.push(Fault {
            name: name.to_owned(),
            begin: at,
            end: Ticks(u32::MAX),
            may_duplicate: flag("may_duplicate"),
            may_vanish: flag("may_vanish"),
        }),
        _ => {
            faults
                .iter_mut()
                .rev()
                .find(|fault| fault.name == name)?
                .end = at
        }
    }
    Some(())
}
