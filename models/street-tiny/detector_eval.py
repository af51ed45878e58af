"""Recall and precision of an exported detector on held-out frames, through ONNX Runtime."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from detector_data import CAMERAS, KINDS, UNOCCLUDED, VIEWS, Frame, letterbox, read
from detector_net import STRIDES

# uniood's defaults.
DETECTION_THRESHOLD, IOU_THRESHOLD, MIN_OBJECT_SIZE = 0.3, 0.5, 16
# A detection finds an object where they overlap by this much.
MATCHING_IOU = 0.5
# Recall of what is not occluded is told at this precision.
CLEAR_PRECISION = 0.8
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def session(onnx: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(onnx), options, providers=["CPUExecutionProvider"])


def decode(output: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """YOLOX's raw grid `[A, 6]` to corners in input pixels and scores."""
    origins, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        origins.append(np.stack([columns, rows], -1).reshape(-1, 2))
        strides.append(np.full((len(origins[-1]), 1), stride))
    origin, stride = np.concatenate(origins), np.concatenate(strides)
    centre = (output[:, :2] + origin) * stride
    half = np.exp(output[:, 2:4]) * stride / 2
    return np.concatenate([centre - half, centre + half], 1), output[:, 4] * output[:, 5]


def area(boxes: np.ndarray) -> np.ndarray:
    return np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(-1)


def intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Shared areas, `[len(a), len(b)]`."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.clip(high - low, 0, None).prod(-1)


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    shared = intersection(a, b)
    return shared / np.maximum(area(a)[:, None] + area(b)[None] - shared, 1e-6)


def suppress(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Indices that non-maximum suppression keeps, the most confident first."""
    kept: list[int] = []
    order = np.argsort(-scores, kind="stable")
    table = overlaps(boxes, boxes)
    for index in order:
        if all(table[index, other] <= IOU_THRESHOLD for other in kept):
            kept.append(int(index))
    return np.array(kept, dtype=int)


def detect(model: onnxruntime.InferenceSession, pixels: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Boxes in the picture's pixels, their scores, and the seconds the model took."""
    height, width = model.get_inputs()[0].shape[2:]
    levels, scale = letterbox(pixels, width, height)
    started = time.perf_counter()
    (output,) = model.run(None, {model.get_inputs()[0].name: levels[None]})
    seconds = time.perf_counter() - started
    boxes, scores = decode(output[0], width, height)
    limit = np.array([pixels.shape[1], pixels.shape[0]] * 2, dtype=np.float32)
    clipped = np.clip(boxes / scale, 0, limit)
    # As uniood does it, what is too small is gone before it could suppress anything.
    counts = (scores >= least) & ((clipped[:, 2:] - clipped[:, :2]).min(1) >= MIN_OBJECT_SIZE)
    boxes, scores, clipped = boxes[counts] / scale, scores[counts], clipped[counts]
    kept = suppress(boxes, scores)
    return clipped[kept], scores[kept], seconds


@dataclass
class Outcome:
    """One frame: for each object that counts its kind and the score that found it (0: none), and all that was said."""

    camera: str
    view: str
    kinds: list[str]
    clear: list[bool]
    found_by: np.ndarray
    right: np.ndarray
    wrong: np.ndarray


def judge(frame: Frame, boxes: np.ndarray, scores: np.ndarray) -> Outcome:
    """Matches detections, the most confident first, each to the object it overlaps best.

    As COCO does it: objects that are ignored or below the least size ask for nothing, and a detection on one of them
    is neither right nor wrong.
    """
    small = (frame.boxes[:, 2:] - frame.boxes[:, :2]).min(1, initial=np.inf) < MIN_OBJECT_SIZE
    counts, aside = frame.boxes[~small], np.concatenate([frame.boxes[small], frame.ignored])
    table = overlaps(boxes, counts)
    on_aside = overlaps(boxes, aside).max(1, initial=0) >= MATCHING_IOU
    on_aside |= (intersection(boxes, frame.ignored) / np.maximum(area(boxes), 1e-6)[:, None]).max(1, initial=0) >= MATCHING_IOU
    found_by = np.zeros(len(counts))
    right, wrong = [], []
    for index, score in enumerate(scores):
        free = np.where(found_by == 0, table[index], 0.0)
        best = int(free.argmax()) if len(counts) else -1
        if best >= 0 and free[best] >= MATCHING_IOU:
            found_by[best] = score
            right.append(score)
        elif not on_aside[index]:
            wrong.append(score)
    kinds = [kind for kind, skip in zip(frame.kinds, small) if not skip]
    clear = [clear for clear, skip in zip(frame.clear, small) if not skip]
    return Outcome(frame.camera, frame.view, kinds, clear, found_by, np.array(right), np.array(wrong))


def judge_all(onnx: Path, frames: list[Frame]) -> tuple[list[Outcome], float]:
    """What became of every frame, and the median milliseconds of the model on one thread."""
    model = session(onnx)
    outcomes, times = [], []
    for frame in frames:
        boxes, scores, seconds = detect(model, read(frame.path), min(THRESHOLDS))
        outcomes.append(judge(frame, boxes, scores))
        times.append(seconds)
    return outcomes, 1e3 * float(np.median(times))


def summary(outcomes: list[Outcome], threshold: float, clear: bool = False) -> dict:
    """Precision, false boxes a frame, recall of each kind; recall of what is not occluded alone where `clear`."""
    right = sum(int((one.right >= threshold).sum()) for one in outcomes)
    wrong = sum(int((one.wrong >= threshold).sum()) for one in outcomes)
    row: dict = {"threshold": round(threshold, 4), "frames": len(outcomes)}
    row["precision"] = round(right / max(1, right + wrong), 4)
    row["false_boxes_per_frame"] = round(wrong / max(1, len(outcomes)), 3)
    for kind in KINDS:
        seen = ((score, what, free) for one in outcomes for score, what, free in zip(one.found_by, one.kinds, one.clear))
        scores = [score for score, what, free in seen if what == kind and (free or not clear)]
        if scores:
            found = sum(score >= threshold for score in scores)
            row[kind] = {"objects": len(scores), "recall": round(found / len(scores), 4)}
    return row


def report(onnx: Path, frames: list[Frame]) -> dict:
    """The tables of the model card."""
    outcomes, milliseconds = judge_all(onnx, frames)
    at = DETECTION_THRESHOLD
    return {
        "matching_iou": MATCHING_IOU,
        "nms_iou": IOU_THRESHOLD,
        "least_side": MIN_OBJECT_SIZE,
        "milliseconds_one_thread": round(milliseconds, 2),
        "all": summary(outcomes, at),
        "cameras": {name: summary([one for one in outcomes if one.camera == name], at) for name in CAMERAS},
        "views": {name: summary([one for one in outcomes if one.view == name], at) for name in VIEWS},
        "unoccluded": summary(outcomes, best_threshold(outcomes, CLEAR_PRECISION), clear=True),
        "thresholds": [summary(outcomes, threshold) for threshold in THRESHOLDS],
    }


def best_threshold(outcomes: list[Outcome], precision: float) -> float:
    """The lowest score at which at least this share of what is said is right."""
    right = np.concatenate([one.right for one in outcomes])
    wrong = np.concatenate([one.wrong for one in outcomes])
    scores = np.concatenate([right, wrong])
    order = np.argsort(-scores)
    truth = np.concatenate([np.ones(len(right)), np.zeros(len(wrong))])[order]
    precise = np.flatnonzero(np.cumsum(truth) / np.arange(1, len(truth) + 1) >= precision)
    return float(scores[order][precise[-1]]) if len(precise) else DETECTION_THRESHOLD


def table(report: dict) -> list[str]:
    """A report as the lines of a Markdown table, in percent."""
    rows = {"all": report["all"], **report["cameras"], **report["views"]}
    clear = report["unoccluded"]
    rows[f"all, at least {UNOCCLUDED:.0%} visible, score ≥ {clear['threshold']:.2f}"] = clear
    rows |= {f"all, score ≥ {row['threshold']}": row for row in report["thresholds"]}
    lines = [
        f"Recall at IoU {report['matching_iou']} of objects of {report['least_side']} pixels and more, by kind; score"
        f" ≥ {report['all']['threshold']} where nothing is said. {report['milliseconds_one_thread']} ms a frame on one thread.",
        "",
        "| frames | precision | " + " | ".join(KINDS) + " | false boxes a frame |",
        "|---" * (3 + len(KINDS)) + "|",
    ]
    for name, row in rows.items():
        recalls = " | ".join(f"{100 * row[kind]['recall']:.1f}" if kind in row else "" for kind in KINDS)
        lines.append(f"| {name} | {100 * row['precision']:.1f} | {recalls} | {row['false_boxes_per_frame']:.2f} |")
    return lines
