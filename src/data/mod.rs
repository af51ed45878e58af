//! Labelled pictures, as the field lays them out: COCO JSON with an images folder, Pascal VOC, a folder per class; and a video with
//! JSON lines of ours.
//!
//! [`DataSet::open`] tells the layout by what is there. Annotations lie in memory, pixels do not: a picture is
//! read when [`Annotated::read`] is called. A file that is broken is named, counted and left out; where the
//! user is strict ([`Faults::strict`]) it is an error.

mod coco;
mod faults;
mod folders;
mod lines;
mod voc;

use std::{
    collections::HashMap,
    ffi::OsStr,
    fmt,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
};

pub use faults::Faults;
pub(crate) use lines::frames;
pub use lines::{UNNAMED, source};

use crate::{
    Error, Result, file,
    frame::Picture,
    geometry::{BBox, Rect},
    picture,
};

/// File name endings that are taken for pictures in a folder.
const PICTURES: [&str; 7] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"];

/// How a data set lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One JSON for all pictures.
    Coco,
    /// One XML a picture.
    PascalVoc,
    /// A folder a class; the whole picture is the object.
    FolderPerClass,
    /// A folder of pictures of which nothing is known.
    Pictures,
    /// A video with JSON lines of ours.
    Video,
}

/// A labelled data set: everything but the pixels.
#[derive(Debug, Clone)]
pub struct DataSet {
    /// What was opened.
    pub path: PathBuf,
    /// What it is.
    pub layout: Layout,
    /// Category names, as the data set writes them; each once.
    pub categories: Vec<Arc<str>>,
    /// The pictures, in the data set's order.
    pub pictures: Vec<Annotated>,
}

/// A picture and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotated {
    /// Its file; of a frame the video's with the frame's number.
    pub path: PathBuf,
    /// Where its pixels are.
    pub pixels: Pixels,
    /// What is in it, in the data set's order.
    pub objects: Vec<Labelled>,
}

/// Where a picture's pixels are.
#[derive(Debug, Clone)]
pub enum Pixels {
    /// In the picture's file.
    File {
        /// Its width and height, where the annotations say them: what their boxes are in.
        size: Option<(u32, u32)>,
    },
    /// In a frame of a video.
    Frame {
        /// The video.
        video: Arc<dyn FrameReader>,
        /// The frame.
        at: FrameAt,
    },
}

/// A frame of a video: by its time where it has one, else by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameAt {
    /// Frames before it.
    pub number: u64,
    /// Its presentation timestamp in nanoseconds.
    pub time: Option<u64>,
    /// Its width and height.
    pub size: (u32, u32),
}

/// Decodes a video, which this library does not do itself. Frames are asked for in rising order, as far as that can be.
pub trait FrameReader: fmt::Debug + Send + Sync {
    /// The video's file.
    fn path(&self) -> &Path;

    /// One frame.
    ///
    /// # Errors
    /// [`Error::Content`] where the video has no such frame or cannot be decoded.
    fn read(&self, at: FrameAt) -> Result<Picture>;
}

impl PartialEq for Pixels {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { size }, Self::File { size: other }) => size == other,
            (Self::Frame { video, at }, Self::Frame { video: other, at: other_at }) => at == other_at && Arc::ptr_eq(video, other),
            _ => false,
        }
    }
}

/// One labelled object.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// What the data set calls it: an annotation's id, or its number in the file.
    pub id: Box<str>,
    /// Index into [`DataSet::categories`].
    pub category: usize,
    /// Where it is.
    pub place: Place,
    /// There, but not to be learned from or counted: COCO's `ignore`, VOC's `difficult`.
    pub ignore: bool,
}

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// In this box of the picture.
    Box(BBox),
    /// The picture shows it alone.
    Whole,
}

impl DataSet {
    /// Reads a data set's annotations; `images` is the folder of a COCO file's pictures where it is none of the usual ones.
    ///
    /// # Errors
    /// [`Error::File`] where nothing is there, [`Error::Content`] where it is none of the layouts or holds no picture, and
    /// whatever `faults` does not let pass.
    pub fn open(path: &Path, images: Option<&Path>, faults: &mut Faults) -> Result<Self> {
        let kind = fs::metadata(path).map_err(Error::file("read", path))?;
        let set = if kind.is_dir() { Self::open_folder(path, images, faults)? } else { coco::open(path, images, faults)? };
        if set.pictures.is_empty() {
            return Err(Error::content(path, "there is no picture in it that could be used"));
        }
        Ok(set)
    }

    /// [`DataSet::open`], but a folder that holds nothing but pictures is a set too.
    ///
    /// # Errors
    /// As [`DataSet::open`].
    pub fn open_unlabelled(path: &Path, images: Option<&Path>, faults: &mut Faults) -> Result<Self> {
        if path.is_dir()
            && images.is_none()
            && let Some(set) = folders::pictures(path, &listed(path)?)
        {
            return Ok(set);
        }
        Self::open(path, images, faults)
    }

    /// Reads JSON lines of ours as the labels of `video`, whose frames are read when they are needed. What an object's label is depends
    /// on the classes that are wanted.
    ///
    /// # Errors
    /// As [`DataSet::open`].
    pub fn open_lines(lines: &Path, video: &Arc<dyn FrameReader>, classes: &[String], faults: &mut Faults) -> Result<Self> {
        let set = lines::open(lines, video, classes, faults)?;
        if set.pictures.is_empty() {
            return Err(Error::content(lines, "there is no frame in it that could be used; give the JSON lines of `uniood run`"));
        }
        Ok(set)
    }

    /// Of each category, the class of that name in `classes`; case and space around names do not count.
    #[must_use]
    pub fn class_of(&self, classes: &[String]) -> Vec<Option<usize>> {
        let same = |a: &str, b: &str| a.trim().to_lowercase() == b.trim().to_lowercase();
        self.categories.iter().map(|category| classes.iter().position(|class| same(class, category))).collect()
    }

    fn open_folder(path: &Path, images: Option<&Path>, faults: &mut Faults) -> Result<Self> {
        let entries = listed(path)?;
        let jsons: Vec<&PathBuf> = entries.iter().filter(|entry| has_ending(entry, &["json"])).collect();
        if let Some(json) = coco::among(path, &jsons)? {
            return coco::open(&json, images, faults);
        }
        if images.is_some() {
            return Err(Error::content(path, "an images folder belongs to a COCO file, and there is none here; name the JSON file"));
        }
        if let Some(annotations) = voc::annotations(path, &entries)? {
            return voc::open(path, &annotations, faults);
        }
        if let Some(set) = folders::open(path, &entries)? {
            return Ok(set);
        }
        Err(Error::content(
            path,
            "no data set that is known; wanted a COCO JSON (`instances.json`), Pascal VOC (`Annotations/*.xml`), or a folder of pictures for each class",
        ))
    }

    /// Each category's number of objects that count.
    #[must_use]
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.categories.len()];
        for object in self.pictures.iter().flat_map(|picture| &picture.objects).filter(|object| !object.ignore) {
            counts[object.category] += 1;
        }
        counts
    }
}

impl Annotated {
    /// The picture's pixels.
    ///
    /// # Errors
    /// What [`picture::read`] and [`FrameReader::read`] refuse; [`Error::Content`] where it is no file, or not of the size that is said
    /// of it.
    pub fn read(&self) -> Result<Picture> {
        let (picture, said) = match &self.pixels {
            Pixels::File { size } => (self.read_file()?, *size),
            Pixels::Frame { video, at } => (video.read(*at)?, Some(at.size)),
        };
        let found = (picture.width, picture.height);
        let Some((width, height)) = said.filter(|said| *said != found) else { return Ok(picture) };
        let (what, who, way_out) = match self.pixels {
            Pixels::File { .. } => {
                ("picture, turned as its EXIF says,", "annotations", "give the one that they were made on, or take their sizes out")
            }
            Pixels::Frame { .. } => ("frame", "JSON lines", "give the video that they were made of"),
        };
        let problem = format!("the {what} is {}×{}, and the {who} say {width}×{height}; {way_out}", found.0, found.1);
        Err(Error::content(&self.path, problem))
    }

    fn read_file(&self) -> Result<Picture> {
        file::length(&self.path, "no file; the data set must name a picture file")?;
        picture::read(&self.path)
    }

    /// A picture file.
    #[must_use]
    pub const fn file(path: PathBuf, objects: Vec<Labelled>) -> Self {
        Self { path, pixels: Pixels::File { size: None }, objects }
    }
}

impl Labelled {
    /// The pixels it covers in a picture of `width`×`height`; `path` stands in the error.
    ///
    /// # Errors
    /// [`Error::Content`] where the box lies outside the picture.
    pub fn rect(&self, width: u32, height: u32, path: &Path) -> Result<Rect> {
        let covered = match &self.place {
            Place::Whole => Rect::whole(width, height),
            Place::Box(bbox) => Rect::cover(bbox, width, height),
        };
        covered.ok_or_else(|| {
            let place = match &self.place {
                Place::Box(BBox { x, y, w, h }) => format!("({x} {y} {w} {h})"),
                Place::Whole => "(the whole)".to_owned(),
            };
            Error::content(path, format!("the box {place} of annotation {} lies outside the {width}×{height} picture", self.id))
        })
    }
}

/// Category names as they come, each with its index.
#[derive(Debug, Default)]
struct Categories {
    names: Vec<Arc<str>>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Categories {
    fn index(&mut self, name: &str) -> usize {
        if let Some(&index) = self.by_name.get(name) {
            return index;
        }
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.by_name.insert(name, self.names.len() - 1);
        self.names.len() - 1
    }
}

/// A file of text, behind the mark of byte order that some editors put first.
fn text_file(path: &Path) -> Result<BufReader<File>> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let mut reader = BufReader::new(File::open(path).map_err(Error::file("read", path))?);
    if reader.fill_buf().map_err(Error::file("read", path))?.starts_with(MARK) {
        reader.consume(MARK.len());
    }
    Ok(reader)
}

/// A folder's entries, in name order.
fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::file("read", folder))?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>().map_err(Error::file("read", folder))?;
    paths.sort();
    Ok(paths)
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|own| endings.iter().any(|ending| own.eq_ignore_ascii_case(ending)))
}
