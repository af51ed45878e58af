//! Picture files: JPEG, PNG, WebP, BMP, TIFF to packed RGB.

use std::{
    fs::File,
    io::{BufRead, BufReader, Cursor, Seek},
    path::Path,
};

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits, error::LimitErrorKind};

use crate::{Error, Result, frame::Picture};

/// Longest side that is read, in pixels.
const MAX_SIDE: u32 = 1 << 16;

/// Most memory that one picture may take while it is decoded, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// Reads a picture file. The format is told from its content, not its name. EXIF orientation is applied, alpha is
/// dropped, grey becomes RGB, 16 bits become 8.
///
/// # Errors
/// [`Error::File`] where it cannot be opened; [`Error::Content`] where it is empty, of another format, cut off, or
/// larger than 65536 pixels a side or 1 GiB decoded.
pub fn read(path: &Path) -> Result<Picture> {
    let file = File::open(path).map_err(Error::file("read", path))?;
    if file.metadata().map_err(Error::file("read", path))?.is_dir() {
        return Err(Error::content(path, "a folder; name a picture file"));
    }
    decode(BufReader::new(file)).map_err(|problem| Error::content(path, problem))
}

/// [`read`] from memory; `name` stands for the file in errors.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(bytes: &[u8], name: &Path) -> Result<Picture> {
    decode(Cursor::new(bytes)).map_err(|problem| Error::content(name, problem))
}

fn decode<R: BufRead + Seek>(mut source: R) -> Result<Picture, String> {
    const WANTED: &str = "wanted JPEG, PNG, WebP, BMP or TIFF";
    if source.fill_buf().map_err(|error| format!("cannot be read: {error}"))?.is_empty() {
        return Err(format!("an empty file; {WANTED}"));
    }
    let reader = ImageReader::new(source).with_guessed_format().map_err(|error| format!("cannot be read: {error}"))?;
    if reader.format().is_none() {
        return Err(format!("not a picture of a known format; {WANTED}"));
    }
    let explain = |error: ImageError| match error {
        ImageError::Limits(limit) if matches!(limit.kind(), LimitErrorKind::DimensionError | LimitErrorKind::InsufficientMemory) => {
            format!("larger than {MAX_SIDE} pixels a side or {} MiB decoded; scale it down first", MAX_BYTES >> 20)
        }
        ImageError::Unsupported(error) => format!("{error}; {WANTED}"),
        error => format!("damaged or cut off ({error}); make or fetch it again"),
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    let mut reader = reader;
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let orientation = decoder.orientation().map_err(explain)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(explain)?;
    image.apply_orientation(orientation);
    let rgb = image.into_rgb8();
    if rgb.width() == 0 || rgb.height() == 0 {
        return Err("a picture without pixels; make or fetch it again".to_owned());
    }
    Ok(Picture { width: rgb.width(), height: rgb.height(), rgb: rgb.into_raw() })
}
