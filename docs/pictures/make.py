"""The pictures of the README and of docs/, made from mcalc's own output.

    make tables && .venv/bin/python docs/pictures/make.py

`intervals.png` is copied from the report; the others are drawn anew. Each stays below 300 kB.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mcalc.config import DataConfig, PhantomConfig
from mcalc.data.images import read_image
from mcalc.data.sources import open_source

HERE = Path(__file__).resolve().parent
LARGEST = 300_000
"""Bytes of a picture."""
INK, TRAIN, STOP, REPORT = "#1b2430", "#cfe3f1", "#f6e3b4", "#f3c6b0"


def main(report: Path) -> None:
    """Write all pictures; `report` is the folder of `make tables`."""
    (HERE / "intervals.png").write_bytes((report / "intervals.png").read_bytes())
    protocols().savefig(HERE / "protocols.png", dpi=110)
    phantoms().savefig(HERE / "phantoms.png", dpi=110)
    for file in HERE.glob("*.png"):
        if file.stat().st_size > LARGEST:
            sys.exit(f"{file} has {file.stat().st_size} bytes: expected at most {LARGEST}")


def protocols() -> Figure:
    """Who trains, who stops, who is reported: six patients with their lesions, by protocol."""
    lesions = (2, 3, 1, 2, 2, 2)
    splits = {
        "paper": ["tr", "trt", "t", "rt", "tt", "rt"],
        "patient": ["tt", "ttt", "t", "rr", "tt", "rr"],
        "patient,\nvalidation": ["tt", "ttt", "s", "rr", "tt", "rr"],
        "official": ["tt", "ttt", "s", "tt", "RR", "RR"],
    }
    figure = Figure(figsize=(8.2, 3.2), layout="constrained")
    axes = figure.add_subplot()
    colours = {"t": TRAIN, "s": STOP, "r": REPORT, "R": REPORT}
    for row, (name, parts) in enumerate(splits.items()):
        axes.text(-0.4, row, name, ha="right", va="center", color=INK, fontsize=10)
        place = 0.0
        for patient, letters in enumerate(parts):
            for letter in letters:
                axes.add_patch(
                    Rectangle(
                        (place, row - 0.3), 0.9, 0.6, facecolor=colours[letter], edgecolor=INK
                    )
                )
                word = {"t": "T", "s": "S", "r": "R", "R": "R"}[letter]
                axes.text(place + 0.45, row, word, ha="center", va="center", color=INK, fontsize=10)
                place += 1
            shared = {"t", "r"} <= set(letters)
            if shared:
                start = place - lesions[patient]
                axes.plot([start, place - 0.1], [row + 0.4] * 2, color="#b3261e", linewidth=2)
            place += 0.6
    place = 0.0
    for patient, count in enumerate(lesions, start=1):
        axes.text(
            place + count / 2, -0.62, f"patient {patient}", ha="center", fontsize=9, color=INK
        )
        place += count + 0.6
    axes.text(
        0, len(splits) - 0.25,
        "T trains   S stops training   R is reported (under paper it stops training, too)   "
        "red: one patient in both",
        fontsize=9, color=INK, va="top",
    )  # fmt: skip
    axes.set_xlim(-2.2, place)
    axes.set_ylim(len(splits) + 0.1, -0.9)
    axes.axis("off")
    return figure


def phantoms() -> Figure:
    """Four benign and four malignant crops of the phantom of `make tables`, and a mammogram."""
    settings = DataConfig(phantom=PhantomConfig(difficulty=0.1))
    found = [each for each in open_source(settings).lesions if each.crop and each.full]
    figure = Figure(figsize=(8.2, 3.6), layout="constrained")
    grid = figure.add_gridspec(2, 6)
    film = figure.add_subplot(grid[:, :2])
    film.imshow(read_image(found[0].full), cmap="gray")
    film.set_title("a mammogram", fontsize=10)
    film.axis("off")
    for row, (label, word) in enumerate(((0, "benign"), (1, "malignant"))):
        for place, lesion in enumerate([each for each in found if each.label == label][:4]):
            axes = figure.add_subplot(grid[row, 2 + place])
            pixels = read_image(lesion.crop).astype(np.float32)
            axes.imshow(cv2.resize(pixels, (160, 160), interpolation=cv2.INTER_AREA), cmap="gray")
            axes.set_title(word, fontsize=9)
            axes.axis("off")
    return figure


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "report"))
