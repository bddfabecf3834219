//! Looks at SQLite's write-ahead log before SQLite does.
//!
//! SQLite reads it up to the first frame that does not fit and passes over the rest without a word. That is right for
//! what a power failure leaves: an unfinished last transaction. It is wrong for a damaged byte in the middle, which would
//! silently take everything after it away. The two are told apart here: each transaction is flushed before the next
//! begins, so if a frame that does not fit is followed by a whole transaction and the begin of another, it was flushed
//! once, and is damaged now.
//!
//! Format: <https://sqlite.org/fileformat2.html#the_write_ahead_log>, sections 4.1 and 4.2.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use crate::Error;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Version field of every write-ahead log.
const VERSION: u32 = 3_007_000;
const MAGIC: u32 = 0x377f_0682;

/// Damage that SQLite would pass over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// The first frame that does not fit, from 1; 0 for the header.
    pub(super) frame: u64,
    /// Bytes up to the end of the last whole transaction before it.
    pub(super) sound: u64,
}

/// Looks through the write-ahead log at `path`.
///
/// Errors: `Io`. A missing or empty file is in order.
pub(super) fn inspect(path: &Path) -> Result<Option<Damage>, Error> {
    let failed = |error: std::io::Error| Error::Io(format!("reading {}: {error}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    scan(BufReader::with_capacity(1 << 20, file)).map_err(failed)
}

/// What is known while going through the frames.
#[derive(Debug)]
struct Scan {
    salts: [u8; 8],
    big_endian: bool,
    /// The checksum that the next frame continues, if everything so far fits.
    sum: Sum,
    /// Bytes up to the end of the last whole transaction that fits.
    sound: u64,
    /// The first frame that does not fit.
    broken: Option<u64>,
    /// After it a transaction was completed.
    completed: bool,
}

/// The running checksum of a write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum(u32, u32);

fn scan(mut from: impl Read) -> std::io::Result<Option<Damage>> {
    let mut header = [0; HEADER];
    if !fill(&mut from, &mut header)? {
        return Ok(None);
    }
    let Some((mut scan, page)) = Scan::begin(&header) else {
        // A header that was never flushed reads as zeros; then nothing after it was flushed, either.
        let begun = header.iter().any(|byte| *byte != 0) && fill(&mut from, &mut [0; 512])?;
        return Ok(begun.then_some(Damage { frame: 0, sound: 0 }));
    };
    let mut frame = vec![0; FRAME_HEADER + page];
    let mut number = 0;
    while fill(&mut from, &mut frame)? {
        number += 1;
        if scan.frame(number, &frame) {
            let frame = scan.broken.unwrap_or(number);
            return Ok(Some(Damage {
                frame,
                sound: scan.sound,
            }));
        }
    }
    Ok(None)
}

impl Scan {
    /// Reads the header; `None` where it is none: then SQLite would begin a new log.
    fn begin(header: &[u8; HEADER]) -> Option<(Self, usize)> {
        let (magic, page) = (number_at(header, 0)?, number_at(header, 8)?);
        let big_endian = magic & 1 == 1;
        let sum = Sum(0, 0).extend(header.get(..24)?, big_endian);
        let stored = Sum(number_at(header, 24)?, number_at(header, 28)?);
        let fits = magic & !1 == MAGIC && number_at(header, 4)? == VERSION && sum == stored;
        let page = usize::try_from(page)
            .ok()
            .filter(|page| fits && (512..=65536).contains(page))?;
        let salts = header.get(16..24)?.try_into().ok()?;
        let sound = HEADER as u64;
        Some((
            Self {
                salts,
                big_endian,
                sum,
                sound,
                broken: None,
                completed: false,
            },
            page,
        ))
    }

    /// Takes the next frame. Answers whether it shows that an earlier one is damaged.
    fn frame(&mut self, number: u64, frame: &[u8]) -> bool {
        let Some(seen) = Frame::read(frame) else {
            return false;
        };
        let fits =
            seen.salts == self.salts && self.sum.extend_frame(frame, self.big_endian) == seen.sum;
        // Each frame holds the sum up to it, so that a frame fits the one before it even where that one is damaged.
        self.sum = seen.sum;
        if self.broken.is_none() && fits {
            if seen.completes {
                self.sound = HEADER as u64 + number * frame.len() as u64;
            }
            return false;
        }
        let late = self.broken.is_some() && fits;
        if late && self.completed {
            return true;
        }
        self.broken.get_or_insert(number);
        // The damage may be in the very frame that completes a transaction.
        self.completed |= seen.completes && seen.salts == self.salts;
        false
    }
}

/// What a frame says of itself.
struct Frame {
    completes: bool,
    salts: [u8; 8],
    sum: Sum,
}

impl Frame {
    fn read(frame: &[u8]) -> Option<Self> {
        Some(Self {
            completes: number_at(frame, 4)? != 0,
            salts: frame.get(8..16)?.try_into().ok()?,
            sum: Sum(number_at(frame, 16)?, number_at(frame, 20)?),
        })
    }
}

impl Sum {
    fn extend_frame(self, frame: &[u8], big_endian: bool) -> Self {
        let (head, page) = (
            frame.get(..8).unwrap_or_default(),
            frame.get(FRAME_HEADER..).unwrap_or_default(),
        );
        self.extend(head, big_endian).extend(page, big_endian)
    }

    fn extend(self, data: &[u8], big_endian: bool) -> Self {
        let number = |bytes: [u8; 4]| {
            if big_endian {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            }
        };
        let (pairs, _) = data.as_chunks::<8>();
        pairs
            .iter()
            .fold(self, |Self(one, two), [a, b, c, d, e, f, g, h]| {
                let one = one.wrapping_add(number([*a, *b, *c, *d])).wrapping_add(two);
                Self(
                    one,
                    two.wrapping_add(number([*e, *f, *g, *h])).wrapping_add(one),
                )
            })
    }
}

fn number_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?
        .first_chunk()
        .map(|bytes| u32::from_be_bytes(*bytes))
}

/// Reads so many bytes; `false` at the end of the file, an unfinished rest of which does not matter.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    const PAGE: usize = 512;
    const SIZE: usize = FRAME_HEADER + PAGE;

    /// A write-ahead log with a transaction of so many frames each.
    fn wal(transactions: &[usize]) -> Vec<u8> {
        let mut wal = vec![0; HEADER];
        for (at, value) in [
            (0, MAGIC),
            (4, VERSION),
            (8, 512),
            (12, 0),
            (16, 77),
            (20, 88),
        ] {
            wal[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        let mut sum = Sum(0, 0).extend(&wal[..24], false);
        put(&mut wal, 24, sum);
        for (number, frames) in transactions.iter().enumerate() {
            for left in (0..*frames).rev() {
                let mut frame = vec![u8::try_from(number).unwrap() + 1; SIZE];
                frame[4..8].copy_from_slice(&u32::from(left == 0).to_be_bytes());
                frame[8..16].copy_from_slice(&wal[16..24]);
                sum = sum.extend_frame(&frame, false);
                put(&mut frame, 16, sum);
                wal.extend(frame);
            }
        }
        wal
    }

    fn put(to: &mut [u8], at: usize, sum: Sum) {
        to[at..at + 4].copy_from_slice(&sum.0.to_be_bytes());
        to[at + 4..at + 8].copy_from_slice(&sum.1.to_be_bytes());
    }

    fn damage(wal: &[u8]) -> Option<Damage> {
        scan(wal).unwrap()
    }

    #[test]
    fn whole_logs_are_in_order() {
        assert_eq!(damage(&[]), None);
        assert_eq!(damage(&wal(&[])), None);
        assert_eq!(damage(&wal(&[3, 1, 2])), None);
    }

    #[test]
    fn a_torn_end_is_in_order() {
        let whole = wal(&[2, 3]);
        for len in 0..whole.len() {
            assert_eq!(damage(&whole[..len]), None, "cut at {len}");
        }
        // The last transaction was never flushed: any of its frames may be missing.
        for frame in 2..5 {
            let mut torn = whole.clone();
            torn[HEADER + frame * SIZE..HEADER + (frame + 1) * SIZE].fill(0);
            assert_eq!(damage(&torn), None, "without frame {frame}");
        }
    }

    #[test]
    fn damage_in_the_middle_is_found() {
        let whole = wal(&[2, 3, 1, 1]);
        for frame in 0..5_usize {
            for byte in [0, 5, 9, 17, 23, 24, 200, SIZE - 1] {
                let mut damaged = whole.clone();
                damaged[HEADER + frame * SIZE + byte] ^= 1;
                let sound = if frame < 2 { HEADER } else { HEADER + 2 * SIZE };
                let found =
                    damage(&damaged).unwrap_or_else(|| panic!("frame {frame}, byte {byte}"));
                assert!(
                    found.frame == frame as u64 + 1 || (byte == 17 || byte == 23),
                    "{found:?}"
                );
                assert_eq!(found.sound, sound as u64);
            }
        }
    }

    #[test]
    fn a_damaged_header_is_found() {
        let whole = wal(&[2, 3]);
        for byte in 0..HEADER {
            let mut damaged = whole.clone();
            damaged[byte] ^= 4;
            assert_eq!(
                damage(&damaged),
                Some(Damage { frame: 0, sound: 0 }),
                "byte {byte}"
            );
        }
        assert_eq!(damage(&vec![0; 9000]), None);
        assert_eq!(damage(&[1; HEADER]), None);
    }

    #[test]
    fn frames_of_an_earlier_log_do_not_count() {
        let mut reused = wal(&[1, 1]);
        let mut earlier = wal(&[1, 1, 2, 2, 2]);
        for frame in 0..8 {
            earlier[HEADER + frame * SIZE + 8] ^= 0xff;
        }
        reused.extend(&earlier[reused.len()..]);
        assert_eq!(damage(&reused), None);
    }
}
