//! `unioodfilter`: the bin that users see.

mod front;
mod imp;

use gst::{glib, prelude::*};

glib::wrapper! {
    /// `unioodfilter`: raw or encoded video in, annotated raw video with metadata out.
    pub struct UniOodFilter(ObjectSubclass<imp::Filter>) @extends gst::Bin, gst::Element, gst::Object, @implements gst::ChildProxy;
}

/// Makes the element known under its name.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "unioodfilter", gst::Rank::NONE, UniOodFilter::static_type())
}
