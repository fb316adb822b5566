# SPDX-License-Identifier: MIT
"""The HTML pages in a real browser (Chromium, headless, driven through its debugging pipe): no request
leaves the page, nothing is written to the console, no sideways scrolling on a phone, headings in
order, drawings named, contrast of all text as computed, labels of drawings neither cut nor on top of
each other, keyboard, print. Skipped where no chromium is installed. IB_SCREENSHOTS=FOLDER keeps a
picture of each page as it was seen."""
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness

GOLDEN = harness.ROOT / "tests" / "golden" / "report"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# What the page is asked; each answers a list of faults.
HEADINGS = """(() => { const bad = []; let last = 0;
  for (const h of document.querySelectorAll('h1,h2,h3,h4,h5,h6')) {
    const n = +h.tagName[1];
    if (n > last + 1) bad.push(h.tagName + ' after h' + last + ': ' + h.textContent);
    if (!h.textContent.trim()) bad.push('empty ' + h.tagName);
    last = n; }
  if (document.querySelectorAll('h1').length != 1) bad.push('not one h1');
  return bad; })()"""

DRAWINGS = """(() => { const bad = [];
  for (const s of document.querySelectorAll('svg')) {
    const name = s.querySelector('title'), text = s.querySelector('desc');
    if (s.getAttribute('role') != 'img' || !name || !name.textContent || !text || !text.textContent)
      bad.push('drawing without name, description or role');
    const box = s.getBoundingClientRect(), labels = [];
    if (!box.width) continue;
    for (const t of s.querySelectorAll('text')) {
      const r = t.getBoundingClientRect();
      if (r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 1 ||
          r.bottom > box.bottom + 1) bad.push('label outside of its drawing: ' + t.textContent);
      for (const o of labels)
        if (r.left < o.r.right - 1 && o.r.left < r.right - 1 && r.top < o.r.bottom - 3 &&
            o.r.top < r.bottom - 3)
          bad.push('labels on each other in ' + name.textContent + ': ' + o.t + ' | ' + t.textContent);
      labels.push({r, t: t.textContent}); } }
  return bad; })()"""

CONTRAST = """(() => { const bad = new Set();
  const parse = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const light = c => { const l = [0, 1, 2].map(i => { const v = c[i] / 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2]; };
  const ground = e => { const all = [];
    for (; e; e = e.parentElement) all.push(parse(getComputedStyle(e).backgroundColor));
    let c = matchMedia('(prefers-color-scheme: dark)').matches && !matchMedia('print').matches
      ? [0, 0, 0, 1] : [255, 255, 255, 1];
    for (const a of all.reverse()) c = over(a, c);
    return c; };
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim())) continue;
    const box = e.getBoundingClientRect(), s = getComputedStyle(e);
    if (!box.width || !box.height || s.visibility == 'hidden' || e.closest('title,desc')) continue;
    const g = ground(e), f = over(parse(e.closest('svg') ? s.fill : s.color), g);
    const a = light(f), b = light(g), size = parseFloat(s.fontSize);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = size >= 24 || (size >= 18.66 && +s.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5))
      bad.add(ratio.toFixed(2) + ' for ' + e.tagName + '.' + (e.className.baseVal ?? e.className) +
              ' ' + s.color + ': ' + e.textContent.slice(0, 40)); }
  return [...bad]; })()"""

SIDEWAYS = """(() => { const bad = [], d = document.documentElement;
  if (d.scrollWidth > innerWidth) bad.push('page ' + d.scrollWidth + ' wide in ' + innerWidth);
  for (const e of document.querySelectorAll('body *'))
    if (!e.closest('.wide') && !e.closest('svg') && !e.closest('.skip') &&
        e.getBoundingClientRect().right > innerWidth + 1)
      bad.push(e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 40));
  return bad.slice(0, 5); })()"""

NAMES = """(() => { const bad = [], ids = new Set();
  for (const e of document.querySelectorAll('[id]')) {
    if (ids.has(e.id)) bad.push('id twice: ' + e.id);
    ids.add(e.id); }
  for (const e of document.querySelectorAll('[aria-labelledby],[href^="#"]'))
    for (const id of (e.getAttribute('aria-labelledby') || e.getAttribute('href').slice(1)).split(' '))
      if (!ids.has(id)) bad.push('no element ' + id);
  for (const e of document.querySelectorAll('th')) if (!e.scope) bad.push('th without scope');
  for (const e of document.querySelectorAll('[tabindex]'))
    if (!e.getAttribute('aria-label') && !e.getAttribute('aria-labelledby')) bad.push('focus without a name');
  for (const e of document.querySelectorAll('img')) if (!e.alt) bad.push('img without alt');
  for (const e of document.querySelectorAll('script,iframe,object,embed,form')) bad.push(e.tagName);
  return bad; })()"""


VIEWS = ((1280, "light", ""), (1280, "dark", ""), (390, "light", ""), (390, "dark", ""), (720, "light", "print"))


class Browser:
    """Chromium and its debugging pipe: JSON messages, each behind it a zero byte."""

    def __init__(self, folder):
        to_read, self.out = os.pipe()
        self.into, to_write = os.pipe()

        def hand_over():
            first, second = os.dup(to_read), os.dup(to_write)
            os.dup2(first, 3)
            os.dup2(second, 4)
            os.set_inheritable(3, True)
            os.set_inheritable(4, True)

        self.process = subprocess.Popen(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
             "--hide-scrollbars", "--force-color-profile=srgb", "--no-first-run", "--disable-dev-shm-usage",
             f"--user-data-dir={folder}/profile", "about:blank"],
            preexec_fn=hand_over, close_fds=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(folder)})
        os.close(to_read)
        os.close(to_write)
        self.rest, self.number, self.events, self.session = b"", 0, [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(domain + ".enable")

    def message(self):
        while b"\0" not in self.rest:
            piece = os.read(self.into, 1 << 20)
            if not piece:
                raise AssertionError("the browser ended")
            self.rest += piece
        one, self.rest = self.rest.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, **params):
        self.number += 1
        ask = {"id": self.number, "method": method, "params": params}
        if self.session:
            ask["sessionId"] = self.session
        os.write(self.out, json.dumps(ask).encode() + b"\0")
        while True:
            got = self.message()
            if got.get("id") == self.number:
                if "error" in got:
                    raise AssertionError(f"{method}: {got['error']}")
                return got["result"]
            if "method" in got:
                self.events.append(got)

    def wait(self, method):
        while not any(e["method"] == method for e in self.events):
            got = self.message()
            if "method" in got:
                self.events.append(got)

    def look(self, path, width, scheme, media=""):
        self.events = []
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                  mobile=False)
        self.call("Emulation.setEmulatedMedia", media=media,
                  features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=path.as_uri())
        self.wait("Page.loadEventFired")

    def ask(self, code):
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def picture(self, path):
        height = self.ask("document.documentElement.scrollHeight")
        width = self.ask("innerWidth")
        for n, top in enumerate(range(0, height, 2000)):
            shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip={
                "x": 0, "y": top, "width": width, "height": min(2000, height - top), "scale": 1})
            with open(f"{path}_{n}.png", "wb") as file:
                file.write(base64.b64decode(shot["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait()
        os.close(self.out)
        os.close(self.into)


@unittest.skipUnless(CHROMIUM, "no chromium is installed")
class Pages(harness.Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.browser = Browser(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.folder.cleanup()

    def page(self, name, *args, codes=(0,)):
        done = harness.run(*args, "--format", "html")
        self.assertIn(done.returncode, codes, done.stderr)
        path = self.tmp / f"{name}.html"
        path.write_bytes(done.stdout)
        return path

    def check(self, path, views=VIEWS):
        shots = os.environ.get("IB_SCREENSHOTS")
        for width, scheme, media in VIEWS if shots else views:
            where = f"{path.stem} at {width} px, {media or scheme}"
            self.browser.look(path, width, scheme, media)
            self.browser.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
            if shots:
                self.browser.picture(os.path.join(shots, f"{path.stem}_{width}_{media or scheme}"))
            for question in (HEADINGS, DRAWINGS, CONTRAST, SIDEWAYS, NAMES):
                self.assertEqual(self.browser.ask(question), [], where)
            self.browser.call("Page.getFrameTree")  # events that came meanwhile are read with it
            asked = [e["params"]["request"]["url"] for e in self.browser.events
                     if e["method"] == "Network.requestWillBeSent"]
            self.assertEqual([u for u in asked if not u.startswith("data:") and u != path.as_uri()], [], where)
            said = [e["params"] for e in self.browser.events
                    if e["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")]
            self.assertEqual(said, [], where)
        self.assertGreater(self.browser.ask("document.querySelectorAll('svg').length"), 1)
        pdf = base64.b64decode(self.browser.call("Page.printToPDF")["data"])
        self.assertEqual(pdf[:5], b"%PDF-")

    def test_report(self):
        self.check(self.page("report", "report", GOLDEN / "json.txt"))

    def test_side_by_side(self):
        self.check(self.page("side_by_side", "report", GOLDEN / "json.txt", GOLDEN / "json.txt",
                             "--percentiles", "25,50,75,90,95,99"), VIEWS[::4] + VIEWS[2:3])

    def run_record(self, name, *options):
        path = self.tmp / name
        done = harness.run("run", "-m", harness.MODELS / "llama_gqa", "-p", 8, "-n", 30, "-r", 8, "--device", "cpu",
                           "--quiet", "--output", path, *options)
        self.assertIn(done.returncode, (0, 10), done.stderr)
        return path

    def test_comparison(self):
        a, b = self.run_record("a.json"), self.run_record("b.json", "--attn", "sdpa")
        self.check(self.page("comparison", "compare", a, b, "--across"))

    def test_refused_comparison(self):
        a, b = self.run_record("a.json"), self.run_record("b.json", "--seed", 5)
        path = self.page("refused", "compare", a, b, codes=(10,))
        self.browser.look(path, 390, "light")
        self.assertEqual(self.browser.ask(SIDEWAYS), [])
        self.assertIn("REFUSED", self.browser.ask("document.body.innerText"))

    def test_keyboard_and_download(self):
        path = self.page("report", "report", GOLDEN / "json.txt")
        self.browser.look(path, 1280, "light")
        seen = []
        for _ in range(60):
            for kind in ("keyDown", "keyUp"):
                self.browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab",
                                  windowsVirtualKeyCode=9)
            seen.append(self.browser.ask("document.activeElement.tagName + ' ' + "
                                         "(document.activeElement.className.baseVal ?? "
                                         "document.activeElement.className) + ' ' + "
                                         "(document.activeElement.getAttribute('download') || '')"))
        self.assertEqual(seen[0].split(), ["A", "skip"])
        self.assertTrue(any(s.startswith("svg") for s in seen))
        self.assertTrue(any(s.startswith("SUMMARY") for s in seen))
        self.assertTrue(any(s.endswith("inferbench-record.json") for s in seen), seen)
        link = self.browser.ask("document.querySelector('a[download]').href")
        record = json.loads(base64.b64decode(link.split(",", 1)[1]))
        self.assertEqual(record, json.loads((GOLDEN / "json.txt").read_text()))

    def test_the_checks_can_fail(self):
        """Each question sees the fault that it is there for."""
        whole = self.page("report", "report", GOLDEN / "json.txt").read_text()
        for question, was, becomes in (
                (HEADINGS, "<h3>", "<h5>"), (HEADINGS, "</h1>", "</h1><h1>two</h1>"),
                (DRAWINGS, "<desc", "<metadata"), (DRAWINGS, 'text-anchor="end" x="', 'text-anchor="end" x="-5'),
                (CONTRAST, "--soft:#545d68", "--soft:#a0a8b0"), (CONTRAST, ".valid{background:#1a7f37}",
                                                                ".valid{background:#9fd8af}"),
                (SIDEWAYS, '<ul class="chips">', '<ul class="chips" style="width:900px">'),
                (NAMES, 'scope="row"', "")):
            self.assertIn(was, whole)
            path = self.tmp / "broken.html"
            path.write_text(whole.replace(was, becomes).replace("</desc>", "</metadata>") if "desc" in was
                            else whole.replace(was, becomes))
            self.browser.look(path, 390, "light")
            self.assertNotEqual(self.browser.ask(question), [], was)


if __name__ == "__main__":
    if not CHROMIUM:
        print("skipped: no chromium is installed")
        sys.exit(77)
    unittest.main()
