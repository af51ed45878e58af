//! What the tests share: a golden model set, a watchdog, a rig of test pads around the element, whole pipelines.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, OnceLock,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    time::{Duration, Instant},
};

use gst::{glib, prelude::*};
use gst_video::{VideoFormat, VideoFrameExt, VideoInfo};
use serde_json::{Value, json};
use tempfile::TempDir;

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

pub(crate) fn workspace_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|dir| dir.join("tests/golden").is_dir()).expect("the workspace's root")
}

/// Larger test data beside the repository; where there are none, says that the test is skipped.
pub(crate) fn shared_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("UNIOOD_SHARED").map_or_else(|| workspace_dir().join("../shared"), PathBuf::from).join("data");
    let found = dir.is_dir().then_some(dir);
    if found.is_none() {
        eprintln!("skipped: no ../shared; point UNIOOD_SHARED at it");
    }
    found
}

/// What was built beside this test.
pub(crate) fn built(name: &str) -> Option<PathBuf> {
    let found = std::env::current_exe().unwrap().ancestors().find_map(|dir| Some(dir.join(name)).filter(|file| file.exists()));
    if found.is_none() {
        eprintln!("skipped: {name} is not built");
    }
    found
}

/// The plugin of this build, where there is a `gst-launch-1.0` to load it.
pub(crate) fn plugin_for_launch() -> Option<PathBuf> {
    let plugin = built("libgstuniood.so")?;
    if Command::new("gst-launch-1.0").arg("--version").output().is_err() {
        eprintln!("skipped: no gst-launch-1.0");
        return None;
    }
    Some(plugin)
}

/// Whether all elements are installed; says that the test is skipped where one is not.
pub(crate) fn have(elements: &[&str]) -> bool {
    let missing = elements.iter().find(|element| gst::ElementFactory::find(element).is_none());
    if let Some(missing) = missing {
        eprintln!("skipped: GStreamer has no {missing}");
    }
    missing.is_none()
}

/// Runs `body` on a thread of its own; a hang becomes a failure.
#[track_caller]
pub(crate) fn completes_within<T: Send + 'static>(limit: Duration, body: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = sync_channel(1);
    let worker = std::thread::Builder::new().name("watched".to_owned()).spawn(move || done.send(body())).unwrap();
    match result.recv_timeout(limit) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("not done within {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("it has sent its value"),
        },
    }
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
    let golden = workspace_dir().join("tests/golden/quick_gelu_g7");
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

/// What came out of a rig.
#[derive(Debug)]
pub(crate) enum Out {
    Buffer(gst::Buffer),
    Event(gst::Event),
}

/// Test pads before and behind the element, which is in PLAYING; everything that comes out is kept in order.
pub(crate) struct Rig {
    pub(crate) filter: gst::Element,
    pub(crate) src: gst::Pad,
    pub(crate) sink: gst::Pad,
    pub(crate) bus: gst::Bus,
    pub(crate) out: Receiver<Out>,
}

impl Rig {
    pub(crate) fn new(filter: gst::Element) -> Self {
        Self::with_sink(filter, |sink| sink)
    }

    /// The sink pad may be given functions of its own.
    pub(crate) fn with_sink(filter: gst::Element, change: impl FnOnce(gst::PadBuilder<gst::Pad>) -> gst::PadBuilder<gst::Pad>) -> Self {
        let raw = gst::Caps::new_empty_simple("video/x-raw");
        let template = |name, direction| gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &raw).unwrap();
        let (keep, out) = sync_channel(100_000);
        let keep_event = keep.clone();
        let sink = gst::Pad::builder_from_template(&template("sink", gst::PadDirection::Sink))
            .chain_function(move |_, _, buffer| {
                keep.send(Out::Buffer(buffer)).map(|()| gst::FlowSuccess::Ok).map_err(|_| gst::FlowError::Error)
            })
            .event_function(move |_, _, event| keep_event.send(Out::Event(event)).is_ok());
        let sink = change(sink).build();
        let src = gst::Pad::from_template(&template("src", gst::PadDirection::Src));
        let bus = gst::Bus::new();
        filter.set_bus(Some(&bus));
        sink.set_active(true).unwrap();
        src.link(&filter.static_pad("sink").unwrap()).unwrap();
        filter.static_pad("src").unwrap().link(&sink).unwrap();
        filter.set_state(gst::State::Playing).unwrap_or_else(|_| panic!("{}", first_error(&bus)));
        src.set_active(true).unwrap();
        Self { filter, src, sink, bus, out }
    }

    /// Stream-start, caps and segment.
    pub(crate) fn start(&self, info: &VideoInfo) {
        assert!(self.src.push_event(gst::event::StreamStart::new("test")));
        self.caps(info);
        assert!(self.src.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    }

    pub(crate) fn caps(&self, info: &VideoInfo) {
        assert!(self.src.push_event(gst::event::Caps::new(&info.to_caps().unwrap())));
    }

    pub(crate) fn push(&self, buffer: gst::Buffer) {
        assert_eq!(self.src.push(buffer), Ok(gst::FlowSuccess::Ok));
    }

    /// Sends EOS and gives everything up to it.
    pub(crate) fn finish(&self) -> Vec<Out> {
        assert!(self.src.push_event(gst::event::Eos::new()));
        let mut all = Vec::new();
        loop {
            let item = self.out.recv_timeout(HANG).expect("EOS comes out");
            let is_eos = matches!(&item, Out::Event(event) if event.type_() == gst::EventType::Eos);
            all.push(item);
            if is_eos {
                return all;
            }
        }
    }

    /// The buffers up to EOS.
    pub(crate) fn buffers(&self) -> Vec<gst::Buffer> {
        self.finish().into_iter().filter_map(|out| if let Out::Buffer(buffer) = out { Some(buffer) } else { None }).collect()
    }

    /// The next buffer.
    pub(crate) fn buffer(&self) -> gst::Buffer {
        loop {
            if let Out::Buffer(buffer) = self.out.recv_timeout(HANG).expect("a buffer comes out") {
                return buffer;
            }
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // As an upstream element would: its pad is inactive before the element stops.
        let _ = self.src.set_active(false);
        let _ = self.filter.set_state(gst::State::Null);
        let _ = self.sink.set_active(false);
        // Its messages hold the element, which holds the bus.
        self.filter.set_bus(None);
    }
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

/// A property as the text that a launch line would hold.
pub(crate) fn shown(object: &impl IsA<glib::Object>, property: &str) -> String {
    let value = object.property_value(property);
    value.serialize().map_or_else(|_| format!("{value:?}"), |text| text.to_string())
}
