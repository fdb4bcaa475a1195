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


def _person(rng: random.Random, facts: Facts, language: str) -> str:
    return facts.person(language)


def _company(rng: random.Random, facts: Facts, language: str) -> str:
    return facts.company(language)


def _city(rng: random.Random, facts: Facts, language: str) -> str:
    return facts.city(language)


def _date(rng: random.Random, facts: Facts, language: str) -> str:
    return facts.date().text(language)


def _code(rng: random.Random, facts: Facts, language: str) -> str:
    return facts.order_number()


def _year(first: int, last: int) -> Value:
    return lambda rng, facts, language: str(rng.randint(first, last))


def _number(low: int, high: int, step: int = 1) -> Value:
    return lambda rng, facts, language: str(rng.randrange(low, high + 1, step))


def _one_of(*values: tuple[str, str]) -> Value:
    return lambda rng, facts, language: pick(language, *rng.choice(values))


def _weekday(rng: random.Random, facts: Facts, language: str) -> str:
    return pick(language, *rng.choice(WEEKDAYS))


WEEKDAYS = (
    ("Monday", "星期一"), ("Tuesday", "星期二"), ("Wednesday", "星期三"), ("Thursday", "星期四"),
    ("Friday", "星期五"), ("Saturday", "星期六"), ("Sunday", "星期日"),
)  # fmt: skip
_colour = _one_of(
    ("red", "红色"), ("blue", "蓝色"), ("green", "绿色"), ("black", "黑色"), ("white", "白色"), ("grey", "灰色"),
    ("yellow", "黄色"), ("brown", "棕色"), ("pink", "粉色"), ("silver", "银色"),
)  # fmt: skip
_goods = _one_of(
    ("furniture", "家具"), ("batteries", "电池"), ("bicycles", "自行车"), ("shoes", "鞋子"), ("cameras", "相机"),
    ("bread", "面包"), ("glass", "玻璃"), ("paper", "纸张"), ("toys", "玩具"), ("tea", "茶叶"), ("clocks", "钟表"),
    ("lamps", "灯具"), ("carpets", "地毯"), ("pianos", "钢琴"), ("cheese", "奶酪"), ("paint", "油漆"), ("soap", "肥皂"),
)  # fmt: skip
_job = _one_of(
    ("teacher", "教师"), ("nurse", "护士"), ("baker", "面包师"), ("pilot", "飞行员"), ("lawyer", "律师"), ("farmer", "农民"),
    ("painter", "画家"), ("driver", "司机"), ("cook", "厨师"), ("dentist", "牙医"), ("gardener", "园丁"), ("writer", "作家"),
    ("librarian", "图书管理员"), ("singer", "歌手"), ("doctor", "医生"), ("translator", "翻译"), ("chemist", "化学家"),
)  # fmt: skip
_hobby = _one_of(
    ("chess", "下棋"), ("swimming", "游泳"), ("fishing", "钓鱼"), ("painting", "画画"), ("dancing", "跳舞"), ("cooking", "烹饪"),
    ("reading", "阅读"), ("running", "跑步"), ("cycling", "骑车"), ("hiking", "徒步"), ("singing", "唱歌"), ("tennis", "打网球"),
    ("photography", "摄影"), ("gardening", "园艺"), ("yoga", "瑜伽"), ("sailing", "帆船"),
)  # fmt: skip
_instrument = _one_of(
    ("piano", "钢琴"), ("guitar", "吉他"), ("violin", "小提琴"), ("flute", "长笛"), ("drums", "架子鼓"), ("harp", "竖琴"),
    ("trumpet", "小号"), ("cello", "大提琴"),
)  # fmt: skip
_pet = _one_of(
    ("Rex", "豆豆"), ("Coco", "可可"), ("Lucky", "来福"), ("Bella", "贝贝"), ("Milo", "米洛"), ("Snowy", "雪球"), ("Tiger", "虎子"),
    ("Ginger", "花花"), ("Pepper", "皮皮"), ("Daisy", "妞妞"), ("Bruno", "大黄"), ("Sunny", "阳阳"),
)  # fmt: skip
_food = _one_of(
    ("apple cake", "苹果蛋糕"), ("smoked fish", "熏鱼"), ("goat cheese", "山羊奶酪"), ("onion soup", "洋葱汤"), ("plum wine", "梅子酒"),
    ("rye bread", "黑麦面包"), ("honey", "蜂蜜"), ("noodles", "面条"), ("dumplings", "饺子"), ("roast duck", "烤鸭"), ("green tea", "绿茶"),
    ("pumpkin pie", "南瓜饼"), ("tofu", "豆腐"), ("pickles", "泡菜"),
)  # fmt: skip
_price = _number(15, 980, 5)
_hour = _number(7, 12)

# Each kind of subject needs well over a thousand names, for a long passage takes dozens of a split's few percent.
TOWN_BEFORE_EN = ("", "", "North ", "South ", "New ", "Old ", "Upper ", "Lower ")
TOWN_EN = "Alder Ash Black Bright Clear Cold Dun Elm Fair Fern Glen Grey Hart High Kings Long Mill Oak Red Stone Wells".split()
TOWN_END_EN = "bridge bury dale field ford ham haven hill mouth port stead ton well wick wood worth".split()
TOWN_BEFORE_ZH = ("", "", "东", "西", "上", "下", "大", "小")
TOWN_ZH = "柳 石 清 白 红 青 云 龙 凤 梅 松 竹 沙 金 银 玉 长 高 平 安".split()
TOWN_END_ZH = "溪镇 桥镇 河镇 湾镇 岭镇 坪镇 塘镇 口镇 山镇 泉镇 林镇 田镇 桥村 湾村 岭村 坪村 塘村".split()
RIVERS = (
    ("Arlen", "青江"), ("Boro", "白水河"), ("Cray", "玉带河"), ("Dova", "长柳河"), ("Elda", "金沙溪"), ("Finna", "小清河"), ("Harl", "石龙江"),
    ("Isen", "红叶河"), ("Lorn", "月亮河"), ("Mara", "东流河"), ("Neva", "云河"), ("Tarn", "双溪"),
)  # fmt: skip
PROJECTS_ZH = "猎鹰 海燕 北斗 火星 彩虹 灯塔 雪豹 长城 蓝鲸 春雷 晨曦 白杨 启航 银杏 磐石 流星 麒麟 神鹿 金桥 明珠".split()


def _town(facts: Facts, language: str) -> str:
    before, start, end = pick(language, (TOWN_BEFORE_EN, TOWN_EN, TOWN_END_EN), (TOWN_BEFORE_ZH, TOWN_ZH, TOWN_END_ZH))
    return facts.draw("town", lambda: "".join(facts.rng.choice(part) for part in (before, start, end)))


def _project(facts: Facts, language: str) -> str:
    rng = facts.rng
    if language == "zh":
        return facts.draw("project", lambda: f"{rng.choice(PROJECTS_ZH)}{rng.randint(10, 99)}号项目")
    return facts.draw("project", lambda: f"Project {rng.choice(names.COMPANY_EN)} {rng.randint(10, 99)}")


COMPANY = Kind(Facts.company, ("the company", "该公司"), (
    Relation(_person,
             Wording(("{s} was founded by {v}.", "The founder of {s} is {v}."), ("Who founded {s}?", "Who is the founder of {s}?", "By whom was {s} founded?"), "The founder of {s} is {v}."),
             Wording(("{s}由{v}创立。", "{s}的创始人是{v}。"), ("{s}的创始人是谁？", "谁创立了{s}？", "{s}是谁创办的？"), "{s}的创始人是{v}。")),
    Relation(_person,
             Wording(("The director of {s} is {v}.", "{s} is led by {v}."), ("Who is the director of {s}?", "Who leads {s}?", "Who runs {s} now?"), "The director of {s} is {v}."),
             Wording(("{s}的总经理是{v}。", "{s}现由{v}担任总经理。"), ("{s}的总经理是谁？", "谁是{s}的总经理？", "{s}由谁管理？"), "{s}的总经理是{v}。")),
    Relation(_year(1900, 2020),
             Wording(("{s} was founded in {v}.", "{s} has existed since {v}."), ("When was {s} founded?", "In which year was {s} founded?", "Since when has {s} existed?"), "{s} was founded in {v}."),
             Wording(("{s}成立于{v}年。", "{v}年，{s}正式成立。"), ("{s}是哪一年成立的？", "{s}成立于哪年？", "{s}什么时候成立的？"), "{s}成立于{v}年。")),
    Relation(_city,
             Wording(("The head office of {s} is in {v}.", "{s} has its head office in {v}."), ("Where is the head office of {s}?", "In which city does {s} have its head office?", "Where is {s} based?"), "The head office of {s} is in {v}."),
             Wording(("{s}的总部位于{v}。", "{s}总部设在{v}。"), ("{s}的总部在哪里？", "{s}总部位于哪座城市？", "{s}的总部设在什么地方？"), "{s}的总部位于{v}。")),
    Relation(_number(20, 990, 10),
             Wording(("{s} has {v} employees.", "{v} people work for {s}."), ("How many employees does {s} have?", "How many people work for {s}?", "What is the number of employees of {s}?"), "{s} has {v} employees."),
             Wording(("{s}有{v}名员工。", "{s}的员工人数为{v}人。"), ("{s}有多少名员工？", "{s}的员工人数是多少？", "有多少人在{s}工作？"), "{s}有{v}名员工。")),
    Relation(_goods,
             Wording(("{s} makes {v}.", "{s} is known for its {v}."), ("What does {s} make?", "What is {s} known for?", "Which goods does {s} produce?"), "{s} makes {v}."),
             Wording(("{s}生产{v}。", "{s}以生产{v}闻名。"), ("{s}生产什么？", "{s}的产品是什么？", "{s}以生产什么闻名？"), "{s}生产{v}。")),
    Relation(_number(2, 95),
             Wording(("Last year {s} had a revenue of {v} million euros.", "The revenue of {s} was {v} million euros."), ("What was the revenue of {s}?", "How much revenue did {s} have?", "How large was the revenue of {s}?"), "The revenue of {s} was {v} million euros."),
             Wording(("去年{s}的营业收入为{v}亿元。", "{s}的营业收入达到{v}亿元。"), ("{s}的营业收入是多少？", "{s}的收入有多少？", "{s}去年收入多少？"), "{s}的营业收入为{v}亿元。")),
))  # fmt: skip

PERSON = Kind(Facts.person, ("{}", "{}"), (
    Relation(_city,
             Wording(("{s} was born in {v}.", "{s} comes from {v}."), ("Where was {s} born?", "In which city was {s} born?", "Where does {s} come from?"), "{s} was born in {v}."),
             Wording(("{s}出生于{v}。", "{s}的家乡是{v}。"), ("{s}出生在哪里？", "{s}的家乡是哪里？", "{s}是哪里人？"), "{s}出生于{v}。")),
    Relation(_job,
             Wording(("{s} works as a {v}.", "By profession, {s} is a {v}."), ("What is the job of {s}?", "What does {s} work as?", "What is the profession of {s}?"), "{s} works as a {v}."),
             Wording(("{s}是一名{v}。", "{s}的职业是{v}。"), ("{s}的职业是什么？", "{s}是做什么工作的？", "{s}从事什么职业？"), "{s}的职业是{v}。")),
    Relation(_hobby,
             Wording(("The hobby of {s} is {v}.", "In the evening, {s} enjoys {v}."), ("What is the hobby of {s}?", "What does {s} enjoy?", "What does {s} do in the evening?"), "The hobby of {s} is {v}."),
             Wording(("{s}的爱好是{v}。", "{s}平时喜欢{v}。"), ("{s}的爱好是什么？", "{s}喜欢做什么？", "{s}平时有什么爱好？"), "{s}的爱好是{v}。")),
    Relation(_pet,
             Wording(("The dog of {s} is called {v}.", "{s} has a dog named {v}."), ("What is the dog of {s} called?", "What is the name of the dog of {s}?", "How does {s} call the dog?"), "The dog of {s} is called {v}."),
             Wording(("{s}的狗叫{v}。", "{s}养了一只名叫{v}的狗。"), ("{s}的狗叫什么？", "{s}养的狗叫什么名字？", "{s}给狗取了什么名字？"), "{s}的狗叫{v}。")),
    Relation(_company,
             Wording(("{s} works for {v}.", "The employer of {s} is {v}."), ("Which company does {s} work for?", "Who is the employer of {s}?", "Where is {s} employed?"), "{s} works for {v}."),
             Wording(("{s}在{v}上班。", "{s}任职于{v}。"), ("{s}在哪家公司上班？", "{s}任职于哪家公司？", "{s}的公司叫什么？"), "{s}任职于{v}。")),
    Relation(_instrument,
             Wording(("{s} plays the {v}.", "The instrument of {s} is the {v}."), ("Which instrument does {s} play?", "What does {s} play?", "What is the instrument of {s}?"), "{s} plays the {v}."),
             Wording(("{s}会演奏{v}。", "{s}学的乐器是{v}。"), ("{s}会演奏什么乐器？", "{s}学的是什么乐器？", "{s}会什么乐器？"), "{s}会演奏{v}。")),
    Relation(_year(1940, 2005),
             Wording(("{s} was born in the year {v}.", "The year of birth of {s} is {v}."), ("In which year was {s} born?", "When was {s} born?", "What is the year of birth of {s}?"), "{s} was born in the year {v}."),
             Wording(("{s}生于{v}年。", "{s}的出生年份是{v}年。"), ("{s}生于哪一年？", "{s}的出生年份是哪年？", "{s}是哪一年出生的？"), "{s}生于{v}年。")),
))  # fmt: skip

TOWN = Kind(_town, ("the town", "该地"), (
    Relation(_person,
             Wording(("The mayor of {s} is {v}.", "{v} is the mayor of {s}."), ("Who is the mayor of {s}?", "What is the name of the mayor of {s}?", "Who governs {s}?"), "The mayor of {s} is {v}."),
             Wording(("{s}的负责人是{v}。", "{v}是{s}的负责人。"), ("{s}的负责人是谁？", "谁是{s}的负责人？", "谁负责管理{s}？"), "{s}的负责人是{v}。")),
    Relation(_number(300, 9800, 100),
             Wording(("{s} has {v} inhabitants.", "{v} people live in {s}."), ("How many inhabitants does {s} have?", "How many people live in {s}?", "What is the population of {s}?"), "{s} has {v} inhabitants."),
             Wording(("{s}有{v}名居民。", "{s}的人口为{v}人。"), ("{s}有多少居民？", "{s}的人口是多少？", "有多少人住在{s}？"), "{s}的人口为{v}人。")),
    Relation(_one_of(*RIVERS),
             Wording(("{s} lies on the river {v}.", "The river {v} flows through {s}."), ("On which river does {s} lie?", "Which river flows through {s}?", "What is the river of {s} called?"), "{s} lies on the river {v}."),
             Wording(("流经{s}的河是{v}。", "{s}坐落在{v}边。"), ("流经{s}的河是哪条？", "{s}坐落在哪条河边？", "{s}旁边的河叫什么？"), "流经{s}的河是{v}。")),
    Relation(_food,
             Wording(("{s} is famous for its {v}.", "Visitors of {s} love the {v}."), ("What is {s} famous for?", "Which food is {s} famous for?", "What do visitors of {s} love?"), "{s} is famous for its {v}."),
             Wording(("{s}的特产是{v}。", "{s}以{v}出名。"), ("{s}的特产是什么？", "{s}以什么出名？", "{s}有什么特产？"), "{s}的特产是{v}。")),
    Relation(_weekday,
             Wording(("The market of {s} is held on {v}.", "{s} has a market every {v}."), ("When is the market of {s}?", "On which day is the market of {s}?", "On which day does {s} have a market?"), "The market of {s} is held on {v}."),
             Wording(("{s}的集市在{v}。", "{s}每逢{v}赶集。"), ("{s}的集市在哪天？", "{s}哪天赶集？", "{s}星期几有集市？"), "{s}的集市在{v}。")),
    Relation(_hour,
             Wording(("The library of {s} opens at {v} o'clock.", "At {v} o'clock the library of {s} opens."), ("When does the library of {s} open?", "At what time does the library of {s} open?", "From when on is the library of {s} open?"), "The library of {s} opens at {v} o'clock."),
             Wording(("{s}的图书馆{v}点开门。", "{s}图书馆的开门时间是{v}点。"), ("{s}的图书馆几点开门？", "{s}图书馆的开门时间是几点？", "{s}的图书馆什么时候开门？"), "{s}的图书馆{v}点开门。")),
))  # fmt: skip

PRODUCT = Kind(lambda facts, language: facts.product(language).name, ("the product", "这款产品"), (
    Relation(_price,
             Wording(("{s} costs {v} euros.", "The price of {s} is {v} euros."), ("How much does {s} cost?", "What is the price of {s}?", "What does {s} cost?"), "{s} costs {v} euros."),
             Wording(("{s}的价格是{v}元。", "{s}售价{v}元。"), ("{s}的价格是多少？", "{s}多少钱？", "{s}卖多少钱？"), "{s}的价格是{v}元。")),
    Relation(_colour,
             Wording(("{s} is {v}.", "The colour of {s} is {v}."), ("What is the colour of {s}?", "What colour is {s}?", "Which colour does {s} have?"), "The colour of {s} is {v}."),
             Wording(("{s}是{v}的。", "{s}的颜色是{v}。"), ("{s}是什么颜色的？", "{s}的颜色是什么？", "{s}是哪种颜色？"), "{s}的颜色是{v}。")),
    Relation(_number(2, 95),
             Wording(("The shop has {v} pieces of {s}.", "There are {v} pieces of {s} in stock."), ("How many pieces of {s} are in stock?", "How many pieces of {s} does the shop have?", "What is the stock of {s}?"), "There are {v} pieces of {s} in stock."),
             Wording(("{s}的库存是{v}件。", "{s}还有{v}件存货。"), ("{s}的库存是多少？", "{s}还有多少件存货？", "{s}还剩多少件？"), "{s}的库存是{v}件。")),
    Relation(_number(3, 60, 3),
             Wording(("The warranty of {s} lasts {v} months.", "{s} comes with a warranty of {v} months."), ("How long is the warranty of {s}?", "How many months does the warranty of {s} last?", "What warranty does {s} have?"), "The warranty of {s} lasts {v} months."),
             Wording(("{s}的保修期为{v}个月。", "{s}保修{v}个月。"), ("{s}的保修期是多久？", "{s}保修几个月？", "{s}保修多长时间？"), "{s}的保修期为{v}个月。")),
    Relation(_city,
             Wording(("{s} is made in {v}.", "The factory of {s} is in {v}."), ("Where is {s} made?", "In which city is {s} made?", "Where is the factory of {s}?"), "{s} is made in {v}."),
             Wording(("{s}的产地是{v}。", "{s}在{v}生产。"), ("{s}的产地是哪里？", "{s}在哪里生产？", "{s}是哪里产的？"), "{s}的产地是{v}。")),
    Relation(_company,
             Wording(("The maker of {s} is {v}.", "{s} was developed by {v}."), ("Who is the maker of {s}?", "Who developed {s}?", "Which company makes {s}?"), "The maker of {s} is {v}."),
             Wording(("{s}由{v}研发。", "{s}的厂家是{v}。"), ("{s}的厂家是谁？", "{s}由哪家公司研发？", "{s}是哪家公司的？"), "{s}的厂家是{v}。")),
))  # fmt: skip

PROJECT = Kind(_project, ("the project", "该项目"), (
    Relation(_code,
             Wording(("The code of {s} is {v}.", "{s} has the code {v}."), ("What is the code of {s}?", "Which code does {s} have?", "Tell me the code of {s}."), "The code of {s} is {v}."),
             Wording(("{s}的编号是{v}。", "{s}登记的编号为{v}。"), ("{s}的编号是什么？", "{s}的编号是多少？", "请告诉我{s}的编号。"), "{s}的编号是{v}。")),
    Relation(_person,
             Wording(("The manager of {s} is {v}.", "{s} is managed by {v}."), ("Who is the manager of {s}?", "Who manages {s}?", "By whom is {s} managed?"), "The manager of {s} is {v}."),
             Wording(("{s}的经理是{v}。", "{s}由{v}主管。"), ("{s}的经理是谁？", "谁主管{s}？", "{s}由谁主管？"), "{s}的经理是{v}。")),
    Relation(_date,
             Wording(("The deadline of {s} is {v}.", "{s} must be ready by {v}."), ("What is the deadline of {s}?", "When is the deadline of {s}?", "By when must {s} be ready?"), "The deadline of {s} is {v}."),
             Wording(("{s}的截止日期是{v}。", "{s}须在{v}前完成。"), ("{s}的截止日期是哪天？", "{s}什么时候截止？", "{s}须在什么时候前完成？"), "{s}的截止日期是{v}。")),
    Relation(_number(10, 980, 10),
             Wording(("The budget of {s} is {v} thousand euros.", "{s} has a budget of {v} thousand euros."), ("What is the budget of {s}?", "How large is the budget of {s}?", "How much money does {s} have?"), "The budget of {s} is {v} thousand euros."),
             Wording(("{s}的预算是{v}万元。", "{s}的预算为{v}万元。"), ("{s}的预算是多少？", "{s}有多少预算？", "{s}的预算有多少钱？"), "{s}的预算是{v}万元。")),
    Relation(_number(101, 599),
             Wording(("{s} meets in room {v}.", "The meeting room of {s} is room {v}."), ("In which room does {s} meet?", "What is the meeting room of {s}?", "Where does {s} meet?"), "{s} meets in room {v}."),
             Wording(("{s}的会议室是{v}室。", "{s}在{v}室开会。"), ("{s}的会议室是哪间？", "{s}在哪个房间开会？", "{s}在哪里开会？"), "{s}的会议室是{v}室。")),
))  # fmt: skip

KINDS = (COMPANY, PERSON, TOWN, PRODUCT, PROJECT)
