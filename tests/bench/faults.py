"""What clients see when processes of a cluster die under load: `make bench-faults`.

    faults.py MODEL [--ranks 4] [--kills 20] [--stops 5] [--slows 0] [--coordinator-kills 5] [--frontend-kills 5] [--streams 16] [--tokens 400] [--tokenizer DIR]

Clients stream greedy answers again and again; one fault after the other happens at random moments (kill -9 of a rank, SIGSTOP of a rank
until it is found dead, a rank that runs a twentieth of the time, kill -9 of the coordinator), the next one when all ranks are live again; every process dies five times, then another
cluster is begun. For each stream that was open: its longest
gap between two pieces from the fault on. Every stream has to come to its end with the tokens of an undisturbed run. Prints a JSON line
a kind of fault.
"""
import argparse
import http.client
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))
from cluster import Cluster, wait_for  # noqa: E402


FAULTS_OF_ONE = 5  # processes, in one cluster
# A process of its own, so that it keeps to time as well as the machine lets it: the victim stands still twenty times as long as it ran.
SLOW_DOWN = """
import os, signal, sys, time
try:
    while True:
        os.kill(int(sys.argv[1]), signal.SIGCONT)
        began = time.monotonic()
        time.sleep(0.001)
        os.kill(int(sys.argv[1]), signal.SIGSTOP)
        time.sleep(min(20 * (time.monotonic() - began), 0.4))
except ProcessLookupError:
    pass
"""


class Stream:
    """A stream: its pieces' times, its tokens, how it ended."""

    def __init__(self, prompt):
        self.prompt, self.times, self.tokens, self.error, self.complete = prompt, [], [], None, False

    def run(self, port, body):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200:
                self.error = f"{answer.status} {answer.read()[:200]}"
                return self
            for line in answer:
                if not line.startswith(b"data: "):
                    continue
                self.times.append(time.monotonic())
                if line.startswith(b"data: [DONE]"):
                    self.complete = True
                    break
                event = json.loads(line[6:])
                if "error" in event:
                    self.error = event["error"]["message"]
                for choice in event.get("choices", []):
                    self.tokens += choice.get("token_ids") or []
        except (OSError, http.client.HTTPException) as error:
            self.error = repr(error)
        finally:
            connection.close()
        return self

    def pause(self, at):
        """The longest gap that lies behind `at`, wholly or in part; None when the stream was not open then."""
        if not self.times or not self.times[0] <= at <= self.times[-1]:
            return None
        return max(b - max(a, at) for a, b in zip(self.times, self.times[1:]) if b > at)


class Load:
    def __init__(self, port, vocabulary, streams, tokens, seed, compared=True):
        rng = random.Random(seed)
        self.bodies = [{"prompt": [rng.randrange(10, vocabulary) for _ in range(24)], "max_tokens": tokens, "temperature": 0, "ignore_eos": True,
                        "stream": True, "return_token_ids": True} for _ in range(8)]
        self.port, self.count, self.done, self.finished = port, streams, threading.Event(), []
        self.expected = [Stream(i).run(port, body).tokens for i, body in enumerate(self.bodies)] if compared else []

    def __enter__(self):
        self.threads = [threading.Thread(target=self.client, args=(i,)) for i in range(self.count)]
        for thread in self.threads:
            thread.start()
        return self

    def client(self, number):
        turn = number
        while not self.done.is_set():
            prompt = turn % len(self.bodies)
            self.finished.append(Stream(prompt).run(self.port, self.bodies[prompt]))
            turn += 1

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()

    def lost(self):
        return [s for s in self.finished if s.error or not s.complete]

    def different(self):
        return [s for s in self.finished if s.complete and s.tokens != self.expected[s.prompt]]


def states(cluster):
    try:
        return [rank["state"] for rank in cluster.view()["ranks"]]
    except OSError:
        return []


def is_noticed(cluster, rank_id):
    try:
        rank = cluster.view()["ranks"][rank_id]
        return rank["state"] != "live" or rank["slow"]
    except OSError:
        return False


def percentile(values, share):
    values = sorted(values)
    return round(values[min(len(values) - 1, int(share * len(values)))], 3) if values else None


def faults(cluster, kind, victims, ranks, rng):
    """Lets a fault of a kind happen to each victim in turn; the figures."""
    at, detected, given_up, whole = [], [], [], []
    for rank_id in victims:
        # A process is not judged slow in its first three seconds.
        time.sleep(rng.uniform(0.5, 1.5) + (3.5 if kind == "rank slowed" else 0))
        view = cluster.view()
        victim = view["coordinator"] if kind == "coordinator killed" else view["ranks"][rank_id]
        began = time.monotonic()
        at.append(began)
        slowing = None
        if kind == "rank slowed":
            slowing = subprocess.Popen([sys.executable, "-c", SLOW_DOWN, str(victim["pid"])])
        else:
            os.kill(victim["pid"], signal.SIGSTOP if kind == "rank stopped" else signal.SIGKILL)
        if kind != "coordinator killed":
            wait_for(lambda: is_noticed(cluster, rank_id), 60, "the fault is noticed")
            detected.append(time.monotonic() - began)
        if slowing:
            wait_for(lambda: states(cluster)[rank_id] != "live", 60, "it is given up")
            given_up.append(time.monotonic() - began)
        if kind == "rank stopped":
            os.kill(victim["pid"], signal.SIGCONT)
        if slowing:
            slowing.wait()
        wait_for(lambda: states(cluster) == ["live"] * ranks, 120, "all ranks are live again")
        whole.append(time.monotonic() - began)
    return at, detected, given_up, whole


def frontends_killed(a, vocabulary, count):
    """How long the ranks keep what a frontend that was killed had there. Reports come every 50 ms, for it is they that tell."""
    freed = []
    config = (f"model: {{path: {a.model.resolve()}, max_model_len: 1024}}\nheartbeat_ms: 50\n"
              f"worker: {{data_parallel_size: {a.ranks}, kv_cache_memory_mib: 256, threads_per_rank: 1}}\nfrontend: {{port: 0, count: 2}}\nlog: {{level: warn}}")
    with Cluster.up(config) as cluster:
        for _ in range(count):
            wait_for(lambda: states(cluster) == ["live"] * a.ranks and len(cluster.view()["frontends"]) == 2, 60, "all are there")
            victim = max(cluster.view()["frontends"], key=lambda frontend: frontend["port"])
            with Load(victim["port"], vocabulary, a.streams, 900, a.seed, compared=False) as load:
                wait_for(lambda: all(rank["sequences"] > 0 for rank in cluster.view()["ranks"]), 60, "streams on all ranks")
                load.done.set()
                os.kill(victim["pid"], signal.SIGKILL)
                began = time.monotonic()
                while any(rank["sequences"] + rank["waiting"] + rank["kv_blocks_used"] for rank in cluster.view()["ranks"]):
                    if time.monotonic() > began + 30:
                        raise AssertionError("the ranks keep sequences of a frontend that is gone")
                freed.append(time.monotonic() - began)
    return freed


def batches(kind, count, ranks, rng):
    """Victims, a cluster's at a time: the launcher gives up a process that ends 8 times within ten minutes."""
    each = 1 if kind == "coordinator killed" else ranks
    while count > 0:
        batch = [rank for rank in range(each) for _ in range(FAULTS_OF_ONE)]
        rng.shuffle(batch)
        yield batch[:count]
        count -= len(batch)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--stops", type=int, default=5)
    parser.add_argument("--slows", type=int, default=0)
    parser.add_argument("--coordinator-kills", type=int, default=5)
    parser.add_argument("--frontend-kills", type=int, default=5)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    vocabulary = json.loads((a.model / "config.json").read_text())["vocab_size"]
    for kind, count in (("rank killed", a.kills), ("rank stopped", a.stops), ("rank slowed", a.slows), ("coordinator killed", a.coordinator_kills)):
        rng = random.Random(a.seed)
        pauses, detected, given_up, whole, streams, lost, different = [], [], [], [], 0, [], 0
        for victims in batches(kind, count, a.ranks, rng):
            config = (f"model: {{path: {a.model.resolve()}, max_model_len: 1024}}\nworker: {{data_parallel_size: {a.ranks}, kv_cache_memory_mib: 256, threads_per_rank: 1}}\n"
                      "frontend: {port: 0}\nlog: {level: warn}")
            with Cluster.up(config) as cluster:
                wait_for(lambda: states(cluster) == ["live"] * a.ranks, 60, "all ranks are live")
                port = cluster.view()["frontends"][0]["port"]
                with Load(port, vocabulary, a.streams, a.tokens, a.seed) as load:
                    try:
                        at, noticed, gone, again = faults(cluster, kind, victims, a.ranks, rng)
                    except BaseException:
                        print(cluster.stderr(), file=sys.stderr)
                        raise
            detected, given_up, whole, streams = detected + noticed, given_up + gone, whole + again, streams + len(load.finished)
            lost, different = lost + load.lost(), different + len(load.different())
            pauses += [p for moment in at for p in (s.pause(moment) for s in load.finished) if p is not None]
        if count > 0:
            print(json.dumps({
                "fault": kind, "times": count, "ranks": a.ranks, "streams": streams, "lost": len(lost), "different": different,
                "noticed s": {"p50": percentile(detected, 0.5), "p99": percentile(detected, 0.99), "max": percentile(detected, 1)},
                **({"given up s": {"p50": percentile(given_up, 0.5), "max": percentile(given_up, 1)}} if given_up else {}),
                "pause s": {"p50": percentile(pauses, 0.5), "p99": percentile(pauses, 0.99), "max": percentile(pauses, 1), "streams": len(pauses)},
                "whole again s": {"p50": percentile(whole, 0.5), "max": percentile(whole, 1)}}), flush=True)
        for stream in lost[:3]:
            print("  lost:", stream.error or "no end", flush=True)
    if a.frontend_kills > 0:
        freed = []
        while len(freed) < a.frontend_kills:
            freed += frontends_killed(a, vocabulary, min(FAULTS_OF_ONE, a.frontend_kills - len(freed)))
        print(json.dumps({"fault": "frontend killed", "times": a.frontend_kills, "ranks": a.ranks, "its sequences and their KV gone after s":
                          {"p50": percentile(freed, 0.5), "max": percentile(freed, 1)}}), flush=True)


if __name__ == "__main__":
    main()
