//! JPEG through libjpeg (mozjpeg's, whose decoder is libjpeg-turbo's): the pixels are those of Pillow, OpenCV and
//! GStreamer's `jpegdec`, where decoders written anew are up to five levels off.

use std::{
    cell::Cell,
    io::{self, BufRead, Read},
    panic::{AssertUnwindSafe, catch_unwind},
};

use image::metadata::Orientation;
use mozjpeg::{ColorSpace, Decompress, Marker};

use super::Decoded;

/// What an APP1 segment that holds EXIF begins with; TIFF follows.
const EXIF: &[u8] = b"Exif\0\0";

/// Decodes to RGB; `fits` says whether a picture of that width and height may be read at all.
pub(super) fn decode(bytes: &[u8], fits: impl Fn(u32, u32) -> Result<(), String>) -> Result<Decoded, String> {
    let source = Source { rest: bytes, ran_out: &Cell::new(false) };
    // libjpeg leaves a decoder by unwinding, without a message on stderr; the decoder is dropped on the way.
    let decoded = catch_unwind(AssertUnwindSafe(|| scan(&source, fits))).unwrap_or_else(|problem| {
        let problem =
            problem.downcast_ref::<String>().map_or("libjpeg gave up", |problem| problem.trim_start_matches("libjpeg fatal error: "));
        Err(super::damaged(problem))
    })?;
    // libjpeg fills up with grey what is missing.
    if source.ran_out.get() { Err(super::damaged("it ends too early")) } else { Ok(decoded) }
}

fn scan(source: &Source<'_>, fits: impl Fn(u32, u32) -> Result<(), String>) -> Result<Decoded, String> {
    let failed = |error: io::Error| super::damaged(&error.to_string());
    let decoder = Decompress::with_markers(&[Marker::APP(1)]).from_reader(source.clone()).map_err(failed)?;
    let side = |side: usize| u32::try_from(side).map_err(|_| super::damaged("a side of more than 2³² pixels"));
    let (width, height) = (side(decoder.width())?, side(decoder.height())?);
    fits(width, height)?;
    let exif = decoder.markers().find_map(|marker| Orientation::from_exif_chunk(marker.data.strip_prefix(EXIF)?));
    let orientation = exif.unwrap_or(Orientation::NoTransforms);
    let rgb = match decoder.color_space() {
        // Adobe's way: ink is stored inverted.
        ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => {
            let inks: Vec<[u8; 4]> =
                decoder.to_colorspace(ColorSpace::JCS_CMYK).and_then(|mut scan| scan.read_scanlines()).map_err(failed)?;
            inks.into_iter().flat_map(|[c, m, y, k]| [c, m, y].map(|ink| under(ink, k))).collect()
        }
        _ => decoder.rgb().and_then(|mut scan| scan.read_scanlines()).map_err(failed)?,
    };
    Ok(Decoded { width, height, rgb, orientation })
}

/// Light that passes an ink and black, 0..=255 each: the rounded product.
fn under(ink: u8, black: u8) -> u8 {
    let product = u16::from(ink) * u16::from(black) + 127;
    #[expect(clippy::cast_possible_truncation, reason = "at most 255·255 + 127, so at most 255 after the division")]
    let light = (product / 255) as u8;
    light
}

/// The bytes, and whether more were asked for than there are.
#[derive(Clone)]
struct Source<'a> {
    rest: &'a [u8],
    ran_out: &'a Cell<bool>,
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.rest.read(out)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.rest.is_empty() {
            self.ran_out.set(true);
        }
        Ok(self.rest)
    }

    fn consume(&mut self, amount: usize) {
        self.rest.consume(amount);
    }
}
