"""Scorers shared by the tasks: each compares the assistant message of an answer with a sample's `expected`.

Which keys of `expected` a scorer reads is in its docstring. Scores lie in [0, 1]; 1 means right.
"""

from __future__ import annotations

import json
import re
from typing import Any

from training.data.sample import Message

Expected = dict[str, Any]


def normalised(text: str | None) -> str:
    """The text with case, white space and the width of punctuation evened out."""
    wide = str.maketrans("，。：；！？（）％", ",.:;!?()%")
    return re.sub(r"\s+", " ", (text or "").translate(wide)).strip().lower()


def normalised_lines(text: str | None) -> list[str]:
    return [normalised(line) for line in (text or "").splitlines() if line.strip()]


def exact(expected: Expected, answer: Message) -> float:
    """1 if the answer is `text`, or one of the `texts`."""
    texts = expected.get("texts") or [expected["text"]]
    return float(normalised(answer.get("content")) in {normalised(text) for text in texts})


def contains(expected: Expected, answer: Message) -> float:
    """The share of `values` that occur in the answer, as whole words or numbers."""
    content = normalised(answer.get("content"))
    values = expected["values"]
    return sum(_occurs(normalised(str(value)), content) for value in values) / len(values)


def label(expected: Expected, answer: Message) -> float:
    """1 if the answer's first line begins with `label`, whatever the reason that follows it."""
    content = normalised(answer.get("content"))
    wanted = normalised(expected["label"])
    return float(content.startswith(wanted) and not re.match(r"[a-z0-9]", content[len(wanted) :]))


def verdict(expected: Expected, answer: Message) -> float:
    """1 if the answer ends with `label`, after the reasons for it."""
    *reasons, last = re.split(r"[:.]", normalised(answer.get("content")).rstrip("."))
    return float(bool(reasons) and last.strip() == normalised(expected["label"]))


def fields(expected: Expected, answer: Message) -> float:
    """The share of `fields` (name to value) that the answer's lines, each 'name: value', give exactly."""
    given: dict[str, str] = {}
    for line in (answer.get("content") or "").splitlines():
        name, _, value = normalised(line).partition(":")
        given[name.strip()] = value.strip()
    wanted = expected["fields"]
    return sum(given.get(normalised(name)) == normalised(str(value)) for name, value in wanted.items()) / len(wanted)


def json_fields(expected: Expected, answer: Message) -> float:
    """The share of `fields` (name to value) that the answer, a JSON object, gives exactly; 0 for other text."""
    try:
        given = json.loads(answer.get("content") or "")
    except ValueError:
        return 0.0
    if not isinstance(given, dict):
        return 0.0
    wanted = expected["fields"]
    return sum(given.get(name) == value for name, value in wanted.items()) / len(wanted)


def tool_call(expected: Expected, answer: Message) -> float:
    """Half for calling the tool `name` with valid JSON, half for the share of `arguments` that are exact."""
    calls = parsed_tool_calls(answer)
    if not calls or len(calls) != 1 or calls[0][0] != expected["name"]:
        return 0.0
    given, wanted = calls[0][1], expected["arguments"]
    names = set(given) | set(wanted)
    right = sum(name in given and name in wanted and given[name] == wanted[name] for name in names)
    return 0.5 + 0.5 * (right / len(names) if names else 1.0)


def parsed_tool_calls(answer: Message) -> list[tuple[str, dict[str, Any]]] | None:
    """Names and arguments of the answer's tool calls; None if the arguments of one are no JSON object."""
    calls = []
    for call in answer.get("tool_calls") or []:
        try:
            arguments = json.loads(call["function"]["arguments"])
        except (KeyError, TypeError, ValueError):
            return None
        if not isinstance(arguments, dict):
            return None
        calls.append((call["function"]["name"], arguments))
    return calls


def _occurs(value: str, content: str) -> bool:
    """Whether the value stands in the content and is no part of a longer (Latin) word or number."""
    before = r"(?<![a-z0-9])" if re.match(r"[a-z0-9]", value) else ""
    after = r"(?![a-z0-9]|[.,]\d)" if re.search(r"[a-z0-9]$", value) else ""
    return re.search(before + re.escape(value) + after, content) is not None
