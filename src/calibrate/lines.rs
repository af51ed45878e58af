//! Verdicts that were given before: the JSON lines of `uniood run`, `uniood score --json` and the element's pad `meta`.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use super::Known;
use crate::{Error, Result, data::frames, report::FrameReport};

/// One scored object of footage.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its stream.
    pub stream: String,
    /// Nanoseconds from the stream's beginning, or the frame's number where frames have no time.
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
    /// First and last time of each stream, in nanoseconds; streams whose frames have no time are not in it.
    pub spans: BTreeMap<String, (u64, u64)>,
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
        let mut tracks = HashSet::new();
        let mut seconds: BTreeMap<(&str, u64), u64> = BTreeMap::new();
        let mut taken = Vec::new();
        for seen in &self.objects {
            let take = match seen.track {
                Some(track) => tracks.insert((seen.stream.as_str(), track)),
                None if self.spans.contains_key(&seen.stream) => {
                    *seconds.entry((&seen.stream, seen.time / 1_000_000_000)).or_insert(seen.time) == seen.time
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
    if let Some(time) = frame.timestamp {
        let span = footage.spans.entry(frame.stream_id.to_string()).or_insert((time, time));
        *span = (span.0.min(time), span.1.max(time));
    }
    for object in &frame.objects {
        let verdict = &object.ood;
        let (Some(omega), Some(nearest)) = (verdict.omega.filter(|omega| omega.is_finite()), &verdict.nearest) else { continue };
        if let Some(other) = verdict.model.as_ref().filter(|other| other.name != model) {
            return Err(other.name.to_string());
        }
        footage.objects.push(Seen {
            stream: frame.stream_id.to_string(),
            time: frame.timestamp.unwrap_or(frame.frame_id),
            track: object.id,
            omega,
            nearest: nearest.to_string(),
        });
    }
    Ok(())
}
