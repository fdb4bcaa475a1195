"""How many streams and requests one core of a frontend carries: `switchyard bench serve` against `switchyard-frontend` in front of a
rank that emits tokens on a known schedule (tests/support/scheduled_rank.h).

    frontend_scale.py [--streams 10000] [--tokens 240] [--requests 100000] [--cores 1] [--frontend PROGRAM] [--llama-server PROGRAM]

The frontend is pinned to the first `--cores` CPUs, load tool and rank to the others. What it adds to a token: the token's arrival at
the client minus the time at which it was due at the rank, a rank's own lateness (printed beside it) included. CPU time of a token is
that of the whole frontend process, and holds on a machine that does other things; latencies do not.

--llama-server: the same load on llama.cpp's server, which computes in the same process: on a model of two layers of 64 (tiny-qwen3moe of
make_checkpoint.py), so that the server is most of what is measured. Needs what tests/bench/peers/requirements.txt lists (`make bench-peers` builds
the program).
"""
import argparse
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import BIN, ROOT, free_port  # noqa: E402

MODEL = ROOT / "tests" / "data" / "golden" / "qwen3-moe-tiny"
INTERVAL_US = 50000  # 20 tokens a second


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(pid):
    """Proportional set: what the process holds, shared pages by their share."""
    return int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))


def pinned(cpus, command):
    return ["taskset", "-c", ",".join(map(str, cpus)), *map(str, command)]


class Served:
    """Rank and frontend on loopback, until the with block ends."""

    def __init__(self, cores, frontend=BIN / "switchyard-frontend", first_us=INTERVAL_US, tick_us=1000):
        cpus = sorted(os.sched_getaffinity(0))
        self.mine, self.others = cpus[:cores], cpus[cores:] or cpus
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.directory.name)
        secret = path / "secret"
        secret.write_text("of the benchmark")
        secret.chmod(0o600)
        config = path / "cluster.yaml"
        config.write_text(
            f"secret_file: {secret}\nmodel: {{path: {MODEL}}}\ncoordinator: {{port: {free_port()}, admin_port: {free_port()}}}\n"
            f"frontend: {{port: {self.port}, threads: {cores}, max_connections: 100000, max_concurrent_requests: 100000}}\nlog: {{level: warn}}\n")
        self.rank = subprocess.Popen(
            pinned(self.others, [BIN / "fake_ranks", "--config", config, "--first-us", first_us, "--interval-us", INTERVAL_US, "--tick-us", tick_us]),
            stdout=subprocess.PIPE, text=True)
        self.rank.stdout.readline()
        self.frontend = subprocess.Popen(pinned(self.mine, [frontend, "--config", config]))

    def __enter__(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                if urllib.request.urlopen(f"{self.url}/ready", timeout=5).status == 200:
                    return self
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def __exit__(self, *_):
        for process in (self.frontend, self.rank):
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        self.rank_says = json.loads(self.rank.stdout.read())
        self.directory.cleanup()

    def bench(self, *flags):
        """Starts `switchyard bench serve`; its result is in the file of result()."""
        self.result_file = pathlib.Path(self.directory.name) / "result.json"
        command = [BIN / "switchyard", "bench", "serve", "--base-url", self.url, "--result-filename", self.result_file, "--save-result",
                   "--ignore-eos", "--disable-tqdm", "--random-input-len", 16, "--tokenizer", MODEL, *flags]
        return subprocess.Popen(pinned(self.others, command), stdout=subprocess.DEVNULL)

    def result(self, process):
        if process.wait() != 0:
            sys.exit("bench serve failed")
        return json.loads(self.result_file.read_text())


def percentile(values, share):
    return values[min(len(values) - 1, int(share * len(values)))]


def added_ms(result, from_s, to_s):
    """Sorted arrival - due of the outputs that were due between two times."""
    late = []
    for text, start, ttft, gaps in zip(result["generated_texts"], result["start_times"], result["ttfts"], result["itls"]):
        stamp = re.match(r"(\d+) (\d+) ", text)
        if not stamp:
            continue
        due, interval, at = int(stamp[1]) / 1e6, int(stamp[2]) / 1e6, start + ttft
        for gap in [0.0, *gaps[:-1]]:  # the last chunk may only say why it ended
            at += gap
            if from_s <= due <= to_s:
                late.append(1000 * (at - due))
            due += interval
    return sorted(late)


def streams(count, tokens, cores=1, frontend=BIN / "switchyard-frontend", endpoint="/v1/completions", tick_us=1000):
    """Figures of `count` open streams of 20 tokens a second each."""
    with Served(cores, frontend, tick_us=tick_us) as served:
        pid = served.frontend.pid
        before_kib = memory_kib(pid)
        bench = served.bench("--num-prompts", count, "--random-output-len", tokens, "--save-detailed", "--endpoint", endpoint,
                             "--request-rate", count / 2, "--burstiness", 1000)
        # Two seconds of arrivals; then all are open until the first ones end.
        time.sleep(3.5)
        cpu, begin = cpu_seconds(pid), time.monotonic()
        time.sleep(max(1, tokens * INTERVAL_US / 1e6 - 5))
        cpu, end = cpu_seconds(pid) - cpu, time.monotonic()
        kib = memory_kib(pid) - before_kib
        result = served.result(bench)
    late = added_ms(result, begin, end)
    rate = len(late) / (end - begin)
    return {
        "open streams": count, "tokens/s": round(rate), "failed": result["failed"],
        "added p50 ms": round(percentile(late, 0.5), 2), "added p99 ms": round(percentile(late, 0.99), 2),
        "rank late ms": served.rank_says["late_ms_mean"],
        "CPU us/token": round(1e6 * cpu / len(late), 2), "cores": round(cpu / (end - begin), 2), "KiB/stream": round(kib / count, 1),
        "load tool us/token": round(1e6 * result["client_cpu_seconds"] / result["total_output_tokens"], 2),
    }


def requests(count, clients, cores=1, frontend=BIN / "switchyard-frontend"):
    """Short whole answers over kept connections, `clients` at a time."""
    with Served(cores, frontend, first_us=0) as served:
        pid = served.frontend.pid
        cpu = cpu_seconds(pid)
        result = served.result(served.bench("--num-prompts", count, "--random-output-len", 1, "--no-stream", "--max-concurrency", clients))
        cpu = cpu_seconds(pid) - cpu
    return {"clients": clients, "requests/s": round(result["request_throughput"]), "failed": result["failed"],
            "CPU us/request": round(1e6 * cpu / count, 1), "requests/s/core": round(count / cpu),
            "load tool us/request": round(1e6 * result["client_cpu_seconds"] / count, 1)}


class LlamaServer:
    """llama-server on the first `cores` CPUs, a slot a client."""

    def __init__(self, program, slots, cores):
        sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))
        import to_gguf
        cpus = sorted(os.sched_getaffinity(0))
        self.mine, self.others = cpus[:cores], cpus[cores:] or cpus
        self.directory = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.directory.name)
        made = [sys.executable, pathlib.Path(__file__).with_name("make_checkpoint.py"), "tiny-qwen3moe", path / "tiny", "--tokenizer", MODEL]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        to_gguf.convert(path / "tiny", path / "model.gguf")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            pinned(self.mine, [program, "-m", path / "model.gguf", "-t", cores, "-np", slots, "-c", slots * 256, "--port", port, "--threads-http", slots + 8]),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        for _ in range(600):
            try:
                if urllib.request.urlopen(f"{self.url}/health", timeout=5).status == 200:
                    return self
            except OSError:
                time.sleep(0.1)
        sys.exit("llama-server did not start")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.directory.cleanup()

    bench = Served.bench
    result = Served.result


def peer(program, clients, requests_count, tokens, cores=1):
    """What llama-server carries: short whole answers, then `clients` streams as fast as they come."""
    figures = {"llama-server clients": clients}
    with LlamaServer(program, clients, cores) as served:
        pid = served.process.pid
        for name, count, length, flags in (("request", requests_count, 1, ["--no-stream"]), ("token", 4 * clients, tokens, [])):
            cpu = cpu_seconds(pid)
            result = served.result(served.bench("--num-prompts", count, "--random-output-len", length, "--max-concurrency", clients, *flags))
            cpu = cpu_seconds(pid) - cpu
            done = result["total_output_tokens"]
            figures |= {f"{name}s/s": round(done / result["duration"]), f"CPU us/{name}": round(1e6 * cpu / done, 1), f"failed {name}s": result["failed"]}
        figures["KiB"] = memory_kib(pid)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=10000)
    parser.add_argument("--tokens", type=int, default=240)
    parser.add_argument("--requests", type=int, default=100000)
    parser.add_argument("--clients", type=int, default=128)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--endpoint", default="/v1/completions")
    parser.add_argument("--frontend", type=pathlib.Path, default=BIN / "switchyard-frontend")
    parser.add_argument("--llama-server", type=pathlib.Path)
    a = parser.parse_args()
    if a.llama_server:
        print(json.dumps(peer(a.llama_server, a.clients, a.requests, a.tokens, a.cores)), flush=True)
    if a.streams:
        print(json.dumps(streams(a.streams, a.tokens, a.cores, a.frontend, a.endpoint)), flush=True)
    if a.requests:
        print(json.dumps(requests(a.requests, a.clients, a.cores, a.frontend)), flush=True)


if __name__ == "__main__":
    main()
