#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The HTML report's snapshot against rules of accessibility and of standing alone: headings in
order, every drawing named and described, tables with scoped heads, focus by keyboard, contrast of
every text colour in light, dark and print, no script and no address of anything outside."""
import base64
import json
import pathlib
import re
import sys
from html.parser import HTMLParser

ROOT = pathlib.Path(__file__).resolve().parents[2]
VOID = {"meta", "link", "br", "img", "hr", "input"}
DRAWN = {"line", "rect", "circle", "path"}


class Page(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.stack, self.headings, self.ids, self.refs, self.faults = [], [], [], [], []
        self.svgs, self.data, self.style, self.classes = [], None, "", set()

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.classes.update((a.get("class") or "").split())
        if "id" in a:
            self.ids.append(a["id"])
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag in ("script", "iframe", "object", "img", "video", "form", "base"):
            self.faults.append(f"<{tag}> in the page")
        for key, value in attrs:
            if key.startswith("on"):
                self.faults.append(f"{key} on <{tag}>")
            if key in ("href", "src", "xlink:href", "action") and not value.startswith(("#", "data:")):
                self.faults.append(f"address {value[:60]!r}")
            if key == "href" and value.startswith("#"):
                self.refs.append(value[1:])
            if key in ("aria-labelledby", "aria-describedby"):
                self.refs += value.split()
        if tag == "a" and "download" in a:
            self.data = a["href"]
        if tag == "svg":
            self.svgs.append({"parts": set(), "attrs": a})
        if "svg" in self.stack and tag in ("title", "desc"):
            self.svgs[-1]["parts"].add(tag)
        if tag == "th" and "scope" not in a:
            self.faults.append("<th> without scope")
        if tag not in VOID and tag not in DRAWN:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if tag in DRAWN:
            return
        if not self.stack or self.stack.pop() != tag:
            self.faults.append(f"</{tag}> closes something else")

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "style":
            self.style += data


def luminance(colour):
    h = colour.lstrip("#")
    h = "".join(c * 2 for c in h) if len(h) == 3 else h
    parts = [int(h[i:i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def check_contrast(style, faults):
    themes = re.findall(r":root\{([^}]*)\}", style)
    if len(themes) != 3:
        faults.append(f"{len(themes)} sets of colours, expected light, dark, print")
    for n, theme in enumerate(themes):
        colours = dict(re.findall(r"--([a-z0-9]+):(#[0-9a-f]+)", theme))
        for text in ("fg", "soft", "link"):
            for ground in ("bg", "panel"):
                got = contrast(colours[text], colours[ground])
                if got < 4.5:
                    faults.append(f"set {n}: {text} on {ground} has a contrast of {got:.2f}")
        for mark in ("c0", "c1", "c2", "c3", "c4", "c5", "hot"):
            got = contrast(colours[mark], colours["bg"])
            if got < 3:
                faults.append(f"set {n}: mark {mark} has a contrast of {got:.2f}")
    for name in ("valid", "noisy", "invalid", "synthetic"):
        ground = re.search(r"\.%s\{background:(#[0-9a-f]+)\}" % name, style).group(1)
        if contrast("#fff", ground) < 4.5:
            faults.append(f"badge {name}: contrast too low")


def check(path):
    text = path.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    faults = page.faults
    if page.stack:
        faults.append(f"not closed: {page.stack}")
    if page.headings[:1] != [1] or page.headings.count(1) != 1:
        faults.append("not exactly one h1, or not first")
    for a, b in zip(page.headings, page.headings[1:]):
        if b > a + 1:
            faults.append(f"h{b} after h{a}")
    if len(page.ids) != len(set(page.ids)):
        faults.append("an id twice")
    for ref in set(page.refs) - set(page.ids):
        faults.append(f"reference to the missing id {ref!r}")
    if not page.svgs:
        faults.append("no drawing")
    for svg in page.svgs:
        if svg["parts"] != {"title", "desc"} or svg["attrs"].get("role") != "img" \
                or svg["attrs"].get("tabindex") != "0":
            faults.append(f"drawing without name, description, role or focus: {svg}")
    if "default-src 'none'" not in text or '<html lang="en">' not in text:
        faults.append("no policy, or no language")
    check_contrast(page.style, faults)
    styled = set(re.findall(r"\.([a-z][a-z0-9]*)", page.style))
    for name in page.classes - styled:
        faults.append(f"class {name} has no style")
    prefix = "data:application/json;base64,"
    record = json.loads(base64.b64decode(page.data[len(prefix):], validate=True))
    whole = json.loads((path.parent / "json.txt").read_text(encoding="utf-8"))
    if not page.data.startswith(prefix) or record != whole:
        faults.append("the raw data is not the record")
    return len(page.svgs), len(page.headings), faults


if __name__ == "__main__":
    n_svgs, n_headings, found = check(ROOT / "tests" / "golden" / "report" / "html.txt")
    for fault in found:
        print(fault)
    print(f"{n_svgs} drawings, {n_headings} headings, {len(found)} faults")
    sys.exit(1 if found else 0)
