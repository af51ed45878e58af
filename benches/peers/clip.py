"""The frames of a clip scored in Python, as one would without this project: three ways, each a pass when it is asked for.

    python benches/peers/clip.py CLIP_FOLDER GRAPH.onnx CLIP.safetensors [--ways WAY,…] [--threads N]

CLIP_FOLDER is graph.py's. CLIP.safetensors holds frames [F, H, W, 3], boxes [N, 4] (x, y, w, h), of [N] (the frame of each
box), text and context_text [C, E]. Crops are Pillow's in all:

    loop         the method as it is written down: transformers' CLIP, one object after the other, one class after the other
    batched      graph.py's module, the objects of a frame in one batch
    onnxruntime  the built graph in onnxruntime, the objects of a frame in one batch
    graph        the same with crops that were cut before: what of it is the graph

`--ways` has those that are got ready, all where it is not given; the first two are for graph.py's folders alone. First a
line of JSON: versions, and omega of the first frame, in which they agree. Then a line for each line of stdin that
names one of them: the seconds that a pass took.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import numpy
import onnxruntime
import torch
import transformers
from graph import DualEncoder, session
from PIL import Image
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file
from torch.nn import functional
from transformers import CLIPVisionModelWithProjection


class Pixels:
    """Targets and backgrounds as the method cuts them."""

    def __init__(self, folder):
        self.side = json.loads((folder / "config.json").read_text())["vision_config"]["image_size"]
        processor = json.loads((folder / "preprocessor_config.json").read_text())
        self.mean, self.std = processor["image_mean"], processor["image_std"]
        self.fill = tuple(round(255 * mean) for mean in self.mean)

    def pair(self, frame, box):
        """Both pictures of an object, in 8-bit levels."""
        x, y, w, h = box
        edges = (max(0, math.floor(x)), max(0, math.floor(y)), min(frame.width, math.ceil(x + w)), min(frame.height, math.ceil(y + h)))
        background = frame.copy()
        background.paste(self.fill, edges)
        size = (self.side, self.side)
        return [numpy.asarray(picture.resize(size, Image.Resampling.BICUBIC)) for picture in (frame.crop(edges), background)]

    def normal(self, levels):
        """As CLIP wants them."""
        scaled = torch.from_numpy(levels.astype(numpy.float32) / 255).permute(2, 0, 1)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        return (scaled - mean) / std


class Loop:
    """The method, line by line."""

    def __init__(self, folder, pixels, text, context_text):
        self.model = CLIPVisionModelWithProjection.from_pretrained(folder, attn_implementation="sdpa").eval()
        self.weights = load_file(folder / "combiner.safetensors")
        vision = self.model.config
        self.heads, self.grid = vision.num_attention_heads, vision.image_size // vision.patch_size
        self.pixels, self.text, self.context_text = pixels, torch.from_numpy(text), torch.from_numpy(context_text)
        self.taps = []
        for layer in self.model.vision_model.encoder.layers:
            for which in (layer.self_attn.q_proj, layer.self_attn.k_proj):
                which.register_forward_hook(lambda _module, _inputs, output: self.taps.append(output))

    def attention(self, q, k):
        """The mean over layers and heads of softmax(k_i . q_0 / sqrt(d)), [T]."""
        layers, tokens, width = k.shape
        split = (layers, -1, self.heads, width // self.heads)
        q, k = q[:, :1].reshape(split).transpose(1, 2), k.reshape(split).transpose(1, 2)
        return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(width // self.heads), -1).mean((0, 1))[0]

    def branch(self, name, z, weight):
        """One combiner branch for one class."""
        weights = {key: self.weights[f"{name}.{key}"] for key in self.keys(name)}
        a = weight[:, None] * z
        maps = a[1:].t().reshape(1, -1, self.grid, self.grid)
        for layer, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2)):
            maps = torch.relu(functional.conv2d(maps, weights[f"{layer}.weight"], weights[f"{layer}.bias"], stride, 1))
        hidden = functional.linear(torch.cat([a[0], maps.mean((2, 3))[0]]), weights["mlp1.weight"], weights["mlp1.bias"])
        out = functional.linear(functional.gelu(hidden), weights["mlp2.weight"], weights["mlp2.bias"])
        return out + z[0] if name == "target" else out

    def keys(self, name):
        return [key.removeprefix(f"{name}.") for key in self.weights if key.startswith(f"{name}.")]

    def object(self, frame, box, has_context):
        """Omega of every class."""
        self.taps.clear()
        pair = torch.stack([self.pixels.normal(levels) for levels in self.pixels.pair(frame, box)])
        out = self.model.vision_model(pixel_values=pair)
        q, k = torch.stack(self.taps[::2]), torch.stack(self.taps[1::2])
        z = self.model.vision_model.post_layernorm(out.last_hidden_state)
        target, background = z
        tokens = target.shape[0]
        intra, inter = self.attention(q[:, 0], k[:, 0]), self.attention(q[:, 0], k[:, 1])
        projected = self.model.visual_projection(z)
        omega = []
        for text, context in zip(self.text, self.context_text):
            mu = functional.cosine_similarity(projected[0], text[None], dim=-1).clamp(min=0)
            mu_context = functional.cosine_similarity(projected[1], context[None], dim=-1).clamp(min=0) if has_context else torch.ones(tokens)
            joined = self.branch("target", target, tokens * intra * mu) + self.branch("background", background, tokens * inter * mu_context)
            omega.append(functional.cosine_similarity(self.model.visual_projection(joined), text, dim=0))
        return torch.stack(omega).numpy()

    def __call__(self, frame, boxes):
        return numpy.stack([self.object(frame, box, len(boxes) > 1) for box in boxes])


def batch(pixels, frame, boxes):
    """All pairs of a frame."""
    pairs = [pixels.pair(frame, box) for box in boxes]
    targets, backgrounds = (numpy.stack(side) for side in zip(*pairs))
    return targets, backgrounds, numpy.full(len(boxes), float(len(boxes) > 1), numpy.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("graph", type=pathlib.Path)
    parser.add_argument("clip", type=pathlib.Path)
    parser.add_argument("--ways", default="loop,batched,onnxruntime,graph")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    clip = load_arrays(options.clip)
    frames = [Image.fromarray(frame) for frame in clip["frames"]]
    boxes = [clip["boxes"][clip["of"] == number] for number in range(len(frames))]
    texts = clip["text"], clip["context_text"]
    pixels = Pixels(options.folder)
    torch_texts = [torch.from_numpy(text) for text in texts]

    def in_torch():
        module = DualEncoder(options.folder).eval()

        def way(frame, of_frame):
            inputs = [torch.from_numpy(array) for array in batch(pixels, frame, of_frame)]
            return module(*inputs, *torch_texts)[0].numpy()

        return way

    def in_onnxruntime(cut):
        built = session(options.graph, options.threads)

        def way(frame, of_frame):
            inputs = dict(zip(["target", "background", "has_context"], cut(frame, of_frame)))
            return built.run(["omega"], inputs | {"text": texts[0], "context_text": texts[1]})[0]

        return way

    def cut(frame, of_frame):
        return batch(pixels, frame, of_frame)

    def cut_before():
        cuts = {id(frame): cut(frame, of_frame) for frame, of_frame in zip(frames, boxes) if len(of_frame)}
        return lambda frame, _: cuts[id(frame)]

    made = {
        "loop": lambda: Loop(options.folder, pixels, *texts),
        "batched": in_torch,
        "onnxruntime": lambda: in_onnxruntime(cut),
        "graph": lambda: in_onnxruntime(cut_before()),
    }
    ways = {name: made[name]() for name in options.ways.split(",")}
    with torch.inference_mode():
        first = {name: way(frames[0], boxes[0]) for name, way in ways.items()}
        omega = next(iter(first.values()))
        for name, found in first.items():
            numpy.testing.assert_allclose(found, omega, atol=1e-3, err_msg=f"{name} disagrees with the others")
        versions = {"torch": torch.__version__, "transformers": transformers.__version__, "onnxruntime": onnxruntime.__version__}
        print(json.dumps(versions | {"threads": options.threads, "omega": omega.tolist()}), flush=True)
        for line in sys.stdin:
            way = ways[line.strip()]
            start = time.perf_counter()
            for frame, of_frame in zip(frames, boxes):
                if len(of_frame):
                    way(frame, of_frame)
            print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
