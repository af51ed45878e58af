"""A CLIP of full size with random weights, and what transformers makes of it.

    clip_reference.py FOLDER PATCH_SIZE DTYPE   with the tokenizer already in FOLDER; prompts as a JSON list on stdin

Writes config.json, model.safetensors (in DTYPE) and preprocessor_config.json into FOLDER, and reference.safetensors:
two images as they are fed in (`pixels` u8 [2, S, S, 3]), `input_ids`, `text_embeds` and `image_embeds` (unit), `cosine` [2, C],
`cls_attention` [2, T]: the mean over layers and heads of the CLS row of the image tower's attention, and `values` [2, N, E] (unit): the
patches where every token of the last layer looks at itself alone, as MaskCLIP and GL-MCM take them.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def images(size: int) -> torch.Tensor:
    """Blobs of colour and some noise: more like a picture than noise alone."""
    coarse = torch.rand(2, 3, 7, 7) * 255
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    return (smooth + torch.randn(2, 3, size, size) * 8).clamp(0, 255).round().to(torch.uint8)


def value_path(model: CLIPModel, hidden: torch.Tensor) -> torch.Tensor:
    """The last layer with attention taken out, from the hidden state before it."""
    layer = model.vision_model.encoder.layers[-1]
    value = hidden + layer.self_attn.out_proj(layer.self_attn.v_proj(layer.layer_norm1(hidden)))
    value = value + layer.mlp(layer.layer_norm2(value))
    patches = model.visual_projection(model.vision_model.post_layernorm(value))[:, 1:]
    return torch.nn.functional.normalize(patches, dim=-1)


@torch.no_grad()
def main(folder: str, patch_size: str, dtype: str) -> None:
    torch.manual_seed(7)
    config = CLIPConfig(vision_config={"patch_size": int(patch_size)})
    config._attn_implementation = "eager"
    model = CLIPModel(config).eval()
    # Fresh weights have zero biases, unit norms and attention close to uniform: too easy to get right.
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.normal_(std=0.1)
        elif "norm" in name or "layrnorm" in name:
            parameter.normal_(mean=1.0, std=0.2)
        elif "q_proj" in name or "k_proj" in name:
            parameter.mul_(6.0)
    model = model.to(getattr(torch, dtype)).float()

    prompts = json.load(sys.stdin)
    ids = CLIPTokenizer.from_pretrained(folder)(prompts, padding="max_length", max_length=77, return_tensors="pt")["input_ids"]
    size = config.vision_config.image_size
    pixels = images(size)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    output = model(input_ids=ids, pixel_values=(pixels / 255 - mean) / std)
    vision = model.vision_model((pixels / 255 - mean) / std, output_attentions=True, output_hidden_states=True)
    reference = {
        "pixels": pixels.permute(0, 2, 3, 1).contiguous(),
        "input_ids": ids,
        "text_embeds": output.text_embeds,
        "image_embeds": output.image_embeds,
        "cosine": output.image_embeds @ output.text_embeds.T,
        "cls_attention": torch.stack([layer[:, :, 0].mean(1) for layer in vision.attentions]).mean(0),
        "values": value_path(model, vision.hidden_states[-2]),
    }
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    Path(folder, "preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": STD}))
    save_file({name: tensor.contiguous() for name, tensor in reference.items()}, Path(folder, "reference.safetensors"))


if __name__ == "__main__":
    main(*sys.argv[1:])
