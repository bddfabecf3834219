//! Numbers and names that identify things: people, sessions, events, channels, archive entries.
//!
//! Owns the forms and their text; where they are assigned is said at each. Next: [`crate::event`].

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use smol_str::SmolStr;
use std::fmt;

/// A person of one channel, by a number that is never used again in that channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PersonNo(pub u32);

/// A session of one channel, by a number that is never used again in that channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionNo(pub u32);

/// The number of a committed event of a channel: from 1, without gaps. 0 stands before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The number of an ownership of a shard; each new owner gets a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time plus `ms` milliseconds.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// The name of a channel: its space and its normalised localpart. Never holds a domain of a view.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName {
    /// What channel names live in; one domain or a mirrored pair.
    pub space: SmolStr,
    /// Localpart after nodeprep.
    pub local: SmolStr,
}

/// The secret of a channel, drawn in its created event: stable ids and archive ids come from it. Dies with the channel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChannelKey(pub [u8; 32]);

impl fmt::Debug for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelKey(..)")
    }
}

impl ChannelKey {
    /// The key that generated resources come from (MIX-ANON-08). No JID begins with NUL, so it is nobody's stable id.
    #[must_use]
    pub fn of_resources(&self) -> Self {
        Self(self.mac(b"\0resources"))
    }

    /// HMAC-SHA-256 of `data` under this key.
    #[must_use]
    pub fn mac(&self, data: &[u8]) -> [u8; 32] {
        #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(data);
        mac.finalize().into_bytes().into()
    }
}

/// The stable id of a person in one channel: XEP-0421 occupant-id and MIX participant id (MAP-09).
///
/// HMAC-SHA-256(key of the channel, bare JID), first 160 bits. Source: MUC-OCCID-04, 05; MIX-PART-03..06.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StableId(pub [u8; 20]);

impl StableId {
    /// The id of `bare` (normalised bare JID) in the channel with this key.
    #[must_use]
    pub fn of(key: &ChannelKey, bare: &str) -> Self {
        let mac = key.mac(bare.as_bytes());
        let mut id = [0; 20];
        id.copy_from_slice(mac.split_at(20).0);
        Self(id)
    }

    /// Reads the text form, 32 characters of lower-case base32; `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        base32_decode::<20>(text).map(Self)
    }

    /// The text form, as [`Self::parse`] reads it.
    #[must_use]
    pub fn text(&self) -> IdText {
        IdText::of(&self.0)
    }
}

impl fmt::Display for StableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl fmt::Debug for StableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StableId({self})")
    }
}

/// The id of an archive entry: an encrypted place, 26 characters of base32 (see [`crate::content::archive`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveId(pub [u8; 16]);

impl ArchiveId {
    /// Reads the text form; `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        base32_decode::<16>(text).map(Self)
    }

    /// The text form, as [`Self::parse`] reads it.
    #[must_use]
    pub fn text(&self) -> IdText {
        IdText::of(&self.0)
    }
}

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl fmt::Debug for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArchiveId({self})")
    }
}

/// What the bounce of a probe brings back: a proof, under the channel's key, of the session that was asked and of when it
/// had last shown that it is there (see [`crate::presence::ghost`]; MUC-LEAVE-12).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeMark(pub [u8; 16]);

impl ProbeMark {
    /// The mark of a probe of the session of this number, last updated at this sequence.
    #[must_use]
    pub fn of(key: &ChannelKey, session: SessionNo, updated: Sequence) -> Self {
        let asked = format!("\0probe\0{}\0{}", session.0, updated.0);
        let mut mark = [0; 16];
        mark.copy_from_slice(key.mac(asked.as_bytes()).split_at(16).0);
        Self(mark)
    }

    /// Reads the text form, 26 characters of lower-case base32; `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        base32_decode::<16>(text).map(Self)
    }
}

impl fmt::Display for ProbeMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(IdText::of(&self.0).as_str())
    }
}

impl fmt::Debug for ProbeMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProbeMark({self})")
    }
}

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The text form of an id: RFC 4648 base32 in lower case, without padding.
#[derive(Debug, Clone, Copy)]
pub struct IdText {
    text: [u8; 32],
    len: usize,
}

impl IdText {
    /// Of at most 20 bytes.
    fn of(bytes: &[u8]) -> Self {
        let mut text = [0; 32];
        for (five, eight) in bytes.chunks(5).zip(text.chunks_mut(8)) {
            let mut group = [0; 8];
            for (slot, byte) in group.iter_mut().skip(3).zip(five) {
                *slot = *byte;
            }
            let bits = u64::from_be_bytes(group);
            for (slot, place) in eight.iter_mut().zip((0..40).step_by(5).rev()) {
                let letter = ALPHABET.get((bits >> place & 31) as usize);
                *slot = letter.copied().unwrap_or_default();
            }
        }
        let len = (bytes.len() * 8).div_ceil(5).min(text.len());
        Self { text, len }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.text.get(..self.len).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

fn base32_decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != (N * 8).div_ceil(5) {
        return None;
    }
    let mut out = [0u8; N];
    let (mut bits, mut held, mut at) = (0u32, 0u32, 0);
    for c in text.bytes() {
        let value = match c {
            b'a'..=b'z' => c - b'a',
            b'2'..=b'7' => c - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5) | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            *out.get_mut(at)? = (bits >> held) as u8;
            at += 1;
            bits &= (1 << held) - 1;
        }
    }
    (at == N && bits == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_rfc_4648_says() {
        let vectors = [
            "",
            "my",
            "mzxq",
            "mzxw6",
            "mzxw6yq",
            "mzxw6ytb",
            "mzxw6ytboi",
        ];
        for (len, text) in vectors.into_iter().enumerate() {
            assert_eq!(IdText::of(b"foobar".split_at(len).0).as_str(), text);
        }
    }

    #[test]
    // covers: MIX-PART-04
    fn mix_part_03_04_stable_id_is_32_lower_case_letters_and_digits() {
        let id = StableId::of(&ChannelKey([7; 32]), "hag66@shakespeare.example");
        let text = id.to_string();
        assert_eq!(text.len(), 32);
        assert!(
            text.bytes()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        );
        assert_eq!(StableId::parse(&text), Some(id));
    }

    #[test]
    // covers: MUC-OCCID-05
    fn muc_occid_04_05_map_09_id_depends_on_channel_key_and_bare_jid_only() {
        let (a, b) = (ChannelKey([1; 32]), ChannelKey([2; 32]));
        assert_eq!(StableId::of(&a, "x@y"), StableId::of(&a, "x@y"));
        assert_ne!(StableId::of(&a, "x@y"), StableId::of(&b, "x@y"));
        assert_ne!(StableId::of(&a, "x@y"), StableId::of(&a, "z@y"));
    }

    #[test]
    fn archive_id_text_round_trips_and_rejects_anything_else() {
        let id = ArchiveId([0xfe; 16]);
        assert_eq!(id.to_string().len(), 26);
        assert_eq!(ArchiveId::parse(&id.to_string()), Some(id));
        for bad in [
            "",
            "a",
            "AAAAAAAAAAAAAAAAAAAAAAAAAA",
            "77777777777777777777777777",
        ] {
            assert_eq!(ArchiveId::parse(bad), None, "{bad}");
        }
    }
}
