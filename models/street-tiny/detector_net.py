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


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int | None = None) -> nn.Sequential:
    """A convolution without bias, its batch norm and a ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 if padding is None else padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Adds what a squeezed 3x3 convolution finds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels // 2, 1), conv(channels // 2, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Head(nn.Module):
    """Box and objectness of each cell of one stride."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels), conv(channels, channels))
        self.box = nn.Conv2d(channels, 4, 1)
        self.objectness = nn.Conv2d(channels, 1, 1)
        nn.init.normal_(self.box.weight, std=0.01)
        self.box.bias.data = torch.tensor([0.5, 0.5, 1.0, 1.0])
        nn.init.normal_(self.objectness.weight, std=0.01)
        nn.init.constant_(self.objectness.bias, -4.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return torch.cat([self.box(x), self.objectness(x)], 1)


class Detector(nn.Module):
    """Backbone of five stages, a pyramid downwards, a head for each of the three strides."""

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 96, 128), neck: int = 48) -> None:
        super().__init__()
        c2, c3, c4, c5 = widths
        # At once to a quarter: what is spent on the finest maps is most of the time and finds little.
        self.stage2 = conv(3, c2, 6, 4, 1)
        self.stage3 = nn.Sequential(conv(c2, c3, 3, 2), Residual(c3), Residual(c3), Residual(c3))
        self.stage4 = nn.Sequential(conv(c3, c4, 3, 2), Residual(c4), Residual(c4), Residual(c4))
        self.stage5 = nn.Sequential(conv(c4, c5, 3, 2), Residual(c5), Residual(c5))
        self.lateral = nn.ModuleList(conv(width, neck, 1) for width in (c3, c4, c5))
        self.down = nn.ModuleList(conv(neck, neck) for _ in range(2))
        # Not one head for all: a batch norm that sees three pyramid levels in turn ends up with the statistics of none.
        self.heads = nn.ModuleList(Head(neck) for _ in STRIDES)

    def forward(self, levels: Tensor) -> Tensor:
        """`[N, 3, H, W]`, BGR 0 to 255, to `[N, A, 5]`: dx, dy, log w, log h, objectness before the sigmoid."""
        c3 = self.stage3(self.stage2((levels - LEVEL_MEAN) / LEVEL_SCALE))
        c4 = self.stage4(c3)
        p5 = self.lateral[2](self.stage5(c4))
        p4 = self.down[1](self.lateral[1](c4) + F.interpolate(p5, scale_factor=2.0))
        p3 = self.down[0](self.lateral[0](c3) + F.interpolate(p4, scale_factor=2.0))
        rows = [head(level).flatten(2) for head, level in zip(self.heads, (p3, p4, p5))]
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


# Up to this many of its strides an object belongs to a grid; what is larger, to the next coarser one.
LARGEST_SIDE = 4.5
# An object with a shorter side is too small for the finest grid: it is ignored. In pixels of the window.
LEAST_SIDE = 9.0
# A cell which answers for an object is told to be the surer of it the better its box lies: from an overlap at which the box is
# wrong to one that is as good as any, so that boxes of much the same overlap around 0.5, where one counts as found, are ranked.
WRONG_OVERLAP, RIGHT_OVERLAP = 0.25, 0.75
# The least that it is told, however wrong its box still is.
LEAST_TARGET = 0.1


def assign(truth: Tensor, origins: Tensor, strides: Tensor) -> Tensor:
    """Which object each cell answers for: `[N, A]` indices into `truth` (`[N, G, 4]`, padded with NaN), -1 for none.

    An object's size names its stride; its cells are those around its centre (2x2, as a rule), within its box, and the
    nearest one in any case. Of two objects the smaller has the cell.
    """
    exists = ~truth[..., 0].isnan()
    truth = truth.nan_to_num(-1e4)[:, :, None]
    points, steps = (origins + 0.5) * strides, strides[:, 0]
    size = (truth[..., 2:] - truth[..., :2]).prod(-1)
    stride = STRIDES[0] * 2 ** torch.bucketize(size.sqrt(), LARGEST_SIDE * torch.tensor(STRIDES[:-1]))

    away = (points - (truth[..., :2] + truth[..., 2:]) / 2).abs().amax(-1)
    away = away.masked_fill(steps != stride, float("inf"))
    taken = (away < steps) & (points > truth[..., :2]).all(-1) & (points < truth[..., 2:]).all(-1)
    taken.scatter_(-1, away.argmin(-1, keepdim=True), True)
    smallest, owner = size.expand_as(away).masked_fill(~(taken & exists[..., None]), float("inf")).min(1)
    return owner.masked_fill(smallest.isinf(), -1)


def detection_loss(found: Tensor, truth: Tensor, ignored: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The box's and the objectness's loss of a batch.

    `truth` and `ignored` are corners in input pixels, `[N, G, 4]`, padded with NaN. Cells whose middle lies in an
    ignored box, and which answer for no object, are told nothing.
    """
    origins, strides = grid(height, width)
    boxes = corners(found, origins, strides)
    tiny = ((truth[..., 2:] - truth[..., :2]).amin(-1) < LEAST_SIDE)[..., None]
    ignored = torch.cat([ignored, truth.masked_fill(~tiny, float("nan"))], 1)
    truth = truth.masked_fill(tiny, float("nan"))
    owner = assign(truth, origins, strides)
    positive = owner >= 0
    image, cell = positive.nonzero(as_tuple=True)
    count = max(1, len(image))

    iou, generalised = overlap(boxes[image, cell], truth[image, owner[image, cell]])
    box_loss = (1 - generalised).sum() / count

    target = torch.zeros_like(found[..., 4])
    target[image, cell] = ((iou.detach() - WRONG_OVERLAP) / (RIGHT_OVERLAP - WRONG_OVERLAP)).clamp(LEAST_TARGET, 1.0)
    points, margin = (origins + 0.5) * strides, strides / 2
    unsaid = ((points > ignored[:, :, None, :2] - margin) & (points < ignored[:, :, None, 2:] + margin)).all(-1).any(1)
    logits = found[..., 4]
    weight = (logits.detach().sigmoid() - target).abs().pow(1.5).masked_fill(unsaid & ~positive, 0.0)
    objectness_loss = (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight).sum() / count
    return box_loss, objectness_loss
