#!/usr/bin/env python3
"""Writes tests/data/schema_suite/draft2020-12.jsonl.zst: the JSON Schema Test Suite's groups for draft 2020-12, one a line.

    pip download --no-binary jsonschema --no-deps jsonschema==4.23.0 && tar xf jsonschema-4.23.0.tar.gz
    make_schema_suite.py jsonschema-4.23.0/json/tests/draft2020-12

A line is {"file","group","schema","tests":[{"test","data","valid"}]}; data is an instance's text, compact, its numbers as the suite writes them.
Left out: what asks for another JSON Schema document, or for a draft other than 2020-12 (optional/cross-draft).
"""
import json
import pathlib
import subprocess
import sys


class Written(float):
    """A number that is written as it was read."""

    def __new__(cls, text):
        number = super().__new__(cls, text)
        number.text = text
        return number


def text_of(value):
    if isinstance(value, Written):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(json.dumps(key, ensure_ascii=False) + ":" + text_of(member) for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def main():
    suite = pathlib.Path(sys.argv[1])
    to = pathlib.Path(__file__).parents[1] / "data/schema_suite/draft2020-12.jsonl.zst"
    to.parent.mkdir(exist_ok=True)
    lines = []
    for file in sorted(suite.rglob("*.json")):
        name = str(file.relative_to(suite).with_suffix(""))
        if name == "optional/cross-draft":
            continue
        for group in json.loads(file.read_text(encoding="utf-8"), parse_float=Written):
            tests = [{"test": t["description"], "data": text_of(t["data"]), "valid": t["valid"]} for t in group["tests"]]
            head = f'{{"file":{json.dumps(name)},"group":{json.dumps(group["description"])},"schema":{text_of(group["schema"])},'
            lines.append(head + f'"tests":{json.dumps(tests, ensure_ascii=False, separators=(",", ":"))}}}')
    subprocess.run(["zstd", "-19", "-f", "-q", "-o", str(to)], input="\n".join(lines).encode() + b"\n", check=True)
    print(len(lines), "groups")


main()
