"""Numbers of a model set, from what `uniood score` says of rendered frames."""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import crops
from metrics import auroc, fpr95

MATCH = 0.3
"""Detections are matched to true objects above this IoU, as in the field's open-world protocol."""


def table(uniood: Path, models: Path, scenes: dict[str, Path]) -> list[dict]:
    """AUROC and FPR95 of omega and of plain CLIP, per camera, with true boxes and with the detector's."""
    rows = []
    for camera, path in scenes.items():
        for boxes in ("true", "detector"):
            scored = score(uniood, models, path, boxes)
            for method, of in (("plain CLIP", "cosines"), ("uniood", "scores")):
                rows.append({"camera": camera, "boxes": boxes, "method": method} | _row(scored, of))
    return rows


def score(uniood: Path, models: Path, scenes: Path, boxes: str) -> list[dict]:
    """What became of each true object that counts, or of each detection matched to one: `kind` and its verdict."""
    listed = crops.frames(scenes)
    command = [uniood, "score", "--models", models, "--json", "--scores", "all"]
    if boxes == "true":
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(_counting(scenes), file)
            file.flush()
            lines = _run(command + ["--boxes", file.name, *[image["path"] for image, _ in listed]])
    else:
        lines = _run(command + ["--max-objects", "100", *[image["path"] for image, _ in listed]])
    found = []
    for (_, annotations), line in zip(listed, lines, strict=True):
        seen = [o for o in line["objects"] if o["ood"]["label"] != "unscored"]
        if boxes == "true":
            counting = [a for a in annotations if not a["ignore"]]
            pairs = list(zip(counting, line["objects"], strict=True))
        else:
            pairs = _matched(annotations, seen)
        found += [{"kind": a["supercategory"], "class": a["name"], **o["ood"]} for a, o in pairs if o["ood"]["label"] != "unscored" and not a["ignore"]]
    return found


def _row(scored: list[dict], by_class: str) -> dict:
    """Of the largest of each object's `cosines` or `scores`."""
    of = {kind: np.array([max(o[by_class].values()) for o in scored if o["kind"] == kind]) for kind in ("id", "named-ood", "unseen-ood")}
    row: dict = {kind: len(values) for kind, values in of.items()}
    right = [max(o[by_class], key=o[by_class].get) == o["class"] for o in scored if o["kind"] == "id"]
    row["id_accuracy"] = float(np.mean(right))
    for kind in ("named-ood", "unseen-ood"):
        row[f"auroc {kind}"], row[f"fpr95 {kind}"] = auroc(of["id"], of[kind]), fpr95(of["id"], of[kind])
    return row


def _counting(scenes: Path) -> dict:
    coco = json.loads((scenes / "instances.json").read_text())
    return coco | {"annotations": [a for a in coco["annotations"] if not a["ignore"]]}


def _matched(annotations: list[dict], objects: list[dict]) -> list[tuple[dict, dict]]:
    """Most confident detection first, each to the free true object of greatest IoU."""
    pairs, free = [], list(annotations)
    for o in sorted(objects, key=lambda o: -o["detection"]["confidence"]):
        overlap = [_iou(a["bbox"], (o["x"], o["y"], o["w"], o["h"])) for a in free]
        if overlap and max(overlap) > MATCH:
            pairs.append((free.pop(int(np.argmax(overlap))), o))
    return pairs


def _iou(a: tuple, b: tuple) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(0.0, width) * max(0.0, height)
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def _run(command: list) -> list[dict]:
    ran = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    if ran.returncode:
        raise SystemExit(f"{command[0]} {command[1]} ended with {ran.returncode}; what it said stands above")
    return [json.loads(line) for line in ran.stdout.splitlines()]
