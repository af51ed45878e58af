"""CLIPs of full size with random weights from transformers, and what it computes with them; and what Python makes of a built graph.

    python tests/oracle/graph_full_size.py make FOLDER PATCH_SIZE TOKENIZER_FOLDER [--shard]
    python tests/oracle/graph_full_size.py check GRAPH.onnx FEED.safetensors OUTPUTS.safetensors

`make` writes a CLIP folder (float32; with --shard bfloat16 in several files), combiner.safetensors, and expected.safetensors:
pixels, token ids, transformers' own cosines and attention. `check` runs onnx.checker and onnxruntime. Needs torch, transformers,
safetensors, onnx, onnxruntime.
"""

import argparse
import json
import pathlib
import shutil

import numpy
from safetensors.numpy import load_file, save_file

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
OBJECTS, CONVOLUTIONS = 2, 64
PROMPTS = ["A photo of a car", "A photo of a traffic light", "a blurry picture of a raccoon on the road"]


def make(folder, patch, tokenizer, shard):
    import torch
    from transformers import AutoTokenizer, CLIPConfig, CLIPModel

    torch.manual_seed(patch)
    known = json.loads((tokenizer / "config.json").read_text())["text_config"]
    special = {key: known[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id", "vocab_size")}
    config = CLIPConfig(
        vision_config={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": 224,
            "patch_size": patch,
        },
        text_config={"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8, **special},
        projection_dim=512,
    )
    model = CLIPModel._from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # transformers starts biases at 0, where a forgotten one would not be seen, and weights so small that all tokens look alike.
            if name.endswith("bias"):
                parameter.normal_(0, 0.05)
            elif parameter.dim() == 2 and "embedding" not in name:
                parameter.normal_(0, (2 if "q_proj" in name or "k_proj" in name else 1) * parameter.shape[1] ** -0.5)
    if shard:
        model = model.to(torch.bfloat16)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, max_shard_size="100MB" if shard else "4GB")
    model = model.float()
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"):
        shutil.copy(tokenizer / name, folder / name)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": STD}))

    generator = torch.Generator().manual_seed(1)
    random = lambda *shape: torch.randn(shape, generator=generator) / numpy.prod(shape[1:]) ** 0.5
    tensors = {}
    for branch in ("target", "background"):
        shapes = {
            "conv1": (CONVOLUTIONS, 768, 3, 3),
            "conv2": (CONVOLUTIONS, CONVOLUTIONS, 3, 3),
            "conv3": (CONVOLUTIONS, CONVOLUTIONS, 3, 3),
            "mlp1": (1536, 768 + CONVOLUTIONS),
            "mlp2": (768, 1536),
        }
        for layer, shape in shapes.items():
            tensors[f"{branch}.{layer}.weight"] = random(*shape).numpy()
            tensors[f"{branch}.{layer}.bias"] = (random(shape[0], 1)[:, 0] * 0.1).numpy()
    save_file(tensors, folder / "combiner.safetensors", metadata={"form": "residual"})

    encoded = AutoTokenizer.from_pretrained(folder)(PROMPTS, padding="max_length", max_length=77, return_tensors="pt")
    images = [torch.randint(0, 256, (OBJECTS, 224, 224, 3), dtype=torch.uint8, generator=generator) for _ in range(2)]
    pixels = (images[0].permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    with torch.no_grad():
        output = model(input_ids=encoded.input_ids, pixel_values=pixels, attention_mask=encoded.attention_mask)
        vision = model.vision_model(pixel_values=pixels, output_attentions=True)
    beta = torch.stack(vision.attentions)[:, :, :, 0].mean((0, 2))
    eot = (encoded.input_ids == special["eos_token_id"]).int().argmax(1)
    expected = {
        "target": images[0],
        "background": images[1],
        "input_ids": encoded.input_ids,
        "eot": eot,
        "clip_cosine": output.image_embeds @ output.text_embeds.T,
        "text": output.text_embeds,
        "beta_target": beta,
    }
    save_file({name: numpy.ascontiguousarray(tensor.numpy()) for name, tensor in expected.items()}, folder / "expected.safetensors")


def check(graph, feed, outputs):
    import onnx
    import onnxruntime

    onnx.checker.check_model(str(graph), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    results = session.run(names, load_file(feed))
    save_file({name: numpy.ascontiguousarray(result) for name, result in zip(names, results)}, outputs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    make_parser = commands.add_parser("make")
    make_parser.add_argument("folder", type=pathlib.Path)
    make_parser.add_argument("patch", type=int)
    make_parser.add_argument("tokenizer", type=pathlib.Path)
    make_parser.add_argument("--shard", action="store_true")
    make_parser.set_defaults(run=make)
    check_parser = commands.add_parser("check")
    for name in ("graph", "feed", "outputs"):
        check_parser.add_argument(name, type=pathlib.Path)
    check_parser.set_defaults(run=check)
    arguments = vars(parser.parse_args())
    arguments.pop("run")(**arguments)


if __name__ == "__main__":
    main()
