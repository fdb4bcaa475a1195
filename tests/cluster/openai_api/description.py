"""The API's own description (/openapi.json), and answers held against it."""

import functools
import json
import re

import jsonschema


class Description:
    def __init__(self, document):
        self.document = document
        jsonschema.Draft202012Validator.check_schema({"$defs": document["components"]["schemas"]})
        self.paths = [(re.compile(re.sub(r"{[^}]*}$", ".+", path)), path) for path in sorted(document["paths"], key=lambda path: "{" in path)]

    @functools.cache
    def validator(self, path, method, status, content_type):
        """None where there is nothing to hold an answer against: its body is not described as JSON."""
        if path is None or method.lower() not in self.document["paths"][path]:
            answer = self.document["components"]["responses"]["AnthropicError" if path and path.startswith("/v1/messages") else "Error"]
            assert status in (404, 405), (path, method, status)
        else:
            responses = self.document["paths"][path][method.lower()]["responses"]
            answer = responses[str(status)] if str(status) in responses else responses["default"]
        if "$ref" in answer:
            answer = self.document["components"]["responses"][answer["$ref"].rsplit("/", 1)[1]]
        assert content_type in answer["content"], f"{method} {path} answers {status} with {content_type}, which is not described"
        if content_type not in ("application/json", "text/event-stream"):
            return None
        schema = {**answer["content"][content_type]["schema"], "components": self.document["components"]}
        return jsonschema.Draft202012Validator(schema)

    def check(self, method, path, status, content_type, text):
        """Raises if the answer, or an event of the stream that it is, is not as described."""
        path = path.split("?")[0]
        known = next((name for pattern, name in self.paths if pattern.fullmatch(path)), None)
        content_type = content_type.split(";")[0]
        validator = self.validator(known, method, status, content_type)
        if validator is None:
            return
        if content_type != "text/event-stream":
            return self.hold(validator, json.loads(text), f"{method} {path} {status}")
        events = [event.split("\n") for event in text.split("\n\n")]
        assert events.pop() == [""], f"{method} {path}: a stream that ends within an event"
        if known in ("/v1/chat/completions", "/v1/completions") and events[-1] == ["data: [DONE]"]:
            events.pop()
        for lines in events:
            data = json.loads(lines[-1].removeprefix("data: "))
            assert lines[:-1] in ([], [f"event: {data.get('type')}"]), lines
            self.hold(validator, data, f"{method} {path}, an event")

    @staticmethod
    def hold(validator, value, what):
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        assert error is None, f"{what}: {error.json_path}: {error.message}\n{json.dumps(value)[:2000]}"
