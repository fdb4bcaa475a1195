"""Goal: groups are replicas: either answers with the same bits, one that dies costs nobody an answer and comes back.
Method: two groups of two ranks and two frontends as real processes; a rank is killed under load. What streams hold comes from the golden reference
and from the same requests when nothing was killed."""

import concurrent.futures
import json
import os
import signal
import threading
import time
import unittest

from cluster import GOLDEN, Cluster, wait_for
from golden import Golden
from streams import Stream, post, replays

MODEL = "r1-tiny"
GROUPS, RANKS, FRONTENDS = 2, 2, 2
LONG = 2000  # tokens of a stream
STREAMS = 8  # at once

# Prompts of less than 64 tokens: no rank is preferred for their beginnings.
PROMPTS = Golden(MODEL).greedy()[:3]


class Groups(unittest.TestCase):
    def serve(self, groups=GROUPS, ranks=RANKS, frontends=FRONTENDS):
        cluster = Cluster.up(f"model: {{path: {GOLDEN / MODEL}, dtype: float32}}\nheartbeat_ms: 200\n"
                             f"worker: {{groups: {groups}, data_parallel_size: {ranks}, kv_cache_memory_mib: 64}}\n"
                             f"frontend: {{port: 0, count: {frontends}}}")
        self.addCleanup(cluster.__exit__)
        wait_for(lambda: self.live(cluster) == groups * ranks, 30, "all ranks are live")
        wait_for(lambda: len(cluster.view()["frontends"]) == frontends, 30, "all frontends are known")
        cluster.ports = [frontend["port"] for frontend in cluster.view()["frontends"]]
        # A frontend hears of a rank a moment after the coordinator does.
        wait_for(lambda: cluster.stderr().count("connected to a rank") == groups * ranks * frontends, 30, "frontends see all ranks")
        return cluster

    def live(self, cluster):
        return sum(rank["state"] == "live" for rank in cluster.view()["ranks"])

    def group(self, cluster, number):
        return [rank for rank in cluster.view()["ranks"] if rank["group"] == number]

    def ask(self, cluster, i):
        """A short request's choice; its tokens are the reference's."""
        prompt, expected = PROMPTS[i % len(PROMPTS)]
        status, answer = post(cluster.ports[i % len(cluster.ports)], {
            "prompt": prompt, "max_tokens": len(expected), "temperature": 0, "ignore_eos": True, "logprobs": 3, "return_token_ids": True})
        self.assertEqual(status, 200, answer)
        (choice,) = json.loads(answer)["choices"]
        self.assertEqual(choice["token_ids"], expected)
        return choice

    def test_either_group_answers_with_the_same_bits(self):
        cluster = self.serve()
        self.assertEqual([(r["rank_id"], r["group"]) for r in cluster.view()["ranks"]], [(0, 0), (1, 0), (2, 1), (3, 1)])
        expected = [self.ask(cluster, i) for i in range(len(PROMPTS))]
        for i in range(24):
            self.assertEqual(self.ask(cluster, i), expected[i % len(PROMPTS)])
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            for i, choice in enumerate(pool.map(lambda i: self.ask(cluster, i), range(24))):
                self.assertEqual(choice, expected[i % len(PROMPTS)])
        wait_for(lambda: all(rank["generation_tokens"] > 0 for rank in cluster.view()["ranks"]), 5, "every rank has answered")

    def test_a_killed_rank_is_no_other_groups_affair_and_comes_back(self):
        cluster = self.serve()
        undisturbed = []
        for prompt, (_, expected) in enumerate(PROMPTS):
            status, ids, complete = Stream(cluster.ports[0], prompt, PROMPTS[prompt][0], LONG).parse()
            self.assertEqual((status, complete), (200, True))
            self.assertEqual(len(ids), LONG)
            self.assertEqual(ids[:len(expected)], expected)
            undisturbed.append(ids)
        survivors = [rank["pid"] for rank in cluster.view()["ranks"]][:GROUPS * RANKS - 1]

        enough = threading.Event()

        def load(client):
            streams = []
            while not enough.is_set():
                prompt = (client + len(streams)) % len(PROMPTS)
                streams.append(Stream(cluster.ports[client % FRONTENDS], prompt, PROMPTS[prompt][0], LONG))
            return streams

        with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
            clients = [pool.submit(load, client) for client in range(STREAMS)]
            try:
                wait_for(lambda: all(rank["generation_tokens"] > LONG for rank in cluster.view()["ranks"]), 30, "load on all ranks")
                # Held until the group surely has streams: no rank steps without the others.
                other, victim = self.group(cluster, 1)
                os.kill(victim["pid"], signal.SIGSTOP)
                held = time.monotonic()

                def has_streams():
                    (rank,) = [r for r in cluster.view()["ranks"] if r["pid"] == other["pid"]]
                    return rank["sequences"] + rank["waiting"] > 0 and rank["heard_seconds_ago"] < time.monotonic() - held
                wait_for(has_streams, 30, "streams on the group")
                os.kill(victim["pid"], signal.SIGKILL)
                for port in cluster.ports:
                    self.assertEqual([cluster.get(path, port)[0] for path in ("/ready", "/health")], [200, 200])
                wait_for(lambda: self.live(cluster) == GROUPS * RANKS and self.group(cluster, 1)[1]["pid"] != victim["pid"], 60, "the rank is back")
                wait_for(lambda: all(rank["generation_tokens"] > LONG for rank in self.group(cluster, 1)), 60, "it is under load again")
            finally:
                enough.set()
            streams = [stream for client in clients for stream in client.result()]

        # Those on the other group, those that moved there, and those that came meanwhile.
        self.assertGreater(sum(replays(cluster, port) for port in cluster.ports), 0)
        for number, stream in enumerate(streams):
            with self.subTest(number):
                self.assertEqual(stream.parse(), (200, undisturbed[stream.prompt], True))
        self.assertEqual([rank["pid"] for rank in cluster.view()["ranks"]][:GROUPS * RANKS - 1], survivors)
        self.assertIn("worker rank 3 was killed by signal 9", cluster.stderr())

        for i in range(8):
            self.ask(cluster, i)
        cluster.process.send_signal(signal.SIGTERM)
        self.assertEqual(cluster.process.wait(timeout=30), 0, cluster.stderr())
        wait_for(lambda: not cluster.processes(), 5, f"all processes gone: {cluster.processes()}")
        self.assertEqual(cluster.run_directories(), [])


if __name__ == "__main__":
    unittest.main()
