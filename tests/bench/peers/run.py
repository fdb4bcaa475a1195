#!/usr/bin/env python3
"""What `make bench-peers` runs: this engine beside llama.cpp and ik_llama.cpp, the same weights, in turn, round by round.

    run.py [--models medium-qwen3moe,...] [--ik SOURCE] [--rounds 3] [--threads 2] [--only engine,server,start]

llama.cpp is built from the source in llama-cpp-python's archive on PyPI; ik_llama.cpp has no release: --ik names a checkout of it.
Prints ratios of medians, the share of the machine's limits measured in between, and the targets of docs/measurements; appends a row
a figure to build/bench/peers.csv and draws build/bench/peers.png.
"""
import argparse
import csv
import http.client
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from common import BIN, ROOT, as_job, checkpoint, free_port, limits, stamp  # noqa: E402
from peer import Files, Peer, fetch_llama_cpp  # noqa: E402
from work import Work  # noqa: E402

# Form: ours, the peers' file, weight bytes of all and of the experts (scales included), the limit of its products.
FORMS = {
    "int8": ("int8", "Q8_0", 1.0, 1.0, "int8"),
    "bf16": ("none", "BF16", 2.0, 2.0, "bf16"),
    "int4": ("int4", "Q4_K_M", 1.0, 0.5625, "int8"),
}
FIGURES = {  # of each form: prompts' tokens, numbers of sequences
    "int8": ([512, 2048], [1, 8, 32]),
    "bf16": ([512], [1, 32]),
    "int4": ([512], [1, 32]),
}
# Least ratio to llama.cpp and to ik_llama.cpp, least share of the limit; of medium-qwen3moe, and what the others must reach.
TARGETS = {
    ("int8", "prefill", 512): (4, 2, 0.5), ("int8", "prefill", 2048): (4, 2, 0.5),
    ("int8", "decode", 1): (1.3, 1.1, 0.85), ("int8", "decode", 8): (2, 1.5, None), ("int8", "decode", 32): (3, 2.5, 0.6),
    ("bf16", "prefill", 512): (2.5, 1.5, 0.6), ("int4", "decode", 1): (1.2, 1.05, None),
}  # fmt: skip
OTHER_TARGETS = {("int8", "prefill", 512): (1.5, 1.5, None), ("int8", "prefill", 2048): (1.5, 1.5, None), ("int8", "decode", 32): (1.5, 1.5, None)}
CLIENTS, NEW_TOKENS, PROMPT = 64, 48, 32
COLUMNS = ["commit", "date", "machine", "threads", "rounds", "model", "figure", "ours", "llama.cpp", "ik_llama.cpp", "ratio", "ik_ratio", "target", "ik_target",
           "share_of_limit", "share_target", "unit", "read_gbs", "int8_gops", "bf16_gflops"]  # fmt: skip


def ours(directory, quantization, threads, prefill, decode, ranks=1):
    command = [str(BIN / "engine_bench"), "--model", str(directory), "--quantization", quantization, "--threads", str(threads), "--rounds", "1",
               "--prefill", ",".join(map(str, prefill)), "--decode", ",".join(map(str, decode))]
    out = subprocess.run(as_job(ranks, command), check=True, capture_output=True, text=True).stdout
    rows = list(csv.DictReader(line for line in out.splitlines() if not line.startswith("#")))
    return {(row["what"], int(row["count"])): float(row["tokens_per_second"]) for row in rows}


class Table:
    def __init__(self, path, threads, rounds):
        self.stamp, self.path = [*stamp(), threads, rounds], path
        self.rows = []

    def add(self, model, figure, mine, peer=None, fork=None, targets=(None, None, None), share=None, unit="tokens/s", limit=None):
        ratio, fork_ratio = (mine / other if other else None for other in (peer, fork))
        self.rows.append(dict(zip(COLUMNS, [*self.stamp, model, figure, mine, peer, fork, ratio, fork_ratio, targets[0], targets[1], share, targets[2],
                                            unit, *((limit or {}).get(key) for key in ("read", "int8", "bf16"))])))
        show = lambda value, form: "" if value is None else format(value, form)
        least = lambda value, target, form: show(value, form) + ("" if target is None or value is None else f" ({'≥' if value >= target else 'under'} {target:g})")
        print(f"{model:18} {figure:24} {mine:9.1f} {unit:9} llama.cpp {show(peer, '.1f'):>7} × {least(ratio, targets[0], '.2f'):14} "
              f"ik {show(fork, '.1f'):>7} × {least(fork_ratio, targets[1], '.2f'):14} of the limit {least(share, targets[2], '.2f')}", flush=True)

    def save(self):
        is_new = not self.path.exists()
        with open(self.path, "a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if is_new:
                writer.writeheader()
            writer.writerows({key: "" if value is None else round(value, 4) if isinstance(value, float) else value for key, value in row.items()} for row in self.rows)

    def plot(self, path):
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
        rows = [row for row in self.rows if row["ratio"] or row["ik_ratio"]]
        if not rows:
            return
        figure, axes = pyplot.subplots(figsize=(9, 1 + 0.35 * len(rows)))
        for shift, key, name in ((0.2, "ratio", "to llama.cpp"), (-0.2, "ik_ratio", "to ik_llama.cpp")):
            axes.barh([i + shift for i in range(len(rows))], [row[key] or 0 for row in rows], 0.38, label=name)
        axes.set_yticks(range(len(rows)), [f"{row['model']} {row['figure']}" for row in rows])
        axes.invert_yaxis()
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xlabel(f"tokens/s, ratio; commit {self.stamp[0]}, {self.stamp[2]}, {self.stamp[3]} threads")
        axes.legend()
        figure.tight_layout()
        figure.savefig(path, dpi=120)


def engines(a, table, model, directory, peers, files):
    work, main_model = Work(directory), model == "medium-qwen3moe"
    targets = TARGETS if main_model else OTHER_TARGETS
    rates, seen = {}, []
    for round_ in range(a.rounds):
        for form in a.forms.split(","):
            quantization, file, *_ = FORMS[form]
            prefill, decode = FIGURES[form]
            seen.append(limits(a.threads))
            rates.setdefault(("ours", form), []).append(ours(directory, quantization, a.threads, prefill, decode))
            for peer in peers:
                rates.setdefault((peer.name, form), []).append(peer.throughput(files.get(file, peer.is_fork), a.threads, prefill, decode))
        print(f"{model}: round {round_ + 1} of {a.rounds} done, reads at {statistics.median(one['read'] for one in seen):.1f} GB/s", flush=True)
    limit = {key: statistics.median(one[key] for one in seen) for key in seen[0]}
    median = lambda name, form, what: statistics.median(one[what] for one in rates[name, form]) if (name, form) in rates else None
    for form in a.forms.split(","):
        _, _, weight_bytes, expert_bytes, product = FORMS[form]
        for what in [("prefill", n) for n in FIGURES[form][0]] + [("decode", n) for n in FIGURES[form][1]]:
            if what[0] == "prefill":
                most = what[1] / work.prefill_seconds(what[1], limit[product] * 1e9, limit["bf16"] * 1e9)
            else:
                step = max(work.decode_bytes(what[1], weight_bytes, expert_bytes) / (limit["read"] * 1e9), what[1] * work.decode_operations() / (limit[product] * 1e9))
                most = what[1] / step
            mine = median("ours", form, what)
            table.add(model, f"{form} {what[0]} {what[1]}", mine, median("llama.cpp", form, what), median("ik_llama.cpp", form, what),
                      targets.get((form, *what), (None, None, None)), mine / most, limit=limit)
    if main_model and "int8" in a.forms.split(","):
        two = [ours(directory, "int8", 1, [512], [32], ranks=2) for _ in range(a.rounds)] if a.threads > 1 else []
        for what in (("prefill", 512), ("decode", 32)) if two else ():
            of_two = statistics.median(one[what] for one in two)
            table.add(model, f"2 ranks x 1: {what[0]} {what[1]}", of_two / median("ours", "int8", what), unit="of 1 x 2", limit=limit)


def wait_for(port, path, process, seconds=180):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.005)
    sys.exit(f"{process.args[0]} is not ready after {seconds} s")


def load(port, path, body, count):
    """Output tokens/s of CLIENTS clients that each ask once."""
    generator = random.Random(7)
    prompts = [[generator.randrange(1000, 90000) for _ in range(PROMPT)] for _ in range(CLIENTS)]
    tokens = [0] * CLIENTS

    def client(i):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        connection.request("POST", path, json.dumps(body | {"prompt": prompts[i]}), {"Content-Type": "application/json"})
        tokens[i] = count(json.loads(connection.getresponse().read()))

    threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if min(tokens) != NEW_TOKENS:
        sys.exit(f"answers have {min(tokens)} to {max(tokens)} tokens, not {NEW_TOKENS}")
    return sum(tokens) / (time.monotonic() - start)


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def serve(directory, threads):
    port, admin = free_port(), free_port()
    process = subprocess.Popen([BIN / "switchyard", "serve", directory, "--quantization", "int8", "--port", str(port), "--admin-port", str(admin),
                                "--threads-per-rank", str(threads), "--packed-cache", str(directory) + "-packed"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    if not process.stdout.readline().startswith(b"ready "):
        sys.exit(f"switchyard serve {directory} did not become ready")
    return process, port, admin


def servers(a, table, model, directory, peer, files):
    mine, theirs = [], {}
    file = files.get("Q8_0")
    for round_ in range(a.rounds):
        process, port, _ = serve(directory, a.threads)
        body = {"model": directory.name, "max_tokens": NEW_TOKENS, "temperature": 0, "ignore_eos": True}
        mine.append(load(port, "/v1/completions", body, lambda answer: answer["usage"]["completion_tokens"]))
        stop(process)
        # The first round finds the best number of slots.
        for slots in (8, 16, 32, 64) if round_ == 0 else [max(theirs, key=lambda slots: max(theirs[slots]))]:
            port = free_port()
            process = peer.serve(file, a.threads, slots, 128, port)
            wait_for(port, "/health", process)
            body = {"n_predict": NEW_TOKENS, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
            theirs.setdefault(slots, []).append(load(port, "/completion", body, lambda answer: answer["tokens_predicted"]))
            stop(process)
    best = max(theirs, key=lambda slots: max(theirs[slots]))
    table.add(model, f"server, {CLIENTS} clients", statistics.median(mine), statistics.median(theirs[best]), targets=(4, None, None))
    print(f"  llama-server by slots: { {slots: round(max(rates), 1) for slots, rates in theirs.items()} }")


def starts(a, table, model, directory, peer, files):
    """From the start of the process to ready, the page cache and our packed cache warm, and what the rank then holds."""
    mine, theirs = [], []
    stop(serve(directory, a.threads)[0])  # writes the packed cache
    for _ in range(a.rounds):
        start = time.monotonic()
        process, port, admin = serve(directory, a.threads)
        mine.append(time.monotonic() - start)
        load(port, "/v1/completions", {"model": directory.name, "max_tokens": NEW_TOKENS, "temperature": 0, "ignore_eos": True},
             lambda answer: answer["usage"]["completion_tokens"])
        time.sleep(1.2)  # a heartbeat carries the figures
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/cluster", timeout=60) as answer:
            rank = json.loads(answer.read())["ranks"][0]
        stop(process)
        if peer:
            port = free_port()
            start = time.monotonic()
            process = peer.serve(files.get("Q8_0"), a.threads, 1, 128, port)
            wait_for(port, "/health", process)
            theirs.append(time.monotonic() - start)
            stop(process)
    table.add(model, "ready, warm", statistics.median(mine), statistics.median(theirs) if theirs else None, unit="s")
    mib = 1 << 20
    over = (rank["resident_bytes"] - rank["weight_bytes"]) / mib
    table.add(model, "resident over weights", over, unit="MiB")
    print(f"  weights {rank['weight_bytes'] / mib:.0f} MiB, KV reserved {rank['kv_bytes'] / mib:.0f} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="medium-qwen3moe,medium-deepseekv3,medium-mixtral")
    parser.add_argument("--forms", default="int8,bf16,int4")
    parser.add_argument("--only", default="engine,server,start", help="server and start: of the first model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--llama", type=pathlib.Path, help="source of llama.cpp (default: the one on PyPI)")
    parser.add_argument("--ik", type=pathlib.Path, help="source of ik_llama.cpp")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "bench", help="checkpoints, GGUF files, builds and results")
    a = parser.parse_args()
    parts = a.only.split(",")
    if unknown := set(parts) - {"engine", "server", "start"}:
        parser.error(f"--only: no part {', '.join(sorted(unknown))}")
    if unknown := set(a.forms.split(",")) - set(FORMS):
        parser.error(f"--forms: no form {', '.join(sorted(unknown))}")
    a.work.mkdir(parents=True, exist_ok=True)
    needs_server = "server" in parts or "start" in parts
    peers = [Peer("llama.cpp", a.llama or fetch_llama_cpp(a.work), a.work / "llama.cpp-build", is_fork=False)]
    if a.ik:
        peers.append(Peer("ik_llama.cpp", a.ik, a.work / "ik_llama.cpp-build", is_fork=True))
    for peer in peers:
        peer.make(with_server=needs_server and not peer.is_fork)
    table = Table(a.work / "peers.csv", a.threads, a.rounds)
    for i, model in enumerate(a.models.split(",")):
        directory = checkpoint(a.work, model)
        files = Files(directory, peers[0].build / "bin" / "llama-quantize")
        if "engine" in parts:
            engines(a, table, model, directory, peers, files)
        if "server" in parts and i == 0:
            servers(a, table, model, directory, peers[0], files)
        if "start" in parts and i == 0:
            starts(a, table, model, directory, peers[0], files)
    table.save()
    table.plot(a.work / "peers.png")
    print(f"rows in {a.work / 'peers.csv'}, plot in {a.work / 'peers.png'}")


if __name__ == "__main__":
    main()
