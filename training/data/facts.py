"""Invented facts, each of which belongs to exactly one split.

A fact (a person, a product, an order number, a pair of numbers, the values of a whole record...) has a key, and the
hash of the key decides whether it is for training, validation or test. `Facts` of a split draws until it meets a fact
of that split, so nothing has to be stored, and a test sample never shows values that training has shown together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple, TypeVar

from training.data import names
from training.data.sample import pick

SPLITS = ("train", "validation", "test")

MOST_DRAWS = 5000

T = TypeVar("T")


def split_of(key: str) -> str:
    """The split that a fact belongs to: 90 % train, 5 % validation, 5 % test. The same on every machine."""
    bucket = int.from_bytes(blake2b(key.encode(), digest_size=4).digest(), "little") % 100
    return "train" if bucket < 90 else "validation" if bucket < 95 else "test"


class Product(NamedTuple):
    name: str  # "Lumio kettle K3", "乐途水壶K3"
    kind: str  # "kettle", "水壶"


class Date(NamedTuple):
    year: int
    month: int
    day: int

    def iso(self) -> str:
        return f"{self.year}-{self.month:02}-{self.day:02}"

    def text(self, language: str) -> str:
        if language == "zh":
            return f"{self.year}年{self.month}月{self.day}日"
        return f"{self.day} {MONTHS[self.month - 1]} {self.year}"


MONTHS = "January February March April May June July August September October November December".split()


class Facts:
    """Draws facts of one split; remembers their keys in `drawn`."""

    def __init__(self, split: str, rng: random.Random):
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is none of {SPLITS}")
        self.split = split
        self.rng = rng
        self.drawn: list[str] = []

    def draw(self, kind: str, make: Callable[[], T]) -> T:
        """Calls `make` until what it returns is a fact of this split. Its repr is the fact's key within `kind`.

        Raises RuntimeError if none comes: then `make` knows too few facts (it should know hundreds).
        """
        for _ in range(MOST_DRAWS):
            fact = make()
            key = f"{kind}:{fact!r}"
            if split_of(key) == self.split:
                self.drawn.append(key)
                return fact
        raise RuntimeError(f"{MOST_DRAWS} draws gave no {kind!r} of the split {self.split!r}")

    def person(self, language: str) -> str:
        return self.draw("person", lambda: self._person(language))

    def company(self, language: str) -> str:
        return self.draw("company", lambda: self._company(language))

    def product(self, language: str) -> Product:
        return self.draw("product", lambda: self._product(language))

    def order_number(self) -> str:
        """A letter and four digits, as 'A4821'."""
        letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
        return self.draw("number", lambda: f"{self.rng.choice(letters)}{self.rng.randint(1000, 9999)}")

    def date(self, first_year: int = 2020, last_year: int = 2026) -> Date:
        """A date; dates are common to all splits."""
        return Date(self.rng.randint(first_year, last_year), self.rng.randint(1, 12), self.rng.randint(1, 28))

    def city(self, language: str) -> str:
        """A city's name; cities are common to all splits."""
        return pick(language, *self.rng.choice(names.CITIES))

    def _person(self, language: str) -> str:
        rng = self.rng
        if language == "zh":
            given = rng.sample(names.GIVEN_ZH, rng.choice((1, 2, 2)))
            return rng.choice(names.SURNAME_ZH) + "".join(given)
        return f"{rng.choice(names.GIVEN_EN)} {rng.choice(names.SURNAME_EN)}"

    def _company(self, language: str) -> str:
        rng = self.rng
        if language == "zh":
            return rng.choice(names.COMPANY_ZH) + rng.choice(names.COMPANY_KIND_ZH)
        return f"{rng.choice(names.COMPANY_EN)} {rng.choice(names.COMPANY_KIND_EN)}"

    def _product(self, language: str) -> Product:
        rng = self.rng
        kind = pick(language, *rng.choice(names.PRODUCT_KINDS))
        model = f"{rng.choice('ABCDEFGHKMNPRSTVX')}{rng.randint(1, 9)}"
        if language == "zh":
            return Product(f"{rng.choice(names.BRAND_ZH)}{kind}{model}", kind)
        return Product(f"{rng.choice(names.BRAND_EN)} {kind} {model}", kind)
