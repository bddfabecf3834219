//! The bytes of stored blobs: numbers, strings, and the seal around them.
//!
//! A sealed blob is a CRC-32, a format byte and the body. The checksum also covers the blob's table and row, so that
//! one that sits in the wrong row is noticed. What is in a body is said where it is written: `log`, `page`, `row`.

use std::fmt;

use bytes::Bytes;
use smol_str::SmolStr;

use crate::{ChannelKey, Error};

/// The tables with sealed blobs. The numbers go into checksums: never change one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Log = 1,
    Channels = 2,
    Snapshots = 3,
    Pages = 4,
    Shards = 5,
    Directory = 6,
    Meta = 7,
    Held = 8,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "log",
            Self::Channels => "channels",
            Self::Snapshots => "snapshots",
            Self::Pages => "pages",
            Self::Shards => "shards",
            Self::Directory => "directory",
            Self::Meta => "meta",
            Self::Held => "held",
        })
    }
}

/// Format of all bodies that this version writes.
const FORMAT: u8 = 1;
/// Checksum and format byte.
const HEADER: usize = 5;

/// Writes a body, with room for its seal in front.
#[derive(Debug)]
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    pub(crate) fn new() -> Self {
        Self::with_capacity(256)
    }

    pub(crate) fn with_capacity(body: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER + body);
        bytes.extend_from_slice(&[0, 0, 0, 0, FORMAT]);
        Self(bytes)
    }

    /// Bytes written so far, counted from the start of the sealed blob.
    pub(crate) const fn position(&self) -> usize {
        self.0.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.len() == HEADER
    }

    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    pub(crate) fn count(&mut self, value: usize) {
        self.number(value as u64);
    }

    /// A number or none: 0 is none, else the number plus one.
    pub(crate) fn optional(&mut self, value: Option<u64>) {
        match value {
            None => self.byte(0),
            Some(value) => {
                self.byte(1);
                self.number(value);
            }
        }
    }

    pub(crate) fn wide(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn fixed(&mut self, value: &[u8]) {
        self.0.extend_from_slice(value);
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.fixed(value);
    }

    pub(crate) fn key(&mut self, key: &ChannelKey) {
        self.bytes(key.space.as_bytes());
        self.bytes(key.local.as_bytes());
    }

    /// Puts the seal for `row` of `table` on it.
    pub(crate) fn seal(mut self, table: Table, row: i64) -> Vec<u8> {
        if let Some((head, body)) = self.0.split_first_chunk_mut::<4>() {
            *head = checksum(table, row, body).to_le_bytes();
        }
        self.0
    }
}

/// Why a body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Reads a body. Byte strings come out as slices of the blob, without copying.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    blob: &'a Bytes,
    at: usize,
}

impl<'a> Decoder<'a> {
    /// Continues at `position` of a blob whose seal was checked.
    pub(crate) const fn at(blob: &'a Bytes, position: usize) -> Self {
        Self { blob, at: position }
    }

    /// Checks the seal of the blob in `row` of `table`.
    ///
    /// Errors: `Corrupt`, naming the table, the row and what is wrong; `Unfit` for a format of a newer version.
    pub(crate) fn open(table: Table, row: i64, blob: &'a Bytes) -> Result<Self, Error> {
        let Some((head, body)) = blob.split_first_chunk::<4>() else {
            return Err(corrupt(table, row, Malformed("too short")));
        };
        if u32::from_le_bytes(*head) != checksum(table, row, body) {
            return Err(corrupt(
                table,
                row,
                Malformed("the checksum does not match"),
            ));
        }
        match body.first() {
            Some(&FORMAT) => Ok(Self { blob, at: HEADER }),
            Some(format) => Err(Error::Unfit(format!(
                "row {row} of table {table} has format {format}, newer than known"
            ))),
            None => Err(corrupt(table, row, Malformed("too short"))),
        }
    }

    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.at >= self.blob.len()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = *self
            .blob
            .get(self.at)
            .ok_or(Malformed("it ends too early"))?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed("a number is too long"))
    }

    pub(crate) fn count(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.number()?).map_err(|_| Malformed("a count is too large"))
    }

    pub(crate) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Malformed> {
        T::try_from(self.number()?).map_err(|_| Malformed("a number is too large"))
    }

    pub(crate) fn optional(&mut self) -> Result<Option<u64>, Malformed> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.number().map(Some),
            _ => Err(Malformed("neither there nor not")),
        }
    }

    pub(crate) fn wide(&mut self) -> Result<u128, Malformed> {
        self.array().map(u128::from_le_bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let rest = self.blob.get(self.at..).unwrap_or_default();
        let array = rest
            .first_chunk::<N>()
            .ok_or(Malformed("it ends too early"))?;
        self.at += N;
        Ok(*array)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let range = self.range()?;
        Ok(self.blob.slice(range))
    }

    pub(crate) fn text(&mut self) -> Result<SmolStr, Malformed> {
        let range = self.range()?;
        let text = std::str::from_utf8(self.blob.get(range).unwrap_or_default());
        text.map(SmolStr::new)
            .map_err(|_| Malformed("a text is not UTF-8"))
    }

    pub(crate) fn key(&mut self) -> Result<ChannelKey, Malformed> {
        Ok(ChannelKey {
            space: self.text()?,
            local: self.text()?,
        })
    }

    /// Passes over a byte string.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        self.range().map(|_| ())
    }

    fn range(&mut self) -> Result<std::ops::Range<usize>, Malformed> {
        let len = self.count()?;
        let end = self
            .at
            .checked_add(len)
            .filter(|end| *end <= self.blob.len());
        let range = self.at..end.ok_or(Malformed("it ends too early"))?;
        self.at = range.end;
        Ok(range)
    }
}

/// The error for a blob that cannot be read.
pub(crate) fn corrupt(table: Table, row: i64, why: Malformed) -> Error {
    Error::Corrupt(format!("row {row} of table {table}: {}", why.0))
}

fn checksum(table: Table, row: i64, rest: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&[table as u8]);
    sum.update(&row.to_le_bytes());
    sum.update(rest);
    sum.finalize()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn sample() -> Vec<u8> {
        let mut encoder = Encoder::new();
        for number in [0, 1, 127, 128, 300, u64::MAX] {
            encoder.number(number);
        }
        encoder.optional(None);
        encoder.optional(Some(7));
        encoder.wide(u128::MAX - 1);
        encoder.key(&ChannelKey::new("chat.example", "coven"));
        encoder.bytes(b"record");
        encoder.seal(Table::Log, 3)
    }

    #[test]
    fn what_is_written_is_read() {
        let blob = Bytes::from(sample());
        let mut decoder = Decoder::open(Table::Log, 3, &blob).unwrap();
        for number in [0, 1, 127, 128, 300, u64::MAX] {
            assert_eq!(decoder.number(), Ok(number));
        }
        assert_eq!(decoder.optional(), Ok(None));
        assert_eq!(decoder.optional(), Ok(Some(7)));
        assert_eq!(decoder.wide(), Ok(u128::MAX - 1));
        assert_eq!(decoder.key(), Ok(ChannelKey::new("chat.example", "coven")));
        assert_eq!(decoder.bytes(), Ok(Bytes::from_static(b"record")));
        assert!(decoder.is_at_end());
        assert_eq!(decoder.byte(), Err(Malformed("it ends too early")));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let blob = sample();
        for bit in 0..blob.len() * 8 {
            let mut damaged = blob.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Decoder::open(Table::Log, 3, &Bytes::from(damaged)).is_err(),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_blob_in_the_wrong_row_is_noticed() {
        let blob = Bytes::from(sample());
        assert!(Decoder::open(Table::Log, 4, &blob).is_err());
        assert!(Decoder::open(Table::Pages, 3, &blob).is_err());
    }

    #[test]
    fn lengths_beyond_the_end_are_refused() {
        let mut encoder = Encoder::new();
        encoder.number(u64::MAX);
        let blob = Bytes::from(encoder.seal(Table::Log, 1));
        assert!(
            Decoder::open(Table::Log, 1, &blob)
                .unwrap()
                .bytes()
                .is_err()
        );
    }
}
