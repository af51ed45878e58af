//! What several commands ask for.

use clap::ValueEnum;
use street_world::{
    film::Settings,
    optics,
    scene::{
        Contents, Viewpoint,
        conditions::{Daylight, Place, Wanted, Weather},
    },
    truth::coco,
};

/// The world and its camera.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct World {
    /// The seed that everything follows from
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) seed: u64,
    /// Width and height in pixels, 16 to 8192 each
    #[arg(long, default_value = "640x360", value_parser = size)]
    pub(crate) size: (u32, u32),
    /// The camera
    #[arg(long, value_enum, default_value = "plain")]
    pub(crate) camera: Camera,
    /// The share of objects that are out of distribution
    #[arg(long, default_value_t = Contents::MIXED.ood)]
    pub(crate) ood: f32,
    /// The share of these whose class is in no caption
    #[arg(long, default_value_t = Contents::MIXED.unseen)]
    pub(crate) unseen: f32,
    /// The place, if it is to be the same in all scenes
    #[arg(long, value_enum)]
    place: Option<PlaceName>,
    /// The time of day, if it is to be the same in all scenes
    #[arg(long, value_enum)]
    daylight: Option<DaylightName>,
    /// The weather, if it is to be the same in all scenes
    #[arg(long, value_enum)]
    weather: Option<WeatherName>,
    /// No billboards, nothing in shop windows
    #[arg(long)]
    pub(crate) no_look_alikes: bool,
}

impl World {
    pub(crate) fn settings(&self, viewpoint: Viewpoint, fps: f64) -> Settings {
        let contents = Contents { ood: self.ood, unseen: self.unseen, look_alikes: !self.no_look_alikes };
        let (width, height) = self.size;
        Settings { seed: self.seed, width, height, fps, viewpoint, contents, camera: self.camera.into(), wanted: self.wanted() }
    }

    fn wanted(&self) -> Wanted {
        Wanted { place: self.place.map(Into::into), daylight: self.daylight.map(Into::into), weather: self.weather.map(Into::into) }
    }
}

/// Names on the command line for the library's choices.
macro_rules! names {
    ($name:ident = $of:ty { $($(#[$doc:meta])* $value:ident),+ $(,)? }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
        pub(crate) enum $name {
            $($(#[$doc])* $value),+
        }

        impl From<$name> for $of {
            fn from(name: $name) -> Self {
                match name {
                    $($name::$value => Self::$value),+
                }
            }
        }
    };
}

names!(Camera = optics::Camera { Plain, Lowlight, Wide, LensRain, Sodium });
names!(
    View = Viewpoint {
        /// A camera in a car
        Drive,
        /// A camera on a mast
        Surveillance,
    }
);
names!(PlaceName = Place { City, Suburb, Highway, Country });
names!(DaylightName = Daylight { Day, Dusk, Night });
names!(WeatherName = Weather { Clear, Cloudy, Rain, Fog, Snow });
names!(
    Ids = coco::Ids {
        /// 1, 2, …
        Number,
        /// The file's name without its ending
        String,
    }
);

fn size(text: &str) -> Result<(u32, u32), String> {
    let (width, height) = text.split_once(['x', '×']).ok_or("write it as WIDTHxHEIGHT, such as 640x360")?;
    let side =
        |side: &str| side.parse::<u32>().map_err(|_| format!("`{side}` is not a number of pixels; write WIDTHxHEIGHT, such as 640x360"));
    Ok((side(width)?, side(height)?))
}
