//! Colours: what a thing is painted with, and what light and distance make of it.

/// A colour, channels 0..=255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rgb {
    /// Red.
    pub r: f32,
    /// Green.
    pub g: f32,
    /// Blue.
    pub b: f32,
}

/// A colour of these channels.
#[must_use]
pub const fn rgb(r: u8, g: u8, b: u8) -> Rgb {
    Rgb { r: r as f32, g: g as f32, b: b as f32 }
}

pub(crate) const BLACK: Rgb = rgb(24, 24, 26);
pub(crate) const WHITE: Rgb = rgb(244, 244, 242);
pub(crate) const GLASS: Rgb = rgb(112, 142, 162);
pub(crate) const STEEL: Rgb = rgb(150, 153, 158);
pub(crate) const HEADLIGHT: Rgb = rgb(255, 248, 215);
pub(crate) const TAILLIGHT: Rgb = rgb(222, 30, 26);

/// Colours with names that a caption can use.
pub const PALETTE: [(&str, Rgb); 14] = [
    ("red", rgb(196, 38, 36)),
    ("blue", rgb(38, 76, 176)),
    ("white", rgb(235, 236, 236)),
    ("black", rgb(34, 35, 39)),
    ("silver", rgb(170, 174, 180)),
    ("grey", rgb(110, 113, 118)),
    ("green", rgb(44, 118, 62)),
    ("yellow", rgb(232, 190, 40)),
    ("orange", rgb(226, 112, 28)),
    ("brown", rgb(112, 72, 42)),
    ("beige", rgb(206, 186, 150)),
    ("purple", rgb(112, 56, 140)),
    ("teal", rgb(30, 130, 134)),
    ("pink", rgb(222, 130, 150)),
];

impl Rgb {
    /// Darker (below 1) or lighter (above 1).
    #[must_use]
    pub fn shade(self, by: f32) -> Self {
        let channel = |value: f32| (value * by).clamp(0.0, 255.0);
        Self { r: channel(self.r), g: channel(self.g), b: channel(self.b) }
    }

    /// This colour with a share of another.
    #[must_use]
    pub fn mix(self, other: Self, share: f32) -> Self {
        let channel = |own: f32, other: f32| own + (other - own) * share;
        Self { r: channel(self.r, other.r), g: channel(self.g, other.g), b: channel(self.b, other.b) }
    }

    /// See-through ink of this colour.
    #[must_use]
    pub fn alpha(self, alpha: f32) -> Ink {
        Ink { colour: self, alpha, glows: false }
    }

    /// Ink that is as bright at night as by day.
    #[must_use]
    pub fn glow(self) -> Ink {
        Ink { colour: self, alpha: 1.0, glows: true }
    }
}

/// What a shape is filled with.
#[derive(Debug, Clone, Copy)]
pub struct Ink {
    pub(crate) colour: Rgb,
    pub(crate) alpha: f32,
    pub(crate) glows: bool,
}

impl Ink {
    /// The same ink, see-through.
    #[must_use]
    pub fn fade(self, alpha: f32) -> Self {
        Self { alpha: self.alpha * alpha, ..self }
    }
}

impl From<Rgb> for Ink {
    fn from(colour: Rgb) -> Self {
        Self { colour, alpha: 1.0, glows: false }
    }
}

/// The light a thing stands in and the air before it.
#[derive(Debug, Clone, Copy)]
pub struct Light {
    /// What daylight leaves of each channel.
    pub tint: [f32; 3],
    /// The colour of haze.
    pub haze: Rgb,
    /// The share of haze, 0..=1, that the distance lays over it.
    pub veil: f32,
}

impl Light {
    /// A studio: colours as they are painted.
    pub const STUDIO: Self = Self { tint: [1.0; 3], haze: WHITE, veil: 0.0 };

    /// The colour that reaches the camera. Haze takes less from lamps.
    #[must_use]
    pub fn on(&self, ink: Ink) -> Rgb {
        let [r, g, b] = if ink.glows { [1.0; 3] } else { self.tint };
        let lit = Rgb { r: ink.colour.r * r, g: ink.colour.g * g, b: ink.colour.b * b };
        lit.mix(self.haze, if ink.glows { self.veil * 0.4 } else { self.veil })
    }
}
