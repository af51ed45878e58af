//! Pascal VOC: `Annotations/NAME.xml` beside `JPEGImages/NAME.jpg`.
//!
//! Corners count from 1, so the box's left edge in pixels is `xmin − 1` and its right edge `xmax`. `difficult` objects
//! are not counted in VOC's own evaluation: here they are `ignore`.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use roxmltree::{Document, Node};

use super::{Annotated, Categories, DataSet, Faults, Labelled, Layout, PICTURES, Pixels, Place, has_ending, listed};
use crate::{Error, Result, file, geometry::BBox};

/// Longest annotation file that is read, in bytes; a picture with a thousand objects has some 300 kB.
const LONGEST: u64 = 16 << 20;

/// The XML files: in `Annotations/`, or in the folder itself; `None` where there are none.
pub(super) fn annotations(path: &Path, entries: &[PathBuf]) -> Result<Option<Vec<PathBuf>>> {
    let folder = path.join("Annotations");
    let listed = if folder.is_dir() { listed(&folder)? } else { entries.to_vec() };
    let files: Vec<PathBuf> = listed.into_iter().filter(|file| has_ending(file, &["xml"])).collect();
    Ok((!files.is_empty()).then_some(files))
}

/// Reads every annotation file; one that is broken is a fault.
pub(super) fn open(path: &Path, files: &[PathBuf], faults: &mut Faults) -> Result<DataSet> {
    let mut categories = Categories::default();
    let mut pictures = Vec::new();
    for file in files {
        match read(file, &mut categories, faults) {
            Ok(picture) => pictures.push(picture),
            Err(fault) => faults.add(fault)?,
        }
    }
    Ok(DataSet { path: path.to_owned(), layout: Layout::PascalVoc, categories: categories.names, pictures })
}

fn read(file: &Path, categories: &mut Categories, faults: &mut Faults) -> Result<Annotated> {
    let text = file::text(file, LONGEST, "wanted the annotations of one picture")?;
    // Document types are refused, so that entities cannot grow without end.
    let document = Document::parse(&text).map_err(|error| Error::content(file, format!("not XML ({error}); fetch it again")))?;
    let root = document.root_element();
    if root.tag_name().name() != "annotation" {
        return Err(Error::content(file, format!("its root is <{}>; wanted Pascal VOC's <annotation>", root.tag_name().name())));
    }
    let mut objects = Vec::new();
    for (index, node) in root.children().filter(|node| node.has_tag_name("object")).enumerate() {
        match object(node, index, categories) {
            Ok(object) => {
                faults.ignored += usize::from(object.ignore);
                objects.push(object);
            }
            Err(problem) => faults.add(Error::content(file, problem))?,
        }
    }
    // Some converters write sides of 0.
    let size = root.children().find(|node| node.has_tag_name("size"));
    let side = |name: &str| size.and_then(|size| text_of(size, name)).and_then(|text| text.parse::<u32>().ok()).filter(|side| *side > 0);
    let size = side("width").zip(side("height"));
    Ok(Annotated { path: picture(file, text_of(root, "filename"))?, pixels: Pixels::File { size }, objects })
}

fn object(node: Node<'_, '_>, index: usize, categories: &mut Categories) -> Result<Labelled, String> {
    let number = index + 1;
    let name = text_of(node, "name").ok_or_else(|| format!("object {number} has no <name>"))?;
    let corners = node.children().find(|child| child.has_tag_name("bndbox")).ok_or_else(|| format!("object {number} has no <bndbox>"))?;
    let corner = |name: &str| text_of(corners, name).and_then(|text| text.parse::<f32>().ok()).filter(|value| value.is_finite());
    let edges = (corner("xmin"), corner("ymin"), corner("xmax"), corner("ymax"));
    let (Some(x1), Some(y1), Some(x2), Some(y2)) = edges else {
        return Err(format!("object {number} ({name}) lacks one of the numbers xmin, ymin, xmax, ymax"));
    };
    let bbox = BBox::from_edges(x1 - 1.0, y1 - 1.0, x2, y2);
    if bbox.w <= 0.0 || bbox.h <= 0.0 {
        return Err(format!("object {number} ({name}) has an empty box"));
    }
    let ignore = text_of(node, "difficult") == Some("1");
    Ok(Labelled { id: number.to_string().into(), category: categories.index(name), place: Place::Box(bbox), ignore })
}

/// A child's text without the space around it; `None` where it is missing or empty.
fn text_of<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.children().find(|child| child.has_tag_name(name)).and_then(|child| child.text()).map(str::trim).filter(|text| !text.is_empty())
}

/// The picture of an annotation file: what `<filename>` names, else one of the file's own name; in `JPEGImages`, `images` or beside it.
fn picture(file: &Path, named: Option<&str>) -> Result<PathBuf> {
    let beside = file.parent().unwrap_or(Path::new(""));
    let root = beside.parent().unwrap_or(Path::new(""));
    let folders = [root.join("JPEGImages"), beside.join("JPEGImages"), root.join("images"), beside.join("images"), beside.to_owned()];
    // A name from a stranger's file stays inside the data set.
    let named = named.and_then(|name| Path::new(name).file_name()).map(OsStr::to_owned);
    let stem = file.with_extension("");
    let stem = stem.file_name().unwrap_or_default();
    let own = PICTURES.iter().flat_map(|ending| [(*ending).to_owned(), ending.to_uppercase()]).map(|ending| {
        let mut name = stem.to_owned();
        name.push(".");
        name.push(ending);
        name
    });
    let names: Vec<_> = named.into_iter().chain(own).collect();
    let mut candidates = folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
    candidates
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| Error::content(file, "its picture is neither in JPEGImages, nor in images, nor beside it"))
}
