//! The scoring element inside the bin: raw video in, raw video with verdicts out.
//!
//! Raw pads and a source-pad task. [`input`] turns what comes in into items of the lane, frames with a ticket of
//! the engine, everything else without work; [`output`] takes them out in order. [`live`] holds what may change
//! while frames flow, [`lines`] the JSON lines, [`telling`] those of tracks, [`latency`] what a live pipeline is
//! told, [`qos`] what downstream says of lateness.

mod imp;
mod input;
mod latency;
mod lines;
mod live;
mod output;
mod qos;
mod telling;

use gst::{glib, subclass::prelude::*};

pub(crate) use lines::{LINES, caps as lines_caps};

glib::wrapper! {
    /// Not registered as a factory: the bin alone makes it.
    pub(crate) struct Score(ObjectSubclass<imp::Score>) @extends gst::Element, gst::Object;
}

impl Score {
    /// Sets a property of the bin.
    pub(crate) fn set(&self, name: &str, value: &glib::Value) {
        self.imp().set(name, value);
    }

    /// Reads a property of the bin.
    pub(crate) fn get(&self, name: &str) -> glib::Value {
        self.imp().get(name)
    }
}
