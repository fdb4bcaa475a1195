"""Requests and long streams for tests in which something dies meanwhile."""

import http.client
import io
import json
import re
import socket


def post(port, body, timeout=60):
    """(status, the answer's bytes)"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Received:
    """Bytes as a socket that http.client reads."""

    def __init__(self, data):
        self.data = data

    def makefile(self, _):
        return io.BytesIO(self.data)


class Stream:
    """A long stream from its begin to its end. Its bytes are read as they come and understood later, so that this program is not what it waits for."""

    def __init__(self, port, prompt, text, tokens):
        self.prompt = prompt  # whatever tells it from others
        body = json.dumps({"prompt": text, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True, "return_token_ids": True})
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
                               f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
            self.pieces = list(iter(lambda: connection.recv(1 << 16), b""))

    def parse(self):
        """(status, token ids, whether it came to its end)"""
        answer = http.client.HTTPResponse(Received(b"".join(self.pieces)))
        answer.begin()
        events = [line[6:] for line in answer.read().decode().splitlines() if line.startswith("data: ")]
        choices = [c for e in events if e != "[DONE]" for c in json.loads(e).get("choices", [])]
        ends = [c["finish_reason"] for c in choices if c["finish_reason"]]
        return answer.status, [t for c in choices for t in c.get("token_ids") or []], ends == ["length"] and events[-1] == "[DONE]"


def replays(cluster, port):
    """Sequences that another rank went on with, as the frontend counts them."""
    (value,) = re.findall(r"^switchyard_replays_total\S* (\d+)", cluster.get("/metrics", port)[1], re.MULTILINE)
    return int(value)
