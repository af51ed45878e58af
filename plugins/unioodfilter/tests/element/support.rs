//! What the tests share: a golden model set, frames, whole pipelines.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use gst::{glib, prelude::*};
use gst_video::{VideoFormat, VideoFrameExt, VideoInfo};
use serde_json::{Value, json};
use tempfile::TempDir;
use uniood::verdict::{Scored, Verdict};

use crate::common::{golden_dir, skip};
pub(crate) use crate::{
    common::{completes_within, shared, workspace_dir},
    rig::{Lines, Out, Rig},
};

/// Nothing here takes longer unless it hangs.
pub(crate) const HANG: Duration = Duration::from_mins(1);

/// Starts GStreamer with the element of this build.
pub(crate) fn init() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        gst::init().unwrap();
        gstuniood::plugin_register_static().unwrap();
    });
}

/// What was built beside this test.
pub(crate) fn built(name: &str) -> Option<PathBuf> {
    let found = std::env::current_exe().unwrap().ancestors().find_map(|dir| Some(dir.join(name)).filter(|file| file.exists()));
    if found.is_none() {
        skip(&format!("{name} is not built"));
    }
    found
}

/// The plugin of this build, where there is a `gst-launch-1.0` to load it.
pub(crate) fn plugin_for_launch() -> Option<PathBuf> {
    let plugin = built("libgstuniood.so")?;
    if Command::new("gst-launch-1.0").arg("--version").output().is_err() {
        skip("there is no gst-launch-1.0");
        return None;
    }
    Some(plugin)
}

/// Whether all elements are installed; says that the test is skipped where one is not.
pub(crate) fn have(elements: &[&str]) -> bool {
    init();
    let missing = elements.iter().find(|element| gst::ElementFactory::find(element).is_none());
    if let Some(missing) = missing {
        skip(&format!("GStreamer has no {missing}"));
    }
    missing.is_none()
}

/// A golden CLIP as a model set without a detector.
pub(crate) struct ModelSet {
    dir: PathBuf,
    /// The folder goes with the value.
    _own: Option<TempDir>,
}

impl ModelSet {
    /// The set as it is; its folder stays for the next test.
    pub(crate) fn golden() -> Self {
        let own = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden-set");
        fs::create_dir_all(&dir).unwrap();
        let manifest = own.path().join("uniood.json");
        fs::write(&manifest, golden_manifest().to_string()).unwrap();
        // Whole or not at all: other tests read it at the same time.
        fs::rename(&manifest, dir.join("uniood.json")).unwrap();
        Self { dir, _own: None }
    }

    /// The set with its manifest changed, or other files put beside it.
    pub(crate) fn written(change: impl FnOnce(&mut Value, &Path)) -> Self {
        let own = tempfile::tempdir().unwrap();
        let mut manifest = golden_manifest();
        change(&mut manifest, own.path());
        fs::write(own.path().join("uniood.json"), manifest.to_string()).unwrap();
        Self { dir: own.path().to_owned(), _own: Some(own) }
    }

    pub(crate) fn dir(&self) -> &str {
        self.dir.to_str().unwrap()
    }
}

fn golden_manifest() -> Value {
    let golden = golden_dir().join("quick_gelu_g7");
    let case: Value = serde_json::from_str(&fs::read_to_string(golden.join("case.json")).unwrap()).unwrap();
    json!({
        "schema": "uniood.models/1", "name": "golden", "licence": "MIT OR Apache-2.0", "clip": golden.join("clip"),
        "combiner": golden.join("combiner.safetensors"), "classes": case["classes"], "templates": case["templates"], "threshold": 0.0,
    })
}

/// The element over the golden set, the whole frame as its object.
pub(crate) fn filter(set: &ModelSet) -> gst::Element {
    init();
    gst::ElementFactory::make("unioodfilter")
        .property("model-dir", set.dir())
        .property("detector", "frame")
        .property("device", "cpu")
        .property("model-cache-dir", env!("CARGO_TARGET_TMPDIR"))
        .build()
        .unwrap()
}

/// Settings for a launch line, as [`filter`] has them.
pub(crate) fn launch_settings(set: &ModelSet) -> String {
    format!("model-dir={} detector=frame device=cpu model-cache-dir={}", set.dir(), env!("CARGO_TARGET_TMPDIR"))
}

/// A film of so many frames, 160×120; `None`, said aloud, where there is nothing to make or play it with.
pub(crate) fn film(dir: &Path, frames: usize) -> Option<PathBuf> {
    if !have(&["jpegenc", "jpegdec", "avimux", "avidemux"]) {
        return None;
    }
    let file = dir.join("film.avi");
    let line = format!(
        "videotestsrc num-buffers={frames} ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 ! jpegenc ! avimux ! \
         filesink location={}",
        file.display()
    );
    Pipeline::parse(&line).play().unwrap();
    Some(file)
}

pub(crate) fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    VideoInfo::builder(format, width, height).fps(gst::Fraction::new(25, 1)).build().unwrap()
}

/// The `number`th frame of a 25 fps stream, its pixels a pattern that depends on it.
pub(crate) fn picture(info: &VideoInfo, number: u64) -> gst::Buffer {
    let pixels: Vec<u8> = (0..info.size() as u64)
        .map(|at| ((at.wrapping_mul(2_654_435_761) >> 7) ^ (at >> 5) ^ number.wrapping_mul(37)).to_le_bytes()[0])
        .collect();
    stamped(gst::Buffer::from_mut_slice(pixels), number)
}

pub(crate) fn stamped(mut buffer: gst::Buffer, number: u64) -> gst::Buffer {
    let frame = gst::ClockTime::from_mseconds(40);
    let writable = buffer.make_mut();
    writable.set_pts(frame * number);
    writable.set_duration(frame);
    buffer
}

/// Pixels of a frame without its padding, plane by plane.
pub(crate) fn rows(buffer: &gst::Buffer, info: &VideoInfo) -> Vec<u8> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let mut all = Vec::new();
    for plane in 0..frame.n_planes() {
        let stride = frame.plane_stride()[plane as usize].unsigned_abs() as usize;
        let components: Vec<u32> = (0..frame.n_components()).filter(|c| frame.format_info().plane()[*c as usize] == plane).collect();
        let row = (frame.comp_width(components[0]) as usize) * (frame.comp_pstride(components[0]).unsigned_abs() as usize);
        for line in frame.plane_data(plane).unwrap().chunks(stride).take(frame.plane_height(plane) as usize) {
            all.extend_from_slice(&line[..row]);
        }
    }
    all
}

/// The first error on a bus, in words.
pub(crate) fn first_error(bus: &gst::Bus) -> String {
    match bus.timed_pop_filtered(gst::ClockTime::from_seconds(10), &[gst::MessageType::Error]) {
        Some(message) => said(&message),
        None => "no error was posted".to_owned(),
    }
}

/// The sentence with which a start fails; `None` where it does not.
pub(crate) fn refusal(filter: &gst::Element) -> Option<String> {
    let bus = gst::Bus::new();
    filter.set_bus(Some(&bus));
    let sentence = filter.set_state(gst::State::Paused).is_err().then(|| first_error(&bus));
    filter.set_state(gst::State::Null).unwrap();
    // Its messages hold the element, which holds the bus.
    filter.set_bus(None);
    sentence
}

/// What an error or warning says.
pub(crate) fn said(message: &gst::MessageRef) -> String {
    match message.view() {
        gst::MessageView::Error(error) => error.error().message().to_owned(),
        gst::MessageView::Warning(warning) => warning.error().message().to_owned(),
        _ => String::new(),
    }
}

/// A pipeline that is stopped however the test ends.
pub(crate) struct Pipeline(pub(crate) gst::Pipeline);

impl Pipeline {
    pub(crate) fn parse(line: &str) -> Self {
        init();
        let parsed = gst::parse::launch(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        Self(parsed.downcast().unwrap())
    }

    /// Plays to the end.
    ///
    /// # Errors
    /// The sentence of the first error.
    pub(crate) fn play(&self) -> Result<(), String> {
        let bus = self.0.bus().unwrap();
        let started = self.0.set_state(gst::State::Playing);
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = bus.timed_pop_filtered(gst::ClockTime::try_from(HANG).unwrap(), &kinds).expect("it ends in time");
        let outcome = if let gst::MessageView::Error(_) = end.view() { Err(said(&end)) } else { Ok(()) };
        assert!(started.is_ok() || outcome.is_err());
        self.0.set_state(gst::State::Null).unwrap();
        outcome
    }

    pub(crate) fn by_name(&self, name: &str) -> gst::Element {
        self.0.by_name(name).unwrap_or_else(|| panic!("no {name} in the pipeline"))
    }

    /// Keeps every buffer that passes the sink pad of the element `name`.
    pub(crate) fn keep(&self, name: &str) -> Arc<std::sync::Mutex<Vec<gst::Buffer>>> {
        let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
        let keep = Arc::clone(&kept);
        let pad = self.by_name(name).static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
            if let Some(buffer) = probe.buffer() {
                keep.lock().unwrap().push(buffer.clone());
            }
            gst::PadProbeReturn::Ok
        });
        kept
    }

    /// Reaches a state, or panics with the error.
    pub(crate) fn reach(&self, state: gst::State) {
        assert!(self.0.set_state(state).is_ok(), "{}", first_error(&self.0.bus().unwrap()));
        let (reached, ..) = self.0.state(gst::ClockTime::try_from(HANG).unwrap());
        assert!(reached.is_ok(), "{state:?}: {}", first_error(&self.0.bus().unwrap()));
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Fails when `body` takes longer than `limit`; it may still end late, but it must end.
#[track_caller]
pub(crate) fn takes_at_most<T>(limit: Duration, body: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let value = body();
    assert!(started.elapsed() < limit, "took {:?}", started.elapsed());
    value
}

/// A verdict that must be one.
#[track_caller]
pub(crate) fn scored(verdict: &Verdict) -> &Scored {
    match verdict {
        Verdict::Scored(scored) => scored,
        Verdict::Unscored(reason) => panic!("unscored: {reason:?}"),
    }
}

/// A property as the text that a launch line would hold.
pub(crate) fn shown(object: &impl IsA<glib::Object>, property: &str) -> String {
    let value = object.property_value(property);
    value.serialize().map_or_else(|_| format!("{value:?}"), |text| text.to_string())
}
