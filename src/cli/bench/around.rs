//! A pipeline around one element: pictures go in as fast as they are pushed, frames come out to a sink that drops them.

use anyhow::{Context, Error, Result, bail};
use gst::prelude::*;
use gst_app::AppSrc;
use uniood::models::ModelSet;

use crate::settings::{Settings, Tracking};

/// The element with a model set and the settings that were given.
pub(super) fn element(models: &ModelSet, settings: &Settings, tracking: &Tracking) -> Result<gst::Element> {
    let filter = gst::ElementFactory::make("unioodfilter")
        .property("model-dir", models.dir.to_str().context("the model set's path is not UTF-8; move it")?)
        .build()
        .context("the element unioodfilter")?;
    for (name, value) in settings.properties().into_iter().chain(tracking.properties()) {
        filter.set_property_from_str(name, &value);
    }
    Ok(filter)
}

/// The pipeline; it stops where it is dropped.
pub(super) struct Around {
    pipeline: gst::Pipeline,
    source: AppSrc,
    filter: gst::Element,
    /// Where frames come out.
    pub(super) out: gst::Pad,
}

impl Around {
    pub(super) fn new(filter: gst::Element, caps: &gst::Caps, is_live: bool) -> Result<Self> {
        let source = AppSrc::builder().caps(caps).format(gst::Format::Time).is_live(is_live).max_bytes(0).build();
        let sink = gst::ElementFactory::make("fakesink").property("sync", false).build().context("the element fakesink")?;
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([source.upcast_ref(), &filter, &sink])?;
        gst::Element::link_many([source.upcast_ref(), &filter, &sink])?;
        let out = sink.static_pad("sink").context("fakesink's pad")?;
        Ok(Self { pipeline, source, filter, out })
    }

    pub(super) fn play(&self) -> Result<()> {
        self.pipeline.set_state(gst::State::Playing).map(drop).map_err(|_| self.why("a pipeline does not start"))
    }

    pub(super) fn push(&self, picture: gst::Buffer) -> Result<()> {
        self.source.push_buffer(picture).map(drop).map_err(|_| self.why("a pipeline stopped"))
    }

    pub(super) fn end(&self) -> Result<()> {
        self.source.end_of_stream().map(drop).map_err(|_| self.why("a pipeline stopped"))
    }

    /// Fails with what the bus says, where it says something.
    pub(super) fn check(&self) -> Result<()> {
        match self.error() {
            Some(error) => bail!("{error}"),
            None => Ok(()),
        }
    }

    /// A number of the element's `stats`; 0 where it has none yet.
    pub(super) fn counted(&self, name: &str) -> u64 {
        let stats: gst::Structure = self.filter.property("stats");
        stats.get(name).unwrap_or(0)
    }

    fn why(&self, otherwise: &str) -> Error {
        Error::msg(self.error().unwrap_or_else(|| otherwise.to_owned()))
    }

    fn error(&self) -> Option<String> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(error.error().message().to_owned()),
            _ => None,
        }
    }
}

impl Drop for Around {
    fn drop(&mut self) {
        // Nothing is left to be told where even stopping fails.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
