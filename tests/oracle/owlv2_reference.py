"""An OWLv2 of full size with random weights, and what transformers makes of a picture and some names with it.

    owlv2_reference.py FOLDER TOKENIZER_FOLDER   with the prompts as a JSON list on stdin

Writes config.json, model.safetensors and a tokenizer that pads as OWLv2's do ("!", id 0) into FOLDER, and reference.safetensors:
`picture` u8 [960, 960, 3], `pixel_values`, `input_ids`, `logits`, `objectness_logits`, `pred_boxes`. A square picture of the
model's own side is neither padded nor resized. Prints how long transformers took.
"""

import json
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPTokenizer, Owlv2Config, Owlv2ForObjectDetection

MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
SIDE = 960


@torch.no_grad()
def main(folder: str, tokenizer_folder: str) -> None:
    torch.manual_seed(11)
    torch.set_num_threads(1)
    tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder, pad_token="!")
    config = Owlv2Config(
        vision_config={"image_size": SIDE},
        text_config={"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id},
    )
    model = Owlv2ForObjectDetection(config).eval()
    # Fresh weights have zero biases, unit norms and attention close to uniform: too easy to get right.
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.normal_(std=0.1)
        elif "norm" in name:
            parameter.normal_(mean=1.0, std=0.2)
        elif "q_proj" in name or "k_proj" in name:
            parameter.mul_(6.0)
        elif parameter.dim() == 2 and ("dense" in name or "class_head" in name):
            parameter.normal_(std=2 * parameter.shape[1] ** -0.5)

    prompts = json.load(sys.stdin)
    # What Owlv2Processor asks of its tokenizer.
    texts = tokenizer(prompts, padding="max_length", max_length=16, return_tensors="pt")
    coarse = torch.rand(1, 3, 24, 24) * 255
    picture = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic") + torch.randn(1, 3, SIDE, SIDE) * 8
    picture = picture.clamp(0, 255).round()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    pixel_values = (picture / 255 - mean) / std
    started = time.monotonic()
    output = model(input_ids=texts["input_ids"], attention_mask=texts["attention_mask"], pixel_values=pixel_values)
    print(f"{time.monotonic() - started:.1f} s in transformers, one thread", file=sys.stderr)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    reference = {
        "picture": picture[0].permute(1, 2, 0).to(torch.uint8).contiguous(),
        "pixel_values": pixel_values,
        "input_ids": texts["input_ids"],
        "logits": output.logits,
        "objectness_logits": output.objectness_logits,
        "pred_boxes": output.pred_boxes,
    }
    save_file({name: tensor.contiguous() for name, tensor in reference.items()}, Path(folder) / "reference.safetensors")


main(*sys.argv[1:])
