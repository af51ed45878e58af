"""A small CLIP, trained from nothing on pictures of the street world; written as a Hugging Face folder, fp16."""

import json
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

import captions
import tokenizer
from crops import IMAGE_MEAN, IMAGE_STD, SIZE
from muon import Muon

PATCH, WIDTH, LAYERS, TEXT_LAYERS, HEADS, PROJECTION = 8, 128, 6, 3, 4, 128


@dataclass(frozen=True)
class Settings:
    steps: int = 1600
    batch: int = 256
    rate: float = 1.2e-3
    """AdamW's, of everything but the towers' matrices."""
    matrix_rate: float = 3e-3
    """Muon's, of these."""
    warm_up: int = 150
    decay: float = 0.05
    kept_patches: int = 32
    """Half of the patches, for the first `kept_for` of the steps: twice as many steps in the same time."""
    kept_for: float = 0.75
    strange: float = 0.05
    """The share of a batch that is scrambled and captioned as something strange."""
    seed: int = 0


def train(data: Path, held_out: Path, out: Path, work: Path, settings: Settings) -> dict:
    """Trains on DATA.npy/.jsonl; goes on from WORK/clip.pt if it is there. Returns what was reached on HELD_OUT."""
    pictures = np.load(data.with_suffix(".npy"), mmap_mode="r")
    whats = [json.loads(line) for line in data.with_suffix(".jsonl").read_text().splitlines()]
    rng = random.Random(settings.seed)
    words = tokenizer.train([captions.caption(what, rng) for what in whats[:40000]] + captions.STRANGE * 50, out)

    torch.manual_seed(settings.seed)
    model = _model(len(words.get_vocab()))
    optimisers = _optimisers(model, settings)
    highest = [group["lr"] for optimiser in optimisers for group in optimiser.param_groups]
    checkpoint = work / "clip.pt"
    first, spent = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        for optimiser, kept in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        first, spent = state["step"], state["seconds"]
        print(f"clip: goes on from step {first}", flush=True)

    began, losses = time.monotonic() - spent, []
    for step in range(first, settings.steps):
        # Everything random in a step follows from its number, so that a run that was cut off goes on as it would have.
        torch.manual_seed(settings.seed * 1_000_003 + step)
        order = np.random.default_rng([settings.seed, step * settings.batch // len(pictures)]).permutation(len(pictures))
        at = step * settings.batch % len(pictures)
        chosen = np.sort(np.take(order, range(at, at + settings.batch), mode="wrap"))
        images, texts = _batch(pictures, whats, chosen, random.Random(f"{settings.seed} {step}"), settings)

        done = step / settings.steps
        share = min(1.0, (step + 1) / settings.warm_up) * 0.5 * (1 + math.cos(math.pi * done))
        groups = [group for optimiser in optimisers for group in optimiser.param_groups]
        for group, rate in zip(groups, highest, strict=True):
            group["lr"] = rate * share
        loss = _loss(model, words, images, texts, settings.kept_patches if done < settings.kept_for else None)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        losses.append(loss.item())

        seconds = time.monotonic() - began
        if (step + 1) % 25 == 0:
            left = seconds / (step + 1) * (settings.steps - step - 1)
            print(f"clip: step {step + 1}/{settings.steps}, loss {np.mean(losses[-25:]):.3f}, {seconds / 60:.1f} min, {left / 60:.1f} left", flush=True)
        last = step + 1 == settings.steps
        if (step + 1) % 200 == 0 or last:
            if not last:
                print(f"clip: held out {zero_shot(model, words, held_out)}", flush=True)
            state = {"model": model.state_dict(), "optimisers": [optimiser.state_dict() for optimiser in optimisers]}
            torch.save(state | {"step": step + 1, "seconds": seconds}, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").rename(checkpoint)
    _write(model, out)
    reached = zero_shot(model, words, held_out)
    print(f"clip: held out {reached}", flush=True)
    parameters = sum(p.numel() for p in model.parameters())
    return {"steps": settings.steps, "batch": settings.batch, "pictures": len(pictures), "parameters": parameters, **reached}


@torch.no_grad()
def zero_shot(model: CLIPModel, words, held_out: Path) -> dict:
    """Of held-out objects: accuracy over the 24 named classes and over the ten ID ones; AUROC of max cosine to the ID prompts,
    apart for named and never-seen OOD."""
    pictures = np.load(held_out.with_suffix(".npy"))
    whats = [json.loads(line) for line in held_out.with_suffix(".jsonl").read_text().splitlines()]
    index = {name: i for i, name in enumerate(captions.CLASSES)}
    keep = [i for i, what in enumerate(whats) if what["kind"] == "object"]
    classes = torch.tensor([index.get(whats[i]["class"], -1) for i in keep])
    model.eval()
    text = F.normalize(_text(model, words, ["a photo of a " + name for name in captions.CLASSES]), dim=-1)
    images = normalised(torch.from_numpy(pictures[keep]))
    cosines = torch.cat([F.normalize(_image(model, part, None), dim=-1) for part in images.split(256)]) @ text.T
    model.train()
    known, named, unseen = (classes >= 0) & (classes < captions.ID_CLASSES), classes >= captions.ID_CLASSES, classes < 0
    best = cosines[:, : captions.ID_CLASSES].max(1).values
    return {
        "top1_24": round((cosines.argmax(1) == classes)[~unseen].float().mean().item(), 4),
        "id_accuracy": round((cosines[known][:, : captions.ID_CLASSES].argmax(1) == classes[known]).float().mean().item(), 4),
        "auroc_named": round((best[known][:, None] > best[named][None]).float().mean().item(), 4),
        "auroc_unseen": round((best[known][:, None] > best[unseen][None]).float().mean().item(), 4),
        "scale": round(model.logit_scale.exp().item(), 1),
    }


def normalised(pictures: torch.Tensor) -> torch.Tensor:
    """u8 [n, S, S, 3] to what the image tower takes, f32 [n, 3, S, S]."""
    return standardised(pictures.permute(0, 3, 1, 2).float() / 255)


def standardised(x: torch.Tensor) -> torch.Tensor:
    """f32 [n, 3, S, S], 0..1, with CLIP's mean and deviation."""
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (IMAGE_MEAN, IMAGE_STD))
    return (x - mean) / std


def _optimisers(model: CLIPModel, settings: Settings) -> list[torch.optim.Optimizer]:
    matrices, others, plain = [], [], []
    for name, p in model.named_parameters():
        if p.dim() < 2 or "embedding" in name:
            plain.append(p)
        else:
            (matrices if "encoder.layers" in name else others).append(p)
    groups = [{"params": others, "weight_decay": settings.decay}, {"params": plain, "weight_decay": 0.0}]
    return [Muon(matrices, settings.matrix_rate, settings.decay), torch.optim.AdamW(groups, lr=settings.rate, betas=(0.9, 0.98))]


def _model(vocabulary: int) -> CLIPModel:
    text = dict(
        vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=TEXT_LAYERS, num_attention_heads=HEADS,
        max_position_embeddings=tokenizer.POSITIONS, projection_dim=PROJECTION,
        bos_token_id=vocabulary - 2, eos_token_id=vocabulary - 1, pad_token_id=vocabulary - 1,
    )  # fmt: skip
    vision = dict(
        hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        image_size=SIZE, patch_size=PATCH, projection_dim=PROJECTION,
    )  # fmt: skip
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=PROJECTION))
    # On a CPU, plain attention trains several times faster than the fused one.
    model.set_attn_implementation("eager")
    # Hugging Face's initialisation is made for towers ten times as wide.
    for name, p in model.named_parameters():
        if p.dim() == 2:
            if "embedding" in name:
                torch.nn.init.normal_(p, std=0.02)
            else:
                torch.nn.init.trunc_normal_(p, std=0.6 / math.sqrt(p.shape[1]))
    return model


def _image(model: CLIPModel, images: torch.Tensor, kept: int | None) -> torch.Tensor:
    tower = model.vision_model
    hidden = tower.embeddings(images)
    if kept:
        n, tokens, width = hidden.shape
        chosen = torch.rand(n, tokens - 1).argsort(1)[:, :kept] + 1
        hidden = torch.cat([hidden[:, :1], hidden.gather(1, chosen[..., None].expand(-1, -1, width))], 1)
    hidden = tower.encoder(inputs_embeds=tower.pre_layrnorm(hidden)).last_hidden_state
    return model.visual_projection(tower.post_layernorm(hidden[:, 0]))


def _text(model: CLIPModel, words, texts: list[str]) -> torch.Tensor:
    tokens = words(texts, padding=True, return_tensors="pt")
    pooled = model.text_model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).pooler_output
    return model.text_projection(pooled)


def _batch(pictures, whats, chosen, rng: random.Random, settings: Settings) -> tuple[torch.Tensor, list[str]]:
    x = torch.from_numpy(pictures[chosen]).permute(0, 3, 1, 2).float() / 255
    chosen_whats = [whats[i] for i in chosen]
    texts = [captions.caption(what, rng) for what in chosen_whats]
    x = _with_strange(x, chosen_whats, texts, rng, settings.strange)

    # Arrows and letters on signs have a right side.
    may_flip = torch.tensor([what.get("class") != "traffic sign" for what in chosen_whats])
    flip = (torch.rand(len(x)) < 0.5) & may_flip
    x[flip] = x[flip].flip(-1)
    x = (x * (1 + 0.15 * torch.randn(len(x), 1, 1, 1)).clamp(0.6, 1.4) * (1 + 0.05 * torch.randn(len(x), 3, 1, 1))).clamp(0, 1)
    dx, dy = rng.randint(0, 6), rng.randint(0, 6)
    x = F.pad(x, (3, 3, 3, 3), mode="replicate")[:, :, dy : dy + SIZE, dx : dx + SIZE]
    return standardised(x), texts


def _with_strange(x: torch.Tensor, whats: list[dict], texts: list[str], rng: random.Random, share: float) -> torch.Tensor:
    """Scrambles a share of the batch: four quarters, of one thing or of four, each turned at random, captioned as something strange."""
    objects = [i for i, what in enumerate(whats) if what["kind"] == "object"]
    source, half = x.clone(), SIZE // 2
    corners = [(top, left) for top in (0, half) for left in (0, half)]
    for i in rng.sample(objects, min(len(objects), round(share * len(x)))):
        mixed = rng.random() < 0.5
        places = rng.sample(corners, 4)
        for (top, left), (from_top, from_left) in zip(corners, places, strict=True):
            other = rng.choice(objects) if mixed else i
            quarter = source[other, :, from_top : from_top + half, from_left : from_left + half]
            x[i, :, top : top + half, left : left + half] = torch.rot90(quarter, rng.randint(0, 3), (1, 2))
        texts[i] = rng.choice(captions.STRANGE)
    return x


def _loss(model: CLIPModel, words, images: torch.Tensor, texts: list[str], kept: int | None) -> torch.Tensor:
    """CLIP's loss in both directions; pictures with one and the same caption are all its positives."""
    unique: dict[str, int] = {}
    caption_of = torch.tensor([unique.setdefault(text, len(unique)) for text in texts])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image, text = _image(model, images, kept), _text(model, words, list(unique))
    image, text = (F.normalize(side.float(), dim=-1) for side in (image, text))
    logits = model.logit_scale.exp() * image @ text.T
    positives = F.one_hot(caption_of, len(unique)).float()
    of_text = -(positives / positives.sum(0, keepdim=True) * F.log_softmax(logits, 0)).sum(0).mean()
    return (F.cross_entropy(logits, caption_of) + of_text) / 2


def _write(model: CLIPModel, out: Path) -> None:
    """config.json, model.safetensors in fp16, preprocessor_config.json."""
    model.config.save_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    config["dtype"] = "float16"
    config["architectures"] = ["CLIPModel"]
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    weights = {name: w.detach().half().contiguous() if w.is_floating_point() else w for name, w in model.state_dict().items()}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    processor = dict(
        image_processor_type="CLIPImageProcessor", do_convert_rgb=True, do_resize=True, size={"shortest_edge": SIZE}, resample=3,
        do_center_crop=True, crop_size={"height": SIZE, "width": SIZE}, do_rescale=True, rescale_factor=1 / 255,
        do_normalize=True, image_mean=IMAGE_MEAN, image_std=IMAGE_STD,
    )  # fmt: skip
    (out / "preprocessor_config.json").write_text(json.dumps(processor, indent=1) + "\n")
