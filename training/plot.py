"""Draws a run's loss curve: python -m training.plot --run build/train/small --output loss.png"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (the backend comes first)


def draw(log: Path, output: Path) -> None:
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure, (losses, shares) = pyplot.subplots(2, 1, sharex=True, figsize=(9, 7), constrained_layout=True)

    def line(axes: pyplot.Axes, column: str, label: str, marker: str = "") -> None:
        points = [(int(row["tokens"]) / 1e6, float(row[column])) for row in rows if row[column]]
        axes.plot(*zip(*points), label=label, marker=marker, linewidth=1)

    line(losses, "loss", "training loss")
    line(losses, "validation_loss", "validation loss (answers)", marker="o")
    line(shares, "validation_exact", "answers given exactly (validation)", marker="o")
    line(shares, "balance", "experts' mean ÷ max tokens (training)")
    line(shares, "rate", "learning rate ÷ its peak")
    losses.set_yscale("log")
    losses.set_ylabel("cross entropy, nats per token")
    shares.set_ylim(0, 1.02)
    shares.set_xlabel("training tokens, millions")
    for axes in (losses, shares):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(output, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.plot", description="Draws a run's loss curve.")
    parser.add_argument("--run", type=Path, required=True, help="directory that training.train wrote")
    parser.add_argument("--output", type=Path, required=True, help="PNG file")
    arguments = parser.parse_args()
    draw(arguments.run / "log.csv", arguments.output)


if __name__ == "__main__":
    main()
