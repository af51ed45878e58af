//! The brush that every drawing of the world is made with: a few shapes on a tiny-skia canvas, in the drawing's own units.

use tiny_skia::{BlendMode, Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, PixmapMut, Rect, Stroke, Transform};

use crate::colour::{Ink, Light};

/// x to the right, y down.
pub type Point = (f32, f32);

/// Draws shapes in its own units onto a canvas; light and haze are applied to each colour.
pub struct Brush<'a> {
    canvas: PixmapMut<'a>,
    transform: Transform,
    light: Light,
    atop: bool,
}

impl<'a> Brush<'a> {
    /// A brush whose units the transform takes to pixels.
    #[must_use]
    pub fn new(canvas: PixmapMut<'a>, transform: Transform, light: Light) -> Self {
        Self { canvas, transform, light, atop: false }
    }

    /// Sets the air before what is drawn next.
    pub fn set_veil(&mut self, veil: f32) {
        self.light.veil = veil;
    }

    /// Draws only where something is drawn already: spots on a hide, writing on a sign.
    pub fn atop(&mut self, draw: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.atop, true);
        draw(self);
        self.atop = before;
    }

    /// Draws in a part of the canvas that has units of its own.
    pub fn within(&mut self, place: Transform, draw: impl FnOnce(&mut Self)) {
        let before = self.transform;
        self.transform = before.pre_concat(place);
        draw(self);
        self.transform = before;
    }

    /// A polygon.
    pub fn poly(&mut self, points: &[Point], ink: impl Into<Ink>) {
        self.polys(std::slice::from_ref(&points), ink);
    }

    /// Many polygons of one ink, in one stroke of work.
    pub fn polys<P: AsRef<[Point]>>(&mut self, polygons: &[P], ink: impl Into<Ink>) {
        let mut path = PathBuilder::new();
        for polygon in polygons {
            outline(&mut path, polygon.as_ref());
        }
        self.fill(path.finish(), ink.into());
    }

    /// A smooth shape through points.
    pub fn blob(&mut self, points: &[Point], ink: impl Into<Ink>) {
        let n = points.len();
        if n < 3 {
            return;
        }
        let mut path = PathBuilder::new();
        path.move_to(points[0].0, points[0].1);
        for i in 0..n {
            bend(&mut path, points[(i + n - 1) % n], points[i], points[(i + 1) % n], points[(i + 2) % n]);
        }
        path.close();
        self.fill(path.finish(), ink.into());
    }

    /// A line with round ends and corners.
    pub fn line(&mut self, points: &[Point], width: f32, ink: impl Into<Ink>) {
        let mut path = PathBuilder::new();
        trace(&mut path, points);
        self.stroke(path.finish(), width, ink.into());
    }

    /// Many lines of one ink and width.
    pub fn lines<P: AsRef<[Point]>>(&mut self, lines: &[P], width: f32, ink: impl Into<Ink>) {
        let mut path = PathBuilder::new();
        for line in lines {
            trace(&mut path, line.as_ref());
        }
        self.stroke(path.finish(), width, ink.into());
    }

    /// A smooth line through points.
    pub fn curve(&mut self, points: &[Point], width: f32, ink: impl Into<Ink>) {
        let mut path = PathBuilder::new();
        if let [first, .., last] = *points {
            path.move_to(first.0, first.1);
            for i in 0..points.len() - 1 {
                let before = if i == 0 { first } else { points[i - 1] };
                bend(&mut path, before, points[i], points[i + 1], *points.get(i + 2).unwrap_or(&last));
            }
        }
        self.stroke(path.finish(), width, ink.into());
    }

    /// A limb: a line whose width changes from joint to joint, `(x, y, width)`.
    pub fn limb(&mut self, joints: &[(f32, f32, f32)], ink: impl Into<Ink>) {
        let mut path = PathBuilder::new();
        for &(x, y, width) in joints {
            path.push_circle(x, y, width / 2.0);
        }
        for pair in joints.windows(2) {
            let ((x1, y1, w1), (x2, y2, w2)) = (pair[0], pair[1]);
            let length = (x2 - x1).hypot(y2 - y1);
            if length > 0.0 {
                let (nx, ny) = ((y2 - y1) / length / 2.0, (x1 - x2) / length / 2.0);
                // The same way round as the circles: overlapping parts must not cancel.
                outline(
                    &mut path,
                    &[
                        (x1 + nx * w1, y1 + ny * w1),
                        (x2 + nx * w2, y2 + ny * w2),
                        (x2 - nx * w2, y2 - ny * w2),
                        (x1 - nx * w1, y1 - ny * w1),
                    ],
                );
            }
        }
        self.fill(path.finish(), ink.into());
    }

    /// A rectangle by its top left corner and sides.
    pub fn rect(&mut self, x: f32, y: f32, width: f32, height: f32, ink: impl Into<Ink>) {
        if let Some(rect) = Rect::from_xywh(x, y, width, height) {
            self.fill(Some(PathBuilder::from_rect(rect)), ink.into());
        }
    }

    /// A rectangle with round corners.
    pub fn round_rect(&mut self, x: f32, y: f32, width: f32, height: f32, radius: f32, ink: impl Into<Ink>) {
        self.fill(rounded(x, y, width, height, radius), ink.into());
    }

    /// The outline of a rectangle with round corners.
    #[expect(clippy::too_many_arguments, reason = "where, how big, how round, how thick, which ink")]
    pub fn frame(&mut self, x: f32, y: f32, width: f32, height: f32, radius: f32, line: f32, ink: impl Into<Ink>) {
        self.stroke(rounded(x, y, width, height, radius), line, ink.into());
    }

    /// An ellipse by its centre and radii.
    pub fn ellipse(&mut self, x: f32, y: f32, rx: f32, ry: f32, ink: impl Into<Ink>) {
        if let Some(rect) = Rect::from_xywh(x - rx, y - ry, 2.0 * rx, 2.0 * ry) {
            self.fill(PathBuilder::from_oval(rect), ink.into());
        }
    }

    /// A disc.
    pub fn disc(&mut self, x: f32, y: f32, radius: f32, ink: impl Into<Ink>) {
        self.ellipse(x, y, radius, radius, ink);
    }

    /// A ring whose outer edge has this radius.
    pub fn ring(&mut self, x: f32, y: f32, radius: f32, line: f32, ink: impl Into<Ink>) {
        self.stroke(PathBuilder::from_circle(x, y, radius - line / 2.0), line, ink.into());
    }

    fn fill(&mut self, path: Option<Path>, ink: Ink) {
        if let Some(path) = path {
            self.canvas.fill_path(&path, &self.paint(ink), FillRule::Winding, self.transform, None);
        }
    }

    fn stroke(&mut self, path: Option<Path>, width: f32, ink: Ink) {
        if let Some(path) = path {
            let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
            self.canvas.stroke_path(&path, &self.paint(ink), &stroke, self.transform, None);
        }
    }

    fn paint(&self, ink: Ink) -> Paint<'static> {
        let colour = self.light.on(ink);
        let channel = |value: f32| (value / 255.0).clamp(0.0, 1.0);
        let mut paint = Paint { anti_alias: true, ..Paint::default() };
        let colour = Color::from_rgba(channel(colour.r), channel(colour.g), channel(colour.b), ink.alpha.clamp(0.0, 1.0));
        paint.set_color(colour.expect("each channel is within 0..=1"));
        if self.atop {
            paint.blend_mode = BlendMode::SourceAtop;
        }
        paint
    }
}

/// n points around a centre, the first at this angle (0 to the right, turning down).
#[must_use]
pub fn regular(n: usize, x: f32, y: f32, radius: f32, first: f32) -> Vec<Point> {
    let angle = |i: usize| first + std::f32::consts::TAU * i as f32 / n as f32;
    (0..n).map(|i| (x + radius * angle(i).cos(), y + radius * angle(i).sin())).collect()
}

fn trace(path: &mut PathBuilder, points: &[Point]) {
    if let [first, rest @ ..] = points {
        path.move_to(first.0, first.1);
        for point in rest {
            path.line_to(point.0, point.1);
        }
    }
}

fn outline(path: &mut PathBuilder, points: &[Point]) {
    trace(path, points);
    path.close();
}

/// A Catmull-Rom piece from b to c as a cubic Bézier.
fn bend(path: &mut PathBuilder, a: Point, b: Point, c: Point, d: Point) {
    let (x1, y1) = (b.0 + (c.0 - a.0) / 6.0, b.1 + (c.1 - a.1) / 6.0);
    let (x2, y2) = (c.0 - (d.0 - b.0) / 6.0, c.1 - (d.1 - b.1) / 6.0);
    path.cubic_to(x1, y1, x2, y2, c.0, c.1);
}

fn rounded(x: f32, y: f32, width: f32, height: f32, radius: f32) -> Option<Path> {
    let r = radius.min(width / 2.0).min(height / 2.0);
    let (right, bottom) = (x + width, y + height);
    let mut path = PathBuilder::new();
    path.move_to(x + r, y);
    path.line_to(right - r, y);
    path.quad_to(right, y, right, y + r);
    path.line_to(right, bottom - r);
    path.quad_to(right, bottom, right - r, bottom);
    path.line_to(x + r, bottom);
    path.quad_to(x, bottom, x, bottom - r);
    path.line_to(x, y + r);
    path.quad_to(x, y, x + r, y);
    path.close();
    path.finish()
}
