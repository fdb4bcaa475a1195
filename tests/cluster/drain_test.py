"""Goal: what is told to end finishes what it has, and its place is taken: a restart of every process in turn, under load, costs no request.
Method: real processes under load, SIGTERM and POST /drain. What streams hold comes from the golden reference and from the same requests undisturbed."""

import concurrent.futures
import http.client
import json
import os
import signal
import threading
import unittest

from cluster import GOLDEN, Cluster, wait_for
from golden import Golden
from streams import Stream, post, replays

MODEL = "r1-tiny"
LONG = 1000  # tokens of a stream
STREAMS = 6  # at once
MANY = 48  # so that they run for seconds
FULL = 1900  # tokens; the context has room for few more
PROMPT, EXPECTED = Golden(MODEL).greedy()[0]
BODY = {"prompt": PROMPT, "max_tokens": 4, "temperature": 0}


class Drain(unittest.TestCase):
    def serve(self, ranks=2, frontends=1, worker=""):
        cluster = Cluster.up(f"model: {{path: {GOLDEN / MODEL}, dtype: float32}}\n"
                             f"worker: {{data_parallel_size: {ranks}, kv_cache_memory_mib: 64{worker}}}\n"
                             f"frontend: {{port: 0, count: {frontends}}}")
        self.addCleanup(cluster.__exit__)
        cluster.ranks, cluster.frontends = ranks, frontends
        self.wait_whole(cluster)
        cluster.ports = [frontend["port"] for frontend in cluster.view()["frontends"]]
        return cluster

    def is_whole(self, cluster, without=None):
        """All ranks are live and all frontends are there, none of them the process of this pid."""
        try:
            view = cluster.view()
        except (OSError, http.client.HTTPException):
            return False  # the coordinator is not back
        return sum(rank["state"] == "live" for rank in view["ranks"]) == cluster.ranks and len(view["frontends"]) == cluster.frontends \
            and without not in self.pids_of(view).values()

    def wait_whole(self, cluster):
        wait_for(lambda: self.is_whole(cluster), 30, "all are there")

    def admin_post(self, cluster, body):
        connection = http.client.HTTPConnection("127.0.0.1", cluster.admin_port, timeout=30)
        try:
            connection.request("POST", "/drain", json.dumps(body))
            return connection.getresponse().status
        finally:
            connection.close()

    def pids(self, cluster):
        return self.pids_of(cluster.view())

    def pids_of(self, view):
        return {**{("rank", r["rank_id"]): r["pid"] for r in view["ranks"]}, **{("frontend", f["port"]): f["pid"] for f in view["frontends"]},
                "coordinator": view["coordinator"]["pid"]}

    def stream(self, cluster, turn):
        """As a client with a retry: the next frontend when one takes nothing. The answer, and how often it was refused."""
        refusals = 0
        while True:
            port = cluster.ports[(turn + refusals) % len(cluster.ports)]
            try:
                stream = Stream(port, 0, PROMPT, LONG)
                if not stream.pieces:
                    raise ConnectionResetError  # closed before an answer began
                parsed = stream.parse()
                if parsed[0] != 503:
                    return parsed, refusals
            except (ConnectionRefusedError, ConnectionResetError):
                pass
            refusals += 1
            self.assertLess(refusals, 100000)

    def test_every_process_in_turn_under_load_and_no_stream_notices(self):
        cluster = self.serve(ranks=2, frontends=2)
        undisturbed, _ = self.stream(cluster, 0)
        self.assertEqual(undisturbed[1][:len(EXPECTED)], EXPECTED)
        before = self.pids(cluster)
        enough = threading.Event()

        def load(client):
            answers = []
            while not enough.is_set():
                answers.append(self.stream(cluster, client + len(answers))[0])
            return answers

        with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
            clients = [pool.submit(load, client) for client in range(STREAMS)]
            try:
                for what, pid in before.items():
                    os.kill(pid, signal.SIGTERM)
                    wait_for(lambda: self.is_whole(cluster, without=pid), 60, f"another process in the place of {what}")
            finally:
                enough.set()
            answers = [answer for client in clients for answer in client.result()]
        self.assertGreaterEqual(len(answers), STREAMS)
        for number, answer in enumerate(answers):
            with self.subTest(number):
                self.assertEqual(answer, (200, undisturbed[1], True))
        view = cluster.view()
        self.assertEqual(view["rank_deaths"], 0)
        self.assertEqual([process["ends"] for process in view["launcher"]["processes"]], [0] * 5)

    def test_a_rank_that_drains_finishes_its_streams_itself(self):
        # On a machine so busy that a rank is silent for a second, it would be given up, which is not what is tested.
        cluster = self.serve(worker="}\nheartbeat_ms: 1000\nlog: {level: info")
        with concurrent.futures.ThreadPoolExecutor(MANY) as pool:
            streams = [pool.submit(Stream, cluster.ports[0], 0, PROMPT, FULL) for _ in range(MANY)]
            wait_for(lambda: all(rank["sequences"] > 0 for rank in cluster.view()["ranks"]), 30, "streams on both ranks")
            pid = self.pids(cluster)["rank", 1]
            self.assertEqual(self.admin_post(cluster, {"rank_id": 1}), 202)
            wait_for(lambda: self.pids(cluster)["rank", 1] != pid, 60, "another process in its place")
            parsed = [stream.result().parse() for stream in streams]
        self.wait_whole(cluster)
        self.assertEqual([(status, len(ids), complete) for status, ids, complete in parsed], [(200, FULL, True)] * MANY)
        self.assertEqual({tuple(ids) for _, ids, _ in parsed}, {tuple(parsed[0][1])})
        self.assertEqual(replays(cluster, cluster.ports[0]), 0)

    def test_at_the_deadline_others_go_on_with_what_is_left(self):
        cluster = self.serve(worker="}\ndrain_deadline_ms: 1\nlog: {level: info")
        with concurrent.futures.ThreadPoolExecutor(MANY) as pool:
            streams = [pool.submit(Stream, cluster.ports[0], 0, PROMPT, FULL) for _ in range(MANY)]
            wait_for(lambda: all(rank["sequences"] > 0 for rank in cluster.view()["ranks"]), 30, "streams on both ranks")
            os.kill(self.pids(cluster)["rank", 0], signal.SIGTERM)
            parsed = [stream.result().parse() for stream in streams]
        self.assertEqual([(status, len(ids), complete) for status, ids, complete in parsed], [(200, FULL, True)] * MANY)
        self.assertEqual({tuple(ids) for _, ids, _ in parsed}, {tuple(parsed[0][1])})
        self.assertGreater(replays(cluster, cluster.ports[0]), 0)

    def test_too_few_ranks_refuse_new_requests_and_hold_old_ones(self):
        cluster = self.serve(worker=", min_ranks: 2")
        with concurrent.futures.ThreadPoolExecutor(MANY) as pool:
            streams = [pool.submit(Stream, cluster.ports[0], 0, PROMPT, FULL) for _ in range(MANY)]
            wait_for(lambda: all(rank["sequences"] > 0 for rank in cluster.view()["ranks"]), 30, "streams on both ranks")
            victim = self.pids(cluster)["rank", 1]
            os.kill(victim, signal.SIGSTOP)
            try:
                wait_for(lambda: cluster.view()["not_serving"], 30, "it is missed")
                wait_for(lambda: post(cluster.ports[0], BODY)[0] == 503, 5, "the frontend knows")
                connection = http.client.HTTPConnection("127.0.0.1", cluster.ports[0], timeout=30)
                connection.request("POST", "/v1/completions", json.dumps(BODY), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                self.assertEqual(answer.status, 503)
                self.assertGreaterEqual(int(answer.getheader("Retry-After")), 1)
                self.assertIn("1 of its 2 ranks", json.loads(answer.read())["error"]["message"])
                connection.close()
            finally:
                os.kill(victim, signal.SIGCONT)
            parsed = [stream.result().parse() for stream in streams]
        self.assertEqual([(status, len(ids), complete) for status, ids, complete in parsed], [(200, FULL, True)] * MANY)
        self.assertEqual({tuple(ids) for _, ids, _ in parsed}, {tuple(parsed[0][1])})

    def test_the_whole_cluster_ends_when_asked_to(self):
        for worker in ("", ", exchange: mpi"):
            cluster = self.serve(worker=worker)
            with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
                streams = [pool.submit(Stream, cluster.ports[0], 0, PROMPT, LONG) for _ in range(STREAMS)]
                wait_for(lambda: any(rank["sequences"] > 0 for rank in cluster.view()["ranks"]), 30, "streams")
                self.assertEqual(self.admin_post(cluster, {"all": True}), 202)
                parsed = [stream.result().parse() for stream in streams]
            self.assertEqual(cluster.process.wait(timeout=60), 0, cluster.stderr())
            begun = [answer for answer in parsed if answer[0] == 200]
            self.assertEqual([(len(ids), complete) for _, ids, complete in begun], [(LONG, True)] * len(begun))
            self.assertTrue(begun)
            self.assertEqual({status for status, _, _ in parsed} - {200, 503}, set())
            wait_for(lambda: not cluster.processes(), 5, f"all processes gone: {cluster.processes()}")


if __name__ == "__main__":
    unittest.main()
