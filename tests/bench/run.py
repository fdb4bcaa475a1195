#!/usr/bin/env python3
"""What `make bench` runs: kernels, token masks, then the engine and the whole cluster on checkpoints of real shapes with random weights.

    run.py [--only kernels,structured,engine,cluster] [--models small-qwen3moe,medium-qwen3moe] [--checkpoints DIR] [--rounds N] [--csv FILE]

Checkpoints are made in DIR (build/bench; 5.5 GB for both) when they are not there. Prints a table, and writes one CSV row a figure,
each with commit, date and machine, to build/bench/results.csv. Absolute figures of a shared machine are noise: compare rows of one
run, and look at the memory bandwidth printed beside them.
"""
import argparse
import concurrent.futures
import csv
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
import urllib.request

import frontend_scale
from common import BIN, ROOT, as_job, checkpoint, free_port, kernel_rows, stamp

MIB = 1 << 20
# ranks x threads of one machine's cores
SPLITS = [(1, 2), (2, 1)]


class Results:
    def __init__(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.rates = {}  # (model, what): {(ranks, threads): tokens/s}
        self.stamp = stamp()
        self.file = open(path, "w", newline="")
        self.writer = csv.writer(self.file)
        self.writer.writerow(["commit", "date", "machine", "model", "ranks", "threads", "what", "value", "unit"])

    def add(self, model, ranks, threads, what, value, unit):
        self.writer.writerow([*self.stamp, model, ranks, threads, what, value, unit])
        self.file.flush()
        split = f"{ranks} x {threads}" if ranks else ""
        if unit == "tokens/s":
            self.rates.setdefault((model, what), {})[ranks, threads] = float(value)
        print(f"{model:18} {split:6} {what:32} {value:>10} {unit}", flush=True)

    def plot(self, path):
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
        models = sorted({model for model, _ in self.rates})
        figure, axes = pyplot.subplots(1, len(models), figsize=(5.5 * len(models), 4), squeeze=False)
        for axis, model in zip(axes[0], models):
            whats = [what for one, what in self.rates if one == model]
            for i, (ranks, threads) in enumerate(SPLITS):
                rates = [self.rates[model, what].get((ranks, threads), 0) for what in whats]
                bars = axis.bar([x + (i - 0.5) * 0.4 for x in range(len(whats))], rates, 0.4, label=f"{ranks} ranks × {threads} threads")
                axis.bar_label(bars, fmt="%.0f", fontsize=7)
            axis.set_xticks(range(len(whats)), whats, rotation=30, ha="right")
            axis.set_title(model)
            axis.set_ylabel("tokens/s")
        axes[0][0].legend()
        figure.suptitle(f"commit {self.stamp[0]}, {self.stamp[1]}, {self.stamp[2]}", fontsize=8)
        figure.tight_layout()
        figure.savefig(path, dpi=120)


def kernels(results):
    """Memory bandwidth beside which the other figures are to be read, and every kernel."""
    for row in kernel_rows():
        name = row["name"].split("/min_time")[0]
        rates = {unit: row[unit] for unit in ("GB/s", "GFLOP/s") if row.get(unit)}
        for unit, rate in (rates or {row["time_unit"]: row["real_time"]}).items():
            results.add("", "", "", name, f"{rate:.2f}", unit)


def structured(results):
    """Token masks of constraints, over a vocabulary of 128k tokens."""
    out = subprocess.run([str(BIN / "structured_bench")], check=True, capture_output=True, text=True).stdout
    for row in csv.DictReader(line for line in out.splitlines() if not line.startswith("#")):
        for what, unit in (("us_mean", "us"), ("us_p99", "us"), ("first_text_us", "us"), ("compile_ms", "ms")):
            results.add("", "", "", f"masks, {row['case']}: {what}", row[what], unit)


def bandwidth(results):
    for row in kernel_rows(only="machine/read"):
        results.add("", "", "", "memory read", f"{row['GB/s']:.1f}", "GB/s")


def engine(results, model, directory, rounds):
    for ranks, threads in SPLITS:
        command = [str(BIN / "engine_bench"), "--model", str(directory), "--threads", str(threads), "--rounds", str(rounds), "--prefill", "512,2048"]
        out = subprocess.run(as_job(ranks, command), capture_output=True, text=True)
        if out.returncode != 0:
            sys.exit(f"engine_bench failed:\n{out.stderr}")
        rows = csv.DictReader(line for line in out.stdout.splitlines() if not line.startswith("#"))
        memory = 0
        for row in rows:
            what = f"{row['what']} {row['count']}"
            results.add(model, ranks, threads, what, row["tokens_per_second"], "tokens/s")
            memory = max(memory, int(row["resident_mib"]))
            weights = int(row["weights_mib"])
        results.add(model, ranks, threads, "resident, largest rank", memory, "MiB")
        results.add(model, ranks, threads, "weights of that rank", weights, "MiB")


def context(results, model, directory, depths=(8192, 32768)):
    """Long prompts and decode behind them, in int8, beside the KV bytes that each new token reads."""
    for kv_type in ("bfloat16", "int8"):
        for depth in depths:
            command = [str(BIN / "engine_bench"), "--model", str(directory), "--threads", str(SPLITS[0][1]), "--rounds", "1", "--quantization", "int8",
                       "--kv-cache-dtype", kv_type, "--prefill", str(depth), "--decode", "1", "--depth", str(depth), "--new-tokens", "32"]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            for row in csv.DictReader(line for line in out.splitlines() if not line.startswith("#")):
                name = f"prefill {depth}" if row["what"] == "prefill" else f"decode at {depth}"
                results.add(model, *SPLITS[0], f"int8, KV {kv_type}: {name}", row["tokens_per_second"], "tokens/s")


def frontend(results):
    """What a core of a frontend carries, in front of a rank that emits tokens on schedule."""
    for count in (1000, 4000, 10000):
        for what, value in frontend_scale.streams(count, 200).items():
            results.add("", "", "", f"{count} streams: {what}", value, "")
    for what, value in frontend_scale.requests(100000, 128).items():
        results.add("", "", "", f"short requests: {what}", value, "")


def evict(directory):
    """Puts the checkpoint out of the page cache; needs no root."""
    for path in pathlib.Path(directory).iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return answer.read()


def cluster(results, model, directory):
    """`switchyard serve`, from its start to its `ready` line and its first answer, and what each rank then holds."""
    for ranks, threads in SPLITS:
        for cache in ("cold", "warm"):
            if cache == "cold":
                evict(directory)
            port, admin = free_port(), free_port()
            start = time.monotonic()
            process = subprocess.Popen(
                [BIN / "switchyard", "serve", directory, "--port", str(port), "--admin-port", str(admin), "--data-parallel-size", str(ranks),
                 "--threads-per-rank", str(threads)],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            try:
                if not process.stdout.readline().startswith(b"ready "):
                    sys.exit(f"switchyard serve {directory} did not become ready")
                ready = time.monotonic() - start
                results.add(model, ranks, threads, f"ready, page cache {cache}", f"{ready:.2f}", "s")
                body = json.dumps({"model": model, "prompt": [1, 2, 3, 4] * 128, "max_tokens": 16, "temperature": 0}).encode()
                request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=120) as answer:
                    answer.read()
                if cache == "warm":
                    time.sleep(1.2)  # a heartbeat carries the figures
                    for rank in json.loads(get(admin, "/cluster"))["ranks"]:
                        # Of the KV reserved, one sequence of 528 tokens is touched: all over the weights counts.
                        over = rank["resident_bytes"] - rank["weight_bytes"]
                        name = f"rank {rank['rank_id']}"
                        results.add(model, ranks, threads, f"{name} resident", rank["resident_bytes"] // MIB, "MiB")
                        results.add(model, ranks, threads, f"{name} weights", rank["weight_bytes"] // MIB, "MiB")
                        results.add(model, ranks, threads, f"{name} KV reserved", rank["kv_bytes"] // MIB, "MiB")
                        results.add(model, ranks, threads, f"{name} resident over weights", over // MIB, "MiB")
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)


def token_times(port, body, begun):
    """When the tokens of one streamed completion came; releases `begun` at the first."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("POST", "/v1/completions", json.dumps(body | {"stream": True}), {"Content-Type": "application/json"})
    times = []
    for line in connection.getresponse():
        if line.startswith(b"data: {"):
            times.append(time.monotonic())
            if len(times) == 1:
                begun.release()
    return times


def latency(results, model, directory, streams=8, prompts=6, prompt_tokens=2048):
    """Gaps between tokens of running streams, alone and while long prompts arrive one after the other: int8, for some step budgets.

    A step takes at most max_num_batched_tokens tokens of prompts beside a token of each stream, so that a gap is bound by the time of
    such a step, whatever arrives.
    """
    ranks, threads = SPLITS[0]
    for budget in (64, 256, 512):
        port, admin = free_port(), free_port()
        process = subprocess.Popen(
            [BIN / "switchyard", "serve", directory, "--quantization", "int8", "--port", str(port), "--admin-port", str(admin), "--threads-per-rank", str(threads),
             "--max-num-batched-tokens", str(budget), "--packed-cache", f"{directory}-packed"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        try:
            if not process.stdout.readline().startswith(b"ready "):
                sys.exit(f"switchyard serve {directory} did not become ready")
            rng = random.Random(1)
            common = {"model": directory.name, "temperature": 0, "ignore_eos": True}
            prompt = lambda count: [rng.randrange(1000, 90000) for _ in range(count)]
            for load, count in (("alone", 0), (f"beside prompts of {prompt_tokens}", prompts)):
                bodies = [common | {"prompt": prompt(32), "max_tokens": 128 if count == 0 else 1024} for _ in range(streams)]
                late = [common | {"prompt": prompt(prompt_tokens), "max_tokens": 1} for _ in range(count)]
                with concurrent.futures.ThreadPoolExecutor(streams + 1) as pool:
                    begun = threading.Semaphore(0)
                    running = [pool.submit(token_times, port, body, begun) for body in bodies]
                    start, end = 0, float("inf")
                    if count:
                        for _ in bodies:
                            if not begun.acquire(timeout=120):
                                sys.exit("a stream did not begin within 120 s")
                        start = time.monotonic()
                        for body in late:
                            request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
                            urllib.request.urlopen(request, timeout=600).read()
                        end = time.monotonic()
                        results.add(model, ranks, threads, f"budget {budget}: prompts beside {streams} streams", f"{count * prompt_tokens / (end - start):.0f}", "tokens/s")
                    times = [[at for at in stream.result() if start <= at <= end] for stream in running]
                    gaps = sorted(after - before for one in times for before, after in zip(one, one[1:]))
                for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1)):
                    value = gaps[min(len(gaps) - 1, int(share * len(gaps)))]
                    results.add(model, ranks, threads, f"budget {budget}: gap {name}, {load}", f"{1000 * value:.1f}", "ms")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="kernels,structured,engine,cluster",
                        help="and context (minutes of long prompts) and latency: of the last model; tokenizers and frontend, without a model")
    parser.add_argument("--models", default="small-qwen3moe,medium-qwen3moe")
    parser.add_argument("--checkpoints", type=pathlib.Path, default=ROOT / "build" / "bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--csv", type=pathlib.Path, default=ROOT / "build" / "bench" / "results.csv")
    a = parser.parse_args()
    parts = a.only.split(",")
    if "tokenizers" in parts:
        subprocess.run([sys.executable, ROOT / "tests" / "bench" / "tokenizer_table.py"], check=True)
    if unknown := set(parts) - {"kernels", "structured", "engine", "cluster", "context", "latency", "tokenizers", "frontend"}:
        parser.error(f"--only: no part {', '.join(sorted(unknown))}")
    results = Results(a.csv)
    print(f"commit {results.stamp[0]}, {results.stamp[1]}, {results.stamp[2]}")
    if "kernels" in parts:
        kernels(results)
    if "structured" in parts:
        structured(results)
    if "frontend" in parts:
        frontend(results)
    for model in a.models.split(","):
        if not {"engine", "cluster", "context", "latency"} & set(parts):
            break
        directory = checkpoint(a.checkpoints, model)
        bandwidth(results)
        if "engine" in parts:
            engine(results, model, directory, a.rounds)
        if "cluster" in parts:
            cluster(results, model, directory)
        if "context" in parts and model == a.models.split(",")[-1]:
            context(results, model, directory)
        if "latency" in parts and model == a.models.split(",")[-1]:
            latency(results, model, directory)
    print(f"rows in {a.csv}")
    if results.rates:
        results.plot(a.csv.with_suffix(".png"))
        print(f"plot in {a.csv.with_suffix('.png')}")


if __name__ == "__main__":
    main()
