//! A contact sheet of everything that was called OOD: the largest crop of each track, what it is, omega, the nearest class.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use image::{Rgb, RgbImage, imageops};
use street_world::{
    colour::{Light, rgb},
    lettering,
    picture::Picture,
    plate::Plate,
};

use crate::compare::{Comparison, Judged, On};

const COLUMNS: u32 = 6;
const TILE: u32 = 176;
const CROP: u32 = 120;
const LINE: f32 = 18.0;
/// More tiles than this are no overview.
const MOST: usize = 48;

/// One thing that was called OOD.
struct Tile {
    crop: PathBuf,
    title: String,
    told: String,
    right: bool,
    omega: f32,
}

/// Draws the sheet of several videos, each with the folder of its crops; `None` where nothing was called OOD.
pub(crate) fn sheet(videos: &[(&Comparison, PathBuf)]) -> Result<Option<Picture>> {
    let mut tiles: Vec<Tile> = videos.iter().flat_map(|(found, crops)| tiles(found, crops)).collect();
    tiles.sort_by(|a, b| b.right.cmp(&a.right).then(a.omega.total_cmp(&b.omega)));
    tiles.truncate(MOST);
    if tiles.is_empty() {
        return Ok(None);
    }
    let rows = u32::try_from(tiles.len())?.div_ceil(COLUMNS);
    let (width, height) = (COLUMNS * TILE, rows * TILE);
    let mut plate = Plate::new(width, height).context("the contact sheet is too large")?;
    let float = |pixels: u32| f32::from(u16::try_from(pixels).unwrap_or(u16::MAX));
    plate.brush(Light::STUDIO).rect(0.0, 0.0, float(width), float(height), rgb(28, 30, 34));
    for (place, tile) in places().zip(&tiles) {
        let (left, top) = (float(place.0) + 4.0, float(place.1 + CROP) + 6.0);
        let tone = if tile.right { rgb(30, 110, 50) } else { rgb(170, 40, 34) };
        plate.brush(Light::STUDIO).rect(left, top, float(TILE) - 8.0, float(TILE - CROP) - 12.0, tone);
        lettering::write(&mut plate, &tile.title, (left + 6.0, top + LINE), 17.0);
        lettering::write(&mut plate, &tile.told, (left + 6.0, top + 2.0 * LINE), 14.0);
    }
    let drawn = plate.picture();
    let mut picture = RgbImage::from_raw(width, height, drawn.rgb).context("the plate has the sheet's size")?;
    for ((x, y), tile) in places().zip(&tiles) {
        let crop = image::open(&tile.crop).with_context(|| format!("cannot read {}", tile.crop.display()))?.into_rgb8();
        let fitted = fitted(&crop);
        let (dx, dy) = ((TILE - fitted.width()) / 2, 6 + (CROP - 6 - fitted.height()) / 2);
        imageops::replace(&mut picture, &fitted, i64::from(x + dx), i64::from(y + dy));
    }
    Ok(Some(Picture { width, height, rgb: picture.into_raw() }))
}

fn places() -> impl Iterator<Item = (u32, u32)> {
    (0..).map(|index: u32| (index % COLUMNS * TILE, index / COLUMNS * TILE))
}

/// As large as the tile has room for, its shape kept.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sides of at most a tile")]
fn fitted(crop: &RgbImage) -> image::ImageBuffer<Rgb<u8>, Vec<u8>> {
    let (width, height) = (f64::from(crop.width()), f64::from(crop.height()));
    let scale = (f64::from(TILE - 8) / width).min(f64::from(CROP - 6) / height);
    let side = |length: f64| ((length * scale).round() as u32).max(1);
    imageops::resize(crop, side(width), side(height), imageops::FilterType::CatmullRom)
}

/// A tile for each thing that has a crop.
fn tiles(found: &Comparison, crops: &Path) -> Vec<Tile> {
    let mut best: BTreeMap<(u8, usize), (f32, Tile)> = BTreeMap::new();
    for judged in found.detections.iter().filter(|judged| judged.ood) {
        let (key, title, right) = match &judged.on {
            On::Object { track, kind, class } if kind.is_ood() => ((0, *track as usize), class.clone(), true),
            On::Object { track, class, .. } => ((0, *track as usize), format!("{class}, known"), false),
            On::Nothing { trail } => ((1, *trail), "nothing".to_owned(), false),
            On::Ignored => continue,
        };
        let crop = crops.join(format!("{:08}-{:02}.jpg", judged.frame, judged.region));
        let area = judged.bbox.area();
        if best.get(&key).is_none_or(|(largest, _)| area > *largest) && crop.is_file() {
            best.insert(key, (area, Tile { crop, title, told: told(judged), right, omega: judged.omega }));
        }
    }
    best.into_values().map(|(_, tile)| tile).collect()
}

fn told(judged: &Judged) -> String {
    format!("{:.2}, nearest {}", judged.omega, judged.nearest)
}
