"""Pictures to learn from: objects, their surroundings, look-alikes, scenery and whole frames, cut out of rendered frames.

Cutting and resizing are the method's: edges floor and ceil, squashed to a square with Pillow's bicubic.
"""

import json
import math
import random
from collections import defaultdict
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 64
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)
FILL = tuple(round(255 * mean) for mean in IMAGE_MEAN)

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels."""


def edges(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    x, y, w, h = box
    return max(0, math.floor(x)), max(0, math.floor(y)), min(width, math.ceil(x + w)), min(height, math.ceil(y + h))


def squash(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def target(image: Image.Image, box: Box) -> np.ndarray:
    """The target image I_x."""
    return squash(image.crop(edges(box, *image.size)))


def background(image: Image.Image, box: Box) -> np.ndarray:
    """The background image I_(x)."""
    masked = image.copy()
    masked.paste(FILL, edges(box, *image.size))
    return squash(masked)


def jitter(box: Box, sigma: float, rng: random.Random, width: int, height: int) -> Box:
    """A box as a detector might give it: each side moved by a normal share of the box."""
    x, y, w, h = box
    x0, y0 = max(0.0, x + rng.gauss(0, sigma) * w), max(0.0, y + rng.gauss(0, sigma) * h)
    x1, y1 = min(float(width), x + w + rng.gauss(0, sigma) * w), min(float(height), y + h + rng.gauss(0, sigma) * h)
    return x0, y0, max(4.0, x1 - x0), max(4.0, y1 - y0)


def frames(folder: Path) -> list[tuple[dict, list[dict]]]:
    """Each image of a COCO folder with its annotations, which get the `name` of their category."""
    coco = json.loads((folder / "instances.json").read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    of_image = defaultdict(list)
    for annotation in coco["annotations"]:
        of_image[annotation["image_id"]].append(annotation | {"name": names[annotation["category_id"]]})
    return [(image | {"path": str(folder / "images" / image["file_name"])}, of_image[image["id"]]) for image in coco["images"]]


def cut(folders: list[Path], out: Path, seed: int, processes: int = 2) -> int:
    """Writes OUT.npy (u8 [n, SIZE, SIZE, 3]) and OUT.jsonl (a line a picture, for captions.py); returns n."""
    jobs = [(image, annotations, seed) for folder in folders for image, annotations in frames(folder)]
    pictures, lines = [], []
    with Pool(processes) as pool:
        for done, found in enumerate(pool.imap(_cut_frame, jobs, 32), 1):
            pictures += [picture for picture, _ in found]
            lines += [json.dumps(what) for _, what in found]
            if done % 2000 == 0:
                print(f"crops: {done}/{len(jobs)} frames, {len(pictures)} pictures", flush=True)
    np.save(out.with_suffix(".npy"), np.stack(pictures))
    out.with_suffix(".jsonl").write_text("\n".join(lines) + "\n")
    return len(lines)


def _cut_frame(job: tuple[dict, list[dict], int]) -> list[tuple[np.ndarray, dict]]:
    meta, annotations, seed = job
    image = Image.open(meta["path"]).convert("RGB")
    width, height = image.size
    rng = random.Random(f"{seed} {meta['seed']}")
    scene = {key: meta[key] for key in ("place", "daylight", "weather")}
    seen = [a for a in annotations if not a["ignore"] and a["supercategory"] != "look-alike"]
    found = []

    def add(picture: np.ndarray, kind: str, **what) -> None:
        found.append((picture, {"kind": kind, **what, **scene}))

    for a in seen:
        what = {"class": a["name"], "colour": a["colour"], "where": a["where"]}
        for sigma in (0.04, 0.1):
            add(target(image, jitter(a["bbox"], sigma, rng, width, height)), "object", **what)
        if rng.random() < 0.35:
            x, y, w, h = a["bbox"]
            k = rng.uniform(0.3, 1.2)
            wide = (max(0.0, x - k * w), max(0.0, y - k * h), w * (1 + 2 * k), h * (1 + 2 * k))
            add(target(image, wide), "context", **what)
    for a in annotations:
        if a["supercategory"] == "look-alike" and a["visibility"] >= 0.4 and min(a["bbox"][2:]) >= 10:
            add(target(image, jitter(a["bbox"], 0.05, rng, width, height)), "look-alike", **{"class": a["shows"], "where": a["where"]})

    by_size = sorted(seen, key=lambda a: -a["area"])
    named = [(a["name"], a["colour"]) for a in by_size[:4]]
    add(squash(image), "frame", objects=named[:3])
    if seen:
        hidden = rng.randrange(min(len(by_size), 4))
        add(background(image, by_size[hidden]["bbox"]), "frame", objects=[n for i, n in enumerate(named) if i != hidden][:3])
    free = _free_box(annotations, rng, width, height)
    if free and rng.random() < 0.5:
        add(target(image, free), "scenery")
    return found


def _free_box(annotations: list[dict], rng: random.Random, width: int, height: int) -> Box | None:
    """A box that shows nothing but scenery."""
    for _ in range(10):
        w, h = rng.uniform(20, 160), rng.uniform(20, 160)
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        apart = (
            x + w <= bx or bx + bw <= x or y + h <= by or by + bh <= y for bx, by, bw, bh in (a["full_bbox"] for a in annotations)
        )
        if all(apart):
            return x, y, w, h
    return None
