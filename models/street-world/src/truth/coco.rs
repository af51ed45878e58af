//! Truth as COCO's `instances.json`.

use serde::{Serialize, Serializer};

use crate::{
    class::{Class, Habitat, Kind},
    optics::Camera,
    plate::Area,
    scene::{
        Viewpoint,
        conditions::{Daylight, Place, Weather},
    },
};

use super::Truth;

/// How the ids of images and annotations are written; tools of the field do both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ids {
    /// 1, 2, …
    #[default]
    Number,
    /// The file's name without its ending.
    String,
}

/// A COCO file in the making.
#[derive(Debug, Serialize)]
pub struct Coco {
    info: Info,
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
    #[serde(skip)]
    ids: Ids,
}

#[derive(Debug, Serialize)]
struct Info {
    description: &'static str,
    version: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    String(String),
}

#[derive(Debug, Serialize)]
struct Image {
    id: Id,
    file_name: String,
    width: u32,
    height: u32,
    seed: u64,
    frame_index: u64,
    time: f64,
    place: Place,
    daylight: Daylight,
    weather: Weather,
    viewpoint: Viewpoint,
    camera: Camera,
}

#[derive(Debug, Serialize)]
struct Annotation {
    id: Id,
    image_id: Id,
    category_id: u32,
    #[serde(serialize_with = "xywh")]
    bbox: Area,
    /// Pixels that are seen.
    area: u32,
    iscrowd: u8,
    /// 1 where evaluations and training should look away.
    ignore: u8,
    #[serde(serialize_with = "thousandths")]
    visibility: f32,
    #[serde(serialize_with = "thousandths")]
    truncation: f32,
    occluded: bool,
    track_id: u32,
    /// The whole thing within the frame, hidden parts included.
    #[serde(serialize_with = "xywh")]
    full_bbox: Area,
    supercategory: Kind,
    colour: &'static str,
    #[serde(rename = "where")]
    habitat: &'static str,
    at_home: bool,
    /// What a look-alike shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    shows: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Category {
    id: u32,
    name: &'static str,
    supercategory: Kind,
}

impl Coco {
    /// A file without images, whose categories are of these kinds.
    #[must_use]
    pub fn new(kinds: &[Kind], ids: Ids) -> Self {
        let mut categories: Vec<Category> = Class::all()
            .filter(|class| kinds.contains(&class.kind()))
            .map(|class| Category { id: class.category(), name: class.name(), supercategory: class.kind() })
            .collect();
        if kinds.contains(&Kind::LookAlike) {
            categories.push(Category { id: look_alike(), name: "look-alike", supercategory: Kind::LookAlike });
        }
        let info = Info { description: "Rendered street world", version: env!("CARGO_PKG_VERSION") };
        Self { info, images: Vec::new(), annotations: Vec::new(), categories, ids }
    }

    /// Adds an image and its objects; those of which nothing is seen have no box and are left out.
    pub fn push(&mut self, file_name: &str, truth: &Truth) {
        self.push_image(file_name, truth);
        let image_id = self.images.last().map_or(Id::Number(0), |image| image.id.clone());
        for object in &truth.objects {
            let Some(bbox) = object.seen else { continue };
            let number = self.annotations.len() as u64 + 1;
            let on_show = object.kind == Kind::LookAlike;
            self.annotations.push(Annotation {
                id: match &image_id {
                    Id::Number(_) => Id::Number(number),
                    Id::String(image) => Id::String(format!("{image}-{}", object.id)),
                },
                image_id: image_id.clone(),
                category_id: if on_show { look_alike() } else { object.class.category() },
                bbox,
                area: object.pixels,
                iscrowd: 0,
                ignore: u8::from(object.ignore()),
                visibility: object.visibility,
                truncation: object.truncation,
                occluded: object.occluded(),
                track_id: object.track,
                full_bbox: object.whole,
                supercategory: object.kind,
                colour: object.colour,
                habitat: place_name(object.habitat, object.kind),
                at_home: object.at_home,
                shows: on_show.then(|| object.class.name()),
            });
        }
    }

    /// Adds an image without its objects.
    pub fn push_image(&mut self, file_name: &str, truth: &Truth) {
        let number = self.images.len() as u64 + 1;
        let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
        self.images.push(Image {
            id: match self.ids {
                Ids::Number => Id::Number(number),
                Ids::String => Id::String(stem.to_owned()),
            },
            file_name: file_name.to_owned(),
            width: truth.width,
            height: truth.height,
            seed: truth.seed,
            frame_index: truth.index,
            time: truth.time,
            place: truth.place,
            daylight: truth.daylight,
            weather: truth.weather,
            viewpoint: truth.viewpoint,
            camera: truth.camera,
        });
    }

    /// Images so far.
    #[must_use]
    pub fn images(&self) -> usize {
        self.images.len()
    }

    /// Annotations so far.
    #[must_use]
    pub fn annotations(&self) -> usize {
        self.annotations.len()
    }

    /// The file's text.
    #[must_use]
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("numbers and strings only");
        text.push('\n');
        text
    }
}

/// The category of everything that is only on show.
fn look_alike() -> u32 {
    Class::all().len() as u32 + 1
}

/// Where an object is, in words for a caption.
fn place_name(habitat: Habitat, kind: Kind) -> &'static str {
    match habitat {
        Habitat::Sky if kind == Kind::LookAlike => "on a billboard",
        _ if kind == Kind::LookAlike => "in a shop window",
        Habitat::Lane | Habitat::Road => "on the road",
        Habitat::Crossing | Habitat::Junction => "crossing the road",
        Habitat::Walk => "walking beside the road",
        Habitat::Kerb => "at the roadside",
        Habitat::Pole => "on a pole",
        Habitat::Field => "in the open",
        Habitat::Rail => "on the rails",
        Habitat::Sky => "in the sky",
    }
}

fn xywh<S: Serializer>(area: &Area, serializer: S) -> Result<S::Ok, S::Error> {
    [area.left, area.top, area.width(), area.height()].serialize(serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn thousandths<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    ((f64::from(*value) * 1000.0).round() / 1000.0).serialize(serializer)
}
