"""Scores a served model on the test split: python -m training.evaluate --url http://127.0.0.1:8000/v1 --count 50
or, to serve the model too while it lasts:       python -m training.evaluate --serve models/switchyard-r1-small

Asks for `--count` answers per task at temperature 0, scores each by its task, and prints a table per task and language,
with the share of tool calls whose arguments are valid JSON. --output writes table and scores as JSON.
"""

from __future__ import annotations

import argparse
import json
import urllib.error
import urllib.request
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from training.data import TASKS, generate
from training.data.sample import LANGUAGES, Message, Sample
from training.served import PROGRAM, served

# As training/tokenizer.py has them, which is not imported: this program needs no packages.
CALLS_BEGIN, CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL_BEGIN, CALL_SEPARATOR, CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
END_OF_SENTENCE = "<｜end▁of▁sentence｜>"
SEED, CONCURRENCY, TIMEOUT_SECONDS = 1, 8, 600


@dataclass
class Result:
    sample: Sample
    answer: Message
    score: float


def ask(url: str, sample: Sample, max_tokens: int = 300) -> Message:
    """The assistant's message that the server answers with; tool calls that it left in the text are taken out of it."""
    body: dict[str, Any] = {
        "messages": sample.messages[:-1],
        "temperature": 0,
        "max_tokens": max_tokens,
        "skip_special_tokens": False,  # tool calls are written with special tokens
    }
    if sample.tools:
        body["tools"] = sample.tools
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            message: Message = json.load(response)["choices"][0]["message"]
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url}: {error.code} {error.read().decode()}") from None
    return message if message.get("tool_calls") else from_text(message.get("content") or "")


def from_text(text: str) -> Message:
    """A message of the model's text: what stands before the tool calls, and the calls."""
    content, begin, calls_text = text.removesuffix(END_OF_SENTENCE).partition(CALLS_BEGIN)
    calls = []
    for call in calls_text.removesuffix(CALLS_END).split(CALL_BEGIN)[1:]:
        name, _, arguments = call.strip().removesuffix(CALL_END).partition(CALL_SEPARATOR)
        calls.append({"type": "function", "function": {"name": name, "arguments": arguments}})
    return {"role": "assistant", "content": content or None, "tool_calls": calls or None}


def evaluate(url: str, tasks: list[str], count: int) -> list[Result]:
    samples = [sample for task in tasks for sample in islice(generate("test", SEED, task), count)]
    with ThreadPoolExecutor(CONCURRENCY) as threads:
        answers = threads.map(lambda sample: ask(url, sample), samples)
        return [Result(s, a, TASKS[s.task].score(s.expected, a)) for s, a in zip(samples, answers)]


def valid_json_share(results: list[Result]) -> tuple[float, int]:
    """Of all tool calls that were made: the share with a JSON object as arguments, and how many calls there were."""
    texts = [call["function"]["arguments"] for one in results for call in one.answer.get("tool_calls") or []]
    return (sum(map(_is_object, texts)) / len(texts) if texts else 0.0), len(texts)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def scores(results: list[Result]) -> dict[str, dict[str, list[float]]]:
    """Scores by task and language."""
    groups: dict[str, dict[str, list[float]]] = defaultdict(lambda: {language: [] for language in LANGUAGES})
    for one in results:
        groups[one.sample.task][one.sample.language].append(one.score)
    return dict(sorted(groups.items()))


def table(results: list[Result]) -> str:
    """Markdown: mean score and share of full scores of each task, by language."""
    heads = ["task", "domain", *LANGUAGES, "score", "all right"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    by_task = scores(results)
    for task, languages in by_task.items():
        lines.append(_row(task, TASKS[task].domain, languages))
    means = {language: [r.score for r in results if r.sample.language == language] for language in LANGUAGES}
    lines.append(_row("**mean**", "", means))
    valid, calls = valid_json_share(results)
    lines += ["", f"Tool calls with valid JSON: {valid:.1%} of {calls}."]
    return "\n".join(lines)


def _row(name: str, domain: str, languages: dict[str, list[float]]) -> str:
    both = [score for group in languages.values() for score in group]
    cells = [*languages.values(), both, [score == 1 for score in both]]
    return f"| {name} | {domain} | {' | '.join(map(_percent, cells))} |"


def _percent(values: list[Any]) -> str:
    return f"{100 * sum(values) / len(values):.0f} %" if values else "–"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.splitlines()[0])
    server = parser.add_mutually_exclusive_group(required=True)
    server.add_argument("--url", help="base URL of a server, such as http://127.0.0.1:8000/v1")
    server.add_argument("--serve", type=Path, metavar="MODEL_DIR", help="serve this model as long as it takes")
    parser.add_argument("--program", type=Path, default=PROGRAM, help="what serves it")
    parser.add_argument("--count", type=int, default=50, help="samples of each task")
    parser.add_argument("--task", choices=sorted(TASKS), action="append", help="only these tasks (default: all)")
    parser.add_argument("--output", type=Path, help="file for the results as JSON")
    parser.add_argument("--show-wrong", type=int, default=0, metavar="N", help="print N wrong answers of each task")
    arguments = parser.parse_args()
    serving = served(arguments.serve, program=arguments.program) if arguments.serve else nullcontext(arguments.url)
    with serving as url:
        results = evaluate(url.rstrip("/"), arguments.task or sorted(TASKS), arguments.count)
    text = table(results)
    print(text)
    shown: dict[str, int] = defaultdict(int)
    for one in results:
        if one.score < 1 and shown[one.sample.task] < arguments.show_wrong:
            shown[one.sample.task] += 1
            question, wanted = one.sample.messages[-2]["content"], one.sample.messages[-1]
            print(f"\n{one.sample.task}: {question}\n  wanted {_said(wanted)}\n  got    {_said(one.answer)}")
    if arguments.output:
        document = json.dumps({"table": text, "scores": scores(results)}, ensure_ascii=False, indent=1)
        arguments.output.write_text(document + "\n", encoding="utf-8")


def _said(message: Message) -> str:
    calls = [f"{c['function']['name']}({c['function']['arguments']})" for c in message.get("tool_calls") or []]
    return " ".join([message.get("content") or "", *calls]).strip()


if __name__ == "__main__":
    main()
