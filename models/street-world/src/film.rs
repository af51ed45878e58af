//! Frames with their ground truth: a scene that moves, without end, or a single picture.

use std::collections::HashMap;

use crate::{
    error::{Error, MAX_SIDE, Result},
    optics::{Camera, Optics},
    paint::{self, Painted},
    picture::Picture,
    plate::Plate,
    random::Random,
    scene::{Contents, Scene, Viewpoint, conditions::Wanted},
    truth::{Object, Truth},
};

/// What to film.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What everything follows from.
    pub seed: u64,
    /// Pixels across, 16..=8192.
    pub width: u32,
    /// Pixels down, 16..=8192.
    pub height: u32,
    /// Frames a second.
    pub fps: f64,
    /// Whether the camera drives or stands.
    pub viewpoint: Viewpoint,
    /// What the scene holds.
    pub contents: Contents,
    /// What the camera does to the picture.
    pub camera: Camera,
    /// Place, time of day and weather, where they are to be of one's own choice.
    pub wanted: Wanted,
}

impl Default for Settings {
    /// A drive at 640×360 and 25 frames a second, known and unknown things mixed, plain camera.
    fn default() -> Self {
        let (viewpoint, contents, camera) = (Viewpoint::Drive, Contents::MIXED, Camera::Plain);
        Self { seed: 0, width: 640, height: 360, fps: 25.0, viewpoint, contents, camera, wanted: Wanted::default() }
    }
}

impl Settings {
    /// Whether frames can be had.
    ///
    /// # Errors
    /// A size, a rate or a share is out of range.
    pub fn check(&self) -> Result<()> {
        let Self { width, height, fps, contents, .. } = *self;
        if ![width, height].iter().all(|side| (16..=MAX_SIDE).contains(side)) {
            return Err(Error::Size { width, height });
        }
        if !(fps > 0.0 && fps <= 1000.0) {
            return Err(Error::Rate(fps));
        }
        for (name, value) in [("the share of OOD objects", contents.ood), ("the share of unseen classes", contents.unseen)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::Share { name, value });
            }
        }
        Ok(())
    }
}

/// A frame and the truth about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// What the camera gives.
    pub picture: Picture,
    /// Whose each pixel is, rows from the top: [`Object::id`], or 0 for scenery.
    pub ids: Vec<u16>,
    /// What is in it.
    pub truth: Truth,
}

/// A scene that moves: an iterator without end.
///
/// ```
/// use street_world::film::{Film, Settings};
///
/// let mut film = Film::new(&Settings { seed: 7, width: 160, height: 90, ..Settings::default() })?;
/// let frame = film.next().expect("a film has no end");
/// assert_eq!(frame.picture.rgb.len(), 160 * 90 * 3);
/// for object in frame.truth.objects.iter().filter(|object| !object.ignore()) {
///     println!("{} #{} at {:?}", object.class.name(), object.track, object.seen);
/// }
/// # Ok::<(), street_world::error::Error>(())
/// ```
pub struct Film {
    scene: Scene,
    backdrop: Plate,
    plate: Plate,
    optics: Optics,
    camera: Camera,
    fps: f64,
    start: f64,
    index: u64,
    tracks: HashMap<u64, u32>,
}

impl Film {
    /// The film of these settings.
    ///
    /// # Errors
    /// A size, a rate or a share is out of range.
    pub fn new(settings: &Settings) -> Result<Self> {
        settings.check()?;
        let Settings { seed, width, height, fps, viewpoint, contents, camera, wanted } = *settings;
        let scene = Scene::new(seed, viewpoint, contents, wanted);
        let backdrop = paint::backdrop(&scene, width, height).ok_or(Error::Size { width, height })?;
        let optics = Optics::new(camera, scene.seed, width, height);
        let start = f64::from(Random::of(&[scene.seed, 8]).range(0.0, 120.0));
        Ok(Self { plate: backdrop.clone(), backdrop, optics, camera, fps, start, index: 0, tracks: HashMap::new(), scene })
    }

    /// The scene that is filmed.
    #[must_use]
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    fn frame(&mut self, time: f64) -> Frame {
        let painted = paint::frame(&mut self.plate, &self.backdrop, &self.scene, time);
        let (picture, ids) = self.optics.expose(&self.plate, self.index, time);
        let tracks: Vec<u32> = painted.iter().map(|painted| self.track(painted)).collect();
        let objects = Object::all(painted, &tracks, &self.plate, &ids, &self.optics);
        let truth = Truth {
            seed: self.scene.seed,
            index: self.index,
            time: self.index as f64 / self.fps,
            width: picture.width,
            height: picture.height,
            place: self.scene.conditions.place,
            daylight: self.scene.conditions.daylight,
            weather: self.scene.conditions.weather,
            viewpoint: self.scene.viewpoint,
            camera: self.camera,
            objects,
        };
        Frame { picture, ids, truth }
    }

    /// Tracks are numbered 1, 2, … in the order in which things come into the picture.
    fn track(&mut self, painted: &Painted) -> u32 {
        let next = self.tracks.len() as u32 + 1;
        *self.tracks.entry(painted.actor.key).or_insert(next)
    }
}

impl Iterator for Film {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let frame = self.frame(self.start + self.index as f64 / self.fps);
        self.index += 1;
        Some(frame)
    }
}

/// A single picture of a scene, at a moment that shows a good number of objects.
///
/// # Errors
/// A size or a share is out of range.
pub fn still(settings: &Settings) -> Result<Frame> {
    let mut film = Film::new(settings)?;
    let moment = film.scene.moment();
    Ok(film.frame(moment))
}
