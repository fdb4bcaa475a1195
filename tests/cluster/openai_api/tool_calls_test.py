"""Goal: tools as an application uses them: the `openai` package offers some, the demo model calls one, the client sends the result, the model tells
it. Method: the model that comes with the project, greedy, on two ranks; the prompts are of the kind that it was trained on (training/data/tasks)."""

import json
import unittest

from support import serve_with_client

import openai

MODEL = "switchyard-r1-small"

cluster = None
client = None


def setUpModule():
    global cluster, client
    cluster, client = serve_with_client(MODEL)


def tool(name, description, **properties):
    parameters = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


WEATHER = tool("get_weather", "Weather of a city", city="string")
EXPRESSION = tool("calculate", "Computes an expression", expression="string")
TOOLS = [WEATHER, EXPRESSION]
ASK = {"role": "user", "content": "What is the weather in Paris?"}


def chat(messages, **options):
    return client.chat.completions.create(model=MODEL, messages=messages, temperature=0, **options)


class Tools(unittest.TestCase):
    def test_a_tool_is_called_and_its_result_is_told(self):
        answer = chat([ASK], tools=TOOLS)
        (choice,) = answer.choices
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.assertIsNone(choice.message.content)
        (call,) = choice.message.tool_calls
        self.assertEqual((call.type, call.function.name), ("function", "get_weather"))
        self.assertEqual(json.loads(call.function.arguments), {"city": "Paris"})
        result = {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"sky": "sunny", "degrees": 21})}
        told = chat([ASK, choice.message, result], tools=TOOLS).choices[0]
        self.assertEqual(told.finish_reason, "stop")
        self.assertIsNone(told.message.tool_calls)
        self.assertIn("21", told.message.content)

    def test_a_stream_of_a_call_adds_up_to_the_whole_one(self):
        (whole,) = chat([ASK], tools=TOOLS).choices[0].message.tool_calls
        with chat([ASK], tools=TOOLS, stream=True) as stream:
            chunks = [chunk.choices[0] for chunk in stream]
        calls = [piece for chunk in chunks for piece in chunk.delta.tool_calls or []]
        self.assertEqual((calls[0].index, calls[0].type, calls[0].function.name, calls[0].function.arguments), (0, "function", "get_weather", ""))
        self.assertTrue(calls[0].id)
        self.assertGreater(len(calls), 2)
        for piece in calls[1:]:
            self.assertEqual((piece.index, piece.id, piece.function.name), (0, None, None))
        self.assertEqual("".join(piece.function.arguments for piece in calls), whole.function.arguments)
        self.assertEqual("".join(chunk.delta.content or "" for chunk in chunks), "")
        self.assertEqual([chunk.finish_reason for chunk in chunks if chunk.finish_reason], ["tool_calls"])

    def test_the_packages_own_gathering_of_a_stream(self):
        with client.chat.completions.stream(model=MODEL, messages=[ASK], tools=TOOLS, temperature=0) as stream:
            (call,) = stream.get_final_completion().choices[0].message.tool_calls
        self.assertEqual(json.loads(call.function.arguments), {"city": "Paris"})

    def test_small_talk_with_tools_at_hand_is_answered_in_words(self):
        choice = chat([{"role": "user", "content": "Hello!"}], tools=TOOLS).choices[0]
        self.assertEqual(choice.finish_reason, "stop")
        self.assertIsNone(choice.message.tool_calls)
        self.assertTrue(choice.message.content)

    def test_without_tools_or_with_tool_choice_none_no_marker_is_seen(self):
        for options in ({}, {"tools": TOOLS, "tool_choice": "none"}):
            choice = chat([ASK], max_completion_tokens=64, **options).choices[0]
            self.assertIsNone(choice.message.tool_calls)
            self.assertNotIn("｜", choice.message.content)

    def test_a_history_that_is_wrong_is_refused_by_field(self):
        bad = {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}}]}
        with self.assertRaises(openai.BadRequestError) as caught:
            chat([ASK, bad], tools=TOOLS)
        self.assertEqual(caught.exception.param, "messages[1].tool_calls[0].function.arguments")


class Reasoning(unittest.TestCase):
    ASK = [{"role": "user", "content": "What is 47 + 38?"}]

    def test_it_comes_beside_the_content_streaming_and_not(self):
        options = {"extra_body": {"chat_template_kwargs": {"thinking": True}}}
        answer = chat(self.ASK, **options)
        message = answer.choices[0].message
        self.assertTrue(message.reasoning_content)
        self.assertEqual(message.reasoning, message.reasoning_content)
        self.assertTrue(message.content)
        self.assertNotIn("think>", message.content + message.reasoning)
        self.assertGreater(answer.usage.completion_tokens_details.reasoning_tokens, 0)
        self.assertLess(answer.usage.completion_tokens_details.reasoning_tokens, answer.usage.completion_tokens)
        with chat(self.ASK, stream=True, **options) as stream:
            deltas = [chunk.choices[0].delta for chunk in stream]
        self.assertEqual("".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas), message.reasoning_content)
        self.assertEqual("".join(delta.content or "" for delta in deltas), message.content)

    def test_it_can_be_left_out_or_not_asked_for(self):
        hidden = chat(self.ASK, extra_body={"chat_template_kwargs": {"thinking": True}, "include_reasoning": False}).choices[0].message
        self.assertFalse(hasattr(hidden, "reasoning_content"))
        answer = chat(self.ASK)
        self.assertFalse(hasattr(answer.choices[0].message, "reasoning_content"))
        self.assertEqual(answer.usage.completion_tokens_details.reasoning_tokens, 0)


if __name__ == "__main__":
    unittest.main()
