//! `street-world video`: an H.264 film with its truth beside it.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use gst::prelude::*;
use gst_app::AppSrc;
use street_world::{
    film::{Film, Settings},
    truth::{coco::Coco, mot},
};

use crate::{
    files::{self, Draft},
    flags::{View, World},
    interrupt,
    render::EVERY_KIND,
    stills,
};

/// Render an H.264 video, with COCO annotations and MOT tracks beside it
///
/// OUT.mp4 comes with OUT.coco.json (an image a frame) and OUT.mot.txt.
#[derive(clap::Args)]
pub(crate) struct Video {
    #[command(flatten)]
    world: World,
    /// How long
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Frames a second, a whole number
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=240))]
    fps: u16,
    /// Whether the camera drives or stands
    #[arg(long, value_enum, default_value = "drive")]
    view: View,
    /// The MP4 file to write
    #[arg(long)]
    out: PathBuf,
}

const ENCODER: &str = "appsrc name=frames format=time block=true max-buffers=4 max-bytes=0 ! videoconvert ! \
    x264enc speed-preset=veryfast pass=quant quantizer=21 key-int-max=50 ! h264parse ! mp4mux ! filesink name=file";

impl Video {
    pub(crate) fn run(&self) -> Result<()> {
        let (width, height) = self.world.size;
        if width % 2 == 1 || height % 2 == 1 {
            bail!("H.264 wants even sides, and {width}x{height} has an odd one; give another --size");
        }
        let frames = (self.seconds * f64::from(self.fps)).round();
        if !(1.0..=10_000_000.0).contains(&frames) {
            bail!("a video of {} seconds has no frame or too many; give --seconds between 0.1 and 36000", self.seconds);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number between 1 and ten million")]
        let frames = frames as u64;
        let settings = self.world.settings(self.view.into(), f64::from(self.fps));
        let film = Film::new(&settings)?;
        let draft = Draft::create(&self.out)?;
        let mut coco = Coco::new(&EVERY_KIND, street_world::truth::coco::Ids::Number);
        let mut tracks = String::new();
        let encoder = Encoder::start(&draft, &settings, self.fps)?;
        let bar = stills::bar(frames, "rendering");
        for (frame, index) in film.zip(0..frames) {
            interrupt::check()?;
            encoder.push(frame.picture.rgb, index, self.fps)?;
            coco.push(&format!("{:06}.jpg", index + 1), &frame.truth);
            tracks.push_str(&mot::lines(&frame.truth));
            bar.inc(1);
        }
        encoder.finish()?;
        bar.finish_and_clear();
        // The truth first: whoever finds the video finds its truth.
        files::write(&self.out.with_extension("coco.json"), coco.json().as_bytes())?;
        files::write(&self.out.with_extension("mot.txt"), tracks.as_bytes())?;
        draft.finish()?;
        eprintln!("{}: {frames} frames, {} objects", self.out.display(), coco.annotations());
        Ok(())
    }
}

/// A running pipeline; dropped, it stops.
struct Encoder {
    pipeline: gst::Pipeline,
    frames: AppSrc,
    /// Bytes of a row.
    row: usize,
}

impl Encoder {
    fn start(draft: &Draft, settings: &Settings, fps: u16) -> Result<Self> {
        gst::init().context("GStreamer does not start")?;
        let pipeline = gst::parse::launch(ENCODER)
            .context("a part of GStreamer is missing; install gstreamer1.0-plugins-base, -good, -bad and -ugly (x264enc)")?
            .downcast::<gst::Pipeline>()
            .map_err(|_| anyhow!("GStreamer did not make a pipeline of several elements"))?;
        let location = draft.working_path().to_str().context("the output folder's name is not UTF-8; choose another")?;
        pipeline.by_name("file").context("the pipeline's filesink")?.set_property("location", location);
        let frames = pipeline.by_name("frames").and_then(|element| element.downcast::<AppSrc>().ok()).context("the pipeline's appsrc")?;
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "RGB")
            .field("width", i32::try_from(settings.width)?)
            .field("height", i32::try_from(settings.height)?)
            .field("framerate", gst::Fraction::new(i32::from(fps), 1))
            .build();
        frames.set_caps(Some(&caps));
        let encoder = Self { pipeline, frames, row: settings.width as usize * 3 };
        if encoder.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(encoder.failure());
        }
        Ok(encoder)
    }

    fn push(&self, rgb: Vec<u8>, index: u64, fps: u16) -> Result<()> {
        // GStreamer's rows are padded to four bytes.
        let rgb = if self.row.is_multiple_of(4) { rgb } else { padded(&rgb, self.row) };
        let mut buffer = gst::Buffer::from_mut_slice(rgb);
        if let Some(buffer) = buffer.get_mut() {
            let at = |index: u64| gst::ClockTime::from_nseconds(index * 1_000_000_000 / u64::from(fps));
            buffer.set_pts(at(index));
            buffer.set_duration(at(index + 1) - at(index));
        }
        self.frames.push_buffer(buffer).map(|_| ()).map_err(|_| self.failure())
    }

    fn finish(&self) -> Result<()> {
        self.frames.end_of_stream().map_err(|_| self.failure())?;
        let bus = self.pipeline.bus().context("a pipeline has a bus")?;
        loop {
            interrupt::check()?;
            let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
            match bus.timed_pop_filtered(gst::ClockTime::from_mseconds(100), &kinds).as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Eos(_)) => return Ok(()),
                Some(gst::MessageView::Error(error)) => return Err(sentence(error)),
                _ => {}
            }
        }
    }

    /// What the pipeline says went wrong.
    fn failure(&self) -> anyhow::Error {
        let message =
            self.pipeline.bus().and_then(|bus| bus.timed_pop_filtered(gst::ClockTime::from_seconds(1), &[gst::MessageType::Error]));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => sentence(error),
            _ => anyhow!("the video could not be encoded, and GStreamer does not say why"),
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Nothing is left to be told where even stopping fails.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn sentence(error: &gst::message::Error) -> anyhow::Error {
    anyhow!("the video could not be written: {}", error.error().message().trim_end_matches('.').to_owned())
}

/// Rows of `width` bytes, each filled up to a multiple of four.
fn padded(rgb: &[u8], width: usize) -> Vec<u8> {
    let mut rows = Vec::with_capacity(rgb.len() / width * width.next_multiple_of(4));
    for row in rgb.chunks_exact(width) {
        rows.extend_from_slice(row);
        rows.resize(rows.len().next_multiple_of(4), 0);
    }
    rows
}
