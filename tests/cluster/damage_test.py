"""Goal: files that are damaged, replaced or full, and memory that runs out, while a cluster serves: the process that cannot go on says which file or
what it was about; nothing wrong is served, and the others go on.
Method: a cluster of real processes on a copy of a golden checkpoint, whose files are changed beneath it, or whose limits (prlimit) are lowered. Limits
of a file's size stand for full disks: they bind root, need no file system of their own, and fail in the same system calls."""

import concurrent.futures
import os
import pathlib
import resource
import shutil
import signal
import tempfile
import unittest

from cluster import GOLDEN, Cluster, free_port, run, wait_for
from golden import Golden
from streams import Stream, post

MODEL = "r1-tiny"
PROMPT, EXPECTED = Golden(MODEL).greedy()[0]
SMALL_FILES = 200 << 10  # less than packed weights, or memory that ranks share; more than a log


def flipped(data):
    """The same header; every byte of the second half another."""
    half = len(data) // 2
    return data[:half] + bytes(b ^ 1 for b in data[half:])


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_FILES, SMALL_FILES))


def limit_memory(pid, more):
    """No more address space than the process has now, and these bytes."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))


class Damage(unittest.TestCase):
    def setUp(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="swdamage-"))
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)
        self.model = self.base / "model"
        shutil.copytree(GOLDEN / MODEL, self.model)
        self.weights = self.model / "model.safetensors"

    def up(self, ranks=2, model="", worker="kv_cache_memory_mib: 64", frontend="", **options):
        """A cluster, serving."""
        cluster = Cluster.up(f"model: {{path: {self.model}, dtype: float32{model}}}\nheartbeat_ms: 200\n"
                             f"worker: {{data_parallel_size: {ranks}, {worker}}}\nfrontend: {{port: 0{frontend}}}", **options)
        self.addCleanup(cluster.__exit__)
        self.wait_whole(cluster)
        (cluster.port,) = [frontend["port"] for frontend in cluster.view()["frontends"]]
        return cluster

    def wait_whole(self, cluster):
        def whole():
            view = cluster.view()
            return all(rank["state"] == "live" for rank in view["ranks"]) and len(view["frontends"]) == 1
        wait_for(whole, 30, "all are there")

    def check_tokens(self, cluster):
        status, answer = post(cluster.port, {"prompt": PROMPT, "max_tokens": len(EXPECTED), "temperature": 0, "ignore_eos": True, "return_token_ids": True})
        self.assertEqual(status, 200, answer)
        self.assertIn(f'"token_ids":{EXPECTED}'.replace(" ", ""), answer.decode().replace(" ", ""))

    def wait_said(self, cluster, text):
        try:
            wait_for(lambda: text in cluster.stderr(), 30, text)
        except AssertionError:
            self.fail(f"{text!r} is not in:\n{cluster.stderr()[-5000:]}")

    # --- the checkpoint ---

    def test_a_rank_that_takes_over_from_a_file_that_was_written_to_ends_with_its_name(self):
        cluster = self.up()
        pids = [rank["pid"] for rank in cluster.view()["ranks"]]
        data = self.weights.read_bytes()
        with open(self.weights, "r+b") as file:
            file.write(flipped(data))
        os.kill(pids[1], signal.SIGKILL)
        self.wait_said(cluster, f"fatal: {self.weights}: was changed while it was in use")
        with open(self.weights, "r+b") as file:
            file.write(data)
        self.wait_whole(cluster)
        self.check_tokens(cluster)

    def test_a_file_that_was_cut_is_named_and_the_cluster_serves_when_it_is_whole_again(self):
        cluster = self.up()
        pids = [rank["pid"] for rank in cluster.view()["ranks"]]
        data = self.weights.read_bytes()
        os.truncate(self.weights, len(data) // 2)
        os.kill(pids[1], signal.SIGKILL)
        self.wait_said(cluster, f"fatal: {self.weights}: was changed while it was in use: it had {len(data)} bytes and has {len(data) // 2}")
        self.wait_said(cluster, "truncated?")  # what the ranks that start say meanwhile
        self.weights.write_bytes(data)
        self.wait_whole(cluster)
        self.check_tokens(cluster)

    def test_a_replaced_model_is_refused_until_the_old_one_is_back(self):
        cluster = self.up()
        pids = [rank["pid"] for rank in cluster.view()["ranks"]]
        data = self.weights.read_bytes()
        new = self.model / "new"
        new.write_bytes(flipped(data))
        new.rename(self.weights)
        os.kill(pids[1], signal.SIGKILL)
        self.wait_said(cluster, f'fatal: model.path: the files of "{self.model}" are others')
        self.check_tokens(cluster)  # the other one has the old file, and takes over from it
        self.assertEqual(cluster.view()["ranks"][0]["pid"], pids[0])
        new.write_bytes(data)
        new.rename(self.weights)
        self.wait_whole(cluster)
        self.check_tokens(cluster)
        self.assertEqual(cluster.view()["ranks"][0]["pid"], pids[0])

    def test_when_the_model_is_another_and_all_ranks_begin_anew_streams_end_with_an_error_and_no_other_token(self):
        cluster = self.up(frontend=", recovery_timeout_ms: 1500")
        status, undisturbed, complete = Stream(cluster.port, 0, PROMPT, 2000).parse()
        self.assertEqual((status, len(undisturbed), complete), (200, 2000, True))
        pids = [rank["pid"] for rank in cluster.view()["ranks"]]

        def load():
            """Stream after stream, each whole, until one is not."""
            while True:
                stream = Stream(cluster.port, 0, PROMPT, 2000)
                status, ids, complete = stream.parse()
                self.assertEqual(ids, undisturbed[:len(ids)])
                if not complete:
                    return status, b"".join(stream.pieces)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(load) for _ in range(4)]
            wait_for(lambda: all(rank["sequences"] > 0 for rank in cluster.view()["ranks"]), 30, "streams on both ranks")
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            new = self.model / "new"
            new.write_bytes(flipped(self.weights.read_bytes()))
            new.rename(self.weights)
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            ends = [client.result() for client in clients]
        for status, answer in ends:  # 503: of a stream that had not begun
            self.assertIn(status, (200, 503))
            self.assertRegex(answer, rb"No rank could go on with the request within 1500 ms|No worker rank can take the request")
        status, answer = post(cluster.port, {"prompt": PROMPT, "max_tokens": 4})
        self.assertEqual(status, 503, answer)

    def test_packed_weights_that_are_cut_while_they_serve_are_named_and_packed_anew(self):
        model = f", packed_cache: {self.base / 'cache'}"
        self.up(model=model).__exit__()
        files = sorted((self.base / "cache").iterdir())
        self.assertEqual(len(files), 2)
        cluster = self.up(model=model)  # what was just packed was not mapped: this is
        self.assertEqual(cluster.stderr().count("weights mapped"), 2)
        sizes = [file.stat().st_size for file in files]
        for file in files:
            file.chmod(0o644)
            os.truncate(file, 300 << 10)
        status, answer = post(cluster.port, {"prompt": PROMPT, "max_tokens": 4, "temperature": 0})
        self.assertEqual(status, 200, answer)  # it waits for ranks that are whole
        self.assertRegex(cluster.stderr(), rf"fatal: rank \d: {files[0].parent}/\S+ was truncated while it was mapped: {300 << 10} of {sizes[0]} bytes are left")
        said = cluster.stderr()
        cluster.__exit__()
        cluster = self.up(model=model)  # ranks that come back one by one may use files for other placements
        self.check_tokens(cluster)
        said += cluster.stderr()
        self.assertEqual(said.count("packed weights not used; packed anew"), 2)
        for file, size in zip(files, sizes):
            self.assertIn(f"{file}: truncated: {300 << 10} bytes, not {size}", said)
        self.assertEqual([file.stat().st_size for file in files], sizes)

    # --- full disks ---

    def test_without_room_for_packed_weights_and_shared_memory_it_serves_and_says_so(self):
        cluster = self.up(model=f", packed_cache: {self.base / 'cache'}", preexec_fn=limit_files)
        self.check_tokens(cluster)
        self.assertIn("packed weights not kept", cluster.stderr())
        self.assertIn("File too large", cluster.stderr())
        self.assertEqual(list((self.base / "cache").iterdir()), [])

    def test_logs_that_nobody_can_keep_hinder_nothing(self):
        with open("/dev/full", "w") as full:
            cluster = self.up(stderr=full)
        self.check_tokens(cluster)
        cluster.process.send_signal(signal.SIGTERM)
        self.assertEqual(cluster.process.wait(timeout=30), 0)

    def test_results_that_cannot_be_written_are_an_error_with_the_files_name(self):
        with open("/dev/full", "w") as full:
            for command in (["version"], ["up", "--help-config"], ["verify", "--write", self.model]):
                outcome = run(*command, stdout=full)
                self.assertEqual(outcome.returncode, 1, command)
                self.assertRegex(outcome.stderr, r"^cannot write to standard output(: No space left on device)?\n$")
        (self.model / "SHA256SUMS").unlink()
        outcome = run("verify", "--write", self.model, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
        self.assertEqual((outcome.returncode, outcome.stderr), (1, f"cannot write {self.model}/SHA256SUMS: File too large\n"))
        self.assertEqual([name for name in os.listdir(self.model) if name.startswith("SHA")], [])

        cluster = self.up(ranks=1)
        bench = ["bench", "serve", "--port", cluster.port, "--num-prompts", 1, "--random-input-len", 4, "--random-output-len", 2,
                 "--tokenizer", self.model, "--save-result", "--result-dir", self.base]
        outcome = run(*bench, "--result-filename", "/dev/full")
        self.assertEqual(outcome.returncode, 1)
        self.assertEqual(outcome.stderr.splitlines()[-1], "cannot write /dev/full: No space left on device")
        outcome = run(*bench, "--result-filename", "here.json", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
        self.assertEqual(outcome.returncode, 1)
        self.assertEqual(outcome.stderr.splitlines()[-1], f"cannot write {self.base}/here.json: File too large")
        self.assertEqual(list(self.base.glob("here*")), [])
        self.assertEqual(run(*bench, "--result-filename", "here.json").returncode, 0)
        self.assertEqual(len(list(self.base.glob("here*"))), 1)

    def test_without_room_for_its_run_directory_it_does_not_start(self):
        with Cluster("serve", self.model, "--port", free_port(), "--admin-port", free_port(),
                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20)), stderr=-1) as cluster:  # a pipe has no limit
            _, said = cluster.process.communicate(timeout=60)
            self.assertEqual(cluster.process.returncode, 1)
            self.assertRegex(said.decode().splitlines()[-1], rf"^cannot write {cluster.base}/switchyard-\w+/secret: File too large$")
            self.assertEqual(cluster.run_directories(), [])

    # --- memory ---

    def test_memory_that_is_not_there_at_a_start_is_named(self):
        limit = 1 << 30
        with Cluster("serve", self.model, "--port", free_port(), "--admin-port", free_port(), "--data-parallel-size", 2, "--kv-cache-memory-mib", 8192, "--max-num-seqs", 4096,
                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))) as cluster:
            self.assertEqual(cluster.process.wait(timeout=60), 1)
            self.assertRegex(cluster.stderr().splitlines()[-1], r"out of memory: cannot allocate \d{4} MiB for the KV cache")

    def test_a_rank_without_memory_ends_with_the_cause_and_the_other_goes_on(self):
        cluster = self.up(worker="kv_cache_memory_mib: 64, max_num_batched_tokens: 2048")
        pids = [rank["pid"] for rank in cluster.view()["ranks"]]
        limit_memory(pids[1], 0)
        long = {"prompt": list(PROMPT) * (1500 // len(PROMPT)), "max_tokens": 8, "temperature": 0, "ignore_eos": True}
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(lambda i: post(cluster.port, long | {"prompt": long["prompt"][i:]}), range(64)))
        self.assertEqual({status for status, _ in answers}, {200})
        self.wait_said(cluster, "fatal: rank 1: out of memory")
        self.assertEqual(cluster.view()["ranks"][0]["pid"], pids[0])
        self.wait_whole(cluster)
        self.check_tokens(cluster)

    def test_a_frontend_without_memory_ends_with_the_cause_and_comes_back(self):
        cluster = self.up()
        (frontend,) = cluster.view()["frontends"]
        limit_memory(frontend["pid"], 1 << 20)
        body = {"prompt": ["a" * (1 << 20)] * 8, "max_tokens": 1}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            def ask(_):
                try:
                    return post(cluster.port, body)[0]
                except OSError:
                    return 0
            list(pool.map(ask, range(8)))
        self.wait_said(cluster, "fatal: frontend 0: out of memory")
        wait_for(lambda: [f["pid"] for f in cluster.view()["frontends"]] not in ([], [frontend["pid"]]), 30, "another frontend")
        self.check_tokens(cluster)


if __name__ == "__main__":
    unittest.main()
