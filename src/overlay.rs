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
    track::Track,
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
        let said = || image.map(|verdict| (verdict, None)).into_iter().chain(objects.iter().map(|object| (&object.verdict, object.track)));
        let areas = image.map(|_| size.frame.inset(size.line)).into_iter().chain(outlines().map(|(_, area)| area));
        for ((verdict, track), area) in said().zip(areas) {
            self.describe(verdict, track, &size);
            let extent = (self.width(&size), self.text.height() + 2 * size.padding);
            let place = tag::place(&area, extent, &size.frame, &self.tags);
            self.tags.push(place);
        }
        for (index, (verdict, track)) in said().enumerate().collect::<Vec<_>>().into_iter().rev() {
            let area = self.tags[index];
            self.describe(verdict, track, &size);
            paint(frame, &area, colour(verdict), |_, _| 255);
            self.text.write(frame, &self.words, (area.left + 2 * size.padding, area.top + size.padding), LETTERS);
        }
    }

    /// Puts what the tag of `verdict` says, no wider than the frame, into `words`.
    fn describe(&mut self, verdict: &Verdict, track: Option<Track>, size: &Size) {
        tag::describe(verdict, track, &mut self.words);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        detect::Detection,
        frame::{Colorimetry, Matrix, PixelFormat, PlaneMut},
        geometry::{BBox, Rect},
        verdict::{Reason, Scored},
    };

    fn verdict(kind: usize) -> Verdict {
        let scored = |ood| Scored {
            ood,
            omega: if ood { 0.18 } else { 0.31 },
            threshold: 0.24,
            percentile: None,
            nearest: "truck 貨車".into(),
            omegas: None,
            cosines: None,
        };
        match kind {
            0 => Verdict::Scored(scored(false)),
            1 => Verdict::Scored(scored(true)),
            _ => Verdict::Unscored(Reason::Overload),
        }
    }

    fn object(bbox: BBox, (width, height): (u32, u32), verdict: Verdict) -> Option<Object> {
        let rect = Rect::cover(&bbox, width, height)?;
        Some(Object { rect, detection: Detection { bbox, confidence: 1.0, label: None }, verdict, track: None })
    }

    /// Memory of a frame whose rows have `gap` bytes behind them, all `fill`.
    fn memory(format: PixelFormat, (width, height): (u32, u32), gap: usize, fill: u8) -> Vec<(Vec<u8>, usize)> {
        format.plane_sizes(width, height).into_iter().map(|(row, rows)| (vec![fill; (row + gap) * rows], row + gap)).collect()
    }

    fn frame(memory: &mut [(Vec<u8>, usize)], format: PixelFormat, size: (u32, u32), full_range: bool) -> FrameMut<'_> {
        let planes = memory.iter_mut().map(|(data, stride)| PlaneMut { data, stride: *stride }).collect();
        FrameMut::new(size.0, size.1, format, Colorimetry { matrix: Matrix::Bt709, full_range }, planes).unwrap()
    }

    const FORMATS: [PixelFormat; 6] =
        [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Rgb, PixelFormat::Bgra, PixelFormat::Argb, PixelFormat::Xbgr];

    #[test]
    fn lines_have_the_verdicts_colour_in_every_format() {
        let size = (640, 360);
        let bbox = BBox { x: 100.0, y: 100.0, w: 200.0, h: 160.0 };
        for format in FORMATS {
            for (kind, wanted) in [(0, ID), (1, OOD), (2, UNSCORED)] {
                let mut memory = memory(format, size, 5, 90);
                let mut frame = frame(&mut memory, format, size, false);
                Overlay::new().draw(&mut frame, &[object(bbox, size, verdict(kind)).unwrap()], None);
                // The left line's inner pixels, half way down.
                let found = frame.as_frame().crop(Rect::cover(&BBox { x: 98.0, y: 180.0, w: 2.0, h: 2.0 }, 640, 360).unwrap()).unwrap();
                for (found, wanted) in found.rgb.iter().zip(wanted.iter().cycle()) {
                    assert!(found.abs_diff(*wanted) <= 2, "{format:?} {kind}: {found} for {wanted}");
                }
            }
        }
    }

    #[test]
    fn a_tag_has_white_letters_on_the_verdicts_colour() {
        let size = (640, 360);
        let mut pixels = vec![0; 640 * 360 * 3];
        let mut frame = FrameMut::rgb(640, 360, &mut pixels).unwrap();
        Overlay::new().draw(&mut frame, &[object(BBox { x: 100.0, y: 100.0, w: 80.0, h: 60.0 }, size, verdict(0)).unwrap()], None);
        let tag = frame.as_frame().crop(Rect::cover(&BBox { x: 98.0, y: 82.0, w: 120.0, h: 14.0 }, 640, 360).unwrap()).unwrap();
        let count = |holds: &dyn Fn(&[u8; 3]) -> bool| tag.rgb.as_chunks::<3>().0.iter().filter(|pixel| holds(pixel)).count();
        let (letters, ground) = (count(&|pixel| *pixel.iter().min().unwrap() > 180), count(&|pixel| *pixel == ID));
        assert!(letters > 80 && ground > 600, "{letters} bright pixels on {ground}");
    }

    #[test]
    fn letters_of_another_frame_height_are_made_anew() {
        let mut overlay = Overlay::new();
        let mut tag_height = |height: u32| {
            let mut pixels = vec![0; 640 * height as usize * 3];
            let mut frame = FrameMut::rgb(640, height, &mut pixels).unwrap();
            overlay.draw(&mut frame, &[], Some(&verdict(0)));
            (overlay.tags[0].height(), overlay.text.advance())
        };
        let (small, large) = (tag_height(360), tag_height(2160));
        assert!(large.0 >= 3 * small.0 && large.1 >= 3 * small.1, "{small:?} {large:?}");
        assert_eq!(tag_height(360), small);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(120))]

        #[test]
        fn drawing_stays_in_the_frame_whatever_its_form(
            size in (1_u32..180, 1_u32..140),
            format in prop::sample::select(FORMATS.to_vec()),
            gap in 0_usize..7,
            boxes in prop::collection::vec((0f32..200.0, 0f32..150.0, 0.5f32..200.0, 0.5f32..150.0, 0_usize..3), 0..6),
            image in prop::option::of(0_usize..3),
            full_range: bool,
        ) {
            let objects: Vec<Object> =
                boxes.into_iter().filter_map(|(x, y, w, h, kind)| object(BBox { x, y, w, h }, size, verdict(kind))).collect();
            let mut memory = memory(format, size, gap, 77);
            let before = memory.clone();
            let image = image.map(verdict);
            Overlay::new().draw(&mut frame(&mut memory, format, size, full_range), &objects, image.as_ref());
            prop_assert_eq!(memory == before, objects.is_empty() && image.is_none());
            for ((data, stride), (row, _)) in memory.iter().zip(format.plane_sizes(size.0, size.1)) {
                prop_assert!(data.chunks(*stride).all(|line| line[row..].iter().all(|byte| *byte == 77)), "bytes between rows");
            }
        }
    }
}
