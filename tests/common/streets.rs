//! Rendered streets: pictures with their truth, and clips.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use serde_json::Value;
use street_world::{
    class::Kind,
    film::{self, Frame, Settings},
    truth::coco::{Coco, Ids},
};

use crate::program::launch;

/// A scene for each seed, in the layout of a COCO set; the file with the truth, after a change.
pub(crate) fn streets(folder: &Path, seeds: Range<u64>, settings: &Settings, change: impl FnOnce(&mut Value)) -> PathBuf {
    fs::create_dir_all(folder.join("images")).unwrap();
    let mut coco = Coco::new(&[Kind::Id, Kind::NamedOod, Kind::UnseenOod, Kind::LookAlike], Ids::Number);
    for seed in seeds {
        let frame = film::still(&Settings { seed, ..*settings }).unwrap();
        let name = format!("{seed}.png");
        fs::write(folder.join("images").join(&name), frame.picture.png()).unwrap();
        coco.push(&name, &frame.truth);
    }
    let mut json: Value = serde_json::from_str(&coco.json()).unwrap();
    change(&mut json);
    let path = folder.join("instances.json");
    fs::write(&path, json.to_string()).unwrap();
    path
}

/// Takes away the objects that are to be ignored.
pub(crate) fn without_ignored(coco: &mut Value) {
    coco["annotations"].as_array_mut().unwrap().retain(|annotation| annotation["ignore"] != 1);
}

/// A video of these frames, ten a second.
pub(crate) fn clip(frames: impl Iterator<Item = Frame>, video: &Path) {
    let stills = tempfile::tempdir().unwrap();
    for (index, frame) in frames.enumerate() {
        fs::write(stills.path().join(format!("{index:03}.png")), frame.picture.png()).unwrap();
    }
    launch(&format!(
        "multifilesrc location={}/%03d.png caps=image/png,framerate=10/1 ! pngdec ! videoconvert ! video/x-raw,format=I420 ! \
         x264enc speed-preset=ultrafast ! mp4mux ! filesink location={}",
        stills.path().display(),
        video.display()
    ));
}
