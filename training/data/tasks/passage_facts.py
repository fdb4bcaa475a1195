"""What passages tell: invented companies, people, towns, products and projects, each with some relations to values.

A relation holds the ways to state it, the ways to ask for it and the one sentence that answers, in both languages.
`{s}` stands for the subject, `{v}` for the value.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from training.data import names
from training.data.facts import Facts
from training.data.sample import pick

NOT_SAID = ("... The passage does not say.", "……文中没有提到。")

Value = Callable[[random.Random, Facts, str], str]


@dataclass(frozen=True)
class Wording:
    """How one relation is put in one language."""

    statements: tuple[str, ...]
    questions: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Relation:
    value: Value
    en: Wording
    zh: Wording


def relation(value: Value, texts: str) -> Relation:
    """A relation from six lines: statements, questions and the answer in English, then in Chinese; / between them."""
    lines = [tuple(line.strip().split(" / ")) for line in texts.strip().splitlines()]
    wordings = [Wording(statements, questions, answer) for statements, questions, (answer,) in (lines[:3], lines[3:])]
    return Relation(value, *wordings)


@dataclass(frozen=True)
class Kind:
    """A kind of subject: how one is drawn, how it is called when it was named before, and what is told about it."""

    subject: Callable[[Facts, str], str]
    again: tuple[str, str]  # "the company"; "{}" stands for the subject itself
    relations: tuple[Relation, ...]


@dataclass(frozen=True)
class Fact:
    subject: str
    value: str
    wording: Wording

    def statement(self, rng: random.Random, subject: str | None = None) -> str:
        text = rng.choice(self.wording.statements).format(s=subject or self.subject, v=self.value)
        return text[0].upper() + text[1:]

    def question(self, rng: random.Random) -> str:
        return rng.choice(self.wording.questions).format(s=self.subject)

    def answer(self) -> str:
        text = self.wording.answer.format(s=self.subject, v=self.value)
        return text[0].upper() + text[1:]

    def unsaid(self, language: str) -> str:
        """The answer of who has not been told: its beginning, and that there is no more to it.

        So the value is looked for where others stand, behind subject and relation, and not before they are repeated.
        """
        text = self.wording.answer.partition("{v}")[0].format(s=self.subject).rstrip()
        return text[0].upper() + text[1:] + pick(language, " " + NOT_SAID[0], NOT_SAID[1])


def person(rng: random.Random, facts: Facts, language: str) -> str:
    return facts.person(language)


def company(rng: random.Random, facts: Facts, language: str) -> str:
    return facts.company(language)


def city(rng: random.Random, facts: Facts, language: str) -> str:
    return facts.city(language)


def date(rng: random.Random, facts: Facts, language: str) -> str:
    return facts.date().text(language)


def code(rng: random.Random, facts: Facts, language: str) -> str:
    return facts.order_number()


def year(first: int, last: int) -> Value:
    return lambda rng, facts, language: str(rng.randint(first, last))


def number(low: int, high: int, step: int = 1) -> Value:
    return lambda rng, facts, language: str(rng.randrange(low, high + 1, step))


def one_of(*choices: tuple[str, str]) -> Value:
    return lambda rng, facts, language: pick(language, *rng.choice(choices))


def weekday(rng: random.Random, facts: Facts, language: str) -> str:
    return pick(language, *rng.choice(WEEKDAYS))


WEEKDAYS = (
    ("Monday", "星期一"), ("Tuesday", "星期二"), ("Wednesday", "星期三"), ("Thursday", "星期四"),
    ("Friday", "星期五"), ("Saturday", "星期六"), ("Sunday", "星期日"),
)  # fmt: skip
colour = one_of(
    ("red", "红色"), ("blue", "蓝色"), ("green", "绿色"), ("black", "黑色"), ("white", "白色"), ("grey", "灰色"),
    ("yellow", "黄色"), ("brown", "棕色"), ("pink", "粉色"), ("silver", "银色"),
)  # fmt: skip
goods = one_of(
    ("furniture", "家具"), ("batteries", "电池"), ("bicycles", "自行车"), ("shoes", "鞋子"), ("cameras", "相机"),
    ("bread", "面包"), ("glass", "玻璃"), ("paper", "纸张"), ("toys", "玩具"), ("tea", "茶叶"), ("clocks", "钟表"),
    ("lamps", "灯具"), ("carpets", "地毯"), ("pianos", "钢琴"), ("cheese", "奶酪"), ("paint", "油漆"), ("soap", "肥皂"),
)  # fmt: skip
job = one_of(
    ("teacher", "教师"), ("nurse", "护士"), ("baker", "面包师"), ("pilot", "飞行员"), ("lawyer", "律师"), ("farmer", "农民"),
    ("painter", "画家"), ("driver", "司机"), ("cook", "厨师"), ("dentist", "牙医"), ("gardener", "园丁"), ("writer", "作家"),
    ("librarian", "图书管理员"), ("singer", "歌手"), ("doctor", "医生"), ("translator", "翻译"), ("chemist", "化学家"),
)  # fmt: skip
hobby = one_of(
    ("chess", "下棋"), ("swimming", "游泳"), ("fishing", "钓鱼"), ("painting", "画画"), ("dancing", "跳舞"), ("cooking", "烹饪"),
    ("reading", "阅读"), ("running", "跑步"), ("cycling", "骑车"), ("hiking", "徒步"), ("singing", "唱歌"), ("tennis", "打网球"),
    ("photography", "摄影"), ("gardening", "园艺"), ("yoga", "瑜伽"), ("sailing", "帆船"),
)  # fmt: skip
instrument = one_of(
    ("piano", "钢琴"), ("guitar", "吉他"), ("violin", "小提琴"), ("flute", "长笛"), ("drums", "架子鼓"), ("harp", "竖琴"),
    ("trumpet", "小号"), ("cello", "大提琴"),
)  # fmt: skip
pet = one_of(
    ("Rex", "豆豆"), ("Coco", "可可"), ("Lucky", "来福"), ("Bella", "贝贝"), ("Milo", "米洛"), ("Snowy", "雪球"), ("Tiger", "虎子"),
    ("Ginger", "花花"), ("Pepper", "皮皮"), ("Daisy", "妞妞"), ("Bruno", "大黄"), ("Sunny", "阳阳"),
)  # fmt: skip
food = one_of(
    ("apple cake", "苹果蛋糕"), ("smoked fish", "熏鱼"), ("goat cheese", "山羊奶酪"), ("onion soup", "洋葱汤"), ("plum wine", "梅子酒"),
    ("rye bread", "黑麦面包"), ("honey", "蜂蜜"), ("noodles", "面条"), ("dumplings", "饺子"), ("roast duck", "烤鸭"),
    ("green tea", "绿茶"), ("pumpkin pie", "南瓜饼"), ("tofu", "豆腐"), ("pickles", "泡菜"),
)  # fmt: skip
price = number(15, 980, 5)
hour = number(7, 12)

# Each kind of subject needs well over a thousand names, for a long passage takes dozens of a split's few percent.
TOWN_BEFORE_EN = ("", "", "North ", "South ", "New ", "Old ", "Upper ", "Lower ")
TOWN_EN = """
Alder Ash Black Bright Clear Cold Dun Elm Fair Fern Glen Grey Hart High Kings Long Mill Oak Red Stone Wells
""".split()
TOWN_END_EN = "bridge bury dale field ford ham haven hill mouth port stead ton well wick wood worth".split()
TOWN_BEFORE_ZH = ("", "", "东", "西", "上", "下", "大", "小")
TOWN_ZH = "柳 石 清 白 红 青 云 龙 凤 梅 松 竹 沙 金 银 玉 长 高 平 安".split()
TOWN_END_ZH = "溪镇 桥镇 河镇 湾镇 岭镇 坪镇 塘镇 口镇 山镇 泉镇 林镇 田镇 桥村 湾村 岭村 坪村 塘村".split()
river = one_of(
    ("Arlen", "青江"), ("Boro", "白水河"), ("Cray", "玉带河"), ("Dova", "长柳河"), ("Elda", "金沙溪"), ("Finna", "小清河"),
    ("Harl", "石龙江"),
    ("Isen", "红叶河"), ("Lorn", "月亮河"), ("Mara", "东流河"), ("Neva", "云河"), ("Tarn", "双溪"),
)  # fmt: skip
PROJECTS_ZH = (
    "猎鹰 海燕 北斗 火星 彩虹 灯塔 雪豹 长城 蓝鲸 春雷 晨曦 白杨 启航 银杏 磐石 流星 麒麟 神鹿 金桥 明珠".split()
)


def product(facts: Facts, language: str) -> str:
    return facts.product(language).name


def town(facts: Facts, language: str) -> str:
    before, start, end = pick(language, (TOWN_BEFORE_EN, TOWN_EN, TOWN_END_EN), (TOWN_BEFORE_ZH, TOWN_ZH, TOWN_END_ZH))
    return facts.draw("town", lambda: "".join(facts.rng.choice(part) for part in (before, start, end)))


def project(facts: Facts, language: str) -> str:
    rng = facts.rng
    if language == "zh":
        return facts.draw("project", lambda: f"{rng.choice(PROJECTS_ZH)}{rng.randint(10, 99)}号项目")
    return facts.draw("project", lambda: f"Project {rng.choice(names.COMPANY_EN)} {rng.randint(10, 99)}")
