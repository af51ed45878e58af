"""Targets and backgrounds as Pillow makes them: `pixels_pillow.py FOLDER SEED CASES` writes FOLDER/cases.json and FOLDER/cases.bin.

A case's bytes are the frame [h, w, 3], the target and the background [size, size, 3]. Needs Pillow and numpy.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

# Since 13.0 Pillow runs the vertical pass first for pictures that shrink more in height; earlier ones are told to.
ORDERS_PASSES = int(PIL.__version__.split(".")[0]) >= 13


def resize(image, size):
    (w, h) = image.size
    if not ORDERS_PASSES and max(h - size, 0) > 2 * max(w - size, 0):
        image = image.resize((w, size), Image.BICUBIC)
    return np.asarray(image.resize((size, size), Image.BICUBIC))


def picture(random, w, h):
    kind = random.integers(4)
    if kind == 0:  # noise: every rounding there is
        return random.integers(0, 256, (h, w, 3), dtype=np.uint8)
    if kind == 1:  # black and white: the kernel's lobes are clipped
        return np.repeat(random.integers(0, 2, (h, w, 1), dtype=np.uint8) * 255, 3, 2)
    y, x = np.mgrid[0:h, 0:w]
    if kind == 2:  # slopes: values close to ties
        return np.stack([x * 255 // w, y * 255 // h, (x + y) * 255 // (w + h)], 2).astype(np.uint8)
    return np.stack([(x // 3 + y // 5) % 2 * 255, x % 7 * 40, y % 11 * 25], 2).astype(np.uint8)


def main(folder, seed, cases):
    random = np.random.default_rng(seed)
    manifest = []
    with open(folder / "cases.bin", "wb") as out:
        for index in range(cases):
            if index % 50 == 49:  # a large frame, wide or tall
                w, h = [(1921, 1081), (1080, 2401), (2600, 33), (31, 2600)][index // 50 % 4]
            else:
                w, h = (int(2 ** random.uniform(0, 8.7)) for _ in range(2))
            size = int(random.choice([1, 2, 7, 32, 56, 64, 97, 224]))
            x, y = random.uniform(-5, w), random.uniform(-5, h)
            bw, bh = random.uniform(0.5, w), random.uniform(0.5, h)
            if index % 10 == 0:  # a single pixel
                x, y, bw, bh = int(random.integers(w)), int(random.integers(h)), 1, 1
            box = [float(np.float32(number)) for number in (x, y, bw, bh)]
            x, y = np.float32(box[0]), np.float32(box[1])
            right, bottom = float(x + np.float32(box[2])), float(y + np.float32(box[3]))
            edges = max(0, math.floor(x)), max(0, math.floor(y)), min(w, math.ceil(right)), min(h, math.ceil(bottom))
            if edges[2] <= edges[0] or edges[3] <= edges[1]:
                continue
            fill = tuple(int(level) for level in random.integers(0, 256, 3))
            frame = picture(random, w, h)
            image = Image.fromarray(frame)
            target = resize(image.crop(edges), size)
            image.paste(fill, edges)
            out.write(frame.tobytes() + target.tobytes() + resize(image, size).tobytes())
            manifest.append(dict(w=w, h=h, size=size, fill=fill, box=box))
    (folder / "cases.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
