"""Finance: fraud risk of a transaction, key figures of a filing, fields of an invoice."""

from __future__ import annotations

import json
import random

from training.data import scoring
from training.data.facts import Facts
from training.data.sample import Sample, Task, assistant, pick, user

# The four signals of fraud, in the order in which an answer goes through them, each not there and there. The risk is low
# without any, medium with one and high with two or more.
LARGE_AMOUNT = 5000
NIGHT_ENDS = 6  # o'clock
SIGNALS = (
    (("usual", "正常"), ("large", "金额大")),
    (("by day", "白天"), ("at night", "深夜")),
    (("at home", "本地"), ("away", "异地")),
    (("known", "常用"), ("new", "新")),
)
RISKS = (("low", "低"), ("medium", "中"), ("high", "高"))

FRAUD_ASK = (
    ("Rate the fraud risk of this transaction: {}", "How high is the fraud risk? {}",
     "Is this transaction suspicious? {}",
     "Fraud check: {}", "Assess this payment: {}"),
    ("请评估这笔交易的欺诈风险：{}", "这笔交易的欺诈风险有多高？{}", "这笔交易可疑吗？{}", "欺诈检查：{}",
     "请判断这笔付款的风险：{}"),
)  # fmt: skip
TRANSACTIONS = (
    ("{date} {time}, {person} paid {amount} dollars in {city}, home {home}, {device} device.",
     "amount {amount}, time {time}, place {city}, home {home}, device {device}",
     "{person} of {home}: {amount} dollars in {city} at {time} from a {device} device."),
    ("{date}{time}，{person}在{city}支付{amount}元，常住{home}，{device}设备。",
     "金额{amount}，时间{time}，地点{city}，常住地{home}，{device}设备",
     "{person}（常住{home}）{time}在{city}用{device}设备支付{amount}元。"),
)  # fmt: skip


def fraud_risk(rng: random.Random, facts: Facts, language: str) -> Sample:
    def transaction() -> tuple[int, str, str, str, bool]:
        signals = rng.sample(range(4), rng.choice((0, 0, 1, 1, 2, 3)))
        amount = rng.randint(LARGE_AMOUNT, 9999) if 0 in signals else rng.randint(5, LARGE_AMOUNT - 1)
        hour = rng.randrange(NIGHT_ENDS) if 1 in signals else rng.randrange(NIGHT_ENDS, 24)
        city = home = facts.city(language)
        while 2 in signals and city == home:
            city = facts.city(language)
        return amount, f"{hour:02}:{rng.randrange(60):02}", city, home, 3 in signals

    amount, time, city, home, is_new = facts.draw("transaction", transaction)
    found = [amount >= LARGE_AMOUNT, int(time[:2]) < NIGHT_ENDS, city != home, is_new]
    device = pick(language, *SIGNALS[3][is_new])
    line = rng.choice(pick(language, *TRANSACTIONS)).format(
        date=facts.date().text(language), person=facts.person(language), amount=amount, time=time, city=city, home=home,
        device=device
    )  # fmt: skip
    risk = pick(language, *RISKS[min(sum(found), 2)])
    checks = _checks(language, amount, time, city, home, found)
    answer = pick(language, "{} Signals: {}. Risk: {}", "{}可疑点：{}个。风险：{}").format(checks, sum(found), risk)
    messages = [user(rng.choice(pick(language, *FRAUD_ASK)).format(line)), assistant(answer)]
    return Sample("fraud_risk", language, "finance", messages, {"label": risk})


def _checks(language: str, amount: int, time: str, city: str, home: str, found: list[bool]) -> str:
    """What each of the four signals is read from, and whether it is there: a small model compares what it has quoted."""
    large, night, away, new = (pick(language, *SIGNALS[i][is_there]) for i, is_there in enumerate(found))
    if language == "zh":
        return f"金额{amount}元：{large}。时间{time}：{night}。地点{city}，常住{home}：{away}。设备：{new}。"
    return f"Amount {amount}: {large}. Time {time}: {night}. Place {city}, home {home}: {away}. Device: {new}."


FILING_ASK = (
    ("Extract the key figures: {}", "List the key figures of this filing: {}", "Key figures: {}",
     "Summarize the figures of this report: {}"),
    ("请提取关键数据：{}", "列出这份财报的关键数据：{}", "关键数据：{}", "请总结这份报告的数据：{}"),
)  # fmt: skip
REVENUE = (
    ("{company} reported revenue of {revenue} for {year}, {change} from the year before.",
     "In {year} the revenue of {company} was {revenue}, {change} on the year.",
     "{company} closed {year} with revenue of {revenue}, {change}."),
    ("{company}{year}年营业收入为{revenue}，同比{change}。", "{year}年，{company}实现营业收入{revenue}，同比{change}。",
     "{company}公布{year}年年报：营业收入{revenue}，同比{change}。"),
)  # fmt: skip
PROFIT = (
    ("Net profit was {profit}.", "It earned a net profit of {profit}.", "The net profit came to {profit}."),
    ("净利润为{profit}。", "实现净利润{profit}。", "净利润达到{profit}。"),
)
BESIDE = (
    ("The company has {staff} employees.", "It opened {shops} new shops.",
     "The dividend is {dividend} dollars per share.", "Debt fell to {debt}."),
    ("公司有{staff}名员工。", "新开门店{shops}家。", "每股派息{dividend}元。", "负债降至{debt}。"),
)  # fmt: skip
FILING_FIELDS = (
    ("Company", "Year", "Revenue", "Net profit", "Growth"),
    ("公司", "年度", "营业收入", "净利润", "增长率"),
)


def filing_figures(rng: random.Random, facts: Facts, language: str) -> Sample:
    zh = language == "zh"

    def money(low: int, high: int) -> str:
        value = f"{rng.randint(low, high)}.{rng.randint(1, 9)}"
        return f"{value}亿元" if zh else f"${value} million"

    company, year = facts.company(language), rng.randint(2018, 2026)
    revenue, profit, percent, grew = facts.draw(
        "figures", lambda: (money(20, 99), money(1, 15), rng.randint(1, 40), rng.random() < 0.7)
    )
    if zh:
        change = f"{'增长' if grew else '下降'}{percent}%"
    else:
        change = f"{'up' if grew else 'down'} {percent}%"
    growth = f"{'' if grew else '-'}{percent}%"
    sentences = [rng.choice(pick(language, *PROFIT)), rng.choice(pick(language, *BESIDE))]
    rng.shuffle(sentences)
    text = pick(language, " ", "").join([rng.choice(pick(language, *REVENUE)), *sentences]).format(
        company=company, year=year, revenue=revenue, change=change, profit=profit,
        staff=rng.randint(20, 900), shops=rng.randint(2, 40), dividend=f"0.{rng.randint(1, 9)}", debt=money(1, 30),
    )  # fmt: skip
    values = (company, f"{year}年" if zh else str(year), revenue, profit, growth)
    expected = dict(zip(pick(language, *FILING_FIELDS), values))
    answer = "\n".join(name + pick(language, ": ", "：") + value for name, value in expected.items())
    messages = [user(rng.choice(pick(language, *FILING_ASK)).format(text)), assistant(answer)]
    return Sample("filing_figures", language, "finance", messages, {"fields": expected})


INVOICE_ASK = (
    ("Extract the invoice as JSON: {}", "Read this invoice, answer in JSON: {}", "Invoice fields as JSON: {}",
     "Turn this invoice into JSON: {}"),
    ("请用JSON提取发票信息：{}", "读取这张发票，用JSON回答：{}", "发票字段（JSON）：{}", "把这张发票转换成JSON：{}"),
)  # fmt: skip
INVOICES = (
    ("Invoice {number}\nSeller: {seller}\nBuyer: {buyer}\nDate: {date}\n{items}\nTotal: {total} dollars",
     "{seller}\nInvoice no. {number} of {date}\nTo {buyer}\n{items}\nAmount due: {total} dollars",
     "{seller} bills {buyer} {total} dollars on {date} for: {items}. Invoice number {number}."),
    ("发票{number}\n销售方：{seller}\n购买方：{buyer}\n日期：{date}\n{items}\n合计：{total}元",
     "{seller}\n发票号{number}，日期{date}\n客户：{buyer}\n{items}\n应付金额：{total}元",
     "{seller}于{date}向{buyer}开具发票，金额{total}元，内容：{items}。发票号{number}。"),
)  # fmt: skip


def invoice_fields(rng: random.Random, facts: Facts, language: str) -> Sample:
    """The number, seller, buyer, date and total of an invoice, as a JSON object with English keys."""
    items = []
    for _ in range(rng.randint(1, 3)):
        product, count, price = facts.product(language), rng.randint(1, 9), rng.randint(5, 300)
        items.append((product.kind, count, price))
    layout = rng.choice(pick(language, *INVOICES))
    separator = "\n" if "\n" in layout else pick(language, ", ", "，")
    line = pick(language, "{1} x {0} at {2}", "{0}×{1}，单价{2}")
    fields = {
        "number": facts.order_number(),
        "seller": facts.company(language),
        "buyer": facts.person(language),
        "date": facts.date().iso(),
        "total": sum(count * price for _, count, price in items),
    }
    text = layout.format(items=separator.join(line.format(*item) for item in items), **fields)
    messages = [
        user(rng.choice(pick(language, *INVOICE_ASK)).format(text)),
        assistant(json.dumps(fields, ensure_ascii=False)),
    ]
    return Sample("invoice_fields", language, "finance", messages, {"fields": fields})


TASKS = [
    Task("fraud_risk", "finance", fraud_risk, scoring.verdict, 2.5, max_chars=300),
    Task("filing_figures", "finance", filing_figures, scoring.fields, 2.0, max_chars=500),
    Task("invoice_fields", "finance", invoice_fields, scoring.json_fields, 2.0, max_chars=500),
]
