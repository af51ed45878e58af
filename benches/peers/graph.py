"""The built image graph beside the same computation as a PyTorch module, run by PyTorch and exported to ONNX, and itself in fp16.

    python benches/peers/graph.py CLIP_FOLDER GRAPH.onnx [--int8 INT8.onnx] [--repeats N] [--threads N] [--cpu-time] [--json]

CLIP_FOLDER holds config.json, preprocessor_config.json, model.safetensors and combiner.safetensors (residual form
with convolutions). All run in this process, in turn; a ratio is the peer's time over the graph's, repeat by repeat (of fp16:
the graph's over its own, so that above 1 it is the faster one). The module is written for speed as one would in PyTorch: both images in one batch, attention weights read where
they are computed, conv1 mixed once for all classes. At the end onnxruntime profiles the graph, and that in int8 where it is given: how long
each of their operators takes.
"""

import argparse
import collections
import json
import pathlib
import statistics
import tempfile
import time
import warnings

import numpy
import onnx
import onnxruntime
import torch
from safetensors.torch import load_file
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from torch import nn
from torch.nn import functional

OBJECTS, CLASSES = 4, 10


def linear(tensors, name, bias=True):
    """The layer `name` of a safetensors file."""
    weight = tensors[f"{name}.weight"]
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias)
    layer.weight.data = weight
    if bias:
        layer.bias.data = tensors[f"{name}.bias"]
    return layer


def norm(tensors, name):
    """The layer norm `name` of a safetensors file."""
    layer = nn.LayerNorm(tensors[f"{name}.weight"].shape, eps=1e-5)
    layer.weight.data, layer.bias.data = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    return layer


class Layer(nn.Module):
    """One transformer layer that also gives the target CLS's attention to both images."""

    def __init__(self, tensors, name, heads):
        super().__init__()
        projections = [linear(tensors, f"{name}.self_attn.{which}_proj") for which in "qkv"]
        width = projections[0].in_features
        self.qkv = nn.Linear(width, 3 * width)
        self.qkv.weight.data = torch.cat([projection.weight.data for projection in projections])
        self.qkv.bias.data = torch.cat([projection.bias.data for projection in projections])
        self.out = linear(tensors, f"{name}.self_attn.out_proj")
        self.norm1, self.norm2 = norm(tensors, f"{name}.layer_norm1"), norm(tensors, f"{name}.layer_norm2")
        self.fc1, self.fc2 = linear(tensors, f"{name}.mlp.fc1"), linear(tensors, f"{name}.mlp.fc2")
        self.heads, self.head_width = heads, width // heads

    def forward(self, x, objects):
        images, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(images, tokens, 3, self.heads, self.head_width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q = q * self.head_width**-0.5
        share = torch.softmax(q @ k.transpose(-1, -2), dim=-1)
        intra = share[:objects, :, 0].mean(1)
        inter = torch.softmax(q[:objects, :, :1] @ k[objects:].transpose(-1, -2), dim=-1)[:, :, 0].mean(1)
        x = x + self.out((share @ v).transpose(1, 2).reshape(images, tokens, width))
        hidden = self.fc1(self.norm2(x))
        return x + self.fc2(hidden * torch.sigmoid(1.702 * hidden)), intra, inter


class Branch(nn.Module):
    """One combiner branch for all classes."""

    def __init__(self, tensors, name, grid):
        super().__init__()
        kernel = tensors[f"{name}.conv1.weight"]
        self.grid, self.channels = grid, kernel.shape[0]
        self.mix = nn.Parameter(kernel.permute(2, 3, 0, 1).reshape(9 * self.channels, -1))
        self.bias1 = nn.Parameter(tensors[f"{name}.conv1.bias"].view(1, 1, -1, 1, 1))
        self.convolutions = nn.ModuleList(nn.Conv2d(self.channels, self.channels, 3, 2, 1) for _ in range(2))
        for index, convolution in enumerate(self.convolutions, 2):
            convolution.weight.data = tensors[f"{name}.conv{index}.weight"]
            convolution.bias.data = tensors[f"{name}.conv{index}.bias"]
        self.mlp1, self.mlp2 = linear(tensors, f"{name}.mlp1"), linear(tensors, f"{name}.mlp2")

    def forward(self, z, weight):
        objects, classes, grid = weight.shape[0], weight.shape[1], self.grid
        mixed = functional.linear(z[:, 1:], self.mix).view(objects, grid, grid, 3, 3, self.channels).permute(0, 3, 4, 5, 1, 2)
        mixed = functional.pad(mixed, (1, 1, 1, 1))
        shares = functional.pad(weight[:, :, 1:].reshape(objects, classes, 1, grid, grid), (1, 1, 1, 1))
        total = self.bias1
        for row in range(3):
            for column in range(3):
                here = (slice(row, row + grid), slice(column, column + grid))
                total = total + shares[:, :, :, here[0], here[1]] * mixed[:, row, column, None, :, here[0], here[1]]
        maps = torch.relu(total).reshape(objects * classes, self.channels, grid, grid)
        for convolution in self.convolutions:
            maps = torch.relu(convolution(maps))
        pooled = maps.mean((2, 3)).view(objects, classes, self.channels)
        return self.mlp2(functional.gelu(self.mlp1(torch.cat([weight[:, :, :1] * z[:, :1], pooled], -1))))


class DualEncoder(nn.Module):
    """Both images of every object to omega and plain CLIP's cosines."""

    def __init__(self, folder):
        super().__init__()
        config = json.loads((folder / "config.json").read_text())["vision_config"]
        pixels = json.loads((folder / "preprocessor_config.json").read_text())
        tensors = load_file(folder / "model.safetensors")
        heads = load_file(folder / "combiner.safetensors")
        self.patch, grid = config["patch_size"], config["image_size"] // config["patch_size"]
        mean, std = (torch.tensor(pixels[key]).view(1, 3, 1, 1) for key in ("image_mean", "image_std"))
        kernel = tensors["vision_model.embeddings.patch_embedding.weight"]
        self.kernel = nn.Parameter(kernel / (255 * std))
        self.kernel_bias = nn.Parameter(-(kernel * mean / std).sum((1, 2, 3)))
        self.cls = nn.Parameter(tensors["vision_model.embeddings.class_embedding"])
        self.positions = nn.Parameter(tensors["vision_model.embeddings.position_embedding.weight"])
        self.before, self.behind = norm(tensors, "vision_model.pre_layrnorm"), norm(tensors, "vision_model.post_layernorm")
        names = [f"vision_model.encoder.layers.{index}" for index in range(config["num_hidden_layers"])]
        self.layers = nn.ModuleList(Layer(tensors, name, config["num_attention_heads"]) for name in names)
        self.projection = linear(tensors, "visual_projection", bias=False)
        self.target, self.background = Branch(heads, "target", grid), Branch(heads, "background", grid)

    def forward(self, target, background, has_context, text, context_text):
        objects = target.shape[0]
        x = torch.cat([target, background]).permute(0, 3, 1, 2).float()
        x = functional.conv2d(x, self.kernel, self.kernel_bias, self.patch).flatten(2).transpose(1, 2)
        x = self.before(torch.cat([self.cls.expand(x.shape[0], 1, -1), x], 1) + self.positions)
        intra = inter = 0
        for layer in self.layers:
            x, of_target, of_background = layer(x, objects)
            intra, inter = intra + of_target, inter + of_background
        z = self.behind(x)
        scale = z.shape[1] / len(self.layers)
        unit = functional.normalize(self.projection(z), dim=-1)
        text, context_text = functional.normalize(text, dim=-1), functional.normalize(context_text, dim=-1)
        cosine = unit[:objects] @ text.t()
        mu = torch.relu(cosine).transpose(1, 2)
        mu_context = torch.relu(unit[objects:] @ context_text.t()).transpose(1, 2)
        flag = has_context.view(-1, 1, 1)
        mu_context = mu_context * flag + (1 - flag)
        joined = self.target(z[:objects], scale * intra[:, None] * mu) + z[:objects, :1]
        joined = joined + self.background(z[objects:], scale * inter[:, None] * mu_context)
        omega = (functional.normalize(self.projection(joined), dim=-1) * text).sum(-1)
        return omega, cosine[:, 0]


def export(module, inputs, path):
    """The module as ONNX, objects and classes dynamic."""
    names = ["target", "background", "has_context", "text", "context_text"]
    axes = dict.fromkeys(names[:3], {0: "objects"}) | dict.fromkeys(names[3:], {0: "classes"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, inputs, path, input_names=names, output_names=["omega", "clip_cosine"], dynamic_axes=axes, opset_version=18, dynamo=False
        )


def halved(graph, path):
    """The graph with its weights and products in 16-bit floats."""
    # Max is kept in 32 bits by default, but not the constant that it floors a length with, and then has two types.
    kept = [operator for operator in DEFAULT_OP_BLOCK_LIST if operator != "Max"]
    onnx.save(convert_float_to_float16(onnx.load(graph), keep_io_types=True, disable_shape_infer=True, op_block_list=kept), path)
    return path


def session(path, threads, profile=None):
    """An onnxruntime session on the processor, its profile written to a file that begins so."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def profile(path, threads, feed, folder, repeats):
    """Milliseconds of a run by operator, the longest first, without the first run."""
    profiled = session(path, threads, folder / "profile")
    for _ in range(repeats + 1):
        profiled.run(["omega"], feed)
    events = json.loads(pathlib.Path(profiled.end_profiling()).read_text())
    starts = sorted(event["ts"] for event in events if event["name"] == "model_run")
    spent = collections.Counter()
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time") and event["ts"] >= starts[1]:
            spent[event["args"]["op_name"]] += event["dur"] / 1e3 / repeats
    return spent.most_common()


def interleaved(works, repeats, clock):
    """Seconds of each work, once in turn, after one round that does not count; between them, threads that spin come to rest."""
    times = {name: [] for name in works}
    for repeat in range(repeats + 1):
        for name, work in works.items():
            time.sleep(0.2)
            start = clock()
            work()
            if repeat:
                times[name].append(clock() - start)
    return times


def spread(values):
    """Median, least and most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("graph", type=pathlib.Path)
    parser.add_argument("--int8", type=pathlib.Path)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true", help="the processor's time in place of the wall's, on a busy machine; with --threads 1")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    module = DualEncoder(options.folder).eval()
    side = json.loads((options.folder / "config.json").read_text())["vision_config"]["image_size"]
    images = [torch.randint(0, 256, (OBJECTS, side, side, 3), dtype=torch.uint8) for _ in range(2)]
    width = module.projection.out_features
    texts = [functional.normalize(torch.randn(CLASSES, width), dim=-1) for _ in range(2)]
    inputs = (*images, torch.ones(OBJECTS), *texts)
    feed = dict(zip(["target", "background", "has_context", "text", "context_text"], (tensor.numpy() for tensor in inputs)))

    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        exported = pathlib.Path(folder) / "exported.onnx"
        with torch.inference_mode(False), torch.no_grad():
            export(module, inputs, exported)
        graph, peer = session(options.graph, options.threads), session(exported, options.threads)
        half = session(halved(options.graph, pathlib.Path(folder) / "half.onnx"), options.threads)
        results = {
            "graph": graph.run(["omega", "clip_cosine"], feed),
            "exported": peer.run(["omega", "clip_cosine"], feed),
            "torch": [output.numpy() for output in module(*inputs)],
            "fp16": half.run(["omega", "clip_cosine"], feed),
        }
        for name, tolerance in (("exported", 1e-4), ("torch", 1e-4), ("fp16", 5e-3)):
            for found, wanted in zip(results["graph"], results[name]):
                numpy.testing.assert_allclose(found, wanted, atol=tolerance, err_msg=f"graph and {name} disagree")
        works = {
            "graph": lambda: graph.run(["omega", "clip_cosine"], feed),
            "exported": lambda: peer.run(["omega", "clip_cosine"], feed),
            "torch": lambda: module(*inputs),
            "fp16": lambda: half.run(["omega", "clip_cosine"], feed),
        }
        times = interleaved(works, options.repeats, time.process_time if options.cpu_time else time.perf_counter)
        profiled = {"fp32": options.graph} | ({"int8": options.int8} if options.int8 else {})
        profiles = {
            name: profile(path, options.threads, feed, pathlib.Path(folder), options.repeats) for name, path in profiled.items()
        }

    report = {
        "threads": options.threads,
        "clock": "processor" if options.cpu_time else "wall",
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
        "ms": {name: spread([1e3 * seconds for seconds in of]) for name, of in times.items()},
        "ratio": {name: spread([b / a for a, b in zip(times["graph"], times[name])]) for name in ("exported", "torch")}
        | {"fp16": spread([a / b for a, b in zip(times["graph"], times["fp16"])])},
        "profile": profiles,
    }
    if options.json:
        print(json.dumps(report))
        return
    print(f"  onnxruntime {report['onnxruntime']}, torch {report['torch']}, {options.threads} threads, {report['clock']} time")
    for name, of in report["ms"].items():
        print(f"  {name:8} {of['median']:8.1f} ({of['min']:.1f}–{of['max']:.1f}) ms a batch")
    for name, of in report["ratio"].items():
        print(f"  graph ÷ {name:8} {of['median']:.2f} ({of['min']:.2f}–{of['max']:.2f})")
    for name, of in report["profile"].items():
        print(f"  {name}: " + ", ".join(f"{operator} {ms:.1f} ms" for operator, ms in of[:10]))


if __name__ == "__main__":
    main()
