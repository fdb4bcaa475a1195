"""Legal tasks: risk points of a contract, its key fields, and the kind of a clause."""

from __future__ import annotations

import random
import re

from training.data import scoring
from training.data.facts import Facts
from training.data.sample import Message, Sample, Task, assistant, pick, user
from training.data.tasks.legal_clauses import CLAUSE_KINDS, HARMLESS, RISKS

ASK_RISKS = (
    (
        "Which clauses carry a risk?\n{}",
        "Find the risks in this contract:\n{}",
        "{}\n\nList the risk points.",
        "Review this contract and name the risks.\n{}",
        "Check the following clauses for risks:\n{}",
        "{}\nWhat is risky here?",
        "Contract:\n{}\nRisks?",
    ),
    (
        "哪些条款有风险？\n{}",
        "找出这份合同中的风险：\n{}",
        "{}\n\n请列出风险点。",
        "请审查合同并指出风险。\n{}",
        "检查下列条款是否有风险：\n{}",
        "{}\n这里有什么风险？",
        "合同：\n{}\n风险点有哪些？",
    ),
)
# An answer goes through the clauses: each is quoted, its risk follows.
AT_RISK = ("{}. {} Risk: {}.", "{}. {}风险：{}。")
NO_RISK = ("{}. {} No risk.", "{}. {}无风险。")
SAFE_SHARE = 0.6  # of the clauses without risk, those on a matter that can be one; the others are HARMLESS
RISK_COUNTS = (0, 1, 1, 1, 2)  # risks per contract, equally likely

ASK_FIELDS = (
    (
        "Give the parties, the amount and the date of this contract.\n{}",
        "Extract party A, party B, amount and date: {}",
        "{}\n\nWhat are the key fields of this contract?",
        "Contract: {}\nList parties, amount and date.",
        "Summarize this contract in four lines.\n{}",
    ),
    (
        "请给出这份合同的双方、金额和日期。\n{}",
        "提取甲方、乙方、金额和日期：{}",
        "{}\n\n这份合同的关键信息有哪些？",
        "合同：{}\n请列出双方、金额和日期。",
        "用四行总结这份合同。\n{}",
    ),
)
CONTRACTS = (
    (
        "This contract is made on {date} between {a} (party A) and {b} (party B). "
        "{b} delivers {goods} to {a} for {money}.",
        "Party A: {a}. Party B: {b}. Party B rents out {goods} to party A from {start}. The total is {money}. "
        "Signed on {date}.",
        "On {date}, {a}, called party A, and {b}, called party B, agreed on the repair of {goods}. "
        "Party A pays {money}.",
        "{b} as party B services {goods} for {a}, which is party A. The work begins on {start}. Price: {money}. "
        "Date of signing: {date}.",
        "Supply contract of {date}. Buyer (party A) is {a}, seller (party B) is {b}. Goods: {goods}. "
        "The price is {money}, payable in {days} days.",
    ),
    (
        "本合同由{a}（甲方）与{b}（乙方）于{date}签订。乙方向甲方供应{goods}，总价{money}。",
        "甲方：{a}。乙方：{b}。自{start}起，乙方向甲方出租{goods}，租金共{money}。签订日期：{date}。",
        "{date}，{a}（以下称甲方）与{b}（以下称乙方）就{goods}维修达成协议，甲方支付{money}。",
        "{b}作为乙方，为甲方{a}提供{goods}保养服务，{start}开工，价格为{money}。签订于{date}。",
        "{date}供货合同：买方（甲方）为{a}，卖方（乙方）为{b}，货物为{goods}，价款{money}，{days}天内付清。",
    ),
)
GOODS = (
    ("printers", "打印机"),
    ("office chairs", "办公椅"),
    ("machines", "机床"),
    ("trucks", "卡车"),
    ("servers", "服务器"),
    ("pumps", "水泵"),
    ("lifts", "电梯"),
    ("solar panels", "太阳能板"),
    ("cameras", "摄像头"),
    ("air conditioners", "空调"),
)
FIELDS = (("Party A", "Party B", "Amount", "Date"), ("甲方", "乙方", "金额", "日期"))

ASK_KIND = (
    (
        "What kind of clause is this? {}",
        "Classify this clause: {}",
        "{}\nWhich type of clause?",
        "Type of this contract clause: {}",
        "What is this clause about? {}",
    ),
    ("这是什么条款？{}", "给这个条款分类：{}", "{}\n属于哪类条款？", "合同条款类型：{}", "这个条款是关于什么的？{}"),
)
KIND = ("Type: {}.", "类型：{}。")

FAR_PLACES = (
    ("Panama", "巴拿马"),
    ("Cyprus", "塞浦路斯"),
    ("Malta", "马耳他"),
    ("Bermuda", "百慕大"),
    ("Monaco", "摩纳哥"),
    ("Iceland", "冰岛"),
    ("Bahrain", "巴林"),
    ("Jamaica", "牙买加"),
    ("Fiji", "斐济"),
    ("Uruguay", "乌拉圭"),
)


def _money(rng: random.Random, language: str) -> str:
    thousands = rng.randint(2, 980)
    return pick(language, f"{thousands},000 euros", f"{thousands}万元")


def _parties(rng: random.Random, facts: Facts, language: str) -> tuple[str, str]:
    a = facts.company(language)
    b = facts.company(language)
    while b == a:
        b = facts.company(language)
    return a, b


def _terms(rng: random.Random, facts: Facts, language: str) -> dict[str, str | int]:
    """Values for the slots of clauses, new ones for each clause."""
    return {
        "money": _money(rng, language),
        "days": rng.choice((5, 7, 10, 14, 15, 20, 30, 45, 60, 90)),
        "months": rng.choice((6, 12, 18, 24, 36)),
        "high": rng.choice((10, 15, 20, 25, 30, 40, 50)),
        "low": rng.choice((2, 3, 4, 5)),
        "far": pick(language, *rng.choice(FAR_PLACES)),
        "date": facts.date(2024, 2028).text(language),
    }


def risks(expected: scoring.Expected, answer: Message) -> float:
    """Risks (number of the clause and name) that the answer and `risks` share, divided by the risks of either.

    A wrong one costs as a missing one does. Of a contract without any, all `clauses` have to be gone through.
    """
    lines = scoring.normalised_lines(answer.get("content"))
    found = (re.fullmatch(r"(\d+)\..*(?:risk|风险): ?([^:.]+)\.?", line) for line in lines)
    given = {(match[1], match[2]) for match in found if match}
    wanted = {(number, scoring.normalised(risk)) for number, risk in expected["risks"].items()}
    if not wanted:
        return float(not given and sum(bool(re.match(r"\d+\.", line)) for line in lines) == expected["clauses"])
    return len(given & wanted) / len(given | wanted)


def _reviewed_clauses(rng: random.Random, facts: Facts, language: str, a: str, b: str) -> list[tuple[str, str | None]]:
    """Two to five clauses, each with the risk that it carries or None; up to two carry one."""
    count = rng.randint(2, 5)
    risky = rng.choice(RISK_COUNTS)
    chosen: list[tuple[tuple, str | None]] = []  # wordings in both languages, risk
    for place, (risk, harmless) in enumerate(zip(rng.sample(RISKS, count), rng.sample(HARMLESS, count))):
        if place < risky:
            chosen.append((risk.risky, pick(language, *risk.name)))
        else:
            chosen.append((risk.safe if rng.random() < SAFE_SHARE else harmless, None))
    rng.shuffle(chosen)
    clauses = []
    for wordings, risk_name in chosen:
        text = rng.choice(pick(language, *wordings)).format(a=a, b=b, **_terms(rng, facts, language))
        clauses.append((text[0].upper() + text[1:], risk_name))
    return clauses


def contract_risks(rng: random.Random, facts: Facts, language: str) -> Sample:
    """Numbered clauses, of which some carry a risk and the others settle their matter safely."""
    a, b = _parties(rng, facts, language)
    if rng.random() < 0.5:
        a, b = pick(language, ("party A", "party B"), ("甲方", "乙方"))
    clauses = facts.draw("clauses", lambda: _reviewed_clauses(rng, facts, language, a, b))
    numbered = list(enumerate(clauses, 1))
    contract = "\n".join(f"{number}. {text}" for number, (text, _) in numbered)
    lines = [pick(language, *(AT_RISK if risk else NO_RISK)).format(number, text, risk) for number, (text, risk) in numbered]
    expected = {str(number): risk for number, (_, risk) in numbered if risk}
    question = rng.choice(pick(language, *ASK_RISKS)).format(contract)
    messages = [user(question), assistant("\n".join(lines))]
    return Sample("contract_risks", language, "legal", messages, {"risks": expected, "clauses": len(clauses)})


def contract_fields(rng: random.Random, facts: Facts, language: str) -> Sample:
    a, b = _parties(rng, facts, language)
    money, date = _money(rng, language), facts.date().text(language)
    contract = rng.choice(pick(language, *CONTRACTS)).format(
        a=a,
        b=b,
        money=money,
        date=date,
        start=facts.date().text(language),
        goods=pick(language, *rng.choice(GOODS)),
        days=rng.choice((10, 14, 30, 60)),
    )
    fields = dict(zip(pick(language, *FIELDS), (a, b, money, date)))
    answer = "\n".join(pick(language, f"{name}: {value}", f"{name}：{value}") for name, value in fields.items())
    question = rng.choice(pick(language, *ASK_FIELDS)).format(contract)
    return Sample("contract_fields", language, "legal", [user(question), assistant(answer)], {"fields": fields})


def _clause(rng: random.Random, facts: Facts, language: str, a: str, b: str) -> tuple[str, str]:
    """The kind of a clause and its text."""
    kind, *wordings = rng.choice(CLAUSE_KINDS)
    text = rng.choice(pick(language, *wordings)).format(a=a, b=b, **_terms(rng, facts, language))
    return pick(language, *kind), text


def clause_kind(rng: random.Random, facts: Facts, language: str) -> Sample:
    a, b = _parties(rng, facts, language)
    kind, clause = facts.draw("clause", lambda: _clause(rng, facts, language, a, b))
    answer = pick(language, *KIND).format(kind)
    question = rng.choice(pick(language, *ASK_KIND)).format(clause)
    messages = [user(question), assistant(answer)]
    return Sample("clause_kind", language, "legal", messages, {"texts": [answer, kind]})


TASKS = [
    Task("contract_risks", "legal", contract_risks, risks, 2.0, max_chars=800),
    Task("contract_fields", "legal", contract_fields, scoring.fields, 1.2, max_chars=400),
    Task("clause_kind", "legal", clause_kind, scoring.exact, 0.8, max_chars=250),
]
