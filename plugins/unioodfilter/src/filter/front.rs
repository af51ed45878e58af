//! What goes in front of the scoring element for a peer that does not send raw video it takes.

use gst::{glib, prelude::*};

/// What the peer needs in front of the scoring element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: raw video in a format that is scored as it is.
    Nothing,
    /// Raw video in another format.
    Conversion,
    /// Anything else.
    Decoder,
}

/// `videoconvert`, and where the peer needs it a `decodebin` before, that is linked once a video stream turns up.
#[derive(Clone)]
pub(super) struct Front {
    decodebin: Option<gst::Element>,
    convert: gst::Element,
}

impl Front {
    /// Adds the elements to `bin` and links them to `score`.
    ///
    /// # Errors
    /// Where GStreamer's own plugins are missing.
    pub(super) fn add(need: Need, bin: &gst::Bin, score: &gst::Pad) -> Result<Self, glib::BoolError> {
        let make = |factory: &str| {
            gst::ElementFactory::make(factory).build().map_err(|_| {
                glib::bool_error!("this input needs the element {factory}; install GStreamer's base plugins, or link raw video in I420")
            })
        };
        // Not decodebin3: it fails on HEVC in push mode in 1.22.
        let decodebin = if need == Need::Decoder { Some(make("decodebin")?) } else { None };
        // Behind a decoder too: 10 bits, 4:2:2 and grey are common in files.
        let front = Self { decodebin, convert: make("videoconvert")? };
        for element in front.elements() {
            bin.add(element)?;
        }
        let linked = front.convert.static_pad("src").map(|src| src.link(score));
        if !matches!(linked, Some(Ok(_))) {
            front.remove(bin);
            return Err(glib::bool_error!("the converter could not be linked to the scoring element"));
        }
        if let Some(decodebin) = &front.decodebin {
            let convert = front.convert.downgrade();
            decodebin.connect_pad_added(move |_, pad| {
                if let Some(convert) = convert.upgrade() {
                    link_video(&convert, pad);
                }
            });
            let convert = front.convert.downgrade();
            decodebin.connect_no_more_pads(move |decodebin| {
                if let Some(convert) = convert.upgrade() {
                    demand_video(decodebin, &convert);
                }
            });
        }
        for element in front.elements() {
            element.sync_state_with_parent()?;
        }
        Ok(front)
    }

    /// Makes ready what comes behind the decoder.
    pub(super) fn prepare(&self) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        self.convert.set_state(gst::State::Paused)
    }

    /// The pad that takes the peer's stream.
    pub(super) fn sink(&self) -> Option<gst::Pad> {
        self.decodebin.as_ref().unwrap_or(&self.convert).static_pad("sink")
    }

    /// Takes the elements out of `bin` again.
    pub(super) fn remove(&self, bin: &gst::Bin) {
        for element in self.elements() {
            element.set_locked_state(true);
            let stopped = element.set_state(gst::State::Null);
            let removed = bin.remove(element);
            if stopped.is_err() || removed.is_err() {
                gst::warning!(super::imp::CAT, obj = element, "not stopped or not removed");
            }
        }
    }

    /// From the sink backwards, so that nothing arrives where nothing is ready.
    fn elements(&self) -> impl Iterator<Item = &gst::Element> {
        std::iter::once(&self.convert).chain(&self.decodebin)
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
