"""The head of the combiner and its losses in PyTorch: loss and gradients of what a Rust test wrote down.

    python tests/oracle/tune_gradients.py IN.safetensors OUT.safetensors

IN holds z0, z1 [n, T, D], weights0, weights1 [n, T, C], projection [E, D], text [C, E], own [n, C], scale, and the tensors of a combiner;
OUT gets loss and the gradient of each of the combiner's tensors. Double precision. Needs torch and safetensors.
"""

import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file


def branch(w, name, z, weights):
    a = z[:, :, None] * weights[..., None]  # [n, T, C, D]
    n, tokens, classes, width = a.shape
    grid = round((tokens - 1) ** 0.5)
    maps = a[:, 1:].permute(0, 2, 3, 1).reshape(n * classes, width, grid, grid)
    if f"{name}.conv1.weight" in w:
        for layer, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2)):
            maps = F.relu(F.conv2d(maps, w[f"{name}.{layer}.weight"], w[f"{name}.{layer}.bias"], stride, 1))
    joined = torch.cat([a[:, 0], maps.mean((2, 3)).view(n, classes, -1)], -1)
    hidden = F.linear(joined, w[f"{name}.mlp1.weight"], w[f"{name}.mlp1.bias"])
    if f"{name}.mlp2.weight" not in w:
        return hidden
    return F.linear(F.gelu(hidden), w[f"{name}.mlp2.weight"], w[f"{name}.mlp2.bias"])


def contrastive(logits, own):
    own = own / own.sum(0, keepdim=True).clamp(min=1)
    present = own.sum(0) > 0
    to_objects = -(own * F.log_softmax(logits, 0)).sum(0)[present].mean()
    return to_objects


def main(source, out):
    w = load_file(source)
    names = [name for name in w if "." in name]
    for name in names:
        w[name].requires_grad_()
    fused = branch(w, "target", w["z0"], w["weights0"]) + branch(w, "background", w["z1"], w["weights1"])
    if "target.mlp2.weight" in w:
        fused = fused + w["z0"][:, :1]
    omega = (F.normalize(fused @ w["projection"].T, dim=-1) * w["text"]).sum(-1)
    scale, own = w["scale"].item(), w["own"].bool()
    classes = own.double().argmax(1)
    left = torch.logsumexp((2 * scale * omega).masked_fill(own, -torch.inf), 1) / (2 * scale)
    leave_own_class_out = F.softplus(scale * (left[None] - omega[own][:, None])).mean()
    logits = scale * omega
    cross_entropy = F.cross_entropy(logits, classes)
    loss = cross_entropy + leave_own_class_out + (cross_entropy + contrastive(logits, w["own"])) / 2
    loss.backward()
    save_file({"loss": loss.detach().view(1), **{name: w[name].grad.contiguous() for name in names}}, out)


main(*sys.argv[1:])
