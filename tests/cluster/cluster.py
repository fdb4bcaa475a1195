"""One cluster on loopback for a test: started by the command line as a person does, watched from outside."""

import http.client
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("SWITCHYARD_BIN", ROOT / "build" / "bin"))
SWITCHYARD = str(BIN / "switchyard")
GOLDEN = ROOT / "tests" / "data" / "golden"
START_SECONDS = 60  # ready takes half a second; the rest is for a machine that does other things


PORTS_GIVEN = set()


def free_port():
    """Another one at each call, which the system alone does not promise."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        if port not in PORTS_GIVEN:
            PORTS_GIVEN.add(port)
            return port


def processes_with(word):
    """pid -> command line of every process that has the word in it, zombies excepted (theirs is empty)."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended
        if word in line and int(entry.name) != os.getpid():
            found[int(entry.name)] = line
    return found


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Cluster:
    """`switchyard ARGUMENTS --run-dir TEMPORARY`. Every process of it has the temporary directory in its command line."""

    def __init__(self, *arguments, **options):
        """options: of the process (subprocess.Popen)"""
        self.base = tempfile.mkdtemp(prefix="swtest-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.errors = open(os.path.join(self.base, "stderr.txt"), "w+")
        self.process = subprocess.Popen(
            [SWITCHYARD, *map(str, arguments), "--run-dir", self.base],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
            **({"stderr": self.errors} | options))
        self.url = None

    @classmethod
    def serve(cls, *flags, model="r1-tiny", ranks=2):
        port, admin = free_port(), free_port()
        cluster = cls("serve", GOLDEN / model, "--port", port, "--admin-port", admin, "--data-parallel-size", ranks, *flags)
        cluster.port, cluster.admin_port = port, admin
        return cluster

    @classmethod
    def up(cls, config, **options):
        """From a file of this text; ready. It names no admin port."""
        admin = free_port()
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as yaml:
            yaml.write(f"{config}\ncoordinator: {{admin_port: {admin}}}\n")
            yaml.flush()
            cluster = cls("up", yaml.name, **options)
            try:
                cluster.wait_ready()
            except BaseException:
                cluster.__exit__()
                raise
        cluster.admin_port = admin
        return cluster

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        for pid in processes_with(self.base):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.base, ignore_errors=True)

    def stderr(self):
        self.errors.flush()
        return pathlib.Path(self.errors.name).read_text(errors="replace")

    def wait_ready(self):
        """The URL of the line `ready http://HOST:PORT`."""
        deadline = time.monotonic() + START_SECONDS
        descriptor = self.process.stdout.fileno()
        seen = b""
        while b"\n" not in seen:
            readable, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(descriptor, 65536) if readable else b""
            if not piece:
                raise AssertionError(f"no ready line; stderr:\n{self.stderr()}")
            seen += piece
        line = seen.split(b"\n")[0].decode()
        assert line.startswith(("ready http://", "ready https://")), line
        self.url = line.split()[1]
        return self.url

    def get(self, path, port=None, tls=None):
        """tls: an SSLContext, for https."""
        to = ("127.0.0.1", port or self.port)
        connection = http.client.HTTPSConnection(*to, timeout=30, context=tls) if tls else http.client.HTTPConnection(*to, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def view(self):
        status, body = self.get("/cluster", self.admin_port)
        assert status == 200, (status, body)
        return json.loads(body)

    def processes(self):
        return processes_with(self.base)

    def run_directories(self):
        return [name for name in os.listdir(self.base) if name.startswith("switchyard-")]


def run(*arguments, **options):
    """`switchyard ARGUMENTS` to its end."""
    return subprocess.run([SWITCHYARD, *map(str, arguments)], stdin=subprocess.DEVNULL, text=True, timeout=120,
                          **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options))
