"""Goal: the official `anthropic` package finds what it expects: answers, streams, tools, thinking, counts, errors.
Method: the model that comes with the project, greedy, on two ranks with a key; what it says is compared with what it says to the `openai` package.
Every answer is held against /openapi.json on its way."""

import json
import unittest

from support import ROOT, Cluster, checked_client, idle, request, wait_for

import anthropic
import openai

MODEL = "switchyard-r1-small"
KEY = "sk-messages"
WEATHER = {"name": "get_weather", "description": "Weather of a city",
           "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
# A model that is made to call where it would not may fill a text without a bound until its answer is cut.
SHORT_WEATHER = {**WEATHER, "input_schema": {**WEATHER["input_schema"], "properties": {"city": {"type": "string", "maxLength": 20}}}}
ASK = {"role": "user", "content": "What is the weather in Paris?"}
GREEDY = {"temperature": 0}  # the package has no argument for it any more
COUNT = {"role": "user", "content": "What is 47 + 38?"}

cluster = None
client = None
chat_client = None


def setUpModule():
    global cluster, client, chat_client
    cluster = Cluster.serve("--api-key", KEY, model=ROOT / "models" / MODEL)
    unittest.addModuleCleanup(cluster.__exit__)
    url = cluster.wait_ready()
    client = anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0, timeout=120, http_client=checked_client())
    unittest.addModuleCleanup(client.close)
    chat_client = openai.OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0, timeout=120, http_client=checked_client())
    unittest.addModuleCleanup(chat_client.close)


def create(messages, **options):
    return client.messages.create(**{"model": MODEL, "messages": messages, "max_tokens": 256, "extra_body": GREEDY, **options})


class Messages(unittest.TestCase):
    def test_the_answer_is_that_of_chat(self):
        said = create([COUNT])
        self.assertEqual((said.type, said.role, said.model, said.stop_reason), ("message", "assistant", MODEL, "end_turn"))
        chat = chat_client.chat.completions.create(model=MODEL, messages=[COUNT], temperature=0)
        (block,) = said.content
        self.assertEqual((block.type, block.text), ("text", chat.choices[0].message.content))
        self.assertEqual(said.usage.output_tokens, chat.usage.completion_tokens)
        self.assertEqual(said.usage.input_tokens + said.usage.cache_read_input_tokens, chat.usage.prompt_tokens)

    def test_a_stream_adds_up_to_the_whole_answer(self):
        for options in ({}, {"tools": [WEATHER], "messages": [ASK]}, {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}):
            options = {"messages": [COUNT], "model": MODEL, "max_tokens": 256, "extra_body": GREEDY, **options}
            whole = client.messages.create(**options)
            with client.messages.stream(**options) as stream:
                final = stream.get_final_message()
            for ours, theirs in zip(whole.content, final.content):
                if ours.type == "tool_use":
                    ours.id = theirs.id
            self.assertEqual([block.model_dump(exclude_none=True) for block in whole.content],
                             [block.model_dump(exclude={"parsed_output"}, exclude_none=True) for block in final.content])
            self.assertEqual((whole.stop_reason, whole.usage.output_tokens), (final.stop_reason, final.usage.output_tokens))

    def test_thinking_is_a_block_of_its_own(self):
        thinking, text = create([COUNT], thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2048).content
        self.assertEqual((thinking.type, text.type), ("thinking", "text"))
        self.assertTrue(thinking.thinking)
        self.assertNotIn("think>", thinking.thinking + text.text)
        # It may come back with the conversation.
        again = create([COUNT, {"role": "assistant", "content": [thinking, text]}, {"role": "user", "content": "Thank you!"}])
        self.assertTrue(again.content)

    def test_a_tool_is_called_and_its_result_is_told(self):
        answer = create([ASK], tools=[WEATHER])
        (call,) = answer.content
        self.assertEqual((answer.stop_reason, call.type, call.name, call.input), ("tool_use", "tool_use", "get_weather", {"city": "Paris"}))
        result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": json.dumps({"sky": "sunny", "degrees": 21})}]}
        told = create([ASK, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}], tools=[WEATHER])
        self.assertEqual(told.stop_reason, "end_turn")
        self.assertIn("21", told.content[0].text)

    def test_a_call_can_be_demanded(self):
        greeting = {"role": "user", "content": "Hello!"}
        for choice in ({"type": "any"}, {"type": "tool", "name": "get_weather"}):
            options = {"tools": [SHORT_WEATHER], "tool_choice": choice, "max_tokens": 512}
            answer = create([greeting], **options)
            self.assertEqual((answer.stop_reason, [block.name for block in answer.content][:1]), ("tool_use", ["get_weather"]))
            self.assertIsInstance(answer.content[0].input["city"], str)
            with client.messages.stream(model=MODEL, messages=[greeting], extra_body=GREEDY, **options) as stream:
                self.assertEqual(stream.get_final_message().content[0].input, answer.content[0].input)

    def test_the_answers_form_can_be_demanded(self):
        schema = {"type": "object", "properties": {"sum": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["sum"], "additionalProperties": False}
        (block,) = create([COUNT], output_config={"format": {"type": "json_schema", "schema": schema}}).content
        self.assertIsInstance(json.loads(block.text)["sum"], int)

    def test_ends(self):
        text = create([COUNT]).content[0].text
        cut = create([COUNT], max_tokens=2)
        self.assertEqual((cut.stop_reason, cut.usage.output_tokens), ("max_tokens", 2))
        stop = text[len(text) // 2]
        stopped = create([COUNT], stop_sequences=["never", stop])
        self.assertEqual((stopped.stop_reason, stopped.stop_sequence), ("stop_sequence", stop))
        self.assertEqual("".join(block.text for block in stopped.content), text[:text.index(stop)])

    def test_the_system_prompt_counts(self):
        counted = client.messages.count_tokens(model=MODEL, messages=[COUNT], system="Be brief.")
        without = client.messages.count_tokens(model=MODEL, messages=[COUNT])
        self.assertGreater(counted.input_tokens, without.input_tokens)
        usage = create([COUNT], system=[{"type": "text", "text": "Be brief."}], max_tokens=1).usage
        self.assertEqual(usage.input_tokens + usage.cache_read_input_tokens, counted.input_tokens)

    def test_a_stream_that_is_left_frees_its_place(self):
        with client.messages.create(model=MODEL, messages=[COUNT], max_tokens=400, stream=True, extra_body={"ignore_eos": True}) as stream:
            self.assertEqual(next(iter(stream)).type, "message_start")
        wait_for(lambda: idle(cluster), 30, "the sequence is freed")

    def test_errors_are_those_of_the_package(self):
        for raised, kind, options in ((anthropic.NotFoundError, "not_found_error", {"model": "other"}),
                                      (anthropic.BadRequestError, "invalid_request_error", {"max_tokens": 10 ** 6}),
                                      (anthropic.BadRequestError, "invalid_request_error", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]})):
            with self.assertRaises(raised) as caught:
                create([COUNT], **options)
            self.assertEqual(caught.exception.body["error"]["type"], kind)
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}
        with self.assertRaisesRegex(anthropic.BadRequestError, "image"):
            create([{"role": "user", "content": [image]}])
        with self.assertRaises(anthropic.AuthenticationError) as caught:
            client.with_options(api_key="sk-wrong").messages.create(model=MODEL, messages=[COUNT], max_tokens=1)
        self.assertEqual(caught.exception.body["error"]["type"], "authentication_error")

    def test_a_bearer_key_and_the_servers_own_sampling_fields_do_as_well(self):
        body = {"max_tokens": 8, "messages": [COUNT], "temperature": 1.0, "seed": 5, "top_k": 1}
        status, _, answer = request(cluster, "POST", "/v1/messages", body, {"Authorization": f"Bearer {KEY}"})
        self.assertEqual(status, 200)
        self.assertEqual(answer["content"][0]["text"], create([COUNT], max_tokens=8).content[0].text)  # top_k 1 is greedy


if __name__ == "__main__":
    unittest.main()
