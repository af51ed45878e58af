//! Verdicts drawn into a frame: a box an object and a tag beside it.
//!
//! Green is ID, red OOD, grey unscored; OOD boxes are also thicker and have marked corners, for who cannot tell red
//! from green. Widths and letters grow with the frame's height.

mod paint;
mod tag;
mod text;

use paint::{Area, paint, side};
use text::Text;

use crate::{
    frame::FrameMut,
    verdict::{Object, Verdict},
};

const ID: [u8; 3] = [0, 140, 60];
const OOD: [u8; 3] = [214, 30, 30];
const UNSCORED: [u8; 3] = [105, 105, 105];
const LETTERS: [u8; 3] = [255, 255, 255];
const SHADE: [u8; 3] = [0, 0, 0];

/// How much of the shade around a line shows.
const SHADE_COVERAGE: u8 = 110;

/// Draws verdicts; one a stream, since it keeps the glyphs of the frame height it last saw.
#[derive(Debug)]
pub struct Overlay {
    text: Text,
    /// Where this frame's tags went, object by object.
    tags: Vec<Area>,
    words: String,
}

impl Default for Overlay {
    fn default() -> Self {
        Self::new()
    }
}

impl Overlay {
    /// An overlay without glyphs yet.
    #[must_use]
    pub fn new() -> Self {
        Self { text: Text::new(), tags: Vec::new(), words: String::new() }
    }

    /// Draws the objects' boxes and tags, and the frame's own verdict, where it has one, as a box around all of it.
    /// Nothing to draw leaves the frame as it is. Boxes of another frame are drawn as far as they lie in this one.
    pub fn draw(&mut self, frame: &mut FrameMut<'_>, objects: &[Object], image: Option<&Verdict>) {
        if objects.is_empty() && image.is_none() {
            return;
        }
        let size = Size::new(frame);
        self.text.set_height(size.letters);
        let outlines = || objects.iter().map(|object| (&object.verdict, size.outline(object)));
        // The most confident come first and are drawn last, so that nothing covers them.
        if let Some(verdict) = image {
            outline(frame, &size, &size.frame, verdict);
        }
        for (verdict, area) in outlines().rev() {
            outline(frame, &size, &area, verdict);
        }

        self.tags.clear();
        for (verdict, area) in image.map(|verdict| (verdict, size.frame.inset(size.line))).into_iter().chain(outlines()) {
            self.describe(verdict, &size);
            let extent = (self.width(&size), self.text.height() + 2 * size.padding);
            let place = tag::place(&area, extent, &size.frame, &self.tags);
            self.tags.push(place);
        }
        let verdicts = image.into_iter().chain(objects.iter().map(|object| &object.verdict));
        for (index, verdict) in verdicts.enumerate().collect::<Vec<_>>().into_iter().rev() {
            let area = self.tags[index];
            self.describe(verdict, &size);
            paint(frame, &area, colour(verdict), |_, _| 255);
            self.text.write(frame, &self.words, (area.left + 2 * size.padding, area.top + size.padding), LETTERS);
        }
    }

    /// Puts what the tag of `verdict` says, no wider than the frame, into `words`.
    fn describe(&mut self, verdict: &Verdict, size: &Size) {
        tag::describe(verdict, &mut self.words);
        let room = (size.frame.width() - 4 * size.padding) / self.text.advance().max(1);
        tag::shorten(&mut self.words, usize::try_from(room).unwrap_or(0));
    }

    fn width(&self, size: &Size) -> i32 {
        let characters = i32::try_from(self.words.chars().count()).unwrap_or(i32::MAX);
        characters.saturating_mul(self.text.advance()).saturating_add(4 * size.padding)
    }
}

/// How large things are in a frame of this height, in pixels.
struct Size {
    frame: Area,
    line: i32,
    letters: i32,
    padding: i32,
}

impl Size {
    fn new(frame: &FrameMut<'_>) -> Self {
        let (width, height) = (side(frame.width()), side(frame.height()));
        let frame = Area { left: 0, top: 0, right: width, bottom: height };
        // 360 lines: 2 and 16 pixels; 1080: 4 and 32; 2160: 8 and 64.
        Self { frame, line: (height / 270).max(2), letters: (height / 34).max(16), padding: (height / 540).max(1) }
    }

    /// The box's outer edge: its line lies around the object, but inside the frame.
    fn outline(&self, object: &Object) -> Area {
        let rect = &object.rect;
        let area = Area { left: side(rect.x()), top: side(rect.y()), right: side(rect.right()), bottom: side(rect.bottom()) };
        area.inset(-self.line(&object.verdict)).within(&self.frame)
    }

    /// Width of a box's line.
    fn line(&self, verdict: &Verdict) -> i32 {
        if is_ood(verdict) { self.line * 3 / 2 } else { self.line }
    }
}

const fn is_ood(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Scored(scored) if scored.ood)
}

const fn colour(verdict: &Verdict) -> [u8; 3] {
    match verdict {
        Verdict::Scored(scored) if scored.ood => OOD,
        Verdict::Scored(_) => ID,
        Verdict::Unscored(_) => UNSCORED,
    }
}

/// A box's line inside `area`, a shade around it that keeps it visible on any ground; corner marks for OOD.
fn outline(frame: &mut FrameMut<'_>, size: &Size, area: &Area, verdict: &Verdict) {
    let line = size.line(verdict);
    let shade = (line / 2).max(1);
    ring(frame, &area.inset(-shade), shade, SHADE, SHADE_COVERAGE);
    ring(frame, &area.inset(line), shade, SHADE, SHADE_COVERAGE);
    ring(frame, area, line, colour(verdict), 255);
    if is_ood(verdict) {
        let (thick, long) = (2 * line, (area.width().min(area.height()) / 4).clamp(3 * line, 10 * line));
        for (left, top) in [(true, true), (false, true), (true, false), (false, false)] {
            let corner = |width: i32, height: i32| Area {
                left: if left { area.left } else { area.right - width },
                top: if top { area.top } else { area.bottom - height },
                right: if left { area.left + width } else { area.right },
                bottom: if top { area.top + height } else { area.bottom },
            };
            for arm in [corner(long, thick), corner(thick, long)] {
                paint(frame, &arm.within(area), OOD, |_, _| 255);
            }
        }
    }
}

/// The outermost `line` pixels of `area`.
fn ring(frame: &mut FrameMut<'_>, area: &Area, line: i32, rgb: [u8; 3], coverage: u8) {
    let inner = area.inset(line);
    let middle = inner.top.min(area.bottom)..inner.bottom.max(inner.top.min(area.bottom));
    for side in [
        Area { bottom: middle.start, ..*area },
        Area { top: middle.end, ..*area },
        Area { top: middle.start, bottom: middle.end, right: inner.left.min(area.right), ..*area },
        Area { top: middle.start, bottom: middle.end, left: inner.right.max(inner.left), ..*area },
    ] {
        paint(frame, &side, rgb, |_, _| coverage);
    }
}
