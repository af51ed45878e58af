//! `street-world render`: pictures of many scenes, or the frames of one.

use std::path::{Path, PathBuf};

use anyhow::Result;
use street_world::{
    class::Kind,
    film::{Film, Settings},
    scene::Viewpoint,
    truth::{coco::Coco, mot},
};

use crate::{
    files::{self, Draft},
    flags::{Ids, View, World},
    interrupt,
    stills::{self, Format, Job},
};

/// All kinds of things that a mixed scene holds.
pub(crate) const EVERY_KIND: [Kind; 4] = [Kind::Id, Kind::NamedOod, Kind::UnseenOod, Kind::LookAlike];

/// Render pictures with COCO annotations: OUT/images/, OUT/instances.json
///
/// Each picture is of a scene of its own (seed, seed + 1, …), every fourth seen by a camera on a mast. With --sequence they are the frames of one scene, with
/// tracks in OUT/gt/gt.txt.
#[derive(clap::Args)]
pub(crate) struct Render {
    #[command(flatten)]
    world: World,
    /// How many pictures
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    frames: u64,
    /// Whether the camera drives or stands; each of both if not given
    #[arg(long, value_enum)]
    view: Option<View>,
    /// The frames of one scene that moves
    #[arg(long)]
    sequence: bool,
    /// Frames a second of a sequence
    #[arg(long, default_value_t = 10.0)]
    fps: f64,
    /// The folder to write to
    #[arg(long)]
    out: PathBuf,
    /// The pictures' format
    #[arg(long, value_enum, default_value = "jpg")]
    format: Format,
    /// How ids are written
    #[arg(long, value_enum, default_value = "number")]
    ids: Ids,
}

impl Render {
    pub(crate) fn run(&self) -> Result<()> {
        let images = self.out.join("images");
        let settings = self.world.settings(self.view.unwrap_or(View::Drive).into(), self.fps);
        settings.check()?;
        let mut coco = Coco::new(&EVERY_KIND, self.ids.into());
        if self.sequence {
            self.film(&settings, &images, &mut coco)?;
        } else {
            let jobs = jobs(&settings, self.view.map(Into::into), self.frames, self.format);
            let truths = stills::write(&images, &jobs, self.format, "rendering")?;
            for (job, truth) in jobs.iter().zip(&truths) {
                coco.push(&job.name, truth);
            }
        }
        files::write(&self.out.join("instances.json"), coco.json().as_bytes())?;
        eprintln!("{}: {} pictures, {} objects", self.out.display(), coco.images(), coco.annotations());
        Ok(())
    }

    fn film(&self, settings: &Settings, images: &Path, coco: &mut Coco) -> Result<()> {
        let film = Film::new(settings)?;
        files::folder(images)?;
        let tracks = self.out.join("gt");
        files::folder(&tracks)?;
        let mut tracks = Draft::create(&tracks.join("gt.txt"))?;
        let bar = stills::bar(self.frames, "rendering");
        for (frame, number) in film.zip(1..=self.frames) {
            interrupt::check()?;
            let name = format!("{number:06}.{}", self.format.ending());
            files::write(&images.join(&name), &self.format.encode(&frame.picture))?;
            tracks.write(mot::lines(&frame.truth).as_bytes())?;
            coco.push(&name, &frame.truth);
            bar.inc(1);
        }
        bar.finish_and_clear();
        tracks.finish()
    }
}

/// Pictures of scenes seed, seed + 1, …; where no viewpoint is asked for, one in four is a camera on a mast.
pub(crate) fn jobs(settings: &Settings, viewpoint: Option<Viewpoint>, frames: u64, format: Format) -> Vec<Job> {
    (0..frames)
        .map(|index| {
            let mixed = if index % 4 == 3 { Viewpoint::Surveillance } else { Viewpoint::Drive };
            let settings = Settings { seed: settings.seed.wrapping_add(index), viewpoint: viewpoint.unwrap_or(mixed), ..settings.clone() };
            Job { name: format!("{:06}.{}", index + 1, format.ending()), settings }
        })
        .collect()
}
