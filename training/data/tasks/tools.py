"""Tool calls: choosing one of the offered tools and copying its arguments, telling a result, and when not to call."""

from __future__ import annotations

import random
from typing import Any

from training.data import names, scoring
from training.data.facts import Facts
from training.data.sample import Message, Sample, Task, assistant, call_tool, pick, tool_result, user
from training.data.tasks.chat import OPENINGS, casual, opening, small_talk
from training.data.tasks.knowledge import knowledge_question
from training.data.tasks.toolbox import RESULT_NAMES, TOOLS, Tool, schema


class Offer:
    """A tool under the names that this conversation knows it by."""

    def __init__(self, rng: random.Random, tool: Tool, language: str):
        self.tool = tool
        self.name = rng.choice(tool.names)
        self.parameters: dict[str, str] = {}
        for key, choices in tool.parameters.items():
            self.parameters[key] = rng.choice([name for name in choices if name not in self.parameters.values()])
        self.schema = schema(tool, self.name, self.parameters, language)

    def arguments(self, values: dict[str, Any]) -> dict[str, Any]:
        return {self.parameters[key]: value for key, value in values.items()}


def _offers(rng: random.Random, language: str) -> list[Offer]:
    """One to four tools, described in the user's language or in English."""
    described = rng.choice((language, "en"))
    return [Offer(rng, tool, described) for tool in rng.sample(TOOLS, rng.choice((1, 2, 2, 3, 3, 4)))]


def _request(rng: random.Random, facts: Facts, language: str, offer: Offer) -> tuple[str, dict[str, Any]]:
    """What a user says to have the tool used, and the arguments by key. The whole is a fact: few cities, few rates."""
    tool = offer.tool

    def request() -> tuple[str, dict[str, Any]]:
        values = tool.values(rng, facts, language)
        ask = rng.choice(pick(language, *tool.asks))
        return ask.format(**tool.says(language, values)), values

    return facts.draw("request", request)


def tool_call(rng: random.Random, facts: Facts, language: str) -> Sample:
    if rng.random() < 0.12:
        return _named_call(rng, facts, language)
    offers = _offers(rng, language)
    offer = rng.choice(offers)
    text, values = _request(rng, facts, language, offer)
    messages = opening(rng, language) + [user(text)]
    return _call_sample(language, messages, offer.name, offer.arguments(values), [offer.schema for offer in offers])


NAMED_ASK = (
    ("Call {tool} with {arguments}.", "Use {tool}: {arguments}", "Run {tool} with {arguments}",
     "Please call {tool}, {arguments}."),
    ("调用{tool}，{arguments}。", "使用{tool}：{arguments}", "运行{tool}，{arguments}", "请调用{tool}，{arguments}。"),
)  # fmt: skip
VERBS = ("get", "set", "find", "open", "close", "check", "move", "count", "read", "start")


def _named_call(rng: random.Random, facts: Facts, language: str) -> Sample:
    """A call of a tool nobody has seen before, which the user names along with its arguments."""
    tools, chosen = [], rng.randrange(2)
    for place in range(2):
        name, keys = facts.draw(
            "tool",
            lambda: (
                f"{rng.choice(VERBS)}_{rng.choice(names.WORDS_EN)}",
                rng.sample(names.WORDS_EN, rng.randint(1, 2)),
            ),
        )
        values: list[str | int] = [rng.choice((rng.choice(names.WORDS_EN), rng.randint(1, 99))) for _ in keys]
        types = {key: {"type": "number" if isinstance(value, int) else "string"} for key, value in zip(keys, values)}
        parameters = {"type": "object", "properties": types, "required": keys}
        function = {"name": name, "description": name.replace("_", " "), "parameters": parameters}
        tools.append({"type": "function", "function": function})
        if place == chosen:
            arguments = dict(zip(keys, values))
            said = pick(language, ", ", "，").join(f"{key} {value}" for key, value in arguments.items())
            text = rng.choice(pick(language, *NAMED_ASK)).format(tool=name, arguments=said)
    return _call_sample(language, [user(text)], tools[chosen]["function"]["name"], arguments, tools)


def _call_sample(language: str, messages: list[Message], name: str, arguments: dict, tools: list[dict]) -> Sample:
    expected = {"name": name, "arguments": arguments}
    return Sample("tool_call", language, "general", [*messages, call_tool(name, arguments)], expected, tools=tools)


ERRORS = (("not found", "未找到"), ("the service is down", "服务不可用"), ("not allowed", "没有权限"))


def tool_answer(rng: random.Random, facts: Facts, language: str) -> Sample:
    """The whole conversation: request, call, result, and the answer that tells the result."""
    offers = _offers(rng, language)
    offer = rng.choice(offers)
    text, values = _request(rng, facts, language, offer)
    if rng.random() < 0.12:
        error = pick(language, *rng.choice(ERRORS))
        result = {"error": error}
        answer = pick(language, f"Sorry, that did not work: {error}.", f"抱歉，操作没有成功：{error}。")
    else:
        result = offer.tool.result(rng, facts, language, values)
        answer = pick(language, *offer.tool.answer).format(**values, **result)
        result = {rng.choice(RESULT_NAMES.get(key, (key,))): value for key, value in result.items()}
    messages = opening(rng, language) + [
        user(text),
        call_tool(offer.name, offer.arguments(values)),
        tool_result(result),
        assistant(answer),
    ]
    tools = [offer.schema for offer in offers]
    return Sample("tool_answer", language, "general", messages, {"text": answer}, tools=tools)


def tool_none(rng: random.Random, facts: Facts, language: str) -> Sample:
    """Tools are offered, but the user only talks, or leaves out what a tool needs."""
    offers = _offers(rng, language)
    if rng.random() < 0.5:
        tool = rng.choice(offers).tool
        text, answer = pick(language, *tool.missing), pick(language, *tool.ask_back)
    elif rng.random() < 0.5:
        text, answer = small_talk(rng, language, rng.choice(OPENINGS))
    else:
        text, answer = knowledge_question(rng, language)
    messages = opening(rng, language) + [user(casual(rng, text)), assistant(answer)]
    tools = [offer.schema for offer in offers]
    return Sample("tool_none", language, "general", messages, {"text": answer}, tools=tools)


TASKS = [
    Task("tool_call", "general", tool_call, scoring.tool_call, 4.0, max_chars=400),
    Task("tool_answer", "general", tool_answer, scoring.exact, 1.5, max_chars=500),
    Task("tool_none", "general", tool_none, scoring.exact, 1.0, max_chars=500),
]
