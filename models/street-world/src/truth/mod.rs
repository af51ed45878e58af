//! Ground truth: what is in a frame, where, and how much of it is seen.

pub mod coco;
pub mod mot;

use crate::{
    class::{Class, Habitat, Kind},
    optics::{Camera, Optics},
    paint::Painted,
    plate::{Area, Plate},
    scene::{
        Viewpoint,
        conditions::{Daylight, Place, Weather},
    },
};

/// The truth about one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// The scene's seed.
    pub seed: u64,
    /// The frame's number, from 0.
    pub index: u64,
    /// Seconds since the first frame.
    pub time: f64,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Where.
    pub place: Place,
    /// When.
    pub daylight: Daylight,
    /// In what weather.
    pub weather: Weather,
    /// Whether the camera drives or stands.
    pub viewpoint: Viewpoint,
    /// The camera.
    pub camera: Camera,
    /// All objects of which any part is in the frame, from far to near, hidden ones too.
    pub objects: Vec<Object>,
}

/// One object of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object {
    /// Its number in [`ids`](crate::film::Frame::ids).
    pub id: u16,
    /// The same in all frames of a film.
    pub track: u32,
    /// What it is, or what it shows.
    pub class: Class,
    /// What is known of it.
    pub kind: Kind,
    /// Its colour, by a name of the palette.
    pub colour: &'static str,
    /// Where it is met.
    pub habitat: Habitat,
    /// Whether things of its class belong there.
    pub at_home: bool,
    /// The box of the pixels that are seen; `None` where nothing is.
    pub seen: Option<Area>,
    /// Pixels that are seen.
    pub pixels: u32,
    /// The box of the whole thing within the frame, hidden parts included.
    pub whole: Area,
    /// The share of the thing's pixels within the frame that nothing covers.
    pub visibility: f32,
    /// The share of the thing that is outside of the frame.
    pub truncation: f32,
    /// Whether what is seen of it is too small to tell what it is.
    pub small: bool,
}

/// Less of an object than this is not worth a label.
pub const LEAST_VISIBILITY: f32 = 0.4;
/// More than this outside of the frame is not worth a label.
const MOST_TRUNCATION: f32 = 0.7;
/// A seen side shorter than this share of the frame's height, or than 4 pixels, is not worth a label.
const LEAST_SIDE: f32 = 0.022;

impl Object {
    /// Whether something hides most of it.
    #[must_use]
    pub fn occluded(&self) -> bool {
        self.visibility < LEAST_VISIBILITY
    }

    /// Whether evaluations and training should look away: hidden, cut off, too small, or only on show.
    #[must_use]
    pub fn ignore(&self) -> bool {
        self.occluded() || self.small || self.truncation > MOST_TRUNCATION || self.kind == Kind::LookAlike
    }

    pub(crate) fn all(painted: Vec<Painted>, tracks: &[u32], plate: &Plate, ids: &[u16], optics: &Optics) -> Vec<Self> {
        let mut uncovered = vec![0_u32; painted.len() + 1];
        for &id in plate.ids() {
            uncovered[usize::from(id)] += 1;
        }
        let least = (LEAST_SIDE * plate.height() as f32).max(4.0) as u32;
        let seen = seen(ids, painted.len(), plate.width());
        painted
            .into_iter()
            .zip(tracks)
            .filter_map(|(painted, &track)| {
                let (id, actor, silhouette) = (painted.id, &painted.actor, painted.silhouette);
                let (pixels, seen) = seen[usize::from(id)];
                Some(Self {
                    id,
                    track,
                    class: actor.class,
                    kind: actor.kind,
                    colour: actor.look.colour,
                    habitat: actor.habitat,
                    at_home: actor.at_home,
                    seen,
                    pixels,
                    whole: optics.bend(silhouette.area?, seen),
                    visibility: uncovered[usize::from(id)] as f32 / silhouette.pixels.max(1) as f32,
                    truncation: outside(painted.extent, plate),
                    small: seen.is_none_or(|area| area.width().min(area.height()) < least),
                })
            })
            .collect()
    }
}

/// For each id, its pixels and their box.
fn seen(ids: &[u16], most: usize, width: u32) -> Vec<(u32, Option<Area>)> {
    let mut seen = vec![(0, None); most + 1];
    for (y, row) in ids.chunks_exact(width as usize).enumerate() {
        let mut x = 0;
        while x < row.len() {
            let id = row[x];
            let run = row[x..].iter().take_while(|&&other| other == id).count();
            if id != 0 {
                let (pixels, area) = &mut seen[usize::from(id)];
                *pixels += run as u32;
                *area = Some(Area::with(Some(Area::with(*area, x as u32, y as u32)), (x + run - 1) as u32, y as u32));
            }
            x += run;
        }
    }
    seen
}

/// The share of a box that is outside of the frame.
fn outside([left, top, right, bottom]: [f32; 4], plate: &Plate) -> f32 {
    let within = |low: f32, high: f32, side: u32| ((high.min(side as f32) - low.max(0.0)) / (high - low).max(1e-3)).clamp(0.0, 1.0);
    1.0 - within(left, right, plate.width()) * within(top, bottom, plate.height())
}
