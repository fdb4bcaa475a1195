"""Prints samples as JSON lines: python -m training.data --split train --count 5 --seed 1 [--task NAME]"""

from __future__ import annotations

import argparse
import dataclasses
import json
from itertools import islice

from training.data import TASKS, generate
from training.data.facts import SPLITS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.data", description="Prints samples as JSON lines.")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--task", choices=sorted(TASKS), help="only this task (default: the mix of all)")
    arguments = parser.parse_args()
    for sample in islice(generate(arguments.split, arguments.seed, arguments.task), arguments.count):
        print(json.dumps(dataclasses.asdict(sample), ensure_ascii=False))


if __name__ == "__main__":
    main()
