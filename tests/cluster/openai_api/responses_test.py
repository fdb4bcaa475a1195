"""Goal: the official `openai` package's Responses finds what it expects: answers, streams, tools, reasoning, conversations that go on, errors.
Method: the model that comes with the project, greedy, on two ranks; what it says is compared with what it says by chat. Every answer is held against
/openapi.json on its way."""

import json
import unittest

from support import serve_with_client

import openai

MODEL = "switchyard-r1-small"
WEATHER = {"type": "function", "name": "get_weather", "description": "Weather of a city", "strict": False,
           "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
# A model that is made to call where it would not may fill a text without a bound until its answer is cut.
SHORT_WEATHER = {**WEATHER, "parameters": {**WEATHER["parameters"], "properties": {"city": {"type": "string", "maxLength": 20}}}}
ASK = "What is the weather in Paris?"
COUNT = "What is 47 + 38?"

cluster = None
client = None


def setUpModule():
    global cluster, client
    cluster, client = serve_with_client(MODEL)


def create(input, **options):
    return client.responses.create(model=MODEL, input=input, temperature=0, **options)


def said(response):
    """What an answer says, without what is new in every one."""
    return [item.model_dump(exclude={"id", "call_id", "parsed_arguments", "parsed"}, exclude_none=True) for item in response.output]


class Responses(unittest.TestCase):
    def test_the_answer_is_that_of_chat(self):
        answer = create(COUNT)
        chat = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": COUNT}], temperature=0)
        self.assertEqual((answer.status, answer.object, answer.model), ("completed", "response", MODEL))
        self.assertEqual(answer.output_text, chat.choices[0].message.content)
        self.assertEqual((answer.usage.input_tokens, answer.usage.output_tokens), (chat.usage.prompt_tokens, chat.usage.completion_tokens))

    def test_a_stream_adds_up_to_the_whole_answer(self):
        scores = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
        for input, options in ((COUNT, {}), (COUNT, scores), (ASK, {"tools": [WEATHER]}), (COUNT, {"reasoning": {"effort": "low"}}), (COUNT, {"max_output_tokens": 2})):
            whole = create(input, **options)
            events = list(create(input, stream=True, **options))
            self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
            self.assertEqual(events[-1].type, f"response.{whole.status}")
            self.assertEqual(said(events[-1].response), said(whole))
            self.assertEqual("".join(event.delta for event in events if event.type == "response.output_text.delta"), whole.output_text)
            self.assertEqual([event.item.model_dump() for event in events if event.type == "response.output_item.done"],
                             [item.model_dump() for item in events[-1].response.output])

    def test_the_packages_own_gathering_of_a_stream(self):
        with client.responses.stream(model=MODEL, input=ASK, tools=[WEATHER], temperature=0) as stream:
            final = stream.get_final_response()
        (call,) = final.output
        self.assertEqual((call.name, json.loads(call.arguments)), ("get_weather", {"city": "Paris"}))

    def test_reasoning_is_an_item_of_its_own(self):
        reasoning, message = create(COUNT, reasoning={"effort": "low"}).output
        self.assertEqual((reasoning.type, message.type), ("reasoning", "message"))
        self.assertTrue(reasoning.content[0].text)
        self.assertNotIn("think>", reasoning.content[0].text + message.content[0].text)

    def test_a_tool_is_called_and_its_result_is_told_both_ways(self):
        first = create(ASK, tools=[WEATHER])
        (call,) = first.output
        self.assertEqual((call.type, call.name, json.loads(call.arguments)), ("function_call", "get_weather", {"city": "Paris"}))
        result = {"type": "function_call_output", "call_id": call.call_id, "output": json.dumps({"sky": "sunny", "degrees": 21})}
        by_id = create([result], previous_response_id=first.id, tools=[WEATHER])
        by_items = create([{"role": "user", "content": ASK}, call.model_dump(exclude_none=True), result], tools=[WEATHER])
        self.assertIn("21", by_id.output_text)
        self.assertEqual(by_id.output_text, by_items.output_text)
        self.assertEqual(by_id.usage.input_tokens, by_items.usage.input_tokens)

    def test_a_call_can_be_demanded(self):
        for choice in ("required", {"type": "function", "name": "get_weather"}):
            call = create("Hello!", tools=[SHORT_WEATHER], tool_choice=choice, max_output_tokens=512).output[0]
            self.assertEqual((call.type, call.name), ("function_call", "get_weather"))
            self.assertIsInstance(json.loads(call.arguments)["city"], str)

    def test_the_answers_form_can_be_demanded(self):
        schema = {"type": "object", "properties": {"sum": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["sum"], "additionalProperties": False}
        answer = create(COUNT, text={"format": {"type": "json_schema", "name": "total", "schema": schema, "strict": True}})
        self.assertIsInstance(json.loads(answer.output_text)["sum"], int)
        with self.assertRaises(openai.BadRequestError) as caught:
            create(COUNT, text={"format": {"type": "xml"}})
        self.assertEqual(caught.exception.param, "text.format")

    def test_an_answer_that_is_cut_says_so(self):
        cut = create(COUNT, max_output_tokens=2)
        self.assertEqual((cut.status, cut.incomplete_details.reason, cut.usage.output_tokens), ("incomplete", "max_output_tokens", 2))

    def test_answers_are_stored_until_they_are_deleted(self):
        answer = create(COUNT, metadata={"topic": "sums"})
        again = client.responses.retrieve(answer.id)
        self.assertEqual((again.output_text, again.metadata), (answer.output_text, {"topic": "sums"}))
        client.responses.delete(answer.id)
        with self.assertRaises(openai.NotFoundError):
            client.responses.retrieve(answer.id)
        unstored = create(COUNT, store=False)
        with self.assertRaises(openai.NotFoundError):
            client.responses.retrieve(unstored.id)

    def test_what_is_refused_is_named(self):
        for field, options in (("previous_response_id", {"previous_response_id": "resp_none"}), ("tools[0]", {"tools": [{"type": "web_search"}]}),
                               ("background", {"background": True}), ("truncation", {"truncation": "auto"}), ("max_output_tokens", {"max_output_tokens": 10 ** 6}),
                               ("input[0].content[0]", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]})):
            with self.assertRaises(openai.BadRequestError) as caught:
                create(**{"input": COUNT, **options})
            self.assertEqual(caught.exception.param, field)


if __name__ == "__main__":
    unittest.main()
