//! The plate a frame is painted on: colours, and for each pixel whose it is.
//!
//! Everything that stands in the world is drawn alone first and then laid over the plate. Its own alpha says which pixels are its: half covered or more.
//! So colours, the id mask and silhouettes come from one drawing and cannot disagree.

use tiny_skia::{Pixmap, PixmapMut, Transform};

use crate::{brush::Brush, colour::Light, picture::Picture};

/// The id of whatever is not an object.
pub const SCENERY: u16 = 0;

/// A box of whole pixels: left and top inside, right and bottom outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Column after the last.
    pub right: u32,
    /// Row after the last.
    pub bottom: u32,
}

impl Area {
    /// Pixels across.
    #[must_use]
    pub fn width(self) -> u32 {
        self.right - self.left
    }

    /// Pixels down.
    #[must_use]
    pub fn height(self) -> u32 {
        self.bottom - self.top
    }

    /// Grown so that a pixel is in it.
    #[must_use]
    pub fn with(area: Option<Self>, x: u32, y: u32) -> Self {
        area.map_or(Self { left: x, top: y, right: x + 1, bottom: y + 1 }, |a| Self {
            left: a.left.min(x),
            top: a.top.min(y),
            right: a.right.max(x + 1),
            bottom: a.bottom.max(y + 1),
        })
    }
}

/// What a thing covers of the frame, before anything covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Silhouette {
    /// Pixels that are its.
    pub pixels: u32,
    /// The box of these; `None` where there are none.
    pub area: Option<Area>,
}

/// Bounds of a drawing in its own units: left, top, right, bottom.
pub type Bounds = (f32, f32, f32, f32);

/// How a drawing goes onto the plate.
#[derive(Debug, Clone, Copy)]
pub struct Laying {
    /// From the drawing's units to pixels.
    pub place: Transform,
    /// What the drawing may cover, in its own units.
    pub bounds: Bounds,
    /// The light on it.
    pub light: Light,
    /// 0 not there, 1 wholly there.
    pub presence: f32,
    /// Lighter at the top and darker at the bottom by this share, which gives flat colours some body.
    pub relief: f32,
}

impl Laying {
    /// A laying without relief, wholly there.
    #[must_use]
    pub fn new(place: Transform, bounds: Bounds, light: Light) -> Self {
        Self { place, bounds, light, presence: 1.0, relief: 0.0 }
    }
}

/// Colours and ids of one frame.
#[derive(Clone)]
pub struct Plate {
    pixmap: Pixmap,
    ids: Vec<u16>,
}

impl Plate {
    /// An empty plate; `None` for a side of zero or too many pixels.
    #[must_use]
    pub fn new(width: u32, height: u32) -> Option<Self> {
        let pixmap = Pixmap::new(width, height)?;
        Some(Self { pixmap, ids: vec![SCENERY; width as usize * height as usize] })
    }

    /// Pixels across.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.pixmap.width()
    }

    /// Pixels down.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.pixmap.height()
    }

    /// The colours.
    #[must_use]
    pub fn pixmap(&self) -> &Pixmap {
        &self.pixmap
    }

    /// The colours as a picture.
    #[must_use]
    pub fn picture(&self) -> Picture {
        Picture::from_pixmap(&self.pixmap)
    }

    /// Whose each pixel is, rows from the top.
    #[must_use]
    pub fn ids(&self) -> &[u16] {
        &self.ids
    }

    /// Takes the colours of another plate of the same size; no pixel is anyone's.
    pub fn reset_to(&mut self, other: &Self) {
        self.pixmap.data_mut().copy_from_slice(other.pixmap.data());
        self.ids.fill(SCENERY);
    }

    /// A brush that paints straight onto the colours; whose the pixels are stays as it is.
    pub fn brush(&mut self, light: Light) -> Brush<'_> {
        Brush::new(self.pixmap.as_mut(), Transform::identity(), light)
    }

    /// Draws something alone and lays it over everything that is there.
    pub fn lay(&mut self, id: u16, laying: &Laying, draw: impl FnOnce(&mut Brush<'_>)) -> Silhouette {
        let Some(area) = self.clip(laying) else {
            return Silhouette::default();
        };
        let mut alone = vec![0; area.width() as usize * area.height() as usize * 4];
        let canvas = PixmapMut::from_bytes(&mut alone, area.width(), area.height()).expect("the buffer was made for this size");
        draw(&mut Brush::new(canvas, laying.place.post_translate(-(area.left as f32), -(area.top as f32)), laying.light));
        self.merge(id, area, &alone, laying)
    }

    /// The part of the frame that a drawing can reach.
    fn clip(&self, laying: &Laying) -> Option<Area> {
        let (left, top, right, bottom) = laying.bounds;
        let mut corners = [(left, top), (right, top), (right, bottom), (left, bottom)].map(|(x, y)| tiny_skia::Point::from_xy(x, y));
        laying.place.map_points(&mut corners);
        let low = |of: fn(&tiny_skia::Point) -> f32| corners.iter().map(of).fold(f32::INFINITY, f32::min).floor() - 1.0;
        let high = |of: fn(&tiny_skia::Point) -> f32| corners.iter().map(of).fold(f32::NEG_INFINITY, f32::max).ceil() + 1.0;
        let within = |value: f32, side: u32| value.clamp(0.0, side as f32) as u32;
        let (width, height) = (self.width(), self.height());
        let area = Area {
            left: within(low(|p| p.x), width),
            top: within(low(|p| p.y), height),
            right: within(high(|p| p.x), width),
            bottom: within(high(|p| p.y), height),
        };
        (area.left < area.right && area.top < area.bottom).then_some(area)
    }

    fn merge(&mut self, id: u16, area: Area, alone: &[u8], laying: &Laying) -> Silhouette {
        let (frame_width, width) = (self.width() as usize, area.width() as usize);
        let presence = (laying.presence.clamp(0.0, 1.0) * 256.0) as u32;
        // Relief runs over the whole drawing, in the frame or not.
        let (_, low, _, high) = laying.bounds;
        let top = (laying.place.ty + laying.place.sy * low.max(0.0)).min(laying.place.ty + laying.place.sy * high);
        let tall = (laying.place.sy * high.min(1.0)).abs().max(1.0);
        let colours = self.pixmap.data_mut().as_chunks_mut::<4>().0;
        let mut silhouette = Silhouette::default();
        for (row, source) in alone.as_chunks::<4>().0.chunks_exact(width).enumerate() {
            let y = area.top as usize + row;
            let down = ((y as f32 - top) / tall).clamp(0.0, 1.0);
            let tone = ((1.0 + laying.relief * (0.7 - 1.5 * down)) * 256.0) as u32;
            let start = y * frame_width + area.left as usize;
            let below = &mut colours[start..start + width];
            let (mut first, mut last, mut own) = (usize::MAX, 0, 0);
            for (x, (under, over)) in below.iter_mut().zip(source).enumerate() {
                let alpha = u32::from(over[3]);
                if alpha == 0 {
                    continue;
                }
                let rest = 256 - (((alpha + (alpha >> 7)) * presence) >> 8);
                for channel in 0..3 {
                    let light = ((u32::from(over[channel]) * tone) >> 8).min(alpha) * presence;
                    under[channel] = ((light + u32::from(under[channel]) * rest) >> 8).min(255) as u8;
                }
                if alpha >= 128 {
                    first = first.min(x);
                    last = x;
                    own += 1;
                    self.ids[start + x] = id;
                }
            }
            if own > 0 {
                silhouette.pixels += own;
                let area_of = |x: usize| (area.left as usize + x) as u32;
                let area = Area::with(silhouette.area, area_of(first), y as u32);
                silhouette.area = Some(Area::with(Some(area), area_of(last), y as u32));
            }
        }
        silhouette
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colour::rgb;

    fn square(plate: &mut Plate, id: u16, x: f32, presence: f32) -> Silhouette {
        let place = Transform::from_scale(4.0, 4.0).post_translate(x, 2.0);
        let laying = Laying { presence, ..Laying::new(place, (0.0, 0.0, 1.0, 1.0), Light::STUDIO) };
        plate.lay(id, &laying, |b| b.rect(0.0, 0.0, 1.0, 1.0, rgb(200, 100, 0)))
    }

    #[test]
    fn a_silhouette_is_what_is_drawn_and_in_the_frame() {
        let mut plate = Plate::new(10, 8).unwrap();
        let whole = square(&mut plate, 1, 3.0, 1.0);
        assert_eq!((whole.pixels, whole.area), (16, Some(Area { left: 3, top: 2, right: 7, bottom: 6 })));
        assert_eq!(square(&mut plate, 2, 8.0, 1.0).area, Some(Area { left: 8, top: 2, right: 10, bottom: 6 }));
        assert_eq!(square(&mut plate, 3, 50.0, 1.0), Silhouette::default());
    }

    #[test]
    fn what_is_laid_later_owns_the_pixels() {
        let mut plate = Plate::new(10, 8).unwrap();
        square(&mut plate, 1, 1.0, 1.0);
        square(&mut plate, 2, 3.0, 1.0);
        let own = |id| plate.ids().iter().filter(|&&i| i == id).count();
        assert_eq!((own(1), own(2)), (8, 16));
    }

    #[test]
    fn presence_fades_colours() {
        let mut plate = Plate::new(10, 8).unwrap();
        plate.brush(Light::STUDIO).rect(0.0, 0.0, 10.0, 8.0, rgb(0, 0, 0));
        square(&mut plate, 1, 3.0, 0.5);
        let pixel = plate.pixmap().pixel(4, 3).unwrap();
        assert!((98..=101).contains(&pixel.red()) && (48..=51).contains(&pixel.green()), "{pixel:?}");
    }
}
