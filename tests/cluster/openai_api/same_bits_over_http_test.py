"""Goal: an answer is a function of the request: the same token ids and the same bits of every log-probability on 1, 2, 3 and 4 ranks,
alone or in a batch of 32, wherever the experts are, in whatever pieces prompts are computed, and when KV room is so short that sequences
are computed again.
Method: each checkpoint is served with each number of ranks, as its files are (bfloat16); the answers are compared as JSON, whose decimals
give the float32 back exactly. Answers on one rank, one at a time, are what the others must equal."""

import concurrent.futures
import math
import unittest

from support import Cluster, idle, request, wait_for

RANKS = (1, 2, 3, 4)
BATCH = 32
OTHER_SETTINGS = [(3, ("--expert-placement", "random:7")), (2, ("--max-num-batched-tokens", 7))]
SHORT_OF_KV = ("--max-model-len", 512, "--kv-cache-memory-mib", 1)


COMMON = {"max_tokens": 64, "temperature": 0.8, "seed": 77, "ignore_eos": True, "logprobs": 3, "return_token_ids": True}


def requests():
    """32 different ones: prompts of 1 to 280 tokens (two chunks of a step, beyond gpt-oss' window), greedy and drawn, with and without
    the prompt's own scores."""
    for i in range(BATCH):
        prompt = [(j * j * 31 + j * 7 + i * 13) % 500 + 8 for j in range(1 + i * 9)]
        yield {"prompt": prompt, "max_tokens": 3 + i % 14, "temperature": 0 if i % 2 else 1.0, "seed": i, "ignore_eos": True,
               "logprobs": 5, "echo": i % 4 == 0, "return_token_ids": True}


def ask(cluster, body):
    """What has to be the same."""
    status, _, answer = request(cluster, "POST", "/v1/completions", body)
    assert status == 200, (status, answer)
    (choice,) = answer["choices"]
    return choice


class SameBits(unittest.TestCase):
    def check_answers(self, answers):
        """They are worth comparing: complete, and numbers throughout."""
        for body, choice in zip(requests(), answers):
            scores = choice["logprobs"]["token_logprobs"][1 if body["echo"] else 0:]
            self.assertEqual(len(choice["token_ids"]), body["max_tokens"])
            self.assertEqual(len(scores), body["max_tokens"] + (len(body["prompt"]) - 1 if body["echo"] else 0))
            self.assertTrue(all(math.isfinite(x) and x <= 0 for x in scores))
        self.assertGreater(len({tuple(c["token_ids"]) for c in answers}), BATCH // 2)

    def assert_same(self, got, expected):
        """As assertEqual, which would be at work on the difference of two megabytes for minutes."""
        self.assertEqual(len(got), len(expected))
        for i, (one, other) in enumerate(zip(got, expected)):
            for key in sorted({*one, *other}):
                if one.get(key) != other.get(key):
                    self.fail(f"answer {i} differs in {key}: {str(one.get(key))[:300]} instead of {str(other.get(key))[:300]}")

    def check(self, checkpoint, preempts=True):
        expected = in_one = None
        for ranks, flags in [(n, ()) for n in RANKS] + OTHER_SETTINGS + [(2, SHORT_OF_KV)]:
            with self.subTest(ranks=ranks, flags=flags), Cluster.serve("--threads-per-rank", 1, *flags, model=checkpoint, ranks=ranks) as cluster:
                cluster.wait_ready()
                alone = [ask(cluster, body) for body in requests()]
                if expected is None:
                    self.check_answers(alone)
                    expected = alone
                    in_one = [{**ask(cluster, {**COMMON, "prompt": b["prompt"]}), "index": i} for i, b in enumerate(requests())]
                self.assert_same(alone, expected)
                with concurrent.futures.ThreadPoolExecutor(BATCH) as pool:
                    together = list(pool.map(lambda body: ask(cluster, body), requests()))
                self.assert_same(together, expected)
                # And as one request, whose sequences surely run side by side.
                status, _, answer = request(cluster, "POST", "/v1/completions", {**COMMON, "prompt": [b["prompt"] for b in requests()]})
                self.assertEqual(status, 200, answer)
                self.assert_same(answer["choices"], in_one)
                wait_for(lambda: idle(cluster), 5, "idle after all answers")
                if flags == SHORT_OF_KV and preempts:
                    wait_for(lambda: any(rank["preemptions"] for rank in cluster.view()["ranks"]), 5, "a sequence was preempted")

    def test_equal_beginnings_are_computed_once(self):
        body = {"prompt": list(range(100, 200)), "max_tokens": 2, "temperature": 0, "ignore_eos": True}

        def cached(cluster, prompt):
            status, _, answer = request(cluster, "POST", "/v1/completions", {**body, "prompt": prompt})
            self.assertEqual(status, 200, answer)
            return answer["usage"]["prompt_tokens_details"]["cached_tokens"]

        other = body["prompt"][:40] + [9] * 60
        for flags, expected in ((), [0, 96, 32]), (("--enable-prefix-caching", "false"), [0, 0, 0]):
            with self.subTest(flags=flags), Cluster.serve(*flags, model="qwen3-moe-tiny", ranks=1) as cluster:
                cluster.wait_ready()
                self.assertEqual([cached(cluster, p) for p in (body["prompt"], body["prompt"], other)], expected)
                wait_for(lambda: cluster.view()["ranks"][0]["prefix_hits"] == sum(expected), 5, "the hits in the admin view")
                status, text = cluster.get("/metrics", cluster.admin_port)
                self.assertIn("prefix_cache_hits_total{", text)

    def test_deepseek_v3(self):
        self.check("deepseek-v3-tiny", preempts=False)  # its latent cache is so small that all fit in the least size

    def test_qwen3_moe(self):
        self.check("qwen3-moe-tiny")

    def test_gpt_oss(self):
        self.check("gpt-oss-tiny")


if __name__ == "__main__":
    unittest.main()
