//! A stream of values from a seed (splitmix64).

use bytes::Bytes;
use smol_str::{SmolStr, format_smolstr};

/// The state.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number; small and extreme ones often.
    pub(crate) fn next(&mut self) -> u64 {
        let number = self.raw();
        match self.raw() % 5 {
            0 => number % 3,
            1 => u64::MAX - number % 3,
            _ => number,
        }
    }

    fn raw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Also one that fits.
    pub(crate) fn small(&mut self) -> u32 {
        self.next() as u32
    }

    /// Also a negative one.
    pub(crate) fn signed(&mut self) -> i64 {
        self.next() as i64
    }

    /// Either.
    pub(crate) fn flip(&mut self) -> bool {
        self.raw().is_multiple_of(2)
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.raw() as usize % all.len()]
    }

    /// Perhaps one.
    pub(crate) fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flip().then(|| make(self))
    }

    /// None to three.
    pub(crate) fn some<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.raw() % 4).map(|_| make(self)).collect()
    }

    /// Text: empty, long, not only of ASCII.
    pub(crate) fn text(&mut self) -> SmolStr {
        match self.raw() % 4 {
            0 => SmolStr::default(),
            1 => format_smolstr!("é<&>'🤖{}", self.raw()),
            2 => "x".repeat((self.raw() % 300) as usize).into(),
            _ => format_smolstr!("t{}", self.raw() % 100),
        }
    }

    /// Bytes that need not be text.
    pub(crate) fn payload(&mut self) -> Bytes {
        (0..self.raw() % 40).map(|_| self.raw() as u8).collect()
    }

    /// So many bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.raw() as u8)
    }
}
