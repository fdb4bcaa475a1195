"""Goal: a process that dies is a pause: ranks, coordinator and frontends come back, and no stream notices but by the clock. One that keeps dying
ends the cluster, and is named.
Method: a cluster of real processes under load; kill -9. What streams hold comes from the golden reference and from the same requests undisturbed."""

import concurrent.futures
import os
import signal
import threading
import unittest

from cluster import GOLDEN, Cluster, wait_for
from golden import Golden
from streams import Stream, post, replays

MODEL = "r1-tiny"
RANKS = 2
LONG = 1500  # tokens of a stream
STREAMS = 6  # at once
PROMPTS = Golden(MODEL).greedy()[:3]


class Recovery(unittest.TestCase):
    def serve(self, frontends=1):
        cluster = Cluster.up(f"model: {{path: {GOLDEN / MODEL}, dtype: float32}}\nheartbeat_ms: 200\n"
                             f"worker: {{data_parallel_size: {RANKS}, kv_cache_memory_mib: 64}}\n"
                             f"frontend: {{port: 0, count: {frontends}}}")
        self.addCleanup(cluster.__exit__)
        self.wait_whole(cluster, frontends)
        cluster.ports = [frontend["port"] for frontend in cluster.view()["frontends"]]
        return cluster

    def wait_whole(self, cluster, frontends=1):
        def whole():
            try:
                view = cluster.view()
            except OSError:
                return False  # the coordinator is not back
            return sum(rank["state"] == "live" for rank in view["ranks"]) == RANKS and len(view["frontends"]) == frontends
        wait_for(whole, 30, "all are there")

    def undisturbed(self, cluster):
        """Token ids of a long stream of each prompt."""
        streams = [Stream(cluster.ports[0], i, text, LONG).parse() for i, (text, _) in enumerate(PROMPTS)]
        for (status, ids, complete), (_, expected) in zip(streams, PROMPTS):
            self.assertEqual((status, complete, len(ids)), (200, True, LONG))
            self.assertEqual(ids[:len(expected)], expected)
        return [ids for _, ids, _ in streams]

    def under_load(self, cluster, happen):
        """The streams of clients that ask again and again, while `happen` runs in the middle."""
        enough = threading.Event()

        def load(client):
            streams = []
            while not enough.is_set():
                prompt = (client + len(streams)) % len(PROMPTS)
                streams.append(Stream(cluster.ports[0], prompt, PROMPTS[prompt][0], LONG))
            return streams

        with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
            clients = [pool.submit(load, client) for client in range(STREAMS)]
            try:
                wait_for(lambda: all(rank["generation_tokens"] > 100 for rank in cluster.view()["ranks"]), 30, "load on all ranks")
                happen()
            finally:
                enough.set()
            return [stream for client in clients for stream in client.result()]

    def check(self, streams, undisturbed):
        self.assertGreaterEqual(len(streams), STREAMS)
        for number, stream in enumerate(streams):
            with self.subTest(number):
                self.assertEqual(stream.parse(), (200, undisturbed[stream.prompt], True))

    def test_a_rank_dies_the_other_takes_over_and_no_stream_loses_a_token(self):
        cluster = self.serve()
        undisturbed = self.undisturbed(cluster)
        before = [rank["pid"] for rank in cluster.view()["ranks"]]

        def kill_a_rank():
            os.kill(before[1], signal.SIGKILL)
            wait_for(lambda: cluster.view()["ranks"][1]["pid"] != before[1], 30, "another process in its place")
            self.wait_whole(cluster)

        streams = self.under_load(cluster, kill_a_rank)
        self.check(streams, undisturbed)
        view = cluster.view()
        self.assertEqual(view["ranks"][0]["pid"], before[0])
        self.assertEqual(view["epoch"], 3)  # all, without the dead one, all again
        self.assertEqual(view["rank_deaths"], 1)
        self.assertGreater(replays(cluster, cluster.ports[0]), 0)
        self.assertIn("worker rank 1 was killed by signal 9", cluster.stderr())

    def test_a_stopped_rank_is_given_up_and_joins_again(self):
        cluster = self.serve()
        undisturbed = self.undisturbed(cluster)
        stopped = cluster.view()["ranks"][0]["pid"]

        def stop_a_rank():
            os.kill(stopped, signal.SIGSTOP)
            try:
                wait_for(lambda: cluster.view()["ranks"][0]["state"] == "dead", 30, "its silence is noticed")
                status, answer = post(cluster.ports[0], {"prompt": PROMPTS[0][0], "max_tokens": 4, "temperature": 0})
                self.assertEqual(status, 200, answer)
            finally:
                os.kill(stopped, signal.SIGCONT)
            self.wait_whole(cluster)

        streams = self.under_load(cluster, stop_a_rank)
        self.check(streams, undisturbed)
        self.assertEqual(cluster.view()["ranks"][0]["pid"], stopped)
        self.assertGreater(replays(cluster, cluster.ports[0]), 0)

    def test_the_coordinator_dies_and_nobody_else_notices(self):
        cluster = self.serve()
        undisturbed = self.undisturbed(cluster)
        before = cluster.view()

        def kill_the_coordinator():
            os.kill(before["coordinator"]["pid"], signal.SIGKILL)
            status, answer = post(cluster.ports[0], {"prompt": PROMPTS[0][0], "max_tokens": 4, "temperature": 0})
            self.assertEqual(status, 200, answer)
            self.wait_whole(cluster)

        streams = self.under_load(cluster, kill_the_coordinator)
        self.check(streams, undisturbed)
        after = cluster.view()
        self.assertNotEqual(after["coordinator"]["pid"], before["coordinator"]["pid"])
        self.assertEqual([rank["pid"] for rank in after["ranks"]], [rank["pid"] for rank in before["ranks"]])
        self.assertEqual(after["epoch"], before["epoch"])
        self.assertEqual(replays(cluster, cluster.ports[0]), 0)

    def test_a_frontend_dies_its_sequences_end_and_it_comes_back_at_its_port(self):
        cluster = self.serve(frontends=2)
        undisturbed = self.undisturbed(cluster)
        victim = next(f for f in cluster.view()["frontends"] if f["port"] == cluster.ports[1])

        def kill_a_frontend():
            killed = threading.Event()

            def ask():
                while not killed.is_set():
                    try:
                        Stream(cluster.ports[1], 0, PROMPTS[0][0], LONG)
                    except OSError:
                        return  # the client sees the connection break

            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                clients = [pool.submit(ask) for _ in range(4)]
                try:
                    wait_for(lambda: self.running(cluster, cluster.ports[1]), 30, "streams through the victim")
                    os.kill(victim["pid"], signal.SIGKILL)
                finally:
                    killed.set()
                for client in clients:
                    client.result()
            wait_for(lambda: victim["pid"] not in {f["pid"] for f in cluster.view()["frontends"]}, 30, "its death is seen")
            self.wait_whole(cluster, frontends=2)

        streams = self.under_load(cluster, kill_a_frontend)
        self.check(streams, undisturbed)
        self.assertEqual({f["port"] for f in cluster.view()["frontends"]}, set(cluster.ports))
        wait_for(lambda: all(rank["sequences"] + rank["waiting"] == 0 for rank in cluster.view()["ranks"]), 10, "ranks are empty")
        status, answer = post(cluster.ports[1], {"prompt": PROMPTS[0][0], "max_tokens": 4, "temperature": 0})
        self.assertEqual(status, 200, answer)

    def running(self, cluster, port):
        return next((f["requests"] for f in cluster.view()["frontends"] if f["port"] == port), None)

    def test_one_that_keeps_dying_ends_the_cluster_and_is_named(self):
        cluster = self.serve()
        killed = set()
        while cluster.process.poll() is None:
            try:
                pids = {frontend["pid"] for frontend in cluster.view()["frontends"]} - killed
            except OSError:
                break  # the coordinator has been stopped
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        self.assertNotEqual(cluster.process.wait(timeout=60), 0)
        self.assertEqual(len(killed), 8)
        self.assertIn("frontend 0 was killed by signal 9", cluster.stderr().splitlines()[-1])
        wait_for(lambda: not cluster.processes(), 5, f"all processes gone: {cluster.processes()}")
        self.assertEqual(cluster.run_directories(), [])


if __name__ == "__main__":
    unittest.main()
