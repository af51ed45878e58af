//! Frames in memory, that are sent again and again: a rendered street, or a clip of the user's.

use std::path::Path;

use anyhow::{Result, bail};
use uniood::frame::Picture;

use crate::frames;

/// Of a clip so many frames are taken.
const MOST: usize = 300;

/// And no more bytes of them.
const MOST_BYTES: usize = 256 << 20;

/// Frames of one size. They are sent forth and back: nothing in them jumps.
pub(super) struct Pictures {
    pub(super) caps: gst::Caps,
    frames: Vec<gst::Buffer>,
    fps: u16,
}

impl Pictures {
    /// At least one picture, all of them of this size.
    pub(super) fn new((width, height): (u32, u32), fps: u16, pictures: impl Iterator<Item = Vec<u8>>) -> Self {
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "RGB")
            .field("width", width.cast_signed())
            .field("height", height.cast_signed())
            .field("framerate", gst::Fraction::new(i32::from(fps), 1))
            .build();
        Self { caps, frames: pictures.map(|rgb| gst::Buffer::from_slice(padded(rgb, width))).collect(), fps }
    }

    /// The first frames of a video file.
    pub(super) fn of_clip(path: &Path) -> Result<Self> {
        let pictures = frames::first(path, MOST, MOST_BYTES)?;
        let Some(&Picture { width, height, .. }) = pictures.first() else { bail!("{}: there is no frame in it", path.display()) };
        let same = pictures.into_iter().take_while(|picture| (picture.width, picture.height) == (width, height));
        Ok(Self::new((width, height), 25, same.map(|picture| picture.rgb)))
    }

    pub(super) const fn len(&self) -> usize {
        self.frames.len()
    }

    /// The picture that is shown at a place of the way forth and back, with the time of frame `number`.
    pub(super) fn shown(&self, place: usize, number: usize) -> gst::Buffer {
        let place = place % (2 * self.frames.len());
        let mut frame = self.frames[place.min(2 * self.frames.len() - 1 - place)].clone();
        let step = gst::ClockTime::SECOND / u64::from(self.fps);
        let writable = frame.make_mut();
        writable.set_pts(step * number as u64);
        writable.set_duration(step);
        frame
    }

    /// Frame `number` of a stream of them.
    pub(super) fn frame(&self, number: usize) -> gst::Buffer {
        self.shown(number, number)
    }
}

/// Rows as GStreamer lays them out: each begins at a multiple of four bytes.
fn padded(rgb: Vec<u8>, width: u32) -> Vec<u8> {
    let row = width as usize * 3;
    let padding = row.next_multiple_of(4) - row;
    if padding == 0 {
        return rgb;
    }
    rgb.chunks(row).flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0, padding))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_and_pictures_come_forth_and_back() {
        gst::init().unwrap();
        let pictures = Pictures::new((3, 2), 10, (0..3_u8).map(|shade| vec![shade; 18]));
        let shades: Vec<u8> = (0..8).map(|number| pictures.frame(number).map_readable().unwrap()[0]).collect();
        assert_eq!(shades, [0, 1, 2, 2, 1, 0, 0, 1]);
        let frame = pictures.frame(3);
        assert_eq!((frame.size(), frame.pts().unwrap().mseconds()), (24, 300));
        assert_eq!(pictures.len(), 3);
    }
}
