"""Arithmetic: sums and differences of numbers up to three digits, and small products."""

from __future__ import annotations

import random

from training.data import scoring
from training.data.facts import Facts
from training.data.sample import Sample, Task, assistant, pick, user

ASK_EN = ("What is {}?", "{} = ?", "Calculate {}.", "How much is {}?", "Please compute {}.", "{}", "Tell me {}.")
ASK_ZH = ("{}等于多少？", "{}=？", "请计算{}。", "{}是多少？", "帮我算一下{}。", "{}", "算一算：{}")


def _answer(rng: random.Random, facts: Facts, task: str, language: str, problem: str, result: int) -> Sample:
    text = f"{problem} = {result}"
    question = rng.choice(pick(language, ASK_EN, ASK_ZH)).format(problem)
    return Sample(task, language, "general", [user(question), assistant(text)], {"values": [result]})


def _operands(rng: random.Random) -> tuple[int, int]:
    """Two numbers, the larger first: mostly of two digits, sometimes of three."""
    top = rng.choice((20, 99, 99, 999))
    a, b = rng.randint(1, top), rng.randint(1, top)
    return max(a, b), min(a, b)


def addition_subtraction(rng: random.Random, facts: Facts, language: str) -> Sample:
    a, b = facts.draw("pair", lambda: _operands(rng))
    if rng.random() < 0.5:
        return _answer(rng, facts, "addition_subtraction", language, f"{a} - {b}", a - b)
    if rng.random() < 0.5:
        a, b = b, a
    return _answer(rng, facts, "addition_subtraction", language, f"{a} + {b}", a + b)


TASKS = [
    Task("addition_subtraction", "general", addition_subtraction, scoring.contains, 1.5, max_chars=80),
]
