//! A frame as a JSON line.

use gst_video::VideoInfo;
use uniood::engine::Answer;

use crate::score::Snapshot;

/// The line, with its newline.
pub(crate) fn line(_buffer: &gst::BufferRef, _info: &VideoInfo, id: u64, _snapshot: &Snapshot, _answer: &Answer) -> String {
    format!("{{\"frame_id\":{id}}}\n")
}
