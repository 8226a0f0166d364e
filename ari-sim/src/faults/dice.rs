//! Chance that comes out the same for the same seed.

/// A generator of pseudorandom numbers (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether something of this probability happens; what is certain takes no number.
    pub(crate) fn happens(&mut self, probability: Option<f64>) -> bool {
        let Some(probability) = probability else {
            return true;
        };
        // 32 bits are exact as a floating point number.
        let drawn = u32::try_from(self.roll() >> 32).unwrap_or(u32::MAX);
        f64::from(drawn) / 4_294_967_296.0 < probability
    }

    /// Puts items into another order: where there are two or more, never into the same.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        // Sattolo's algorithm: every item leaves its place.
        for last in (1..items.len()).rev() {
            let bound = u64::try_from(last).unwrap_or(u64::MAX);
            let other = usize::try_from(self.roll() % bound).unwrap_or(0);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same() {
        let draws = |seed| {
            let mut dice = Dice::new(seed);
            (0..64).map(|_| dice.happens(Some(0.5))).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        let mut dice = Dice::new(1);
        assert!((0..100).all(|_| dice.happens(None) && dice.happens(Some(1.0))));
        assert!((0..100).all(|_| !dice.happens(Some(0.0))));
        let hits = (0..10_000).filter(|_| dice.happens(Some(0.1))).count();
        assert!((800..1_200).contains(&hits), "{hits}");
    }

    #[test]
    fn nothing_stays_where_it_is() {
        for seed in 0..50 {
            let mut items = [0, 1, 2, 3, 4];
            Dice::new(seed).shuffle(&mut items);
            assert!(items.iter().enumerate().all(|(place, item)| place != *item));
            let mut sorted = items;
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
        }
        Dice::new(1).shuffle::<u8>(&mut []);
        Dice::new(1).shuffle(&mut [1]);
    }
}
