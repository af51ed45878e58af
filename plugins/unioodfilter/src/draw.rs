//! Boxes, verdicts and scores drawn into a buffer.

use gst_video::{VideoFrameRef, VideoInfo, prelude::*};
use uniood::{
    Error, Result,
    engine::Answer,
    frame::{FrameMut, PlaneMut},
    overlay::Overlay,
};

use crate::{
    layout,
    source::{colorimetry, pixel_format},
};

/// Draws an answer into a frame. One without verdicts stays as it is, so that shared memory need not be copied.
///
/// # Errors
/// [`Error::Frame`] where the buffer cannot be written or does not hold what its caps say.
pub(crate) fn annotate(overlay: &mut Overlay, buffer: &mut gst::BufferRef, info: &VideoInfo, answer: &Answer) -> Result<()> {
    if answer.objects.is_empty() && answer.image.is_none() {
        return Ok(());
    }
    if !layout::rows_are_whole(buffer) {
        return Err(Error::Frame("the buffer does not hold what its caps say".to_owned()));
    }
    let format = pixel_format(info.format()).ok_or_else(|| Error::Frame(format!("format {} is not supported", info.format())))?;
    let mut mapped = VideoFrameRef::from_buffer_ref_writable(buffer, info)
        .map_err(|_| Error::Frame("its memory cannot be written; put a videoconvert in front".to_owned()))?;
    let strides = mapped.plane_stride().to_vec();
    let planes = mapped.planes_data_mut().into_iter().zip(strides);
    let planes = planes.map(|(data, stride)| {
        let stride = usize::try_from(stride).map_err(|_| Error::Frame(format!("a plane has stride {stride}; wanted one above 0")))?;
        Ok(PlaneMut { data, stride })
    });
    let planes = planes.collect::<Result<Vec<_>>>()?;
    let mut frame = FrameMut::new(info.width(), info.height(), format, colorimetry(info), planes)?;
    overlay.draw(&mut frame, &answer.objects, answer.image.as_ref());
    Ok(())
}
