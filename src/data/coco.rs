//! COCO: one JSON with `images`, `annotations` and `categories`, and a folder of pictures.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::IgnoredAny};

use super::{Annotated, Categories, DataSet, Faults, Labelled, Layout, Pixels, Place, text_file};
use crate::{Error, Result, geometry::BBox};

/// Names that a folder's one COCO file has in the field.
const USUAL: [&str; 2] = ["instances.json", "_annotations.coco.json"];

#[derive(Deserialize)]
struct Coco {
    images: Vec<Image>,
    /// Sets of unknown things may come without.
    #[serde(default)]
    annotations: Vec<Annotation>,
    #[serde(default)]
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: Id,
    file_name: String,
    #[serde(default = "Lenient::missing")]
    width: Lenient<u32>,
    #[serde(default = "Lenient::missing")]
    height: Lenient<u32>,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    id: Option<Id>,
    image_id: Id,
    category_id: Id,
    #[serde(default = "Lenient::missing")]
    bbox: Lenient<[f64; 4]>,
    #[serde(default)]
    iscrowd: Flag,
    #[serde(default)]
    ignore: Flag,
}

#[derive(Deserialize)]
struct Category {
    id: Id,
    name: String,
}

/// Numbers in COCO's own files, strings in others'.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(i64),
    Text(Box<str>),
}

/// What is wrong in one annotation does not make the file wrong.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Good(T),
    Other(IgnoredAny),
}

/// 0 and 1, or false and true.
#[derive(Default, Clone, Copy, Deserialize)]
#[serde(from = "Lenient<RawFlag>")]
struct Flag(bool);

#[derive(Deserialize)]
#[serde(untagged)]
enum RawFlag {
    Bool(bool),
    Number(i64),
}

impl Image {
    /// Width and height, where both are said; some converters write 0.
    const fn size(&self) -> Option<(u32, u32)> {
        match (&self.width, &self.height) {
            (&Lenient::Good(width), &Lenient::Good(height)) if width > 0 && height > 0 => Some((width, height)),
            _ => None,
        }
    }
}

impl<T> Lenient<T> {
    const fn missing() -> Self {
        Self::Other(IgnoredAny)
    }
}

impl From<Lenient<RawFlag>> for Flag {
    fn from(raw: Lenient<RawFlag>) -> Self {
        Self(match raw {
            Lenient::Good(RawFlag::Bool(value)) => value,
            Lenient::Good(RawFlag::Number(value)) => value != 0,
            Lenient::Other(_) => false,
        })
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// The COCO file of a folder: one of the usual names, or its only JSON.
pub(super) fn among(folder: &Path, jsons: &[&PathBuf]) -> Result<Option<PathBuf>> {
    let usual = jsons.iter().find(|json| USUAL.iter().any(|name| json.ends_with(name)));
    match (usual, jsons) {
        (Some(json), _) | (None, [json]) => Ok(Some((*json).clone())),
        (None, []) => Ok(None),
        (None, several) => {
            Err(Error::content(folder, format!("there are {} JSON files in this folder; name the one with the annotations", several.len())))
        }
    }
}

/// Reads the annotations and finds the folder of pictures.
pub(super) fn open(path: &Path, images: Option<&Path>, faults: &mut Faults) -> Result<DataSet> {
    let coco: Coco = serde_json::from_reader(text_file(path)?)
        .map_err(|error| Error::content(path, format!("not a COCO file with images, annotations and categories ({error})")))?;
    let folder = match images {
        Some(folder) => folder.to_owned(),
        None => images_folder(path, &coco.images)?,
    };
    let mut categories = Categories::default();
    let mut indices = HashMap::new();
    for Category { id, name } in coco.categories {
        if indices.insert(id.clone(), categories.index(name.trim())).is_some() {
            return Err(Error::content(path, format!("category id {id} stands there twice")));
        }
    }
    let mut positions = HashMap::with_capacity(coco.images.len());
    let mut pictures = Vec::with_capacity(coco.images.len());
    for image in coco.images {
        let size = image.size();
        let Image { id, file_name, .. } = image;
        if let Some(twice) = positions.insert(id, pictures.len()) {
            let first: &Annotated = &pictures[twice];
            return Err(Error::content(path, format!("`{file_name}` and `{}` have the same image id", first.path.display())));
        }
        pictures.push(Annotated { path: folder.join(file_name), pixels: Pixels::File { size }, objects: Vec::new() });
    }
    for (index, annotation) in coco.annotations.into_iter().enumerate() {
        let id = annotation.id.as_ref().map_or_else(|| format!("number {}", index + 1), Id::to_string);
        let fault = |problem: String| Error::content(path, format!("annotation {id} {problem}"));
        let Some(&picture) = positions.get(&annotation.image_id) else {
            faults.add(fault(format!("belongs to image {}, which is not in `images`", annotation.image_id)))?;
            continue;
        };
        let Some(&category) = indices.get(&annotation.category_id) else {
            faults.add(fault(format!("has category {}, which is not in `categories`", annotation.category_id)))?;
            continue;
        };
        if annotation.iscrowd.0 {
            faults.crowds += 1;
            continue;
        }
        let Some(bbox) = bbox(&annotation.bbox) else {
            faults.add(fault("has no box [x,y,w,h] of four numbers, the last two above 0".to_owned()))?;
            continue;
        };
        faults.ignored += usize::from(annotation.ignore.0);
        pictures[picture].objects.push(Labelled { id: id.into(), category, place: Place::Box(bbox), ignore: annotation.ignore.0 });
    }
    Ok(DataSet { path: path.to_owned(), layout: Layout::Coco, categories: categories.names, pictures })
}

fn bbox(found: &Lenient<[f64; 4]>) -> Option<BBox> {
    let Lenient::Good(numbers) = found else { return None };
    #[expect(clippy::cast_possible_truncation, reason = "a coordinate beyond f32 becomes infinite, which is refused below")]
    let [x, y, w, h] = numbers.map(|number| number as f32);
    ([x, y, w, h].iter().all(|number| number.is_finite()) && w > 0.0 && h > 0.0).then_some(BBox { x, y, w, h })
}

/// The folder in which the first pictures lie: beside the JSON, in `images` or `JPEGImages` there, or one level up, where COCO's own
/// `annotations/instances_val2017.json` has `val2017/` and others `images/val2017/`.
fn images_folder(path: &Path, images: &[Image]) -> Result<PathBuf> {
    let beside = path.parent().unwrap_or(Path::new(""));
    let above = beside.join("..");
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let split = stem.rsplit('_').next().unwrap_or_default().to_owned();
    let mut folders = Vec::new();
    for root in [beside.to_owned(), above] {
        folders.push(root.clone());
        folders.extend(["images", "JPEGImages"].map(|name| root.join(name)));
        for name in [&stem, &split] {
            folders.push(root.join(name));
            folders.push(root.join("images").join(name));
        }
    }
    // Some may be missing; where the first ones lie, the others are looked for.
    let first = images.iter().take(16);
    let found = folders.iter().find(|folder| first.clone().any(|image| folder.join(&image.file_name).is_file()));
    found.cloned().ok_or_else(|| {
        let name = images.first().map_or("", |image| &image.file_name);
        Error::content(path, format!("its pictures (`{name}`) lie neither beside it, nor in images/, nor in ../images/; name their folder"))
    })
}
