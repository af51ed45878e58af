//! `street-world dataset`: test sets in the folders and files that tools of the field read.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use street_world::{
    class::Kind,
    film::Settings,
    scene::{Contents, Viewpoint},
    truth::coco::{Coco, Ids},
};

use crate::{
    files,
    flags::World,
    render::{EVERY_KIND, jobs},
    stills::{self, Format},
};

/// Write a test set in the layout of a protocol
///
/// vos-like: ID pictures as bdd100k (train and val), named unknowns as COCO, things never named as OpenImages (its annotations are empty, as published; the truth
/// is beside them). open-world: ID and OOD in one picture, as COCO. The shares given by --ood and --unseen count for open-world alone.
#[derive(clap::Args)]
pub(crate) struct Dataset {
    #[command(flatten)]
    world: World,
    /// The layout
    #[arg(long, value_enum)]
    protocol: Protocol,
    /// Pictures in each set
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    frames: u64,
    /// The root of the layout
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    VosLike,
    OpenWorld,
}

/// One set of a layout.
struct Set {
    images: &'static str,
    annotations: &'static str,
    /// Where the truth goes if the annotations of the layout are empty.
    truth: Option<&'static str>,
    contents: Contents,
    kinds: &'static [Kind],
    ids: Ids,
}

const VOS: [Set; 4] = [
    Set {
        images: "bdd100k/images/100k/train",
        annotations: "bdd100k/train_bdd_converted.json",
        truth: None,
        contents: Contents::ID,
        kinds: &[Kind::Id],
        ids: Ids::Number,
    },
    Set {
        images: "bdd100k/images/100k/val",
        annotations: "bdd100k/val_bdd_converted.json",
        truth: None,
        contents: Contents::ID,
        kinds: &[Kind::Id],
        ids: Ids::Number,
    },
    Set {
        images: "COCO/val2017",
        annotations: "COCO/annotations/instances_val2017_ood_wrt_bdd_rm_overlap.json",
        truth: None,
        contents: Contents::NAMED_OOD,
        kinds: &[Kind::NamedOod],
        ids: Ids::Number,
    },
    Set {
        images: "OpenImages/ood_classes_rm_overlap/images",
        annotations: "OpenImages/ood_classes_rm_overlap/COCO-Format/val_coco_format.json",
        truth: Some("OpenImages/ood_classes_rm_overlap/COCO-Format/truth_coco_format.json"),
        contents: Contents::UNSEEN_OOD,
        kinds: &[Kind::UnseenOod],
        ids: Ids::String,
    },
];

/// Seeds of different sets are this far apart, so that no scene is in two of them.
const APART: u64 = 1 << 32;

impl Dataset {
    pub(crate) fn run(&self) -> Result<()> {
        let settings = self.world.settings(Viewpoint::Drive, 25.0);
        settings.check()?;
        match self.protocol {
            Protocol::VosLike => {
                for (number, set) in (0..).zip(&VOS) {
                    let seed = self.world.seed.wrapping_add(number * APART);
                    self.write(set, &Settings { seed, contents: set.contents, ..settings.clone() })?;
                }
                Ok(())
            }
            Protocol::OpenWorld => {
                let contents = settings.contents;
                let (images, annotations) = ("val2017", "annotations/instances_val2017.json");
                let set = Set { images, annotations, truth: None, contents, kinds: &EVERY_KIND, ids: Ids::Number };
                self.write(&set, &settings)
            }
        }
    }

    fn write(&self, set: &Set, settings: &Settings) -> Result<()> {
        let jobs = jobs(settings, None, self.frames, Format::Jpg);
        let truths = stills::write(&self.out.join(set.images), &jobs, Format::Jpg, set.images)?;
        let mut coco = Coco::new(set.kinds, set.ids);
        let mut images_alone = Coco::new(set.kinds, set.ids);
        for (job, truth) in jobs.iter().zip(&truths) {
            coco.push(&job.name, truth);
            images_alone.push_image(&job.name, truth);
        }
        if let Some(truth) = set.truth {
            self.annotations(Path::new(truth), &coco)?;
            self.annotations(Path::new(set.annotations), &images_alone)?;
        } else {
            self.annotations(Path::new(set.annotations), &coco)?;
        }
        eprintln!("{}: {} pictures, {} objects", self.out.join(set.images).display(), coco.images(), coco.annotations());
        Ok(())
    }

    fn annotations(&self, name: &Path, coco: &Coco) -> Result<()> {
        let path = self.out.join(name);
        if let Some(folder) = path.parent() {
            files::folder(folder)?;
        }
        files::write(&path, coco.json().as_bytes())
    }
}
