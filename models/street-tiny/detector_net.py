"""The class-agnostic detector's network, its assignment of grid cells to objects, and its loss.

One output row a grid cell, over strides 8, 16, 32 in that order, as YOLOX has it:
(dx, dy, log w, log h) in strides from the cell's origin, then objectness.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (8, 16, 32)
# Input levels are 0 to 255; 114 is what a letterbox is filled with.
LEVEL_MEAN, LEVEL_SCALE = 114.0, 64.0


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias, its batch norm and a ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def separable(channels: int) -> nn.Sequential:
    """A depthwise 3x3 convolution and a 1x1: a fifth of the full one's time in ONNX Runtime."""
    return nn.Sequential(conv(channels, channels, groups=channels), conv(channels, channels, 1))


class Residual(nn.Module):
    """Adds what a squeezed 3x3 convolution finds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels // 2, 1), conv(channels // 2, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Detector(nn.Module):
    """Backbone of four stages, a pyramid down and up again, one head shared by the three strides."""

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 96, 128), neck: int = 64) -> None:
        super().__init__()
        stem, c3, c4, c5 = widths
        # One convolution straight to stride 4: the layers above it would cost most of the training's memory traffic.
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 6, 4, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True))
        self.stage2 = separable(stem)
        self.stage3 = nn.Sequential(conv(stem, c3, 3, 2), Residual(c3), Residual(c3))
        self.stage4 = nn.Sequential(conv(c3, c4, 3, 2), Residual(c4), Residual(c4))
        self.stage5 = nn.Sequential(conv(c4, c5, 3, 2), Residual(c5), Residual(c5), Residual(c5))
        self.lateral = nn.ModuleList(conv(width, neck, 1) for width in (c3, c4, c5))
        self.down = nn.ModuleList(separable(neck) for _ in range(2))
        self.up = nn.ModuleList(separable(neck) for _ in range(2))
        self.head = nn.Sequential(separable(neck), separable(neck), separable(neck))
        self.box = nn.Conv2d(neck, 4, 1)
        self.objectness = nn.Conv2d(neck, 1, 1)
        nn.init.normal_(self.box.weight, std=0.01)
        self.box.bias.data = torch.tensor([0.5, 0.5, 1.0, 1.0])
        nn.init.normal_(self.objectness.weight, std=0.01)
        nn.init.constant_(self.objectness.bias, -4.0)

    def forward(self, levels: Tensor) -> Tensor:
        """`[N, 3, H, W]`, BGR 0 to 255, to `[N, A, 5]`: dx, dy, log w, log h, objectness before the sigmoid."""
        c2 = self.stem((levels - LEVEL_MEAN) / LEVEL_SCALE)
        c3 = self.stage3(c2 + self.stage2(c2))
        c4 = self.stage4(c3)
        p5 = self.lateral[2](self.stage5(c4))
        p4 = self.down[1](self.lateral[1](c4) + F.interpolate(p5, scale_factor=2.0))
        p3 = self.down[0](self.lateral[0](c3) + F.interpolate(p4, scale_factor=2.0))
        p4 = self.up[0](p4 + F.avg_pool2d(p3, 2))
        p5 = self.up[1](p5 + F.avg_pool2d(p4, 2))
        rows = []
        for pyramid in (p3, p4, p5):
            found = self.head(pyramid)
            rows.append(torch.cat([self.box(found), self.objectness(found)], 1).flatten(2))
        return torch.cat(rows, 2).transpose(1, 2)


class Raw(nn.Module):
    """What is exported: YOLOX's columns, objectness after its sigmoid, one class whose score is 1."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        found = self.detector(images)
        objectness = found[..., 4:].sigmoid()
        return torch.cat([found[..., :4], objectness, torch.ones_like(objectness)], 2)


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Cell origins `[A, 2]` in cells and strides `[A, 1]` in pixels, in the output's order."""
    origins, strides = [], []
    for stride in STRIDES:
        rows, columns = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        origins.append(torch.stack([columns, rows], -1).reshape(-1, 2).float())
        strides.append(torch.full((len(origins[-1]), 1), float(stride)))
    return torch.cat(origins), torch.cat(strides)


def corners(found: Tensor, origins: Tensor, strides: Tensor) -> Tensor:
    """Rows of the output to boxes `[..., 4]` as left, top, right, bottom in input pixels."""
    centre = (found[..., :2] + origins) * strides
    half = found[..., 2:4].clamp(-4.0, 5.0).exp() * strides / 2
    return torch.cat([centre - half, centre + half], -1)


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of boxes given by their corners."""
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    outer = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inner
    iou = inner / union.clamp(min=1e-6)
    return iou, iou - (outer - union) / outer.clamp(min=1e-6)


# An object's cells lie within this many strides of its centre.
CENTRE_RADIUS = 1.75
# Sides of an object, in strides, where its level fits best.
FITTING_SIDE = 3.5
# Most cells an object gets.
MOST_CELLS = 8


@torch.no_grad()
def assign(boxes: Tensor, objectness: Tensor, truth: Tensor, origins: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Which object each cell answers for: `[N, A]` indices into `truth` (`[N, G, 4]`, padded with NaN), -1 for none.

    SimOTA with a prior: an object gets as many cells as the overlaps of its best ones add up to, those that cost
    least. The cost is the box's error, the lack of objectness, and how badly the stride fits the object's size, which
    is what counts while the boxes still mean nothing. Gives the IoU of each cell with its object, too.
    """
    exists = ~truth[..., 0].isnan()
    truth = truth.nan_to_num(-1e4)
    points, step = ((origins + 0.5) * strides)[None, None], strides[:, 0][None, None]
    centre, size = (truth[..., :2] + truth[..., 2:]) / 2, (truth[..., 2:] - truth[..., :2]).clamp(min=1)
    away = (points - centre[:, :, None]).abs().amax(-1) / step
    inside = ((points > truth[:, :, None, :2]) & (points < truth[:, :, None, 2:])).all(-1)
    level = torch.log2(size.prod(-1).sqrt()[..., None] / step / FITTING_SIDE).abs()

    iou = overlap(boxes[:, None], truth[:, :, None])[0]
    cost = 3.0 * -(iou + 1e-2).log() + F.softplus(-objectness)[:, None] + 2.0 * level.square() + away.square()
    cost = cost + 100.0 * ~(inside & (away < CENTRE_RADIUS)) + 1e4 * ~exists[..., None]

    best, cells = cost.topk(MOST_CELLS, -1, largest=False)
    counts = iou.gather(-1, cells).sum(-1).int().clamp(1, MOST_CELLS)
    rank = torch.arange(MOST_CELLS)
    # The first cell is taken even where none lies inside: an object may be thinner than a cell.
    taken = (rank < counts[..., None]) & ((best < 100.0) | (rank == 0)) & exists[..., None]
    chosen = torch.full_like(cost, float("inf"))
    chosen.scatter_(-1, cells, best.masked_fill(~taken, float("inf")))
    least, owner = chosen.min(1)
    matched = iou.gather(1, owner[:, None])[:, 0]
    return owner.masked_fill(least.isinf(), -1), matched


def detection_loss(found: Tensor, truth: Tensor, ignored: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The box's and the objectness's loss of a batch.

    `truth` and `ignored` are corners in input pixels, `[N, G, 4]`, padded with NaN. Cells whose middle lies in an
    ignored box, and which answer for no object, are told nothing.
    """
    origins, strides = grid(height, width)
    boxes = corners(found, origins, strides)
    owner, iou = assign(boxes.detach(), found[..., 4].detach(), truth, origins, strides)
    positive = owner >= 0
    image, cell = positive.nonzero(as_tuple=True)
    count = max(1, len(image))

    iou_now, generalised = overlap(boxes[image, cell], truth[image, owner[image, cell]])
    box_loss = (1 - generalised).sum() / count

    target = torch.zeros_like(iou)
    target[image, cell] = iou_now.detach().clamp(0.2, 1.0)
    points, margin = (origins + 0.5) * strides, strides / 2
    unsaid = ((points > ignored[:, :, None, :2] - margin) & (points < ignored[:, :, None, 2:] + margin)).all(-1).any(1)
    logits = found[..., 4]
    weight = (logits.detach().sigmoid() - target).abs().pow(1.5).masked_fill(unsaid & ~positive, 0.0)
    objectness_loss = (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight).sum() / count
    return box_loss, objectness_loss
