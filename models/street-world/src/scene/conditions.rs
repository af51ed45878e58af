//! Where a scene is, at what time of day, in what weather: and the light that follows.

use serde::Serialize;

use crate::{
    colour::{Light, Rgb, rgb},
    random::Random,
};

/// The kind of surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Blocks of houses, pavements, lamps.
    City,
    /// Houses with gardens.
    Suburb,
    /// Two lanes each way between guard rails.
    Highway,
    /// Fields, trees, fences.
    Country,
}

/// The time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Daylight {
    /// Full light.
    Day,
    /// Warm, low light.
    Dusk,
    /// Street lamps, lit windows; never so dark that crops turn black.
    Night,
}

/// The weather.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weather {
    /// A blue sky.
    Clear,
    /// A grey sky.
    Cloudy,
    /// Rain, wet asphalt.
    Rain,
    /// Fog.
    Fog,
    /// Snow on the ground and in the air.
    Snow,
}

/// Place, time and weather of a scene.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// Where.
    pub place: Place,
    /// When.
    pub daylight: Daylight,
    /// In what weather.
    pub weather: Weather,
    /// What the light leaves of each channel.
    pub tint: [f32; 3],
    /// The sky at the top and at the horizon.
    pub sky: [Rgb; 2],
    /// Haze per metre.
    pub haze: f32,
}

/// Conditions that are asked for; what is `None` is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Where.
    pub place: Option<Place>,
    /// When.
    pub daylight: Option<Daylight>,
    /// In what weather.
    pub weather: Option<Weather>,
}

impl Conditions {
    /// Conditions as often as they are met, but for what is asked for.
    pub fn draw(random: &mut Random, wanted: Wanted) -> Self {
        let places = [(Place::City, 0.42), (Place::Suburb, 0.26), (Place::Highway, 0.14), (Place::Country, 0.18)];
        let daylights = [(Daylight::Day, 0.62), (Daylight::Dusk, 0.18), (Daylight::Night, 0.2)];
        let weathers = [(Weather::Clear, 0.42), (Weather::Cloudy, 0.2), (Weather::Rain, 0.16), (Weather::Fog, 0.11), (Weather::Snow, 0.11)];
        let (place, daylight, weather) = (often(random, &places), often(random, &daylights), often(random, &weathers));
        Self::of(wanted.place.unwrap_or(place), wanted.daylight.unwrap_or(daylight), wanted.weather.unwrap_or(weather), random)
    }

    /// These conditions, with light a little varied.
    pub fn of(place: Place, daylight: Daylight, weather: Weather, random: &mut Random) -> Self {
        let dull =
            if daylight != Daylight::Night && matches!(weather, Weather::Rain | Weather::Cloudy | Weather::Fog) { 0.92 } else { 1.0 };
        let strength = random.range(0.92, 1.06) * dull;
        let tint: [f32; 3] = match daylight {
            Daylight::Day => [1.0, 1.0, 1.0],
            Daylight::Dusk => [0.9, 0.74, 0.68],
            // 0.34 made crops black; 0.47 to 0.6 is dark enough to be night.
            Daylight::Night => [0.55, 0.57, 0.68],
        };
        let haze = match weather {
            Weather::Fog => random.range(0.024, 0.045),
            Weather::Rain => 0.009,
            Weather::Snow => 0.011,
            Weather::Clear | Weather::Cloudy => 0.0035,
        };
        Self { place, daylight, weather, tint: tint.map(|channel| channel * strength), sky: sky(daylight, weather), haze }
    }

    /// The light on something this many metres away.
    #[must_use]
    pub fn light(&self, distance: f32) -> Light {
        Light { tint: self.tint, haze: self.sky[1], veil: 1.0 - (-self.haze * distance.max(0.0)).exp() }
    }

    /// Beyond this many metres the haze hides everything.
    #[must_use]
    pub fn sight(&self) -> f32 {
        1.3 / self.haze
    }

    /// Whether windows and lamps are lit.
    #[must_use]
    pub fn lamps_are_lit(&self) -> bool {
        self.daylight != Daylight::Day
    }

    /// Whether there are pavements, kerbs and street lamps.
    #[must_use]
    pub fn built_up(&self) -> bool {
        matches!(self.place, Place::City | Place::Suburb)
    }

    /// A ground colour under this weather.
    #[must_use]
    pub fn weathered(&self, ground: Rgb, snow: f32) -> Rgb {
        match self.weather {
            Weather::Snow => ground.mix(rgb(232, 236, 240), snow),
            Weather::Rain => ground.shade(0.8),
            _ => ground,
        }
    }
}

fn often<T: Copy>(random: &mut Random, choices: &[(T, f32)]) -> T {
    choices[random.weighted(choices.iter().map(|&(_, weight)| weight)).unwrap_or(0)].0
}

fn sky(daylight: Daylight, weather: Weather) -> [Rgb; 2] {
    let day = match weather {
        Weather::Clear => [rgb(84, 144, 220), rgb(200, 224, 242)],
        Weather::Cloudy => [rgb(146, 158, 172), rgb(204, 210, 214)],
        Weather::Rain => [rgb(108, 118, 132), rgb(166, 174, 180)],
        Weather::Fog => [rgb(190, 196, 200), rgb(212, 215, 218)],
        Weather::Snow => [rgb(178, 187, 198), rgb(222, 226, 230)],
    };
    match (daylight, weather) {
        (Daylight::Day, _) => day,
        (Daylight::Dusk, Weather::Clear) => [rgb(92, 92, 150), rgb(246, 172, 112)],
        (Daylight::Dusk, _) => [day[0].mix(rgb(110, 84, 120), 0.45), day[1].mix(rgb(214, 150, 120), 0.5)],
        (Daylight::Night, Weather::Fog | Weather::Snow) => [rgb(34, 38, 54), rgb(78, 84, 102)],
        (Daylight::Night, _) => [rgb(12, 16, 38), rgb(52, 58, 88)],
    }
}
