//! What a client writes down: small records of a fixed size, one file per client.
//!
//! Owns the records, their bytes and the files. 24 bytes each, so that a thousand copies of a message cost 24 KB. What
//! is made of them is `check`'s business.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// Time since the start of the server, in units of 100 microseconds (five days fit).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Ticks(pub(crate) u32);

impl Ticks {
    /// How many are a second.
    pub(crate) const SECOND: i32 = 10_000;

    /// In milliseconds.
    pub(crate) fn millis(self) -> f64 {
        f64::from(self.0) / 10.0
    }

    /// So much later, or earlier if it is negative.
    pub(crate) const fn plus_seconds(self, seconds: i32) -> Self {
        Self(
            self.0
                .saturating_add_signed(seconds.saturating_mul(Self::SECOND)),
        )
    }
}

/// A message that a client of ours has sent: no two share it, in all rooms. 0: none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct MessageNo(pub(crate) u64);

impl MessageNo {
    /// The `n`th message of a client.
    pub(crate) const fn new(client: u32, n: u32) -> Self {
        Self(((client as u64 + 1) << 32) | n as u64)
    }

    /// Who has sent it.
    pub(crate) const fn client(self) -> Option<u32> {
        match self.0 >> 32 {
            0 => None,
            #[expect(clippy::cast_possible_truncation, reason = "32 bits of 64")]
            client => Some((client - 1) as u32),
        }
    }

    /// As the id of a stanza.
    pub(crate) fn id(self) -> String {
        format!("m{:x}", self.0)
    }

    /// The message of a stanza's id.
    pub(crate) fn from_id(id: &str) -> Option<Self> {
        let digits = id.strip_prefix('m')?;
        u64::from_str_radix(digits, 16).ok().map(Self)
    }
}

/// An archive id (XEP-0359), as a number that is as good as unique. 0: none was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct ArchiveNo(pub(crate) u64);

impl ArchiveNo {
    /// FNV-1a of the id's text.
    pub(crate) fn of(id: &str) -> Self {
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(id.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fold))
    }
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident = $number:literal,)*) => {
        /// What has happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Kind {
            $($(#[doc = $doc])* $name = $number,)*
        }

        impl Kind {
            fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Sent a message to the room.
    Sent = 1,
    /// Got a message of the room, with a body.
    Got = 2,
    /// Got an error for its message from the service.
    Refused = 3,
    /// Got an error for its message from its own server: no component was attached.
    Bounced = 4,
    /// Its message went into an empty slot.
    Swallowed = 5,
    /// Got its own presence: it is in the room.
    Here = 6,
    /// Was told that it is not in the room any more.
    Gone = 7,
    /// Was told, after everybody had joined, that another is in the room.
    OtherHere = 8,
    /// Was told that another has left.
    OtherGone = 9,
    /// Asked the service whether it is still in (XEP-0410).
    Asked = 10,
    /// Got the answer; without a condition it is yes.
    Answered = 11,
    /// An entry of the archive, read at the end.
    Archived = 12,
}

/// Conditions of stanza errors (RFC 6120 §8.3.3), in the order of their codes.
const CONDITIONS: [&str; 23] = [
    "", // none
    "unknown",
    "bad-request",
    "conflict",
    "feature-not-implemented",
    "forbidden",
    "gone",
    "internal-server-error",
    "item-not-found",
    "jid-malformed",
    "not-acceptable",
    "not-allowed",
    "not-authorized",
    "policy-violation",
    "recipient-unavailable",
    "redirect",
    "registration-required",
    "remote-server-not-found",
    "remote-server-timeout",
    "resource-constraint",
    "service-unavailable",
    "subscription-required",
    "unexpected-request",
];

/// The condition of a stanza error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Condition(u8);

impl Condition {
    /// No error.
    pub(crate) const NONE: Self = Self(0);

    /// The condition that an error stanza names.
    pub(crate) fn of(stanza: &[u8]) -> Self {
        let named = |name: &&str| crate::tag::has(stanza, &format!("<{name} "));
        let found = CONDITIONS.iter().skip(2).position(named);
        Self(found.and_then(|at| u8::try_from(at + 2).ok()).unwrap_or(1))
    }

    /// The condition of that name.
    pub(crate) fn named(name: &str) -> Self {
        let found = CONDITIONS.iter().position(|known| *known == name);
        Self(found.and_then(|at| u8::try_from(at).ok()).unwrap_or(1))
    }

    /// Its name; nothing for none.
    pub(crate) fn name(self) -> &'static str {
        CONDITIONS
            .get(usize::from(self.0))
            .copied()
            .unwrap_or("unknown")
    }
}

/// One line of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// What.
    pub(crate) kind: Kind,
    /// Of errors.
    pub(crate) condition: Condition,
    /// In which room.
    pub(crate) room: u16,
    /// When.
    pub(crate) at: Ticks,
    /// Of messages: which; of others' presences: whose.
    pub(crate) message: MessageNo,
    /// Of messages that came from the room.
    pub(crate) archive: ArchiveNo,
}

/// Bytes of a record.
const RECORD_BYTES: usize = 24;

impl Record {
    /// A record without message.
    pub(crate) const fn new(kind: Kind, room: u16, at: Ticks) -> Self {
        Self {
            kind,
            condition: Condition::NONE,
            room,
            at,
            message: MessageNo(0),
            archive: ArchiveNo(0),
        }
    }

    fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        let parts = [self.kind as u8, self.condition.0].into_iter();
        let parts = parts
            .chain(self.room.to_le_bytes())
            .chain(self.at.0.to_le_bytes());
        let parts = parts
            .chain(self.message.0.to_le_bytes())
            .chain(self.archive.0.to_le_bytes());
        for (byte, part) in bytes.iter_mut().zip(parts) {
            *byte = part;
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let number = |from: usize, to: usize| {
            let part = bytes.get(from..to).unwrap_or_default();
            part.iter()
                .rev()
                .fold(0_u64, |n, byte| (n << 8) | u64::from(*byte))
        };
        Some(Self {
            kind: Kind::from_byte(u8::try_from(number(0, 1)).ok()?)?,
            condition: Condition(u8::try_from(number(1, 2)).ok()?),
            room: u16::try_from(number(2, 4)).ok()?,
            at: Ticks(u32::try_from(number(4, 8)).ok()?),
            message: MessageNo(number(8, 16)),
            archive: ArchiveNo(number(16, 24)),
        })
    }
}

/// Bytes that are collected before they are written to the file.
const CHUNK_BYTES: usize = 8 * 1024;

/// A history that is being written.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    waiting: Vec<u8>,
}

impl Writer {
    /// A history in that file, which is made when there is something to write.
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self {
            path,
            waiting: Vec::new(),
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn add(&mut self, record: Record) -> io::Result<()> {
        self.waiting.extend_from_slice(&record.to_bytes());
        if self.waiting.len() < CHUNK_BYTES {
            return Ok(());
        }
        self.flush()
    }

    /// Writes what is waiting. The file is opened for that alone: there are more histories than open files.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        file.write_all(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

/// The records of a file, in order; none if there is no file.
///
/// # Errors
///
/// The file cannot be read, or has something else in it.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Record>> {
    let mut input = match File::open(path) {
        Ok(file) => BufReader::with_capacity(1 << 16, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let (mut records, mut bytes) = (Vec::new(), [0; RECORD_BYTES]);
    loop {
        match input.read_exact(&mut bytes) {
            Ok(()) => records.push(Record::from_bytes(&bytes).ok_or_else(|| broken(path))?),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(records),
            Err(error) => return Err(error),
        }
    }
}

fn broken(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{} is no history", path.display()),
    )
}

/// The file of a client's history in a folder.
pub(crate) fn of_client(folder: &Path, client: u32) -> PathBuf {
    folder.join(format!("client-{client:05}.bin"))
}

/// The file of a room's archive in a folder.
pub(crate) fn of_room(folder: &Path, room: u16) -> PathBuf {
    folder.join(format!("archive-{room:05}.bin"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn records_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = of_client(folder.path(), 7);
        let record = Record {
            kind: Kind::Refused,
            condition: Condition::named("remote-server-timeout"),
            room: 513,
            at: Ticks(70_000_001),
            message: MessageNo::new(1999, 70_000),
            archive: ArchiveNo::of("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        };
        let mut writer = Writer::new(path.clone());
        let here = Record::new(Kind::Here, 0, Ticks(1));
        for _ in 0..1000 {
            writer.add(record).unwrap();
        }
        writer.add(here).unwrap();
        writer.flush().unwrap();
        let read = read(&path).unwrap();
        assert_eq!(
            (read.len(), read.first(), read.last()),
            (1001, Some(&record), Some(&here))
        );
    }

    #[test]
    fn messages_are_known_by_their_ids() {
        let message = MessageNo::new(12, 34);
        assert_eq!(MessageNo::from_id(&message.id()), Some(message));
        assert_eq!((message.client(), MessageNo(0).client()), (Some(12), None));
        assert_eq!(MessageNo::from_id("coven-probe-1"), None);
    }

    #[test]
    fn conditions_are_read_from_errors() {
        let error = b"<message type='error'><error type='wait'><remote-server-timeout xmlns='x'/></error></message>";
        assert_eq!(Condition::of(error).name(), "remote-server-timeout");
        assert_eq!(Condition::of(b"<message/>").name(), "unknown");
        assert_eq!(Condition::NONE.name(), "");
    }
}
