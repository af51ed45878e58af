//! Picture files: JPEG, PNG, WebP, BMP, TIFF to packed RGB.

mod jpeg;

use std::{fs, io::Cursor, path::Path};

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage, error::LimitErrorKind, metadata::Orientation,
};

use crate::{Error, Result, frame::Picture};

/// Longest side that is read, in pixels.
const MAX_SIDE: u32 = 1 << 16;

/// Most memory that one decoded picture may take, in bytes: 178 million pixels of RGB.
const MAX_BYTES: u64 = 512 << 20;

/// What `problem` ends in where the format is not one of ours.
const WANTED: &str = "wanted JPEG, PNG, WebP, BMP or TIFF";

/// Reads a picture file. The format is told from its content, not its name. EXIF orientation is applied, alpha is
/// dropped, grey becomes RGB, 16 bits become 8.
///
/// # Errors
/// [`Error::File`] where it cannot be read; [`Error::Content`] where it is empty, of another format, damaged, cut off,
/// or larger than 65536 pixels a side or 512 MiB decoded.
pub fn read(path: &Path) -> Result<Picture> {
    if path.is_dir() {
        return Err(Error::content(path, "a folder; name a picture file"));
    }
    let bytes = fs::read(path).map_err(Error::file("read", path))?;
    from_bytes(&bytes, path)
}

/// [`read`] from memory; `name` stands for the file in errors.
///
/// # Errors
/// [`Error::Content`] as [`read`].
pub fn from_bytes(bytes: &[u8], name: &Path) -> Result<Picture> {
    decode(bytes).map_err(|problem| Error::content(name, problem))
}

/// A picture as its file holds it.
struct Decoded {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    /// Still to be applied.
    orientation: Orientation,
}

fn decode(bytes: &[u8]) -> Result<Picture, String> {
    if bytes.is_empty() {
        return Err(format!("an empty file; {WANTED}"));
    }
    let format = image::guess_format(bytes).map_err(|_| format!("not a picture of a known format; {WANTED}"))?;
    let Decoded { width, height, rgb, orientation } =
        if format == ImageFormat::Jpeg { jpeg::decode(bytes, fits)? } else { others(bytes, format)? };
    let mut image: DynamicImage = RgbImage::from_raw(width, height, rgb).ok_or_else(|| damaged("rows are missing"))?.into();
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    Ok(Picture { width, height, rgb: image.into_rgb8().into_raw() })
}

/// Every format but JPEG.
fn others(bytes: &[u8], format: ImageFormat) -> Result<Decoded, String> {
    let explain = |error: ImageError| match error {
        ImageError::Limits(limit) if !matches!(limit.kind(), LimitErrorKind::Unsupported { .. }) => too_large(),
        ImageError::Unsupported(error) => format!("{error}; {WANTED}"),
        error => damaged(&error.to_string()),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    fits(width, height)?;
    // Alpha, 16 bits and floats take more than the RGB that becomes of them.
    if decoder.total_bytes() > MAX_BYTES {
        return Err(too_large());
    }
    let orientation = decoder.orientation().map_err(explain)?;
    let rgb = DynamicImage::from_decoder(decoder).map_err(explain)?.into_rgb8().into_raw();
    Ok(Decoded { width, height, rgb, orientation })
}

fn fits(width: u32, height: u32) -> Result<(), String> {
    if width == 0 || height == 0 {
        return Err(damaged("no pixels"));
    }
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) * 3 > MAX_BYTES {
        return Err(too_large());
    }
    Ok(())
}

fn too_large() -> String {
    format!("larger than {MAX_SIDE} pixels a side or {} MiB decoded; scale it down first", MAX_BYTES >> 20)
}

fn damaged(problem: &str) -> String {
    format!("damaged or cut off ({problem}); make or fetch it again")
}
