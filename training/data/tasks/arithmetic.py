"""Arithmetic: sums and differences of numbers up to three digits, small products, and sums told as a little story."""

from __future__ import annotations

import random

from training.data import names, scoring
from training.data.facts import Facts
from training.data.sample import Sample, Task, assistant, pick, user

ASK_EN = (
    "What is {}?",
    "{} = ?",
    "Calculate {}.",
    "How much is {}?",
    "Please compute {}.",
    "{}",
    "Tell me what {} is.",
)
ASK_ZH = ("{}等于多少？", "{} = ？", "请计算{}。", "{}是多少？", "帮我算一下{}。", "{}", "算一算：{}")

STORY_PLUS = (
    ("{who} has {a} {thing} and buys {b} more. How many does {who} have now?",
     "{who}有{a}{thing}，又买了{b}{unit}。现在一共有多少{unit}？"),
    ("There are {a} {thing} in one box and {b} in another. How many are there in all?",
     "一个箱子里有{a}{thing}，另一个箱子里有{b}{unit}。一共有多少{unit}？"),
    ("A shop sold {a} {thing} on Monday and {b} on Tuesday. How many in all?",
     "商店星期一卖出{a}{thing}，星期二卖出{b}{unit}。一共卖出多少{unit}？"),
)  # fmt: skip
STORY_MINUS = (
    ("{who} has {a} {thing} and gives {b} away. How many are left?",
     "{who}有{a}{thing}，送给别人{b}{unit}。还剩多少{unit}？"),
    ("A shop had {a} {thing} and sold {b}. How many are left?", "商店有{a}{thing}，卖出了{b}{unit}。还剩多少{unit}？"),
    ("There were {a} {thing} and {b} of them broke. How many are left?",
     "原来有{a}{thing}，坏了{b}{unit}。还剩多少{unit}？"),
)  # fmt: skip
STORY_THINGS = [
    ("apples", "个", "苹果"), ("books", "本", "书"), ("cups", "个", "杯子"), ("pens", "支", "笔"),
    ("eggs", "个", "鸡蛋"), ("balls", "个", "球"), ("chairs", "把", "椅子"), ("toys", "个", "玩具"),
    ("lamps", "盏", "灯"), ("plates", "个", "盘子"),
]  # fmt: skip

THINKING_SHARE = 0.25  # of the samples of sums and products


def _sum_steps(a: int, b: int, sign: int) -> str:
    """The sum or difference a ± b, worked out one decimal place after the other."""
    total, steps = a, [str(a)]
    for unit in (100, 10, 1):
        part = b // unit % 10 * unit
        if part:
            steps.append(f"{total} {'+' if sign > 0 else '-'} {part} = {total + sign * part}")
            total += sign * part
    return "; ".join(steps[1:])


def _product_steps(a: int, b: int) -> str:
    tens, ones = a // 10 * 10, a % 10
    if not tens or not ones:
        return f"{a} * {b} = {a * b}"
    return f"{tens} * {b} = {tens * b}; {ones} * {b} = {ones * b}; {tens * b} + {ones * b} = {a * b}"


def _problem(rng: random.Random, task: str, language: str, problem: str, result: int, steps: str) -> Sample:
    answer = f"{problem} = {result}"
    question = rng.choice(pick(language, ASK_EN, ASK_ZH)).format(problem)
    thinking = steps if rng.random() < THINKING_SHARE else None
    expected = {"texts": [answer, str(result)]}
    return Sample(task, language, "general", [user(question), assistant(answer)], expected, thinking=thinking)


def _operands(rng: random.Random) -> tuple[int, int]:
    """Two numbers, the larger first: mostly of two digits, sometimes of three."""
    top = rng.choice((20, 99, 99, 999))
    a, b = rng.randint(1, top), rng.randint(1, top)
    return max(a, b), min(a, b)


def addition_subtraction(rng: random.Random, facts: Facts, language: str) -> Sample:
    a, b = facts.draw("pair", lambda: _operands(rng))
    if rng.random() < 0.5:
        return _problem(rng, "addition_subtraction", language, f"{a} - {b}", a - b, _sum_steps(a, b, -1))
    if rng.random() < 0.5:
        a, b = b, a
    return _problem(rng, "addition_subtraction", language, f"{a} + {b}", a + b, _sum_steps(a, b, 1))


def multiplication(rng: random.Random, facts: Facts, language: str) -> Sample:
    """A number up to 99 times one of a single digit."""
    a, b = facts.draw("factors", lambda: (rng.randint(1, rng.choice((12, 30, 99))), rng.randint(2, 9)))
    sign = rng.choice(("*", "×"))
    return _problem(rng, "multiplication", language, f"{a} {sign} {b}", a * b, _product_steps(a, b))


def story_sum(rng: random.Random, facts: Facts, language: str) -> Sample:
    a, b = facts.draw("pair", lambda: tuple(sorted((rng.randint(2, 60), rng.randint(2, 60)), reverse=True)))
    plus = rng.random() < 0.5
    thing, unit, thing_zh = rng.choice(STORY_THINGS)
    story = pick(language, *rng.choice(STORY_PLUS if plus else STORY_MINUS))
    if language == "zh":
        who = rng.choice(("小明", "小红", "小华", "小丽", "小刚", "小芳"))
        question = story.format(who=who, a=f"{a}{unit}", b=b, thing=thing_zh, unit=unit)
    else:
        question = story.format(who=rng.choice(names.GIVEN_EN), a=a, b=b, thing=thing)
    result = a + b if plus else a - b
    answer = f"{a} {'+' if plus else '-'} {b} = {result}"
    expected = {"texts": [answer, str(result)]}
    return Sample("story_sum", language, "general", [user(question), assistant(answer)], expected)


TASKS = [
    Task("addition_subtraction", "general", addition_subtraction, scoring.exact, 3.0, max_chars=80),
    Task("multiplication", "general", multiplication, scoring.exact, 1.5, max_chars=80),
    Task("story_sum", "general", story_sum, scoring.exact, 1.0, max_chars=160),
]
