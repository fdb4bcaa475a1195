"""Goal: a cluster starts with one line, answers, and leaves nothing behind however it ends; a start that cannot succeed says why, last on stderr.
Method: real processes on loopback; what is left is read from /proc by the run directory in every command line."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import tempfile
import time
import unittest

from cluster import GOLDEN, ROOT, Cluster, free_port, run, wait_for


def cpu_seconds(pid):
    """Of all its threads, in nanoseconds' steps: /proc/PID/stat counts in hundredths of a second, which a process that sleeps rarely fills."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


class Launch(unittest.TestCase):
    def assert_gone(self, cluster, seconds=0.0):
        wait_for(lambda: not cluster.processes(), seconds + 0.01, f"all processes gone: {cluster.processes()}")

    def end(self, cluster, signal_number):
        cluster.process.send_signal(signal_number)
        self.assertEqual(cluster.process.wait(timeout=30), 0, cluster.stderr())
        self.assert_gone(cluster)
        self.assertEqual(cluster.run_directories(), [])

    def test_ready_chat_top_and_sigterm(self):
        with Cluster.serve() as cluster:
            url = cluster.wait_ready()
            self.assertEqual(url, f"http://127.0.0.1:{cluster.port}")
            self.assertEqual(cluster.get("/ready")[0], 200)
            # Ready is who can serve; the other rank may be a moment behind.
            wait_for(lambda: [(r["rank_id"], r["state"]) for r in cluster.view()["ranks"]] == [(0, "live"), (1, "live")], 10, "both ranks are live")
            view = cluster.view()
            pids = {r["pid"] for r in view["ranks"]} | {f["pid"] for f in view["frontends"]} | {view["coordinator"]["pid"]}
            self.assertLessEqual(pids, set(cluster.processes()))
            self.assertEqual(len(pids), 4)

            chat = run("chat", "--url", url, "-p", "Say hello.", "--max-tokens", 8, "--temperature", 0)
            self.assertEqual(chat.returncode, 0, chat.stderr)
            self.assertNotEqual(chat.stdout, "\n")
            again = run("chat", "--url", url, "-p", "Say hello.", "--max-tokens", 8, "--temperature", 0)
            self.assertEqual(again.stdout, chat.stdout)

            top = run("top", "--admin-url", f"http://127.0.0.1:{cluster.admin_port}", "--once")
            self.assertEqual(top.returncode, 0, top.stderr)
            self.assertIn("2 ranks  1 frontends", top.stdout)
            self.assertEqual(top.stdout.count(" live "), 2)
            self.end(cluster, signal.SIGTERM)

    def test_up_with_a_file_and_ctrl_c(self):
        with tempfile.TemporaryDirectory() as folder:
            yaml = os.path.join(folder, "c.yaml")
            with open(yaml, "w") as f:
                f.write(f"model: {{path: {GOLDEN / 'qwen3-moe-tiny'}, served_model_name: q}}\nworker: {{data_parallel_size: 1}}\n"
                        f"frontend: {{port: 0}}\ncoordinator: {{admin_port: 0}}\n")
            with Cluster("up", yaml) as cluster:
                cluster.port = int(cluster.wait_ready().rsplit(":", 1)[1])
                self.assertEqual(json.loads(cluster.get("/v1/models")[1])["data"][0]["id"], "q")
                # As a terminal does it: to the whole foreground group.
                os.killpg(cluster.process.pid, signal.SIGINT)
                self.assertEqual(cluster.process.wait(timeout=30), 0, cluster.stderr())
                self.assert_gone(cluster)
                self.assertEqual(cluster.run_directories(), [])

    def test_a_stop_before_ready_is_a_clean_end(self):
        with Cluster.serve() as cluster:
            wait_for(lambda: len(cluster.processes()) >= 3, 30, "some processes started")
            self.end(cluster, signal.SIGTERM)

    def test_the_secret_and_the_config_are_the_owners_alone(self):
        with Cluster.serve() as cluster:
            cluster.wait_ready()
            (name,) = cluster.run_directories()
            directory = os.path.join(cluster.base, name)
            self.assertEqual(os.stat(directory).st_mode & 0o777, 0o700)
            for file in ("secret", "cluster.yaml"):
                self.assertEqual(os.stat(os.path.join(directory, file)).st_mode & 0o777, 0o600)
            self.end(cluster, signal.SIGTERM)

    def test_kill_9_of_the_launcher_leaves_neither_process_nor_file(self):
        with Cluster.serve() as cluster:
            cluster.wait_ready()
            self.assertGreaterEqual(len(cluster.processes()), 4)  # launcher, coordinator, rank, frontend
            cluster.process.kill()
            cluster.process.wait()
            wait_for(lambda: not cluster.processes(), 5, f"all processes gone: {cluster.processes()}")
            wait_for(lambda: not cluster.run_directories(), 5, f"its directory gone: {cluster.run_directories()}")

    def test_a_start_removes_the_directory_of_a_launcher_that_is_gone(self):
        with Cluster.serve() as cluster:
            stale = pathlib.Path(cluster.base) / "switchyard-aaaaaa"
            stale.mkdir(mode=0o700)
            (stale / "launcher.lock").touch()
            (stale / "secret").write_text("x")
            cluster.wait_ready()
            self.assertFalse(stale.exists())
            self.assertEqual(len(cluster.run_directories()), 1)

    def test_kill_9_while_starting_leaves_no_process(self):
        for seconds in (0.02, 0.1, 0.2, 0.3):
            with Cluster.serve() as cluster:
                wait_for(lambda: len(cluster.processes()) >= 2, 30, "a child started")
                time.sleep(seconds)  # a point of the start, not an event to wait for
                cluster.process.kill()
                cluster.process.wait()
                wait_for(lambda: not cluster.processes(), 5, f"all processes gone: {cluster.processes()}")

    def test_a_running_stream_finishes_while_the_cluster_drains(self):
        with Cluster.serve() as cluster:
            cluster.wait_ready()
            connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=60)
            tokens = 1500
            connection.request("POST", "/v1/completions", json.dumps({
                "model": "r1-tiny", "prompt": "a", "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True,
                "stream_options": {"include_usage": True}}), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            self.assertTrue(answer.readline().startswith(b"data: "))
            cluster.process.send_signal(signal.SIGTERM)
            events = [line[6:] for line in answer.read().decode().splitlines() if line.startswith("data: ")]
            connection.close()
            self.assertEqual(events[-1], "[DONE]")
            usages = [e["usage"] for e in map(json.loads, events[:-1]) if e.get("usage")]
            self.assertEqual(usages[-1]["completion_tokens"], tokens)
            self.assertEqual(cluster.process.wait(timeout=30), 0, cluster.stderr())
            self.assert_gone(cluster)

    def test_an_idle_cluster_uses_less_than_a_hundredth_of_a_core(self):
        with Cluster.serve() as cluster:
            url = cluster.wait_ready()
            run("chat", "--url", url, "-p", "hello", "--max-tokens", 4)  # so that the ranks have met
            time.sleep(0.5)
            pids = list(cluster.processes())
            before, began = sum(map(cpu_seconds, pids)), time.monotonic()
            time.sleep(5)
            share = (sum(map(cpu_seconds, pids)) - before) / (time.monotonic() - began)
            self.assertLess(share, 0.01)
            self.end(cluster, signal.SIGTERM)


class StartsThatCannotSucceed(unittest.TestCase):
    def refused(self, *arguments):
        """The last line on stderr; the start takes no longer than a person's patience, and nothing listens meanwhile."""
        with Cluster(*arguments) as cluster:
            self.assertNotEqual(cluster.process.wait(timeout=30), 0)
            self.assertEqual(cluster.processes(), {})
            self.assertEqual(cluster.run_directories(), [])
            self.assertEqual(cluster.process.stdout.read(), b"")
            return cluster.stderr().splitlines()[-1]

    def serve(self, model, *flags):
        return self.refused("serve", model, "--port", free_port(), "--admin-port", free_port(), *flags)

    def broken(self, break_it):
        with tempfile.TemporaryDirectory() as folder:
            model = os.path.join(folder, "m")
            shutil.copytree(GOLDEN / "r1-tiny", model, ignore=shutil.ignore_patterns("reference*"))
            break_it(model)
            return self.serve(model)

    def test_no_such_model(self):
        self.assertIn("/nowhere", self.serve("/nowhere"))

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.assertEqual(self.refused("serve", GOLDEN / "r1-tiny", "--port", port, "--admin-port", free_port()),
                             f"frontend.port: 127.0.0.1:{port}: Address already in use")

    def test_a_truncated_file(self):
        def cut(model):
            os.truncate(os.path.join(model, "model.safetensors"), 800000)
        line = self.broken(cut)
        self.assertIn("model.safetensors", line)
        self.assertIn("offset", line)

    def test_a_config_that_is_no_json(self):
        def spoil(model):
            with open(os.path.join(model, "config.json"), "w") as f:
                f.write("{")
        self.assertIn("config.json", self.broken(spoil))

    def test_an_architecture_that_is_not_known(self):
        def rename(model):
            path = pathlib.Path(model) / "config.json"
            config = json.loads(path.read_text())
            config["architectures"] = ["NobodyForCausalLM"]
            path.write_text(json.dumps(config))
        self.assertIn("NobodyForCausalLM", self.broken(rename))

    def test_a_tokenizer_that_is_no_json(self):
        def spoil(model):
            with open(os.path.join(model, "tokenizer.json"), "w") as f:
                f.write("{")
        self.assertIn("tokenizer.json", self.broken(spoil))

    def test_more_ranks_than_experts(self):
        self.assertIn("17 ranks for 16 experts", self.serve(GOLDEN / "r1-tiny", "--data-parallel-size", 17))

    def test_an_op_table_that_is_not_there(self):
        self.assertIn("none-such", self.serve(GOLDEN / "r1-tiny", "--backend", "none-such"))

    def test_flags_out_of_range(self):
        self.assertEqual(self.serve(GOLDEN / "r1-tiny", "--block-size", 0),
                         "--block-size: 0 is out of range; it takes a whole number from 1 to 1024")

    def test_a_gpu_where_none_is(self):
        self.assertIn("worker.device", self.serve(GOLDEN / "r1-tiny", "--device", "cuda"))


if __name__ == "__main__":
    unittest.main()
