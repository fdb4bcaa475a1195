"""Hours of mixed load with random faults: `make soak T=3600`.

    soak.py MODEL --seconds 3600 [--groups 2] [--ranks 2] [--clients 12] [--pause 0] [--fault-every 12] [--seed 1]

Clients send chats and completions of many lengths, greedy and drawn, streamed and whole; some leave in the middle. Meanwhile, at random moments:
kill -9 of a rank, a frontend or the coordinator, SIGSTOP of a rank until it is found dead, SIGTERM of any of them. Every answer has to
be the one that the same request had undisturbed, token for token; a client that finds its frontend gone asks the other one again. Every ten
seconds: resident memory and open files of each process. Rank 0, frontend 0 and the launcher are spared, so that what grows there
shows. Prints a line a minute and a summary in JSON; ends with 1 when an answer was lost or different, or memory or files grew.
"""
import argparse
import collections
import http.client
import json
import os
import pathlib
import random
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))
from cluster import Cluster, wait_for  # noqa: E402

BODIES = 48
ENDS_MAX = 5  # of a process within ten minutes: more, and the launcher would soon give it up


class Gone(Exception):
    """The frontend is not there, or died in the middle: the client's to ask another."""


class Refused(Exception):
    def __init__(self, status, body, retry_after):
        super().__init__(f"{status} {body[:200]}")
        self.status, self.retry_after = status, retry_after


def ask(port, body, leave_after=None):
    """The tokens; None when the client left."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise Refused(answer.status, answer.read(), answer.getheader("Retry-After"))
        if not body["stream"]:
            (choice,) = json.loads(answer.read())["choices"]
            return choice["token_ids"]
        tokens, complete = [], False
        for line in answer:
            if line.startswith(b"data: [DONE]"):
                complete = True
                break
            if not line.startswith(b"data: "):
                continue
            event = json.loads(line[6:])
            if "error" in event:
                raise Refused(event["error"].get("code"), json.dumps(event).encode(), None)
            for choice in event.get("choices", []):
                tokens += choice.get("token_ids") or []
            if leave_after is not None and len(tokens) >= leave_after:
                return None
        if not complete:
            raise Gone("the stream broke off")
        return tokens
    except (ConnectionError, http.client.HTTPException, TimeoutError) as error:
        raise Gone(repr(error)) from error
    finally:
        connection.close()


def make_bodies(vocabulary, rng):
    bodies = []
    for i in range(BODIES):
        length = rng.choice([4, 20, 60, 150, 400])
        body = {"prompt": [rng.randrange(10, vocabulary) for _ in range(length)], "max_tokens": rng.choice([1, 8, 40, 120, 300]), "ignore_eos": True,
                "stream": i % 4 != 0, "return_token_ids": True, "temperature": 0}
        if i % 3 == 0:
            body |= {"temperature": 0.8, "top_p": 0.9, "seed": i}
        bodies.append(body)
    return bodies


class Soak:
    def __init__(self, cluster, bodies, expected, clients, pause, seed):
        self.bodies, self.expected, self.pause, self.seed = bodies, expected, pause, seed
        self.ports = [frontend["port"] for frontend in cluster.view()["frontends"]]
        self.done, self.lock, self.count = threading.Event(), threading.Lock(), collections.Counter()
        self.failures = []
        self.threads = [threading.Thread(target=self.client, args=(i,)) for i in range(clients)]

    def note(self, what, failure=None):
        with self.lock:
            self.count[what] += 1
            if failure:
                self.failures.append(failure)

    def client(self, number):
        rng = random.Random(self.seed * 1000 + number)
        while not self.done.is_set():
            which = rng.randrange(BODIES)
            body = self.bodies[which]
            leave = rng.randrange(1, body["max_tokens"]) if body["stream"] and body["max_tokens"] > 1 and rng.random() < 0.1 else None
            port = rng.choice(self.ports)
            self.done.wait(rng.uniform(0, 2 * self.pause))
            deadline = time.monotonic() + 60
            while True:
                try:
                    tokens = ask(port, body, leave)
                except Gone:
                    self.note("frontend gone, asked again")
                    port = self.ports[(self.ports.index(port) + 1) % len(self.ports)]
                    self.done.wait(0.1)
                except Refused as refusal:
                    if refusal.status not in (429, 503) or refusal.retry_after is None:
                        self.note("failed", str(refusal))
                        break
                    self.note(f"refused {refusal.status}, asked again")
                    self.done.wait(float(refusal.retry_after))
                else:
                    if tokens is None:
                        self.note("client left")
                    else:
                        self.note("answered")
                        if tokens != self.expected[which]:
                            self.note("different", f"body {which}: {tokens[:20]} instead of {self.expected[which][:20]}")
                    break
                if time.monotonic() > deadline:
                    self.note("lost", f"body {which}: no answer within 60 s")
                    break


def view_of(cluster):
    try:
        return cluster.view()
    except (OSError, http.client.HTTPException, AssertionError):
        return None


def processes_of(view):
    """name -> pid"""
    found = {f"rank {rank['rank_id']}": rank["pid"] for rank in view["ranks"] if rank["state"] == "live"}
    found |= {f"frontend {i}": frontend["pid"] for i, frontend in enumerate(sorted(view["frontends"], key=lambda f: f["port"]))}
    return found | {"coordinator": view["coordinator"]["pid"], "launcher": (view["launcher"] or {}).get("pid", 0)}


def usage_of(pid):
    """(resident MiB, open files)"""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1), len(os.listdir(f"/proc/{pid}/fd"))


def ends_of(view, name):
    wanted = name if name.startswith(("frontend", "coordinator")) else f"worker {name}"
    return next((p["ends"] for p in (view["launcher"] or {"processes": []})["processes"] if p["name"] == wanted), ENDS_MAX)


def one_fault(cluster, whole, rng, faults):
    """One fault; returns when all are there again."""
    view = view_of(cluster)
    if view is None or not whole():
        return
    names = [name for name in processes_of(view) if name not in ("rank 0", "frontend 0", "launcher")]
    kind = rng.choices(["killed", "told to end", "stopped"], [5, 3, 2])[0]
    if kind == "stopped":
        names = [name for name in names if name.startswith("rank")]
    victim = rng.choice(names)
    if kind == "killed" and ends_of(view, victim) >= ENDS_MAX:
        kind = "told to end"
    pid = processes_of(view)[victim]
    os.kill(pid, {"killed": signal.SIGKILL, "told to end": signal.SIGTERM, "stopped": signal.SIGSTOP}[kind])
    faults[f"{victim.split()[0]} {kind}"] += 1

    def seen():
        now = view_of(cluster)
        return now is not None and pid not in processes_of(now).values()
    wait_for(seen, 60, f"{victim} {kind}: it is missed")
    if kind == "stopped":
        os.kill(pid, signal.SIGCONT)
    wait_for(whole, 120, f"{victim} {kind}: all are there again")


def growth(samples):
    """(median of the second quarter, median of the last quarter): caches have filled by then, and what still grows shows."""
    quarter = len(samples) // 4
    if quarter < 2:
        return None
    middle = lambda values: sorted(values)[len(values) // 2]  # noqa: E731
    return middle(samples[quarter:2 * quarter]), middle(samples[-quarter:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--groups", type=int, default=2)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--pause", type=float, default=0, help="seconds, on average, that a client waits before it asks again")
    parser.add_argument("--fault-every", type=float, default=12, help="seconds, on average, from one fault's end to the next one")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    rng = random.Random(a.seed)
    vocabulary = json.loads((a.model / "config.json").read_text())["vocab_size"]
    config = (f"model: {{path: {a.model.resolve()}, max_model_len: 1024}}\n"
              f"worker: {{groups: {a.groups}, data_parallel_size: {a.ranks}, kv_cache_memory_mib: 128, threads_per_rank: 1}}\n"
              "frontend: {port: 0, count: 2}\nlog: {level: error}")
    with Cluster.up(config) as cluster:
        def whole():
            view = view_of(cluster)
            return view is not None and sum(rank["state"] == "live" for rank in view["ranks"]) == a.groups * a.ranks and len(view["frontends"]) == 2 \
                and view["launcher"] is not None

        wait_for(whole, 60, "all are there")
        bodies = make_bodies(vocabulary, rng)
        port = cluster.view()["frontends"][0]["port"]
        soak = Soak(cluster, bodies, [ask(port, body) for body in bodies], a.clients, a.pause, a.seed)
        samples, faults = collections.defaultdict(list), collections.Counter()
        begin = time.monotonic()
        next_fault, next_sample, next_line = begin + a.fault_every, begin, begin + 60
        for thread in soak.threads:
            thread.start()
        try:
            while (now := time.monotonic()) < begin + a.seconds:
                if now >= next_fault:
                    one_fault(cluster, whole, rng, faults)
                    next_fault = time.monotonic() + rng.uniform(0.2, 1.8) * a.fault_every
                if now >= next_sample:
                    next_sample = now + 10
                    view = view_of(cluster)
                    for name, pid in (processes_of(view) if view else {}).items():
                        try:
                            samples[name, pid].append(usage_of(pid))
                        except OSError:
                            pass  # it has just ended
                if now >= next_line:
                    next_line += 60
                    print(json.dumps({"minutes": round((now - begin) / 60), **soak.count, "faults": sum(faults.values())}), flush=True)
                time.sleep(0.05)
        finally:
            soak.done.set()
            for thread in soak.threads:
                thread.join()
        wait_for(lambda: all(r["sequences"] + r["waiting"] == 0 for r in cluster.view()["ranks"]), 30, "no sequence is left at a rank")
        left = {rank["rank_id"]: rank["kv_blocks_used"] for rank in cluster.view()["ranks"]}

    grown = []
    for (name, _), values in samples.items():
        memory, files = growth([m for m, _ in values]), growth([f for _, f in values])
        if memory is None or name not in ("rank 0", "frontend 0", "launcher"):
            continue
        print(json.dumps({"process": name, "minutes": round(len(values) / 6, 1), "resident MiB": memory, "open files": files}), flush=True)
        if memory[1] > 1.1 * memory[0] + 4 or files[1] > files[0] + 4:
            grown.append(name)
    print(json.dumps({"seconds": round(a.seconds), **soak.count, "faults": faults, "kv blocks left": left, "grown": grown}), flush=True)
    for failure in soak.failures[:10]:
        print("  ", failure, flush=True)
    sys.exit(1 if soak.failures or grown else 0)


if __name__ == "__main__":
    main()
