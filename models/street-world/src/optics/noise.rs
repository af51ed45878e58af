//! Sensor noise.

use std::sync::OnceLock;

use crate::{picture::Picture, random::Random};

/// A prime, so that rows of a picture never meet the same noise again.
const GRAINS: usize = 262_139;

/// White noise of a deviation, the same on each machine.
pub(super) struct Noise {
    /// 256 × deviation.
    strength: i32,
}

impl Noise {
    pub(super) fn new(deviation: f32) -> Self {
        Self { strength: (deviation * 256.0) as i32 }
    }

    /// Sends each channel through its curve and adds noise.
    pub(super) fn develop(&self, picture: &mut Picture, curves: &[[u8; 256]; 3], mut grain: Random) {
        let tile = tile();
        let row = picture.width as usize * 3;
        for line in picture.rgb.chunks_exact_mut(row) {
            let mut at = grain.below(GRAINS);
            let mut rest = line;
            while !rest.is_empty() {
                // Whole pixels, so that the channels keep their order.
                let run = (rest.len() / 3).min((GRAINS - at) / 3) * 3;
                if run == 0 {
                    at = 0;
                    continue;
                }
                let (now, later) = rest.split_at_mut(run);
                for (pixel, noise) in now.as_chunks_mut::<3>().0.iter_mut().zip(tile[at..at + run].as_chunks::<3>().0) {
                    for channel in 0..3 {
                        let level = i32::from(curves[channel][usize::from(pixel[channel])]);
                        pixel[channel] = (level + ((i32::from(noise[channel]) * self.strength) >> 13)).clamp(0, 255) as u8;
                    }
                }
                at = 0;
                rest = later;
            }
        }
    }
}

/// Normals times 32.
fn tile() -> &'static [i8] {
    static TILE: OnceLock<Vec<i8>> = OnceLock::new();
    TILE.get_or_init(|| {
        let mut random = Random::of(&[0x0150]);
        (0..GRAINS).map(|_| (random.normal() * 32.0) as i8).collect()
    })
}
