"""Muon (Jordan and others, 2024): a matrix's step is its momentum with all singular values made about one.

At these lengths of training it is worth two to three times as many steps of AdamW. PyTorch's own takes no weights of
convolutions, and iterates in bfloat16, which on a CPU is slower than float32.
"""

import torch
from torch import Tensor

MOMENTUM = 0.95
# Of the quintic that pushes singular values towards one, and how often it is applied.
COEFFICIENTS, ITERATIONS = (3.4445, -4.7750, 2.0315), 5


class Muon(torch.optim.Optimizer):
    """For weights of two dimensions and more; all but the first are taken as one. Rates and decay are as AdamW's would be."""

    def __init__(self, weights: list[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                if "momentum" not in self.state[weight]:
                    self.state[weight]["momentum"] = torch.zeros_like(weight)
                momentum = self.state[weight]["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
                update = orthogonal(weight.grad.lerp(momentum, MOMENTUM).flatten(1))
                # With this factor the step is as long as AdamW's (Liu and others, 2025).
                length = 0.2 * max(update.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update.view_as(weight), alpha=-group["lr"] * length)


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with singular values of about one (Newton and Schulz's iteration)."""
    a, b, c = COEFFICIENTS
    upright = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if upright else matrix) / (matrix.norm() + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if upright else x
