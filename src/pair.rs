//! What the encoder sees of one object: the target image I_x and the background image I_(x).
//!
//! - Target: the crop of the box, resized to S×S without keeping the aspect ratio.
//! - Background: the whole frame with the box filled with round(255·image_mean), resized to S×S the same way.
//! - Resize: Pillow's `BICUBIC`, bit for bit (`src/resample.rs`). Packed RGB, u8; the graph normalises.
//!
//! No copy of the frame is made. A [`Base`] holds what all objects of one frame share: the frame without any
//! box filled, after each pass. An object then costs its own pixels and what its box can reach in the output.

mod background;
mod own;

pub use own::{View, view};

use crate::{
    Error, Result,
    frame::Frame,
    geometry::Rect,
    resample::{Filter, Resize},
};

/// How the backgrounds of a frame's objects are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Background {
    /// Each by itself, the object masked out of its pixels.
    #[default]
    Exact,
    /// The frame once for all its objects, each one's own patches masked out of the keys: an approximation.
    Shared,
}

/// What a CLIP model wants of its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairSpec {
    /// S: both sides of target and background, in pixels; at least 1.
    pub size: usize,
    /// What a filled box is filled with, RGB.
    pub fill: [u8; 3],
}

impl PairSpec {
    /// For images of `size`×`size`, normalised with `image_mean` (0..=1, RGB); the fill is round(255·image_mean).
    #[must_use]
    pub fn new(size: usize, image_mean: [f32; 3]) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
        let fill = image_mean.map(|mean| (f64::from(mean) * 255.0).round_ties_even().clamp(0.0, 255.0) as u8);
        Self { size, fill }
    }

    /// An image of the fill alone, `[S, S, 3]` RGB: the background of a box that is the whole frame.
    #[must_use]
    pub fn blank(&self) -> Vec<u8> {
        self.fill.repeat(self.size * self.size)
    }

    /// Bytes of one target or background: 3·S·S.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        3 * self.size * self.size
    }
}

/// What the backgrounds of one frame's objects share.
#[derive(Debug, Clone)]
pub struct Base {
    width: u32,
    height: u32,
    resize: Resize,
    /// The frame after the first pass: `[height, S, 3]` after the horizontal one, `[S, width, 3]` after the vertical one.
    half: Vec<u8>,
    /// The frame after both passes, `[S, S, 3]`.
    whole: Vec<u8>,
}

impl Base {
    /// Resizes the frame, no box filled.
    ///
    /// # Errors
    /// [`Error::Setting`] for a size of 0.
    pub fn new(frame: &Frame<'_>, spec: &PairSpec) -> Result<Self> {
        let (width, height) = (frame.width(), frame.height());
        let resize = square(width, height, spec)?;
        let mut whole = vec![0; spec.bytes()];
        let mut half = Vec::new();
        let read = |y, row: &mut [u8]| frame.rgb_into(0, y, row);
        resize.run(read, |row| half.extend_from_slice(row), |y, row| whole[y * row.len()..][..row.len()].copy_from_slice(row));
        Ok(Self { width, height, resize, half, whole })
    }

    /// The frame, no box filled, `[S, S, 3]` RGB.
    #[must_use]
    pub fn whole(&self) -> &[u8] {
        &self.whole
    }
}

/// Writes the target and the background of the object in `rect`, each `[S, S, 3]` RGB.
///
/// `base` is that of the same frame and spec. A rect that is the whole frame gives a background of the fill alone.
///
/// # Errors
/// [`Error::Frame`] where `rect` passes the frame's edge, `base` is of another size, or a slice is not 3·S·S long.
pub fn write_pair(frame: &Frame<'_>, base: &Base, rect: Rect, spec: &PairSpec, target: &mut [u8], background: &mut [u8]) -> Result<()> {
    frame.check(rect)?;
    let (width, height, size) = (base.width, base.height, base.resize.columns.len());
    if (width, height, size) != (frame.width(), frame.height(), spec.size) {
        return Err(Error::Frame(format!(
            "a base of {width}×{height} for images of {size}; wanted one made of this {}×{} frame for images of {}",
            frame.width(),
            frame.height(),
            spec.size
        )));
    }
    check_room(background, spec)?;
    if (rect.w(), rect.h()) == (width, height) {
        // The base is the target, and nothing shows around it.
        check_room(target, spec)?;
        target.copy_from_slice(&base.whole);
        background.copy_from_slice(&spec.blank());
        return Ok(());
    }
    write_target(frame, rect, spec, target)?;
    background::write(frame, base, rect, spec.fill, background);
    Ok(())
}

/// Writes the target of the object in `rect` alone, `[S, S, 3]` RGB.
///
/// # Errors
/// [`Error::Frame`] where `rect` passes the frame's edge, or the slice is not 3·S·S long.
pub fn write_target(frame: &Frame<'_>, rect: Rect, spec: &PairSpec, target: &mut [u8]) -> Result<()> {
    frame.check(rect)?;
    check_room(target, spec)?;
    let crop = square(rect.w(), rect.h(), spec)?;
    let read = |y, row: &mut [u8]| frame.rgb_into(rect.x(), rect.y() + y, row);
    crop.run(read, |_| (), |y, row| target[y * row.len()..][..row.len()].copy_from_slice(row));
    Ok(())
}

fn check_room(image: &[u8], spec: &PairSpec) -> Result<()> {
    if image.len() == spec.bytes() {
        return Ok(());
    }
    Err(Error::Frame(format!("{found} bytes to write an image of {0}×{0} to; wanted {1}", spec.size, spec.bytes(), found = image.len())))
}

/// How pictures of one size become S×S.
fn square(width: u32, height: u32, spec: &PairSpec) -> Result<Resize> {
    if spec.size == 0 {
        return Err(Error::Setting("images of 0×0 pixels were asked for; the CLIP folder's image size must be at least 1".to_owned()));
    }
    Ok(Resize::new(Filter::Bicubic, (width as usize, height as usize), (spec.size, spec.size)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        frame::{Colorimetry, Matrix, PixelFormat, Plane},
        geometry::BBox,
    };

    /// The plain way: the whole frame as RGB, the box filled, both passes over all of it.
    fn slow(frame: &Frame<'_>, rect: Rect, spec: &PairSpec) -> (Vec<u8>, Vec<u8>) {
        let whole = Rect::whole(frame.width(), frame.height()).unwrap();
        let mut filled = frame.crop(whole).unwrap();
        for y in rect.y() as usize..rect.bottom() as usize {
            for x in rect.x() as usize..rect.right() as usize {
                let at = (y * filled.width as usize + x) * 3;
                filled.rgb[at..at + 3].copy_from_slice(&spec.fill);
            }
        }
        let resize = |picture: &crate::frame::Picture| {
            let frame = Frame::rgb(picture.width, picture.height, &picture.rgb).unwrap();
            Base::new(&frame, spec).unwrap().whole
        };
        (resize(&frame.crop(rect).unwrap()), resize(&filled))
    }

    fn pair(frame: &Frame<'_>, rect: Rect, spec: &PairSpec) -> (Vec<u8>, Vec<u8>) {
        let base = Base::new(frame, spec).unwrap();
        let (mut target, mut background) = (vec![0; spec.bytes()], vec![0; spec.bytes()]);
        write_pair(frame, &base, rect, spec, &mut target, &mut background).unwrap();
        (target, background)
    }

    fn noise(len: usize, seed: u32) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[1]
        };
        (0..len).map(|_| next()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn the_fast_background_is_the_plain_one(
            (w, h) in (1_u32..300, 1_u32..200),
            size in 1_usize..80,
            bbox in (-20f32..300.0, -20f32..200.0, 0f32..300.0, 0f32..200.0),
            fill: [u8; 3],
            seed: u32,
            i420: bool,
        ) {
            let spec = PairSpec { size, fill };
            let format = if i420 { PixelFormat::I420 } else { PixelFormat::Bgrx };
            let sizes = format.plane_sizes(w, h);
            let bytes = noise(sizes.iter().map(|(row, rows)| row * rows).sum(), seed);
            let mut rest = bytes.as_slice();
            let planes = sizes.into_iter().map(|(row, rows)| {
                let data = rest.split_off(..row * rows).unwrap();
                Plane { data, stride: row }
            });
            let colorimetry = Colorimetry { matrix: Matrix::Bt709, full_range: false };
            let frame = Frame::new(w, h, format, colorimetry, planes.collect()).unwrap();
            if let Some(rect) = Rect::cover(&BBox { x: bbox.0, y: bbox.1, w: bbox.2, h: bbox.3 }, w, h) {
                prop_assert!(pair(&frame, rect, &spec) == slow(&frame, rect, &spec));
            }
        }
    }

    #[test]
    fn the_whole_frame_as_box_leaves_the_fill_alone() {
        let pixels = noise(333 * 77 * 3, 5);
        let frame = Frame::rgb(333, 77, &pixels).unwrap();
        let spec = PairSpec::new(32, [0.481_454_66, 0.457_827_5, 0.408_210_73]);
        assert_eq!(spec.fill, [123, 117, 104]);
        let whole = Rect::whole(333, 77).unwrap();
        let (target, background) = pair(&frame, whole, &spec);
        assert_eq!(background, spec.fill.repeat(32 * 32));
        assert!((target, background) == slow(&frame, whole, &spec));
    }

    #[test]
    fn a_base_of_another_frame_and_short_slices_are_refused() {
        let (small, large) = (noise(10 * 10 * 3, 1), noise(20 * 10 * 3, 2));
        let (small, large) = (Frame::rgb(10, 10, &small).unwrap(), Frame::rgb(20, 10, &large).unwrap());
        let spec = PairSpec::new(8, [0.5; 3]);
        let base = Base::new(&small, &spec).unwrap();
        let rect = Rect::whole(10, 10).unwrap();
        let (mut target, mut background) = (vec![0; spec.bytes()], vec![0; spec.bytes()]);
        assert!(write_pair(&large, &base, rect, &spec, &mut target, &mut background).is_err());
        assert!(write_pair(&small, &base, Rect::whole(20, 10).unwrap(), &spec, &mut target, &mut background).is_err());
        assert!(write_pair(&small, &base, rect, &spec, &mut target[1..], &mut background).is_err());
        assert!(write_pair(&small, &base, rect, &spec, &mut target, &mut background).is_ok());
        assert!(Base::new(&small, &PairSpec::new(0, [0.5; 3])).is_err());
    }
}
