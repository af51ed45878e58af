//! What the pixels of an object's pair cost beside its encoding.

use std::{cell::RefCell, hint::black_box};

use uniood::{
    frame::{Colorimetry, Frame, Matrix, PixelFormat, Plane},
    geometry::{BBox, Rect},
    pair::{Base, PairSpec, write_pair},
};

use super::{BATCH, Encoder, SIZES};
use crate::common::{Figure, interleaved};

/// Frames of a repeat, and objects in each.
const FRAMES: u16 = 10;
const OBJECTS: u16 = 4;

pub(crate) fn figures(encoder: &mut Encoder, repeats: usize) -> Vec<Figure> {
    let spec = PairSpec::new(SIZES.image, [0.481, 0.458, 0.408]);
    let encoder = RefCell::new(encoder);
    let mut figures = Vec::new();
    for (width, height) in [(640_u16, 360_u16), (1920, 1080)] {
        let picture = Picture::new(width, height);
        let (mut target, mut background) = (vec![0; spec.bytes()], vec![0; spec.bytes()]);
        let mut pixels = || {
            for _ in 0..FRAMES {
                let frame = picture.frame();
                let base = Base::new(&frame, &spec).unwrap();
                for object in 0..OBJECTS {
                    write_pair(&frame, &base, picture.rect(object), &spec, &mut target, &mut background).unwrap();
                    black_box((&target, &background));
                }
            }
        };
        let mut encode = || {
            encoder.borrow_mut().run(1);
        };
        let times = interleaved(repeats, &mut [&mut pixels, &mut encode]);
        let milliseconds: Vec<f64> = times[0].iter().map(|time| time.as_secs_f64() * 1e3 / f64::from(FRAMES * OBJECTS)).collect();
        let batch = f64::from(u32::try_from(BATCH).unwrap());
        let shares: Vec<f64> =
            milliseconds.iter().zip(&times[1]).map(|(pixels, encode)| 100.0 * pixels / (encode.as_secs_f64() * 1e3 / batch)).collect();
        let size = format!("{width}×{height} I420, {OBJECTS} objects a frame, to {0}×{0}", SIZES.image);
        figures.push(Figure::new(format!("pixels ÷ encoder alone, % an object: {size}, on one thread"), Some(('≤', 3.0)), &shares, 2));
        figures.push(Figure::new(format!("pixels, ms an object: {size}"), None, &milliseconds, 3));
    }
    figures
}

/// An I420 picture.
struct Picture {
    width: u16,
    height: u16,
    planes: Vec<(Vec<u8>, usize)>,
}

impl Picture {
    fn new(width: u16, height: u16) -> Self {
        let planes = PixelFormat::I420.plane_sizes(width.into(), height.into()).into_iter().enumerate().map(|(plane, (row, rows))| {
            let pixel = |at: usize| u8::try_from((at * 7 + at / row * 3 + plane * 50) % 256).unwrap();
            ((0..row * rows).map(pixel).collect(), row)
        });
        Self { width, height, planes: planes.collect() }
    }

    fn frame(&self) -> Frame<'_> {
        let planes = self.planes.iter().map(|(data, stride)| Plane { data, stride: *stride }).collect();
        let colorimetry = Colorimetry { matrix: Matrix::Bt709, full_range: false };
        Frame::new(self.width.into(), self.height.into(), PixelFormat::I420, colorimetry, planes).unwrap()
    }

    /// A sixth as wide and a half as high as the picture, side by side.
    fn rect(&self, object: u16) -> Rect {
        let (width, height) = (f32::from(self.width), f32::from(self.height));
        let bbox = BBox { x: width * f32::from(object) / f32::from(OBJECTS), y: height / 4.0, w: width / 6.0, h: height / 2.0 };
        Rect::cover(&bbox, self.width.into(), self.height.into()).unwrap()
    }
}
