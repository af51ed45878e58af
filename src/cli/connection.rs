//! One connection to an input: a pipeline of its own that decodes and hands its frames over, so that whatever happens to it, what was
//! scored and recorded before is not touched.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use crossbeam_channel::{RecvTimeoutError, bounded};
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};
use gst_video::VideoMeta;
use uniood::address::Credentials;

use crate::{bus, entrance::Entrance, inputs::Input};

/// A pipeline from the input to the entrance.
pub(crate) struct Connection {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
}

/// What a connection has to say.
pub(crate) enum News {
    /// The input has ended.
    End,
    /// It cannot go on.
    Broken(Broken),
    /// It goes on all the same.
    Warning(String),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// A sentence without user and password.
    pub(crate) why: String,
    /// Whether another attempt with the same address would fail in the same way, as far as can be told from here.
    pub(crate) lasting: bool,
}

impl Connection {
    /// Connects; frames in one of the `formats` go into the `entrance` from then on.
    pub(crate) fn open(input: &Input, formats: &gst::Caps, entrance: &Arc<Entrance>) -> Result<Self, Broken> {
        let connection = Self::build(input, formats, entrance)
            .map_err(|error| Broken { why: input.hide(&format!("{error:#}")).into_owned(), lasting: true })?;
        if connection.pipeline.set_state(gst::State::Playing).is_ok() {
            return Ok(connection);
        }
        let broken = match connection.news(input, gst::ClockTime::ZERO) {
            Some(News::Broken(broken)) => broken,
            _ => Broken { why: "the input does not start".to_owned(), lasting: false },
        };
        connection.close(|| true);
        Err(broken)
    }

    fn build(input: &Input, formats: &gst::Caps, entrance: &Arc<Entrance>) -> Result<Self> {
        let pipeline = gst::Pipeline::new();
        let convert = make("videoconvert")?;
        let sink = AppSink::builder().caps(formats).sync(false).callbacks(callbacks(entrance)).build();
        pipeline.add_many([&convert, sink.upcast_ref()])?;
        convert.link(&sink)?;
        take_any_layout(&sink)?;
        source(input, &pipeline, &convert)?;
        let bus = pipeline.bus().context("a pipeline has a bus")?;
        Ok(Self { pipeline, bus })
    }

    /// The next thing it says; `None` where it says nothing for that long.
    pub(crate) fn news(&self, input: &Input, wait: gst::ClockTime) -> Option<News> {
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Warning, gst::MessageType::Latency];
        let message = bus::next(&self.bus, wait, &kinds)?;
        match message.view() {
            gst::MessageView::Eos(_) => Some(News::End),
            gst::MessageView::Error(error) => Some(News::Broken(Broken::new(input, error))),
            gst::MessageView::Warning(warning) => Some(News::Warning(input.hide(warning.error().message()).into_owned())),
            _ => {
                // A jitter buffer learns its latency late; where it cannot be told again, the old one stays.
                let _ = self.pipeline.recalculate_latency();
                None
            }
        }
    }

    /// Milliseconds that are over, and of how many, where that is known.
    pub(crate) fn position(&self) -> (Option<u64>, Option<u64>) {
        let milliseconds = |time: Option<gst::ClockTime>| time.map(gst::ClockTime::mseconds);
        (milliseconds(self.pipeline.query_position()), milliseconds(self.pipeline.query_duration()))
    }

    /// Stops it. Some sources say goodbye over the network first: `keep_waiting` is asked now and then whether to wait on.
    pub(crate) fn close(self, mut keep_waiting: impl FnMut() -> bool) {
        let (stopped, wait) = bounded(1);
        self.pipeline.call_async(move |pipeline| {
            // Nothing is left to be told where even stopping fails, or nobody waits.
            let _ = pipeline.set_state(gst::State::Null);
            let _ = stopped.send(());
        });
        while keep_waiting() && wait.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {}
    }
}

impl Broken {
    fn new(input: &Input, message: &gst::message::Error) -> Self {
        let error = message.error();
        let said = error.message().trim_end_matches('.');
        // Of a camera, GStreamer's sentence alone is often `Unhandled error`; what it is about stands behind the place in its source.
        let debug = message.debug().filter(|_| input.is_live());
        let detail = debug.as_deref().and_then(|debug| debug.split_once('\n')).map(|(_, detail)| detail.trim().trim_end_matches('.'));
        let why = match (error.kind::<gst::ResourceError>(), detail.filter(|detail| !detail.is_empty() && *detail != said)) {
            (Some(gst::ResourceError::NotAuthorized), _) => format!("the camera refuses user and password: {said}"),
            (_, Some(detail)) => format!("{said}: {detail}"),
            (_, None) => said.to_owned(),
        };
        Self { why: input.hide(&why).into_owned(), lasting: is_lasting(&error) }
    }
}

/// Wrong credentials, a wrong path, a stream that cannot be decoded: only the user can change these.
fn is_lasting(error: &gst::glib::Error) -> bool {
    matches!(
        error.kind::<gst::ResourceError>(),
        Some(gst::ResourceError::NotAuthorized | gst::ResourceError::NotFound | gst::ResourceError::Settings)
    ) || matches!(error.kind::<gst::StreamError>(), Some(gst::StreamError::WrongType | gst::StreamError::CodecNotFound))
        || error.matches(gst::CoreError::MissingPlugin)
        || error.kind::<gst::URIError>().is_some()
}

fn callbacks(entrance: &Arc<Entrance>) -> AppSinkCallbacks {
    let entrance = Arc::clone(entrance);
    let take = move |sink: &AppSink| entrance.frame(sink.pull_sample().map_err(|_| gst::FlowError::Eos)?);
    AppSinkCallbacks::builder().new_sample(take).build()
}

/// Frames are handed on as they are; decoders need not lay them out for a reader of plain bytes.
fn take_any_layout(sink: &AppSink) -> Result<()> {
    let pad = sink.static_pad("sink").context("an appsink's pad")?;
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, probe| match probe.query_mut().map(gst::QueryRef::view_mut) {
        Some(gst::QueryViewMut::Allocation(allocation)) => {
            allocation.add_allocation_meta::<VideoMeta>(None);
            gst::PadProbeReturn::Handled
        }
        _ => gst::PadProbeReturn::Ok,
    });
    Ok(())
}

/// Puts what reads the input into the pipeline, its first video stream linked to `convert` as raw frames.
pub(crate) fn source(input: &Input, pipeline: &gst::Pipeline, convert: &gst::Element) -> Result<()> {
    let decoder = match input {
        Input::Camera(device) => {
            let camera = make("v4l2src")?;
            camera.set_property("device", device.to_str().context("the camera's name is not UTF-8")?);
            let decoder = make("decodebin")?;
            pipeline.add_many([&camera, &decoder])?;
            camera.link(&decoder)?;
            decoder
        }
        Input::File(_) => decoder(pipeline, &input.uri()?, None)?,
        Input::Address(address) => match address.credentials() {
            Some(credentials) if address.scheme().starts_with("rtsp") => decoder(pipeline, &input.uri()?, Some(credentials))?,
            _ => decoder(pipeline, address.whole(), None)?,
        },
    };
    let (shown, whole) = (input.shown(), pipeline.downgrade());
    let sink = convert.static_pad("sink").context("videoconvert's sink pad")?;
    let unlinked = sink.clone();
    decoder.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        if caps.structure(0).is_some_and(|caps| caps.name() == "video/x-raw") && !sink.is_linked() {
            // A pad that does not link leaves the stream without video, which is said below.
            let _ = pad.link(&sink);
        }
    });
    decoder.connect_no_more_pads(move |_| {
        if let Some(pipeline) = whole.upgrade().filter(|_| !unlinked.is_linked()) {
            gst::element_error!(pipeline, gst::StreamError::WrongType, ("{shown} holds no video that can be decoded"));
        }
    });
    Ok(())
}

/// Reads `uri`. User and password go to the source as properties, so that no other element knows them.
fn decoder(pipeline: &gst::Pipeline, uri: &str, credentials: Option<Credentials>) -> Result<gst::Element> {
    let decoder = make("uridecodebin")?;
    decoder.set_property("uri", uri);
    if let Some(Credentials { user, password }) = credentials {
        decoder.connect("source-setup", false, move |values| {
            let source = values.get(1)?.get::<gst::Element>().ok()?;
            source.set_property("user-id", &user);
            source.set_property("user-pw", &password);
            None
        });
    }
    // Sound and subtitles are not decoded only to be dropped.
    decoder.connect("autoplug-continue", false, |values| {
        let caps = values.get(2).and_then(|caps| caps.get::<gst::Caps>().ok());
        let is_other = |name: &str| name.starts_with("audio/") || name.starts_with("text/") || name.starts_with("subpicture/");
        let other = caps.and_then(|caps| caps.structure(0).map(|caps| is_other(caps.name())));
        Some((!other.unwrap_or(false)).to_value())
    });
    pipeline.add(&decoder)?;
    Ok(decoder)
}

fn make(factory: &str) -> Result<gst::Element> {
    gst::ElementFactory::make(factory)
        .build()
        .with_context(|| format!("GStreamer has no {factory}; `uniood doctor` says which package is missing"))
}
