"""Goal: a rank that is cut off from the network is a pause, wherever its packets get lost, and takes part again when they arrive once more.
Method: every rank in a network namespace (and a process namespace: so they meet over TCP, as on several machines) with a cable to a bridge; the
cable is pulled under load. And that what they say to each other over the cables can be read only without tls. Runs itself again in namespaces of its own, where it may do so without being root."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import certificates
from cluster import BIN, GOLDEN, free_port, wait_for
from golden import Golden
from streams import Stream

MODEL = "r1-tiny"
RANKS = 3
LONG = 1500  # tokens of a stream
STREAMS = 6  # at once
PROMPT, EXPECTED = Golden(MODEL).greedy()[0]
HERE = "10.77.0.1"
HELLO = b"swex"  # begins each connection of the ranks' exchange


def sh(line):
    subprocess.run(line, shell=True, check=True)


class Tap(threading.Thread):
    """What passes an interface."""

    def __init__(self, interface):
        super().__init__()
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))  # ETH_P_ALL
        self.socket.bind((interface, 0))
        self.socket.settimeout(0.1)
        self.hellos, self.bytes, self.enough = 0, 0, False
        self.start()

    def run(self):
        while not self.enough:
            try:
                packet = self.socket.recv(1 << 16)
            except TimeoutError:
                continue
            self.hellos += packet.count(HELLO)
            self.bytes += len(packet)

    def end(self):
        self.enough = True
        self.join()
        self.socket.close()


class CutOff(unittest.TestCase):
    def start_cluster(self, tls=""):
        self.base = tempfile.TemporaryDirectory()
        self.addCleanup(self.base.cleanup)
        self.processes = []
        self.addCleanup(self.end_all)
        (pathlib.Path(self.base.name) / "secret").write_text("a secret of this test")
        os.chmod(f"{self.base.name}/secret", 0o600)
        self.admin, self.http, coordinator = free_port(), free_port(), free_port()
        config = (f"model: {{path: {GOLDEN / MODEL}, dtype: float32}}\nsecret_file: {self.base.name}/secret\n"
                  f"coordinator: {{host: {HERE}, port: {coordinator}, admin_port: {self.admin}}}\nfrontend: {{port: {self.http}}}\n"
                  f"worker: {{data_parallel_size: {RANKS}, kv_cache_memory_mib: 64, threads_per_rank: 1, listen_host: %s}}\n{tls}")
        self.start("switchyard-coordinator", self.write("cluster", config % HERE))
        self.start("switchyard-frontend", self.write("cluster", config % HERE))
        for rank in range(RANKS):
            sh(f"ip netns add rank{rank}; ip link add cable{rank} type veth peer name eth0 netns rank{rank};"
               f"ip link set cable{rank} master bridge up; ip netns exec rank{rank} ip link set lo up;"
               f"ip netns exec rank{rank} ip addr add {self.address(rank)}/24 dev eth0; ip netns exec rank{rank} ip link set eth0 up")
            self.addCleanup(sh, f"ip link del cable{rank}; ip netns del rank{rank}")
            if rank == 1:
                self.tap = Tap("cable1")
                self.addCleanup(self.tap.end)
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

    def test_with_tls_the_same_tokens_and_nothing_to_read_on_the_cables(self):
        with tempfile.TemporaryDirectory() as folder:
            certificates.make(pathlib.Path(folder), "node")
            self.start_cluster(certificates.internal(folder, "node"))
            self.assertEqual(Stream(self.http, 0, PROMPT, len(EXPECTED)).parse(), (200, EXPECTED, True))
        self.assertIn('exchange="tcp over TLS"', self.log())
        self.assertEqual(self.tap.hellos, 0)
        self.assertGreater(self.tap.bytes, 100_000)

    def test_streams_go_on_while_a_cable_is_pulled_and_after(self):
        self.start_cluster()
        status, undisturbed, complete = Stream(self.http, 0, PROMPT, LONG).parse()
        self.assertEqual((status, complete, undisturbed[:len(EXPECTED)]), (200, True, EXPECTED))
        self.assertIn("exchange=tcp ", self.log())
        self.assertGreater(self.tap.hellos, 0)  # or the test above could not fail
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
