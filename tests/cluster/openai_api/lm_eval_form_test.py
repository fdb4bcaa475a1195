"""Goal: `lm-eval --model local-completions` works. Method: the very bodies that lm_eval/models/openai_completions.py (0.4.13, LocalCompletionsAPI) makes,
and its way to read the answers, written anew here; what is right comes from the golden reference."""

import unittest

from support import Cluster, Golden, request

MODEL = "qwen3-moe-tiny"

cluster = None
golden = Golden(MODEL)


def setUpModule():
    global cluster
    cluster = Cluster.serve("--dtype", "float32", "--served-model-name", MODEL, model=MODEL)
    unittest.addModuleCleanup(cluster.__exit__)
    cluster.wait_ready()


def ask(body):
    status, _, answer = request(cluster, "POST", "/v1/completions", body)
    assert status == 200, (status, answer)
    return answer


def loglikelihood(rows, context_lengths, max_tokens=1):
    """[(the continuation's log-probability, whether greedy decoding would write it)] of a batch of token ids."""
    answer = ask({"model": MODEL, "prompt": rows, "temperature": 0, "max_tokens": max_tokens, "logprobs": 1, "seed": 1234, "echo": True})
    results = []
    for choice, length in zip(sorted(answer["choices"], key=lambda choice: choice["index"]), context_lengths):
        end = -1 if max_tokens else None
        scores = choice["logprobs"]["token_logprobs"][length:end]
        tops = choice["logprobs"]["top_logprobs"][length:end]
        results.append((sum(scores), all(score == max(top.values()) for score, top in zip(scores, tops))))
    return results


class LocalCompletions(unittest.TestCase):
    def test_a_continuations_log_probability_is_the_references(self):
        ids = golden.tensor("mid.input_ids")
        table = golden.logprobs("mid")
        lengths = [1, len(ids) // 2, len(ids) - 1]
        for max_tokens in (0, 1):
            results = loglikelihood([ids] * len(lengths), lengths, max_tokens)
            self.assertEqual(len(results), len(lengths))
            for (got, greedy), length in zip(results, lengths):
                places = range(length, len(ids))
                self.assertAlmostEqual(got, sum(table[i - 1][ids[i]] for i in places), delta=2e-3 * len(ids))
                self.assertEqual(greedy, all(table[i - 1][ids[i]] == max(table[i - 1]) for i in places))

    def test_what_greedy_decoding_writes_is_told_to_be_greedy(self):
        rows = [prompt + continuation[:8] for prompt, continuation in golden.greedy()]
        for _, greedy in loglikelihood(rows, [len(prompt) for prompt, _ in golden.greedy()]):
            self.assertTrue(greedy)

    def test_generation_goes_until_a_stop_string(self):
        prompts = [prompt for prompt, _ in golden.greedy()][:2]
        body = {"prompt": prompts, "model": MODEL, "max_tokens": 24, "temperature": 0, "stop": ["\n\n", "<|end|>"], "seed": 1234}
        free = ask(body)
        texts = [None] * len(free["choices"])
        for choice in free["choices"]:
            texts[choice["index"]] = choice["text"]
        self.assertTrue(all(texts))
        stop = texts[0][len(texts[0]) // 2]
        stopped = ask({**body, "stop": [stop, "<|end|>"]})
        first = next(choice for choice in stopped["choices"] if choice["index"] == 0)
        self.assertEqual((first["text"], first["finish_reason"]), (texts[0][:texts[0].index(stop)], "stop"))

    def test_a_text_as_prompt_as_without_a_tokenizer(self):
        answer = ask({"model": MODEL, "prompt": ["ab", "abc"], "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True})
        self.assertEqual([len(choice["logprobs"]["tokens"]) for choice in answer["choices"]], [3, 4])


if __name__ == "__main__":
    unittest.main()
