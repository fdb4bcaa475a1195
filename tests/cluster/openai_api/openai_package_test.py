"""Goal: the official `openai` package finds what it expects of an OpenAI server, and the answers are the model's.
Method: one cluster of two ranks in float32 with bearer keys; what is right comes from the golden reference, or from a second way to ask."""

import asyncio
import json
import math
import struct
import time
import unittest

from support import Cluster, Golden, checked_client, gauge, idle, metrics, request, wait_for

import openai

CHECKPOINT = "qwen3-moe-tiny"
MODEL = "org/tiny"  # a name as the Hub has them: its slash has to survive in URLs
KEY = "sk-the-right-one"
CONTEXT = 4096
EOS = 6
VOCABULARY = 512

cluster = None
client = None
golden = Golden(CHECKPOINT)


def setUpModule():
    global cluster, client
    cluster = Cluster.serve("--dtype", "float32", "--served-model-name", MODEL, "--api-key", "sk-another", "--api-key", KEY, model=CHECKPOINT)
    unittest.addModuleCleanup(cluster.__exit__)
    client = openai.OpenAI(base_url=cluster.wait_ready() + "/v1", api_key=KEY, max_retries=0, timeout=60, http_client=checked_client())
    unittest.addModuleCleanup(client.close)


def call(path, body):
    """The answer of an endpoint that the package does not know."""
    status, _, answer = request(cluster, "POST", path, body, {"Authorization": f"Bearer {KEY}"})
    assert status == 200, (status, answer)
    return answer


def complete(prompt, stream=False, extra=None, **options):
    """A completion, greedy and not ended by the model unless the options say otherwise."""
    options = {"temperature": 0, "max_tokens": 16, **options}
    extra_body = {"return_token_ids": True, "ignore_eos": True, **(extra or {})}
    return client.completions.create(model=MODEL, prompt=prompt, stream=stream, extra_body=extra_body, **options)


def chat(messages="Hello there.", stream=False, extra=None, **options):
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    options = {"temperature": 0, "max_completion_tokens": 16, **options}
    extra_body = {"return_token_ids": True, "ignore_eos": True, **(extra or {})}
    return client.chat.completions.create(model=MODEL, messages=messages, stream=stream, extra_body=extra_body, **options)


def ids_of(answer, index=0):
    return answer.choices[index].token_ids


def tokenize(text):
    return call("/tokenize", {"model": MODEL, "prompt": text, "add_special_tokens": False})["tokens"]


def token(text):
    (one,) = tokenize(text)
    return one


class Models(unittest.TestCase):
    def test_the_list_has_the_one_model(self):
        (model,) = client.models.list().data
        self.assertEqual((model.id, model.object, model.max_model_len), (MODEL, "model", CONTEXT))
        self.assertLess(abs(model.created - time.time()), 600)
        self.assertIsInstance(model.owned_by, str)

    def test_it_can_be_retrieved_by_name_and_others_are_not_found(self):
        self.assertEqual(client.models.retrieve(MODEL).id, MODEL)
        with self.assertRaises(openai.NotFoundError) as caught:
            client.models.retrieve("gpt-9")
        self.assertEqual((caught.exception.code, caught.exception.param), ("model_not_found", "model"))
        self.assertIn("gpt-9", caught.exception.message)


class AgainstTheReference(unittest.TestCase):
    def test_greedy_token_ids_equal_the_golden_ones_streaming_and_not(self):
        for prompt, expected in golden.greedy():
            answer = complete(prompt, max_tokens=32)
            self.assertEqual(ids_of(answer), expected)
            self.assertEqual(answer.choices[0].prompt_token_ids, prompt)
            self.assertEqual(answer.usage.prompt_tokens, len(prompt))
            streamed = [id for chunk in complete(prompt, stream=True, max_tokens=32) for id in chunk.choices[0].token_ids]
            self.assertEqual(streamed, expected)

    def test_log_probabilities_equal_the_golden_ones_of_the_prompt_and_of_the_answer(self):
        prompt = golden.tensor("mid.input_ids")
        rows = golden.logprobs("mid")
        answer = complete(prompt, echo=True, logprobs=3, max_tokens=1)
        scores = answer.choices[0].logprobs
        expected = [rows[i][id] for i, id in enumerate(prompt[1:])] + [max(rows[-1])]
        self.assertIsNone(scores.token_logprobs[0])
        self.assertIsNone(scores.top_logprobs[0])
        self.assertEqual(len(scores.token_logprobs), len(prompt) + 1)
        for got, want in zip(scores.token_logprobs[1:], expected):
            self.assertAlmostEqual(got, want, delta=2e-3)
        for at, top in enumerate(scores.top_logprobs[1:]):  # names of odd bytes coincide, so the best one is what is sure
            self.assertAlmostEqual(max(top.values()), max(rows[at]), delta=2e-3)
            self.assertLessEqual(len(top), 4)

    def test_a_chat_prompt_is_the_templates_and_its_first_token_has_the_golden_candidates(self):
        case = golden.manifest["cases"]["text"]
        answer = chat(case["messages"], logprobs=True, top_logprobs=5, max_completion_tokens=1)
        self.assertEqual(answer.prompt_token_ids, golden.tensor("text.input_ids"))
        last = golden.logprobs("text")[-1]
        best = sorted(range(VOCABULARY), key=lambda id: -last[id])[:5]
        self.assertEqual(ids_of(answer), best[:1])
        (scored,) = answer.choices[0].logprobs.content
        self.assertEqual((scored.token, scored.logprob), (scored.top_logprobs[0].token, scored.top_logprobs[0].logprob))
        self.assertEqual(len(scored.top_logprobs), 5)
        for id, candidate in zip(best, scored.top_logprobs):
            self.assertAlmostEqual(candidate.logprob, last[id], delta=2e-3)
            self.assertEqual(bytes(candidate.bytes).decode(errors="replace"), call("/detokenize", {"tokens": [id]})["prompt"])


class Completions(unittest.TestCase):
    def test_all_forms_of_prompts_mean_the_same(self):
        text = "int main(int argc"
        ids = tokenize(text)
        tokens = ids_of(complete(ids))
        for prompt in (text, [text], [ids]):
            self.assertEqual(ids_of(complete(prompt)), tokens)
        other = tokenize("What is it")
        several = complete([ids, other, ids])
        self.assertEqual([c.index for c in several.choices], [0, 1, 2])
        self.assertEqual([ids_of(several, i) for i in range(3)], [tokens, ids_of(complete(other)), tokens])
        texts = complete([text, "What is it"])
        self.assertEqual([ids_of(texts, i) for i in range(2)], [tokens, ids_of(complete(other))])
        self.assertEqual(several.usage.prompt_tokens, 2 * len(ids) + len(other))
        self.assertEqual(several.usage.completion_tokens, 3 * 16)

    def test_the_shape_of_an_answer(self):
        answer = client.completions.create(model=MODEL, prompt="a", max_tokens=3, temperature=0, extra_body={"ignore_eos": True})
        self.assertEqual((answer.object, answer.model), ("text_completion", MODEL))
        self.assertTrue(answer.id.startswith("cmpl-"))
        (choice,) = answer.choices
        self.assertEqual((choice.index, choice.finish_reason, choice.logprobs, choice.stop_reason), (0, "length", None, None))
        self.assertFalse(getattr(choice, "token_ids", None))
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + 3)
        self.assertEqual(answer.usage.prompt_tokens_details.cached_tokens, 0)

    def test_sixteen_tokens_by_default(self):
        answer = client.completions.create(model=MODEL, prompt="a", extra_body={"ignore_eos": True})
        self.assertEqual(answer.usage.completion_tokens, 16)

    def test_a_stream_adds_up_to_the_whole_answer(self):
        whole = complete("abc", n=2, logprobs=2, temperature=1, seed=5, echo=True)
        text, ids, names, scores, offsets, ends = ["", ""], [[], []], [[], []], [[], []], [[], []], ["", ""]
        chunks = list(complete("abc", stream=True, n=2, logprobs=2, temperature=1, seed=5, echo=True))
        self.assertEqual({c.id for c in chunks}, {chunks[0].id})
        self.assertEqual({c.object for c in chunks}, {"text_completion"})
        for chunk in chunks:
            self.assertIsNone(chunk.usage)
            (choice,) = chunk.choices
            self.assertEqual(ends[choice.index], "")  # nothing follows the reason of the end
            text[choice.index] += choice.text
            ids[choice.index] += choice.token_ids
            if choice.logprobs:
                names[choice.index] += choice.logprobs.tokens
                scores[choice.index] += choice.logprobs.token_logprobs
                offsets[choice.index] += choice.logprobs.text_offset
            ends[choice.index] = choice.finish_reason or ""
        for i, choice in enumerate(whole.choices):
            self.assertEqual((text[i], ids[i], ends[i]), (choice.text, choice.token_ids, "length"))
            logprobs = choice.logprobs
            self.assertEqual((names[i], scores[i], offsets[i]), (logprobs.tokens, logprobs.token_logprobs, logprobs.text_offset))

    def test_usage_comes_last_in_a_stream_when_asked_for(self):
        *others, last = complete("abc", stream=True, stream_options={"include_usage": True})
        self.assertTrue(all(c.usage is None and len(c.choices) == 1 for c in others))
        self.assertEqual(last.choices, [])
        self.assertEqual((last.usage.prompt_tokens, last.usage.completion_tokens), (len(tokenize("abc")), 16))
        self.assertEqual(last.usage.total_tokens, last.usage.prompt_tokens + 16)

    def test_echo_alone_scores_the_prompt(self):
        answer = complete("int main", echo=True, max_tokens=0, logprobs=0)
        (choice,) = answer.choices
        ids = tokenize("int main")
        self.assertEqual((choice.text, choice.token_ids, choice.finish_reason), ("int main", [], "length"))
        self.assertEqual("".join(choice.logprobs.tokens), "int main")
        self.assertEqual(choice.logprobs.text_offset[0], 0)
        self.assertEqual(len(choice.logprobs.token_logprobs), len(ids))
        for name, score, top in list(zip(choice.logprobs.tokens, choice.logprobs.token_logprobs, choice.logprobs.top_logprobs))[1:]:
            self.assertEqual(top, {name: score})  # 0: the prompt's own token, no other
        self.assertEqual(answer.usage.completion_tokens, 0)
        longer = complete("int main", echo=True, max_tokens=5, logprobs=0).choices[0]
        self.assertEqual(longer.logprobs.token_logprobs[:len(ids)], choice.logprobs.token_logprobs)
        self.assertEqual(len(longer.logprobs.token_logprobs), len(ids) + 5)
        self.assertTrue(longer.text.startswith("int main"))

    def test_a_prompt_that_fills_the_context_leaves_room_for_one_token(self):
        full = complete([[65] * (CONTEXT - 1)], max_tokens=1)
        self.assertEqual(len(ids_of(full)), 1)
        cut = client.completions.create(model=MODEL, prompt=[65] * (CONTEXT - 3), max_tokens=None, temperature=0,
                                        extra_body={"ignore_eos": True})
        self.assertEqual((cut.usage.completion_tokens, cut.choices[0].finish_reason), (3, "length"))


class Chat(unittest.TestCase):
    def test_the_shape_of_an_answer(self):
        answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}], max_tokens=4,
                                                temperature=0, extra_body={"ignore_eos": True})
        self.assertEqual((answer.object, answer.model), ("chat.completion", MODEL))
        self.assertTrue(answer.id.startswith("chatcmpl-"))
        (choice,) = answer.choices
        self.assertEqual((choice.index, choice.finish_reason, choice.logprobs), (0, "length", None))
        self.assertEqual((choice.message.role, choice.message.refusal), ("assistant", None))
        self.assertFalse(choice.message.tool_calls)
        self.assertEqual(answer.usage.completion_tokens, 4)

    def test_a_stream_adds_up_to_the_whole_answer(self):
        for n in (1, 3):
            whole = chat(n=n, temperature=1, seed=7, logprobs=True, top_logprobs=2)
            chunks = list(chat(stream=True, n=n, temperature=1, seed=7, logprobs=True, top_logprobs=2,
                               stream_options={"include_usage": True}))
            *chunks, last = chunks
            self.assertEqual((last.choices, last.usage.completion_tokens), ([], 16 * n))
            self.assertEqual({c.object for c in chunks}, {"chat.completion.chunk"})
            for i in range(n):
                mine = [c.choices[0] for c in chunks if c.choices[0].index == i]
                self.assertEqual(mine[0].delta.role, "assistant")
                self.assertTrue(all(c.delta.role is None for c in mine[1:]))
                self.assertEqual("".join(c.delta.content or "" for c in mine), whole.choices[i].message.content)
                self.assertEqual([c.finish_reason for c in mine], [None] * (len(mine) - 1) + ["length"])
                self.assertEqual(sum((c.token_ids for c in mine), []), ids_of(whole, i))
                scored = [t for c in mine if c.logprobs for t in c.logprobs.content]
                self.assertEqual(scored, whole.choices[i].logprobs.content)

    def test_the_packages_own_gathering_of_a_stream(self):
        options = dict(model=MODEL, messages=[{"role": "user", "content": "Hello there."}], temperature=0, max_completion_tokens=32,
                       logprobs=True, extra_body={"ignore_eos": True})
        whole = client.chat.completions.create(**options)
        with client.chat.completions.stream(**options) as stream:
            kinds = {event.type for event in stream}
            gathered = stream.current_completion_snapshot
        self.assertLessEqual({"chunk", "content.delta", "content.done", "logprobs.content.done"}, kinds)
        self.assertEqual(gathered.choices[0].message.content, whole.choices[0].message.content)
        self.assertEqual(gathered.choices[0].finish_reason, whole.choices[0].finish_reason)
        self.assertEqual([t.logprob for t in gathered.choices[0].logprobs.content],
                         [t.logprob for t in whole.choices[0].logprobs.content])

    def test_both_names_of_the_token_limit(self):
        old = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x"}], max_tokens=3,
                                             extra_body={"ignore_eos": True})
        new = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x"}], max_completion_tokens=5,
                                             extra_body={"ignore_eos": True})
        self.assertEqual((old.usage.completion_tokens, new.usage.completion_tokens), (3, 5))

    def test_contents_in_parts_are_the_lines_of_one_text(self):
        parts = [{"role": "user", "content": [{"type": "text", "text": "Hello "}, {"type": "text", "text": "there."}]}]
        self.assertEqual(chat(parts).prompt_token_ids, chat("Hello \nthere.").prompt_token_ids)

    def test_log_probabilities_without_candidates(self):
        for scored in chat(logprobs=True).choices[0].logprobs.content:
            self.assertEqual(scored.top_logprobs, [])
            self.assertLessEqual(scored.logprob, 0)
            self.assertEqual(bytes(scored.bytes).decode(errors="replace"), scored.token)


class Sampling(unittest.TestCase):
    def test_a_seed_gives_the_same_answer_again_and_another_seed_another(self):
        one, again, other = [ids_of(complete("abc", temperature=1, seed=seed)) for seed in (1, 1, 2)]
        self.assertEqual(one, again)
        self.assertNotEqual(one, other)
        one, again, other = [ids_of(chat(temperature=1, seed=seed)) for seed in (1, 1, 2)]
        self.assertEqual(one, again)
        self.assertNotEqual(one, other)

    def test_without_a_seed_answers_differ(self):
        self.assertNotEqual(ids_of(complete("abc", temperature=1)), ids_of(complete("abc", temperature=1)))

    def test_n_choices_differ_and_come_again_with_the_seed(self):
        first, again = [complete(["abc", "xyz"], temperature=1, seed=3, n=3) for _ in range(2)]
        tokens = [ids_of(first, i) for i in range(6)]
        self.assertEqual([c.index for c in first.choices], list(range(6)))
        self.assertEqual(len(set(map(tuple, tokens))), 6)
        self.assertEqual(tokens, [ids_of(again, i) for i in range(6)])
        self.assertEqual([bool(getattr(c, "prompt_token_ids", None)) for c in first.choices], [True, False, False] * 2)
        self.assertEqual(first.usage.completion_tokens, 6 * 16)

    def test_logit_bias_forces_and_forbids(self):
        forced = complete("abc", logit_bias={str(token("x")): 100})
        self.assertEqual(forced.choices[0].text, "x" * 16)
        likeliest = ids_of(complete("abc", max_tokens=1))[0]
        self.assertNotEqual(ids_of(complete("abc", max_tokens=1, logit_bias={str(likeliest): -100}))[0], likeliest)
        # What the model itself thinks is reported, not what the bias made of it.
        plain = complete("abc", max_tokens=1, logprobs=0).choices[0].logprobs.token_logprobs
        biased = complete("abc", max_tokens=1, logprobs=0, logit_bias={str(likeliest): 50}).choices[0].logprobs.token_logprobs
        self.assertEqual(plain, biased)

    def test_top_k_top_p_and_min_p_narrow_down_to_the_likeliest(self):
        greedy = ids_of(complete("abc"))
        for options in ({"extra": {"top_k": 1}}, {"extra": {"min_p": 1}}, {"top_p": 1e-6}):
            self.assertEqual(ids_of(complete("abc", temperature=1.5, seed=1, **options)), greedy)
        self.assertNotEqual(ids_of(complete("abc", temperature=1.5, seed=1, extra={"top_k": -1})), greedy)

    def test_penalties(self):
        prompt = tokenize("abc def")
        fresh = ids_of(complete(prompt, max_tokens=32, extra={"repetition_penalty": 1e6}))
        self.assertEqual(len(set(fresh) - set(prompt)), 32)
        a, b = token("a"), token("b")
        bias = {str(a): 100, str(b): 90}
        self.assertEqual(complete(prompt, logit_bias=bias).choices[0].text, "a" * 16)
        self.assertIn("b", complete(prompt, logit_bias=bias, frequency_penalty=2).choices[0].text)
        # The presence of one token costs it 2 once: worth one place between equals.
        self.assertEqual(complete(prompt, max_tokens=2, presence_penalty=2, logit_bias={str(a): 100}).choices[0].text, "aa")


class Ends(unittest.TestCase):
    def test_a_stop_string_ends_the_text_before_it(self):
        whole = complete("abc", max_tokens=32)
        text = whole.choices[0].text
        tried = 0
        # Every string of three characters at its first place, wherever token borders are.
        for at in range(2, len(text) - 3, 4):
            stop = text[at:at + 3]
            if "\ufffd" in stop or text.index(stop) != at:
                continue
            tried += 1
            (choice,) = complete("abc", max_tokens=32, stop=[stop, "never there"]).choices
            self.assertEqual((choice.text, choice.finish_reason, choice.stop_reason), (text[:at], "stop", stop))
            self.assertEqual(choice.token_ids, ids_of(whole)[:len(choice.token_ids)])
            chunks = [c.choices[0] for c in complete("abc", stream=True, max_tokens=32, stop=stop)]
            self.assertEqual("".join(c.text for c in chunks), text[:at])
            self.assertEqual((chunks[-1].finish_reason, chunks[-1].stop_reason), ("stop", stop))
            (choice,) = complete("abc", max_tokens=32, stop=stop, extra={"include_stop_str_in_output": True}).choices
            self.assertEqual(choice.text, text[:at + 3])
        self.assertGreaterEqual(tried, 3)

    def test_a_stop_string_in_chat(self):
        answer = chat(logit_bias={str(token("a")): 100}, stop="aaaaa")
        self.assertEqual((answer.choices[0].message.content, answer.choices[0].finish_reason), ("", "stop"))
        self.assertEqual(answer.usage.completion_tokens, 5)

    def test_a_stop_string_frees_its_sequence(self):
        complete("abc", max_tokens=3000, logit_bias={str(token("a")): 100}, stop="aaa")
        wait_for(lambda: idle(cluster), 5, "the stopped sequence is gone")

    def test_the_end_of_sequence_min_tokens_and_ignore_eos(self):
        def ends(bias=EOS, **extra):
            answer = complete("abc", max_tokens=8, logit_bias={str(bias): 100}, extra={"ignore_eos": False, **extra})
            return ids_of(answer), answer.choices[0].finish_reason
        self.assertEqual(ends(), ([EOS], "stop"))
        ids, reason = ends(min_tokens=5)
        self.assertEqual((len(ids), ids[5], reason), (6, EOS, "stop"))
        self.assertNotIn(EOS, ids[:5])
        self.assertEqual(ends(ignore_eos=True), ([EOS] * 8, "length"))
        other = token("x")
        self.assertEqual(ends(other, stop_token_ids=[other], ignore_eos=True), ([other], "stop"))
        stopped = complete("abc", logit_bias={str(other): 100}, extra={"stop_token_ids": [other]}).choices[0]
        self.assertEqual((stopped.stop_reason, stopped.text), (other, ""))

    def test_chat_ends_with_the_models_end_of_sequence(self):
        answer = chat(logit_bias={str(EOS): 100}, extra={"ignore_eos": False})
        self.assertEqual((answer.choices[0].message.content, answer.choices[0].finish_reason, ids_of(answer)), ("", "stop", [EOS]))


class Embeddings(unittest.TestCase):
    def test_an_embedding_is_the_same_alone_in_a_batch_as_ids_and_as_floats(self):
        texts = ["abc", "a longer text, of more than one block of the cache", "x"]
        batch = client.embeddings.create(model=MODEL, input=texts)
        self.assertEqual([item.index for item in batch.data], [0, 1, 2])
        self.assertEqual(batch.usage.prompt_tokens, sum(len(tokenize(text)) for text in texts))
        for text, item in zip(texts, batch.data):
            self.assertAlmostEqual(math.sqrt(sum(value * value for value in item.embedding)), 1, places=5)
            for same in (text, tokenize(text)):
                self.assertEqual(client.embeddings.create(model=MODEL, input=same).data[0].embedding, item.embedding)
            floats = client.embeddings.create(model=MODEL, input=text, encoding_format="float").data[0].embedding
            self.assertEqual([struct.unpack("f", struct.pack("f", value))[0] for value in floats], item.embedding)
        self.assertNotEqual(batch.data[0].embedding, batch.data[2].embedding)

    def test_a_field_that_would_change_it_unsaid_is_refused(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            client.embeddings.create(model=MODEL, input="abc", dimensions=8)
        self.assertEqual(caught.exception.param, "dimensions")


class Errors(unittest.TestCase):
    def bad(self, make, param, code=None, kind=openai.BadRequestError):
        with self.assertRaises(kind) as caught:
            make()
        error = caught.exception
        self.assertEqual(error.param, param)
        if code:
            self.assertEqual(error.code, code)
        self.assertEqual(error.type, "invalid_request_error")
        self.assertGreater(len(error.body["message"]), 15)
        if param and param != "model":
            self.assertIn(param.split("[")[0].split(".")[0], error.body["message"])

    def test_fields_of_both_apis_are_checked_and_named(self):
        for make in (lambda **o: complete("abc", **o), lambda **o: chat(**o)):
            for param, value in [("temperature", 3), ("temperature", -1), ("temperature", "hot"), ("top_p", 0), ("top_p", 1.1), ("n", 0),
                                 ("n", 100000), ("n", 1.5), ("presence_penalty", 3), ("frequency_penalty", -3), ("seed", "x"),
                                 ("stop", [""]), ("stop", [1]), ("stop", 3), ("logit_bias", {"512": 1}), ("logit_bias", {"x": 1}),
                                 ("logit_bias", {"1": 101}), ("logit_bias", {"-1": 1}), ("logit_bias", [1])]:
                with self.subTest(param=param, value=value):
                    self.bad(lambda: make(**{param: value}), param)
            for param, value in [("top_k", "x"), ("top_k", -2), ("min_p", 2), ("repetition_penalty", 0), ("min_tokens", -1),
                                 ("min_tokens", 17), ("ignore_eos", 1), ("return_token_ids", "yes"), ("stop_token_ids", [VOCABULARY]),
                                 ("stream_options", {"include_usage": True})]:
                with self.subTest(param=param, value=value):
                    self.bad(lambda: make(extra={param: value}), param)

    def test_fields_of_completions(self):
        for value in (0, -1, "x", 1.5):
            self.bad(lambda: complete("abc", max_tokens=value), "max_tokens")
        self.bad(lambda: complete("abc", max_tokens=CONTEXT), "max_tokens", "context_length_exceeded")
        for value in (-1, 21, "x"):
            self.bad(lambda: complete("abc", logprobs=value), "logprobs")
        for value in ([], [[]], "", [VOCABULARY], [[1], [-1]], [1, "x"], {"a": 1}, [1.5], 7, [None], [["x"]]):
            with self.subTest(prompt=value):
                self.bad(lambda: complete(value), "prompt")
        self.bad(lambda: complete([65] * CONTEXT), "prompt", "context_length_exceeded")
        self.bad(lambda: complete(["a", [65] * (CONTEXT + 1)]), "prompt")
        self.bad(lambda: complete("word " * 10000), "prompt", "context_length_exceeded")

    def test_fields_of_chat(self):
        for name in ("max_completion_tokens", "max_tokens"):
            for value in (0, -1, "x", CONTEXT):
                self.bad(lambda: chat(**{"max_completion_tokens": None, name: value}), name)
        self.bad(lambda: chat(top_logprobs=2), "top_logprobs")
        self.bad(lambda: chat(logprobs=True, top_logprobs=21), "top_logprobs")
        self.bad(lambda: chat(logprobs=3), "logprobs")
        self.bad(lambda: chat([]), "messages")
        self.bad(lambda: chat([{"content": "x"}]), "messages[0].role")
        self.bad(lambda: chat([{"role": "user"}]), "messages[0].content")
        self.bad(lambda: chat([{"role": "user", "content": 7}]), "messages[0].content")
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        self.bad(lambda: chat([{"role": "user", "content": "x"}, {"role": "user", "content": [image]}]), "messages[1].content")
        self.bad(lambda: chat(["x"]), "messages[0]")
        self.bad(lambda: chat("word " * 10000), "messages", "context_length_exceeded")
        self.bad(lambda: chat(response_format={"type": "xml"}), "response_format")

    def test_errors_before_a_stream_begins_have_their_status_too(self):
        self.bad(lambda: complete("abc", stream=True, temperature=3), "temperature")
        self.bad(lambda: chat(stream=True, max_completion_tokens=CONTEXT), "max_completion_tokens")

    def test_unknown_models_and_paths_are_not_found(self):
        message = [{"role": "user", "content": "x"}]
        self.bad(lambda: client.completions.create(model="gpt-9", prompt="x"), "model", "model_not_found", openai.NotFoundError)
        self.bad(lambda: client.chat.completions.create(model="", messages=message), "model", "model_not_found", openai.NotFoundError)
        self.bad(lambda: client.get("/nothing", cast_to=object), None, "unknown_url", openai.NotFoundError)

    def test_keys(self):
        for key in ("sk-wrong", KEY + "x", KEY[:-1], "sk-another," + KEY):
            other = client.with_options(api_key=key)
            for use in (other.models.list, lambda: other.models.retrieve(MODEL),
                        lambda: other.completions.create(model=MODEL, prompt="x"),
                        lambda: other.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x"}])):
                self.bad(use, None, "invalid_api_key", openai.AuthenticationError)
        for path in ("/tokenize", "/detokenize"):
            status, headers, body = request(cluster, "POST", path, {"prompt": "x", "tokens": [1]})
            self.assertEqual((status, body["error"]["code"]), (401, "invalid_api_key"))
            self.assertEqual(headers["WWW-Authenticate"], "Bearer")
        self.assertEqual(client.with_options(api_key="sk-another").models.list().data[0].id, MODEL)
        for path in ("/health", "/ready", "/version", "/metrics"):
            self.assertEqual(cluster.get(path)[0], 200)


class Leaving(unittest.TestCase):
    SLACK = 0.4  # for a machine that does other things; the promise is 0.1

    def assert_freed(self, leave):
        # The rank says its load with its outputs, the first of which may be older than its first KV block.
        wait_for(lambda: gauge(cluster, "num_requests_running") == 1 and gauge(cluster, "kv_cache_usage_perc") > 0, 5, "the request holds KV blocks")
        before = time.monotonic()
        leave()
        wait_for(lambda: idle(cluster), 0.1 + self.SLACK, "rank and KV blocks free again")
        return time.monotonic() - before

    def aborts(self):
        return metrics(cluster)[f'switchyard_request_success_total{{finished_reason="abort",model_name="{MODEL}"}}']

    def test_closing_a_stream_early_frees_the_rank_and_its_kv_blocks(self):
        wait_for(lambda: idle(cluster), 5, "idle before")
        aborts = self.aborts()
        for make in (complete, chat):
            limit = {"max_tokens" if make is complete else "max_completion_tokens": 4000}
            stream = make("abc" * 10, stream=True, **limit)
            for _ in range(5):
                next(stream)
            took = self.assert_freed(stream.close)
            print(f"freed after {took * 1000:.0f} ms", end=" ", flush=True)
        self.assertEqual(self.aborts(), aborts + 2)
        # Loads come from ranks and by way of the coordinator: a late report brings nothing back.
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            self.assertTrue(idle(cluster))
            time.sleep(0.01)

    def test_a_client_that_gives_up_waiting_frees_them_too(self):
        wait_for(lambda: idle(cluster), 5, "idle before")

        async def leave():
            async with openai.AsyncOpenAI(base_url=client.base_url, api_key=KEY, max_retries=0) as other:
                asked = asyncio.ensure_future(other.completions.create(
                    model=MODEL, prompt="abc", max_tokens=4000, temperature=0, extra_body={"ignore_eos": True}))
                deadline = time.monotonic() + 10
                while gauge(cluster, "kv_cache_usage_perc") == 0:
                    self.assertLess(time.monotonic(), deadline)
                    self.assertFalse(asked.done(), asked)
                    await asyncio.sleep(0.002)
                asked.cancel()
                began = time.monotonic()
                with self.assertRaises(asyncio.CancelledError):
                    await asked
                while not idle(cluster):
                    self.assertLess(time.monotonic() - began, 0.1 + self.SLACK)
                    await asyncio.sleep(0.002)
        asyncio.run(leave())


class ManyAtOnce(unittest.TestCase):
    def requests(self):
        """64 different ones: both APIs, streams and not, greedy and drawn, prompts of 1 to 200 tokens."""
        for i in range(64):
            options = {"temperature": 0 if i % 3 == 0 else 1, "seed": i, "stream": i % 2 == 1}
            extra = {"return_token_ids": True, "ignore_eos": True}
            limit = 4 + i % 29
            if i % 4 < 2:
                prompt = [(j * 37 + i * 11) % 500 + 8 for j in range(1 + i * 3)]
                yield dict(prompt=prompt, logprobs=2, max_tokens=limit, extra_body=extra, **options)
            else:
                message = {"role": "user", "content": f"Question {i}: " + "why? " * (i % 17)}
                yield dict(messages=[message], logprobs=True, top_logprobs=2, max_completion_tokens=limit, extra_body=extra, **options)

    async def ask(self, other, options):
        """(token ids, log-probabilities, text) of the answer."""
        api = other.chat.completions if "messages" in options else other.completions
        answer = await api.create(model=MODEL, **options)
        parts = [c async for c in answer] if options["stream"] else [answer]
        ids, scores, text = [], [], ""
        for choice in (part.choices[0] for part in parts):
            ids += choice.token_ids
            if choice.logprobs and "messages" in options:
                scores += [(t.logprob, [(c.token, c.logprob) for c in t.top_logprobs]) for t in choice.logprobs.content]
            elif choice.logprobs:
                scores += list(zip(choice.logprobs.token_logprobs, choice.logprobs.top_logprobs))
            content = choice.text if "prompt" in options else (choice.delta if options["stream"] else choice.message).content
            text += content or ""
        return ids, scores, text

    def test_sixty_four_at_once_get_the_answers_that_they_get_alone(self):
        async def run():
            async with openai.AsyncOpenAI(base_url=client.base_url, api_key=KEY, max_retries=0, timeout=60) as other:
                alone = [await self.ask(other, options) for options in self.requests()]
                together = await asyncio.gather(*(self.ask(other, options) for options in self.requests()))
                return alone, together
        alone, together = asyncio.run(run())
        for i, options in enumerate(self.requests()):
            self.assertEqual(together[i], alone[i])
            limit = options.get("max_tokens") or options["max_completion_tokens"]
            self.assertEqual((len(alone[i][0]), len(alone[i][1])), (limit, limit))
        wait_for(lambda: idle(cluster), 5, "idle after all answers")
        loads = [r["generation_tokens"] for r in cluster.view()["ranks"]]
        self.assertTrue(all(loads), loads)  # both ranks took part


class OtherEndpoints(unittest.TestCase):
    def test_tokenize_and_detokenize_go_round(self):
        for text in ("Hello there.", "你好, int main(int argc)\n\t🙂", " "):
            answer = call("/tokenize", {"model": MODEL, "prompt": text, "add_special_tokens": False})
            self.assertEqual((answer["count"], answer["max_model_len"]), (len(answer["tokens"]), CONTEXT))
            self.assertEqual(call("/detokenize", {"model": MODEL, "tokens": answer["tokens"]}), {"prompt": text})
        case = golden.manifest["cases"]["text"]
        answer = call("/tokenize", {"messages": case["messages"]})
        self.assertEqual(answer["tokens"], golden.tensor("text.input_ids"))
        shorter = call("/tokenize", {"messages": case["messages"], "add_generation_prompt": False})
        self.assertEqual(answer["tokens"][:shorter["count"]], shorter["tokens"])
        self.assertLess(shorter["count"], answer["count"])
        self.assertEqual(call("/detokenize", {"tokens": answer["tokens"]}), {"prompt": case["prompt"]})

    def test_health_ready_and_version(self):
        self.assertEqual(cluster.get("/health")[0], 200)
        self.assertEqual(cluster.get("/ready")[0], 200)
        version = json.loads(cluster.get("/version")[1])
        self.assertRegex(version["version"], r"^\d+\.\d+")

    def test_request_ids_are_echoed_or_made(self):
        raw = client.models.with_raw_response.list(extra_headers={"X-Request-Id": "mine-1"})
        self.assertEqual(raw.headers["x-request-id"], "mine-1")
        self.assertTrue(client.models.list()._request_id)
        with self.assertRaises(openai.NotFoundError) as caught:
            client.models.retrieve("gpt-9")
        self.assertTrue(caught.exception.request_id)

    def test_metrics_have_vllms_names_and_count_what_happened(self):
        before = metrics(cluster)
        complete("abc", max_tokens=7)
        after = metrics(cluster)
        label = f'model_name="{MODEL}"'

        def grown(name, labels=""):
            series = f"switchyard_{name}{{{labels}{label}}}"
            return after[series] - before[series]
        self.assertEqual(grown("prompt_tokens_total"), len(tokenize("abc")))
        self.assertEqual(grown("generation_tokens_total"), 7)
        self.assertEqual(grown("request_success_total", 'finished_reason="length",'), 1)
        self.assertEqual(grown("request_success_total", 'finished_reason="stop",'), 0)
        self.assertEqual(grown("inter_token_latency_seconds_count"), 6)
        for name in ("time_to_first_token", "e2e_request_latency", "request_queue_time", "request_prefill_time", "request_decode_time"):
            self.assertEqual(grown(f"{name}_seconds_count"), 1, name)
            self.assertGreaterEqual(grown(f"{name}_seconds_sum"), 0)
            self.assertTrue(math.isfinite(after[f"switchyard_{name}_seconds_sum{{{label}}}"]))
        for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"):
            self.assertEqual(after[f"switchyard_{name}{{{label}}}"], 0)


if __name__ == "__main__":
    unittest.main()
