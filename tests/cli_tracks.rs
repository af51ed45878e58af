//! `uniood run --events` on a clip of rendered streets: what is told of tracks is what the frames' lines say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/program.rs"]
mod program;
#[path = "common/streets.rs"]
mod streets;

use std::{collections::BTreeMap, fs, path::Path};

use program::{plugin_is_built, run};
use serde_json::Value;
use street_world::film::{Film, Settings};

const FRAMES: usize = 45;

/// The clip's lines under these settings. `None`, said aloud, where the plugin was not built.
fn lines(dir: &Path, more: &[&str]) -> Option<Vec<Value>> {
    if !plugin_is_built() {
        return None;
    }
    let clip = dir.join("street.mp4");
    if !clip.exists() {
        let film = Film::new(&Settings { seed: 41_000_002, fps: 10.0, ..Settings::default() }).unwrap();
        streets::clip(film.take(FRAMES), &clip);
    }
    let text = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (clip, out, cache) = (text("street.mp4"), text("out"), text("cache"));
    let fixed = ["run", &clip, "--out", &out, "--model-cache-dir", &cache, "--tracker", "sort", "--reclassify-interval", "10"];
    run(&[&fixed, more].concat()).check(0, "");
    let text = fs::read_to_string(dir.join("out/street.jsonl")).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// What the frames' lines come to for one track.
#[derive(Default)]
struct Seen {
    frames: u64,
    ood_frames: u64,
    most_observations: u64,
    first: u64,
    last: Value,
}

#[test]
fn every_track_with_a_verdict_starts_and_ends_and_its_end_sums_up_what_frames_said() {
    common::completes_within(std::time::Duration::from_mins(4), || {
        let dir = tempfile::tempdir().unwrap();
        let Some(both) = lines(dir.path(), &["--events", "both", "--event-interval", "1"]) else { return };
        let mut seen: BTreeMap<u64, Seen> = BTreeMap::new();
        let frames: Vec<&Value> = both.iter().filter(|line| line["schema"] == "uniood.frame/1").collect();
        assert_eq!(frames.len(), FRAMES);
        for frame in frames {
            for object in frame["objects"].as_array().unwrap() {
                let Some(id) = object["id"].as_u64() else { continue };
                let track = seen.entry(id).or_insert_with(|| Seen { first: frame["frame_id"].as_u64().unwrap(), ..Seen::default() });
                track.frames += 1;
                track.ood_frames += u64::from(object["ood"]["label"] == "ood");
                track.most_observations = track.most_observations.max(object["ood"]["observations"].as_u64().unwrap_or(0));
                if object["ood"]["omega"].is_number() {
                    track.last = object["ood"].clone();
                }
            }
        }
        let started: Vec<u64> = seen.iter().filter(|(_, track)| track.most_observations >= 3).map(|(id, _)| *id).collect();
        assert!(started.len() >= 3, "the clip has tracks: {started:?}");
        let told = |event: &str| -> Vec<&Value> {
            both.iter().filter(|line| line["schema"] == "uniood.track/1" && line["event"] == event).collect()
        };
        let ids = |lines: &[&Value]| {
            let mut ids: Vec<u64> = lines.iter().map(|line| line["id"].as_u64().unwrap()).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!((ids(&told("start")), ids(&told("end"))), (started.clone(), started));
        assert!(!told("update").is_empty(), "more than a second passes");
        for end in told("end") {
            let track = &seen[&end["id"].as_u64().unwrap()];
            assert_eq!((end["frames"].as_u64(), end["ood_frames"].as_u64()), (Some(track.frames), Some(track.ood_frames)), "{end}");
            assert_eq!((end["first"]["frame_id"].as_u64(), &end["ood"]), (Some(track.first), &track.last), "{end}");
            let area = |view: &Value| view["w"].as_u64().unwrap() * view["h"].as_u64().unwrap();
            assert!(area(&end["best"]) > 0 && end["run_id"].is_string());
        }

        let tracks = lines(dir.path(), &["--events", "tracks", "--event-interval", "1"]).unwrap();
        let told = |lines: &[Value]| -> Vec<(Value, Value)> {
            let of_tracks = lines.iter().filter(|line| line["schema"] == "uniood.track/1");
            of_tracks.map(|line| (line["event"].clone(), line["id"].clone())).collect()
        };
        assert_eq!(told(&tracks), told(&both));
        assert_eq!(tracks.len(), told(&tracks).len(), "no frame is told of");
    });
}

#[test]
fn events_of_tracks_want_a_tracker() {
    run(&["run", "clip.mp4", "--out", "out", "--events", "tracks"]).check(2, "add --tracker sort");
}
