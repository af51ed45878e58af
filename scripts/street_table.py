"""The street world's table from what `uniood eval --json` said: means over draws of shots, with their standard errors.

    python3 scripts/street_table.py RESULTS --cameras … --shots … --seeds … [--write]

Prints the tables; with --write, puts them between their marks into models/street-tiny/README.md and README.md. `scripts/street-table` runs it.
Needs nothing but Python.
"""

import argparse
import json
import math
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- table: written by scripts/street-table -->", "<!-- end of the table -->"

# UNI-OOD's own, BDD-100k against OpenImages (AUROC): what the order of our ablations is compared with.
PAPER = {
    "full": 98.52,
    "context=comma": 93.21,
    "context=average": 95.05,
    "context=mlp": 97.20,
    "no-inter-image": 96.02,
    "no-background-alignment": 96.67,
    "no-intra-image": 95.72,
    "no-target-alignment": 96.35,
    "no-cnn": 97.14,
}
ABLATED = 3
"""Draws of the ablations (scripts/street-table)."""

SHIPPED = "uniood, as it ships"
TUNED = "uniood, tuned"
SHORT = ("max-cosine", "gl-mcm", "knn", "runa-like", "shift", SHIPPED, TUNED)


def rows(path: Path) -> dict:
    """AUROC and FPR95 of each method, in per cent; the counts behind them stand under None."""
    document = json.loads(path.read_text())
    found = {row["method"]: (100 * row["auroc"], 100 * row["fpr95"]) for row in document["metrics"]}
    first = document["metrics"][0]
    return found | {None: (first["n_id"], first["n_ood"], first["missed"])}


def gathered(files: list) -> dict:
    """Of each method, its numbers in every draw."""
    draws = [rows(path) for path in files]
    return {method: [draw[method] for draw in draws] for method in draws[0]}


def mean(values: list) -> tuple:
    """The mean and its standard error."""
    middle = sum(values) / len(values)
    if len(values) < 2:
        return middle, 0.0
    return middle, math.sqrt(sum((value - middle) ** 2 for value in values) / (len(values) - 1) / len(values))


def cell(draws: list) -> str:
    shown = []
    for values in zip(*draws):
        middle, error = mean(values)
        shown.append(f"{middle:.1f}" + (f" ± {error:.1f}" if error >= 0.05 else ""))
    return " / ".join(shown)


def table(columns: dict, methods: list) -> str:
    """Methods down, cameras across; `columns` has each camera's draws by method."""
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for method in methods:
        lines.append(f"| {method} | " + " | ".join(cell(column[method]) for column in columns.values()) + " |")
    return "\n".join(lines)


def ordered(columns: dict) -> str:
    """The ablations from the best to the worst, over all cameras, beside the paper's order."""
    overall = {name: mean([auroc for column in columns.values() for auroc, _ in column[name]])[0] for name in PAPER}
    order = sorted(PAPER, key=overall.get, reverse=True)
    ours = ", ".join(f"{name} {overall[name]:.2f}" for name in order)
    paper = ", ".join(sorted(PAPER, key=PAPER.get, reverse=True))
    same = "the same order" if order == sorted(PAPER, key=PAPER.get, reverse=True) else "another order"
    return f"By mean AUROC over the cameras: {ours}. The paper's (BDD-100k against OpenImages), {same}: {paper}."


def counted(column: dict) -> str:
    known, unknown, missed = column[None][0]
    return f"{known} ID, {unknown} OOD" + ("" if missed is None else f", {missed} missed")


class Results:
    def __init__(self, folder: Path, cameras: list, shots: list, seeds: list):
        self.folder, self.cameras, self.shots, self.seeds = folder, cameras, shots, seeds

    def methods(self, boxes: str, count: int) -> dict:
        columns = {}
        for camera in self.cameras:
            draws = gathered([self.folder / f"{camera}.{boxes}.{count}.{seed}.json" for seed in self.seeds])
            draws[TUNED] = draws.pop("uniood")
            draws[SHIPPED] = gathered([self.folder / f"{camera}.{boxes}.shipped.json"])["uniood"]
            columns[camera] = draws
        return columns

    def ablations(self) -> dict:
        count, seeds = self.shots[0], self.seeds[:ABLATED]
        columns = {}
        for camera in self.cameras:
            columns[camera] = gathered([self.folder / f"{camera}.ablations.{count}.{seed}.json" for seed in seeds])
            columns[camera]["full"] = gathered([self.folder / f"{camera}.truth.{count}.{seed}.json" for seed in seeds])["uniood"]
        return columns

    def whole(self) -> str:
        parts = [
            "### The street world's table\n",
            "AUROC / FPR95 in %, ID positive, on held-out scenes of each camera; everything that is on no list is OOD, named and never seen alike. Shots are "
            f"of the same camera, from pictures with known things alone. Mean ± standard error over {len(self.seeds)} draws of the shots; without ± it does not "
            "depend on them. `make street-table` writes all of this.\n",
        ]
        for boxes, named in (("truth", "True boxes"), ("detector", "The detector's boxes")):
            for count in self.shots:
                columns = self.methods(boxes, count)
                methods = [method for method in next(iter(columns.values())) if method not in (None, SHIPPED, TUNED)] + [SHIPPED, TUNED]
                counts = "; ".join(f"{camera} {counted(column)}" for camera, column in columns.items())
                parts += [f"**{named}, {count} shots a class** ({counts})\n", table(columns, methods) + "\n"]
        columns = self.ablations()
        parts += [
            f"**Ablations**, true boxes, {self.shots[0]} shots a class, {len(self.seeds[:ABLATED])} draws, each trained on the same shots as `full` "
            "(`max-cosine`: plain CLIP)\n",
            table(columns, ["max-cosine", *PAPER]) + "\n",
            ordered(columns) + "\n",
        ]
        return "\n".join(parts)

    def short(self) -> str:
        count = self.shots[0]
        columns = self.methods("detector", count)
        return (
            f"On rendered streets, the detector's boxes, {count} objects a class of the same camera (AUROC / FPR95 in %, mean ± standard error over "
            f"{len(self.seeds)} draws; the whole table, with all methods and ablations, stands on [street-tiny's card](models/street-tiny/README.md)):\n\n"
            + table(columns, list(SHORT))
            + "\n"
        )


def put(path: Path, text: str) -> None:
    """Writes what stands between the marks."""
    page = path.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        sys.exit(f"{path}: its marks `{BEGIN}` and `{END}` must stand there once each")
    before, after = page[: page.index(BEGIN)], page[page.index(END) :]
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{after}")
    print(f"wrote the table into {path}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--cameras", nargs="+", required=True)
    parser.add_argument("--shots", nargs="+", type=int, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, required=True)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    results = Results(chosen.results, chosen.cameras, chosen.shots, chosen.seeds)
    whole, short = results.whole(), results.short()
    if chosen.write:
        put(ROOT / "models/street-tiny/README.md", whole)
        put(ROOT / "README.md", short)
    else:
        print(whole, short, sep="\n")


main()
