"""Reading what customers and shops write: order numbers in messages, the sentiment of reviews, product descriptions."""

from __future__ import annotations

import random

from training.data import names, scoring
from training.data.facts import Facts
from training.data.sample import Sample, Task, assistant, pick, user

EXTRACT = (
    ("Extract the order number: {}", "Which order number is in this message? {}", "Find the order number: {}",
     "Give me only the order number: {}", "Message: {} What is the order number?"),
    ("请提取订单号：{}", "这条消息里的订单号是多少？{}", "找出订单号：{}", "只回答订单号：{}",
     "消息：{}订单号是什么？"),
)  # fmt: skip
MESSAGES = (
    ("Hello, this is {person}. My {kind} from order {number} has not arrived since {date}.",
     "My order {number} of {date} came with the wrong {kind}, I paid {price} dollars.",
     "Please call me at {phone}, it is about {number}, the {kind}.",
     "I bought {count} {product} on {date}. The number is {number}.",
     "{number} is late again! I ordered {count} items for {price} dollars.",
     "Regarding {number}: the {kind} is broken. {person}",
     "I paid {price} dollars for the {product} and want a refund, order no. {number}.",
     "On {date} I ordered the {product} (order {number}). Phone: {phone}.",
     "Where is my parcel? {person}, order {number}, {city}.",
     "The {kind} of {number} does not work. You can reach me at {phone}."),
    ("你好，我是{person}。订单{number}的{kind}从{date}到现在还没有到。",
     "{date}的订单{number}发错了{kind}，我付了{price}元。",
     "请打电话{phone}找我，是关于{number}的{kind}。", "我在{date}买了{count}个{product}，单号是{number}。",
     "{number}又晚了！我买了{count}件，一共{price}元。", "关于{number}：{kind}坏了。{person}",
     "我花{price}元买的{product}想退款，订单号{number}。", "{date}我订了{product}（订单{number}），电话{phone}。",
     "我的包裹在哪里？{person}，订单{number}，{city}。", "{number}的{kind}不能用，可以打{phone}联系我。"),
)  # fmt: skip
MESSAGES_WITHOUT = (
    ("Hello, this is {person}. My {kind} has not arrived since {date}.",
     "I paid {price} dollars for the {product} and want a refund.",
     "Please call me at {phone}, it is about the {kind}.", "I ordered {count} items on {date} and still wait."),
    ("你好，我是{person}。我的{kind}从{date}到现在还没有到。", "我花{price}元买的{product}想退款。",
     "请打电话{phone}找我，是关于{kind}的。", "我在{date}订了{count}件，还没收到。"),
)  # fmt: skip
NO_NUMBER = ("none", "无")


def order_number(rng: random.Random, facts: Facts, language: str) -> Sample:
    product = facts.product(language)
    number = facts.order_number()
    missing = rng.random() < 0.12
    message = rng.choice(pick(language, *(MESSAGES_WITHOUT if missing else MESSAGES))).format(
        person=facts.person(language), kind=product.kind, product=product.name, number=number,
        city=facts.city(language),
        date=facts.date().text(language), price=rng.randint(5, 900), count=rng.randint(2, 9),
        phone=f"{rng.randint(200, 999)}-{rng.randint(1000, 9999)}",
    )  # fmt: skip
    answer = pick(language, *NO_NUMBER) if missing else number
    messages = [user(rng.choice(pick(language, *EXTRACT)).format(message)), assistant(answer)]
    return Sample("order_number", language, "commerce", messages, {"text": answer})


# What a review may say on each aspect: good and bad, in English and Chinese.
OPINIONS = [
    (("the quality is excellent", "it is very well made"), ("the quality is poor", "it broke after a week"),
     ("质量非常好", "做工很精致"), ("质量很差", "用了一周就坏了")),
    (("delivery was fast", "it arrived a day early"), ("delivery was slow", "it came two weeks late"),
     ("发货很快", "比预计早到一天"), ("发货太慢", "晚了两周才到")),
    (("the price is fair", "it is worth the money"), ("it is far too expensive", "it is not worth the money"),
     ("价格实惠", "物超所值"), ("价格太贵", "不值这个价")),
    (("the service was friendly", "the staff helped me at once"), ("the service was rude", "nobody answered my mails"),
     ("客服态度很好", "客服马上帮我解决了问题"), ("客服态度恶劣", "客服一直不回复")),
    (("it looks beautiful", "I love the color"), ("it looks cheap", "the color is ugly"),
     ("外观漂亮", "颜色我很喜欢"), ("看起来很廉价", "颜色很难看")),
    (("it is easy to use", "it was ready in a minute"), ("it is hard to use", "the manual is useless"),
     ("使用很方便", "一分钟就能上手"), ("用起来很麻烦", "说明书看不懂")),
    (("it was packed with care", "the box was perfect"), ("the box was damaged", "parts were missing"),
     ("包装很仔细", "盒子完好无损"), ("包装破损", "少了配件")),
    (("it works perfectly", "it does what it should"), ("it does not work", "it stops all the time"),
     ("功能很好用", "完全符合描述"), ("根本不能用", "经常出故障")),
    (("it is very quiet", "it makes no noise"), ("it is too loud", "it makes a terrible noise"),
     ("声音很安静", "几乎没有噪音"), ("声音太吵", "噪音特别大")),
    (("my family loves it", "I would buy it again"), ("I want my money back", "I regret buying it"),
     ("家人都很喜欢", "下次还会再买"), ("我要退款", "很后悔买了它")),
]  # fmt: skip
JUDGE = (
    ("Is this review positive, negative or mixed? {}", "Sentiment of this review: {}",
     "Classify the review as positive, negative or mixed: {}",
     "What is the sentiment? {}", "Review: {} Positive, negative or mixed?"),
    ("这条评论是正面、负面还是混合？{}", "判断评论的情感：{}", "请判断这条评论的情感（正面、负面、混合）：{}",
     "这条评论的情感是什么？{}", "评论：{}是正面、负面还是混合？"),
)  # fmt: skip
SENTIMENTS = {"positive": "正面", "negative": "负面", "mixed": "混合"}


def sentiment(rng: random.Random, facts: Facts, language: str) -> Sample:
    """Two or three opinions on different aspects: all good, all bad, or some of each."""
    kind = rng.choice(list(SENTIMENTS))

    def opinions() -> tuple[str, ...]:
        aspects = rng.sample(OPINIONS, rng.choice((2, 2, 3)))
        good = [kind == "positive"] * len(aspects)
        if kind == "mixed":
            good = [True, False, rng.random() < 0.5][: len(aspects)]
            rng.shuffle(good)
        start = pick(language, 0, 2)
        return tuple(rng.choice(aspect[start if is_good else start + 1]) for aspect, is_good in zip(aspects, good))

    said = facts.draw("review", opinions)
    review = _review(rng, language, said)
    label = pick(language, kind, SENTIMENTS[kind])
    messages = [user(rng.choice(pick(language, *JUDGE)).format(review)), assistant(label)]
    return Sample("sentiment", language, "commerce", messages, {"label": label})


def _review(rng: random.Random, language: str, opinions: tuple[str, ...]) -> str:
    kind = pick(language, *rng.choice(names.PRODUCT_KINDS))
    if language == "zh":
        opening = rng.choice(("", f"买了这个{kind}，", f"{kind}收到了，", f"关于{kind}："))
        return opening + "，".join(opinions) + rng.choice("。。！")
    opening = rng.choice(("", f"I bought this {kind}. ", f"About the {kind}: ", f"My new {kind}: "))
    text = ", ".join(opinions[:-1]) + " and " + opinions[-1]
    return opening + text[0].upper() + text[1:] + rng.choice("..!")


# Properties of a product: wordings of the question (English, Chinese), their names, and a maker of the value.
PROPERTIES = {
    "price": (("How much is it?", "What does it cost?", "What is the price?"),
              ("多少钱？", "价格是多少？", "这个怎么卖？"), ("price", "价格"),
              lambda rng, zh: f"{rng.randint(9, 999)}元" if zh else f"{rng.randint(9, 999)} dollars"),
    "weight": (("How heavy is it?", "What does it weigh?", "What is the weight?"),
               ("有多重？", "重量是多少？", "它多重？"), ("weight", "重量"),
               lambda rng, zh: f"{rng.randint(10, 999)}克" if zh else f"{rng.randint(10, 999)} g"),
    "color": (("Which color is it?", "What color does it have?", "What is the color?"),
              ("是什么颜色的？", "颜色是什么？", "什么颜色？"), ("color", "颜色"),
              lambda rng, zh: pick("zh" if zh else "en", *rng.choice(COLORS))),
    "warranty": (("How long is the warranty?", "What warranty does it have?", "Is there a warranty?"),
                 ("保修多久？", "保修期是多长？", "有保修吗？"), ("warranty", "保修"),
                 lambda rng, zh: f"{rng.randint(6, 60)}个月" if zh else f"{rng.randint(6, 60)} months"),
    "size": (("How large is it?", "What size is it?", "What is the size?"), ("有多大？", "尺寸是多少？", "它的尺寸？"),
             ("size", "尺寸"),
             lambda rng, zh: f"{rng.randint(5, 99)}厘米" if zh else f"{rng.randint(5, 99)} cm"),
    "material": (("What is it made of?", "Which material is it?", "What is the material?"),
                 ("是什么材料做的？", "材质是什么？", "用什么材料？"), ("material", "材质"),
                 lambda rng, zh: pick("zh" if zh else "en", *rng.choice(MATERIALS))),
    "stock": (("How many are in stock?", "How many do you have?", "What is the stock?"),
              ("还有多少库存？", "库存有多少？", "还剩几件？"), ("in stock", "库存"),
              lambda rng, zh: f"{rng.randint(2, 99)}件" if zh else f"{rng.randint(2, 99)} pieces"),
}  # fmt: skip
COLORS = (
    ("red", "红色"),
    ("blue", "蓝色"),
    ("green", "绿色"),
    ("black", "黑色"),
    ("white", "白色"),
    ("gray", "灰色"),
    ("yellow", "黄色"),
)
MATERIALS = (
    ("steel", "钢"),
    ("wood", "木"),
    ("glass", "玻璃"),
    ("plastic", "塑料"),
    ("leather", "皮革"),
    ("cotton", "棉"),
    ("aluminum", "铝"),
)
NOT_SAID = ("The description does not say.", "说明中没有提到。")


def product_question(rng: random.Random, facts: Facts, language: str) -> Sample:
    """A question on one property of a product's description, which at times lacks it."""
    zh = language == "zh"
    product = facts.product(language)
    properties = rng.sample(list(PROPERTIES), rng.randint(3, 6))
    values = facts.draw("properties", lambda: tuple(PROPERTIES[name][3](rng, zh) for name in properties))
    asked = rng.randrange(len(properties))
    questions = PROPERTIES[properties[asked]][1 if zh else 0]
    answer = values[asked]
    listed = [(pick(language, *PROPERTIES[name][2]), value) for name, value in zip(properties, values)]
    if rng.random() < 0.15:
        answer = pick(language, *NOT_SAID)
        del listed[asked]
    if zh:
        description = f"{product.name}，" + "，".join(f"{name}{value}" for name, value in listed) + "。"
    else:
        description = f"{product.name}: " + ", ".join(f"{name} {value}" for name, value in listed) + "."
    layouts = pick(language, ("{0}\n{1}", "{0} {1}"), ("{0}\n{1}", "{0}{1}"))
    text = rng.choice(layouts).format(description, rng.choice(questions))
    return Sample("product_question", language, "commerce", [user(text), assistant(answer)], {"text": answer})


TASKS = [
    Task("order_number", "commerce", order_number, scoring.exact, 2.0, max_chars=260),
    Task("sentiment", "commerce", sentiment, scoring.label, 2.5, max_chars=300),
    Task("product_question", "commerce", product_question, scoring.exact, 2.0, max_chars=260),
]
