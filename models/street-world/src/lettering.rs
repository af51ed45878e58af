//! Letters, as outlines for the brush.

use ab_glyph::{Font, FontRef, OutlineCurve, PxScale, ScaleFont};

use crate::{
    brush::Point,
    colour::{Light, WHITE},
    plate::Plate,
};

/// White letters; `at` is where the base line begins.
pub fn write(plate: &mut Plate, text: &str, at: Point, size: f32) {
    let font = FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).expect("the font is compiled in");
    let scaled = font.as_scaled(PxScale::from(size));
    let (across, down) = (scaled.h_scale_factor(), scaled.v_scale_factor());
    let mut pen = at.0;
    let mut contours: Vec<Vec<Point>> = Vec::new();
    for letter in text.chars() {
        let glyph = font.glyph_id(letter);
        let place = |p: ab_glyph::Point| (pen + p.x * across, at.1 - p.y * down);
        let mut end = None;
        for curve in font.outline(glyph).into_iter().flat_map(|outline| outline.curves) {
            let (first, rest): (ab_glyph::Point, Vec<ab_glyph::Point>) = match curve {
                OutlineCurve::Line(a, b) => (a, vec![b]),
                OutlineCurve::Quad(a, b, c) => {
                    (a, (1..=4).map(|i| i as f32 / 4.0).map(|t| between(between(a, b, t), between(b, c, t), t)).collect())
                }
                OutlineCurve::Cubic(a, b, c, d) => (a, vec![b, c, d]),
            };
            if end != Some(first) {
                contours.push(vec![place(first)]);
            }
            end = rest.last().copied();
            contours.last_mut().expect("a contour was begun above").extend(rest.into_iter().map(place));
        }
        pen += scaled.h_advance(glyph);
    }
    plate.brush(Light::STUDIO).polys(&contours, WHITE);
}

fn between(a: ab_glyph::Point, b: ab_glyph::Point, t: f32) -> ab_glyph::Point {
    ab_glyph::point(a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t)
}
