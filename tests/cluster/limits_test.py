"""Goal: two frontends keep one key's limits together, by way of the coordinator, and each goes on by itself when that is stuck.
Method: real processes; a key with few requests a minute is used up at one frontend and refused at the other."""

import http.client
import json
import os
import signal
import tempfile
import unittest

from cluster import GOLDEN, Cluster, free_port, wait_for

REQUESTS = 8  # a minute


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        port = free_port()
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys, tempfile.NamedTemporaryFile("w", suffix=".yaml") as yaml:
            keys.write(f"few requests_per_minute={REQUESTS}\nfew-there requests_per_minute={REQUESTS}\nlater requests_per_minute=2\nmany\n")
            keys.flush()
            yaml.write(f"model: {{path: {GOLDEN / 'r1-tiny'}}}\nheartbeat_ms: 50\nworker: {{data_parallel_size: 1}}\n"
                       f"frontend: {{port: 0, count: 2, api_keys_file: {keys.name}}}\ncoordinator: {{admin_port: {port}}}\n")
            yaml.flush()
            cls.cluster = Cluster("up", yaml.name)
            cls.addClassCleanup(cls.cluster.__exit__)
            cls.cluster.wait_ready()
        cls.cluster.admin_port = port
        wait_for(lambda: len(cls.cluster.view()["frontends"]) == 2, 10, "both frontends are known")
        cls.ports = [frontend["port"] for frontend in cls.cluster.view()["frontends"]]
        for port in cls.ports:
            wait_for(lambda: cls.cluster.get("/ready", port)[0] == 200, 10, "a frontend is ready")

    def ask(self, frontend, key):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[frontend], timeout=30)
        try:
            connection.request("POST", "/v1/completions", json.dumps({"prompt": [5, 6], "max_tokens": 1}),
                               {"Content-Type": "application/json", "Authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers
        finally:
            connection.close()

    def remaining(self, frontend, key):
        status, headers = self.ask(frontend, key)
        return int(headers["x-ratelimit-remaining-requests"]) if status == 200 else -1

    def test_1_what_one_frontend_gave_the_other_does_not_give_again(self):
        for _ in range(REQUESTS - 2):
            self.assertEqual(self.ask(0, "few")[0], 200)
        # Each look takes one too: the first that sees the other's six leaves none, the next is refused.
        wait_for(lambda: self.remaining(1, "few") <= 0, 5, "the other frontend has heard of it")
        status, headers = self.ask(1, "few")
        self.assertEqual(status, 429)
        self.assertTrue(1 <= int(headers["Retry-After"]) <= 60, headers["Retry-After"])
        self.assertEqual(self.ask(0, "many")[0], 200)
        self.assertEqual(self.ask(1, "few-there")[0], 200)
        self.assertEqual(self.ask(0, "nobody")[0], 401)

    def test_2_while_the_coordinator_is_stuck_each_keeps_them_by_itself(self):
        os.kill(self.cluster.view()["coordinator"]["pid"], signal.SIGSTOP)
        for frontend in (0, 1):
            self.assertEqual([self.ask(frontend, "later")[0] for _ in range(3)], [200, 200, 429])
            self.assertEqual(self.ask(frontend, "many")[0], 200)


if __name__ == "__main__":
    unittest.main()
