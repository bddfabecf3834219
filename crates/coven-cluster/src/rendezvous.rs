//! Rendezvous hashing: who of several is first choice for a thing (design §5.2).
//!
//! Each pair of thing and candidate has a score, and the highest wins: one candidate more or less moves only what it wins
//! or had. A candidate of weight w has w scores, of which the best counts: exactly w shares. The scores never change from
//! version to version, since processes of several versions have to agree (vectors in the tests).

use crate::ProcessId;

/// More than this counts as this.
pub const MAX_WEIGHT: u32 = 64;

/// Somebody who may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// Who.
    pub process: ProcessId,
    /// Its share; 0 is never chosen.
    pub weight: u32,
}

/// What a thing is hashed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thing(u64);

impl Thing {
    /// A thing with a number.
    #[must_use]
    pub const fn number(number: u16) -> Self {
        Self(mix(number as u64 ^ 0x5eed_0000_0000_0001))
    }

    /// A thing with a name.
    #[must_use]
    pub fn name(name: &str) -> Self {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(mix(name.bytes().fold(0xcbf2_9ce4_8422_2325, step)))
    }
}

/// The score of a candidate; `None` for one that is never chosen. The process breaks ties.
#[must_use]
pub fn score(thing: Thing, candidate: Candidate) -> Option<(u64, ProcessId)> {
    let id = candidate.process.0;
    let (high, low) = ((id >> 64) as u64, id as u64);
    let seed = mix(mix(thing.0 ^ high).wrapping_add(low));
    (0..candidate.weight.min(MAX_WEIGHT))
        .map(|share| mix(seed.wrapping_add(mix(u64::from(share)))))
        .max()
        .map(|score| (score, candidate.process))
}

/// The candidates for a thing, first choice first.
#[must_use]
pub fn ranking(thing: Thing, candidates: &[Candidate]) -> Vec<ProcessId> {
    let mut scores: Vec<_> = candidates
        .iter()
        .filter_map(|candidate| score(thing, *candidate))
        .collect();
    scores.sort_unstable_by(|a, b| b.cmp(a));
    scores.into_iter().map(|(_, process)| process).collect()
}

/// Spreads what differs in few bits (the finaliser of SplitMix64).
const fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
