"""Questions answered from a passage of invented facts: short, medium and long ones, some turns ago, of subjects told alike.

A passage tells of several subjects, of which some share a relation, so that the answer has to be found by subject and
relation both. In a long one the facts either stand among as many others or, as needles, in a tale of no importance.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from training.data import names, scoring
from training.data.facts import Facts
from training.data.sample import Sample, Task, assistant, pick, user
from training.data.tasks.chat import SMALL_TALK, opening, small_talk
from training.data.tasks.passage_facts import NOT_SAID, WEEKDAYS, Fact, Kind, Relation
from training.data.tasks.passage_kinds import KINDS

READ = ("I have read it. What would you like to know?", "我读完了。您想知道什么？")

ASK = (
    (
        "{text}\n\n{question}",
        "{text}\n\nQuestion: {question}",
        "Read the passage and answer.\n\n{text}\n\n{question}",
        "Passage: {text}\n\nAnswer from the passage: {question}",
        "{text}\n\nAccording to the text: {question}",
        "Answer the question with the help of the text.\nText: {text}\nQuestion: {question}",
        "Here is a text:\n{text}\n\n{question}",
        "{question}\n\n{text}",
        "Question: {question}\nPassage: {text}",
    ),
    (
        "{text}\n\n{question}",
        "{text}\n\n问题：{question}",
        "阅读下面的短文并回答问题。\n\n{text}\n\n{question}",
        "短文：{text}\n\n请根据短文回答：{question}",
        "{text}\n\n根据上文，{question}",
        "请根据材料回答问题。\n材料：{text}\n问题：{question}",
        "下面是一段文字：\n{text}\n\n{question}",
        "{question}\n\n{text}",
        "问题：{question}\n短文：{text}",
    ),
)
QUESTION_FIRST = 2  # the last wordings of ASK ask before the passage: not for long ones, whose fact shall lie far back
GIVE = (
    (
        "Please read this text:\n{}",
        "Here is a text. I will ask about it.\n{}",
        "Read this first.\n\n{}",
        "Keep this in mind: {}",
    ),
    ("请先读这段文字：\n{}", "下面有一段材料，我会提问。\n{}", "先看一下这段话。\n\n{}", "请记住下面的内容：{}"),
)
FURTHER = (
    ("{}", "{}", "And {}", "One more question: {}", "Next: {}"),
    ("{}", "{}", "那么，{}", "再问一个问题：{}", "另外，{}"),
)

FILLER = (
    (
        "On {day} {who} went to the {place} and came back with {thing}.",
        "It rained on {day}, so the {place} stayed empty.",
        "{who} looked for {thing} but found nothing.",
        "The way to the {place} was long and quiet.",
        "In the afternoon {who} talked with {other} about {thing}.",
        "Nobody at the {place} remembered {who}.",
        "{who} wrote a short letter and left it at the {place}.",
        "On {day} the {place} closed early.",
        "{other} laughed and asked {who} for {thing}.",
        "There was a picture of {thing} near the {place}.",
        "The next {day} was warm and {who} slept long.",
        "{who} and {other} met at the {place} and drank tea.",
    ),
    (
        "{day}，{who}去了{place}，带回来一些{thing}。",
        "{day}下雨了，{place}里没有什么人。",
        "{who}到处找{thing}，可是什么也没找到。",
        "去{place}的路又长又安静。",
        "下午，{who}和{other}聊起了{thing}。",
        "{place}里没有人记得{who}。",
        "{who}写了一封短信，放在了{place}。",
        "{day}，{place}很早就关门了。",
        "{other}笑着向{who}要{thing}。",
        "{place}旁边挂着一幅画着{thing}的画。",
        "到了{day}天气很暖和，{who}睡到很晚。",
        "{who}和{other}在{place}见面，喝了一会儿茶。",
    ),
)
CHARACTERS_ZH = "小明 小红 小华 小丽 小刚 小芳 老王 老李 老张 阿强 阿珍 小林".split()
PLACES = (
    "market garden station library school teahouse restaurant park museum bakery hotel theatre church farm".split(),
    "市场 花园 车站 图书馆 学校 茶馆 饭店 公园 博物馆 面包店 旅馆 剧院 教堂 农场".split(),
)
THINGS = (
    "apples books flowers maps letters ribbons bread stamps coins tea candles shells wool seeds paper".split(),
    "苹果 书 鲜花 旧地图 信件 面包 邮票 硬币 茶叶 蜡烛 贝壳 毛线 种子 纸张".split(),
)

# How many questions a passage is asked, one drawn: in training up to most of what it tells, for an answer is learned from
# and costs little beside the passage.
QUESTIONS = {
    "passage_short": (1, 1, 2, 3, 4),
    "passage_alike": (1, 2, 3, 4),
    "passage_turns": (1, 2, 3, 4),
    "passage_medium": (1, 3, 5, 7),
    "passage_long": (1, 4, 7, 10),
}
QUESTIONS_IN_TRAINING = QUESTIONS | {
    "passage_short": (1, 2, 3, 4, 5),
    "passage_alike": (4, 8, 12),
    "passage_turns": (1, 3, 4, 5),
    "passage_medium": (1, 6, 12, 18),
    "passage_long": (1, 8, 16, 24),
}
UNSAID_SHARE = 0.13  # of the questions, those that the passage does not answer
STRANGER_SHARE = 0.4  # of these, those about a subject that it does not tell of at all
SMALL_TALK_SHARE = 0.3  # of the questions of `passage_turns`, those with small talk before
PRONOUN_SHARE = 0.5  # of the passages with one subject of a kind, those that call it "the company" later on
SHUFFLE_SHARE = 0.25  # of the passages, those that tell of all subjects in turns


@dataclass
class Subject:
    kind: Kind
    name: str
    told: list[Fact]
    untold: list[Fact]  # true, but not in the passage


@dataclass
class Passage:
    text: str
    subjects: list[Subject]


def _subject(
    rng: random.Random,
    facts: Facts,
    language: str,
    kind: Kind,
    taken: list[Subject],
    told: int,
    relations: list[Relation] | None = None,  # drawn if None
) -> Subject:
    """A new subject of the kind, with `told` of its relations told and one more left out."""
    name = kind.subject(facts, language)
    while any(name in other.name or other.name in name for other in taken):
        name = kind.subject(facts, language)
    relations = relations or rng.sample(kind.relations, told + 1)
    known = [Fact(name, one.value(rng, facts, language), pick(language, one.en, one.zh)) for one in relations]
    return Subject(kind, name, known[:told], known[told:])


def _filler(rng: random.Random, language: str) -> str:
    given = pick(language, names.GIVEN_EN, CHARACTERS_ZH)
    who, other = rng.sample(given, 2)
    day = pick(language, *rng.choice(WEEKDAYS))
    place, thing = rng.choice(pick(language, *PLACES)), rng.choice(pick(language, *THINGS))
    return rng.choice(pick(language, *FILLER)).format(who=who, other=other, day=day, place=place, thing=thing)


def _sentences(rng: random.Random, language: str, subjects: list[Subject]) -> list[list[str]]:
    """The statements of each subject, in the order of telling."""
    kinds = [subject.kind for subject in subjects]
    paragraphs = []
    for subject in subjects:
        again = pick(language, *subject.kind.again).format(subject.name)
        if kinds.count(subject.kind) > 1 or rng.random() > PRONOUN_SHARE:
            again = subject.name
        paragraphs.append([fact.statement(rng, again if i else None) for i, fact in enumerate(subject.told)])
    return paragraphs


def _joined(paragraphs: list[list[str]], language: str, separator: str) -> str:
    space = pick(language, " ", "")
    return separator.join(space.join(sentences) for sentences in paragraphs)


def _short(rng: random.Random, facts: Facts, language: str) -> Passage:
    """One to three subjects, mostly of the same kind, with about five facts."""
    kind = rng.choice(KINDS)
    subjects: list[Subject] = []
    for told in rng.choice(((4,), (3, 3), (2, 2), (3, 2), (2, 2, 2), (1, 1, 1, 1))):
        subjects.append(_subject(rng, facts, language, kind, subjects, told))
        if rng.random() < 0.3:
            kind = rng.choice(KINDS)
    paragraphs = _sentences(rng, language, subjects)
    if len(subjects) > 1 and rng.random() < SHUFFLE_SHARE:
        paragraphs = _interleaved(rng, language, subjects)
    return Passage(_joined(paragraphs, language, pick(language, " ", "")), subjects)


def _alike(rng: random.Random, facts: Facts, language: str) -> Passage:
    """Two to ten subjects of one kind, all with the same one or two relations told: the subject decides."""
    kind = rng.choice(KINDS)
    told = rng.choice((1, 1, 2))
    relations = rng.sample(kind.relations, told + 1)
    subjects: list[Subject] = []
    for _ in range(rng.randint(3, 10) if told == 1 else rng.randint(2, 6)):
        subjects.append(_subject(rng, facts, language, kind, subjects, told, relations))
    paragraphs = _interleaved(rng, language, subjects)
    return Passage(_joined(paragraphs, language, pick(language, " ", "")), subjects)


def _interleaved(rng: random.Random, language: str, subjects: list[Subject]) -> list[list[str]]:
    sentences = [fact.statement(rng) for subject in subjects for fact in subject.told]
    rng.shuffle(sentences)
    return [sentences]


def _dense(rng: random.Random, facts: Facts, language: str, chars: int) -> Passage:
    """Many subjects of two or three kinds, each with a paragraph, until the text has about `chars` characters."""
    kinds = rng.sample(KINDS, rng.choice((2, 3)))
    subjects: list[Subject] = []
    length = 0
    while length < chars:
        subject = _subject(rng, facts, language, rng.choice(kinds), subjects, rng.randint(2, 4))
        length += sum(len(fact.answer()) for fact in subject.told)
        subjects.append(subject)
    if rng.random() < SHUFFLE_SHARE:
        paragraphs = _interleaved(rng, language, subjects)
    else:
        paragraphs = _sentences(rng, language, subjects)
    return Passage(_joined(paragraphs, language, "\n"), subjects)


def _needles(rng: random.Random, facts: Facts, language: str, chars: int) -> Passage:
    """Up to four subjects with one fact each, hidden in a tale of about `chars` characters."""
    kind = rng.choice(KINDS)
    subjects: list[Subject] = []
    for _ in range(rng.randint(2, 4)):
        subjects.append(_subject(rng, facts, language, kind, subjects, 1))
    sentences = []
    length = 0
    while length < chars:
        sentences.append(_filler(rng, language))
        length += len(sentences[-1])
    for subject in subjects:
        sentences.insert(rng.randint(0, len(sentences)), subject.told[0].statement(rng))
    paragraphs, start = [], 0
    while start < len(sentences):
        size = rng.randint(6, 12)
        paragraphs.append(sentences[start : start + size])
        start += size
    return Passage(_joined(paragraphs, language, "\n"), subjects)


def _questions(
    rng: random.Random, facts: Facts, language: str, passage: Passage, count: int
) -> list[tuple[str, str, str | None]]:
    """Different questions, each with its answer and the span in it that counts (None if the passage does not say)."""
    told = [fact for subject in passage.subjects for fact in subject.told]
    questions = []
    for fact in rng.sample(told, min(count, len(told))):
        if rng.random() >= UNSAID_SHARE:
            questions.append((fact.question(rng), fact.answer(), fact.value))
            continue
        subject = rng.choice(passage.subjects)
        if rng.random() < STRANGER_SHARE:
            subject = _subject(rng, facts, language, subject.kind, passage.subjects, 0)
        asked = subject.untold[0]
        questions.append((asked.question(rng), asked.unsaid(language), None))
    return questions


def _expected(language: str, answer: str, value: str | None) -> dict[str, list[str]]:
    short = pick(language, *NOT_SAID).lstrip(".… ") if value is None else value
    return {"texts": [answer, answer[:-1], short]}


def _count(rng: random.Random, facts: Facts, task: str) -> int:
    return rng.choice((QUESTIONS_IN_TRAINING if facts.split == "train" else QUESTIONS)[task])


def _asked(
    rng: random.Random, facts: Facts, task: str, language: str, passage: Passage, wordings: tuple[str, ...]
) -> Sample:
    """The passage with a question worded in one of the ways, and further questions about it in further turns."""
    (question, answer, value), *further = _questions(rng, facts, language, passage, _count(rng, facts, task))
    messages = [user(rng.choice(wordings).format(text=passage.text, question=question)), assistant(answer)]
    for question, answer, value in further:
        messages += [user(_further(rng, language, question)), assistant(answer)]
    return Sample(task, language, "general", messages, _expected(language, answer, value))


def _further(rng: random.Random, language: str, question: str) -> str:
    wording = rng.choice(pick(language, *FURTHER))
    if wording == "And {}":
        question = question[0].lower() + question[1:]
    return wording.format(question)


def passage_short(rng: random.Random, facts: Facts, language: str) -> Sample:
    passage = _short(rng, facts, language)
    return _asked(rng, facts, "passage_short", language, passage, pick(language, *ASK))


def passage_alike(rng: random.Random, facts: Facts, language: str) -> Sample:
    passage = _alike(rng, facts, language)
    return _asked(rng, facts, "passage_alike", language, passage, pick(language, *ASK))


def passage_medium(rng: random.Random, facts: Facts, language: str) -> Sample:
    make = rng.choice((_dense, _dense, _needles))
    passage = make(rng, facts, language, pick(language, rng.randint(900, 2000), rng.randint(350, 800)))
    return _asked(rng, facts, "passage_medium", language, passage, pick(language, *ASK))


def passage_long(rng: random.Random, facts: Facts, language: str) -> Sample:
    make = rng.choice((_dense, _needles))
    passage = make(rng, facts, language, pick(language, rng.randint(3300, 5500), rng.randint(1750, 2500)))
    wordings = pick(language, *ASK)[:-QUESTION_FIRST]
    return _asked(rng, facts, "passage_long", language, passage, wordings)


def passage_turns(rng: random.Random, facts: Facts, language: str) -> Sample:
    """The passage comes first, without a question; questions about it and small talk follow."""
    passage = _short(rng, facts, language)
    messages = opening(rng, language)
    messages += [user(rng.choice(pick(language, *GIVE)).format(passage.text)), assistant(pick(language, *READ))]
    answer, value = "", None
    for question, answer, value in _questions(rng, facts, language, passage, _count(rng, facts, "passage_turns")):
        if rng.random() < SMALL_TALK_SHARE:
            said, reply = small_talk(rng, language, rng.choice(SMALL_TALK))
            messages += [user(said), assistant(reply)]
        messages += [user(_further(rng, language, question)), assistant(answer)]
    return Sample("passage_turns", language, "general", messages, _expected(language, answer, value))


TASKS = [
    Task("passage_short", "general", passage_short, scoring.exact, 5.5, max_chars=1100),
    Task("passage_alike", "general", passage_alike, scoring.exact, 5.0, max_chars=2500),
    Task("passage_turns", "general", passage_turns, scoring.exact, 3.0, max_chars=2000),
    Task("passage_medium", "general", passage_medium, scoring.exact, 2.0, max_chars=4500),
    Task("passage_long", "general", passage_long, scoring.exact, 0.3, max_chars=9000),
]
