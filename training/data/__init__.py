"""Synthetic data: `generate` mixes the samples of all tasks, about half of them English and half Chinese."""

from __future__ import annotations

import random
from collections.abc import Iterator

from training.data.facts import Facts
from training.data.sample import LANGUAGES, Sample
from training.data.tasks import TASKS


def generate(split: str, seed: int, task: str | None = None) -> Iterator[Sample]:
    """Samples of a split without end: of one task, or of all by their weights. The same for the same arguments."""
    rng = random.Random(f"{split}/{seed}/{task}")
    chosen = [TASKS[task]] if task else list(TASKS.values())
    weights = [one.weight for one in chosen]
    while True:
        kind = rng.choices(chosen, weights)[0]
        facts = Facts(split, rng)
        sample = kind.generate(rng, facts, rng.choice(LANGUAGES))
        sample.facts = facts.drawn
        yield sample
