"""Writes the measured part of the model card: between two marks in README.md, and numbers.json."""

import json
from pathlib import Path

import detector_eval

BEGIN, END = "<!-- measured: written by card.py -->", "<!-- end of what is measured -->"


def write(here: Path, stages: dict, models: Path) -> None:
    (here / "numbers.json").write_text(json.dumps(stages, indent=1) + "\n")
    page = here / "README.md"
    text = page.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(before + BEGIN + "\n" + "\n".join(_lines(stages, models)) + "\n" + END + after)


def size(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _lines(stages: dict, models: Path) -> list[str]:
    result = {name: stage["result"] for name, stage in stages.items()}
    clip, combiner, calibration = result["clip"], result["combiner"], result["calibrate"]
    lines = ["", "### The run", "", f"{size(models) / 1e6:.2f} MB in all. Trained on {stages['clip']['cores']} cores of {stages['clip']['cpu']}:", ""]
    lines += ["| stage | min | min of processor time |", "|---|---|---|"]
    minutes: dict[str, list[float]] = {}
    for name, stage in stages.items():
        row = minutes.setdefault("render" if name.startswith("render") else name, [0.0, 0.0])
        row[0] += stage["seconds"] / 60
        row[1] += stage["processor_seconds"] / 60
    minutes["all"] = [sum(column) for column in zip(*minutes.values(), strict=True)]
    lines += [f"| {name} | {wall:.1f} | {busy:.1f} |" for name, (wall, busy) in minutes.items()] + [""]

    lines += ["### CLIP", ""]
    lines += [
        f"{clip['parameters'] / 1e6:.2f} M parameters; {clip['steps']} steps of {clip['batch']} from {clip['pictures']} pictures. On held-out"
        f" objects of the plain camera, true boxes a little moved: {100 * clip['top1_24']:.1f} % of the 24 named classes right,"
        f" {100 * clip['id_accuracy']:.1f} % of the ten.",
        "",
    ]

    lines += ["### Combiner and threshold", ""]
    plain, *trained = combiner["candidates"]
    strengths = list(dict.fromkeys(one["strength"] for one in trained))
    taken = combiner["taken"]
    what = "plain CLIP" if taken["steps"] is None else f"{taken['steps']} steps at strength {taken['strength']:g}"
    lines += [
        f"{combiner['shots']} shots a class, seed {combiner['seed']}. AUROC on held-out shots (`uniood tune` says of what), of plain CLIP {100 * plain['auroc']:.2f}:",
        "",
        "| steps | " + " | ".join(f"strength {strength:g}" for strength in strengths) + " |",
        "|---" * (1 + len(strengths)) + "|",
    ]
    for at in range(0, len(trained), len(strengths)):
        row = trained[at : at + len(strengths)]
        lines += [f"| {row[0]['steps']} | " + " | ".join(f"{100 * one['auroc']:.2f}" for one in row) + " |"]
    lines += [
        "",
        f"Taken: {what}."
        f" Threshold {calibration['threshold']:.4f}: keeps {100 * calibration['keep']:.0f} % of {calibration['objects']} detected ID objects"
        " of scenes kept apart, plain camera.",
        "",
    ]

    lines += ["### Detector, held-out mixed frames", ""]
    lines += [*detector_eval.table(result["detector"]["held_out"]), ""]

    lines += ["### Scores, held-out mixed frames", ""]
    lines += ["AUROC / FPR95 in %, ID positive. Named: OOD classes that captions named. Never seen: classes in no caption and no training picture.", ""]
    lines += ["| camera | boxes | method | ID, named, never seen objects | named | never seen | ID accuracy |", "|---|---|---|---|---|---|---|"]
    for row in result["measure"]:
        pair = lambda kind: f"{100 * row[f'auroc {kind}']:.2f} / {100 * row[f'fpr95 {kind}']:.1f}"  # noqa: B023, E731
        counts = f"{row['id']}, {row['named-ood']}, {row['unseen-ood']}"
        lines.append(
            f"| {row['camera']} | {row['boxes']} | {row['method']} | {counts} | {pair('named-ood')} | {pair('unseen-ood')}"
            f" | {100 * row['id_accuracy']:.1f} |"
        )
    return lines + [""]
