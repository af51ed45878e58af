//! A video with JSON lines of ours (`uniood.frame/1`): each line is a picture, its objects are the labels.
//!
//! What `uniood run` wrote becomes data once it was looked through. An object's label is
//!
//! 1. its `roi_type`, where it is not the detection's `label`: they are written alike, so somebody corrected it, whatever it says now (where it says
//!    `object`, which is no label, the `label` was corrected);
//! 2. its `roi_type`, where that is one of the classes;
//! 3. the verdict's `nearest` class, where the verdict is `id`;
//! 4. what the detector called it, or [`UNNAMED`], where the verdict is `ood`: a thing of no class.
//!
//! An unscored object that has no label by the first two is there, but not to be learned from or counted. Boxes are `x`, `y`, `w`, `h`.

use std::{
    io::{BufRead, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Annotated, Categories, DataSet, Faults, FrameAt, FrameReader, Labelled, Layout, Pixels, Place, text_file};
use crate::{
    Error, Result,
    geometry::BBox,
    report::{FrameReport, ObjectReport, SCHEMA, TrackReport, is_track},
};

/// A line this long holds no frame of ours.
const LONGEST: u64 = 64 << 20;

/// The category of an OOD object that the detector has no word for.
pub const UNNAMED: &str = "unnamed";

/// What `roi_type` is where the detector says no label.
const NO_LABEL: &str = "object";

/// The frames of a file of JSON lines, one after the other, each with its line's number; a line may be none. Lines of tracks and empty ones
/// are passed over.
pub(crate) fn frames(path: &Path, mut take: impl FnMut(usize, Result<FrameReport<'_>, serde_json::Error>) -> Result<()>) -> Result<()> {
    let mut reader = text_file(path)?;
    let mut line = Vec::new();
    for number in 1_usize.. {
        line.clear();
        let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line).map_err(Error::file("read", path))?;
        if read == 0 {
            break;
        }
        if line.trim_ascii().is_empty() || is_track(&line) {
            continue;
        }
        let frame: Result<FrameReport<'_>, serde_json::Error> = serde_json::from_slice(&line);
        // A track's line that went through another program may be spaced in another way.
        if frame.is_err() && serde_json::from_slice::<TrackReport<'_>>(&line).is_ok() {
            continue;
        }
        take(number, frame)?;
    }
    Ok(())
}

/// What the first frame of a file of JSON lines says of where it came from.
///
/// # Errors
/// [`Error::File`] where it cannot be read.
pub fn source(path: &Path) -> Result<Option<PathBuf>> {
    let mut reader = text_file(path)?;
    let mut line = Vec::new();
    reader.by_ref().take(LONGEST).read_until(b'\n', &mut line).map_err(Error::file("read", path))?;
    let frame: Option<FrameReport<'_>> = serde_json::from_slice(&line).ok();
    Ok(frame.and_then(|frame| frame.source).map(|source| PathBuf::from(&*source)))
}

/// Reads the lines; one that is broken is a fault.
pub(super) fn open(path: &Path, video: &Arc<dyn FrameReader>, classes: &[String], faults: &mut Faults) -> Result<DataSet> {
    let mut categories = Categories::default();
    let mut pictures = Vec::new();
    frames(path, |number, frame| {
        let fault = |problem: String| Error::content(path, format!("line {number} {problem}"));
        let frame = match frame {
            Ok(frame) if frame.schema == SCHEMA => frame,
            Ok(frame) => return faults.add(fault(format!("has the form `{}`; wanted `{SCHEMA}`", frame.schema))),
            Err(error) => return faults.add(fault(format!("is no frame of uniood's: {error}"))),
        };
        // Nothing is known of a frame that went on unscored, and what befell a camera is no frame.
        if frame.error.is_some() || frame.event.is_some() {
            return Ok(());
        }
        let mut objects = Vec::with_capacity(frame.objects.len());
        for object in &frame.objects {
            match labelled(object, classes, &mut categories, faults) {
                Ok(object) => objects.push(object),
                Err(problem) => faults.add(fault(problem))?,
            }
        }
        let size = (frame.resolution.width, frame.resolution.height);
        let at = FrameAt { number: frame.frame_id, time: frame.timestamp, size };
        let name = PathBuf::from(format!("{}#{}", video.path().display(), frame.frame_id));
        pictures.push(Annotated { path: name, pixels: Pixels::Frame { video: Arc::clone(video), at }, objects });
        Ok(())
    })?;
    Ok(DataSet { path: path.to_owned(), layout: Layout::Video, categories: categories.names, pictures })
}

fn labelled(object: &ObjectReport<'_>, classes: &[String], categories: &mut Categories, faults: &mut Faults) -> Result<Labelled, String> {
    #[expect(clippy::cast_precision_loss, reason = "frames are far below 2^24 pixels a side")]
    let [x, y, w, h] = [object.x, object.y, object.w, object.h].map(|pixels| pixels as f32);
    if object.w == 0 || object.h == 0 {
        return Err(format!("has an empty box in object {}", object.region_id));
    }
    let (label, whose) = label(object, classes);
    faults.verdicts += usize::from(whose == Whose::Verdict);
    let (id, ignore) = (object.region_id.to_string().into(), whose == Whose::Nobodys);
    faults.ignored += usize::from(ignore);
    Ok(Labelled { id, category: categories.index(label), place: Place::Box(BBox { x, y, w, h }), ignore })
}

/// Whose word a label is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// A person's or the detector's.
    Said,
    /// The verdict's.
    Verdict,
    /// There is none, so the object is to be left alone.
    Nobodys,
}

/// An object's label.
fn label<'a>(object: &'a ObjectReport<'_>, classes: &[String]) -> (&'a str, Whose) {
    let said = object.roi_type.trim();
    let detected = object.detection.label.as_deref().map_or(NO_LABEL, str::trim);
    let word = if said.is_empty() || said == NO_LABEL { detected } else { said };
    let is_class = |name: &str| classes.iter().any(|class| class.trim().to_lowercase() == name.to_lowercase());
    let unnamed = if detected == NO_LABEL { UNNAMED } else { detected };
    if (said != detected && word != NO_LABEL) || is_class(word) {
        return (word, Whose::Said);
    }
    match (&*object.ood.label, &object.ood.nearest) {
        ("id", Some(nearest)) => (nearest.trim(), Whose::Verdict),
        ("ood", _) => (unnamed, Whose::Verdict),
        _ => (unnamed, Whose::Nobodys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(roi_type: &str, detected: Option<&str>, verdict: &str, nearest: Option<&str>) -> ObjectReport<'static> {
        let mut value = json!({
            "region_id": 0, "x": 1, "y": 2, "w": 3, "h": 4, "roi_type": roi_type,
            "detection": {"bounding_box": {"x_min": 0.0, "y_min": 0.0, "x_max": 0.1, "y_max": 0.1}, "confidence": 0.9},
            "ood": {"label": verdict},
        });
        if let Some(detected) = detected {
            value["detection"]["label"] = json!(detected);
        }
        if let Some(nearest) = nearest {
            value["ood"]["nearest"] = json!(nearest);
        }
        serde_json::from_value(value).unwrap()
    }

    const FRAME: &str = r#"{"schema":"uniood.frame/1","stream_id":"a","frame_id":0,"resolution":{"width":9,"height":9},"source":"a.mp4","objects":[],"image":null,"timings_ms":{"detect":0,"encode":0,"total":0},"error":null}"#;

    #[test]
    fn frames_are_found_among_whatever_else_an_edited_file_holds() {
        let view = json!({"frame_id": 0, "x": 0, "y": 0, "w": 1, "h": 1, "confidence": 0.5});
        let track = json!({
            "event": "end", "id": 1, "stream_id": "a", "schema": "uniood.track/1", "resolution": {"width": 9, "height": 9}, "roi_type": "car",
            "frames": 1, "ood_frames": 0, "first": view, "last": view, "best": view, "ood": {"label": "unscored"},
        });
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("drive.jsonl");
        // A mark of byte order, ends of lines as Windows has them, empty lines, a track whose keys are in another order.
        std::fs::write(&path, format!("\u{feff}{FRAME}\r\n\r\n{track}\n{FRAME}\n{{}}\n \n")).unwrap();
        let mut found = Vec::new();
        frames(&path, |number, frame| {
            found.push((number, frame.is_ok()));
            Ok(())
        })
        .unwrap();
        assert_eq!(found, [(1, true), (4, true), (5, false)]);
        assert_eq!(source(&path).unwrap(), Some(PathBuf::from("a.mp4")));
    }

    #[test]
    fn a_label_is_what_a_person_said_then_the_detector_then_the_verdict() {
        use Whose::{Nobodys, Said, Verdict};
        let classes = ["car", "pedestrian"].map(str::to_owned);
        for (said, detected, verdict, nearest, wanted) in [
            // As they were written.
            ("car", Some("car"), "id", Some("pedestrian"), ("car", Said)),
            ("Car", Some("Car"), "ood", Some("car"), ("Car", Said)),
            ("person", Some("person"), "id", Some("pedestrian"), ("pedestrian", Verdict)),
            ("cow", Some("cow"), "ood", Some("car"), ("cow", Verdict)),
            ("object", None, "id", Some("car"), ("car", Verdict)),
            ("object", None, "ood", Some("car"), (UNNAMED, Verdict)),
            ("object", None, "unscored", None, (UNNAMED, Nobodys)),
            ("car", Some("car"), "unscored", None, ("car", Said)),
            // Corrected by hand.
            ("deer", None, "id", Some("car"), ("deer", Said)),
            ("deer", Some("person"), "id", Some("pedestrian"), ("deer", Said)),
            ("car", None, "ood", Some("pedestrian"), ("car", Said)),
            ("pedestrian", Some("car"), "unscored", None, ("pedestrian", Said)),
            ("object", Some("truck"), "id", Some("car"), ("truck", Said)),
            // Emptied: nobody says anything.
            ("", None, "id", Some("car"), ("car", Verdict)),
            ("", None, "ood", Some("car"), (UNNAMED, Verdict)),
        ] {
            assert_eq!(label(&object(said, detected, verdict, nearest), &classes), wanted, "{said} {detected:?} {verdict} {nearest:?}");
        }
    }
}
