//! Archive ids: encrypted places. What is archived at all (MUC-MAM-04, 06, 07; design §7).
//!
//! An id is one AES-128 block over (48-bit stamp in ms, 56-bit sequence, 24 random bits), under a key derived from the
//! channel's. It says nothing to outsiders, decodes to a place without an index, and stays unique when a sequence is
//! used again.

use crate::command::Traits;
use crate::ids::{ArchiveId, ChannelKey, Sequence, Timestamp};
use aes::Aes128;
use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

/// Where an entry stands in its channel's archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When.
    pub stamp: Timestamp,
    /// Which event.
    pub sequence: Sequence,
}

/// Makes and reads the archive ids of one channel. Cheap to keep: the key, not the cipher made of it.
#[derive(Clone, Copy)]
pub struct Ids([u8; 16]);

impl std::fmt::Debug for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ids(..)")
    }
}

impl Ids {
    /// Those of the channel with this key.
    #[must_use]
    pub fn new(key: &ChannelKey) -> Self {
        let mac = key.mac(b"archive id");
        let mut half = [0u8; 16];
        half.copy_from_slice(mac.split_at(16).0);
        Self(half)
    }

    /// The id of a place.
    #[must_use]
    pub fn encode(&self, place: Place, salt: [u8; 3]) -> ArchiveId {
        let [_, _, stamp @ ..] = place.stamp.0.to_be_bytes();
        let [_, sequence @ ..] = place.sequence.0.to_be_bytes();
        let mut bytes = [0u8; 16];
        for (slot, byte) in bytes
            .iter_mut()
            .zip(stamp.into_iter().chain(sequence).chain(salt))
        {
            *slot = byte;
        }
        let mut block = Block::<Aes128>::from(bytes);
        self.cipher().encrypt_block(&mut block);
        ArchiveId(block.into())
    }

    /// The place that an id names. Any id names some place: the store tells whether an entry is there, and the entry
    /// whether its id is this one.
    #[must_use]
    pub fn decode(&self, id: ArchiveId) -> Place {
        let mut block = Block::<Aes128>::from(id.0);
        self.cipher().decrypt_block(&mut block);
        let bytes: [u8; 16] = block.into();
        let number = |range: &[u8]| range.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        let (stamp, rest) = bytes.split_at(6);
        let stamp = Timestamp(i64::try_from(number(stamp)).unwrap_or_default());
        Place {
            stamp,
            sequence: Sequence(number(rest.split_at(7).0)),
        }
    }

    fn cipher(&self) -> Aes128 {
        Aes128::new(&self.0.into())
    }
}

/// Whether a message with these traits is kept. Source: MUC-MAM-06, 07; MIX-MAM-01.
#[must_use]
pub const fn is_kept(traits: Traits) -> bool {
    if traits.any(Traits::RETRACTION) {
        return true;
    }
    let worth = Traits::BODY
        .with(Traits::STORE)
        .with(Traits::ENCRYPTED)
        .with(Traits::MARKER)
        .with(Traits::CORRECTION);
    !traits.any(Traits::NO_STORE) && traits.any(worth)
}

/// Whether a kept message is part of the history on joining. Source: MUC-HIST-10, 11.
#[must_use]
pub const fn is_history(traits: Traits) -> bool {
    traits.any(Traits::RETRACTION)
        || (!traits.any(Traits::NO_STORE) && traits.any(Traits::BODY.with(Traits::STORE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn muc_mam_04_ids_decode_to_their_place_and_differ_by_salt_and_channel() {
        let (ids, other) = (
            Ids::new(&ChannelKey([3; 32])),
            Ids::new(&ChannelKey([4; 32])),
        );
        let place = Place {
            stamp: Timestamp(1_800_000_000_123),
            sequence: Sequence(77),
        };
        let id = ids.encode(place, [1, 2, 3]);
        assert_eq!(ids.decode(id), place);
        assert_ne!(id, ids.encode(place, [1, 2, 4]));
        assert_ne!(other.decode(id), place);
    }

    #[test]
    fn muc_mam_07_what_is_kept() {
        assert!(is_kept(Traits::BODY));
        assert!(!is_kept(Traits::default()));
        assert!(!is_kept(Traits::BODY.with(Traits::NO_STORE)));
        assert!(is_kept(Traits::RETRACTION.with(Traits::NO_STORE)));
        assert!(is_kept(Traits::ENCRYPTED));
        assert!(is_kept(Traits::MARKER));
    }

    #[test]
    fn muc_hist_10_markers_and_states_are_no_history() {
        assert!(is_history(Traits::BODY));
        assert!(!is_history(Traits::MARKER));
        assert!(!is_history(Traits::ENCRYPTED.with(Traits::NO_STORE)));
    }
}
