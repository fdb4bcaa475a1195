"""Goal: a cluster serves over TLS on every port, its own tools reach it, and files that cannot work are named before anything starts.
Method: real processes, certificates of openssl's command line, Python's own TLS client."""

import http.client
import pathlib
import shutil
import signal
import ssl
import tempfile
import unittest

import certificates
from cluster import GOLDEN, Cluster, free_port, run, wait_for


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="swtls-"))
        f = cls.folder
        certificates.make(f, "server", "other", "client")
        cls.flags = ["--ssl-certfile", f / "server.pem", "--ssl-keyfile", f / "server.key",
                     "--admin-ssl-certfile", f / "server.pem", "--admin-ssl-keyfile", f / "server.key"]

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def context(self, certificate=None):
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if certificate:
            context.load_cert_chain(self.folder / f"{certificate}.pem", self.folder / f"{certificate}.key")
        return context

    def test_https_on_both_ports_and_the_tools(self):
        with Cluster.serve(*self.flags) as cluster:
            url = cluster.wait_ready()
            self.assertEqual(url, f"https://127.0.0.1:{cluster.port}")
            self.assertEqual(cluster.get("/v1/models", cluster.port, self.context())[0], 200)
            self.assertEqual(cluster.get("/cluster", cluster.admin_port, self.context())[0], 200)
            ca = ["--ca-file", self.folder / "ca.pem"]
            admin = f"https://127.0.0.1:{cluster.admin_port}"
            for trust in (ca, ["--ca-file", self.folder / "server.pem"], ["--insecure"]):
                chat = run("chat", "--url", url, "-p", "Say hello.", "--max-tokens", 4, *trust)
                self.assertEqual(chat.returncode, 0, chat.stderr)
            top = run("top", "--admin-url", admin, "--once", *ca)
            self.assertEqual(top.returncode, 0, top.stderr)
            bench = run("bench", "serve", "--base-url", url, "--num-prompts", 20, "--random-input-len", 8, "--random-output-len", 8, "--ignore-eos",
                        "--disable-tqdm", *ca)
            self.assertEqual(bench.returncode, 0, bench.stderr)
            self.assertRegex(bench.stdout, r"Successful requests: +20\b")
            untrusted = run("chat", "--url", url, "-p", "Say hello.")
            self.assertEqual(untrusted.returncode, 1)
            self.assertIn("--ca-file", untrusted.stderr)
            plain = cluster.get("/v1/models")
            self.assertEqual(plain[0], 400)
            self.assertIn("https://", plain[1])
            metrics = cluster.get("/metrics", cluster.port, self.context())[1]
            self.assertRegex(metrics, r'switchyard_refused_connections_total\{[^}]*reason="not_a_handshake"[^}]*\} [1-9]')
            cluster.process.send_signal(signal.SIGTERM)
            self.assertEqual(cluster.process.wait(timeout=30), 0, cluster.stderr())

    def test_client_certificates(self):
        with Cluster.serve(*self.flags, "--ssl-ca-certs", self.folder / "ca.pem") as cluster:
            cluster.wait_ready()
            self.assertEqual(cluster.get("/v1/models", cluster.port, self.context("client"))[0], 200)
            with self.assertRaises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
                cluster.get("/v1/models", cluster.port, self.context())

    def test_between_processes(self):
        f = self.folder
        with Cluster.up(f"model: {{path: {GOLDEN}/r1-tiny}}\nworker: {{data_parallel_size: 2}}\nfrontend: {{port: {free_port()}}}\n"
                        f"{certificates.internal(f, 'server')}") as cluster:
            chat = run("chat", "--url", cluster.url, "-p", "Say hello.", "--max-tokens", 8)
            self.assertEqual(chat.returncode, 0, chat.stderr)
            wait_for(lambda: [r["state"] for r in cluster.view()["ranks"]] == ["live", "live"], 30, "both ranks are live")
            metrics = cluster.get("/metrics", cluster.admin_port)[1]
            self.assertRegex(metrics, r'switchyard_refused_connections_total\{[^}]*process="rank"[^}]*reason="bad_proof"[^}]*\} 0')

    def test_files_that_cannot_work_are_named_before_anything_starts(self):
        f = self.folder
        for flags, key in ((["--ssl-certfile", f / "server.pem", "--ssl-keyfile", f / "other.key"], "frontend.ssl_keyfile"),
                           (["--ssl-certfile", f / "no.pem", "--ssl-keyfile", f / "server.key"], "frontend.ssl_certfile"),
                           (["--admin-ssl-certfile", f / "server.key", "--admin-ssl-keyfile", f / "server.key"], "coordinator.admin_ssl_certfile"),
                           (["--ssl-certfile", f / "server.pem"], "frontend.ssl_keyfile")):
            refused = run("serve", GOLDEN / "r1-tiny", "--port", free_port(), "--admin-port", free_port(), *flags)
            self.assertEqual(refused.returncode, 1, refused.stdout)
            self.assertTrue(refused.stderr.splitlines()[-1].startswith(key + ": "), refused.stderr)


if __name__ == "__main__":
    unittest.main()
