"""Small operations on lists and strings: repeat, reverse, sort, count, pick, upper case."""

from __future__ import annotations

import random

from training.data import names, scoring
from training.data.facts import Facts
from training.data.sample import Sample, Task, assistant, pick, user

REPEAT = (
    ("Repeat: {}", "Say exactly this: {}", "Repeat after me: {}", "Copy this text: {}", "Echo {}"),
    ("请重复：{}", "照着说一遍：{}", "跟我说：{}", "请原样输出：{}", "重复这句话：{}"),
)
REVERSE = (
    ("Reverse this list: {}", "Reverse the order: {}", "Write this list backwards: {}", "Turn the order around: {}"),
    ("把这个列表倒过来：{}", "请倒序排列：{}", "倒着写出来：{}", "反转下面的顺序：{}"),
)
SORT = (
    ("Sort these numbers: {}", "Put in ascending order: {}", "Sort from small to large: {}", "Order these: {}"),
    ("把这些数字从小到大排序：{}", "请按升序排列：{}", "从小到大排一下：{}", "排序：{}"),
)
SORT_WORDS = ("Sort these words alphabetically: {}", "Put in alphabetical order: {}", "Sort from A to Z: {}")
COUNT = (
    ("How many items are in this list: {}", "Count the items: {}", "How many words are here: {}",
     "How long is this list: {}"),
    ("这个列表有几项：{}", "数一数有几个词：{}", "下面一共有几个词：{}", "列表里有多少项：{}"),
)  # fmt: skip
ITEM = (
    ("What is the {} item of this list: {}", "Give me the {} word: {}", "Which word is the {} one: {}"),
    ("这个列表的{}是什么：{}", "告诉我{}：{}", "{}是哪个词：{}"),
)
UPPERCASE = ("Write in upper case: {}", "Convert to capital letters: {}", "Make this uppercase: {}", "Uppercase: {}")
PLACES = (
    ("first", "second", "third", "fourth", "last"),
    ("第一项", "第二项", "第三项", "第四项", "最后一项"),
)


def _words(rng: random.Random, language: str, low: int, high: int) -> tuple[str, ...]:
    return tuple(rng.sample(pick(language, names.WORDS_EN, names.WORDS_ZH), rng.randint(low, high)))


def _joined(items: tuple[str, ...] | list[str], language: str) -> str:
    return pick(language, ", ", "、").join(items)


def _sample(task: str, language: str, question: str, answer: str) -> Sample:
    return Sample(task, language, "general", [user(question), assistant(answer)], {"text": answer})


def string_repeat(rng: random.Random, facts: Facts, language: str) -> Sample:
    if rng.random() < 0.4:
        text = " ".join(facts.order_number() for _ in range(rng.randint(1, 3)))
    else:
        separator = rng.choice(pick(language, (" ", ", "), ("", "、")))
        text = separator.join(facts.draw("words", lambda: _words(rng, language, 2, 6)))
    return _sample("string_repeat", language, rng.choice(pick(language, *REPEAT)).format(text), text)


def string_reverse(rng: random.Random, facts: Facts, language: str) -> Sample:
    items = facts.draw("words", lambda: _words(rng, language, 2, 6))
    question = rng.choice(pick(language, *REVERSE)).format(_joined(items, language))
    return _sample("string_reverse", language, question, _joined(items[::-1], language))


def string_sort(rng: random.Random, facts: Facts, language: str) -> Sample:
    """Numbers up to 99 in both languages; in English also words."""
    if language == "en" and rng.random() < 0.3:
        ordered = facts.draw("word set", lambda: tuple(sorted(_words(rng, language, 2, 5))))
        texts, templates = list(ordered), SORT_WORDS
    else:
        ordered = facts.draw("number set", lambda: tuple(sorted(rng.sample(range(1, 100), rng.randint(3, 6)))))
        texts, templates = [str(number) for number in ordered], pick(language, *SORT)
    answer = _joined(texts, language)
    rng.shuffle(texts)
    return _sample("string_sort", language, rng.choice(templates).format(_joined(texts, language)), answer)


def string_count(rng: random.Random, facts: Facts, language: str) -> Sample:
    items = facts.draw("words", lambda: _words(rng, language, 2, 9))
    question = rng.choice(pick(language, *COUNT)).format(_joined(items, language))
    return _sample("string_count", language, question, str(len(items)))


def string_item(rng: random.Random, facts: Facts, language: str) -> Sample:
    items = facts.draw("words", lambda: _words(rng, language, 4, 7))
    place = rng.randrange(5)
    asked = pick(language, *PLACES)[place]
    question = rng.choice(pick(language, *ITEM)).format(asked, _joined(items, language))
    return _sample("string_item", language, question, items[-1 if place == 4 else place])


def string_uppercase(rng: random.Random, facts: Facts, language: str) -> Sample:
    """English words; the Chinese sample asks for them in Chinese."""
    text = " ".join(facts.draw("words", lambda: _words(rng, "en", 1, 4)))
    templates = pick(language, UPPERCASE, ("请改成大写：{}", "把这些字母变成大写：{}", "转换为大写字母：{}"))
    return _sample("string_uppercase", language, rng.choice(templates).format(text), text.upper())


def _cased(expected: dict, answer: dict) -> float:
    """Exact, capital letters included."""
    return float((answer.get("content") or "").strip() == expected["text"])


TASKS = [
    Task("string_repeat", "general", string_repeat, scoring.exact, 1.0, max_chars=140),
    Task("string_reverse", "general", string_reverse, scoring.exact, 1.0, max_chars=160),
    Task("string_sort", "general", string_sort, scoring.exact, 1.5, max_chars=140),
    Task("string_count", "general", string_count, scoring.exact, 0.8, max_chars=160),
    Task("string_item", "general", string_item, scoring.exact, 1.0, max_chars=140),
    Task("string_uppercase", "general", string_uppercase, _cased, 0.7, max_chars=140),
]
