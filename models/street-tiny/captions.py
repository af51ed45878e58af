"""What a caption says of a picture: class or synonym, colour, place, weather, time of day.

The names of the never-seen classes are in no caption; a prompt with one is new to the model.
"""

import random

CLASSES = [
    "pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "traffic light", "traffic sign",
    "deer", "dog", "cow", "horse", "elephant", "bird", "couch", "mattress", "shopping cart", "stroller", "traffic cone",
    "barrel", "boulder", "wheelchair",
]  # fmt: skip
"""The 24 classes that captions name; the first ten are ID."""
ID_CLASSES = 10

SYNONYMS = {
    "pedestrian": ["person", "man walking", "woman walking"],
    "rider": ["cyclist", "motorcyclist", "person riding a bike"],
    "car": ["sedan", "automobile"],
    "truck": ["lorry"],
    "train": ["tram"],
    "motorcycle": ["motorbike"],
    "bicycle": ["bike"],
    "traffic light": ["traffic signal"],
    "traffic sign": ["road sign"],
    "couch": ["sofa"],
    "stroller": ["pram", "baby carriage"],
    "boulder": ["big rock"],
    "barrel": ["drum"],
    "traffic cone": ["cone"],
}
DAYLIGHT = {"day": ["in daylight", "by day", ""], "dusk": ["at dusk", "in the evening"], "night": ["at night", "in the dark"]}
WEATHER = {
    "clear": ["", "on a clear day", "under a clear sky"],
    "cloudy": ["under a cloudy sky", "on an overcast day", ""],
    "rain": ["in the rain", "on a rainy day"],
    "fog": ["in the fog", "in mist"],
    "snow": ["in the snow", "on a snowy day"],
}
PLACE = {"city": "a city street", "suburb": "a suburban street", "highway": "a highway", "country": "a country road"}
STRANGE = ["something strange", "an unknown object", "a photo of something strange", "a photo of an unknown object"]
"""Captions of scrambled pictures, which show no class."""


def article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def caption(what: dict, rng: random.Random) -> str:
    """A caption for one picture; `what` is as crops.py writes it."""
    match what["kind"]:
        case "frame":
            return _frame(what, rng)
        case "scenery":
            return f"a photo of {PLACE[what['place']]} {_conditions(what, rng, 0.7)}".strip()
        case "look-alike":
            thing = article(what["class"])
            return rng.choice([f"a picture of {thing} {what['where']}", f"{thing} {what['where']}", f"{thing} on show"])
        case _:
            return _object(what, rng)


def _object(what: dict, rng: random.Random) -> str:
    name = what["class"]
    if rng.random() < 0.15:
        name = rng.choice(SYNONYMS.get(name, [name]))
    form = rng.random()
    if form < 0.3:
        return rng.choice(["a photo of {}", "a photo of {}.", "{}", "a picture of {}", "a street photo of {}"]).format(article(name))
    coloured = article(f"{what['colour']} {name}") if what["colour"] and rng.random() < 0.7 else article(name)
    if form < 0.5:
        return rng.choice(["a photo of {}", "{}"]).format(coloured)
    parts = [rng.choice(["a photo of " + coloured, coloured]), what["where"] if rng.random() < 0.7 else "", _conditions(what, rng, 0.5)]
    return " ".join(part for part in parts if part)


def _frame(what: dict, rng: random.Random) -> str:
    place, conditions = PLACE[what["place"]], _conditions(what, rng, 1.0)
    if not what["objects"] or rng.random() < 0.25:
        return f"a photo of {place} {conditions}".strip()
    names = [article((f"{colour} " if colour and rng.random() < 0.4 else "") + name) for name, colour in what["objects"]]
    listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
    return f"{place} {conditions} with {listed}" if rng.random() < 0.5 else f"a photo of {listed} on {place} {conditions}".strip()


def _conditions(what: dict, rng: random.Random, share: float) -> str:
    weather = rng.choice(WEATHER[what["weather"]]) if rng.random() < share else ""
    daylight = rng.choice(DAYLIGHT[what["daylight"]]) if rng.random() < share else ""
    return " ".join(part for part in (weather, daylight) if part)
