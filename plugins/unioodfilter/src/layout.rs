//! Where planes lie in a buffer, and frames laid out anew where downstream or the bindings want it otherwise.

use gst_video::{VideoFrame, VideoFrameRef, VideoInfo, VideoMeta, video_frame::Readable};

/// Whether every plane's rows go downwards and end inside the buffer, the last row's padding included:
/// the bindings hand out whole rows.
pub(crate) fn rows_are_whole(buffer: &gst::BufferRef) -> bool {
    let Some(meta) = buffer.meta::<VideoMeta>() else { return true };
    let Ok(info) = VideoInfo::builder(meta.format(), meta.width(), meta.height()).build() else { return false };
    let planes = meta.stride().iter().zip(meta.offset());
    (0..).zip(planes).all(|(plane, (stride, offset))| {
        let rows = if plane == 0 { info.height() } else { info.format_info().scale_height(1, info.height()) };
        usize::try_from(*stride)
            .ok()
            .and_then(|stride| stride.checked_mul(rows as usize))
            .and_then(|bytes| bytes.checked_add(*offset))
            .is_some_and(|end| end <= buffer.size())
    })
}

/// Whether the planes lie where the caps alone say.
pub(crate) fn is_default(buffer: &gst::BufferRef, info: &VideoInfo) -> bool {
    let same = |meta: &VideoMeta| meta.offset().iter().eq(info.offset()) && meta.stride().iter().eq(info.stride());
    buffer.meta::<VideoMeta>().is_none_or(|meta| same(&meta))
}

/// The same frame with its planes where the caps say: pixels, timestamps, flags and metas, but for the `VideoMeta`.
/// `None` where the buffer does not hold what its caps say.
pub(crate) fn laid_out(buffer: &gst::BufferRef, info: &VideoInfo) -> Option<gst::Buffer> {
    let from = VideoFrameRef::from_buffer_ref_readable(buffer, info).ok()?;
    let mut to = VideoFrame::from_buffer_writable(gst::Buffer::with_size(info.size()).ok()?, info).ok()?;
    from.copy(&mut to.as_mut_video_frame_ref()).ok()?;
    let mut copy = to.into_buffer();
    let target = copy.get_mut()?;
    buffer.copy_into(target, gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::META, ..).ok()?;
    if let Some(meta) = target.meta_mut::<VideoMeta>() {
        meta.remove().ok()?;
    }
    Some(copy)
}

/// A readable mapping whose planes are whole rows.
pub(crate) fn mapped(buffer: gst::Buffer, info: &VideoInfo) -> Option<VideoFrame<Readable>> {
    let buffer = if rows_are_whole(&buffer) { buffer } else { laid_out(&buffer, info)? };
    VideoFrame::from_buffer_readable(buffer, info).ok()
}
