//! The worst mistakes: crops, and where the attentions looked.

use std::io::Cursor;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::{Rgb, RgbImage, codecs::jpeg::JpegEncoder, imageops, imageops::FilterType};
use ndarray::ArrayRef1;

use crate::{
    Error, Result,
    engine::FeatureEncoder,
    eval::{Counted, Part},
    frame::{FrameSource, Picture},
    pair::Base,
};

/// How many are shown.
const SHOWN: usize = 24;

/// Height of the pictures, in pixels.
const HEIGHT: u32 = 150;
const WIDEST: u32 = 300;
const QUALITY: u8 = 82;

/// What the attention's colour is, and how much of it covers a token of full weight.
const GLOW: [f32; 3] = [255.0, 60.0, 0.0];
const COVER: f32 = 0.75;

/// A mistake and its pictures as data URIs.
pub(super) struct Mistake<'a> {
    pub(super) object: &'a Counted,
    /// The crop as it is.
    pub(super) crop: String,
    /// The crop under β of intra-image attention.
    pub(super) target: String,
    /// The picture without the object under β of inter-image attention.
    pub(super) background: String,
}

/// The worst mistakes under a column and a threshold: OOD that was let in, the highest scores first, and ID that was turned
/// away, the lowest first; half of each as far as there are so many.
pub(super) fn worst(objects: &[Counted], column: usize, threshold: f64) -> Vec<&Counted> {
    let of = |known: bool| {
        let wrong = |object: &&Counted| object.known == known && (object.scores[column] < threshold) == known;
        let mut found: Vec<&Counted> = objects.iter().filter(wrong).collect();
        found.sort_by(|a, b| a.scores[column].total_cmp(&b.scores[column]));
        if !known {
            found.reverse();
        }
        found
    };
    let (mut unknown, mut known) = (of(false), of(true));
    let half = SHOWN / 2;
    unknown.truncate(SHOWN - known.len().min(half));
    known.truncate(SHOWN - unknown.len());
    unknown.into_iter().chain(known).collect()
}

/// Reads a mistake's picture once more and draws what there is to see.
pub(super) fn pictured<'a>(object: &'a Counted, parts: &[Part], encoder: &mut FeatureEncoder) -> Result<Mistake<'a>> {
    let annotated = &parts[object.part].data.pictures[object.picture];
    let picture = annotated.read()?;
    let spec = *encoder.spec();
    let (frame, rect) = (picture.frame(), object.rect);
    let pair = encoder.pair(&frame, &Base::new(&frame, &spec)?, rect)?;
    let features = encoder.encode(&[pair], |_| Ok(()))?.pop().ok_or(Error::Worker)?;
    let crop = image_of(frame.crop(rect)?)?;
    let mut background = image_of(picture)?;
    let fill = Rgb(spec.fill);
    for (x, y) in (rect.y()..rect.bottom()).flat_map(|y| (rect.x()..rect.right()).map(move |x| (x, y))) {
        background.put_pixel(x, y, fill);
    }
    let mut target = imageops::resize(&crop, HEIGHT, HEIGHT, FilterType::Triangle);
    glow(&mut target, &features.beta_target);
    let mut background = fitted(&background);
    glow(&mut background, &features.beta_background);
    Ok(Mistake { object, crop: uri(&fitted(&crop))?, target: uri(&target)?, background: uri(&background)? })
}

fn image_of(Picture { width, height, rgb }: Picture) -> Result<RgbImage> {
    RgbImage::from_raw(width, height, rgb).ok_or_else(|| Error::Frame("a picture holds fewer bytes than its size says".to_owned()))
}

/// At the shown height, as far as the width allows.
fn fitted(image: &RgbImage) -> RgbImage {
    let (width, height) = image.dimensions();
    let scaled = |side: u32, of: u32, to: u32| u32::try_from(u64::from(side) * u64::from(to) / u64::from(of)).unwrap_or(u32::MAX).max(1);
    let wide = scaled(width, height, HEIGHT);
    let (width, height) = if wide <= WIDEST { (wide, HEIGHT) } else { (WIDEST, scaled(height, width, WIDEST)) };
    imageops::resize(image, width, height, FilterType::Triangle)
}

/// Lays the patches' attention over an image, relative to the largest, without edges between patches.
fn glow(image: &mut RgbImage, beta: &ArrayRef1<f32>) {
    let side = u32::try_from((beta.len() - 1).isqrt()).unwrap_or(1);
    let most = beta.iter().skip(1).copied().fold(f32::MIN_POSITIVE, f32::max);
    let map = image::ImageBuffer::from_fn(side, side, |x, y| image::Luma([beta[(y * side + x) as usize + 1] / most]));
    let map = imageops::resize(&map, image.width(), image.height(), FilterType::Triangle);
    for (pixel, weight) in image.pixels_mut().zip(map.pixels()) {
        let cover = weight.0[0].clamp(0.0, 1.0) * COVER;
        for (level, glow) in pixel.0.iter_mut().zip(GLOW) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two levels")]
            let mixed = (f32::from(*level) * (1.0 - cover) + glow * cover) as u8;
            *level = mixed;
        }
    }
}

fn uri(image: &RgbImage) -> Result<String> {
    let mut jpeg = Cursor::new(Vec::new());
    image
        .write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY))
        .map_err(|error| Error::Frame(format!("a picture for the report cannot be encoded ({error})")))?;
    Ok(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg.into_inner())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;

    fn object(known: bool, score: f64) -> Counted {
        let rect = Rect::whole(1, 1).unwrap();
        Counted { part: 0, picture: 0, rect, known, category: None, nearest: 0, scores: vec![score] }
    }

    #[test]
    fn the_worst_are_the_farthest_on_the_wrong_side_half_of_each_kind() {
        let mut objects: Vec<Counted> = (0..40).map(|k| object(false, f64::from(k) / 40.0)).collect();
        objects.extend((0..40).map(|k| object(true, f64::from(k) / 40.0)));
        let shown: Vec<(bool, f64)> = worst(&objects, 0, 0.5).iter().map(|object| (object.known, object.scores[0])).collect();
        assert_eq!((shown.len(), shown[0], shown[12]), (24, (false, 0.975), (true, 0.0)));
        // Few of one kind leave room for the other.
        objects.truncate(42);
        let shown = worst(&objects, 0, 0.5);
        assert_eq!((shown.len(), shown.iter().filter(|object| object.known).count()), (22, 2));
        assert!(worst(&[object(true, 0.9), object(false, 0.1)], 0, 0.5).is_empty());
    }

    #[test]
    fn the_glow_is_where_the_attention_is() {
        let mut image = RgbImage::new(40, 40);
        // CLS, then a 2×2 grid: all of it at the top right.
        glow(&mut image, &ndarray::array![0.5, 0.0, 0.5, 0.0, 0.0]);
        assert!(image.get_pixel(36, 3).0[0] > 180 && image.get_pixel(3, 36).0[0] < 10);
    }

    #[test]
    fn pictures_are_fitted_into_their_place() {
        assert_eq!(fitted(&RgbImage::new(1000, 10)).dimensions(), (WIDEST, 3));
        assert_eq!(fitted(&RgbImage::new(10, 1000)).dimensions(), (1, HEIGHT));
    }
}
