"""Goal: /openapi.json is a valid description, and every endpoint answers as it says: whole, streamed event by event, and when it refuses.
Method: jsonschema; the demo model answers with text, reasoning and calls, greedy and drawn, so that every kind of piece is seen. (That every route of
the server is described and nothing else is: tests/unit/frontend/openapi_test.cpp.)"""

import json
import unittest

from support import ROOT, Cluster, description, request

MODEL = "switchyard-r1-small"
ASK = [{"role": "user", "content": "What is the weather in Paris?"}]
COUNT = [{"role": "user", "content": "What is 47 + 38?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Weather of a city", "parameters": SCHEMA}

cluster = None


def setUpModule():
    global cluster
    cluster = Cluster.serve(model=ROOT / "models" / MODEL)
    unittest.addModuleCleanup(cluster.__exit__)
    cluster.wait_ready()


def post(path, body, status=200):
    """Checked by request() against the description."""
    got, _, answer = request(cluster, "POST", path, body)
    assert got == status, (got, answer)
    return answer


def kinds(stream):
    """The types of a stream's events."""
    return {json.loads(line.removeprefix("data: ")).get("type") for line in stream.split("\n") if line.startswith("data: ") and "[DONE]" not in line}


class AnswersAreAsDescribed(unittest.TestCase):
    def both(self, path, body):
        post(path, body)
        return post(path, {**body, "stream": True})

    def test_chat(self):
        thinking = {"chat_template_kwargs": {"thinking": True}}
        scores = {"logprobs": True, "top_logprobs": 3, "return_token_ids": True}
        for options in ({}, scores, thinking, {**thinking, **scores}, {"n": 3, "seed": 1, "temperature": 1}, {"stop": "e"},
                        {"messages": ASK, "tools": [{"type": "function", "function": FUNCTION}]}):
            stream = self.both("/v1/chat/completions", {"messages": COUNT, "temperature": 0, "max_tokens": 128, **options})
            self.assertTrue(stream.endswith("data: [DONE]\n\n"))
        post("/v1/chat/completions", {"messages": ASK, "stream": True, "max_tokens": 4, "stream_options": {"include_usage": True}})

    def test_completions(self):
        for options in ({}, {"logprobs": 3, "echo": True}, {"logprobs": 0, "return_token_ids": True}, {"prompt": ["a", "b"], "n": 2}, {"prompt": [1, 2, 3]},
                        {"max_tokens": 0, "echo": True, "logprobs": 1}):
            self.both("/v1/completions", {"prompt": "Hello", "max_tokens": 8, **options})
        post("/v1/completions", {"prompt": "Hello", "stream": True, "stream_options": {"include_usage": True}})

    def test_messages(self):
        seen = set()
        tools = {"messages": ASK, "tools": [{"name": "get_weather", "description": "Weather of a city", "input_schema": SCHEMA}]}
        for options in ({}, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, tools, {"stop_sequences": ["e"]}, {"max_tokens": 2}):
            seen |= kinds(self.both("/v1/messages", {"messages": COUNT, "temperature": 0, "max_tokens": 128, **options}))
        self.assertEqual(seen, {"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"})
        post("/v1/messages/count_tokens", tools)

    def test_responses(self):
        seen = set()
        scores = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
        tools = {"input": ASK, "tools": [{"type": "function", **FUNCTION}]}
        for options in ({}, {"reasoning": {"effort": "low"}}, tools, scores, {"max_output_tokens": 2}, {"store": False, "instructions": "Be brief."}):
            seen |= kinds(self.both("/v1/responses", {"input": COUNT, "temperature": 0, "max_output_tokens": 128, **options}))
        described = description(cluster.port).document["components"]["schemas"]["ResponseEvent"]["oneOf"]
        types = [kind["properties"]["type"] for kind in described]
        self.assertEqual(seen, {name for kind in types for name in kind.get("enum", [kind.get("const")])} - {"response.failed"})
        path = "/v1/responses/" + post("/v1/responses", {"input": "Hi", "max_output_tokens": 2})["id"]
        for method, status in (("GET", 200), ("DELETE", 200), ("GET", 404), ("DELETE", 404)):
            self.assertEqual(request(cluster, method, path)[0], status)

    def test_embeddings(self):
        for options in ({}, {"encoding_format": "base64"}, {"input": ["a", "b"]}, {"input": [1, 2]}):
            post("/v1/embeddings", {"input": "Hello", **options})

    def test_tokens(self):
        tokens = post("/tokenize", {"prompt": "Hello"})["tokens"]
        self.assertEqual(post("/detokenize", {"tokens": tokens[-1:]}).keys(), {"prompt"})
        post("/tokenize", {"messages": ASK, "tools": [{"type": "function", "function": FUNCTION}]})

    def test_what_needs_no_body(self):
        for path in ("/health", "/ready", "/version", "/metrics", "/openapi.json", "/v1/models", f"/v1/models/{MODEL}"):
            self.assertEqual(request(cluster, "GET", path)[0], 200)

    def test_refusals(self):
        for path, body, status in (
                ("/v1/chat/completions", {"messages": 7}, 400), ("/v1/chat/completions", b"{", 400), ("/v1/completions", {"model": "other", "prompt": "x"}, 404),
                ("/v1/messages", {}, 400), ("/v1/messages", {"model": "other"}, 400), ("/v1/messages/count_tokens", b"[]", 400), ("/v1/responses", {}, 400),
                ("/v1/embeddings", {}, 400), ("/tokenize", {}, 400), ("/detokenize", {}, 400), ("/v1/nothing", {}, 404), ("/health", {}, 405)):
            post(path, body, status)
        self.assertEqual(request(cluster, "GET", "/v1/messages")[0], 405)
        self.assertEqual(request(cluster, "GET", "/v1/models/other")[0], 404)


class TheDescription(unittest.TestCase):
    def test_every_reference_leads_somewhere_and_every_schema_is_used(self):
        document = description(cluster.port).document
        self.assertTrue(document["openapi"].startswith("3.1."))
        used = set()

        def walk(value):
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
                if key == "$ref":
                    _, *steps = inner.split("/")
                    target = document
                    for step in steps:
                        target = target[step]
                    used.add(steps[-1])
                walk(inner)

        walk(document)
        self.assertEqual(set(document["components"]["schemas"]) - used, set())

    def test_it_can_tell_a_wrong_answer(self):
        check = description(cluster.port).check
        good = {"tokens": [1], "count": 1, "max_model_len": 9}
        check("POST", "/tokenize", 200, "application/json", json.dumps(good))
        for wrong in ({**good, "more": 1}, {**good, "count": "1"}, {"tokens": [1]}):
            with self.assertRaises(AssertionError):
                check("POST", "/tokenize", 200, "application/json", json.dumps(wrong))
        with self.assertRaises(AssertionError):
            check("POST", "/v1/messages", 200, "text/event-stream", 'event: message_stop\ndata: {"type":"message_start"}\n\n')
        with self.assertRaises(AssertionError):
            check("POST", "/v1/responses", 200, "text/html", "")


if __name__ == "__main__":
    unittest.main()
