"""The tools of the tool-calling tasks: how each is offered, what users say, what it returns and how that is told.

A tool goes by several names, as do its parameters, so that the model learns to read what is offered.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from training.data import names
from training.data.facts import Facts
from training.data.sample import pick

Arguments = dict[str, Any]
Pair = tuple[str, str]  # an English and a Chinese text


@dataclass(frozen=True)
class Tool:
    names: tuple[str, ...]
    description: Pair
    parameters: dict[str, tuple[str, ...]]  # our key of a parameter: the names that it goes by
    asks: tuple[tuple[str, ...], tuple[str, ...]]  # what users say; {key} stands for what they say for a parameter
    values: Callable[[random.Random, Facts, str], Arguments]  # the arguments by key
    result: Callable[[random.Random, Facts, str, Arguments], dict[str, Any]]
    answer: Pair  # how the result is told: {key} of an argument or of the result
    says: Callable[[str, Arguments], Arguments] = lambda language, values: values  # what the user says for the values
    numbers: tuple[str, ...] = ()  # keys of the parameters of type number
    missing: Pair | None = None  # a request without the arguments
    ask_back: Pair | None = None  # what the assistant then asks


# What a result holds goes by other names in other people's services.
RESULT_NAMES = {
    "sky": ("sky", "weather", "condition"), "temperature": ("temperature", "degrees", "temp"), "price": ("price", "cost"),
    "rate": ("rate", "exchange_rate"), "status": ("status", "state"), "flight": ("flight", "flight_number"),
    "leaves": ("leaves", "departure"), "return_number": ("return_number", "return_id"),
}  # fmt: skip


def schema(tool: Tool, name: str, parameter_names: dict[str, str], language: str) -> dict[str, Any]:
    """The tool as an entry of the API's "tools" field, under the chosen names."""
    properties = {
        parameter_names[key]: {"type": "number" if key in tool.numbers else "string"} for key in tool.parameters
    }
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    function = {"name": name, "description": pick(language, *tool.description), "parameters": parameters}
    return {"type": "function", "function": function}


CURRENCIES = {
    "USD": ("US dollars", "美元"), "EUR": ("euros", "欧元"), "CNY": ("yuan", "人民币"), "JPY": ("yen", "日元"),
    "GBP": ("pounds", "英镑"), "KRW": ("won", "韩元"), "CHF": ("francs", "法郎"), "INR": ("rupees", "卢比"),
}  # fmt: skip
REASONS = (("it is broken", "坏了"), ("wrong size", "尺码不对"), ("wrong item", "发错货"), ("not needed", "不需要了"),
           ("wrong color", "颜色不对"), ("poor quality", "质量不好"))  # fmt: skip
COLORS = (("red", "红色"), ("blue", "蓝色"), ("green", "绿色"), ("black", "黑色"), ("white", "白色"))
SKIES = (("sunny", "晴"), ("cloudy", "多云"), ("rainy", "有雨"), ("windy", "有风"), ("foggy", "有雾"))
STATUSES = (
    ("being packed", "正在打包"),
    ("on its way", "运输中"),
    ("at the post office", "已到邮局"),
    ("delayed", "已延误"),
)
ERRANDS = (
    ("call the doctor", "给医生打电话"), ("buy milk", "买牛奶"), ("pay the rent", "交房租"),
    ("water the plants", "浇花"),
    ("send the report", "发送报告"), ("pick up the parcel", "取包裹"), ("feed the cat", "喂猫"),
    ("book a table", "订位子"),
)  # fmt: skip
NOTES = (
    ("I am late", "我会晚到"), ("see you tomorrow", "明天见"), ("the meeting is at noon", "会议在中午"),
    ("happy birthday", "生日快乐"),
    ("please call me", "请给我打电话"), ("the report is ready", "报告写好了"),
    ("thank you for the help", "谢谢你的帮助"),
)  # fmt: skip


def _time(rng: random.Random) -> str:
    return f"{rng.randint(8, 19):02}:{rng.choice(('00', '15', '30', '45'))}"


def _order(rng: random.Random, facts: Facts, language: str) -> Arguments:
    return {"order": facts.order_number()}


def _return(rng: random.Random, facts: Facts, language: str) -> Arguments:
    return {"order": facts.order_number(), "reason": pick(language, *rng.choice(REASONS))}


def _search(rng: random.Random, facts: Facts, language: str) -> Arguments:
    def query() -> tuple[str, int]:
        color, kind = pick(language, *rng.choice(COLORS)), pick(language, *rng.choice(names.PRODUCT_KINDS))
        return color + pick(language, " ", "") + kind, rng.randint(2, 99) * 10

    text, price = facts.draw("search", query)
    return {"query": text, "price": price}


def _rate(rng: random.Random, facts: Facts, language: str) -> Arguments:
    source, target = rng.sample(list(CURRENCIES), 2)
    return {"source": source, "target": target}


def _say_currencies(language: str, values: Arguments) -> Arguments:
    return {key: pick(language, *CURRENCIES[code]) for key, code in values.items()}


def _appointment(rng: random.Random, facts: Facts, language: str) -> Arguments:
    return {"name": facts.person(language), "date": facts.date(2025, 2027).iso(), "time": _time(rng)}


def _city(rng: random.Random, facts: Facts, language: str) -> Arguments:
    return {"city": facts.city(language)}


def _company(rng: random.Random, facts: Facts, language: str) -> Arguments:
    return {"company": facts.company(language)}


def _message(rng: random.Random, facts: Facts, language: str) -> Arguments:
    return {"to": facts.person(language), "text": pick(language, *rng.choice(NOTES))}


def _reminder(rng: random.Random, facts: Facts, language: str) -> Arguments:
    return {"text": pick(language, *rng.choice(ERRANDS)), "time": _time(rng)}


def _expression(rng: random.Random, facts: Facts, language: str) -> Arguments:
    a, b = facts.draw("expression", lambda: (rng.randint(11, 999), rng.randint(11, 999)))
    return {"expression": f"{a} {rng.choice('+-*')} {b}"}


def _calculate(rng: random.Random, facts: Facts, language: str, values: Arguments) -> dict[str, Any]:
    a, sign, b = values["expression"].split()
    return {"result": {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b)}[sign]}


def _flight(rng: random.Random, facts: Facts, language: str) -> Arguments:
    source, target = rng.sample(names.CITIES, 2)
    return {"source": pick(language, *source), "target": pick(language, *target), "date": facts.date(2025, 2027).iso()}


def _done(rng: random.Random, facts: Facts, language: str, values: Arguments) -> dict[str, Any]:
    return {"ok": True}


TOOLS = [
    Tool(
        ("get_order_status", "order_status", "track_order"), ("Status of an order", "查询订单状态"),
        {"order": ("order_number", "order_id", "order")},
        (("Where is my order {order}?", "What is the status of order {order}?", "Has {order} been shipped?",
          "Track order {order}.",
          "When will order {order} arrive?", "Please check {order} for me."),
         ("我的订单{order}到哪了？", "查一下订单{order}的状态。", "{order}发货了吗？", "订单{order}什么时候到？",
          "帮我查订单{order}", "请跟踪{order}。")),
        _order, lambda rng, facts, language, values: {"status": pick(language, *rng.choice(STATUSES)),
                                                      "arrives": facts.date(2025, 2027).iso()},
        ("Order {order} is {status} and arrives on {arrives}.", "订单{order}{status}，预计{arrives}送达。"),
        missing=("Where is my order?", "我的订单到哪了？"), ask_back=("What is your order number?",
                                                                      "请问您的订单号是多少？"),
    ),
    Tool(
        ("start_return", "create_return", "return_order"), ("Register the return of an order", "登记退货"),
        {"order": ("order_number", "order_id", "order"), "reason": ("reason", "return_reason")},
        (("Please return order {order}, reason: {reason}.", "I want to return {order}: {reason}.",
          "Start a return for order {order} ({reason}).",
          "Send back {order}: {reason}."),
         ("请退掉订单{order}，原因：{reason}。", "我要退货，订单{order}，{reason}。",
          "给订单{order}办理退货（{reason}）。", "订单{order}{reason}，我要退货。")),
        _return, lambda rng, facts, language, values: {"return_number": facts.order_number()},
        ("The return of order {order} is registered. The return number is {return_number}.",
         "订单{order}的退货已登记，退货编号是{return_number}。"),
        missing=("I want to return my order.", "我想退货。"),
        ask_back=("What is your order number, and why do you return it?", "请问您的订单号是多少？退货原因是什么？"),
    ),
    Tool(
        ("cancel_order", "order_cancel"), ("Cancel an order", "取消订单"),
        {"order": ("order_number", "order_id", "order")},
        (("Cancel order {order}.", "Please cancel {order}.", "I no longer want order {order}, cancel it.",
          "Stop my order {order}, please."),
         ("取消订单{order}。", "请帮我取消{order}。", "订单{order}不要了，取消吧。", "我想取消订单{order}")),
        _order, _done, ("Order {order} is cancelled.", "订单{order}已取消。"),
        missing=("Cancel my order.", "取消我的订单。"), ask_back=("What is your order number?",
                                                                  "请问您的订单号是多少？"),
    ),
    Tool(
        ("search_product", "find_product", "search_items"), ("Search products up to a price", "按价格上限搜索商品"),
        {"query": ("query", "keywords", "text"), "price": ("max_price", "price_limit")},
        (("Find me a {query} under {price} dollars.", "I look for a {query}, at most {price} dollars.",
          "Search for a {query} up to {price} dollars.",
          "Do you have a {query} for less than {price} dollars?"),
         ("帮我找{price}元以内的{query}。", "我想买{query}，不超过{price}元。", "搜索{query}，最高{price}元。",
          "有{price}元以下的{query}吗？")),
        _search, lambda rng, facts, language, values: {"name": facts.product(language).name,
                                                       "price_now": rng.randint(9, values["price"])},
        ("I found the {name} for {price_now} dollars.", "找到了{name}，价格{price_now}元。"), numbers=("price",),
        missing=("I want to buy something.", "我想买点东西。"),
        ask_back=("What do you look for, and up to which price?", "请问您想买什么？价格上限是多少？"),
    ),
    Tool(
        ("get_exchange_rate", "exchange_rate", "currency_rate"), ("Exchange rate of two currencies",
                                                                  "查询两种货币的汇率"),
        {"source": ("from", "base", "from_currency"), "target": ("to", "target", "to_currency")},
        (("What is the exchange rate from {source} to {target}?", "How much are {source} in {target}?",
          "I want to change {source} into {target}.",
          "Rate of {source} to {target}?"),
         ("{source}兑{target}的汇率是多少？", "{source}换成{target}怎么算？", "我想把{source}换成{target}。",
          "查{source}对{target}的汇率")),
        _rate, lambda rng, facts, language, values: {"rate": round(rng.uniform(0.05, 9), 2)},
        ("1 {source} is {rate} {target}.", "1 {source}等于{rate} {target}。"), says=_say_currencies,
        missing=("What is the exchange rate?", "汇率是多少？"), ask_back=("Between which currencies?",
                                                                          "请问是哪两种货币？"),
    ),
    Tool(
        ("create_appointment", "book_appointment", "add_appointment"), ("Book an appointment", "预约"),
        {"name": ("name", "person", "patient"), "date": ("date", "day"), "time": ("time", "hour")},
        (("Book an appointment for {name} on {date} at {time}.",
          "I need an appointment on {date} at {time}, my name is {name}.",
          "Make an appointment at {time} on {date} for {name}.", "{name} would like to come on {date} at {time}."),
         ("给{name}预约{date} {time}。", "我叫{name}，想预约{date} {time}。", "请在{date} {time}为{name}预约。",
          "{name}想在{date} {time}过来。")),
        _appointment, _done, ("The appointment of {name} is on {date} at {time}.", "{name}的预约时间是{date} {time}。"),
        missing=("I need an appointment.", "我想预约。"), ask_back=("For whom, on which date and at what time?",
                                                                    "请问是谁预约？哪天几点？"),
    ),
    Tool(
        ("get_weather", "weather", "current_weather"), ("Weather of a city", "查询城市天气"),
        {"city": ("city", "location", "place")},
        (("What is the weather in {city}?", "How is the weather in {city} today?", "Weather in {city}?",
          "Is it raining in {city}?", "Tell me the weather of {city}."),
         ("{city}天气怎么样？", "今天{city}的天气如何？", "{city}下雨了吗？", "查一下{city}的天气。", "{city}天气")),
        _city, lambda rng, facts, language, values: {"sky": pick(language, *rng.choice(SKIES)),
                                                     "temperature": rng.randint(4, 38)},
        ("In {city} it is {sky}, {temperature} degrees.", "{city}{sky}，气温{temperature}度。"),
        missing=("How is the weather?", "天气怎么样？"), ask_back=("In which city?", "请问是哪个城市？"),
    ),
    Tool(
        ("get_stock_price", "stock_price", "share_price"), ("Share price of a company", "查询公司股价"),
        {"company": ("company", "company_name", "name")},
        (("What is the share price of {company}?", "How much is a share of {company}?", "Stock price of {company}?",
          "What does {company} stock cost?"),
         ("{company}的股价是多少？", "{company}一股多少钱？", "查{company}的股价", "{company}股票现在什么价？")),
        _company, lambda rng, facts, language, values: {"price": round(rng.uniform(2, 99), 1)},
        ("A share of {company} costs {price} dollars.", "{company}的股价是{price}元。"),
        missing=("What is the share price?", "股价是多少？"), ask_back=("Of which company?", "请问是哪家公司？"),
    ),
    Tool(
        ("send_message", "write_message", "send_text"), ("Send a message to a person", "给某人发消息"),
        {"to": ("to", "recipient"), "text": ("text", "message", "body")},
        (("Send {to} a message: {text}", "Write to {to}: {text}", "Tell {to}: {text}", "Message to {to}: {text}"),
         ("给{to}发消息：{text}", "告诉{to}：{text}", "发短信给{to}：{text}", "给{to}留言：{text}")),
        _message, _done, ("I sent the message to {to}.", "消息已发给{to}。"),
        missing=("Send a message.", "发一条消息。"), ask_back=("To whom, and what shall it say?",
                                                               "请问发给谁？内容是什么？"),
    ),
    Tool(
        ("set_reminder", "add_reminder", "create_reminder"), ("Set a reminder for today", "设置今天的提醒"),
        {"text": ("text", "what", "title"), "time": ("time", "at")},
        (("Remind me at {time}: {text}", "Set a reminder for {time}: {text}", "At {time} remind me to {text}.",
          "Reminder at {time}: {text}"),
         ("{time}提醒我{text}。", "设置{time}的提醒：{text}", "请在{time}提醒我{text}。", "提醒：{time}，{text}")),
        _reminder, _done, ("I will remind you at {time}: {text}.", "我会在{time}提醒您：{text}。"),
        missing=("Set a reminder.", "设置提醒。"), ask_back=("For what, and at what time?", "请问提醒什么？几点？"),
    ),
    Tool(
        ("calculate", "calculator", "compute"), ("Work out an expression", "计算算式"),
        {"expression": ("expression", "formula", "input")},
        (("Use the calculator: {expression}", "Calculate {expression} with the tool.", "Work out {expression}",
          "What does the calculator say to {expression}?"),
         ("用计算器算{expression}", "请用工具计算{expression}", "计算器：{expression}", "用工具算一下{expression}")),
        _expression, _calculate, ("{expression} = {result}", "{expression} = {result}"),
        missing=("I need the calculator.", "我要用计算器。"), ask_back=("What shall I calculate?", "请问要计算什么？"),
    ),
    Tool(
        ("find_flight", "search_flight", "flight_search"), ("Find a flight", "查询航班"),
        {"source": ("from", "origin"), "target": ("to", "destination"), "date": ("date", "day")},
        (("Find a flight from {source} to {target} on {date}.", "I want to fly from {source} to {target} on {date}.",
          "Flights on {date} from {source} to {target}?",
          "Which flight goes from {source} to {target} on {date}?"),
         ("查{date}从{source}到{target}的航班。", "我想{date}从{source}飞到{target}。",
          "{date}有{source}到{target}的航班吗？", "找一下{date}{source}飞{target}的航班")),
        _flight, lambda rng, facts, language, values: {"flight": facts.order_number(), "leaves": _time(rng)},
        ("Flight {flight} leaves {source} at {leaves}.", "航班{flight}于{leaves}从{source}起飞。"),
        missing=("I want to book a flight.", "我想订机票。"), ask_back=("From where to where, and on which date?",
                                                                        "请问从哪里到哪里？哪天出发？"),
    ),
]  # fmt: skip
