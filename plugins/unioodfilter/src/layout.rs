//! Where planes lie in a buffer, and frames laid out anew where downstream or the bindings want it otherwise.

use gst_video::{VideoFrame, VideoFrameRef, VideoInfo, VideoMeta, video_frame::Readable};

use crate::source::pixel_format;

/// Whether every plane's rows go downwards and end inside its memory, the last row's padding included:
/// the bindings hand out whole rows.
pub(crate) fn rows_are_whole(buffer: &gst::BufferRef) -> bool {
    planes_hold(buffer, |stride, _| usize::try_from(stride).ok())
}

/// Whether every pixel lies inside the memory: where a `VideoMeta` says otherwise, GStreamer maps and copies all the same.
fn pixels_are_there(buffer: &gst::BufferRef) -> bool {
    planes_hold(buffer, |_, row| Some(row))
}

/// Whether every row of every plane lies in the memory that the plane begins in, each as long as `last` says of its stride and of its
/// pixels' bytes. Without a `VideoMeta`, who maps the buffer looks.
fn planes_hold(buffer: &gst::BufferRef, last: impl Fn(i32, usize) -> Option<usize>) -> bool {
    let Some(meta) = buffer.meta::<VideoMeta>() else { return true };
    let Some(format) = pixel_format(meta.format()).filter(|_| meta.width() > 0 && meta.height() > 0) else { return false };
    let mut planes = meta.stride().iter().zip(meta.offset()).zip(format.plane_sizes(meta.width(), meta.height()));
    planes.all(|((&stride, &offset), (row, rows))| {
        // A plane is mapped as far as the memory goes that it begins in.
        let Some((memories, begin)) = buffer.find_memory(offset..=offset) else { return false };
        let size = buffer.peek_memory(memories.start).size();
        let holds = || {
            let way = i64::from(stride).checked_mul(i64::try_from(rows - 1).ok()?)?;
            let end = usize::try_from(i64::try_from(begin).ok()?.checked_add(way)?).ok()?;
            Some(begin.max(end).checked_add(last(stride, row)?)? <= size)
        };
        holds().unwrap_or(false)
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
    if !pixels_are_there(buffer) {
        return None;
    }
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

#[cfg(test)]
mod tests {
    use gst_video::{VideoFormat, VideoFrameFlags};

    use super::*;

    /// A buffer of so many bytes that says it holds 64×48 pixels of RGB, its rows so far apart.
    fn said(bytes: usize, offset: usize, stride: i32) -> gst::Buffer {
        let mut buffer = gst::Buffer::with_size(bytes).unwrap();
        let writable = buffer.get_mut().unwrap();
        VideoMeta::add_full(writable, VideoFrameFlags::empty(), VideoFormat::Rgb, 64, 48, &[offset], &[stride]).unwrap();
        buffer
    }

    #[test]
    fn a_frame_is_laid_out_anew_only_where_its_pixels_are_there() {
        gst::init().unwrap();
        let info = VideoInfo::builder(VideoFormat::Rgb, 64, 48).build().unwrap();
        // Whole rows; the last one's padding is missing; upside down.
        let there = [(200 * 48, 0, 200, true), (200 * 47 + 192, 0, 200, false), (192 * 48, 192 * 47, -192, false)];
        for (bytes, offset, stride, whole) in there {
            let buffer = said(bytes, offset, stride);
            assert_eq!((rows_are_whole(&buffer), laid_out(&buffer, &info).is_some()), (whole, true), "{bytes} {offset} {stride}");
        }
        // Cut off; beginning where nothing is; upside down from too far up; rows that no memory holds.
        let missing = [(100, 0, 192), (192 * 48, 192 * 48, 192), (192 * 48, 192 * 46, -192), (192 * 48, 0, i32::MAX)];
        for (bytes, offset, stride) in missing {
            let buffer = said(bytes, offset, stride);
            assert!(!rows_are_whole(&buffer) && laid_out(&buffer, &info).is_none(), "{bytes} {offset} {stride}");
            assert!(mapped(buffer, &info).is_none());
        }
    }
}
