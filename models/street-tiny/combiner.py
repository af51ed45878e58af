"""The combiner of the shipped set: the default recipe of the method's few-shot training, on a frozen CLIP.

Residual form; half a mean shift first; only mlp2 of both branches is trained, with cross-entropy and leave-own-class-out; the
number of steps is chosen by leave-own-class-out over folds of the shots. No OOD object is looked at.
"""

import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPModel

import captions
import crops
import tokenizer
from clip import normalised
from metrics import auroc

TEMPLATE = "a photo of a {}"
CLASSES = captions.CLASSES[: captions.ID_CLASSES]
STEPS = (0, 10, 20, 30, 40, 60, 80, 120)
FOLDS = 5
NO_CONTEXT = 0.3
"""The share of samples that are trained as if alone in the frame."""
CONV, RATE, DECAY, WARM_UP = 64, 3e-4, 0.01, 5


@dataclass
class World:
    """What depends on CLIP and the class list alone."""

    text: Tensor  # M(t_c) [C, E]
    attention: Tensor  # logits of inter-text attention [layers, heads, C', C]
    projection: Tensor  # P [E, D]
    scale: float


@dataclass
class Shots:
    """What the combiner sees of n objects: for all classes, in one pass each."""

    z0: Tensor  # [n, D]
    target: Tensor  # hidden features of the target's head, [n, C, M]
    context: Tensor  # of the background's, context as in training, [n, C, M]
    listed: Tensor  # of the background's, context as at inference, [n, C, M]
    alone: Tensor  # of the background's without context, [n, C, M]
    classes: Tensor  # [n]

    def of(self, chosen: Tensor) -> "Shots":
        return Shots(**{name: value[chosen] for name, value in vars(self).items()})


class Branch(nn.Module):
    """conv1..3, mlp1: everything that stays at its random start."""

    def __init__(self, width: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.conv1 = nn.Conv2d(width, CONV, 3, 1, 1)
        self.conv2 = nn.Conv2d(CONV, CONV, 3, 2, 1)
        self.conv3 = nn.Conv2d(CONV, CONV, 3, 2, 1)
        self.mlp1 = nn.Linear(width + CONV, 2 * width)

    @torch.no_grad()
    def hidden(self, z: Tensor, weight: Tensor) -> Tensor:
        """z [n, N+1, D], weight [n, C, N+1] to [n, C, M]: what mlp2 is applied to."""
        found = []
        for tokens, factors in zip(z.split(32), weight.split(32), strict=True):
            a = tokens[:, None] * factors[..., None]
            n, classes, _, width = a.shape
            patches = a[:, :, 1:].flatten(0, 1).transpose(1, 2).reshape(n * classes, width, self.grid, self.grid)
            maps = F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(patches))))))
            found.append(F.gelu(self.mlp1(torch.cat([a[:, :, 0], maps.mean((2, 3)).view(n, classes, -1)], -1))))
        return torch.cat(found)


def tune(clip: Path, scenes: Path, out: Path, shots: int, seed: int) -> dict:
    """Trains on `shots` objects of each class from a COCO folder of ID scenes; writes OUT. Returns what was chosen and why."""
    model = CLIPModel.from_pretrained(clip, attn_implementation="eager", dtype=torch.float32).eval()
    world = _world(model, clip)
    objects = _choose(scenes, shots, seed)
    torch.manual_seed(seed)
    width, grid = world.projection.shape[1], model.config.vision_config.image_size // model.config.vision_config.patch_size
    branches = {"target": Branch(width, grid), "background": Branch(width, grid)}
    seen = _look(model, world, branches, objects)

    folds = _folds(seen.classes, seed)
    # Plain CLIP is a candidate too, and the first: mlp2 = 0.
    pooled: dict[int | str, tuple[list, list]] = {steps: ([], []) for steps in ("plain", *STEPS)}
    for fold in range(FOLDS):
        held = seen.of(folds == fold)
        _leave_own_out((F.normalize(held.z0 @ world.projection.T, dim=-1) @ world.text.T), held.classes, pooled["plain"])
        for steps, mlp2 in _fit(world, seen.of(folds != fold), seed):
            _leave_own_out(_omega(world, held, held.listed, mlp2), held.classes, pooled[steps])
    curve = {steps: auroc(np.concatenate(kept), np.concatenate(left)) for steps, (kept, left) in pooled.items()}
    chosen = _earliest_as_good(pooled, curve)
    mlp2 = _zero(width) if chosen == "plain" else dict(_fit(world, seen, seed))[chosen]

    tensors = {f"{name}.{key}": value.detach() for name, branch in branches.items() for key, value in branch.state_dict().items()}
    for name in branches:
        tensors[f"{name}.mlp2.weight"], tensors[f"{name}.mlp2.bias"] = (value.detach() for value in mlp2[name])
    save_file({key: value.contiguous() for key, value in tensors.items()}, out, metadata={"form": "residual"})
    return {
        "shots": shots, "seed": seed, "objects": len(objects), "leave_own_class_out": curve, "chosen": chosen,
    }  # fmt: skip


def _choose(scenes: Path, shots: int, seed: int) -> list[dict]:
    """`shots` objects of each class, with the frame they are in and the classes of the others there."""
    of_class: dict[str, list[dict]] = {name: [] for name in CLASSES}
    for image, annotations in crops.frames(scenes):
        real = [a for a in annotations if a["name"] in of_class and not a["ignore"]]
        for a in real:
            others = [b["name"] for b in real if b is not a]
            of_class[a["name"]].append({"class": a["name"], "box": a["bbox"], "path": image["path"], "others": others})
    rng = random.Random(seed)
    for name, found in of_class.items():
        if len(found) < shots:
            raise SystemExit(f"only {len(found)} objects of class {name} in {scenes}: render more frames")
    return [thing for name in CLASSES for thing in rng.sample(of_class[name], shots)]


@torch.no_grad()
def _world(model: CLIPModel, clip: Path) -> World:
    tokens = tokenizer.load(clip)([TEMPLATE.format(name) for name in CLASSES], padding=True, return_tensors="pt")
    layers = [layer.self_attn for layer in model.text_model.encoder.layers]
    queries, keys, hooks = _recorded(layers)
    hidden = model.text_model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).last_hidden_state
    for hook in hooks:
        hook.remove()
    end = tokens["attention_mask"].sum(1) - 1
    at = torch.arange(len(CLASSES))
    text = F.normalize(model.text_projection(hidden[at, end]), dim=-1)
    heads = model.config.text_config.num_attention_heads
    logits = []
    for query, key in zip(queries, keys, strict=True):
        q, k = (part[at, end].view(len(CLASSES), heads, -1) for part in (query, key))
        logits.append(torch.einsum("chd,ohd->hco", k, q) / math.sqrt(q.shape[-1]))
    return World(text, torch.stack(logits), model.visual_projection.weight.data, model.logit_scale.exp().item())


@torch.no_grad()
def _look(model: CLIPModel, world: World, branches: dict[str, Branch], objects: list[dict]) -> Shots:
    """CLIP's outputs for all shots, once, and the combiner's hidden features from them."""
    pairs = []
    for thing in objects:
        image = Image.open(thing["path"]).convert("RGB")
        pairs.append((crops.target(image, thing["box"]), crops.background(image, thing["box"])))
    targets, backgrounds = (normalised(torch.from_numpy(np.stack(side))) for side in zip(*pairs, strict=True))
    parts = []
    for target, background in zip(targets.split(64), backgrounds.split(64), strict=True):
        z, queries, keys = _encode(model, target)
        z_, _, keys_ = _encode(model, background)
        parts.append((z, z_, _beta(model, queries, keys), _beta(model, queries, keys_)))
    z, z_, beta, beta_ = (torch.cat(part) for part in zip(*parts, strict=True))

    tokens = z.shape[1]
    cosines = F.normalize(z @ world.projection.T, dim=-1) @ world.text.T
    weight = tokens * beta[..., None] * cosines.clamp(min=0)
    everything = torch.ones(len(objects), len(CLASSES))
    met = torch.zeros_like(everything)
    for row, thing in zip(met, objects, strict=True):
        for other in thing["others"]:
            row[CLASSES.index(other)] += 1
    patches = F.normalize(z_ @ world.projection.T, dim=-1)
    plain = tokens * beta_

    def towards(counts: Tensor) -> Tensor:
        mu = torch.einsum("nte,nce->nct", patches, F.normalize(_context(world, counts), dim=-1)).clamp(min=0)
        mu[counts.sum(1) == 0] = 1
        return branches["background"].hidden(z_, plain[:, None] * mu)

    return Shots(
        z0=z[:, 0],
        target=branches["target"].hidden(z, weight.transpose(1, 2)),
        context=towards(met),
        listed=towards(everything),
        alone=branches["background"].hidden(z_, plain[:, None].expand(-1, len(CLASSES), -1)),
        classes=torch.tensor([CLASSES.index(thing["class"]) for thing in objects]),
    )


def _context(world: World, counts: Tensor) -> Tensor:
    """M̃_c [n, C, E] over prompts that occur `counts` [n, C'] times: an entry in the softmax for each."""
    logits = world.attention + torch.where(counts > 0, counts.clamp(min=1).log(), -1e9)[:, None, None, :, None]
    return torch.einsum("npc,pe->nce", logits.softmax(3).mean((1, 2)), world.text)


def _recorded(layers: list[nn.Module]) -> tuple[list[Tensor], list[Tensor], list]:
    """Lists that fill with each layer's query and key projections while a tower runs."""
    queries, keys, hooks = [], [], []
    for layer in layers:
        hooks.append(layer.q_proj.register_forward_hook(lambda _, __, out: queries.append(out)))
        hooks.append(layer.k_proj.register_forward_hook(lambda _, __, out: keys.append(out)))
    return queries, keys, hooks


def _encode(model: CLIPModel, images: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    queries, keys, hooks = _recorded([layer.self_attn for layer in model.vision_model.encoder.layers])
    z = model.vision_model.post_layernorm(model.vision_model(pixel_values=images).last_hidden_state)
    for hook in hooks:
        hook.remove()
    return z, queries, keys


def _beta(model: CLIPModel, queries: list[Tensor], keys: list[Tensor]) -> Tensor:
    """Attention of the queries' CLS token on the keys' tokens, mean over layers and heads, [n, N+1]."""
    heads, total = model.config.vision_config.num_attention_heads, 0.0
    for query, key in zip(queries, keys, strict=True):
        n, tokens, width = key.shape
        q, k = query[:, 0].view(n, heads, -1), key.view(n, tokens, heads, -1)
        total = total + (torch.einsum("nhd,nthd->nht", q, k) / math.sqrt(width / heads)).softmax(-1).mean(1)
    return total / len(queries)


Mlp2 = dict[str, tuple[Tensor, Tensor]]


def _zero(width: int) -> Mlp2:
    return {name: (torch.zeros(width, 2 * width), torch.zeros(width)) for name in ("target", "background")}


def _omega(world: World, seen: Shots, background: Tensor, mlp2: Mlp2) -> Tensor:
    (wt, bt), (wb, bb) = mlp2["target"], mlp2["background"]
    z = seen.z0[:, None] + seen.target @ wt.T + bt + background @ wb.T + bb
    return (F.normalize(z @ world.projection.T, dim=-1) * world.text).sum(-1)


def _fit(world: World, seen: Shots, seed: int) -> list[tuple[int, Mlp2]]:
    """mlp2 after each of STEPS."""
    mlp2 = _zero(seen.z0.shape[1])
    mlp2["target"][1].copy_(_half_shift(world, seen))
    parameters = [value.requires_grad_() for pair in mlp2.values() for value in pair]
    optimiser = torch.optim.AdamW(parameters, lr=RATE, weight_decay=DECAY)
    generator = torch.Generator().manual_seed(seed)
    own = F.one_hot(seen.classes, len(CLASSES)).bool()
    kept = []
    for step in range(max(STEPS) + 1):
        if step in STEPS:
            kept.append((step, {name: (w.detach().clone(), b.detach().clone()) for name, (w, b) in mlp2.items()}))
        optimiser.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / WARM_UP)
        dropped = torch.rand(len(own), generator=generator) < NO_CONTEXT
        omega = _omega(world, seen, torch.where(dropped[:, None, None], seen.alone, seen.context), mlp2)
        left = torch.logsumexp((omega * 2 * world.scale).masked_fill(own, -math.inf), 1) / (2 * world.scale)
        leave_own_class_out = F.softplus(world.scale * (left[None] - omega[own][:, None])).mean()
        loss = F.cross_entropy(omega * world.scale, seen.classes) + leave_own_class_out
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return kept


def _half_shift(world: World, seen: Shots) -> Tensor:
    """The bias that moves embeddings half the way from where the shots are to where their texts are."""
    apart = F.normalize(seen.z0 @ world.projection.T, dim=-1) - world.text[seen.classes]
    shift = torch.stack([apart[seen.classes == c].mean(0) for c in seen.classes.unique()]).mean(0)
    length = (seen.z0 @ world.projection.T).norm(dim=-1).mean()
    return torch.linalg.lstsq(world.projection, (-0.5 * length * shift)[:, None]).solution[:, 0]


def _folds(classes: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(1000 + seed)
    folds = torch.empty_like(classes)
    for c in classes.unique():
        own = classes == c
        folds[own] = torch.randperm(int(own.sum()), generator=generator) % FOLDS
    return folds


def _leave_own_out(omega: Tensor, classes: Tensor, into: tuple[list, list]) -> None:
    """Scores as they are, and as they would be were the object's class unknown."""
    own = F.one_hot(classes, omega.shape[1]).bool()
    into[0].append(omega.max(1).values.detach().numpy())
    into[1].append(omega.masked_fill(own, -2).max(1).values.detach().numpy())


def _earliest_as_good(pooled: dict, curve: dict[int | str, float]) -> int | str:
    """The earliest candidate within one paired standard error (over folds) of the best."""
    of_folds = {steps: np.array([auroc(k, l) for k, l in zip(kept, left, strict=True)]) for steps, (kept, left) in pooled.items()}
    best = max(curve, key=curve.get)
    for candidate, of_fold in of_folds.items():
        behind = of_folds[best] - of_fold
        if behind.mean() <= behind.std(ddof=1) / math.sqrt(FOLDS):
            return candidate
    return best
