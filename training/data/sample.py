"""What a sample and a task are, and small builders for the turns of a conversation.

A sample is one conversation as the OpenAI chat API writes it. Its last turn is the answer that the model should give,
and `expected` is what the task's scorer compares an answer with.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.data.facts import Facts

LANGUAGES = ("en", "zh")

Message = dict[str, Any]


@dataclass
class Sample:
    task: str
    language: str  # one of LANGUAGES
    domain: str  # general, commerce, finance, medical or legal
    messages: list[Message]  # the last one is the assistant's answer
    expected: dict[str, Any]  # for the task's scorer
    tools: list[dict[str, Any]] | None = None  # offered tools, as the API's "tools" field
    thinking: str | None = None  # reasoning before the last turn
    facts: list[str] = field(default_factory=list)  # keys of the facts used: all of the sample's split


Generator = Callable[[random.Random, "Facts", str], Sample]
Scorer = Callable[[dict[str, Any], Message], float]


@dataclass(frozen=True)
class Task:
    """A kind of sample: how one is made and how an answer to it is scored (0 to 1)."""

    name: str
    domain: str
    generate: Generator
    score: Scorer
    weight: float  # share of the mix, relative to the other tasks
    max_chars: int = 1200  # bound of all the turns' text together, checked by the tests


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def call_tool(name: str, arguments: dict[str, Any], call_id: str = "call_0") -> Message:
    """An assistant turn that calls one tool."""
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call_id, "type": "function", "function": function}],
    }


def tool_result(result: dict[str, Any], call_id: str = "call_0") -> Message:
    return {"role": "tool", "tool_call_id": call_id, "content": json.dumps(result, ensure_ascii=False)}


def pick(language: str, en: Any, zh: Any) -> Any:
    """The English or the Chinese one of two things."""
    return zh if language == "zh" else en
