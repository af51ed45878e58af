//! Cameras: what becomes of the painted frame on its way to a file.

mod blur;
mod lens;
mod noise;
mod wide;

use serde::Serialize;

use crate::{
    picture::Picture,
    plate::{Area, Plate},
    random::Random,
};

use self::{lens::Drops, noise::Noise, wide::Bend};

/// A camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Camera {
    /// A good camera: a little noise, a white balance of its own.
    Plain,
    /// A night camera: three quarters of the colour gone, green, dark, blurred, noisy.
    Lowlight,
    /// A cheap wide-angle camera: straight lines bend, the picture is compressed hard.
    Wide,
    /// Drops on the lens.
    LensRain,
    /// A street under sodium lamps: one colour.
    Sodium,
}

impl Camera {
    /// All cameras.
    pub const ALL: [Self; 5] = [Self::Plain, Self::Lowlight, Self::Wide, Self::LensRain, Self::Sodium];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Lowlight => "lowlight",
            Self::Wide => "wide",
            Self::LensRain => "lens-rain",
            Self::Sodium => "sodium",
        }
    }
}

/// A camera at one size, with all that it needs from frame to frame.
pub struct Optics {
    seed: u64,
    process: Process,
}

enum Process {
    Plain { balance: [[u8; 256]; 3], noise: Noise },
    Lowlight { tone: [[u8; 256]; 3], noise: Noise },
    Wide { bend: Bend, quality: u8 },
    LensRain { drops: Drops, noise: Noise },
    Sodium { tone: [[u8; 256]; 3], noise: Noise },
}

impl Optics {
    /// The optics of a camera.
    #[must_use]
    pub fn new(camera: Camera, seed: u64, width: u32, height: u32) -> Self {
        let mut random = Random::of(&[seed, 90]);
        let process = match camera {
            Camera::Plain => {
                let gain = random.range(0.96, 1.05);
                let balance = [0, 1, 2].map(|_| random.range(0.97, 1.03) * gain);
                Process::Plain { balance: curves(|channel, x| x * balance[channel]), noise: Noise::new(random.range(1.0, 3.0)) }
            }
            Camera::Lowlight => {
                let tint = [0.8, 1.08, 0.85];
                let tone = curves(|channel, x| ((x / 255.0).powf(1.5) * 255.0 * 0.75 + 18.0) * tint[channel]);
                Process::Lowlight { tone, noise: Noise::new(6.0) }
            }
            Camera::Wide => Process::Wide { bend: Bend::new(width, height, random.range(0.16, 0.26)), quality: random.pick(&[14, 18, 24]) },
            Camera::LensRain => Process::LensRain { drops: Drops::new(&mut random), noise: Noise::new(2.0) },
            Camera::Sodium => {
                let lamp = [1.08, 0.7, 0.2];
                let floor = [14.0, 8.0, 5.0];
                let tone = curves(|channel, x| floor[channel] + (x / 255.0).powf(1.15) * 255.0 * lamp[channel]);
                Process::Sodium { tone, noise: Noise::new(4.0) }
            }
        };
        Self { seed, process }
    }

    /// The picture that the camera gives of a plate, and whose each of its pixels is.
    #[must_use]
    pub fn expose(&self, plate: &Plate, index: u64, time: f64) -> (Picture, Vec<u16>) {
        let mut picture = Picture::from_pixmap(plate.pixmap());
        let ids = || plate.ids().to_vec();
        let grain = Random::of(&[self.seed, 91, index]);
        match &self.process {
            Process::Plain { balance, noise } => {
                noise.develop(&mut picture, balance, grain);
                (picture, ids())
            }
            Process::Lowlight { tone, noise } => {
                expose_longer(&mut picture);
                desaturate(&mut picture, 0.75);
                // Two box filters of radius r have a deviation of 2 pixels at 360 lines.
                blur::twice(&mut picture, (plate.height() as f32 / 180.0).round().max(1.0) as usize);
                noise.develop(&mut picture, tone, grain);
                (picture, ids())
            }
            Process::Wide { bend, quality } => {
                let (picture, ids) = bend.apply(&picture, plate.ids());
                (compressed(&picture, *quality), ids)
            }
            Process::LensRain { drops, noise } => {
                blur::twice(&mut picture, (plate.height() as usize / 480).max(1));
                drops.apply(&mut picture, time);
                noise.develop(&mut picture, &curves(|_, x| x), grain);
                (picture, ids())
            }
            Process::Sodium { tone, noise } => {
                expose_longer(&mut picture);
                desaturate(&mut picture, 1.0);
                noise.develop(&mut picture, tone, grain);
                (picture, ids())
            }
        }
    }

    /// Where a box of the plate lies in the picture; it holds what is seen.
    #[must_use]
    pub fn bend(&self, area: Area, seen: Option<Area>) -> Area {
        let Process::Wide { bend, .. } = &self.process else { return area };
        let bent = bend.area(area);
        seen.map_or(bent, |seen| Area::with(Some(Area::with(Some(bent), seen.left, seen.top)), seen.right - 1, seen.bottom - 1))
    }
}

/// A table a channel.
fn curves(curve: impl Fn(usize, f32) -> f32) -> [[u8; 256]; 3] {
    std::array::from_fn(|channel| std::array::from_fn(|x| curve(channel, x as f32).round().clamp(0.0, 255.0) as u8))
}

/// What a camera's automatic exposure makes of a dark scene: brighter, but never as bright as day.
fn expose_longer(picture: &mut Picture) {
    const WANTED: f32 = 92.0;
    let green = || picture.rgb.iter().skip(1).step_by(3 * 16);
    let mean = green().map(|&value| f32::from(value)).sum::<f32>() / (green().count() as f32).max(1.0);
    let gain = (WANTED / mean.max(1.0)).clamp(1.0, 1.7);
    if gain > 1.0 {
        let curve: [u8; 256] = std::array::from_fn(|value| (value as f32 * gain).min(255.0) as u8);
        for value in &mut picture.rgb {
            *value = curve[usize::from(*value)];
        }
    }
}

/// Takes this share of the colour away.
fn desaturate(picture: &mut Picture, share: f32) {
    let share = (share * 256.0) as u32;
    for pixel in picture.rgb.as_chunks_mut::<3>().0 {
        let grey = (77 * u32::from(pixel[0]) + 150 * u32::from(pixel[1]) + 29 * u32::from(pixel[2])) >> 8;
        for channel in pixel {
            *channel = ((grey * share + u32::from(*channel) * (256 - share)) >> 8) as u8;
        }
    }
}

/// Through JPEG and back.
fn compressed(picture: &Picture, quality: u8) -> Picture {
    let Picture { width, height, .. } = *picture;
    let decoded =
        image::load_from_memory_with_format(&picture.jpeg(quality), image::ImageFormat::Jpeg).expect("what was just written can be read");
    Picture { width, height, rgb: decoded.into_rgb8().into_raw() }
}
