"""Goal: keys and the cluster's secret are where they are needed and nowhere else, and a port that other machines reach asks for a key.
Method: a real cluster with keys from environment, command line and files, whose logs, command lines, environments, files and answers are searched for them."""

import os
import pathlib
import signal
import stat
import tempfile
import unittest
import urllib.error
import urllib.request

from cluster import GOLDEN, Cluster, free_port, run

API_KEY, ADMIN_KEY, SECRET = "sk-of-the-environment-41", "admin-of-the-environment-42", "secret-of-the-environment-43"
LISTEN_EVERYWHERE = ["--host", "0.0.0.0", "--admin-host", "0.0.0.0"]


def status_of(url, key=None):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Secrets(unittest.TestCase):
    def assert_nowhere(self, cluster, secrets, answers):
        for secret in secrets:
            self.assertNotIn(secret, cluster.stderr())
            for answer in answers:
                self.assertNotIn(secret, answer)
            for pid, line in cluster.processes().items():
                self.assertNotIn(secret, line)
                environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
                self.assertNotIn(secret, environment, line)

    def assert_private_files(self, cluster):
        [run_directory] = cluster.run_directories()
        directory = pathlib.Path(cluster.base) / run_directory
        self.assertEqual(stat.S_IMODE(directory.stat().st_mode), 0o700)
        for name in ("cluster.yaml", "secret"):
            self.assertEqual(stat.S_IMODE((directory / name).stat().st_mode), 0o600, name)
        return directory

    def test_from_the_environment(self):
        os.environ |= {"SWITCHYARD_API_KEY": f"{API_KEY},another", "SWITCHYARD_ADMIN_API_KEY": ADMIN_KEY, "SWITCHYARD_SECRET": SECRET}
        try:
            cluster = Cluster.serve(*LISTEN_EVERYWHERE, "--log-level", "debug")
        finally:
            for name in ("SWITCHYARD_API_KEY", "SWITCHYARD_ADMIN_API_KEY", "SWITCHYARD_SECRET"):
                del os.environ[name]
        with cluster:
            cluster.wait_ready()
            api, admin = f"http://127.0.0.1:{cluster.port}", f"http://127.0.0.1:{cluster.admin_port}"
            self.assertEqual(status_of(f"{api}/v1/models")[0], 401)
            self.assertEqual(status_of(f"{api}/v1/models", ADMIN_KEY)[0], 401)
            self.assertEqual(status_of(f"{api}/v1/models", API_KEY)[0], 200)
            self.assertEqual(status_of(f"{api}/v1/models", "another")[0], 200)
            self.assertEqual(status_of(f"{admin}/cluster", API_KEY)[0], 401)
            answers = [status_of(f"{admin}{path}", ADMIN_KEY) for path in ("/cluster", "/metrics", "/placement", "/")]
            self.assertEqual([status for status, _ in answers], [200] * 4)
            answers += [status_of(f"{api}/metrics", API_KEY), status_of(f"{api}/v1/models", "sk-wrong")]
            self.assertEqual((self.assert_private_files(cluster) / "secret").read_text(), SECRET)
            self.assert_nowhere(cluster, [API_KEY, ADMIN_KEY, SECRET], [body for _, body in answers])
            cluster.process.send_signal(signal.SIGTERM)
            self.assertEqual(cluster.process.wait(timeout=30), 0, cluster.stderr())
            self.assert_nowhere(cluster, [API_KEY, ADMIN_KEY, SECRET], [])

    def test_from_the_command_line_and_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "admin"
            file.write_text(ADMIN_KEY + "\n")
            file.chmod(0o600)
            with Cluster.serve("--api-key", API_KEY, "--admin-api-key-file", file, "--log-level", "debug") as cluster:
                cluster.wait_ready()
                self.assertEqual(status_of(f"http://127.0.0.1:{cluster.port}/v1/models", API_KEY)[0], 200)
                self.assertEqual(status_of(f"http://127.0.0.1:{cluster.admin_port}/cluster")[0], 401)
                self.assertEqual(status_of(f"http://127.0.0.1:{cluster.admin_port}/cluster", ADMIN_KEY)[0], 200)
                top = run("top", "--admin-url", f"http://127.0.0.1:{cluster.admin_port}", "--once", env=os.environ | {"SWITCHYARD_ADMIN_API_KEY": ADMIN_KEY})
                self.assertEqual(top.returncode, 0, top.stderr)
                secret = (self.assert_private_files(cluster) / "secret").read_text()
                self.assertEqual(len(secret), 64)
                self.assert_nowhere(cluster, [API_KEY, ADMIN_KEY, secret], [])
            file.chmod(0o644)
            refused = run("serve", GOLDEN / "r1-tiny", "--port", free_port(), "--admin-port", free_port(), "--admin-api-key-file", file)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("coordinator.admin_api_key_file", refused.stderr.splitlines()[-1])
            self.assertNotIn(ADMIN_KEY, refused.stdout + refused.stderr)

    def test_ports_open_to_other_machines_ask_for_keys(self):
        for more in ([], ["--dry-run"]):
            refused = run("serve", GOLDEN / "r1-tiny", *LISTEN_EVERYWHERE, *more)
            self.assertEqual(refused.returncode, 1, refused.stdout)
            for part in ("frontend.host", "coordinator.admin_host", "--api-key", "--allow-unauthenticated"):
                self.assertIn(part, refused.stderr)
        open_api = run("serve", "--host", "0.0.0.0", "--allow-unauthenticated", GOLDEN / "r1-tiny", "--dry-run")
        self.assertEqual(open_api.returncode, 0, open_api.stderr)
        with_key = run("serve", GOLDEN / "r1-tiny", *LISTEN_EVERYWHERE, "--api-key", API_KEY, "--admin-api-key", ADMIN_KEY, "--dry-run")
        self.assertEqual(with_key.returncode, 0, with_key.stderr)
        for key in (API_KEY, ADMIN_KEY):
            self.assertNotIn(key, with_key.stdout + with_key.stderr)


if __name__ == "__main__":
    unittest.main()
