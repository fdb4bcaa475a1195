"""What clients see when they ask for ten times what a cluster can do: `make bench-overload`.

    overload.py MODEL [--seconds 300] [--factor 10] [--ranks 2] [--tokens 200] [--prompt 64] [--bound 4] [--urgent 0.02] [--obedient 0.1]

First what the cluster carries: answers a second with as many clients as it has places, and the latencies of one client alone. Then requests
come at random moments at `factor` times that rate, whether or not earlier ones are answered, for so many seconds: a share of them urgent (priority
-1); of those that are refused a share comes again when Retry-After says, as OpenAI's SDK does (with x-stainless-retry-count). Then a
client alone again, from the moment on at which the load ends. Prints JSON lines: ratios to the unloaded latencies are what tells; seconds are this
machine's.
"""
import argparse
import asyncio
import json
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))
from cluster import Cluster, wait_for  # noqa: E402

PLACES = 8  # sequences of a rank at once


class Answer:
    def __init__(self):
        self.status, self.retry_after, self.begin, self.times = 0, 0, time.monotonic(), []

    def ttft(self):
        return self.times[0] - self.begin if self.times else None

    def tpot(self):
        """Between two tokens, on average: events that this program reads late come together."""
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1) if len(self.times) > 1 else 0.0

    def longest_gap(self):
        return max((b - a for a, b in zip(self.times, self.times[1:])), default=0.0)


class Client:
    def __init__(self, port, vocabulary, prompt, tokens, seed=1):
        self.port, self.vocabulary, self.prompt, self.tokens, self.random = port, vocabulary, prompt, tokens, random.Random(seed)

    async def ask(self, priority=0, retries=0):
        """One streamed request on a connection of its own."""
        answer = Answer()
        body = json.dumps({"prompt": [self.random.randrange(10, self.vocabulary) for _ in range(self.prompt)], "max_tokens": self.tokens, "temperature": 0,
                           "ignore_eos": True, "stream": True, "priority": priority})
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return answer
        try:
            writer.write(f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
                         f"X-Stainless-Retry-Count: {retries}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            answer.status = int(head.split()[1])
            for line in head.decode().split("\r\n"):
                if line.lower().startswith("retry-after:"):
                    answer.retry_after = int(line.split(":")[1])
            while line := await reader.readline():
                if line.startswith(b"data: {"):
                    answer.times.append(time.monotonic())
        except (OSError, asyncio.IncompleteReadError):
            answer.status = answer.status if answer.times else 0
        finally:
            writer.close()
        return answer


async def alone(client, seconds):
    answers, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        answers.append(await client.ask())
    return answers


async def capacity(client, clients, seconds):
    """Answers a second, and what they look like, with so many clients that ask again and again."""
    all_answers = await asyncio.gather(*(alone(client, seconds) for _ in range(clients)))
    answers = [a for some in all_answers for a in some if a.status == 200]
    return len(answers) / (max(a.times[-1] for a in answers) - min(a.begin for a in answers)), answers


class Load:
    """Requests that come whether or not there are answers."""

    def __init__(self, client, rate, urgent, obedient):
        self.client, self.rate, self.urgent, self.obedient = client, rate, urgent, obedient
        self.answers = {"normal": [], "urgent": [], "came again": []}
        self.end, self.told_beyond = 0.0, 0
        self.random = random.Random(2)

    async def one(self, kind):
        answer = await self.client.ask(priority=-1 if kind == "urgent" else 0)
        self.answers[kind].append(answer)
        if answer.status != 429 or self.random.random() >= self.obedient:
            return
        if time.monotonic() + answer.retry_after >= self.end:
            self.told_beyond += 1
            return
        await asyncio.sleep(answer.retry_after)
        self.answers["came again"].append(await self.client.ask(priority=-1 if kind == "urgent" else 0, retries=1))

    async def run(self, seconds):
        begin = time.monotonic()
        self.end = begin + seconds
        at, tasks = 0.0, set()
        while at < seconds:
            await asyncio.sleep(max(0.0, begin + at - time.monotonic()))
            tasks.add(asyncio.create_task(self.one("urgent" if self.random.random() < self.urgent else "normal")))
            tasks = {task for task in tasks if not task.done()}
            at += self.random.expovariate(self.rate)
        return tasks


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else None


def latencies(answers, base=None):
    accepted = [a for a in answers if a.status == 200 and a.times]
    out = {}
    for name, values in (("ttft", [a.ttft() for a in accepted]), ("tpot", [a.tpot() for a in accepted]),
                         ("longest gap", [a.longest_gap() for a in accepted])):
        for share in (0.5, 0.99):
            value = percentile(values, share)
            out[f"{name} p{round(100 * share)} s"] = value and round(value, 4)
            if value and base and base[f"{name} p50 s"]:
                out[f"{name} p{round(100 * share)} x"] = round(value / base[f"{name} p50 s"], 1)
    return out


def show(kind, answers, base):
    statuses = [a.status for a in answers]
    refused = [a for a in answers if a.status == 429]
    print(json.dumps({"requests": kind, "count": len(answers), "accepted": statuses.count(200), "refused": len(refused),
                      "other": len(answers) - statuses.count(200) - len(refused), **latencies(answers, base),
                      "retry_after s": {"p50": percentile([a.retry_after for a in refused], 0.5), "max": percentile([a.retry_after for a in refused], 1)}}), flush=True)


def memory(pids):
    out = {}
    for name, pid in pids.items():
        try:
            out[name] = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 >> 20
        except OSError:
            out[name] = None
    return out


async def watch(pids, seen):
    while True:
        seen.append(memory(pids))
        await asyncio.sleep(1)


async def measure(cluster, port, a):
    vocabulary = json.loads((a.model / "config.json").read_text())["vocab_size"]
    client = Client(port, vocabulary, a.prompt, a.tokens)
    await alone(client, 1)
    base = latencies(await alone(client, 5))
    print(json.dumps({"requests": "one client alone", **base}), flush=True)
    rate, answers = await capacity(client, PLACES * a.ranks, 10)
    print(json.dumps({"requests": "as many clients as places", "a second": round(rate, 1), **latencies(answers, base)}), flush=True)
    full = latencies(answers)

    view = cluster.view()
    pids = {f"rank {rank['rank_id']}": rank["pid"] for rank in view["ranks"]} | {"frontend": view["frontends"][0]["pid"], "coordinator": view["coordinator"]["pid"]}
    seen = []
    watcher = asyncio.create_task(watch(pids, seen))
    load = Load(client, a.factor * rate, a.urgent, a.obedient)
    begin = time.monotonic()
    rest = await load.run(a.seconds)
    took = time.monotonic() - begin

    # From the moment on at which nobody comes any more.
    over, back, after = time.monotonic(), None, []
    while time.monotonic() < over + 10:
        answer = await client.ask()
        after.append((answer.begin - over, answer))
        if back is None and answer.status == 200 and answer.ttft() < 2 * full["ttft p99 s"]:
            back = round(answer.begin - over, 2)
        if answer.status != 200:
            await asyncio.sleep(0.1)
    watcher.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    offered = sum(len(answers) for answers in load.answers.values())
    print(json.dumps({"offered a second": round(offered / took, 1), "times capacity": round(offered / took / rate, 1), "seconds": round(took), "bound s": a.bound}), flush=True)
    for kind, answers in load.answers.items():
        show(kind, answers, base)
    tenths = [[] for _ in range(10)]
    for x in load.answers["normal"]:
        if x.status == 200 and x.times:
            tenths[min(9, max(0, int(10 * (x.begin - begin) / a.seconds)))].append(x.ttft())
    print(json.dumps({"normal: ttft s by tenths of the load": {f"p{round(100 * p)}": [percentile(t, p) and round(percentile(t, p), 1) for t in tenths] for p in (0.5, 0.99, 1)}}),
          flush=True)
    again = load.answers["came again"]
    print(json.dumps({"came again when told": len(again), "accepted then": round(sum(x.status == 200 for x in again) / max(1, len(again)), 3),
                      "told a time after the end": load.told_beyond}), flush=True)
    print(json.dumps({"served a second under load": round(sum(x.status == 200 for answers in load.answers.values() for x in answers) / took, 1), "before": round(rate, 1)}), flush=True)
    marks = [seen[i] for i in (0, len(seen) // 4, len(seen) // 2, 3 * len(seen) // 4, len(seen) - 1)]
    print(json.dumps({"memory MiB at 0, 1/4, 1/2, 3/4, 1": {name: [mark[name] for mark in marks] for name in pids}}), flush=True)
    print(json.dumps({"after the load: first answer within twice the loaded ttft, s": back, "refused then": sum(x.status != 200 for _, x in after), "of": len(after),
                      **latencies([x for at, x in after if at > 2], base)}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--factor", type=float, default=10)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--bound", type=float, default=4, help="frontend.max_queue_seconds")
    parser.add_argument("--urgent", type=float, default=0.02)
    parser.add_argument("--obedient", type=float, default=0.1)
    a = parser.parse_args()
    config = (f"model: {{path: {a.model.resolve()}}}\nworker: {{data_parallel_size: {a.ranks}, kv_cache_memory_mib: 256, threads_per_rank: 1, max_num_seqs: {PLACES}}}\n"
              f"frontend: {{port: 0, max_queue_seconds: {a.bound}}}\nlog: {{level: error}}")
    with Cluster.up(config) as cluster:
        wait_for(lambda: [rank["state"] for rank in cluster.view()["ranks"]] == ["live"] * a.ranks, 60, "all ranks are live")
        asyncio.run(measure(cluster, cluster.view()["frontends"][0]["port"], a))


if __name__ == "__main__":
    main()
