"""Goal: the page at / does what a person expects, shows model text as text, and asks nobody but its own server.
Method: headless Chromium on the demo model's cluster; where a test needs an answer that no good server gives, the browser is handed it
in the server's place, whole (`answers`) or piece by piece (`kByHand`)."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "openai_api"))

from browser import Browser  # noqa: E402
from support import ROOT, Cluster, free_port, idle, request, wait_for  # noqa: E402

MODEL = "switchyard-r1-small"
KEY = "sk-page"
CHAT = "/v1/chat/completions"
DONE = "!document.querySelector('#send').hidden && document.querySelector('.answer:last-child .stats')?.textContent.includes('in all')"
ANSWER = "document.querySelector('.answer:last-child .text').innerText"
NOTE = "document.querySelector('.answer:last-child .note').textContent"

# An answer that comes as the test says: window.piece(text), window.finish().
BY_HAND = """
const real = fetch;
window.fetch = (path, options) => path !== '/v1/chat/completions' ? real(path, options) : new Promise((resolve, reject) => {
  const body = new ReadableStream({start(control) {
    const bytes = new TextEncoder();
    window.piece = text => control.enqueue(bytes.encode(text));
    window.finish = () => control.close();
    options.signal.addEventListener('abort', () => control.error(options.signal.reason));
  }});
  resolve(new Response(body, {headers: {'Content-Type': 'text/event-stream'}}));
});
"""

cluster = None


def setUpModule():
    global cluster
    port, admin = free_port(), free_port()
    cluster = Cluster("serve", ROOT / "models" / MODEL, "--port", port, "--admin-port", admin, "--data-parallel-size", 1, "--api-key", KEY)
    cluster.port, cluster.admin_port = port, admin
    unittest.addModuleCleanup(cluster.__exit__)
    cluster.wait_ready()


def event(delta=None, finish=None, usage=None, **more):
    chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}] if delta is not None else [], **more}
    if usage:
        chunk["usage"] = usage
    return f"data: {json.dumps(chunk)}\n\n"


def stream_of(*events, done=True):
    body = "".join(events) + ("data: [DONE]\n\n" if done else "")
    return lambda _: (200, {"Content-Type": "text/event-stream"}, body.encode())


class Page(unittest.TestCase):
    def setUp(self):
        self.browser = Browser()
        self.addCleanup(self.browser.close)
        self.requests = []  # bodies that went to the chat endpoint
        self.browser.answers[CHAT] = self.note_request
        self.instead = None
        self.js = self.browser.js

    def note_request(self, asked):
        self.requests.append(json.loads(asked["postData"]))
        return self.instead(asked) if self.instead else None

    def tearDown(self):
        """Whatever a test does: no violation of the policy, no exception, no request to another origin, no key in a URL."""
        self.assertEqual(self.js("violations"), [])
        thrown = [p["exceptionDetails"] for m, p in self.browser.events if m == "Runtime.exceptionThrown"]
        self.assertEqual(thrown, [])
        urls = [p["request"]["url"] for m, p in self.browser.events if m == "Network.requestWillBeSent" and p["request"]["url"] != "about:blank"]
        self.assertGreater(len(urls), 8)
        for url in urls:
            self.assertTrue(url.startswith(cluster.url + "/"), url)
            self.assertNotIn(KEY, url)

    def open(self, key=KEY):
        self.browser.open(cluster.url + "/")
        if key:
            self.browser.wait("document.querySelector('#settings').open")
            self.browser.type(key)
            self.browser.press("Enter")
            self.browser.wait("document.querySelector('#state.ready')")

    def ask(self, text, wait=True):
        self.js("document.querySelector('#input').focus()")
        self.browser.type(text)
        self.browser.press("Enter")
        if wait:
            self.browser.wait(DONE)

    def set(self, **values):
        for name, value in values.items():
            self.js(f"{{ const f = document.querySelector('[name={name}]'); f.value = {json.dumps(value)};"
                    "f.dispatchEvent(new Event('input', {bubbles: true})); }")

    def api(self, messages, **fields):
        status, _, answer = request(cluster, "POST", CHAT, {"messages": messages, **fields}, {"Authorization": f"Bearer {KEY}"})
        self.assertEqual(status, 200, answer)
        return answer

    # --- with the model ---

    def test_an_answer_and_its_numbers_are_what_the_api_gives(self):
        self.open()
        self.set(seed="7", temperature="0.8")
        self.ask("我想退换刚买的手机")
        first = self.api([{"role": "user", "content": "我想退换刚买的手机"}], seed=7, temperature=0.8)
        text = first["choices"][0]["message"]["content"]
        self.assertEqual(self.js(ANSWER).strip(), text.strip())
        stats = self.js("document.querySelector('.answer .stats').textContent")
        self.assertRegex(stats, r"^first token .* tokens/s · ")
        self.assertLess(self.js("(e => e.scrollHeight - e.scrollTop - e.clientHeight)(document.querySelector('#scroller'))"), 2)
        self.assertIn(f"· {first['usage']['completion_tokens']} tokens · prompt {first['usage']['prompt_tokens']}", stats)
        self.ask("订单号是A4821")
        history = [{"role": "user", "content": "我想退换刚买的手机"}, {"role": "assistant", "content": text}, {"role": "user", "content": "订单号是A4821"}]
        self.assertEqual(self.requests[1]["messages"], history)
        self.assertEqual(self.js(ANSWER).strip(), self.api(history, seed=7, temperature=0.8)["choices"][0]["message"]["content"].strip())
        # The conversation outlives the page; the key lives as long as the tab.
        self.browser.open(cluster.url + "/")
        self.browser.wait("document.querySelector('#state.ready')")
        self.assertEqual(self.js("document.querySelectorAll('article').length"), 4)
        self.assertNotIn(KEY, self.js("JSON.stringify(localStorage)"))

    def test_stop_keeps_what_came_and_frees_the_rank(self):
        self.open()
        self.set(more='{"ignore_eos": true, "temperature": 0}')
        self.ask("Who are you?", wait=False)
        self.browser.wait("document.querySelector('.answer .text')?.innerText.length > 20")
        self.assertFalse(idle(cluster))
        self.browser.press("Escape")
        self.browser.wait(DONE)
        wait_for(lambda: idle(cluster), 20, "the rank works on after the stop")
        self.assertEqual(self.js(NOTE), "Stopped.")
        self.assertIn("Switchyard", self.js(ANSWER))
        # Regenerate asks the same again, without the stopped answer.
        self.set(more='{"temperature": 0}')
        self.js("[...document.querySelectorAll('.answer .actions button')].at(-1).click()")
        self.browser.wait(DONE)
        self.assertEqual(self.requests[1]["messages"], [{"role": "user", "content": "Who are you?"}])
        self.assertEqual(self.js(NOTE), "")

    def test_without_its_key_the_page_loads_and_asks_for_one(self):
        self.open(key=None)
        self.browser.wait("document.querySelector('#settings').open && document.activeElement.name === 'key'")
        self.assertIn("API key", self.js("document.querySelector('#state-text').textContent"))

    # --- what is sent ---

    def test_settings_are_sent_and_empty_ones_are_not(self):
        self.open()
        self.instead = stream_of(event({"content": "ok"}), event({}, "stop"))
        self.ask("a")
        self.assertEqual(self.requests[0], {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "stream": True,
                                            "stream_options": {"include_usage": True}})
        numbers = {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "max_tokens": 33, "seed": 12, "presence_penalty": -1, "frequency_penalty": 1.5}
        self.set(**{name: str(value) for name, value in numbers.items()}, system="Be brief.", stop="END\n\\n\\n", more='{"min_tokens": 2}')
        self.browser.open(cluster.url + "/")  # they are kept
        self.browser.wait("document.querySelector('#state.ready')")
        self.browser.click("#new-chat")
        self.ask("b")
        sent = self.requests[1]
        self.assertEqual({name: sent.get(name) for name in numbers}, numbers)
        self.assertEqual((sent["stop"], sent["min_tokens"]), (["END", "\n\n"], 2))
        self.assertEqual(sent["messages"], [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "b"}])

    def test_the_last_message_can_be_edited_and_a_composing_enter_does_not_send(self):
        self.open()
        self.instead = stream_of(event({"content": "ok"}), event({}, "stop"))
        for text in ("one", "two"):
            self.ask(text)
        self.js("[...document.querySelectorAll('.user .actions:not([hidden]) button')].forEach(b => b.click())")
        self.assertEqual(self.js("document.querySelector('#input').value"), "two")
        self.browser.press("Enter", shift=True)
        self.browser.press("Enter", code=229)
        self.js("document.querySelector('#input').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))")
        self.assertEqual(len(self.requests), 2)
        self.ask("three")
        self.assertEqual([m["content"] for m in self.requests[2]["messages"]], ["one", "ok", "two\nthree"])

    def test_the_keyboard_alone_is_enough(self):
        self.open()
        self.instead = stream_of(event({"content": "ok"}), event({}, "stop"))
        self.js("document.body.focus(), document.activeElement.blur()")
        reached = []
        for _ in range(8):
            self.browser.press("Tab")
            reached.append(self.js("document.activeElement.id"))
            self.assertNotEqual(self.js("getComputedStyle(document.activeElement).outlineStyle") if reached[-1] not in ("scroller", "") else "solid", "none", reached)
        for control in ("new-chat", "open-settings", "theme", "input", "send"):
            self.assertIn(control, reached)
        self.js("document.querySelector('#open-settings').focus()")
        self.browser.press("Enter")
        self.browser.wait("document.querySelector('#settings').open")
        self.browser.press("Escape")
        self.browser.wait("!document.querySelector('#settings').open && document.activeElement.id === 'open-settings'")
        self.ask("by keys")
        unnamed = self.js("[...document.querySelectorAll('input, textarea, button')].filter(e => !e.labels?.length && !e.textContent.trim()).length")
        self.assertEqual(unnamed, 0)

    # --- what comes back ---

    def test_reasoning_is_folded_and_counts_while_it_comes(self):
        self.browser.on_new_page(BY_HAND)
        self.open()
        label = "document.querySelector('.reasoning summary').textContent"
        for begin, end in ((event({"reasoning_content": "let me see"}), event({"content": "the answer"})),
                           (event({"content": "<thi"}) + event({"content": "nk>let me see</th"}), event({"content": "ink>\n\nthe answer"}))):
            self.ask("why", wait=False)
            self.browser.wait("window.piece")
            self.js(f"piece({json.dumps(begin)})")
            self.browser.wait(f"{label.replace('.reasoning', '.answer:last-child .reasoning')}.startsWith('Thinking… ')")
            self.js(f"piece({json.dumps(end + event({}, 'stop') + 'data: [DONE]' + chr(10) * 2)})")
            self.browser.wait(DONE)
            self.assertEqual(self.js(ANSWER).strip(), "the answer")
            self.assertRegex(self.js("document.querySelector('.answer:last-child summary').textContent"), r"^Thought for \d+\.\d s$")
            self.assertFalse(self.js("document.querySelector('.answer:last-child details').open"))
            self.assertIn("let me see", self.js("document.querySelector('.answer:last-child details pre').textContent"))
            self.js("delete window.piece")

    def test_hostile_model_text_is_text(self):
        hostile = ("<img src=x onerror='window.owned=1'><script>window.owned=1</script>\n\n[a](javascript:window.owned=1) [b](data:text/html,x) "
                   "[c](https://example.org/?q=1)\n\n| <b onclick=owned=1>x</b> | y |\n|---|---|\n| <iframe src=//evil.example> | 1 |\n\n"
                   "```html\n<script>owned=1</script>\n```\n\n# <svg onload=window.owned=1>\n\n- **<object data=x>**")
        call = [{"index": 0, "id": "c1", "function": {"name": "<img src=x onerror=owned=1>", "arguments": '{"a": "<script>owned=1</script>"}'}}]
        self.instead = stream_of(event({"reasoning_content": hostile}), event({"content": hostile}), event({"tool_calls": call}), event({}, "stop"))
        self.open()
        self.ask("<img src=x onerror=window.owned=1>")
        self.browser.open(cluster.url + "/")  # and from the store
        self.browser.wait("document.querySelector('#state.ready')")
        self.assertEqual(self.js("typeof owned"), "undefined")
        self.assertEqual(self.js("document.querySelectorAll('#messages :is(img, script, iframe, svg, object, b)').length"), 0)
        self.assertEqual(self.js("[...document.querySelectorAll('#messages a')].map(a => [a.href, a.rel])"), [["https://example.org/?q=1", "noopener noreferrer"]])
        self.assertIn("<script>window.owned=1</script>", self.js(ANSWER))
        self.assertIn("<img src=x onerror=owned=1>", self.js("document.querySelector('.tool').innerText"))

    def test_markdown_becomes_the_elements_it_means(self):
        self.open()
        shown = self.js("""(async () => {
          const { show } = await import('/page/markdown.js');
          const html = text => { const box = document.createElement('div'); show(box, text); return box.innerHTML; };
          const grown = document.createElement('div');
          const text = '# T\\n\\npara **b** and *i* `c*d*`\\n\\n1. x\\n   - y\\n2. z\\n\\n> q\\n\\n---\\nsnake_case_name 2 * 3 * 4';
          for (let i = 0; i <= text.length; i++) show(grown, text.slice(0, i));
          // None of these may hang the page.
          for (const piece of ['*', '[', '`', '> ', '- ', '|', '_a', '**a', '[a](', '# ', '| - ', '|-', '- x\\n ', '- - '])
            html(piece.repeat(20000));
          return [html(text), grown.innerHTML, html('| a | b |\\n|---|---|\\n| 1 | 2 |')];
        })()""")
        expected = ("<h3>T</h3><p>para <strong>b</strong> and <em>i</em> <code>c*d*</code></p><ol start=\"1\"><li>x<ul><li>y</li></ul></li><li>z</li></ol>"
                    "<blockquote><p>q</p></blockquote><hr><p>snake_case_name 2 * 3 * 4</p>")
        self.assertEqual(shown[0], expected)
        self.assertEqual(shown[1], expected)
        self.assertIn("<thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody>", shown[2])

    def test_events_are_the_same_wherever_their_bytes_are_cut(self):
        self.open()
        text = ": note\r\ndata: {\"a\":\"é机😀\"}\r\n\r\ndata:x\ndata: y\n\nevent: z\rdata: last\r\r"
        cuts = self.js(f"""(async () => {{
          const {{ events }} = await import('/page/sse.js');
          const bytes = new TextEncoder().encode({json.dumps(text)});
          const seen = new Set();
          for (let i = 0; i <= bytes.length; i++)
            for (const step of [bytes.length, 1]) {{
              const pieces = step === 1 ? [...bytes].map(b => new Uint8Array([b])) : [bytes.slice(0, i), bytes.slice(i)];
              const stream = new ReadableStream({{ start(c) {{ pieces.forEach(p => c.enqueue(p)); c.close(); }} }});
              const got = [];
              for await (const data of events(stream)) got.push(data);
              seen.add(JSON.stringify(got));
            }}
          return [...seen];
        }})()""")
        self.assertEqual([json.loads(cut) for cut in cuts], [['{"a":"é机😀"}', "x\ny", "last"]])

    def test_refusals_and_lost_connections_are_told_and_can_be_tried_again(self):
        self.open()
        refused = json.dumps({"error": {"message": "Too busy.", "type": "x", "param": None, "code": None}}).encode()
        for status in (429, 503):
            self.instead = lambda _, status=status: (status, {"Content-Type": "application/json", "Retry-After": "3"}, refused)
            self.ask(f"status {status}")
            self.assertEqual(self.js(NOTE), "Too busy. The server asks to wait 3 s before the next try.")
        self.instead = stream_of(event({"content": "half of"}), event(error={"message": "A rank died."}), done=False)
        self.ask("an error event")
        self.assertEqual((self.js(ANSWER).strip(), self.js(NOTE)), ("half of", "A rank died."))
        self.instead = stream_of(event({"content": "half of"}), done=False)
        self.ask("lost")
        self.assertIn("connection was lost", self.js(NOTE))
        self.instead = stream_of(event({"content": "all of it"}), event({}, "stop"))
        again = "[...document.querySelectorAll('.answer:last-child .actions button')].at(-1)"
        self.assertEqual(self.js(f"{again}.textContent"), "Try again")
        self.js(f"{again}.click()")
        self.browser.wait(f"{ANSWER}.trim() === 'all of it'")
        self.assertEqual(self.requests[-1]["messages"], self.requests[-2]["messages"])

    def test_a_server_that_is_not_ready_says_why(self):
        why = json.dumps({"error": {"message": "Not ready: no rank is live."}}).encode()
        self.browser.answers["/ready"] = lambda _: (503, {"Content-Type": "application/json"}, why)
        self.browser.open(cluster.url + "/")
        self.browser.wait("document.querySelector('#state.down')?.innerText.includes('no rank is live')")
        del self.browser.answers["/ready"]
        self.browser.wait("document.querySelector('#settings').open")  # it asked again, was let in, and needs its key

    # --- how it looks ---

    def test_light_and_dark_follow_the_system_and_the_button_with_enough_contrast(self):
        self.browser.color_scheme("dark")
        self.open()
        ratios = """(() => {
          const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
          const luminance = name => {
            const probe = document.querySelector('#empty');
            probe.style.color = `var(--${name})`;
            const [r, g, b] = getComputedStyle(probe).color.match(/\\d+/g).map(Number).map(channel);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          const pairs = [];
          for (const [text, grounds] of [['text', ['ground', 'raised']], ['soft', ['ground', 'raised']], ['accent', ['ground']],
                                         ['bad', ['ground']], ['on-accent', ['accent']]])
            for (const ground of grounds) {
              const [a, b] = [luminance(text), luminance(ground)].sort((x, y) => y - x);
              pairs.push((a + 0.05) / (b + 0.05)); }
          return pairs; })()"""
        # WCAG 2.2's formula for relative luminance and contrast.
        ground = "getComputedStyle(document.body).backgroundColor"
        dark = self.js(ground)
        self.assertGreaterEqual(min(self.js(ratios)), 4.5)
        self.browser.click("#theme")
        light = self.js(ground)
        self.assertNotEqual(light, dark)
        self.assertGreaterEqual(min(self.js(ratios)), 4.5)
        self.browser.open(cluster.url + "/")
        self.browser.wait("document.querySelector('#state.ready')")
        self.assertEqual(self.js(ground), light)
        self.browser.click("#theme")  # as the system again, and so with it
        self.assertEqual(self.js(ground), dark)
        self.browser.color_scheme("light")
        self.browser.wait(f"{ground} === {json.dumps(light)}")

    def test_nothing_is_wider_than_a_phone_and_scrolling_up_is_respected(self):
        wide = "x" * 300 + "\n\n```\n" + "y" * 300 + "\n```\n\n|" + " cell |" * 30 + "\n|" + "---|" * 30 + "\n\n" + "word\n\n" * 60
        self.browser.on_new_page(BY_HAND)
        self.open()
        for width in (320, 360):
            self.browser.size(width, 640, mobile=True)
            self.ask("z" * 200, wait=False)
            self.browser.wait("window.piece")
            self.js(f"piece({json.dumps(event({'content': wide}))})")
            self.browser.wait("document.querySelector('.answer:last-child table')")
            over = "Math.max(...['html', 'body', '#scroller', 'header'].map(s => document.querySelector(s)).map(e => e.scrollWidth - e.clientWidth))"
            self.assertEqual(self.js(over), 0, width)
            self.assertEqual(self.js("document.documentElement.clientWidth"), width)
            end = "(e => e.scrollHeight - e.scrollTop - e.clientHeight)(document.querySelector('#scroller'))"
            self.browser.wait(f"{end} < 2")
            self.js("document.querySelector('#scroller').scrollTop -= 300")
            self.js(f"piece({json.dumps(event({'content': 'more ' * 50}) + event({}, 'stop') + 'data: [DONE]' + chr(10) * 2)})")
            self.browser.wait(DONE)
            self.assertGreater(self.js(end), 250)
            self.browser.wait("!document.querySelector('#to-end').hidden")
            self.browser.click("#to-end")
            self.browser.wait(f"{end} < 2")
            self.browser.click("#open-settings")
            self.assertEqual(self.js("(e => e.scrollWidth - e.clientWidth)(document.querySelector('#settings'))"), 0)
            self.browser.press("Escape")
            self.js("delete window.piece")


if __name__ == "__main__":
    unittest.main()
