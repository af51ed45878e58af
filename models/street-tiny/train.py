"""Makes the model set `street-tiny` from nothing: renders the street world, trains CLIP, detector and combiner, sets the
threshold, measures everything on held-out scenes, writes the set, its hashes and the numbers of the model card.

Run it as `make models`. Every stage is a pure function of the seeds below; what is finished is kept in the work folder, so a
run that was cut off goes on. Delete the work folder to begin anew. The detector, which needs nothing of the rest, is trained beside
CLIP, each on half of the cores: networks this small gain little from a second one.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch

import captions
import card
import clip
import crops
import evaluate

CAMERAS = ("plain", "lowlight", "wide", "lens-rain", "sodium")
SCENES = {
    # name: (frames, first seed, flags)
    "few-unknown": (3500, 0, ["--ood", "0.15", "--unseen", "0"]),
    "some-unknown": (3500, 100_000, ["--ood", "0.4", "--unseen", "0"]),
    "much-unknown": (3500, 200_000, ["--ood", "0.7", "--unseen", "0"]),
    "watched": (250, 1_000_000, ["--ood", "0.5", "--unseen", "0.4"]),
    "shots-plain": (300, 2_000_000, ["--ood", "0", "--no-look-alikes"]),
    **{f"shots-{camera}": (75, 2_001_000 + 100 * i, ["--ood", "0", "--no-look-alikes", "--camera", camera]) for i, camera in enumerate(CAMERAS[1:])},
    "calibration": (300, 3_000_000, ["--ood", "0", "--no-look-alikes"]),
    **{f"test-{camera}": (400, 4_000_000, ["--ood", "0.45", "--unseen", "0.4", "--camera", camera]) for camera in CAMERAS},
}
"""No scene of one set is in another; those of the five test cameras are the same. The detector's are in detector.py."""
TRAINED_ON = ("few-unknown", "some-unknown", "much-unknown")
SHOTS = 50
NAME = "street-tiny"


def main() -> None:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", type=Path, required=True, help="the folder with the programs street-world and uniood")
    parser.add_argument("--work", type=Path, required=True, help="what is finished is kept here; about 12 GB")
    parser.add_argument("--out", type=Path, default=here / "set", help="the model set")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    torch.set_num_threads(max(1, cores() - cores() // 2))
    torch.set_flush_denormal(True)

    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    models = work / "set"
    street_world, uniood = arguments.bin / "street-world", arguments.bin / "uniood"
    stages = Stages(work)
    with Beside(stages, "detector", detector(here, street_world, work, models / "detector.onnx", arguments.seed)) as trained:
        learn(stages, street_world, work, models, arguments.seed)
        stages.run("detector", trained.result)
    manifest(models)
    stages.run("combiner", lambda: tune(uniood, work, [f"shots-{camera}" for camera in CAMERAS], arguments.seed))
    stages.run("calibrate", lambda: calibrate(uniood, work))
    models = work / "calibrated"
    stages.run("measure", lambda: evaluate.table(uniood, models, {camera: work / f"test-{camera}" for camera in CAMERAS}))

    install(models, arguments.out)
    card.write(here, stages.done, arguments.out)
    print(f"street-tiny is in {arguments.out}: {card.size(arguments.out) / 1e6:.2f} MB, {stages.minutes():.0f} min in all")


def learn(stages: "Stages", street_world: Path, work: Path, models: Path, seed: int) -> None:
    """CLIP, and the frames of all that follows."""
    for name, (frames, first, flags) in SCENES.items():
        stages.run(f"render {name}", lambda: render(street_world, work / name, frames, first + seed * 10_000_000_000, flags))  # noqa: B023
    stages.run("cut", lambda: cut(work, seed))
    settings = clip.Settings(seed=seed)
    stages.run("clip", lambda: clip.train(work / "crops", work / "watched-crops", models / "clip", work, settings))


class Stages:
    """Results of finished stages and the seconds they took, in WORK/stages.json: a stage that runs beside others, those for which it was
    waited. A stage that goes on from a checkpoint counts from there."""

    def __init__(self, work: Path) -> None:
        self.file = work / "stages.json"
        self.done: dict = json.loads(self.file.read_text()) if self.file.exists() else {}

    def run(self, name: str, work):
        if name not in self.done:
            print(f"== {name}")
            began, busy = time.monotonic(), processor_seconds()
            result = work()
            took = {"seconds": round(time.monotonic() - began, 1), "processor_seconds": round(processor_seconds() - busy, 1)}
            self.done[name] = {**took, "cores": cores(), "cpu": cpu(), "result": result}
            part = self.file.with_suffix(".part")
            part.write_text(json.dumps(self.done, indent=1) + "\n")
            part.rename(self.file)
            print(f"== {name}: {self.done[name]['seconds']:.0f} s")
        return self.done[name]["result"]

    def minutes(self) -> float:
        return sum(stage["seconds"] for stage in self.done.values()) / 60


class Beside:
    """A stage that is a program, running while others do. Its result is waited for; a `with` that is left without it ends the program."""

    def __init__(self, stages: Stages, name: str, command: list) -> None:
        self.program = None if name in stages.done else subprocess.Popen([str(word) for word in command])
        self.out = Path(command[command.index("--out") + 1]).with_suffix(".json")

    def __enter__(self) -> "Beside":
        return self

    def __exit__(self, *_: object) -> None:
        if self.program:
            self.program.terminate()
            self.program.wait()

    def result(self) -> dict:
        if self.program.wait():
            raise SystemExit(f"the detector's training ended with {self.program.returncode}; what it said stands above")
        return json.loads(self.out.read_text())


def render(street_world: Path, out: Path, frames: int, seed: int, flags: list[str]) -> int:
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([street_world, "render", "--frames", str(frames), "--seed", str(seed), "--out", out, *flags], check=True)
    return frames


def cut(work: Path, seed: int) -> dict:
    learnt = crops.cut([work / name for name in TRAINED_ON], work / "crops", seed)
    return {"learnt": learnt, "watched": crops.cut([work / "watched"], work / "watched-crops", seed)}


def detector(here: Path, street_world: Path, work: Path, out: Path, seed: int) -> list:
    command = [sys.executable, here / "detector.py", "--street-world", street_world, "--work", work / "detector", "--out", out]
    return [*command, "--seed", seed, "--threads", max(1, cores() // 2)]


def manifest(models: Path) -> None:
    """Plain CLIP with the detector: what `uniood tune` begins with."""
    written = {
        "schema": "uniood.models/1",
        "name": NAME,
        "licence": "MIT OR Apache-2.0",
        "clip": "clip",
        "combiner": None,
        "classes": captions.CLASSES[: captions.ID_CLASSES],
        "templates": ["a photo of a {}"],
        "threshold": 0.0,
        "detector": {"file": "detector.onnx", "layout": "yolox", "labels": ["object"]},
    }
    (models / "uniood.json").write_text(json.dumps(written, indent=1) + "\n")


def tune(uniood: Path, work: Path, shots: list[str], seed: int) -> dict:
    merge(work, shots, "shots")
    options = ["--shots", str(SHOTS), "--seed", str(seed)]
    return said(uniood, work, "tuned", "tune", "shots/instances.json", "--images", ".", "--models", "set", "--name", NAME, *options)


def merge(work: Path, folders: list[str], out: str) -> None:
    """One COCO JSON over the pictures of several folders, which stay where they are."""
    merged: dict = {"images": [], "annotations": []}
    for folder in folders:
        coco = json.loads((work / folder / "instances.json").read_text())
        images = {image["id"]: len(merged["images"]) + i for i, image in enumerate(coco["images"])}
        merged["categories"] = coco["categories"]
        merged["images"] += [image | {"id": images[image["id"]], "file_name": f"{folder}/images/{image['file_name']}"} for image in coco["images"]]
        first = len(merged["annotations"])
        merged["annotations"] += [a | {"id": first + i, "image_id": images[a["image_id"]]} for i, a in enumerate(coco["annotations"])]
    (work / out).mkdir(exist_ok=True)
    (work / out / "instances.json").write_text(json.dumps(merged))


def calibrate(uniood: Path, work: Path) -> dict:
    """The manifest gets the threshold, too: it is what counts with classes of the user's own."""
    calibration = said(uniood, work, "calibrated", "calibrate", "calibration/instances.json", "--models", "tuned")
    file = work / "calibrated" / "uniood.json"
    written = json.loads(file.read_text()) | {"threshold": calibration["threshold"]}
    file.write_text(json.dumps(written, indent=1) + "\n")
    return {name: calibration[name] for name in ("threshold", "keep", "objects")}


def said(uniood: Path, work: Path, out: str, *command: str) -> dict:
    """What a command says in JSON that writes the set WORK/OUT. It runs in WORK, so that the set names no folder of this machine."""
    shutil.rmtree(work / out, ignore_errors=True)
    ran = subprocess.run([uniood.resolve(), *command, "--out", out, "--json"], cwd=work, stdout=subprocess.PIPE, text=True)
    if ran.returncode:
        raise SystemExit(f"uniood {command[0]} ended with {ran.returncode}; what it said stands above")
    return json.loads(ran.stdout)


def install(models: Path, out: Path) -> None:
    """The files of the set and no others, with their hashes beside it."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(models, out, ignore=shutil.ignore_patterns("*.part"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(out)}" for path in sorted(out.rglob("*")) if path.is_file()]
    (out.parent / "SHA256SUMS").write_text("\n".join(lines) + "\n")


def processor_seconds() -> float:
    """Of this process and of those that it started and waited for: what a machine with other work to do does not change."""
    return sum(os.times()[:4])


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


def cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
