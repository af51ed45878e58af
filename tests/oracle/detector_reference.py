"""Boxes of an ONNX detector and what they are worth, in plain numpy.

`detector_reference.py MODEL LAYOUT RESIZE THRESHOLD IOU FOLDER` reads FOLDER/instances.json and FOLDER/images, writes to stdout
{"images": [{"file": …, "boxes": [[x, y, w, h, score, class], …]}, …], "map50": …}: boxes in frame pixels, unclipped, the most
confident first. The detector's class names, a JSON list,
are read from stdin; without them map50 is null. Needs numpy, onnxruntime, Pillow.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image


def bilinear(image, width, height):
    """OpenCV's INTER_LINEAR in real numbers."""

    def taps(source, target):
        at = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
        first = np.floor(at).astype(int)
        return first, np.minimum(first + 1, source - 1), at - first

    x0, x1, fx = taps(image.shape[1], width)
    y0, y1, fy = taps(image.shape[0], height)
    image = image.astype(np.float64)
    rows = image[y0] * (1 - fy)[:, None, None] + image[y1] * fy[:, None, None]
    return rows[:, x0] * (1 - fx)[:, None] + rows[:, x1] * fx[:, None]


def tensor(image, layout, resize, width, height):
    """The detector's input, and frame pixels per input pixel."""
    h, w = image.shape[:2]
    if resize == "stretch":
        fitted, scale = np.asarray(Image.fromarray(image).resize((width, height), Image.BILINEAR), float), (w / width, h / height)
    else:
        ratio = min(height / h, width / w)
        small = bilinear(image, int(w * ratio + 1e-6), int(h * ratio + 1e-6))
        fitted = np.full((height, width, 3), 114.0)
        fitted[: small.shape[0], : small.shape[1]] = small
        scale = (1 / ratio, 1 / ratio)
    fitted = fitted[:, :, ::-1] if layout == "yolox" else fitted / 255
    return np.ascontiguousarray(fitted.transpose(2, 0, 1)[None], dtype=np.float32), scale


def centred(output, layout, width, height):
    """cx, cy, w, h in input pixels and class scores of every box."""
    if layout == "yolov8":
        output = output.T
        return output[:, :4], output[:, 4:]
    boxes, start = output[:, :4].copy(), 0
    for stride in (8, 16, 32):
        y, x = np.mgrid[0 : height // stride, 0 : width // stride]
        grid = np.stack([x.ravel(), y.ravel()], 1)
        part = slice(start, start + len(grid))
        boxes[part, :2] = (output[part, :2] + grid) * stride
        boxes[part, 2:] = np.exp(output[part, 2:4]) * stride
        start += len(grid)
    return boxes, output[:, 4:5] * output[:, 5:]


def overlaps(box, boxes):
    """IoU of one corner box with many."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    both = np.prod(np.maximum(high - low, 0), 1)
    area = lambda corners: np.prod(corners[..., 2:] - corners[..., :2], -1)
    return both / np.maximum(area(box) + area(boxes) - both, 1e-9)


def detect(session, image, layout, resize, threshold, iou):
    height, width = session.get_inputs()[0].shape[2:]
    values, scale = tensor(image, layout, resize, width, height)
    output = session.run(None, {session.get_inputs()[0].name: values})[0][0]
    boxes, scores = centred(output, layout, width, height)
    classes, best = scores.argmax(1), scores.max(1)
    order = [index for index in np.argsort(-best, kind="stable") if best[index] >= threshold]
    boxes = boxes * np.array(scale * 2)
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
    kept = []
    for index in order:
        if not kept or (overlaps(corners[index], corners[kept]) <= iou).all():
            kept.append(index)
    return [[*map(float, (*corners[i, :2], *(corners[i, 2:] - corners[i, :2]))), float(best[i]), int(classes[i])] for i in kept]


def average_precision(found, truths):
    """Area under precision made monotone, over recall (VOC 2010 on); `found`: (score, hit) over all pictures."""
    if not truths:
        return None
    found = sorted(found, key=lambda pair: -pair[0])
    hits = np.cumsum([hit for _, hit in found]) if found else np.zeros(0)
    recall, precision = hits / truths, hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(np.concatenate([[0], recall])) * precision))


def map50(images, document, names):
    """Mean over classes of AP at IoU 0.5; a truth is found once, by the most confident box that overlaps it most."""
    category = {entry["id"]: entry["name"] for entry in document["categories"]}
    scores = []
    for number, name in enumerate(names):
        found, truths = [], 0
        for image in images:
            truth = [a["bbox"] for a in document["annotations"] if a["image_id"] == image["id"] and category[a["category_id"]] == name]
            truth = np.array(truth, dtype=float).reshape(-1, 4)
            truth[:, 2:] += truth[:, :2]
            truths += len(truth)
            taken = np.zeros(len(truth), bool)
            for x, y, w, h, score, label in image["boxes"]:
                if label == number:
                    iou = overlaps(np.array([x, y, x + w, y + h]), truth)
                    best = int(iou.argmax()) if len(iou) else -1
                    hit = best >= 0 and iou[best] >= 0.5 and not taken[best]
                    if hit:
                        taken[best] = True
                    found.append((score, hit))
        scores.append(average_precision(found, truths))
    scores = [score for score in scores if score is not None]
    return float(np.mean(scores)) if scores else None


def main(model, layout, resize, threshold, iou, folder):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    document = json.loads((folder / "instances.json").read_text())
    images = []
    for entry in document["images"]:
        image = np.asarray(Image.open(folder / "images" / entry["file_name"]).convert("RGB"))
        boxes = detect(session, image, layout, resize, threshold, iou)
        images.append(dict(file=entry["file_name"], id=entry["id"], boxes=boxes))
    names = json.loads(sys.stdin.read())
    print(json.dumps(dict(images=images, map50=map50(images, document, names))))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), float(sys.argv[5]), Path(sys.argv[6]))
