"""Goal: what a request says of its answer's form holds, whatever the model would rather say.
Method: the demo model at temperature 2, where its own answers are noise; answers are checked by `jsonschema`, `re` and by eye."""

import collections
import concurrent.futures
import json
import re
import unittest

from support import ROOT, Cluster, request, use_venv

use_venv()
import jsonschema  # noqa: E402
import openai  # noqa: E402

cluster = None
MODEL = "small"
SCHEMAS = [
    {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150}}, "required": ["name", "age"]},
    {"type": "object", "properties": {"ok": {"type": "boolean"}, "tags": {"type": "array", "items": {"enum": ["a", "b", "é"]}, "maxItems": 4}, "note": {"type": ["string", "null"], "maxLength": 12}}},
    {"$defs": {"node": {"type": "object", "properties": {"v": {"type": "number"}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}}, "required": ["v", "next"], "additionalProperties": False}},
     "$ref": "#/$defs/node"},
    {"type": "array", "prefixItems": [{"type": "string", "format": "date"}, {"type": "number", "exclusiveMinimum": 0.25, "maximum": 17.5}], "items": False, "minItems": 2},
    {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 3},
    {"oneOf": [{"type": "object", "properties": {"kind": {"const": "circle"}, "radius": {"type": "number", "minimum": 0}}, "required": ["kind", "radius"]},
               {"type": "object", "properties": {"kind": {"const": "name"}, "of": {"type": "string", "pattern": "^[a-z]{1,8}( [A-Z]\\.)?$"}}, "required": ["kind", "of"]}]},
    {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}, "ip": {"type": "string", "format": "ipv4"}, "mail": {"type": "string", "format": "email"}}, "required": ["id", "ip", "mail"]},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"const": "x"}}, "required": ["b"]}]},
]
INVOICE = "Read this invoice, answer in JSON: Invoice Z8264\nSeller: Northfield Foods\nBuyer: Emma Stone\nDate: 2021-05-23\n9 x heater at 153\nTotal: 1377 dollars"
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"]}}},
         {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {"zone": {"enum": ["UTC", "CET"]}}, "required": ["zone"]}}}]


def setUpModule():
    global cluster
    cluster = Cluster.serve("--served-model-name", MODEL, model=ROOT / "models" / "switchyard-r1-small", ranks=1)
    unittest.addModuleCleanup(cluster.__exit__)
    cluster.wait_ready()


def answer(**fields):
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Describe a person."}], "temperature": 2.0, "max_tokens": 200, **fields}
    status, _, body = request(cluster, "POST", "/v1/chat/completions", body)
    assert status == 200, (status, body)
    return body["choices"][0]


def chat(**fields):
    choice = answer(**fields)
    return choice["message"]["content"], choice["finish_reason"]


def valid(schema, text):
    jsonschema.validate(json.loads(text), schema, cls=jsonschema.Draft202012Validator, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


class StructuredOutputs(unittest.TestCase):
    def test_200_answers_at_temperature_2_are_valid_under_their_schemas(self):
        reasons = collections.Counter()

        def one(seed):
            schema = SCHEMAS[seed % len(SCHEMAS)]
            text, reason = chat(seed=seed, response_format={"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}})
            if reason == "stop":
                valid(schema, text)
            return reason

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            reasons.update(pool.map(one, range(200)))
        self.assertEqual(set(reasons) - {"stop", "length"}, set())
        self.assertGreater(reasons["stop"], 120, reasons)

    def test_json_object_answers_are_objects(self):
        whole = 0
        for seed in range(20):
            text, reason = chat(messages=[{"role": "user", "content": INVOICE}], seed=seed, temperature=0.7 + seed / 40, response_format={"type": "json_object"})
            self.assertTrue(text.startswith("{"))
            if reason == "stop":
                self.assertIsInstance(json.loads(text), dict)
                whole += 1
        self.assertGreater(whole, 10)

    def test_vllm_fields_hold(self):
        for seed in range(8):
            regex = r"(Mr|Ms) [A-Z][a-zé]{2,9}, \d{1,3}"
            for field in ({"structured_outputs": {"regex": regex}}, {"guided_regex": regex}):
                text, reason = chat(seed=seed, **field)
                self.assertEqual(reason, "stop")
                self.assertRegex(text, re.compile(regex + r"\Z"))
            choices = ["red", "green", "redder", "日本"]
            self.assertIn(chat(seed=seed, structured_outputs={"choice": choices})[0], choices)
            grammar = 'root ::= pair ("," pair){0,2} # pairs\npair ::= [0-9] "=" ("yes" | "no")'
            self.assertRegex(chat(seed=seed, guided_grammar=grammar)[0], r"\A\d=(yes|no)(,\d=(yes|no)){0,2}\Z")

    def test_the_end_comes_without_an_end_token_too(self):
        for ignore_eos in (False, True):
            text, reason = chat(ignore_eos=ignore_eos, structured_outputs={"choice": ["only this"]})
            self.assertEqual((text, reason), ("only this", "stop"))

    def test_greedy_answers_obey_too(self):
        text, reason = chat(temperature=0, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMAS[7]}})
        self.assertEqual(reason, "stop")
        valid(SCHEMAS[7], text)

    def test_streams_carry_the_same_answer(self):
        fields = {"seed": 5, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMAS[7]}}}
        with openai.OpenAI(base_url=cluster.url + "/v1", api_key="none", max_retries=0, timeout=60) as client:
            messages = [{"role": "user", "content": "Describe a person."}]
            chunks = list(client.chat.completions.create(model=MODEL, messages=messages, temperature=2.0, max_tokens=200, stream=True, **fields))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual((text, chunks[-1].choices[0].finish_reason), chat(**fields))

    def test_tool_choice_required_and_named(self):
        for seed in range(6):
            choice = answer(seed=seed, tools=TOOLS, tool_choice="required", max_tokens=400)
            if choice["finish_reason"] != "length":
                self.assertEqual(choice["finish_reason"], "tool_calls")
                for call in choice["message"]["tool_calls"]:
                    function = call["function"]
                    parameters = next(t["function"]["parameters"] for t in TOOLS if t["function"]["name"] == function["name"])
                    jsonschema.validate(json.loads(function["arguments"]), parameters)
            choice = answer(seed=seed, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "clock"}})
            function = choice["message"]["tool_calls"][0]["function"]
            self.assertEqual((function["name"], choice["finish_reason"]), ("clock", "stop"))
            self.assertIn(json.loads(function["arguments"]), [{"zone": "UTC"}, {"zone": "CET"}])

    def test_reasoning_comes_before_the_form(self):
        reasoned = 0
        for seed in range(12):
            choice = answer(messages=[{"role": "user", "content": "Tell me what 47 + 32 is."}], seed=seed, temperature=1,
                            chat_template_kwargs={"thinking": True}, structured_outputs={"regex": "=[0-9]{2}"})
            if choice["finish_reason"] == "stop":
                self.assertRegex(choice["message"]["content"], r"\A\n{0,3}=[0-9]{2}\Z")
                reasoned += bool(choice["message"].get("reasoning_content"))
        self.assertGreater(reasoned, 6)

    def test_refusals_name_the_field_and_the_place(self):
        schema = {"type": "object", "properties": {"x": {"not": {"type": "null"}}}}
        body = {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}
        status, _, body = request(cluster, "POST", "/v1/chat/completions", body)
        self.assertEqual(status, 400)
        self.assertEqual(body["error"]["message"], 'response_format.json_schema.schema: /properties/x/not: "not" is not supported')
        self.assertEqual(body["error"]["param"], "response_format")


if __name__ == "__main__":
    unittest.main()
