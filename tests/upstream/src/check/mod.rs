//! Reads the histories of all clients and the archives, and says what went wrong.
//!
//! Owns the reading of a folder and the exit. What must hold for one room is `room.rs`, with `outcome.rs` for what
//! became of each message and `view.rs` for what one occupant saw; which faults excuse what is `fault.rs`; how long
//! rooms stood still is `pause.rs`; the report is `report.rs`.

mod fault;
mod outcome;
mod pause;
mod report;
mod room;
mod view;

#[cfg(test)]
mod tests;

use crate::history::{self, Record};
use fault::Fault;
use report::Report;
use serde_json::Value;
use std::io;
use std::path::Path;

/// Checks a folder; writes the report to standard output and to `report`. Tells whether there is no violation.
///
/// # Errors
///
/// The folder cannot be read, or is not whole.
pub(crate) fn run(folder: &Path, report: Option<&Path>) -> io::Result<bool> {
    let checked = check(folder)?;
    let text = serde_json::to_string_pretty(&checked.to_json())?;
    println!("{text}");
    if let Some(path) = report {
        std::fs::write(path, text)?;
    }
    Ok(checked.is_good())
}

fn check(folder: &Path) -> io::Result<Report> {
    let about: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("about.json"))?)?;
    let faults = fault::read(&folder.join("marks.jsonl"))?;
    let rooms = about.get("rooms").and_then(Value::as_array);
    let mut report = Report::new(&faults);
    for (members, no) in rooms.into_iter().flatten().zip(0_u16..) {
        let members: Vec<u32> = serde_json::from_value(members.clone())?;
        check_room(folder, no, &members, &faults, &mut report)?;
    }
    Ok(report)
}

fn check_room(
    folder: &Path,
    no: u16,
    members: &[u32],
    faults: &[Fault],
    report: &mut Report,
) -> io::Result<()> {
    let archive = history::read(&history::of_room(folder, no))?;
    let histories = |client: u32| {
        history::read(&history::of_client(folder, client)).map(|all| of_room(all, no))
    };
    room::check(no, members, &archive, histories, faults, report)
}

fn of_room(mut records: Vec<Record>, room: u16) -> Vec<Record> {
    records.retain(|record| record.room == room);
    records
}
