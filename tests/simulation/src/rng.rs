//! Numbers from a seed (SplitMix64): the same in every version, so that a seed stays what it was.

/// A source of numbers.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another source, which draws nothing from this one afterwards.
    pub fn split(&mut self) -> Self {
        Self(self.draw())
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `from..to`; `from` if there is none.
    pub fn range(&mut self, from: u64, to: u64) -> u64 {
        from + self.draw() % to.saturating_sub(from).max(1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.range(0, 100) < percent
    }

    /// Mostly small: a tenth of the draws reaches far.
    pub fn skewed(&mut self, usual: u64, most: u64) -> u64 {
        let to = if self.percent(10) { most } else { usual };
        self.range(0, to)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let at = self.range(0, of.len() as u64) as usize;
        of.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn a_seed_stays_what_it_was() {
        let mut rng = Rng::new(1);
        assert_eq!(rng.draw(), 0x910a_2dec_8902_5cc1);
        assert!((5..7).contains(&rng.range(5, 7)));
    }
}
