"""What the benchmarks of this folder share: where things are, the stamp of a row, programs as jobs, the machine's limits."""
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))
from cluster import BIN, free_port  # noqa: E402, F401


def machine():
    name = platform.processor() or platform.machine()
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            name = line.split(":")[1].strip()
            break
    return f"{name}, {len(os.sched_getaffinity(0))} CPUs"


def commit():
    try:
        head = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run(["git", "-C", ROOT, "status", "--porcelain"], capture_output=True, text=True, check=True)
        return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def stamp():
    """The first columns of a row: commit ("+" when files differ from it), date, machine."""
    return [commit(), datetime.date.today().isoformat(), machine()]


def as_job(ranks, command):
    """Under mpirun as the launcher starts it: bound to nothing, root allowed (containers)."""
    if ranks == 1:
        return command
    job = ["mpirun", "-n", str(ranks), "--bind-to", "none", "--oversubscribe"]
    if os.geteuid() == 0:
        job.append("--allow-run-as-root")
    return job + command


def checkpoint(directory, model):
    """The folder of a benchmark checkpoint, made when it is not there."""
    path = directory / model
    if not (path / "config.json").exists():  # written last
        subprocess.run([sys.executable, ROOT / "tests" / "bench" / "make_checkpoint.py", model, path], check=True)
    return path


def kernel_rows(threads=None, only=None):
    """Rows of kernels_bench as its JSON has them."""
    command = [BIN / "kernels_bench", "--benchmark_format=json"]
    command += [f"--threads={threads}"] if threads else []
    command += [f"--benchmark_filter={only}"] if only else []
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(out)["benchmarks"]


def limits(threads=None):
    """What the machine allows now: GB/s read, and GFLOP/s of each form in registers."""
    rows = {row["name"].split("/min_time")[0]: row for row in kernel_rows(threads, "machine/(read|peak)")}
    return {"read": rows["machine/read"]["GB/s"], **{form: rows[f"machine/peak/{form}"]["GFLOP/s"] for form in ("int8", "bf16", "fp32")}}
