//! `--boxes`: a JSON list of `[x,y,w,h]`, a COCO JSON, or `frame`.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use uniood::{
    detect::Detection,
    geometry::{BBox, Rect},
};

/// Boxes that the user gave.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GivenBoxes {
    /// The whole picture.
    Frame,
    /// The same boxes for every picture.
    List(Vec<NamedBox>),
    /// Each picture's own, by the file name its entry has.
    Coco(HashMap<String, Vec<NamedBox>>),
}

/// A box and what it is called in messages.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NamedBox {
    name: String,
    /// What stands there, where it is no box.
    bbox: Result<BBox, String>,
}

impl GivenBoxes {
    /// Reads the value of `--boxes`.
    pub(crate) fn read(value: &str) -> Result<Self> {
        if value == "frame" {
            return Ok(Self::Frame);
        }
        let text = fs::read_to_string(value).with_context(|| format!("cannot read boxes file {value}"))?;
        Self::parse(&text).with_context(|| value.to_owned())
    }

    /// Parses a list or a COCO file.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match serde_json::from_str(text).context("not JSON")? {
            Value::Array(entries) => {
                let boxes: Vec<NamedBox> =
                    entries.iter().enumerate().map(|(index, entry)| NamedBox::new(format!("box {index}"), entry)).collect();
                // A list is all the user's own: a wrong entry is a slip to be mended before anything runs.
                boxes.iter().try_for_each(|named| named.bbox().map(drop))?;
                Ok(Self::List(boxes))
            }
            Value::Object(coco) if coco.contains_key("images") && coco.contains_key("annotations") => Ok(Self::Coco(coco_boxes(&coco)?)),
            _ => bail!("neither a list of [x,y,w,h] nor a COCO file with `images` and `annotations`"),
        }
    }

    /// The boxes of a picture of `width`×`height`, as detections of full confidence.
    pub(crate) fn of(&self, picture: &Path, width: u32, height: u32) -> Result<Vec<Detection>> {
        #[expect(clippy::cast_precision_loss, reason = "pictures are far below 2^24 pixels a side")]
        let whole = BBox { x: 0.0, y: 0.0, w: width as f32, h: height as f32 };
        let boxes = match self {
            Self::Frame => return Ok(vec![detection(whole)]),
            Self::List(boxes) => boxes,
            Self::Coco(by_name) => {
                let names = suffixes(picture);
                names
                    .iter()
                    .find_map(|name| by_name.get(name))
                    .ok_or_else(|| anyhow!("the boxes file has no picture `{}`", names.last().map_or("", String::as_str)))?
            }
        };
        let inside = |named: &NamedBox| {
            let bbox = named.bbox()?;
            match Rect::cover(&bbox, width, height) {
                Some(_) => Ok(detection(bbox)),
                None => Err(anyhow!(
                    "{} ({} {} {} {}) is empty or outside the {width}×{height} picture",
                    named.name,
                    bbox.x,
                    bbox.y,
                    bbox.w,
                    bbox.h
                )),
            }
        };
        boxes.iter().map(inside).collect()
    }
}

impl NamedBox {
    fn new(name: String, entry: &Value) -> Self {
        Self { name, bbox: bbox(entry) }
    }

    fn bbox(&self) -> Result<BBox> {
        self.bbox.clone().map_err(|found| anyhow!("{} is {found}; wanted [x,y,w,h], four numbers, the last two above 0", self.name))
    }
}

fn detection(bbox: BBox) -> Detection {
    Detection { bbox, confidence: 1.0, label: None }
}

fn bbox(entry: &Value) -> Result<BBox, String> {
    let shown = || {
        let text = entry.to_string();
        if text.len() > 60 { format!("{}…", text.chars().take(60).collect::<String>()) } else { text }
    };
    let numbers: Option<Vec<f64>> = entry.as_array().and_then(|numbers| numbers.iter().map(Value::as_f64).collect());
    #[expect(clippy::cast_possible_truncation, reason = "a coordinate beyond f32 becomes infinite, which is refused below")]
    let numbers: Vec<f32> = numbers.ok_or_else(shown)?.into_iter().map(|number| number as f32).collect();
    match numbers[..] {
        [x, y, w, h] if numbers.iter().all(|number| number.is_finite()) && w > 0.0 && h > 0.0 => Ok(BBox { x, y, w, h }),
        _ => Err(shown()),
    }
}

/// Annotations by their picture's file name, in the file's order.
fn coco_boxes(coco: &serde_json::Map<String, Value>) -> Result<HashMap<String, Vec<NamedBox>>> {
    let list = |key: &str| coco[key].as_array().with_context(|| format!("`{key}` is no list"));
    // Ids may be numbers or strings; their JSON text tells them apart.
    let mut names: HashMap<String, &str> = HashMap::new();
    let mut boxes: HashMap<String, Vec<NamedBox>> = HashMap::new();
    for (index, image) in list("images")?.iter().enumerate() {
        let name = image.get("file_name").and_then(Value::as_str).with_context(|| format!("image {index} has no `file_name`"))?;
        let id = image.get("id").with_context(|| format!("image {index} ({name}) has no `id`"))?;
        if names.insert(id.to_string(), name).is_some() {
            bail!("image id {id} stands there twice");
        }
        boxes.insert(name.to_owned(), Vec::new());
    }
    for (index, annotation) in list("annotations")?.iter().enumerate() {
        let id = annotation.get("id").map_or_else(|| format!("number {index}"), Value::to_string);
        let image = annotation.get("image_id").map_or_else(|| "null".to_owned(), Value::to_string);
        let name = names.get(&image).with_context(|| format!("annotation {id} belongs to image {image}, which is not in `images`"))?;
        let named = NamedBox::new(format!("annotation {id}"), annotation.get("bbox").unwrap_or(&Value::Null));
        boxes.get_mut(*name).expect("every name was inserted above").push(named);
    }
    Ok(boxes)
}

/// `a/b/c.jpg`, `b/c.jpg`, `c.jpg`: what a COCO file may call a picture, the longest first.
fn suffixes(picture: &Path) -> Vec<String> {
    let parts: Vec<_> = picture.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    (0..parts.len()).map(|from| parts[from..].join("/")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> String {
        format!("{:#}", GivenBoxes::parse(text).and_then(|boxes| boxes.of(Path::new("dir/a.jpg"), 100, 50)).unwrap_err())
    }

    #[test]
    fn a_list_keeps_its_order() {
        let boxes = GivenBoxes::parse("[[3,4,5,6],[0.5,1,2,2.5]]").unwrap().of(Path::new("a.jpg"), 100, 50).unwrap();
        assert_eq!(boxes.iter().map(|found| found.bbox.x).collect::<Vec<_>>(), [3.0, 0.5]);
    }

    #[test]
    fn coco_boxes_are_found_by_file_name_with_any_kind_of_id() {
        let text = r#"{"images":[{"id":"x","file_name":"dir/a.jpg"},{"id":7,"file_name":"b.jpg"}],
            "annotations":[{"id":1,"image_id":7,"bbox":[1,1,2,2]},{"id":2,"image_id":"x","bbox":[2,2,3,3]},{"id":3,"image_id":7,"bbox":[5,5,2,2]}]}"#;
        let boxes = GivenBoxes::parse(text).unwrap();
        let of = |path: &str| boxes.of(Path::new(path), 100, 50).unwrap().iter().map(|found| found.bbox.x).collect::<Vec<_>>();
        assert_eq!((of("/elsewhere/b.jpg"), of("/root/dir/a.jpg")), (vec![1.0, 5.0], vec![2.0]));
        assert!(boxes.of(Path::new("c.jpg"), 9, 9).unwrap_err().to_string().contains("no picture `c.jpg`"));
    }

    #[test]
    fn every_wrong_entry_is_named() {
        for (text, sentence) in [
            ("[[1,2,3,4],null]", "box 1 is null"),
            ("[[1,2,3]]", "box 0 is [1,2,3]"),
            ("[[1,2,0,4]]", "box 0 is [1,2,0,4]"),
            ("[[1,2,3,\"4\"]]", "box 0 is [1,2,3,\"4\"]"),
            ("[[1,2,1e300,4]]", "box 0 is [1,2,1e+300,4]"),
            ("[[1,2,NaN,4]]", "not JSON"),
            ("[[200,2,3,4]]", "box 0 (200 2 3 4) is empty or outside the 100×50 picture"),
            ("{}", "neither a list"),
            ("", "not JSON"),
            (r#"{"images":3,"annotations":[]}"#, "`images` is no list"),
            (r#"{"images":[{"id":1}],"annotations":[]}"#, "image 0 has no `file_name`"),
            (
                r#"{"images":[{"id":1,"file_name":"a.jpg"}],"annotations":[{"id":9,"image_id":2,"bbox":[1,1,1,1]}]}"#,
                "annotation 9 belongs to image 2",
            ),
            (r#"{"images":[{"id":1,"file_name":"a.jpg"}],"annotations":[{"id":9,"image_id":1}]}"#, "annotation 9 is null"),
        ] {
            assert!(error(text).contains(sentence), "{text}: {}", error(text));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"[\[\]{}0-9.,:eE"a-z -]{0,80}"#) {
            if let Ok(boxes) = GivenBoxes::parse(&text) {
                let _ = boxes.of(Path::new("a.jpg"), 100, 50);
            }
        }
    }
}
