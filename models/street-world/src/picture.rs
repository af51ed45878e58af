//! Pixels in memory and as PNG or JPEG.

use tiny_skia::Pixmap;

/// An RGB picture, 8 bits a channel, rows from the top without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// `3·width·height` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// The colours of an opaque canvas.
    pub(crate) fn from_pixmap(pixmap: &Pixmap) -> Self {
        let rgb = pixmap.data().as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
        Self { width: pixmap.width(), height: pixmap.height(), rgb }
    }

    /// The picture as a PNG file's bytes.
    #[must_use]
    pub fn png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        image::ImageEncoder::write_image(encoder, &self.rgb, self.width, self.height, image::ExtendedColorType::Rgb8)
            .expect("the buffer has the picture's size and memory takes every byte");
        bytes
    }

    /// The picture as a JPEG file's bytes, quality 1..=100.
    #[must_use]
    pub fn jpeg(&self, quality: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality)
            .encode(&self.rgb, self.width, self.height, image::ExtendedColorType::Rgb8)
            .expect("the buffer has the picture's size, which JPEG's 65535 exceeds, and memory takes every byte");
        bytes
    }
}
