"""What the tests of the HTTP API share: the cluster helper of the folder above, golden references, metrics, requests whose answers are held against
/openapi.json."""

import http.client
import importlib.util
import json
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from cluster import GOLDEN, ROOT, Cluster, free_port, wait_for  # noqa: E402,F401
from golden import Golden  # noqa: E402,F401


def use_venv():
    """Starts this program again with the Python that has the packages of tests/requirements.txt, unless it is that one."""
    if all(importlib.util.find_spec(name) for name in ("anthropic", "jsonschema", "openai")):
        return
    python = pathlib.Path(os.environ.get("SWITCHYARD_VENV", ROOT / "build" / "venv")) / "bin" / "python"
    if not python.exists() or os.environ.get("SWITCHYARD_IN_VENV"):
        sys.exit(f"{python} lacks packages of tests/requirements.txt; `make test-venv` puts it there")
    os.environ["SWITCHYARD_IN_VENV"] = "1"
    os.execv(python, [str(python), "-B", *sys.argv])


use_venv()
import httpx2  # noqa: E402
import openai  # noqa: E402

from description import Description  # noqa: E402

_descriptions = {}


def description(port):
    """That of the server there."""
    if port not in _descriptions:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/openapi.json")
        _descriptions[port] = Description(json.loads(connection.getresponse().read()))
        connection.close()
    return _descriptions[port]


class _CheckedStream(httpx2.SyncByteStream):
    def __init__(self, stream, check):
        self.stream, self.check, self.seen = stream, check, b""

    def __iter__(self):
        for piece in self.stream:
            self.seen += piece
            yield piece
        self.check(self.seen.decode())

    def close(self):
        self.stream.close()


def checked_client():
    """For the packages' clients: every answer that they get to its end is held against the description."""

    def hook(response):
        sent, kind = response.request, response.headers["content-type"]
        check = lambda text: description(sent.url.port).check(sent.method, sent.url.path, response.status_code, kind, text)  # noqa: E731
        if kind.startswith("text/event-stream"):
            response.stream = _CheckedStream(response.stream, check)
        else:
            check(response.read().decode())

    return httpx2.Client(event_hooks={"response": [hook]}, timeout=120)


def serve_with_client(model):
    """A model that comes with the project, on two ranks, and the `openai` package's client of it; both end with the module's tests."""
    cluster = Cluster.serve(model=ROOT / "models" / model)
    unittest.addModuleCleanup(cluster.__exit__)
    client = openai.OpenAI(base_url=cluster.wait_ready() + "/v1", api_key="none", max_retries=0, timeout=120, http_client=checked_client())
    unittest.addModuleCleanup(client.close)
    return cluster, client


def metrics(cluster):
    """{"name{labels}": value} of the frontend's /metrics."""
    status, body = cluster.get("/metrics")
    assert status == 200, (status, body)
    lines = [line.rsplit(" ", 1) for line in body.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def gauge(cluster, name):
    """The one series of switchyard_<name>."""
    (value,) = [v for k, v in metrics(cluster).items() if k.split("{")[0] == f"switchyard_{name}"]
    return value


def idle(cluster):
    """Nothing runs or waits, and no KV block is held."""
    return not any(gauge(cluster, g) for g in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"))


def request(cluster, method, path, body=None, headers=None, timeout=60):
    """(status, headers, what the answer holds as JSON, None if it is empty, as text if it is a stream). body: bytes as they are, else as JSON.
    The answer is as /openapi.json describes it."""
    connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=timeout)
    try:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        text = answer.read().decode()
        kind = answer.headers["Content-Type"]
        if text:
            description(cluster.port).check(method, path, answer.status, kind, text)
        return answer.status, answer.headers, json.loads(text) if text and kind.startswith("application/json") else text or None
    finally:
        connection.close()
