//! A contact sheet: every class with a few of its looks and its name.

use tiny_skia::Transform;

use crate::{
    class::{Class, Kind},
    colour::{Light, rgb},
    lettering,
    picture::Picture,
    plate::{Laying, Plate, SCENERY},
    random::Random,
    things::{Facing, Pose},
};

const CELL: u32 = 132;
const LABEL: u32 = 22;
const LOOKS: u32 = 6;
/// Side, side, from the front, from behind, side, from behind: what a class has of them.
const FACINGS: [Facing; LOOKS as usize] = [Facing::Side, Facing::Side, Facing::Toward, Facing::Away, Facing::Side, Facing::Away];
const COLUMNS: u32 = 2;

/// Draws the sheet; another seed draws other individuals.
#[must_use]
pub fn contact_sheet(seed: u64) -> Picture {
    let rows = (Class::all().len() as u32).div_ceil(COLUMNS);
    let (wide, high) = (LOOKS * CELL, CELL + LABEL);
    let mut sheet = Plate::new(COLUMNS * wide, rows * high).expect("a sheet of a few thousand pixels a side");
    sheet.brush(Light::STUDIO).rect(0.0, 0.0, (COLUMNS * wide) as f32, (rows * high) as f32, rgb(150, 156, 150));
    for (index, class) in Class::all().enumerate() {
        let (left, top) = (index as u32 % COLUMNS * wide, index as u32 / COLUMNS * high);
        let tone = match class.kind() {
            Kind::Id => rgb(30, 90, 40),
            Kind::NamedOod => rgb(150, 40, 30),
            Kind::UnseenOod | Kind::LookAlike => rgb(100, 30, 130),
        };
        sheet.brush(Light::STUDIO).rect(left as f32, top as f32, wide as f32, LABEL as f32, tone);
        lettering::write(&mut sheet, &format!("{} ({})", class.name(), class.kind().name()), (left as f32 + 6.0, top as f32 + 16.0), 17.0);
        for (i, facing) in FACINGS.into_iter().enumerate() {
            let look = class.look(&mut Random::of(&[seed, u64::from(class.category()), i as u64]), facing);
            let room = CELL as f32 - 12.0;
            let scale = (room / look.width).min(room);
            let (x, y) = (left as f32 + CELL as f32 * (i as f32 + 0.5) - scale * look.width / 2.0, (top + high) as f32 - 6.0 - scale);
            let place = Transform::from_scale(scale, scale).post_translate(x, y);
            let laying = Laying { relief: 0.12, ..Laying::new(place, (-0.1, -0.1, look.width + 0.1, 1.05), Light::STUDIO) };
            sheet.lay(SCENERY, &laying, |brush| look.draw(brush, Pose { stride: [-0.9, 0.7, 0.2][i % 3] }));
        }
    }
    sheet.picture()
}
