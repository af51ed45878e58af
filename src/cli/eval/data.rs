//! Which data sets, under which protocol.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use uniood::{
    data::Faults,
    eval::{Part, VosSet, apart, open_world, vos},
};

use crate::{labelled, usage::usage};

/// The data sets by protocol.
#[derive(Args)]
#[command(
    next_help_heading = "Data: COCO JSON, Pascal VOC folder, a folder of pictures for each class, JSON lines of a video, or (OOD) a folder of pictures alone"
)]
pub(super) struct Data {
    /// Known things; with --protocol vos, `voc` or `bdd`
    #[arg(long, value_name = "DATA", conflicts_with = "open_world")]
    id: Option<PathBuf>,
    /// Unknown things; may be given several times
    #[arg(long, value_name = "DATA", requires = "id", conflicts_with_all = ["open_world", "protocol"])]
    ood: Vec<PathBuf>,
    /// One set with both: the classes are ID, every other category OOD
    #[arg(long, value_name = "DATA", conflicts_with = "protocol")]
    open_world: Option<PathBuf>,
    /// The field's own layout of files, below --root
    #[arg(long, value_enum, requires = "root")]
    protocol: Option<Protocol>,
    /// The protocol's root folder
    #[arg(long, value_name = "DIR", requires = "protocol")]
    root: Option<PathBuf>,
    /// Folders of COCO files' pictures, or videos of JSON lines, where they are none of the usual ones; one for each set, in the order ID, OOD …
    #[arg(long, value_name = "DIR", conflicts_with = "protocol")]
    images: Vec<PathBuf>,
}

/// A layout of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// deeplearning-wisc/vos: VOC or BDD against COCO and OpenImages
    Vos,
}

impl Data {
    /// The protocol's name in JSON.
    pub(super) const fn protocol(&self) -> &'static str {
        match (self.protocol, &self.open_world) {
            (Some(Protocol::Vos), _) => "vos",
            (None, Some(_)) => "open-world",
            (None, None) => "id-ood",
        }
    }

    pub(super) const fn is_vos(&self) -> bool {
        self.protocol.is_some()
    }

    pub(super) const fn is_open_world(&self) -> bool {
        self.open_world.is_some()
    }

    pub(super) fn open(&self, classes: &[String], faults: &mut Faults) -> Result<Vec<Part>> {
        if let (Some(Protocol::Vos), Some(root)) = (self.protocol, &self.root) {
            let named = match self.id.as_deref().map(Path::to_str) {
                None => None,
                Some(Some("voc")) => Some(VosSet::Voc),
                Some(Some("bdd")) => Some(VosSet::Bdd),
                Some(_) => return Err(usage("--protocol vos knows the ID sets `voc` and `bdd`; name one of them with --id")),
            };
            return Ok(vos(root, named, classes, faults)?.1);
        }
        let sets: Vec<&Path> = match (&self.open_world, &self.id) {
            (Some(both), _) => vec![both],
            (None, Some(_)) if self.ood.is_empty() => {
                return Err(usage("there is nothing unknown to tell ID from; name an OOD set with --ood"));
            }
            (None, Some(id)) => std::iter::once(id).chain(&self.ood).map(PathBuf::as_path).collect(),
            (None, None) => {
                return Err(usage(
                    "there is no data to evaluate; give --id and --ood, --open-world, --protocol vos, or --id-scores and --ood-scores",
                ));
            }
        };
        if !self.images.is_empty() && self.images.len() != sets.len() {
            return Err(usage(format!(
                "--images was given {} times for {} sets; give one folder for each set, in their order",
                self.images.len(),
                sets.len()
            )));
        }
        let mut opened = Vec::with_capacity(sets.len());
        for (index, set) in sets.into_iter().enumerate() {
            opened.push(labelled::open_unlabelled(set, self.images.get(index).map(PathBuf::as_path), classes, faults)?);
        }
        let first = opened.remove(0);
        Ok(if self.is_open_world() { open_world(first, classes)? } else { apart(first, opened, classes)? })
    }
}
