//! What there is in the world: ten classes that a model is taught, fourteen that it can name but is not asked for, and a dozen it never hears of.

use serde::{Deserialize, Serialize};

use crate::{
    random::Random,
    things::{
        Facing, Look, Maker, animals, bikes, birds, bus, car, carts, furniture, people, roadworks, rock, signals, signs, train, truck,
        unseen::{camp, luggage, machines, zoo},
    },
};

/// What is known of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// In distribution: one of BDD-100k's ten.
    #[serde(rename = "id")]
    Id,
    /// Out of distribution, though captions may name it.
    #[serde(rename = "named-ood")]
    NamedOod,
    /// Out of distribution, and in no caption at all.
    #[serde(rename = "unseen-ood")]
    UnseenOod,
    /// A picture of a thing or a thing on show, where the real one would not be: a car on a billboard, a traffic light in a shop window.
    #[serde(rename = "look-alike")]
    LookAlike,
}

impl Kind {
    /// The word used in annotations (`supercategory`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::NamedOod => "named-ood",
            Self::UnseenOod => "unseen-ood",
            Self::LookAlike => "look-alike",
        }
    }

    /// Whether a verdict of OOD is right.
    #[must_use]
    pub fn is_ood(self) -> bool {
        matches!(self, Self::NamedOod | Self::UnseenOod)
    }
}

/// Where a class is at home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habitat {
    /// Drives along a lane.
    Lane,
    /// Walks across the road.
    Crossing,
    /// Drives across it at a junction.
    Junction,
    /// Walks along the road, on the pavement or the verge.
    Walk,
    /// Stands at the kerb.
    Kerb,
    /// Hangs on a pole at the kerb.
    Pole,
    /// Stands or lies on the road.
    Road,
    /// Stands in the open land beside the road.
    Field,
    /// Runs on rails.
    Rail,
    /// Flies.
    Sky,
}

/// A row of the table below.
struct Row {
    name: &'static str,
    kind: Kind,
    make: Maker,
    habitats: &'static [Habitat],
    /// How often: city, suburb, highway, country.
    weights: [f32; 4],
}

/// A class of the world, by its place in the table. The first 24 are those of the design: ten ID, fourteen named OOD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class(u8);

impl Class {
    /// All classes, in the order of their category ids.
    #[must_use]
    pub fn all() -> impl ExactSizeIterator<Item = Self> + Clone {
        (0..TABLE.len()).map(|index| Self(u8::try_from(index).expect("the table has fewer than 256 rows")))
    }

    /// The class of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|class| class.name() == name)
    }

    /// Its name, as a prompt would have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What is known of it.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.row().kind
    }

    /// The id of its COCO category: 1, 2, …
    #[must_use]
    pub fn category(self) -> u32 {
        u32::from(self.0) + 1
    }

    /// Where it is at home.
    #[must_use]
    pub fn habitats(self) -> &'static [Habitat] {
        self.row().habitats
    }

    /// How often it is met in `[city, suburb, highway, country]`, against the other classes.
    #[must_use]
    pub fn weights(self) -> [f32; 4] {
        self.row().weights
    }

    /// One individual of the class.
    pub fn look(self, random: &mut Random, facing: Facing) -> Look {
        (self.row().make)(random, facing)
    }

    fn row(self) -> &'static Row {
        &TABLE[usize::from(self.0)]
    }
}

use Habitat::{Crossing, Field, Junction, Kerb, Lane, Pole, Rail, Road, Sky, Walk};

const fn id(name: &'static str, make: Maker, habitats: &'static [Habitat], weights: [f32; 4]) -> Row {
    Row { name, kind: Kind::Id, make, habitats, weights }
}

const fn named(name: &'static str, make: Maker, habitats: &'static [Habitat], weights: [f32; 4]) -> Row {
    Row { name, kind: Kind::NamedOod, make, habitats, weights }
}

const fn unseen(name: &'static str, make: Maker, habitats: &'static [Habitat], weights: [f32; 4]) -> Row {
    Row { name, kind: Kind::UnseenOod, make, habitats, weights }
}

static TABLE: [Row; 39] = [
    id("pedestrian", people::pedestrian, &[Walk, Crossing], [3.0, 2.6, 1.0, 1.4]),
    id("rider", bikes::rider, &[Lane, Junction, Crossing], [2.4, 2.4, 1.6, 2.0]),
    id("car", car::car, &[Lane, Junction, Kerb], [2.6, 2.6, 3.0, 2.4]),
    id("truck", truck::truck, &[Lane, Junction], [1.8, 1.4, 3.0, 1.8]),
    id("bus", bus::bus, &[Lane, Junction], [1.8, 1.6, 1.4, 1.2]),
    id("train", train::train, &[Rail], [1.0, 1.0, 1.0, 1.0]),
    id("motorcycle", bikes::motorcycle, &[Kerb, Road], [1.44, 1.44, 1.12, 0.96]),
    id("bicycle", bikes::bicycle, &[Kerb], [2.8, 2.8, 1.12, 1.96]),
    id("traffic light", signals::traffic_light, &[Pole], [1.4, 1.1, 0.6, 0.6]),
    id("traffic sign", signs::traffic_sign, &[Pole], [1.0, 1.2, 1.4, 1.4]),
    named("deer", animals::deer, &[Field, Crossing, Road], [0.4, 0.8, 1.0, 1.6]),
    named("dog", animals::dog, &[Walk, Crossing, Road], [1.56, 1.82, 0.78, 1.3]),
    named("cow", animals::cow, &[Field, Road], [0.48, 0.96, 1.6, 2.56]),
    named("horse", animals::horse, &[Field, Crossing], [0.3, 0.48, 0.48, 0.9]),
    named("elephant", animals::elephant, &[Road, Field, Crossing], [0.49, 0.49, 0.49, 0.63]),
    named("bird", birds::bird, &[Sky, Walk], [1.0, 1.0, 1.0, 1.0]),
    named("couch", furniture::couch, &[Kerb, Road], [1.2, 1.2, 0.8, 0.6]),
    named("mattress", furniture::mattress, &[Kerb, Road], [0.99, 0.99, 1.08, 0.54]),
    named("shopping cart", carts::shopping_cart, &[Kerb, Road], [1.3, 1.2, 0.6, 0.5]),
    named("stroller", carts::stroller, &[Kerb], [1.69, 1.69, 0.65, 0.78]),
    named("traffic cone", roadworks::traffic_cone, &[Road, Kerb], [2.2, 2.0, 3.2, 1.8]),
    named("barrel", roadworks::barrel, &[Road, Kerb, Field], [1.1, 0.99, 1.54, 1.1]),
    named("boulder", rock::boulder, &[Road, Field], [1.26, 1.44, 2.34, 2.88]),
    named("wheelchair", carts::wheelchair, &[Kerb], [2.21, 2.21, 1.02, 1.19]),
    unseen("kangaroo", zoo::kangaroo, &[Field, Crossing, Road], [0.63, 0.81, 0.9, 1.17]),
    unseen("giraffe", zoo::giraffe, &[Field, Road, Crossing], [0.49, 0.49, 0.63, 0.84]),
    unseen("ostrich", zoo::ostrich, &[Field, Walk, Crossing], [0.4, 0.45, 0.45, 0.6]),
    unseen("crocodile", zoo::crocodile, &[Road, Field], [1.2, 1.2, 1.35, 1.5]),
    unseen("tent", camp::tent, &[Kerb, Field], [1.35, 1.5, 1.35, 1.8]),
    unseen("umbrella", camp::umbrella, &[Kerb, Field], [1.1, 1.1, 0.77, 0.88]),
    unseen("canoe", camp::canoe, &[Road, Field], [0.98, 1.12, 1.26, 1.4]),
    unseen("snowman", camp::snowman, &[Kerb, Field], [1.44, 1.6, 1.28, 1.6]),
    unseen("suitcase", luggage::suitcase, &[Road, Kerb], [2.2, 2.0, 2.0, 1.4]),
    unseen("ladder", luggage::ladder, &[Kerb], [1.1, 1.1, 0.77, 0.77]),
    unseen("pallet stack", luggage::pallets, &[Kerb, Road], [1.5, 1.2, 1.5, 1.2]),
    unseen("robot", machines::robot, &[Walk, Crossing, Road], [0.6, 0.55, 0.45, 0.4]),
    unseen("washing machine", machines::washing_machine, &[Kerb, Road], [1.8, 1.8, 1.62, 1.26]),
    unseen("piano", machines::piano, &[Road, Kerb], [0.99, 0.88, 0.88, 0.77]),
    unseen("cactus", camp::cactus, &[Kerb, Field], [0.91, 1.04, 1.17, 1.3]),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ten_known_fourteen_named_and_at_least_eight_never_named() {
        let count = |kind| Class::all().filter(|class| class.kind() == kind).count();
        assert_eq!((count(Kind::Id), count(Kind::NamedOod)), (10, 14));
        assert!(count(Kind::UnseenOod) >= 8);
        assert!(Class::all().take(24).all(|class| class.kind() != Kind::UnseenOod));
        assert_eq!(Class::all().map(Class::name).collect::<HashSet<_>>().len(), TABLE.len());
    }

    #[test]
    fn every_class_has_a_place_to_be_and_a_sound_shape_from_every_side() {
        for class in Class::all() {
            assert!(!class.habitats().is_empty(), "{}", class.name());
            for seed in 0..20 {
                for facing in [Facing::Side, Facing::Toward, Facing::Away] {
                    let look = class.look(&mut Random::of(&[seed]), facing);
                    assert!(
                        (0.15..=6.0).contains(&look.width) && (0.3..=5.0).contains(&look.height),
                        "{}: {} x {}",
                        class.name(),
                        look.width,
                        look.height
                    );
                }
            }
        }
    }
}
