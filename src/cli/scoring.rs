//! The pipeline that scores and records one input, whatever becomes of the connections to it.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};
use gst_video::VideoInfo;

use crate::{bus, entrance::Entrance, inputs::Input, journal::Journal, recording::Recorder};

/// From the entrance through the element to recording and lines.
pub(crate) struct Scoring {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    filter: gst::Element,
    entrance: Arc<Entrance>,
    journal: Arc<Journal>,
}

/// What the pipeline has to say.
pub(crate) enum Said {
    /// The last frame is through.
    End,
    /// It cannot go on.
    Error(anyhow::Error),
    /// It goes on all the same.
    Warning(String),
}

impl Scoring {
    /// Plays; the models are loaded when this returns.
    pub(crate) fn start(input: &Input, filter: &gst::Element, recorder: &Arc<Recorder>, journal: &Arc<Journal>) -> Result<Self> {
        let entrance = Arc::new(Entrance::new(input, Arc::clone(journal))?);
        let formats = gst::ElementFactory::make("capsfilter").property("caps", formats(filter)?).build()?;
        let video = AppSink::builder().sync(false).callbacks(frames_to(recorder, journal)).build();
        let lines = AppSink::builder().sync(false).callbacks(lines_to(journal)).build();
        let pipeline = gst::Pipeline::new();
        let src = entrance.src().upcast_ref::<gst::Element>();
        pipeline.add_many([src, &formats, filter, video.upcast_ref(), lines.upcast_ref()])?;
        gst::Element::link_many([src, &formats, filter, video.upcast_ref()])?;
        filter.link_pads(Some("meta"), &lines, Some("sink"))?;
        watch_frames(filter, journal)?;
        let bus = pipeline.bus().context("a pipeline has a bus")?;
        let scoring = Self { pipeline, bus, filter: filter.clone(), entrance, journal: Arc::clone(journal) };
        if scoring.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(match scoring.said(gst::ClockTime::ZERO) {
                Some(Said::Error(error)) => error,
                _ => anyhow!("the pipeline does not start"),
            });
        }
        Ok(scoring)
    }

    /// Stops it; what is under way is lost, and whoever waits for it waits no more.
    pub(crate) fn stop(&self) {
        self.journal.crops().end();
        // Nothing is left to be told where even stopping fails.
        let _ = self.pipeline.set_state(gst::State::Null);
    }

    pub(crate) fn entrance(&self) -> &Arc<Entrance> {
        &self.entrance
    }

    /// Formats that are scored as they are.
    pub(crate) fn formats(&self) -> Result<gst::Caps> {
        formats(&self.filter)
    }

    /// The next thing it says; `None` where it says nothing for that long.
    pub(crate) fn said(&self, wait: gst::ClockTime) -> Option<Said> {
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Warning];
        let message = bus::next(&self.bus, wait, &kinds)?;
        Some(match message.view() {
            gst::MessageView::Error(error) => Said::Error(anyhow!("{}", error.error().message().trim_end_matches('.').to_owned())),
            gst::MessageView::Warning(warning) => Said::Warning(warning.error().message().to_owned()),
            _ => Said::End,
        })
    }
}

impl Drop for Scoring {
    fn drop(&mut self) {
        self.stop();
    }
}

fn formats(filter: &gst::Element) -> Result<gst::Caps> {
    Ok(filter.static_pad("src").context("the element's source pad")?.pad_template_caps())
}

/// Every frame that goes in is remembered until its line comes out.
fn watch_frames(filter: &gst::Element, journal: &Arc<Journal>) -> Result<()> {
    let journal = Arc::clone(journal);
    let pad = filter.static_pad("sink").context("the element's sink pad")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, probe| {
        if let Some(buffer) = probe.buffer()
            && let Some(info) = pad.current_caps().and_then(|caps| VideoInfo::from_caps(&caps).ok())
        {
            journal.crops().frame_in(buffer.to_owned(), info);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

fn frames_to(recorder: &Arc<Recorder>, journal: &Arc<Journal>) -> AppSinkCallbacks {
    let (recorder, journal) = (Arc::clone(recorder), Arc::clone(journal));
    taking(journal, move |sample| recorder.frame(sample))
}

fn lines_to(journal: &Arc<Journal>) -> AppSinkCallbacks {
    let into = Arc::clone(journal);
    taking(Arc::clone(journal), move |sample| {
        let buffer = sample.buffer().context("a line without a buffer")?;
        let line = buffer.map_readable().map_err(|_| anyhow!("a line cannot be read"))?;
        into.line(&line)
    })
}

/// What cannot be written ends the run: the journal keeps why.
fn taking(journal: Arc<Journal>, mut take: impl FnMut(gst::Sample) -> Result<()> + Send + 'static) -> AppSinkCallbacks {
    let sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        take(sample).map(|()| gst::FlowSuccess::Ok).map_err(|error| {
            journal.fail(error);
            gst::FlowError::Error
        })
    };
    AppSinkCallbacks::builder().new_sample(sample).build()
}
