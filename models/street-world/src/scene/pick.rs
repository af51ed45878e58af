//! Which class a slot holds: usually one that belongs there, now and then one that does not.

use crate::{
    class::{Class, Habitat, Kind},
    random::Random,
};

use super::{Scene, conditions::Place};

/// How often a class stands where it does not belong.
const EXCEPTION: f32 = 0.1;

/// A class for this habitat, and whether it belongs there. `None` where nothing of the drawn kind belongs there.
pub(super) fn class(scene: &Scene, habitat: Habitat, random: &mut Random) -> Option<(Class, bool)> {
    let contents = scene.contents;
    // Where only known things belong none else can be; the other places make up for it.
    let ood = if matches!(habitat, Habitat::Lane | Habitat::Junction | Habitat::Pole | Habitat::Rail) {
        contents.ood
    } else {
        contents.ood.powf(0.6)
    };
    let kind = if !random.chance(ood) {
        Kind::Id
    } else if random.chance(contents.unseen) {
        Kind::UnseenOod
    } else {
        Kind::NamedOod
    };
    let place = match scene.conditions.place {
        Place::City => 0,
        Place::Suburb => 1,
        Place::Highway => 2,
        Place::Country => 3,
    };
    // What stands about can stand anywhere; what drives, hangs, rolls or flies cannot be had by exception.
    let exception = random.chance(EXCEPTION) && matches!(habitat, Habitat::Kerb | Habitat::Road | Habitat::Walk | Habitat::Field);
    let movable = |class: Class| !matches!(class.habitats()[0], Habitat::Rail | Habitat::Sky | Habitat::Pole);
    let weight = move |class: Class| {
        if class.kind() != kind {
            0.0
        } else if exception {
            f32::from(u8::from(movable(class)))
        } else if class.habitats().contains(&habitat) {
            class.weights()[place]
        } else {
            0.0
        }
    };
    let index = random.weighted(Class::all().map(weight))?;
    let class = Class::all().nth(index)?;
    Some((class, class.habitats().contains(&habitat)))
}
