//! What street-world says is in a video: the COCO file beside it, an image a frame.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;
use street_world::class::Kind;
use uniood::{detect::Selection, geometry::BBox};

/// A true object in one frame.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) bbox: BBox,
    pub(crate) track: u32,
    pub(crate) kind: Kind,
    pub(crate) class: String,
    /// Hidden, cut off, smaller than uniood's `min-object-size` or only on show: neither right nor wrong.
    pub(crate) ignore: bool,
}

#[derive(Deserialize)]
struct Coco {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    frame_index: usize,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: u32,
    bbox: [f32; 4],
    ignore: u8,
    track_id: u32,
    supercategory: Kind,
}

#[derive(Deserialize)]
struct Category {
    id: u32,
    name: String,
}

/// The objects of each frame.
pub(crate) fn read(path: &Path) -> Result<Vec<Vec<Object>>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let coco: Coco = serde_json::from_str(&text).with_context(|| format!("{} is not street-world's truth of a video", path.display()))?;
    let names: HashMap<u32, String> = coco.categories.into_iter().map(|category| (category.id, category.name)).collect();
    let frames: HashMap<u64, usize> = coco.images.iter().map(|image| (image.id, image.frame_index)).collect();
    let least_side = Selection::default().min_object_size;
    let mut objects = vec![Vec::new(); coco.images.len()];
    for annotation in coco.annotations {
        let frame = frames.get(&annotation.image_id).and_then(|&index| objects.get_mut(index));
        let frame = frame.with_context(|| format!("{}: image {} is not a frame", path.display(), annotation.image_id))?;
        let [x, y, w, h] = annotation.bbox;
        frame.push(Object {
            bbox: BBox { x, y, w, h },
            track: annotation.track_id,
            kind: annotation.supercategory,
            class: names.get(&annotation.category_id).cloned().unwrap_or_default(),
            ignore: annotation.ignore != 0 || annotation.supercategory == Kind::LookAlike || f64::from(w.min(h)) < f64::from(least_side),
        });
    }
    Ok(objects)
}
