"""Headless Chromium over the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/), through a pipe: messages are JSON
that a NUL ends, so neither a port nor a WebSocket is needed."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

CHROMIUM = next((path for path in map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")) if path), None)
PATIENCE_SECONDS = 30


class Browser:
    """One page. Events are kept until a test looks at them; requests that `answers` knows never reach the server."""

    def __init__(self):
        if CHROMIUM is None:
            raise AssertionError("no Chromium: launch/deps.sh chromium-headless-shell installs it")
        self.profile = tempfile.mkdtemp(prefix="swpage-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # Chromium reads descriptor 3 and writes 4; from high numbers, as the copies must not hit each other.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (theirs_in, theirs_out)]
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run",
                     "--hide-scrollbars", "--lang=en", f"--user-data-dir={self.profile}", "--remote-debugging-pipe", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{high[0]} 4>&{high[1]}', "bash", CHROMIUM, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=high)
        for fd in (*high, theirs_in, theirs_out):
            os.close(fd)
        self.input, self.output = ours_in, ours_out
        self.unread = b""
        self.last_id = 0
        self.session = None
        self.events = []  # (method, parameters)
        self.answers = {}  # path -> function of the request that gives (status, headers, body), or None to let it pass
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Fetch.enable", patterns=[{"urlPattern": "*"}])
        # A page that violates its policy says so here, before any script of its own runs.
        self.on_new_page("window.violations = []; addEventListener('securitypolicyviolation', e => "
                         "violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.input)
        os.close(self.output)
        shutil.rmtree(self.profile, ignore_errors=True)

    # --- the protocol ---

    def post(self, method, **parameters):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.output, data):]
        return self.last_id

    def send(self, method, **parameters):
        wanted = self.post(method, **parameters)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            message = self.receive(deadline, method)
            if message.get("id") == wanted:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return message["result"]

    def receive(self, deadline, what):
        while b"\0" not in self.unread:
            readable, _, _ = select.select([self.input], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.input, 1 << 20) if readable else b""
            if not piece:
                raise AssertionError(f"the browser is gone or late: {what}")
            self.unread += piece
        text, self.unread = self.unread.split(b"\0", 1)
        message = json.loads(text)
        if message.get("method") == "Fetch.requestPaused":
            self.answer(message["params"])
        elif "method" in message:
            self.events.append((message["method"], message["params"]))
        return message

    def answer(self, paused):
        """Events of the protocol come while an answer is awaited: so what is sent here awaits none."""
        request = paused["request"]
        path = "/" + request["url"].split("/", 3)[-1].split("?")[0]
        known = self.answers.get(path)
        given = known(request) if known else None
        if given is None:
            self.post("Fetch.continueRequest", requestId=paused["requestId"])
            return
        status, headers, body = given
        self.post("Fetch.fulfillRequest", requestId=paused["requestId"], responseCode=status, body=base64.b64encode(body).decode(),
                  responseHeaders=[{"name": name, "value": value} for name, value in headers.items()])

    # --- what tests do with a page ---

    def on_new_page(self, script):
        self.send("Page.addScriptToEvaluateOnNewDocument", source=script)

    def open(self, url):
        self.send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def js(self, expression):
        """The value of an expression; of a promise, what it becomes."""
        result = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails'].get('exception', {}).get('description')}")
        return result["result"].get("value")

    def wait(self, expression, seconds=PATIENCE_SECONDS):
        deadline = time.monotonic() + seconds
        while not self.js(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {expression}; the page says: {self.js('document.body.innerText')}")
            time.sleep(0.02)

    def type(self, text):
        """As a paste or an input method's commit does."""
        self.send("Input.insertText", text=text)

    def press(self, key, shift=False, code=None):
        codes = {"Enter": 13, "Escape": 27, "Tab": 9, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key) if code is None else None  # of a key that an input method took, none comes
        common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code or codes[key], "modifiers": 8 if shift else 0}
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **common, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def click(self, selector):
        self.js(f"document.querySelector({json.dumps(selector)}).click()")

    def size(self, width, height, scale=1, mobile=False):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)

    def color_scheme(self, scheme):
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self):
        return base64.b64decode(self.send("Page.captureScreenshot", format="png", optimizeForSpeed=False)["data"])
