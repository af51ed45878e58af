//! The decoder in front of the scoring element, for a peer that does not send raw video only.

use gst::{glib, prelude::*};

/// `decodebin ─▶ videoconvert`, in a bin, linked to the scoring element once a video stream turns up.
#[derive(Clone)]
pub(super) struct Decode {
    decodebin: gst::Element,
    convert: gst::Element,
}

impl Decode {
    /// Adds the elements to `bin` and links them to `score`.
    ///
    /// # Errors
    /// Where GStreamer's own plugins are missing.
    pub(super) fn add(bin: &gst::Bin, score: &gst::Pad) -> Result<Self, glib::BoolError> {
        let make = |factory: &str| {
            gst::ElementFactory::make(factory).build().map_err(|_| {
                glib::bool_error!("encoded input needs the element {factory}; install GStreamer's base plugins or link raw video")
            })
        };
        // Not decodebin3: it fails on HEVC in push mode in 1.22.
        let decode = Self { decodebin: make("decodebin")?, convert: make("videoconvert")? };
        bin.add_many([&decode.decodebin, &decode.convert])?;
        let linked = decode.convert.static_pad("src").map(|src| src.link(score));
        if !matches!(linked, Some(Ok(_))) {
            decode.remove(bin);
            return Err(glib::bool_error!("the decoder could not be linked to the scoring element"));
        }
        decode.decodebin.connect_pad_added(glib::clone!(
            #[weak(rename_to = convert)]
            decode.convert,
            move |_, pad| link_video(&convert, pad)
        ));
        decode.decodebin.connect_no_more_pads(glib::clone!(
            #[weak(rename_to = convert)]
            decode.convert,
            move |decodebin| demand_video(decodebin, &convert)
        ));
        // The sink first, so that nothing arrives where nothing is ready.
        for element in [&decode.convert, &decode.decodebin] {
            element.sync_state_with_parent()?;
        }
        Ok(decode)
    }

    /// Makes ready what comes behind decodebin.
    pub(super) fn prepare(&self) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        self.convert.set_state(gst::State::Paused)
    }

    /// The pad that takes the encoded stream.
    pub(super) fn sink(&self) -> Option<gst::Pad> {
        self.decodebin.static_pad("sink")
    }

    /// Takes the elements out of `bin` again.
    pub(super) fn remove(&self, bin: &gst::Bin) {
        for element in [&self.decodebin, &self.convert] {
            element.set_locked_state(true);
            let stopped = element.set_state(gst::State::Null);
            let removed = bin.remove(element);
            if stopped.is_err() || removed.is_err() {
                gst::warning!(super::imp::CAT, obj = element, "not stopped or not removed");
            }
        }
    }
}

/// The first video stream is taken; every other pad stays unlinked, which decodebin allows.
fn link_video(convert: &gst::Element, pad: &gst::Pad) {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let is_video = caps.structure(0).is_some_and(|structure| structure.name() == "video/x-raw");
    let Some(sink) = convert.static_pad("sink").filter(|sink| is_video && !sink.is_linked()) else {
        gst::debug!(super::imp::CAT, obj = convert, "{} is ignored: {caps}", pad.name());
        return;
    };
    if let Err(error) = pad.link(&sink) {
        gst::element_error!(convert, gst::CoreError::Negotiation, ("the decoded video cannot be linked: {error}"), ["{caps}"]);
    }
}

fn demand_video(decodebin: &gst::Element, convert: &gst::Element) {
    if convert.static_pad("sink").is_some_and(|sink| !sink.is_linked()) {
        gst::element_error!(
            decodebin,
            gst::StreamError::WrongType,
            ("the input has no video stream that could be decoded; give a file or stream with video")
        );
    }
}
