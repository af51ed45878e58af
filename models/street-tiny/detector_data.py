"""The detector's frames: rendered by the street world, read, letterboxed, packed and shuffled."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

# The detector's input: a frame fits it at 0.89, where it finds as much as at full size in four fifths of the time.
WIDTH, HEIGHT = 576, 320
# An object of which at least this share is visible counts as not occluded.
UNOCCLUDED = 0.9
# What it is trained on: windows of frames, half as many pixels as a frame.
WINDOW = (448, 256)
PADDING = 114
FRAME = (640, 360)
# A window shows a frame at about this scale, log-normally; the least is all of the frame.
SCALE_SPREAD, SCALES = 0.2, (0.7, 1.4)
# Of an object at a window's edge at least this share must be in it, as of an object at a frame's edge.
LEAST_SEEN = 0.4

# No scene is in two of these: each has its own ten million seeds.
TRAINING_SEEDS = 10_000_000
CALIBRATION_SEEDS = 15_000_000
HELD_OUT_SEEDS = 20_000_000

CAMERAS = ("plain", "lowlight", "wide", "lens-rain", "sodium")
VIEWS = ("drive", "surveillance")
KINDS = ("id", "named-ood", "unseen-ood")


@dataclass(frozen=True)
class Shot:
    """Frames of one camera and one viewpoint."""

    camera: str
    view: str
    frames: int


@dataclass(frozen=True)
class Plan:
    """A set of frames and where its seeds begin. `unseen` is the share of unknown things that no training may see."""

    name: str
    seeds: int
    shots: tuple[Shot, ...]
    ood: float
    unseen: float

    def frames(self) -> int:
        return sum(shot.frames for shot in self.shots)


def plan(name: str, seeds: int, plain: int, other: int, ood: float, unseen: float) -> Plan:
    """`plain` frames of the plain camera and `other` of each other one, two thirds driving, one third standing."""
    shots = []
    for camera in CAMERAS:
        frames = plain if camera == "plain" else other
        shots += [Shot(camera, "drive", frames - frames // 3), Shot(camera, "surveillance", frames // 3)]
    return Plan(name, seeds, tuple(shots), ood, unseen)


TRAINING = plan("training", TRAINING_SEEDS, plain=8000, other=2000, ood=0.65, unseen=0.0)
CALIBRATION = plan("calibration", CALIBRATION_SEEDS, plain=240, other=60, ood=0.45, unseen=0.0)
HELD_OUT = plan("held-out", HELD_OUT_SEEDS, plain=450, other=150, ood=0.45, unseen=0.4)


def render(street_world: Path, plan: Plan, folder: Path) -> None:
    """Renders what is not yet rendered of a plan, one folder a shot."""
    seed = plan.seeds
    for shot in plan.shots:
        target = folder / f"{shot.camera}-{shot.view}"
        if not (target / "instances.json").exists():
            shutil.rmtree(target, ignore_errors=True)
            command = [street_world, "render", "--seed", seed, "--size", "{}x{}".format(*FRAME), "--camera", shot.camera]
            command += ["--view", shot.view, "--ood", plan.ood, "--unseen", plan.unseen]
            command += ["--frames", shot.frames, "--out", target]
            subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
        seed += shot.frames


@dataclass
class Frame:
    """One picture and what is in it: boxes `[n, 4]` as left, top, right, bottom in the picture's pixels; `clear` where hardly hidden."""

    path: Path
    camera: str
    view: str
    boxes: np.ndarray
    kinds: list[str]
    clear: list[bool]
    ignored: np.ndarray


def load(plan: Plan, folder: Path) -> list[Frame]:
    """The frames of a rendered plan. Hidden, cut off, tiny and look-alike objects are `ignored`."""
    frames = []
    for shot in plan.shots:
        source = folder / f"{shot.camera}-{shot.view}"
        coco = json.loads((source / "instances.json").read_text())
        if len(coco["images"]) != shot.frames:
            raise SystemExit(f"{source} holds {len(coco['images'])} frames, wanted {shot.frames}: remove it")
        by_image: dict[int, list[dict]] = {image["id"]: [] for image in coco["images"]}
        for annotation in coco["annotations"]:
            by_image[annotation["image_id"]].append(annotation)
        for image in coco["images"]:
            annotations = by_image[image["id"]]
            told = [a for a in annotations if not a["ignore"] and a["supercategory"] != "look-alike"]
            unsaid = [a for a in annotations if a["ignore"] or a["supercategory"] == "look-alike"]
            frames.append(
                Frame(
                    path=source / "images" / image["file_name"],
                    camera=shot.camera,
                    view=shot.view,
                    boxes=corner_array(told),
                    kinds=[a["supercategory"] for a in told],
                    clear=[a["visibility"] >= UNOCCLUDED for a in told],
                    ignored=corner_array(unsaid),
                )
            )
    return frames


def corner_array(annotations: list[dict]) -> np.ndarray:
    boxes = np.array([a["bbox"] for a in annotations], dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def letterbox(pixels: np.ndarray, width: int = WIDTH, height: int = HEIGHT) -> tuple[np.ndarray, float]:
    """An RGB picture as the BGR levels `[3, height, width]` that uniood feeds, and the factor it was scaled by."""
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    fitted = (int(pixels.shape[0] * scale + 1e-6), int(pixels.shape[1] * scale + 1e-6))
    levels = torch.from_numpy(np.ascontiguousarray(pixels[..., ::-1])).permute(2, 0, 1)[None].float()
    picture = F.interpolate(levels, fitted, mode="bilinear", align_corners=False)[0]
    out = torch.full((3, height, width), float(PADDING))
    out[:, : fitted[0], : fitted[1]] = picture
    return out.numpy(), scale


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def pack_one(path: Path) -> np.ndarray:
    return read(path)[..., ::-1]


def pack(frames: list[Frame], file: Path, workers: int) -> None:
    """Decodes all frames once into one array of bytes, BGR, `[n, *FRAME, 3]` row by row."""
    partial = file.with_suffix(".partial.npy")
    packed = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(frames), FRAME[1], FRAME[0], 3))
    with ProcessPoolExecutor(workers) as pool:
        for index, picture in enumerate(pool.map(pack_one, [frame.path for frame in frames], chunksize=16)):
            packed[index] = picture
    packed.flush()
    partial.rename(file)


def padded(boxes: list[np.ndarray]) -> Tensor:
    """Boxes of several frames as `[n, most, 4]`; what is missing is NaN."""
    most = max(1, max(len(one) for one in boxes))
    out = torch.full((len(boxes), most, 4), float("nan"))
    for row, one in zip(out, boxes):
        row[: len(one)] = torch.from_numpy(one)
    return out


def trimmed(boxes: Tensor) -> Tensor:
    """Those that are there first, without the columns that no frame fills."""
    missing = boxes[..., 0].isnan()
    first = missing.to(torch.uint8).argsort(dim=1, stable=True)
    most = max(1, int((~missing).sum(1).max()))
    return boxes.gather(1, first[:, :most, None].expand(-1, -1, 4))


class TrainingSet:
    """Packed frames, from which batch number n of a seed is always the same one."""

    def __init__(self, frames: list[Frame], packed: Path, seed: int) -> None:
        self.pictures = np.load(packed, mmap_mode="r")
        if self.pictures.shape != (len(frames), FRAME[1], FRAME[0], 3):
            raise SystemExit(f"{packed} is of another plan: remove it and the folder {packed.with_suffix('')}")
        self.truth = padded([frame.boxes for frame in frames])
        self.ignored = padded([frame.ignored for frame in frames])
        self.seed = seed

    def order(self, batch_size: int, first_step: int) -> Iterator[np.ndarray]:
        """Indices of the batches from `first_step` on, in a new order each epoch."""
        per_epoch = len(self.pictures) // batch_size
        step = first_step
        while True:
            epoch, within = divmod(step, per_epoch)
            shuffled = np.random.default_rng((self.seed, epoch)).permutation(len(self.pictures))
            yield np.sort(shuffled[within * batch_size :][:batch_size])
            step += 1

    def batches(self, batch_size: int, first_step: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The batches from `first_step` on, each made while the one before it is learnt from: reading the packed frames waits for the disk."""
        with ThreadPoolExecutor(1) as ahead:
            steps = enumerate(self.order(batch_size, first_step), first_step)
            step, indices = next(steps)
            coming = ahead.submit(self.batch, indices, step)
            for step, indices in steps:
                made, coming = coming, ahead.submit(self.batch, indices, step)
                yield made.result()

    def batch(self, indices: np.ndarray, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Windows `[n, 3, h, w]` in channels-last order, boxes and ignored boxes, all augmented."""
        random = np.random.default_rng((self.seed, 1, step))
        scale = float(np.exp(SCALE_SPREAD * random.standard_normal()).clip(*SCALES))
        width, height = (round(side / scale) for side in WINDOW)
        flipped = random.random(len(indices)) < 0.5
        lefts = random.integers(0, max(0, FRAME[0] - width) + 1, len(indices))
        tops = random.integers(0, max(0, FRAME[1] - height) + 1, len(indices))
        levels = np.full((len(indices), height, width, 3), PADDING, np.uint8)
        for window, index, left, top, flip in zip(levels, indices, lefts, tops, flipped):
            part = self.pictures[index, top : top + height, left : left + width]
            window[: part.shape[0], : part.shape[1]] = part[:, ::-1] if flip else part
        levels = torch.from_numpy(levels).permute(0, 3, 1, 2).float()
        if (width, height) != WINDOW:
            levels = F.interpolate(levels, WINDOW[::-1], mode="bilinear", align_corners=False)

        shown = torch.tensor([min(width, FRAME[0]), min(height, FRAME[1])]).repeat(2)
        offsets = torch.from_numpy(np.stack([lefts, tops], 1)).repeat(1, 2)[:, None]
        mirror, far_side = torch.tensor([-1.0, 1.0, -1.0, 1.0]), torch.tensor([float(shown[0]), 0.0] * 2)
        factors = torch.tensor([side / own for side, own in zip(WINDOW, (width, height))] * 2)

        def seen(boxes: Tensor) -> tuple[Tensor, Tensor]:
            """What of boxes is in the windows, and which share of each."""
            whole = boxes[indices] - offsets
            inside = torch.minimum(whole.clamp(min=0), shown)
            share = (inside[..., 2:] - inside[..., :2]).prod(-1) / (whole[..., 2:] - whole[..., :2]).prod(-1)
            inside[flipped] = inside[flipped][..., [2, 1, 0, 3]] * mirror + far_side
            return inside * factors, share

        truth, share = seen(self.truth)
        ignored, of_ignored = seen(self.ignored)
        cut = truth.masked_fill(~((share > 0) & (share < LEAST_SEEN))[..., None], math.nan)
        ignored = torch.cat([ignored.masked_fill(~(of_ignored > 0)[..., None], math.nan), cut], 1)
        return recolour(levels, random), trimmed(truth.masked_fill(~(share >= LEAST_SEEN)[..., None], math.nan)), trimmed(ignored)


def recolour(levels: Tensor, random: np.random.Generator) -> Tensor:
    """Other light: gain, offset, a cast of colour, less colour. So that a new thing is not told by its paint.

    All of it is linear, so one product with a matrix a picture does it.
    """
    count, _, height, width = levels.shape
    gain = 1 + 0.2 * random.standard_normal((count, 1, 1)) + 0.08 * random.standard_normal((count, 1, 3))
    offset = 12 * random.standard_normal((count, 1, 1)).repeat(3, 2)
    grey = (random.random((count, 1, 1)) < 0.2) * random.random((count, 1, 1))
    colours = ((1 - grey) * np.eye(3) + grey / 3) * gain.clip(0.4, 1.7)
    pixels = levels.permute(0, 2, 3, 1).reshape(count, height * width, 3)
    pixels = torch.baddbmm(torch.from_numpy(offset).float(), pixels, torch.from_numpy(colours).float())
    return pixels.clamp_(0, 255).view(count, height, width, 3).permute(0, 3, 1, 2)
