//! Random numbers that are the same on every machine and can be had for any name without drawing the ones before.

use crate::colour::{PALETTE, Rgb};

/// A SplitMix64 generator (Steele, Lea, Flood 2014). Cheap enough to make a new one for each slot of the world.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The generator of this name: equal names give equal numbers.
    #[must_use]
    pub fn of(name: &[u64]) -> Self {
        let mut random = Self { state: 0x5eed };
        for &part in name {
            random.state ^= part;
            random.state = random.bits();
        }
        random
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Uniform between two values.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + self.unit() * (high - low)
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// One of 0..n; 0 where n is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((f64::from(self.unit()) * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// One of −1 and 1.
    pub fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// One of a list that is not empty.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// An index, each as likely as its weight says; `None` where no weight is above zero.
    pub fn weighted(&mut self, weights: impl Iterator<Item = f32> + Clone) -> Option<usize> {
        let mut left = self.unit() * weights.clone().sum::<f32>();
        let mut last = None;
        for (index, weight) in weights.enumerate().filter(|&(_, weight)| weight > 0.0) {
            last = Some(index);
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        last
    }

    /// Normal with mean 0 and deviation 1, to three deviations (the sum of four uniforms).
    pub fn normal(&mut self) -> f32 {
        (0..4).map(|_| self.unit() - 0.5).sum::<f32>() * 3f32.sqrt()
    }

    /// A colour near this one.
    pub fn near(&mut self, colour: Rgb, spread: f32) -> Rgb {
        let mut moved = |channel: f32| (channel + self.range(-spread, spread)).clamp(0.0, 255.0);
        Rgb { r: moved(colour.r), g: moved(colour.g), b: moved(colour.b) }
    }

    /// A colour of the palette, with its name, a little varied.
    pub fn paint(&mut self, names: &[&str]) -> (&'static str, Rgb) {
        let wanted = self.pick(names);
        let (name, colour) = PALETTE.into_iter().find(|&(name, _)| name == wanted).expect("a colour name of this crate is in the palette");
        (name, self.near(colour, 14.0))
    }

    /// Any colour of the palette.
    pub fn any_paint(&mut self) -> (&'static str, Rgb) {
        let (name, colour) = self.pick(&PALETTE);
        (name, self.near(colour, 14.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_always_gives_the_same_numbers_and_another_name_others() {
        let draw = |name: &[u64]| Random::of(name).bits();
        assert_eq!(draw(&[1, 2]), draw(&[1, 2]));
        assert_ne!(draw(&[1, 2]), draw(&[2, 1]));
        assert_ne!(draw(&[0]), draw(&[0, 0]));
    }

    #[test]
    fn weights_of_zero_are_never_drawn() {
        let mut random = Random::of(&[3]);
        assert!((0..500).all(|_| random.weighted([0.0, 2.0, 0.0, 1.0].into_iter()).is_some_and(|index| index % 2 == 1)));
        assert_eq!(random.weighted([0.0].into_iter()), None);
    }

    #[test]
    fn normals_have_mean_zero_and_deviation_one() {
        let mut random = Random::of(&[4]);
        let drawn: Vec<f32> = (0..20_000).map(|_| random.normal()).collect();
        let mean = drawn.iter().sum::<f32>() / 20_000.0;
        let variance = drawn.iter().map(|x| x * x).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
