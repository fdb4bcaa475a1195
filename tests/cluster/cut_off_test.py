"""Goal: a rank that is cut off from the network is a pause, wherever its packets get lost, and takes part again when they arrive once more.
Method: every rank in a network namespace (and a process namespace: so they meet over TCP, as on several machines) with a cable to a bridge; the
cable is pulled under load. Runs itself again in namespaces of its own, where it may do so without being root."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from cluster import BIN, GOLDEN, free_port, wait_for
from golden import Golden
from streams import Stream

MODEL = "r1-tiny"
RANKS = 3
LONG = 1500  # tokens of a stream
STREAMS = 6  # at once
PROMPT, EXPECTED = Golden(MODEL).greedy()[0]
HERE = "10.77.0.1"


def sh(line):
    subprocess.run(line, shell=True, check=True)


class CutOff(unittest.TestCase):
    def setUp(self):
        self.base = tempfile.TemporaryDirectory()
        self.addCleanup(self.base.cleanup)
        self.processes = []
        self.addCleanup(self.end_all)
        (pathlib.Path(self.base.name) / "secret").write_text("a secret of this test")
        os.chmod(f"{self.base.name}/secret", 0o600)
        self.admin, self.http, coordinator = free_port(), free_port(), free_port()
        config = (f"model: {{path: {GOLDEN / MODEL}, dtype: float32}}\nsecret_file: {self.base.name}/secret\n"
                  f"coordinator: {{host: {HERE}, port: {coordinator}, admin_port: {self.admin}}}\nfrontend: {{port: {self.http}}}\n"
                  f"worker: {{data_parallel_size: {RANKS}, kv_cache_memory_mib: 64, threads_per_rank: 1, listen_host: %s}}\n")
        self.start("switchyard-coordinator", self.write("cluster", config % HERE))
        self.start("switchyard-frontend", self.write("cluster", config % HERE))
        for rank in range(RANKS):
            sh(f"ip netns add rank{rank}; ip link add cable{rank} type veth peer name eth0 netns rank{rank};"
               f"ip link set cable{rank} master bridge up; ip netns exec rank{rank} ip link set lo up;"
               f"ip netns exec rank{rank} ip addr add {self.address(rank)}/24 dev eth0; ip netns exec rank{rank} ip link set eth0 up")
            self.addCleanup(sh, f"ip netns del rank{rank}")
            self.start("switchyard-worker", self.write(f"rank{rank}", config % self.address(rank)), "--rank", str(rank),
                       before=("ip", "netns", "exec", f"rank{rank}", "unshare", "--pid", "--fork", "--kill-child"))
        wait_for(lambda: self.states() == ["live"] * RANKS, 60, "all ranks are live")
        wait_for(lambda: self.get("/ready", self.http)[0] == 200, 30, "the frontend is ready")

    def address(self, rank):
        return f"10.77.0.{10 + rank}"

    def write(self, name, text):
        path = pathlib.Path(self.base.name) / f"{name}.yaml"
        path.write_text(text)
        return str(path)

    def start(self, program, config, *arguments, before=()):
        with open(f"{self.base.name}/log", "a") as log:
            self.processes.append(subprocess.Popen([*before, BIN / program, "--config", config, *arguments], stdout=log, stderr=log))

    def end_all(self):
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def log(self):
        return pathlib.Path(f"{self.base.name}/log").read_text()

    def get(self, path, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def states(self):
        status, body = self.get("/cluster", self.admin)
        return [rank["state"] for rank in json.loads(body)["ranks"]] if status == 200 else []

    def test_streams_go_on_while_a_cable_is_pulled_and_after(self):
        status, undisturbed, complete = Stream(self.http, 0, PROMPT, LONG).parse()
        self.assertEqual((status, complete, undisturbed[:len(EXPECTED)]), (200, True, EXPECTED))
        self.assertIn("exchange=tcp", self.log())
        enough = threading.Event()

        def load():
            streams = []
            while not enough.is_set():
                streams.append(Stream(self.http, 0, PROMPT, LONG))
            return streams

        def answered():
            return sum(rank["generation_tokens"] for rank in json.loads(self.get("/cluster", self.admin)[1])["ranks"])

        with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
            clients = [pool.submit(load) for _ in range(STREAMS)]
            try:
                wait_for(lambda: answered() > 2 * LONG, 30, "load")
                for victim in (1, 0):
                    sh(f"ip link set cable{victim} nomaster")
                    pulled = time.monotonic()
                    wait_for(lambda: self.states()[victim] == "dead", 30, "its silence is noticed")
                    print(f"rank {victim} cut off: noticed after {time.monotonic() - pulled:.2f} s", file=sys.stderr)
                    before = answered()
                    wait_for(lambda: answered() > before + LONG, 60, "the others go on")
                    sh(f"ip link set cable{victim} master bridge")
                    wait_for(lambda: self.states() == ["live"] * RANKS, 60, "it is back")
            finally:
                enough.set()
            streams = [stream.parse() for client in clients for stream in client.result()]
        for number, stream in enumerate(streams):
            with self.subTest(number):
                self.assertEqual(stream, (200, undisturbed, True))


if __name__ == "__main__":
    if os.environ.get("SWITCHYARD_NAMESPACES") is None:
        os.environ["SWITCHYARD_NAMESPACES"] = "1"
        os.execvp("unshare", ["unshare", "--user", "--map-root-user", "--net", "--mount", sys.executable, *sys.argv])
    sh(f"mount -t tmpfs none /run; mkdir -p /run/netns; ip link set lo up; ip link add bridge type bridge; ip addr add {HERE}/24 dev bridge; ip link set bridge up")
    unittest.main()
