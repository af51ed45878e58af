//! Verdicts that were given before: the JSON lines of `uniood run`, `uniood score --json` and the element's pad `meta`.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use super::Known;
use crate::{
    Error, Result,
    data::frames,
    report::{FrameReport, SCHEMA},
};

/// One scored object of footage.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its stream.
    pub stream: String,
    /// The run of the stream: times and tracks begin anew with each. Empty where nobody named one.
    pub run: String,
    /// Nanoseconds from the run's beginning, or the frame's number where frames have no time.
    pub time: u64,
    /// Its track, where there is a tracker.
    pub track: Option<u64>,
    /// `s = max_c Ω_c`.
    pub omega: f32,
    /// The class of the highest Ω.
    pub nearest: String,
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Footage {
    /// In the order of the lines.
    pub objects: Vec<Seen>,
    /// Frames that were read.
    pub frames: usize,
    /// First and last time of each run of a stream, in nanoseconds, by stream and run; those whose frames have no time are not in it.
    pub spans: BTreeMap<(String, String), (u64, u64)>,
}

impl Footage {
    /// All objects as known ones.
    #[must_use]
    pub fn known(&self) -> Vec<Known> {
        let of = |seen: &Seen| Known { omega: seen.omega, nearest: seen.nearest.clone(), stream: Some(seen.stream.clone()) };
        self.objects.iter().map(of).collect()
    }

    /// Objects that are more or less independent of one another: of each track the first; without tracks, what is in the first
    /// frame of each second that has an object.
    #[must_use]
    pub fn independent(&self) -> Vec<f32> {
        let timed: HashSet<(&str, &str)> = self.spans.keys().map(|(stream, run)| (stream.as_str(), run.as_str())).collect();
        let mut tracks = HashSet::new();
        let mut seconds: BTreeMap<(&str, &str, u64), u64> = BTreeMap::new();
        let mut taken = Vec::new();
        for seen in &self.objects {
            let (stream, run) = (seen.stream.as_str(), seen.run.as_str());
            let take = match seen.track {
                Some(track) => tracks.insert((stream, run, track)),
                None if timed.contains(&(stream, run)) => {
                    *seconds.entry((stream, run, seen.time / 1_000_000_000)).or_insert(seen.time) == seen.time
                }
                // Pictures.
                None => true,
            };
            if take {
                taken.push(seen.omega);
            }
        }
        taken
    }

    /// How long all streams together are.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of years")]
        let length = |(first, last): &(u64, u64)| last.saturating_sub(*first) as f64 / 1e9;
        self.spans.values().map(length).sum()
    }
}

/// Adds the frames of the file at `path`, all verdicts of the model set `model`.
///
/// # Errors
/// [`Error::File`] where it cannot be read, [`Error::Content`] for a line that is none of ours and for verdicts of another set.
pub fn read_lines(path: &Path, model: &str, footage: &mut Footage) -> Result<()> {
    frames(path, |number, frame| {
        let frame = frame.map_err(|error| {
            Error::content(path, format!("line {number} is no frame of uniood's: {error}; give the JSON lines of `uniood run`"))
        })?;
        if frame.schema != SCHEMA {
            return Err(Error::content(path, format!("line {number} has the form `{}`; wanted `{SCHEMA}`", frame.schema)));
        }
        if let Err(other) = take(&frame, model, footage) {
            let problem =
                format!("line {number} has a verdict of model set `{other}`, and this is `{model}`; run the footage with this set first");
            return Err(Error::content(path, problem));
        }
        Ok(())
    })
}

/// Adds a frame; an error is the name of another model set.
fn take(frame: &FrameReport<'_>, model: &str, footage: &mut Footage) -> std::result::Result<(), String> {
    // What befell a camera is no frame.
    if frame.event.is_some() {
        return Ok(());
    }
    footage.frames += 1;
    let (stream, run) = (frame.stream_id.to_string(), frame.run_id.as_deref().unwrap_or_default().to_owned());
    if let Some(time) = frame.timestamp {
        let span = footage.spans.entry((stream.clone(), run.clone())).or_insert((time, time));
        *span = (span.0.min(time), span.1.max(time));
    }
    for object in &frame.objects {
        let verdict = &object.ood;
        let (Some(omega), Some(nearest)) = (verdict.omega.filter(|omega| omega.is_finite()), &verdict.nearest) else { continue };
        if let Some(other) = verdict.model.as_ref().filter(|other| other.name != model) {
            return Err(other.name.to_string());
        }
        footage.objects.push(Seen {
            stream: stream.clone(),
            run: run.clone(),
            time: frame.timestamp.unwrap_or(frame.frame_id),
            track: object.id,
            omega,
            nearest: nearest.to_string(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A frame of one object.
    fn line(run: Option<&str>, second: u64, track: u64, schema: &str) -> String {
        let mut line = json!({
            "schema": schema, "stream_id": "gate", "frame_id": second, "timestamp": second * 1_000_000_000, "image": null, "error": null,
            "resolution": {"width": 9, "height": 9}, "timings_ms": {"detect": 0.0, "encode": 0.0, "total": 0.0},
            "objects": [{"id": track, "region_id": 0, "x": 0, "y": 0, "w": 2, "h": 2, "roi_type": "object",
                "detection": {"bounding_box": {"x_min": 0.0, "y_min": 0.0, "x_max": 0.2, "y_max": 0.2}, "confidence": 0.9},
                "ood": {"label": "id", "omega": 0.5, "nearest": "car", "model": {"name": "street"}}}],
        });
        if let Some(run) = run {
            line["run_id"] = json!(run);
        }
        line.to_string() + "\n"
    }

    fn read(lines: &[String]) -> Result<Footage> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gate.jsonl");
        std::fs::write(&path, lines.concat()).unwrap();
        let mut footage = Footage::default();
        read_lines(&path, "street", &mut footage).map(|()| footage)
    }

    #[test]
    fn runs_of_a_stream_in_one_file_are_told_apart() {
        let day = |run: Option<&str>| [line(run, 0, 1, SCHEMA), line(run, 60, 1, SCHEMA)];
        let footage = read(&[day(Some("monday")), day(Some("tuesday"))].concat()).unwrap();
        assert!((footage.seconds() - 120.0).abs() < 1e-9, "{:?}", footage.spans);
        assert_eq!(footage.independent().len(), 2, "a track of each");
        let one = read(&[day(None), day(None)].concat()).unwrap();
        assert_eq!((one.spans.len(), one.independent().len()), (1, 1));
    }

    #[test]
    fn another_version_of_the_form_is_refused() {
        let error = read(&[line(None, 0, 1, SCHEMA), line(None, 1, 1, "uniood.frame/9")]).unwrap_err().to_string();
        assert!(error.contains("line 2 has the form `uniood.frame/9`"), "{error}");
    }
}
