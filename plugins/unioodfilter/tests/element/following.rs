//! Streams with a tracker, and frames with things in them.

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo, VideoRegionOfInterestMeta};

use crate::support::{ModelSet, Rig, filter, info, picture, stamped};

/// The element with a tracker, its boxes from upstream.
pub(crate) fn following(settings: &[(&str, &str)]) -> gst::Element {
    let filter = filter(&ModelSet::golden());
    filter.set_property("detector", "upstream");
    filter.set_property_from_str("tracker", "sort");
    for (name, value) in settings {
        filter.set_property_from_str(name, value);
    }
    filter
}

/// A rig whose stream has begun.
pub(crate) fn rig(settings: &[(&str, &str)]) -> (Rig, VideoInfo) {
    let (rig, info) = (Rig::new(following(settings)), info(VideoFormat::I420, 160, 120));
    rig.start(&info);
    (rig, info)
}

/// The same picture each time, with regions at these places.
pub(crate) fn frame(info: &VideoInfo, number: u64, places: &[(u32, u32)]) -> gst::Buffer {
    let mut buffer = stamped(picture(info, 0), number);
    for (x, y) in places {
        VideoRegionOfInterestMeta::add(buffer.make_mut(), "thing", (*x, *y, 50, 40));
    }
    buffer
}
