"""Goal: `up --dry-run` shows every profile without starting anything, and refuses what cannot work with its cause last on stderr.
Method: the command line, from a directory elsewhere; figures worked out by hand from the shapes."""

import pathlib
import tempfile
import unittest

from cluster import ROOT, run

CONFIGS = ROOT / "configs"


class DryRun(unittest.TestCase):
    def report(self, name):
        done = run("up", CONFIGS / name, "--dry-run", cwd="/")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        return done.stdout

    def test_every_config_has_processes_placement_and_memory(self):
        configs = sorted(p.name for p in CONFIGS.glob("*.yaml"))
        self.assertEqual(configs, ["dev-1xa40.yaml", "hc-8xh100-2cpu.yaml", "local.yaml", "prod-4xa100.yaml"])
        for name in configs:
            with self.subTest(name):
                text = self.report(name)
                for part in ("switchyard-coordinator --config", "switchyard-worker --config", "switchyard-frontend --config",
                             "expert placement: ", "memory per rank", "KV holds"):
                    self.assertIn(part, text)

    def test_local_splits_16_experts_of_6_layers_over_2_ranks(self):
        text = self.report("local.yaml")
        self.assertIn("expert placement: 6 layers of 16 experts on 2 ranks (balanced)", text)
        self.assertIn("layers 0 to 5: experts per rank 8 8", text)

    def test_high_concurrency_names_its_machines(self):
        text = self.report("hc-8xh100-2cpu.yaml")
        self.assertIn("--nodelist=gpu1 ", text)
        self.assertIn("frontend 0 on cpu1", text)
        self.assertIn("frontend 1 on cpu2", text)
        # 3 matrices of 5120 x 9216 in bfloat16, 39 layers of experts, 2 of them on a rank.
        self.assertIn(f"{3 * 5120 * 9216 * 2 * 39 * 2 / 2**20:.1f}", text)

    def test_what_does_not_fit_is_refused_with_the_cause_last(self):
        with tempfile.TemporaryDirectory() as folder:
            yaml = pathlib.Path(folder) / "c.yaml"
            model = CONFIGS / "models" / "moe16-65b"
            yaml.write_text(f"model: {{path: {model}, max_model_len: 4096}}\nworker: {{gpu_model: A40-48GB, gpus_per_node: 1}}\n")
            done = run("up", yaml, "--dry-run")
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr.splitlines()[-1], r"^worker\.gpu_model: rank 0 needs [0-9.]+ MiB, and 0\.9 of a A40-48GB are")

    def test_a_bad_file_names_every_line(self):
        with tempfile.TemporaryDirectory() as folder:
            yaml = pathlib.Path(folder) / "c.yaml"
            yaml.write_text("model: {path: /m}\nworker:\n  blok_size: 4\nfrontend: {port: x}\n")
            done = run("up", yaml)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr.splitlines(), [
                f"{yaml}:3: worker.blok_size: is not a key (did you mean block_size?)",
                f"{yaml}:4: frontend.port: 'x' is not a whole number from 0 to 65535"])

    def test_help_config_lists_keys_with_their_defaults(self):
        done = run("up", "--help-config")
        self.assertEqual(done.returncode, 0)
        self.assertIn("block_size: 16 positions", done.stdout)

    def test_version(self):
        self.assertRegex(run("version").stdout, r"^switchyard \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    unittest.main()
