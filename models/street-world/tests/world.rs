//! What holds for every frame of the world, whatever the seed, size, view and camera.

#![expect(clippy::cast_precision_loss, reason = "a few thousand objects")]

use std::collections::HashMap;

use street_world::{
    class::{Class, Habitat, Kind},
    film::{Film, Frame, Settings, still},
    optics::Camera,
    plate::Area,
    scene::{Contents, Viewpoint},
    truth::Object,
};

fn settings(seed: u64) -> Settings {
    let viewpoint = if seed.is_multiple_of(3) { Viewpoint::Surveillance } else { Viewpoint::Drive };
    Settings { seed, viewpoint, width: 320, height: 180, ..Settings::default() }
}

#[test]
fn a_seed_gives_the_same_frames_twice_and_another_seed_others() {
    let frames = |seed| Film::new(&settings(seed)).unwrap().take(3).collect::<Vec<Frame>>();
    for seed in [1, 2, 3] {
        assert_eq!(frames(seed), frames(seed));
    }
    assert_ne!(frames(1)[0].picture, frames(2)[0].picture);
}

#[test]
fn boxes_pixels_and_visibility_are_those_of_the_id_mask() {
    for camera in Camera::ALL {
        for seed in 0..6 {
            let frame = still(&Settings { camera, ..settings(seed) }).unwrap();
            let width = frame.picture.width;
            let mut counted: HashMap<u16, (u32, Option<Area>)> = HashMap::new();
            for (at, &id) in (0..).zip(&frame.ids) {
                let (pixels, area) = counted.entry(id).or_default();
                *pixels += 1;
                *area = Some(Area::with(*area, at % width, at / width));
            }
            for object in &frame.truth.objects {
                let (pixels, area) = counted.remove(&object.id).unwrap_or_default();
                assert_eq!((object.pixels, object.seen), (pixels, area), "{} of seed {seed}, {}", object.class.name(), camera.name());
                assert!((0.0..=1.0).contains(&object.visibility) && (0.0..=1.0).contains(&object.truncation));
                if let Some(seen) = object.seen {
                    let whole = object.whole;
                    assert!(whole.left <= seen.left && whole.top <= seen.top && whole.right >= seen.right && whole.bottom >= seen.bottom);
                    assert!(whole.right <= width && whole.bottom <= frame.picture.height);
                }
            }
            counted.remove(&0);
            assert!(counted.is_empty(), "ids without an object: {counted:?}");
        }
    }
}

#[test]
fn scenery_and_other_objects_take_visibility_away() {
    let objects: Vec<_> = (0..40).flat_map(|seed| still(&settings(seed)).unwrap().truth.objects).collect();
    let share = |test: fn(f32) -> bool| objects.iter().filter(|object| test(object.visibility)).count() as f32 / objects.len() as f32;
    assert!(share(|v| v > 0.999) > 0.4 && share(|v| v < 0.9) > 0.05 && share(|v| v < 0.4) > 0.005);
    assert!(objects.iter().filter(|object| object.visibility < 0.4).all(|object| object.occluded() && object.ignore()));
}

#[test]
fn any_size_shows_the_same_scene() {
    for (width, height) in [(16, 16), (17, 31), (161, 91), (33, 200), (641, 361), (1280, 720)] {
        for camera in Camera::ALL {
            let frame = still(&Settings { width, height, camera, ..settings(4) }).unwrap();
            assert_eq!(frame.picture.rgb.len(), (width * height * 3) as usize);
            assert_eq!(frame.ids.len(), (width * height) as usize);
        }
    }
    // The same aspect at twice the size: the same things in the same places.
    let [small, large] = [1, 2].map(|k| still(&Settings { width: 320 * k, height: 180 * k, ..settings(5) }).unwrap().truth.objects);
    let whole = |objects: &[Object]| objects.iter().filter(|o| o.pixels > 200).map(|o| (o.class, o.seen.unwrap())).collect::<Vec<_>>();
    let (small, large) = (whole(&small), large);
    assert!(!small.is_empty());
    for (class, area) in small {
        let near = |a: u32, b: u32| (i64::from(2 * a) - i64::from(b)).abs() <= 4;
        let found = large
            .iter()
            .filter(|o| o.class == class)
            .filter_map(|o| o.seen)
            .any(|o| near(area.left, o.left) && near(area.bottom, o.bottom));
        assert!(found, "{} at {area:?} is elsewhere in the larger frame", class.name());
    }
}

#[test]
fn sizes_rates_and_shares_out_of_range_are_refused_with_a_sentence() {
    let refused = |settings: Settings| Film::new(&settings).err().expect("refused").to_string();
    let base = settings(1);
    assert!(refused(Settings { width: 15, ..base.clone() }).contains("16 to 8192"));
    assert!(refused(Settings { height: 8193, ..base.clone() }).contains("16 to 8192"));
    assert!(refused(Settings { width: 0, height: u32::MAX, ..base.clone() }).contains("16 to 8192"));
    assert!(refused(Settings { fps: f64::NAN, ..base.clone() }).contains("frames a second"));
    assert!(refused(Settings { fps: 0.0, ..base.clone() }).contains("frames a second"));
    assert!(refused(Settings { contents: Contents { ood: 1.5, ..Contents::MIXED }, ..base }).contains("from 0 to 1"));
}

#[test]
fn any_seed_is_a_scene() {
    for seed in [0, 1, u64::MAX, u64::MAX / 2, 0x8000_0000_0000_0000] {
        assert!(!still(&settings(seed)).unwrap().truth.objects.is_empty());
    }
}

#[test]
fn a_track_is_one_thing_that_moves_without_jumps_and_without_gaps() {
    for seed in [1, 2, 3, 6, 9, 14] {
        let mut last: HashMap<u32, (u64, Class, Area)> = HashMap::new();
        let mut entered = 0;
        for frame in Film::new(&settings(seed)).unwrap().take(150) {
            for object in &frame.truth.objects {
                let now = (frame.truth.index, object.class, object.whole);
                let Some((index, class, area)) = last.insert(object.track, now) else {
                    entered += u32::from(frame.truth.index > 0);
                    continue;
                };
                assert_eq!(class, object.class, "track {} of seed {seed}", object.track);
                // A bird that has left comes back from the other side.
                if object.habitat == Habitat::Sky {
                    continue;
                }
                assert_eq!(index + 1, frame.truth.index, "track {} ({}) of seed {seed} has a gap", object.track, class.name());
                let reach = |area: Area| (area.left.saturating_sub(area.width()), area.right + area.width());
                let ((left, right), whole) = (reach(area), object.whole);
                assert!(whole.left < right && whole.right > left, "track {} ({}) of seed {seed} jumps", object.track, class.name());
            }
        }
        assert!(entered > 0, "nothing came into the picture of seed {seed}");
        let left = last.values().filter(|(index, ..)| *index < 149).count();
        assert!(left > 0, "nothing left the picture of seed {seed}");
    }
}

#[test]
fn a_film_goes_on_for_ever() {
    let mut film = Film::new(&Settings { fps: 0.01, ..settings(2) }).unwrap();
    // A frame every hundred seconds: three hours of driving.
    let objects: usize = film.by_ref().take(110).map(|frame| frame.truth.objects.len()).sum();
    assert!(objects > 300, "{objects}");
}

#[test]
fn frames_show_a_good_number_of_objects() {
    let mut kept: Vec<usize> = (0..60)
        .map(|seed| {
            let truth = still(&settings(seed)).unwrap().truth;
            truth.objects.iter().filter(|object| !object.ignore()).count()
        })
        .collect();
    kept.sort_unstable();
    assert!((4..=7).contains(&kept[10]) && (6..=11).contains(&kept[30]) && kept[55] <= 15, "{kept:?}");
}

#[test]
fn every_class_is_met_and_contents_are_kept_to() {
    let kinds = |contents: Contents, seeds: u64| {
        (0..seeds).flat_map(move |seed| still(&Settings { contents, ..settings(seed) }).unwrap().truth.objects).collect::<Vec<_>>()
    };
    assert!(kinds(Contents::ID, 12).iter().all(|object| object.kind == Kind::Id));
    assert!(kinds(Contents::NAMED_OOD, 12).iter().all(|object| object.kind == Kind::NamedOod));
    assert!(kinds(Contents::UNSEEN_OOD, 12).iter().all(|object| object.kind == Kind::UnseenOod));
    let mixed = kinds(Contents::MIXED, 250);
    for class in Class::all() {
        assert!(mixed.iter().any(|object| object.class == class && object.kind == class.kind()), "no {} in 250 scenes", class.name());
    }
    let on_show = mixed.iter().filter(|object| object.kind == Kind::LookAlike).count();
    assert!(on_show > 20 && mixed.iter().filter(|object| object.kind == Kind::LookAlike).all(Object::ignore));
    let away = mixed.iter().filter(|object| !object.at_home && object.kind != Kind::LookAlike).count() as f32 / mixed.len() as f32;
    assert!((0.02..0.2).contains(&away), "{away} of the objects are where they do not belong");
}
