"""Goal: no input stops a process or keeps others from their answers: each is answered as it should be, or with nothing.
Method: one cluster of two ranks; after every case it still gives the golden answer, holds no KV block, and consists of the same processes."""

import concurrent.futures
import json
import os
import pathlib
import random
import re
import select
import socket
import struct
import tempfile
import time
import unittest

from support import GOLDEN, Cluster, Golden, free_port, gauge, idle, metrics, request, wait_for

MODEL = "qwen3-moe-tiny"
CONTEXT = 4096
VOCABULARY = 512
HEADER_TIMEOUT = 1.5  # seconds
REQUESTS_MAX = 80     # in the frontend at once
ENDPOINTS = ("/v1/completions", "/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/tokenize", "/detokenize")

cluster = None
pids = None
golden = Golden(MODEL).greedy()


def setUpModule():
    global cluster, pids
    admin_port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as yaml:
        yaml.write(f"model: {{path: {GOLDEN / MODEL}, dtype: float32}}\nworker: {{data_parallel_size: 2}}\n"
                   f"frontend: {{port: 0, header_timeout_ms: {int(HEADER_TIMEOUT * 1000)}, max_concurrent_requests: {REQUESTS_MAX}}}\n"
                   f"coordinator: {{admin_port: {admin_port}}}\n")
        yaml.flush()
        cluster = Cluster("up", yaml.name)
        unittest.addModuleCleanup(cluster.__exit__)
        cluster.port = int(cluster.wait_ready().rsplit(":", 1)[1])
    cluster.admin_port = admin_port
    pids = set(cluster.processes())


def listening_ports(program):
    """TCP ports on which the cluster's processes of that name listen."""
    inodes = {}
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            inodes[fields[9]] = int(fields[1].split(":")[1], 16)
    found = set()
    for pid, command in cluster.processes().items():
        if os.path.basename(command.split()[0]) != program:
            continue
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            except FileNotFoundError:
                continue
            if target.startswith("socket:[") and target[8:-1] in inodes:
                found.add(inodes[target[8:-1]])
    return found


def connect(port=None):
    return socket.create_connection(("127.0.0.1", port or cluster.port), timeout=20)


def head_of(length, path="/v1/completions"):
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()


def reset(connection):
    """Closes without a word, as a machine that fails does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_all(connection):
    """Until the other side closes."""
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


def talk(data, port=None):
    """What the other side says to these bytes, after which this side is silent."""
    with connect(port) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it closed already
        return read_all(connection)


def statuses(answer):
    """The status of each answer in a row of them."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


def golden_answer(i):
    prompt, expected = golden[i % len(golden)]
    status, _, answer = request(cluster, "POST", "/v1/completions", {
        "prompt": prompt, "max_tokens": 32, "temperature": 0, "ignore_eos": True, "return_token_ids": True})
    return status == 200 and answer["choices"][0]["token_ids"] == expected


class Case(unittest.TestCase):
    def tearDown(self):
        self.assertTrue(golden_answer(0) and golden_answer(1))
        self.assertEqual(cluster.get("/ready")[0], 200)
        wait_for(lambda: idle(cluster), 5, f"idle afterwards: {metrics(cluster)}")
        self.assertEqual(set(cluster.processes()), pids, cluster.stderr()[-2000:])

    def assert_error(self, answer, *allowed):
        status, _, body = answer
        self.assertIn(status, allowed, body)
        self.assertGreater(len(body["error"]["message"]), 10)
        self.assertIn(set(body["error"]), ({"message", "type", "param", "code"}, {"message", "type"}))  # OpenAI's and Anthropic's


class Bodies(Case):
    def test_malformed_json(self):
        bodies = [b"", b"{", b"}", b"null", b"[]", b'"text"', b"17", b"{'prompt': 'x'}", b'{"prompt": "x"} {}',
                  b'{"prompt": "x",}', b'{"prompt"',
                  b'{"prompt": NaN}', b'{"prompt": Infinity}', b'{"prompt": "\xff\xfe"}', b'{"prompt": "\\ud800"}', b'{"prompt": "\\u12"}',
                  b'{"prompt": "a\nb"}', b"\xef\xbb\xbf{}", b"\x00", b"\xff" * 1000, b"[" * 100000,
                  b'{"a":' * 100000, b'{"prompt": ' + b"[" * 5000 + b"]" * 5000 + b"}", b"<html>"]
        for path in ENDPOINTS:
            for body in bodies:
                with self.subTest(path=path, body=body[:40]):
                    self.assert_error(request(cluster, "POST", path, body), 400)
        for body in (b'{"temperature": 1e99999, "prompt": "x"}', b'{"max_tokens": 1' + b"0" * 100000 + b', "prompt": "x"}'):
            self.assert_error(request(cluster, "POST", "/v1/completions", body), 400)

    def test_odd_but_valid_json_is_taken(self):
        for body in (b'{"prompt": "x", "prompt": "y", "max_tokens": 1}', b' {"prompt": "\\u0000\\ud83d\\ude42", "max_tokens": 1.0}\r\n\t',
                     b'{"prompt": [[8], [9.0]], "max_tokens": 1, "no_such_field": {"a": [1, 2]}}',
                     b'{"prompt": "x", "max_tokens": 1e0, "stop": null}'):
            status, _, answer = request(cluster, "POST", "/v1/completions", body)
            self.assertEqual(status, 200, (body, answer))

    def test_every_field_with_every_kind_of_value(self):
        fields = """model prompt messages suffix max_tokens max_completion_tokens temperature top_p top_k min_p n stream
            stream_options logprobs top_logprobs echo stop presence_penalty frequency_penalty repetition_penalty best_of
            logit_bias user seed stop_token_ids ignore_eos min_tokens skip_special_tokens include_stop_str_in_output
            add_special_tokens return_token_ids priority response_format tools tool_choice chat_template chat_template_kwargs add_generation_prompt tokens
            input instructions max_output_tokens reasoning text include metadata previous_response_id store truncation background parallel_tool_calls
            system thinking stop_sequences output_config""".split()
        values = [True, False, "", "x", "1", 0, -1, 1.5, -0.0, 1e300, -1e300, 1e-320, 2**31, 2**32, 2**63, 2**64 - 1, -2**63,
                  10**30, [], [None], [[]], [[[1]]], ["x", 1], [1, "x"], [{}], [-1], [2**32 + 5], {}, {"type": "x"}, {"a": {}}, {"0": "x"}, [{"role": "user"}],
                  [{"role": "user", "content": {"type": "text"}}], [{"role": 1, "content": "x"}], [{"type": "function"}], "\ud83d\ude42" * 2000,
                  [{"role": "user", "content": [{"type": "tool_result"}]}], {"type": "enabled"}, {"format": {"type": "text"}, "effort": "none"}]
        bases = {"/v1/completions": {"prompt": "x", "max_tokens": 2},
                 "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 2},
                 "/v1/responses": {"input": "x", "max_output_tokens": 2},
                 "/v1/messages": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 2},
                 "/tokenize": {"prompt": "x"}, "/detokenize": {"tokens": [1]}}
        asked = [(path, {**base, field: value}) for path, base in bases.items() for field in fields for value in values]

        def ask(one):
            path, body = one
            if body.get("stream") is True:
                connection = connect()
                data = json.dumps(body).encode()
                connection.sendall(head_of(len(data), path).replace(b"Host", b"Connection: close\r\nHost") + data)
                answer = read_all(connection)
                connection.close()
                return statuses(answer)[0], None, None
            return request(cluster, "POST", path, body)
        taken = 0
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for one, answer in zip(asked, pool.map(ask, asked)):
                with self.subTest(one=str(one)[:200]):
                    taken += answer[0] == 200
                    if answer[0] != 200 and answer[2] is not None:
                        self.assert_error(answer, 400, 404)
        self.assertGreater(taken, 500)

    def test_token_ids_that_are_none(self):
        for ids in ([VOCABULARY], [-1], [2**31], [2**32 + 9], [2**63], [2**64 - 1], [-2**63], [1e300], [9.5], [8] * 50 + [VOCABULARY + 3]):
            for body in ({"prompt": ids}, {"prompt": [[8], ids]}, {"prompt": "x", "stop_token_ids": ids}):
                answer = request(cluster, "POST", "/v1/completions", {**body, "max_tokens": 1})
                self.assert_error(answer, 400)
                self.assertEqual(answer[2]["error"]["param"], "stop_token_ids" if "stop_token_ids" in body else "prompt")
            self.assert_error(request(cluster, "POST", "/detokenize", {"tokens": ids}), 400)

    def test_prompts_longer_than_the_context(self):
        for body in ({"prompt": [8] * CONTEXT}, {"prompt": [8] * 3000000}, {"prompt": "word " * 1500000}, {"prompt": "a" * 9000000},
                     {"prompt": [[8] * 10, [8] * (CONTEXT + 1)]}):
            answer = request(cluster, "POST", "/v1/completions", body)
            self.assert_error(answer, 400)
            self.assertEqual((answer[2]["error"]["param"], answer[2]["error"]["code"]), ("prompt", "context_length_exceeded"))
        answer = request(cluster, "POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "word " * 1500000}]})
        self.assert_error(answer, 400)
        self.assertEqual(answer[2]["error"]["param"], "messages")

    def test_other_answers_go_on_while_large_prompts_are_read(self):
        large = json.dumps({"prompt": " " * 5000000}).encode()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(request, cluster, "POST", "/v1/completions", large) for _ in range(2)]
            answered = 0
            while not all(r.done() for r in running):
                self.assertTrue(golden_answer(answered))
                answered += 1
            for r in running:
                self.assert_error(r.result(), 400)
        self.assertGreater(answered, 8)

    def test_a_body_of_fifty_megabytes(self):
        body = b'{"prompt": "' + b"x" * (50 << 20) + b'"}'
        self.assert_error(request(cluster, "POST", "/v1/completions", body), 413)
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        answer = talk(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 50 + b"0\r\n\r\n")
        self.assertEqual(statuses(answer), [413])
        with connect() as connection:  # who asks first is told before sending it
            connection.sendall(head_of(50 << 20).replace(b"Host", b"Expect: 100-continue\r\nHost"))
            self.assertEqual(statuses(connection.recv(65536)), [413])

    def test_unknown_models_and_paths(self):
        for model in ("gpt-9", "", "x" * 100000, "\u0000", "../../etc/passwd"):
            self.assert_error(request(cluster, "POST", "/v1/completions", {"model": model, "prompt": "x"}), 404)
        for path in ("/v1", "/v1/models/", "/v1/models/%", "/v1/models/%zz%00%ff",
                     "/v1/completions/", "//v1/completions", "/../etc/passwd", "/v1/%63ompletions"):
            self.assert_error(request(cluster, "GET", path), 404)
        for method, path in (("GET", "/v1/completions"), ("PUT", "/v1/models"), ("DELETE", "/health"), ("OPTIONS", "/v1/completions")):
            self.assert_error(request(cluster, method, path), 405)


class Connections(Case):
    def test_bytes_that_are_no_http(self):
        noise = random.Random(1)
        pieces = [bytes(noise.randrange(256) for _ in range(4000)), b"\r\n" * 10000,
                  b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), b"GET\r\n\r\n",
                  b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost x\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n", b"\x00" * 100,
                  b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                  b"POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                  b"POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                  b"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
                  b"POST /v1/completions HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
                  b"POST /v1/completions HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                  b"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx"]
        for piece in pieces:
            with self.subTest(piece=piece[:60]):
                self.assertTrue(all(400 <= s < 500 for s in statuses(talk(piece))))

    def test_heads_that_are_too_long(self):
        for head in (b"GET /" + b"x" * 200000 + b" HTTP/1.1\r\n\r\n", b"GET /health HTTP/1.1\r\nX: " + b"y" * 200000 + b"\r\n\r\n",
                     b"GET /health HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n"):
            self.assertEqual(statuses(talk(head)), [431])

    def test_pipelined_requests_are_answered_in_order(self):
        body = json.dumps({"prompt": "x", "max_tokens": 50, "ignore_eos": True}).encode()
        one = head_of(len(body)) + body
        with connect() as connection:
            connection.sendall(one + b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" + one +
                               b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertEqual(statuses(read_all(connection)), [200, 404, 200, 200])

    def test_two_hundred_half_open_connections_while_requests_go_on(self):
        silent = [connect() for _ in range(70)]
        in_head = [connect() for _ in range(70)]
        in_body = [connect() for _ in range(60)]
        for connection in in_head:
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        for connection in in_body:
            connection.sendall(head_of(5000) + b'{"prompt": "')
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            self.assertTrue(all(pool.map(golden_answer, range(64))))
        self.assertLess(time.monotonic() - began, 5)
        # A byte now and then does not buy more time for the head.
        deadline = time.monotonic() + HEADER_TIMEOUT + 3
        waiting = set(silent + in_head)
        while waiting and time.monotonic() < deadline:
            for connection in in_head:
                if connection in waiting:
                    try:
                        connection.send(b"x")
                    except OSError:
                        waiting.discard(connection)
            readable, _, _ = select.select(list(waiting), [], [], 0.1)
            for connection in readable:
                answer = read_all(connection)
                self.assertIn(statuses(answer), ([], [408]))
                waiting.discard(connection)
        self.assertEqual(len(waiting), 0)
        self.assertTrue(golden_answer(2))
        for connection in in_body[::2]:  # slow is allowed for a body
            self.assertEqual(select.select([connection], [], [], 0)[0], [])
            connection.sendall(b"x" * 4986 + b'"}')
        for connection in in_body[::2]:
            self.assertEqual(statuses(connection.recv(65536)), [400])  # too long, which is an answer
        for i, connection in enumerate(silent + in_head + in_body):
            reset(connection) if i % 2 else connection.close()

    def test_clients_that_leave_in_the_middle_of_a_request(self):
        body = json.dumps({"prompt": "x", "max_tokens": 4000, "ignore_eos": True}).encode()
        whole = head_of(len(body)) + body
        border = len(whole) - len(body)
        for i, end in enumerate([1, 10, 30, border - 1, border, len(whole) - 20, len(whole) - 1] * 6):
            connection = connect()
            connection.sendall(whole[:end])
            reset(connection) if i % 2 else connection.close()

    def test_clients_that_leave_in_the_middle_of_an_answer(self):
        connections = []
        for i in range(60):
            body = {"prompt": [8 + i] * (1 + i * 20), "max_tokens": 2500, "ignore_eos": True, "temperature": 0, "stream": i % 3 > 0,
                    "n": 1 + i % 2, "logprobs": 5}
            data = json.dumps(body).encode()
            connection = connect()
            connection.sendall(head_of(len(data)) + data)
            connections.append(connection)
        for i, connection in enumerate(connections):
            if i % 3 == 1:
                self.assertEqual(statuses(connection.recv(100)), [200])
        self.assertGreater(gauge(cluster, "kv_cache_usage_perc"), 0)
        for i, connection in enumerate(connections):
            reset(connection) if i % 2 else connection.close()
        wait_for(lambda: idle(cluster), 1, "all of them gone, and their KV blocks free")

    def test_a_client_that_does_not_read_its_stream_keeps_nobody_waiting(self):
        body = json.dumps({"prompt": "x", "max_tokens": 3000, "ignore_eos": True, "stream": True, "logprobs": 20}).encode()
        connections = []
        for _ in range(4):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", cluster.port))
            connection.sendall(head_of(len(body)) + body)
            connections.append(connection)
        for i in range(8):
            self.assertTrue(golden_answer(i))
        for connection in connections:
            reset(connection)

    def test_more_requests_than_the_frontend_takes_at_once(self):
        body = json.dumps({"prompt": "x", "max_tokens": 4000, "ignore_eos": True, "stream": True}).encode()
        connections = [connect() for _ in range(REQUESTS_MAX)]
        for connection in connections:
            connection.sendall(head_of(len(body)) + body)
        wait_for(lambda: gauge(cluster, "num_requests_running") + gauge(cluster, "num_requests_waiting") >= REQUESTS_MAX, 10,
                 "all of them run or wait")
        answer = request(cluster, "POST", "/v1/completions", {"prompt": "x"})
        self.assert_error(answer, 429)
        self.assertEqual((answer[1]["Retry-After"], answer[2]["error"]["type"]), ("1", "rate_limit_error"))
        for connection in connections:
            reset(connection)


class InternalPorts(Case):
    def test_noise_at_the_ports_of_ranks_and_of_the_coordinator(self):
        noise = random.Random(2)
        ports = {rank["port"] for rank in cluster.view()["ranks"]} | listening_ports("switchyard-coordinator")
        self.assertEqual(len(ports), 4)  # two ranks; the coordinator's wire and its admin API
        pieces = [b"", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f" + bytes(1000), bytes(4), struct.pack("<I", 5) + b"\xff" * 5,
                  struct.pack("<I", 2) + b"\x0a\x00",
                  b"GET /cluster HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n", bytes(noise.randrange(256) for _ in range(5000)),
                  struct.pack("<I", 100) + b"short"]
        for port in ports:
            for piece in pieces:
                talk(piece, port)
        held = [connect(port) for port in ports for _ in range(20)]  # and some that stay and say nothing
        self.assertTrue(golden_answer(3))
        for connection in held:
            reset(connection)


if __name__ == "__main__":
    unittest.main()
