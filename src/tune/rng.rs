//! Random numbers of the training and of the evaluation: ChaCha8 keyed by the seed (`seed_from_u64`), a stream of its own for each purpose, so that a
//! change in one does not move the others. Equal seeds give equal runs on one machine.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// What numbers are drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Which objects are the shots.
    Shots = 0,
    /// Weights at the start.
    Weights = 1,
    /// Which shots are held out together.
    Folds = 2,
    /// Which samples are trained without context.
    Context = 3,
    /// Which pictures a bootstrap draws.
    Bootstrap = 4,
    /// How boxes are moved, and which are dropped.
    Disturbance = 5,
    /// The context network's weights at the start.
    ContextNet = 6,
    /// Which classes are held out together.
    Classes = 7,
}

/// One stream of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Rng(ChaCha8Rng);

impl Rng {
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose as u64);
        Self(rng)
    }

    /// Uniform in `0.0..1.0`, 24 bits.
    pub(crate) fn unit(&mut self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "24 bits fit a float")]
        let bits = (self.0.next_u32() >> 8) as f32;
        bits / 16_777_216.0
    }

    /// Uniform in `0..bound`, which is above 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        // The first values that would make some remainders more frequent are drawn again.
        let least = bound.wrapping_neg() % bound;
        loop {
            let drawn = self.0.next_u64();
            if drawn >= least {
                return usize::try_from(drawn % bound).expect("it is below a usize");
            }
        }
    }

    /// Every order is as likely as any other.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_purposes_differ() {
        let draw = |seed, purpose| {
            let mut order: Vec<u32> = (0..50).collect();
            Rng::new(seed, purpose).shuffle(&mut order);
            order
        };
        assert_eq!(draw(3, Purpose::Shots), draw(3, Purpose::Shots));
        assert_ne!(draw(3, Purpose::Shots), draw(4, Purpose::Shots));
        assert_ne!(draw(3, Purpose::Shots), draw(3, Purpose::Folds));
        let mut sorted = draw(3, Purpose::Shots);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn places_are_evenly_taken() {
        let mut rng = Rng::new(1, Purpose::Weights);
        let mut first = [0_u32; 4];
        for _ in 0..4000 {
            let mut items = [0, 1, 2, 3];
            rng.shuffle(&mut items);
            first[items[0]] += 1;
        }
        assert!(first.iter().all(|count| (850..1150).contains(count)), "{first:?}");
        let mean = (0..4000).map(|_| rng.unit()).sum::<f32>() / 4000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
