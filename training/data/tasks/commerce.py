"""Customer service of the demo shop: the dialogue about a return or an exchange, deadlines, and the shop's policies.

The shop's rules are the same in all splits: 30 days to return, 90 days to exchange, 5 working days for a refund.
"""

from __future__ import annotations

import random

from training.data import names, scoring
from training.data.facts import Facts
from training.data.sample import Message, Sample, Task, assistant, pick, system, user
from training.data.tasks.chat import casual

RETURN_DAYS, EXCHANGE_DAYS = 30, 90

SYSTEM_TEXTS = (
    ("You are the customer service of an online shop.", "You help the customers of a shop with their orders."),
    ("你是网上商店的客服。", "你是一家商店的客服助手，帮助顾客处理订单。"),
)
SYSTEM_SHARE = 0.3

# What the customer opens with, by what they want; "either" leaves open whether it is a return or an exchange.
OPENINGS = {
    "either": (
        ("I want to return or exchange the {kind} I just bought.", "There is a problem with my new {kind}.",
         "I am not happy with my {kind}.", "My {kind} is broken, what can I do?", "Can I bring back my {kind}?"),
        ("我想退换刚买的{kind}。", "我想退换{kind}", "我刚买的{kind}有问题。", "我对买的{kind}不满意，怎么办？",
         "{kind}坏了，可以退换吗？", "刚买的{kind}能退换吗？"),
    ),
    "return": (
        ("I want to return my {kind}.", "I would like to send back the {kind}.", "Please refund my {kind}.",
         "How do I return the {kind} I bought?", "I want my money back for the {kind}."),
        ("我想退掉刚买的{kind}。", "我要退货，买的是{kind}。", "{kind}怎么退货？", "请给我的{kind}退款。", "我想退货"),
    ),
    "exchange": (
        ("I want to exchange my {kind}.", "Can I swap the {kind} for another one?",
         "I need a new {kind}, this one is faulty.",
         "How do I exchange the {kind} I bought?"),
        ("我想换一个{kind}。", "我要换货，买的是{kind}。", "{kind}怎么换货？", "这个{kind}有毛病，能换一个吗？",
         "我想换货"),
    ),
}  # fmt: skip
WITH_NUMBER = (
    (" My order number is {}.", " The order is {}.", " Order {}."),
    ("订单号是{}。", "我的订单号：{}。", "订单{}。"),
)
GIVE_NUMBER = (
    ("{}", "It is {}.", "My order number is {}.", "The number is {}", "Order {}", "Here it is: {}"),
    ("{}", "是{}", "订单号是{}。", "我的订单号是{}", "订单{}", "找到了，是{}。"),
)
NO_NUMBER = (
    ("I do not have it.", "Where do I find it?", "I can't find the number.", "What is the order number?"),
    ("我没有订单号。", "订单号在哪里看？", "我找不到订单号。", "什么是订单号？"),
)
CHOOSE = {
    "return": (("Return, please.", "I want to return it.", "A refund.", "Return"),
               ("退货。", "我想退货。", "退款吧。", "退货")),
    "exchange": (("Exchange, please.", "I want to exchange it.", "A new one, please.", "Exchange"),
                 ("换货。", "我想换货。", "换一个新的。", "换货")),
}  # fmt: skip

ASK_NUMBER = ("I am glad to help. What is your order number?", "好的，请问您的订单号是多少？")
EXPLAIN_NUMBER = (
    "The order number is in your confirmation mail: a letter and four digits. Please send it to me.",
    "订单号在确认邮件里，是一个字母加四位数字。请发给我。",
)
POLICY = {
    "either": (
        "Thank you. Order {}: you can return it within 30 days or exchange it within 90 days of delivery. "
        "Would you like to return or exchange it?",
        "收到，订单{}：签收后30天内可以退货，90天内可以换货。请问您要退货还是换货？",
    ),
    "return": (
        "Order {}: you can return it within 30 days of delivery. Please send it back in its box; "
        "the postage is free and the refund takes 5 working days.",
        "订单{}：签收后30天内可以退货。请连同包装寄回，运费由我们承担，退款需要5个工作日。",
    ),
    "exchange": (
        "Order {}: you can exchange it within 90 days of delivery. Please send it back in its box; "
        "the postage is free and the new one comes within 3 working days.",
        "订单{}：签收后90天内可以换货。请连同包装寄回，运费由我们承担，新商品在3个工作日内寄出。",
    ),
}
POLICY_VALUES = {
    "either": (["30 days", "90 days"], ["30天", "90天"]),
    "return": (["30 days", "5 working days"], ["30天", "5个工作日"]),
    "exchange": (["90 days", "3 working days"], ["90天", "3个工作日"]),
}
AFTERWARDS = [
    (("Who pays the postage?", "Is the postage free?", "What does it cost?"), "The postage is free.",
     ("运费谁出？", "运费是免费的吗？", "要付运费吗？"), "运费由我们承担。"),
    (("How long does the refund take?", "When do I get my money?"), "The refund takes 5 working days.",
     ("退款要多久？", "钱什么时候退给我？"), "退款需要5个工作日。"),
    (("Thank you!", "Thanks, bye.", "Great, thank you."), "You are welcome!", ("谢谢！", "好的，谢谢。", "谢谢你"),
     "不客气！"),
]  # fmt: skip


def returns_dialogue(rng: random.Random, facts: Facts, language: str) -> Sample:
    """Wish, order number, policy, choice, afterwards; the sample ends after any of these steps."""
    wish = rng.choice(("either", "either", "return", "exchange"))
    number = facts.order_number()
    turns: list[tuple[str, str, list[str]]] = []  # what the customer says, the answer, the values that it must hold

    def say(text: str, answer: tuple[str, str], values: tuple[list[str], list[str]]) -> None:
        turns.append((casual(rng, text), pick(language, *answer).format(number), pick(language, *values)))

    def tell_policy(text: str, kind: str) -> None:
        say(text, POLICY[kind], tuple([number, *values] for values in POLICY_VALUES[kind]))

    kind = pick(language, *rng.choice(names.PRODUCT_KINDS))
    wished = rng.choice(pick(language, *OPENINGS[wish])).format(kind=kind)
    if rng.random() < 0.25:
        stop = "" if wished[-1] in ".?。？" else "，"
        tell_policy(wished + stop + rng.choice(pick(language, *WITH_NUMBER)).format(number), wish)
    else:
        say(wished, ASK_NUMBER, (["order number"], ["订单号"]))
        if rng.random() < 0.2:
            say(rng.choice(pick(language, *NO_NUMBER)), EXPLAIN_NUMBER, (["confirmation mail"], ["确认邮件"]))
        tell_policy(rng.choice(pick(language, *GIVE_NUMBER)).format(number), wish)
    if wish == "either":
        choice = rng.choice(("return", "exchange"))
        tell_policy(rng.choice(pick(language, *CHOOSE[choice])), choice)
    asked_en, answer_en, asked_zh, answer_zh = rng.choice(AFTERWARDS)
    say(rng.choice(pick(language, asked_en, asked_zh)), (answer_en, answer_zh), ([answer_en], [answer_zh]))

    turns = turns[: rng.randint(1, len(turns))]
    messages = _opening(rng, language)
    for text, answer, _ in turns:
        messages += [user(text), assistant(answer)]
    return Sample("returns_dialogue", language, "commerce", messages, {"values": turns[-1][2]})


DEADLINE_ASK = {
    "return": (
        ("I got my {kind} {days} days ago. Can I still return it?",
         "My {kind} came {days} days ago, may I send it back?",
         "Can I return a {kind} after {days} days?"),
        ("我{days}天前收到了{kind}，还能退货吗？", "{kind}签收{days}天了，可以退货吗？",
         "收货{days}天后还能退{kind}吗？"),
    ),
    "exchange": (
        ("I got my {kind} {days} days ago. Can I still exchange it?", "My {kind} came {days} days ago, may I swap it?",
         "Can I exchange a {kind} after {days} days?"),
        ("我{days}天前收到了{kind}，还能换货吗？", "{kind}签收{days}天了，可以换货吗？",
         "收货{days}天后还能换{kind}吗？"),
    ),
}  # fmt: skip
DEADLINE_ANSWERS = {
    ("return", True): ("Yes. You can return it within 30 days of delivery.", "可以。签收后30天内可以退货。"),
    ("return", False): ("No. You can return it only within 30 days of delivery.", "不可以。签收后30天内才可以退货。"),
    ("exchange", True): ("Yes. You can exchange it within 90 days of delivery.", "可以。签收后90天内可以换货。"),
    ("exchange", False): (
        "No. You can exchange it only within 90 days of delivery.",
        "不可以。签收后90天内才可以换货。",
    ),
}


def return_deadline(rng: random.Random, facts: Facts, language: str) -> Sample:
    """Whether so many days after delivery a return or an exchange is still possible."""

    def case() -> tuple[str, str, int]:
        action = rng.choice(("return", "exchange"))
        limit = RETURN_DAYS if action == "return" else EXCHANGE_DAYS
        days = rng.randint(2, limit) if rng.random() < 0.5 else rng.randint(limit + 1, 2 * limit)
        return action, pick(language, *rng.choice(names.PRODUCT_KINDS)), days

    action, kind, days = facts.draw("deadline", case)
    possible = days <= (RETURN_DAYS if action == "return" else EXCHANGE_DAYS)
    question = rng.choice(pick(language, *DEADLINE_ASK[action])).format(kind=kind, days=days)
    answer = pick(language, *DEADLINE_ANSWERS[action, possible])
    messages = [*_opening(rng, language), user(casual(rng, question)), assistant(answer)]
    return Sample("return_deadline", language, "commerce", messages, {"text": answer})


POLICIES = [
    (("How long can I return something?", "What is your return policy?", "Can I return things here?",
      "How do returns work?"),
     "You can return it within 30 days or exchange it within 90 days of delivery.",
     ("退货期限是多久？", "你们的退换货政策是什么？", "多久之内可以退货？", "退换货有什么规定？"),
     "签收后30天内可以退货，90天内可以换货。"),
    (("How long does delivery take?", "When will my order arrive?", "How fast do you ship?"),
     "Delivery takes 3 working days.",
     ("多久能送到？", "下单后几天到货？", "你们发货快吗？"), "送货需要3个工作日。"),
    (("What does shipping cost?", "Is shipping free?", "Do I pay for delivery?"), "Shipping is free.",
     ("运费多少钱？", "包邮吗？", "送货要收费吗？"), "我们免费送货。"),
    (("How can I pay?", "Which payment methods do you accept?", "Can I pay by card?"),
     "You can pay by card or by bank transfer.",
     ("怎么付款？", "支持哪些支付方式？", "可以刷卡吗？"), "可以刷卡或银行转账。"),
    (("How long is the warranty?", "Is there a warranty on your products?", "What warranty do you give?"),
     "All products have a warranty of 2 years.",
     ("保修多久？", "商品有保修吗？", "你们的保修期是多长？"), "所有商品保修2年。"),
    (("How do I cancel an order?", "Can I cancel my order?", "Is it possible to cancel an order?"),
     "You can cancel an order until it is shipped.",
     ("怎么取消订单？", "可以取消订单吗？", "订单能取消吗？"), "发货前可以取消订单。"),
    (("When are you open?", "What are your opening hours?", "When can I reach the service?"),
     "Our service is open from 9 to 18, Monday to Friday.",
     ("客服什么时候上班？", "你们的营业时间是什么？", "什么时间可以联系客服？"), "客服时间是周一至周五9点到18点。"),
    (("Where is my order?", "Where is my parcel?", "My order has not arrived."),
     "The confirmation mail has a link that shows where your order is.",
     ("我的订单到哪了？", "我的包裹在哪里？", "我的订单还没到。"), "确认邮件里有链接，可以查看订单的位置。"),
    (("Where is my order number?", "Where do I find the order number?", "What does an order number look like?"),
     "The order number is in your confirmation mail: a letter and four digits.",
     ("订单号在哪里？", "在哪里可以找到订单号？", "订单号是什么样的？"), "订单号在确认邮件里，是一个字母加四位数字。"),
]  # fmt: skip


def shop_policy(rng: random.Random, facts: Facts, language: str) -> Sample:
    asked_en, answer_en, asked_zh, answer_zh = rng.choice(POLICIES)
    asked, answer = pick(language, (asked_en, answer_en), (asked_zh, answer_zh))
    messages = [*_opening(rng, language), user(casual(rng, rng.choice(asked))), assistant(answer)]
    return Sample("shop_policy", language, "commerce", messages, {"text": answer})


def _opening(rng: random.Random, language: str) -> list[Message]:
    return [system(rng.choice(pick(language, *SYSTEM_TEXTS)))] if rng.random() < SYSTEM_SHARE else []


TASKS = [
    Task("returns_dialogue", "commerce", returns_dialogue, scoring.contains, 3.0),
    Task("return_deadline", "commerce", return_deadline, scoring.exact, 1.0, max_chars=300),
    Task("shop_policy", "commerce", shop_policy, scoring.exact, 1.0, max_chars=300),
]
