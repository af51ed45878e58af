//! Antialiased text: Hack, each glyph rasterised once a size.

use std::collections::HashMap;

use ab_glyph::{Font as _, FontRef, PxScale, ScaleFont as _};

use super::paint::{Area, paint};
use crate::frame::FrameMut;

/// A monospaced font at one size.
#[derive(Debug)]
pub(super) struct Text {
    font: FontRef<'static>,
    glyphs: HashMap<char, Glyph>,
    /// Height of a line in pixels; what the glyphs were made for.
    height: i32,
    /// Width of a character in pixels.
    advance: i32,
    ascent: f32,
}

/// Coverage of one character, relative to the left end of the line's top.
#[derive(Debug, Default)]
struct Glyph {
    left: i32,
    top: i32,
    width: i32,
    coverage: Vec<u8>,
}

impl Text {
    pub(super) fn new() -> Self {
        let font = FontRef::try_from_slice(epaint_default_fonts::HACK_REGULAR).expect("the font is part of the program");
        Self { font, glyphs: HashMap::new(), height: 0, advance: 0, ascent: 0.0 }
    }

    /// Sets the height of a line in pixels; another one empties the cache.
    pub(super) fn set_height(&mut self, height: i32) {
        if height != self.height {
            let scaled = self.font.as_scaled(scale(height));
            self.ascent = scaled.ascent().round();
            self.advance = whole(scaled.h_advance(self.font.glyph_id('0')).round());
            self.height = height;
            self.glyphs.clear();
        }
    }

    /// Height of a line.
    pub(super) const fn height(&self) -> i32 {
        self.height
    }

    /// Width of one character.
    pub(super) const fn advance(&self) -> i32 {
        self.advance
    }

    /// Writes one line with its top left corner at `left`, `top`.
    pub(super) fn write(&mut self, frame: &mut FrameMut<'_>, text: &str, (left, top): (i32, i32), rgb: [u8; 3]) {
        for (place, character) in (0..).zip(text.chars()) {
            let (font, height, ascent) = (&self.font, self.height, self.ascent);
            let glyph = self.glyphs.entry(character).or_insert_with(|| Glyph::new(font, character, height, ascent));
            if glyph.width > 0 {
                let (left, top) = (left + place * self.advance + glyph.left, top + glyph.top);
                let rows = whole_len(glyph.coverage.len()) / glyph.width;
                let area = Area { left, top, right: left + glyph.width, bottom: top + rows };
                paint(frame, &area, rgb, |x, y| {
                    usize::try_from((y - top) * glyph.width + x - left).ok().and_then(|at| glyph.coverage.get(at)).copied().unwrap_or(0)
                });
            }
        }
    }
}

impl Glyph {
    fn new(font: &FontRef<'_>, character: char, height: i32, ascent: f32) -> Self {
        let glyph = font.glyph_id(character).with_scale_and_position(scale(height), ab_glyph::point(0.0, ascent));
        let Some(outline) = font.outline_glyph(glyph) else { return Self::default() };
        let bounds = outline.px_bounds();
        let (width, rows) = (whole(bounds.width().ceil()), whole(bounds.height().ceil()));
        let mut coverage = vec![0; usize::try_from(width * rows).unwrap_or(0)];
        outline.draw(|x, y, part| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
            if let Some(pixel) = coverage.get_mut(y as usize * bounds.width().ceil() as usize + x as usize) {
                *pixel = (part * 255.0).round().clamp(0.0, 255.0) as u8;
            }
        });
        Self { left: whole(bounds.min.x), top: whole(bounds.min.y), width, coverage }
    }
}

fn scale(height: i32) -> PxScale {
    #[expect(clippy::cast_precision_loss, reason = "a line of text is far below 2^24 pixels high")]
    PxScale::from(height as f32)
}

#[expect(clippy::cast_possible_truncation, reason = "pixels of a glyph, a few thousand at most")]
const fn whole(pixels: f32) -> i32 {
    pixels as i32
}

fn whole_len(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(0)
}
