# SPDX-License-Identifier: MIT
"""HB: what a hub, its CDN, the network and the cache can do to a download."""
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import socket
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from hub_server import (COMMIT, TOKEN, Hub, Reply, check_cache, etag_of, make_ca,  # noqa: E402
                        make_context, part_of, small_model)

from .base import MIB, Call, Group  # noqa: E402

ENTRIES = Group()
NOT_TRIED = {}
WEIGHTS = b"weights " * 1000
FILES = small_model(WEIGHTS)
WANTED = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
          "tokenizer_config.json"]
CDN = [("ETag", '"cdn-etag"')]


class Serving:
    """A scripted hub for one entry in a process of its own (its memory would otherwise count as the
    program's, which starts as a copy of this one), and the judgement on what it saw and what the
    cache holds."""

    def __init__(self, folder, start, env, endpoint):
        self.pipe, theirs = multiprocessing.Pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.pipe.close()
                serve(theirs, *start(folder))
            finally:
                os._exit(0)
        theirs.close()
        url = self.pipe.recv()
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("HF_", "HUGGING", "TRANSFORMERS_", "SSL_", "CURL_",
                                         "REQUESTS_", "XDG_")) and "proxy" not in k.lower()}
        self.env.update(HF_HOME=str(folder / "home"), HF_ENDPOINT=endpoint or url,
                        HF_HUB_DOWNLOAD_TIMEOUT="1", HF_HUB_ETAG_TIMEOUT="1", HF_TOKEN=TOKEN)
        self.env.update({k: v(folder) if callable(v) else v for k, v in env.items()})

    def check(self, done, folder):
        self.pipe.send((done, folder))
        return self.pipe.recv()

    def close(self):
        self.pipe.close()
        os.waitpid(self.pid, 0)


def serve(pipe, hub, judge):
    """In the server's process: until the other end is closed."""
    pipe.send(hub.url)
    while True:
        try:
            done, folder = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(judge(hub, done, folder))
        except Exception:  # the entry falls short, with the reason
            pipe.send(traceback.format_exc())


def judge(hub, done, folder, expect):
    if TOKEN.encode() in done.stderr + done.stdout:
        return "the token was printed"
    for r in hub.requests:
        if r.token and r.server != "hub":
            return f"the token left the endpoint: {r}"
    cache = folder / "home" / "hub"
    complaint = check_cache(cache) if cache.is_dir() else None
    if complaint:
        return complaint
    for name in expect if done.code == 0 else ():
        path = cache / "models--org--name" / "snapshots" / COMMIT / name
        if not path.exists() or path.read_bytes() != hub.files[name]:
            return f"{name} is not what the hub has"
    return None


def add(id, variant, script, code, *words, args=("download", "org/name"), setup=None, env=None,
        check=None, files=None, endpoint=None, context=None, hub=None, wrap=None, expect=WANTED,
        change_url=None, **more):
    """script(hub) -> (request -> Reply or None), or None for a good hub. files: of the repository,
    or what makes them. check(hub, done, folder) -> complaint or None, behind the general one; False
    for neither."""
    def start(folder):
        made = Hub(FILES if files is None else files() if callable(files) else files,
                   **(hub or {}), context=context(folder) if context else None)
        made.script = script(made) if script else None
        if change_url:
            made.url = change_url(made.url)

        def both(hub, done, folder):
            if check is False:
                return None
            return judge(hub, done, folder, expect) or (check(hub, done, folder) if check else None)
        return made, both

    def make(folder):
        if setup:
            setup(folder)
        return Call(list(args), wrap=wrap(folder) if wrap else None)
    more.setdefault("memory", 32 * MIB)  # libcurl, OpenSSL and their tables
    ENTRIES.add(id, variant, make, code, *words,
                server=lambda folder: Serving(folder, start, env or {}, endpoint), **more)


def on(end, method, reply):
    """A script: reply(hub, request) for what ends so, by that method; server "cdn:" in front."""
    def script(hub):
        where, _, tail = end.rpartition(":")

        def answer(r):
            if r.path.endswith(tail) and (not method or r.method == method) and \
                    (not where or r.server == where):
                return reply(hub, r)
            return None
        return answer
    return script


def cdn(reply):
    """A script for the bytes of the weights."""
    return on("cdn:", "GET", reply)


def same(reply):
    return lambda hub, r: reply


def once(reply, times=1):
    """The first answers are bad, what follows is good."""
    return lambda hub, r: reply(hub, r) if r.count < times else None


def at_most(n, method="HEAD", end="/config.json"):
    def check(hub, done, folder):
        asked = [r for r in hub.requests if r.method == method and r.path.endswith(end)]
        return None if len(asked) <= n else f"{len(asked)} requests, at most {n}"
    return check


def cache_of(folder):
    return folder / "home" / "hub" / "models--org--name"


def fill_cache(folder, files=WANTED):
    """A whole snapshot as any client leaves it."""
    repo = cache_of(folder)
    for name in ("blobs", "refs", f"snapshots/{COMMIT}", f".no_exist/{COMMIT}"):
        (repo / name).mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    for name in files:
        data = FILES[name]
        etag = etag_of(data, name.endswith(".safetensors"))
        (repo / "blobs" / etag).write_bytes(data)
        (repo / "snapshots" / COMMIT / name).symlink_to(f"../../blobs/{etag}")
    for name in ("special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
                 "additional_chat_templates"):
        (repo / ".no_exist" / COMMIT / name).touch()


# --- HB01: no connection, or not the right one ---

def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


add("HB01", "refused", None, 7, "127.0.0.1", endpoint=f"http://127.0.0.1:{unused_port()}")
add("HB01", "no such host", None, 7, "no-such-host.invalid", seconds=30, slow=True,
    endpoint="https://no-such-host.invalid")
add("HB01", "black hole", on("", None, lambda h, r: time.sleep(30)), 7, "127.0.0.1", seconds=20,
    slow=True, json_too=False, check=at_most(5))
for variant, make in (("self-signed", lambda f: make_context(f, self_signed=True)),
                      ("other host", lambda f: make_context(f, name="DNS:other.example")),
                      ("expired", lambda f: make_context(f, days=-1)),
                      ("unknown authority", make_context)):
    if not shutil.which("openssl"):
        NOT_TRIED["HB01"] = "TLS: no openssl program to make certificates with"
        break
    add("HB01", variant, None, 7, "SSL", check=lambda h, d, f: "it was asked" if h.requests else None,
        context=lambda f, make=make: (make_ca(f / "home"), make(f / "home"))[1],
        setup=lambda f: (f / "home").mkdir(),
        env={} if variant == "unknown authority" else
        {"SSL_CERT_FILE": lambda f: str(f / "home" / "ca.pem")})
add("HB01", "no TLS where https is asked", None, 7, "https://127.0.0.1", seconds=25, slow=True,
    json_too=False, change_url=lambda url: url.replace("http:", "https:"),
    check=lambda h, d, f: "asked in plain" if h.requests else None)

# --- HB02: refusals ---

for status, error, words in ((401, "RepoNotFound", ("private",)), (401, "", ("token",)),
                             (401, "GatedRepo", ("gated",)), (403, "GatedRepo", ("gated",)),
                             (403, "", ("private or gated",)), (404, "RepoNotFound", ("repository",)),
                             (404, "RevisionNotFound", ("--revision",)), (404, "", ("id",)),
                             (404, "EntryNotFound", ("config.json",)),
                             (403, "DisabledRepo", ("another model",)), (410, "", ("another model",)),
                             (451, "", ("another model",)), (418, "", ("418",))):
    add("HB02", f"{status} {error}".rstrip(),
        on("", None, same(Reply(status, [("X-Error-Code", error), ("X-Error-Message", "\x1b[31m")]
                                if error else []))),
        5 if error == "EntryNotFound" else 7, *words, expect=None)
add("HB02", "the CDN refuses for good", cdn(same(Reply(403))), 7, "403", seconds=20, slow=True,
    json_too=False)

# --- HB03: later ---

NOW = {"Retry-After": "0"}
for status in (408, 429, 500, 502, 503, 504):
    add("HB03", f"{status} once, HEAD", on("/config.json", "HEAD", once(same(Reply(status)))), 0,
        check=at_most(2, end="/resolve/main/config.json"))
    add("HB03", f"{status} once, CDN", cdn(once(same(Reply(status)))), 0)
add("HB03", "503 once, list of files", on(COMMIT, "GET", once(same(Reply(503)))), 0)
for status in (429, 503):
    add("HB03", f"{status} for ever, HEAD", on("/config.json", "HEAD", same(Reply(status))), 7,
        str(status), check=at_most(5), seconds=20, slow=True, json_too=False)
    add("HB03", f"{status} for ever, CDN", cdn(same(Reply(status))), 7, str(status), seconds=20,
        check=lambda h, d, f: at_most(5, "GET", h.etag("model.safetensors"))(h, d, f), slow=True,
        json_too=False)
for text in ("1", "0", "-5", "soon", "99999999999999999999", "Sun, 06 Nov 1994 08:49:37 GMT"):
    add("HB03", f"429 once, Retry-After {text}",
        on("/config.json", "HEAD", once(same(Reply(429, [("Retry-After", text)])))), 0)
add("HB03", "429 Retry-After 10^9", on("/config.json", "HEAD",
                                       same(Reply(429, [("Retry-After", "1000000000")]))), 7,
    "1000000000", check=at_most(1))
add("HB03", "429 Retry-After 9999", on("/config.json", "HEAD", same(Reply(429, [
    ("Retry-After", "Sun, 06 Nov 9999 08:49:37 GMT")]))), 7, "9999", check=at_most(1))

# --- HB04: redirects ---


def to(where):
    return lambda hub, r: Reply(302, [("Location", where(hub, r))])


for variant, where, word in (
        ("to itself", lambda h, r: r.path, "too many redirects"),
        ("ever deeper", lambda h, r: r.path.replace("/config", "/x/config"), "too many redirects"),
        ("file:", lambda h, r: "file:///etc/passwd", "no http or https"),
        ("ftp:", lambda h, r: "ftp://127.0.0.1/x", "no http or https"),
        ("javascript:", lambda h, r: "javascript:1", "no http or https"),
        ("nowhere", lambda h, r: "", "no http or https"),
        ("with a user", lambda h, r: "https://user:word@127.0.0.1/x", "malformed URL: '127"),
        ("plain http elsewhere", lambda h, r: "http://example.invalid/x", "not https"),
        ("scheme-relative elsewhere", lambda h, r: "//example.invalid/x", "not https"),
        ("a megabyte", lambda h, r: "/" + "x" * 20000, "malformed URL")):
    add("HB04", f"HEAD {variant}", on("/config.json", "HEAD", to(where)), 7, word)
for variant, where, word in (
        ("to itself", lambda h, r: r.path, "too many redirects"),
        ("file:", lambda h, r: "file:///etc/passwd", "no http or https"),
        ("plain http elsewhere", lambda h, r: "http://example.invalid/x", "not https"),
        ("between two", lambda h, r: h.url + "/org/name/resolve/main/a", "too many redirects")):
    def script(hub, where=where, variant=variant):
        def answer(r):
            if r.server == "cdn" and r.method == "GET":
                return to(where)(hub, r)
            if variant == "between two" and r.path.endswith("/resolve/main/a"):
                return Reply(302, [("Location", hub.cdn.url + "/x")])
            return None
        return answer
    add("HB04", f"GET {variant}", script, 7, word)
add("HB04", "renamed repository", on("/resolve/main/config.json", "HEAD", lambda h, r: Reply(
    307, [("Location", f"/org/name/resolve/{COMMIT}/config.json")])), 0)
add("HB04", "list of files elsewhere", on(COMMIT, "GET", lambda h, r: Reply(302, [
    ("Location", h.cdn.url + "/x")])), 0)

# --- HB05: lengths that lie ---

for variant, reply in (
        ("shorter than Content-Length", lambda h, r: Reply(200, CDN, WEIGHTS[:-5],
                                                           length=len(WEIGHTS), close=True)),
        ("longer than Content-Length", lambda h, r: Reply(200, CDN, WEIGHTS + b"more",
                                                          length=len(WEIGHTS), close=True)),
        ("Content-Length too small", lambda h, r: Reply(200, CDN, WEIGHTS[:-1])),
        ("Content-Length too large", lambda h, r: Reply(200, CDN, WEIGHTS + b"x")),
        ("no length, short", lambda h, r: Reply(200, CDN, WEIGHTS[:-1], length=None)),
        ("no length, long", lambda h, r: Reply(200, CDN, WEIGHTS + b"x", length=None)),
        ("no body", lambda h, r: Reply(200, CDN, b"", length=None)),
        ("reset at byte 0", lambda h, r: Reply(200, CDN, WEIGHTS, cut=0)),
        ("reset at byte 1", lambda h, r: Reply(200, CDN, WEIGHTS, cut=1)),
        ("reset at the last byte", lambda h, r: Reply(200, CDN, WEIGHTS, cut=len(WEIGHTS) - 1))):
    add("HB05", f"{variant}, once", cdn(once(reply)), 0)
add("HB05", "no length, right", cdn(lambda h, r: Reply(200, CDN, WEIGHTS, length=None)), 0)
add("HB05", "always short", cdn(lambda h, r: Reply(200, CDN, WEIGHTS[:-1])), 7, "Content-Length")
add("HB05", "always cut at byte 0", cdn(lambda h, r: Reply(200, CDN, WEIGHTS, cut=0)), 7,
    "cannot fetch", seconds=20, slow=True, json_too=False)
add("HB05", "the hub says another length", on("/model.safetensors", "HEAD", lambda h, r: Reply(
    302, [("X-Repo-Commit", COMMIT), ("X-Linked-Size", 5), ("Location", h.cdn.url + "/blob/"
                                                             + h.etag("model.safetensors")),
          ("X-Linked-Etag", h.etag("model.safetensors"))])), 7, "Content-Length")

# --- HB06: slow ---

add("HB06", "stall at 99 %, once", cdn(once(lambda h, r: Reply(
    200, CDN, WEIGHTS, stall=len(WEIGHTS) * 99 // 100))), 0)
add("HB06", "stall at 0, once", cdn(once(lambda h, r: Reply(200, CDN, WEIGHTS, stall=0))), 0)


def stall_for_ever(hub, r):
    reply = part_of(WEIGHTS, r, CDN)
    reply.stall = 1
    return reply


add("HB06", "stall for ever", cdn(stall_for_ever), 7, "cannot fetch", seconds=25, slow=True,
    json_too=False)
add("HB06", "one byte a second", cdn(lambda h, r: Reply(200, CDN, WEIGHTS, drip=(1, 1))), 7,
    "cannot fetch", seconds=40, slow=True, json_too=False)
add("HB06", "HEAD that drips", on("/config.json", "HEAD", lambda h, r: time.sleep(1.5)), 7,
    "127.0.0.1", seconds=25, slow=True, json_too=False)

# --- HB07: ranges ---


def after_a_cut(bad, always=False):
    """The first answer is cut, so that the rest is asked for by Range; then comes bad."""
    def reply(hub, r):
        if r.count == 0:
            return Reply(200, CDN, WEIGHTS, cut=1000)
        return bad(hub, r) if always or r.count == 1 else None
    return cdn(reply)


def ranged(data, first, last, total, headers=CDN):
    return Reply(206, [*headers, ("Content-Range", f"bytes {first}-{last}/{total}")], data)


N = len(WEIGHTS)
for variant, bad in (
        ("ignored (200)", lambda h, r: Reply(200, CDN, WEIGHTS)),
        ("416", lambda h, r: Reply(416, [("Content-Range", f"bytes */{N}")])),
        ("another start", lambda h, r: ranged(WEIGHTS[:N - 1000], 0, N - 1001, N)),
        ("another end", lambda h, r: ranged(WEIGHTS[1000:-1], 1000, N - 2, N)),
        ("another total", lambda h, r: ranged(WEIGHTS[1000:], 1000, N - 1, N + 1)),
        ("no Content-Range", lambda h, r: Reply(206, CDN, WEIGHTS[1000:])),
        ("malformed Content-Range", lambda h, r: Reply(
            206, [*CDN, ("Content-Range", "bytes 5-1/3")], WEIGHTS[1000:])),
        ("multipart", lambda h, r: Reply(
            206, [*CDN, ("Content-Type", "multipart/byteranges; boundary=x")], b"--x\r\n\r\n")),
        ("another ETag", lambda h, r: ranged(WEIGHTS[1000:], 1000, N - 1, N,
                                             [("ETag", '"changed"')]))):
    add("HB07", f"{variant}, once", after_a_cut(bad), 0)
    add("HB07", f"{variant}, for ever", after_a_cut(bad, True),
        0 if variant == "ignored (200)" else 7, *(() if variant == "ignored (200)" else
                                                  ("cannot fetch",)), seconds=25, slow=True,
        json_too=False)
add("HB07", "206 to a whole file", cdn(once(lambda h, r: ranged(WEIGHTS, 0, N - 1, N))), 0)
add("HB07", "other bytes behind the cut", after_a_cut(
    lambda h, r: ranged(b"X" * (N - 1000), 1000, N - 1, N)), 7, "sha256", json_too=False)


def big():
    return {**FILES, "model.safetensors": random.Random(9).randbytes(20 * MIB)}



add("HB07", "ranges of a large file ignored", cdn(lambda h, r: Reply(
    200, CDN, h.files["model.safetensors"])), 0, files=big, memory=64 * MIB)
add("HB07", "ETag changes between parts", cdn(lambda h, r: part_of(
    h.files["model.safetensors"], r, [("ETag", f'"e{r.count}"')])), 7, "ETag", files=big,
    memory=64 * MIB, json_too=False)

# --- HB08: content ---

FLIPPED = WEIGHTS[:3000] + bytes([WEIGHTS[3000] ^ 1]) + WEIGHTS[3001:]
POINTER = (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 +
           b"\nsize 8000\n")
HTML = b"<!doctype html><title>Log in</title>"


def no_trace(hub, done, folder):
    left = [p.name for p in (cache_of(folder) / "blobs").iterdir()
            if p.name.startswith(hub.etag("model.safetensors"))]
    return f"left: {left}" if left else None


add("HB08", "one bit of an LFS file", cdn(same(Reply(200, CDN, FLIPPED))), 7, "sha256",
    etag_of(FLIPPED, True), etag_of(WEIGHTS, True), check=no_trace)
add("HB08", "one bit of a small file", on("/tokenizer.json", "GET", same(Reply(200, [], b"{]"))), 7,
    "git-sha1", etag_of(b"{]", False))
add("HB08", "LFS pointer in place of the file", cdn(same(Reply(200, CDN, POINTER))), 7,
    "Content-Length", check=no_trace)
add("HB08", "LFS pointer padded to the length", cdn(same(Reply(200, CDN, POINTER.ljust(N)))), 7,
    "sha256", check=no_trace)
add("HB08", "login page, GET", cdn(same(Reply(200, [("Content-Type", "text/html")], HTML))), 7,
    "Content-Length", check=no_trace)
add("HB08", "login page, HEAD", on("", None, same(Reply(200, [("Content-Type", "text/html")],
                                                        HTML))), 7, "not an answer of a hub")
add("HB08", "login page, list of files", on(COMMIT, "GET", same(Reply(200, [], HTML))), 7,
    "list of files")

# --- HB09: headers ---

META = (f"X-Repo-Commit: {COMMIT}\r\nETag: \"{etag_of(FILES['config.json'], False)}\"\r\n")
OK = "HTTP/1.1 200 OK\r\n"
for variant, head, word in (
        ("Content-Length -1", OK + META + "Content-Length: -1\r\n\r\n", ""),
        ("Content-Length 2^64", OK + META + "Content-Length: 18446744073709551616\r\n\r\n", ""),
        ("Content-Length 2^63", OK + META + "Content-Length: 9223372036854775808\r\n\r\n", ""),
        ("two Content-Lengths", OK + META + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", ""),
        ("no Content-Length", OK + META + "\r\n", "not an answer of a hub"),
        ("a million headers", lambda: OK + META + "a: b\r\n" * 1000000 + "\r\n", ""),
        ("a line without end", lambda: OK + "X: " + "y" * 3000000, ""),
        ("no status line", "hello\r\n\r\n", ""),
        ("nothing", "", ""),
        ("NUL", OK + META + "A: \0\r\nContent-Length: 23\r\n\r\n", ""),
        ("other protocol", "SSH-2.0-OpenSSH_9\r\n", ""),
        ("ETag with a path", OK + META.replace('ETag: "', 'ETag: "../../') +
         "Content-Length: 23\r\n\r\n", "ETag"),
        ("ETag empty", OK + "X-Repo-Commit: " + COMMIT + '\r\nETag: ""\r\nContent-Length: 23\r\n\r\n',
         "ETag"),
        ("no ETag", OK + "X-Repo-Commit: " + COMMIT + "\r\nContent-Length: 23\r\n\r\n",
         "not an answer of a hub"),
        ("commit with a path", OK + META.replace(COMMIT, "../../../etc") +
         "Content-Length: 23\r\n\r\n", "X-Repo-Commit"),
        ("no commit", OK + 'ETag: "abc"\r\nContent-Length: 23\r\n\r\n', "not an answer of a hub")):
    add("HB09", variant, on("/config.json", "HEAD",
                            lambda h, r, head=head: Reply(
                                raw=(head() if callable(head) else head).encode("latin-1"))), 7,
        *((word,) if word else ()), seconds=20,
        slow=variant in ("a line without end", "nothing", "a million headers", "no status line",
                         "other protocol"),
        json_too=False)
for variant, body in (("chunk size overflow", b"FFFFFFFFFFFFFFFFF\r\nxx\r\n0\r\n\r\n"),
                      ("chunk size negative", b"-5\r\nxx\r\n0\r\n\r\n"),
                      ("chunk that ends early", b"1f40\r\n" + WEIGHTS[:100]),
                      ("chunks that say more", b"1f41\r\n" + WEIGHTS + b"x\r\n0\r\n\r\n"),
                      ("chunks that say less", b"1f3f\r\n" + WEIGHTS[:-1] + b"\r\n0\r\n\r\n")):
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    add("HB09", f"{variant}, once", cdn(once(lambda h, r, raw=raw: Reply(raw=raw))), 0)
add("HB09", "good chunks", cdn(lambda h, r: Reply(
    raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1f40\r\n" + WEIGHTS +
    b"\r\n0\r\n\r\n")), 0)
add("HB09", "a million headers on a body", cdn(once(lambda h, r: Reply(
    raw=b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000000 + b"\r\n"))), 0)

# --- HB10: encodings ---

for encoding in ("gzip", "deflate", "br", ", ".join(["gzip"] * 1000), "x\x1b[31m"):
    add("HB10", f"weights as {encoding[:20]!r}", cdn(same(Reply(
        200, [*CDN, ("Content-Encoding", encoding)], WEIGHTS))), 7, "compressed")
add("HB10", "identity", cdn(same(Reply(200, [*CDN, ("Content-Encoding", "identity")], WEIGHTS))),
    0)
add("HB10", "list of files as gzip", on(COMMIT, "GET", same(Reply(
    200, [("Content-Encoding", "gzip")], b"\x1f\x8b\x08\x00" + b"\0" * 100))), 7, "list of files")

# --- HB11: lists of files ---


def listing(entries):
    """An object, bytes, or what makes them before the first request."""
    def script(hub):
        made = entries() if callable(entries) else entries
        body = made if isinstance(made, bytes) else json.dumps(made).encode()
        return on(COMMIT, "GET", same(Reply(200, [], body)))(hub)
    return script


def file(name, **more):
    return {"type": "file", "path": name, "size": 5, "oid": "0" * 40, **more}


for name in ("../x", "/etc/passwd", "a/../../x", "..\\x", "C:x", "\\\\host\\share", "a\0b", "", ".",
             "..", "file:///etc/passwd", ".git", ".git/config", "refs/../x", "CON", "nul.json",
             "a\nb", "a\x1b[31mb", "x" * 300, "\ud800"):
    add("HB11", f"name {name[:20]!r}", listing([file(name)]), 7, "list of files")
for variant, body in (("hash too short", [file("model.safetensors", lfs={"oid": "ab", "size": 1})]),
                      ("hash too long", [file("config.json", oid="0" * 64)]),
                      ("hash not hex", [file("config.json", oid="g" * 40)]),
                      ("size negative", [file("model.safetensors", size=-1)]),
                      ("size 2^64", [file("model.safetensors", size=1 << 64)]),
                      ("no path", [{"type": "file"}]), ("an object", {"siblings": []}),
                      ("a number", 5), ("cut", b'[{"type": "file", "path": "a"'),
                      ("a million brackets", b"[" * 1000000), ("not UTF-8", b'[{"a": "\xff"}]'),
                      ("nothing", b""), ("two arrays", b"[][]")):
    add("HB11", variant, listing(body), 7, "list of files")
add("HB11", "empty", listing([]), 5, "no weights")
add("HB11", "a million files", listing(lambda: b"[" + b",".join(
    b'{"type":"file","path":"%d"}' % i for i in range(1000000)) + b"]"), 7, "too many files",
    memory=192 * MIB)
add("HB11", "65 MB", listing(lambda: b"[" + b" " * 65000000 + b"]"), 7, "too large", memory=192 * MIB)
add("HB11", "pages without end", on(COMMIT, "GET", lambda h, r: Reply(
    200, [("Link", f'<{h.url}{r.path}>; rel="next"')], b"[]")), 7, "too many pages")
add("HB11", "next page elsewhere", on(COMMIT, "GET", lambda h, r: Reply(
    200, [("Link", f'<{h.cdn.url}{r.path}>; rel="next"')], b"[]")), 7, "another machine")
for name in ("../x.safetensors", "/x.safetensors", "a/../../x.safetensors", "..\\x.safetensors",
             "x.bin", "", ".git/x.safetensors"):
    INDEXED = {k: v for k, v in FILES.items() if k != "model.safetensors"}
    INDEXED["model.safetensors.index.json"] = json.dumps({"weight_map": {"a": name}}).encode()
    add("HB11", f"index names {name!r}", None, 4, "index.json", files=INDEXED)
for variant, text, code in (("index is no JSON", b"{", 4), ("index without map", b"{}", 4),
                            ("index of a list", b'{"weight_map": []}', 4),
                            ("index names a file that is not there",
                             b'{"weight_map": {"a": "b.safetensors"}}', 7)):
    INDEXED = {k: v for k, v in FILES.items() if k != "model.safetensors"}
    INDEXED["model.safetensors.index.json"] = text
    add("HB11", variant, None, code, files=INDEXED)

# --- HB12: the disk ---


def huge(hub):
    size = 1 << 42

    def answer(r):
        if r.path.endswith(COMMIT):
            return Reply(200, [], json.dumps([file("config.json"), file(
                "model.safetensors", size=size, lfs={"oid": "0" * 64, "size": size})]).encode())
        return None
    return answer


add("HB12", "4 TB", huge, 6, "need 4398046511104 bytes, have ", json_too=False)
if shutil.which("strace"):
    for call, when in (("pwrite64", 3), ("pwrite64", 6), ("ftruncate", 1), ("fsync", 2),
                       ("rename", 2)):
        add("HB12", f"{call} {when} fails", None, 6, "No space left", json_too=False,
            wrap=lambda f, c=call, w=when: ["strace", "-f", "-o", "/dev/null", "-e",
                                            f"inject={c}:error=ENOSPC:when={w}+"],
            check=lambda h, d, f: None if not list(cache_of(f).rglob("*.incomplete"))
            else "an incomplete file is left", seconds=20)
else:
    NOT_TRIED["HB12 in the middle"] = "needs strace"

# --- HB13, HB14: several processes, kills ---

add("HB13", "two processes", None, 0, wrap=lambda f: [
    "sh", "-c", '"$@" & p=$!; "$@" && wait $p', "sh"])
add("HB14", "killed at eight moments", cdn(lambda h, r: (lambda p: setattr(
    p, "drip", (1 << 18, 0.01)) or p)(part_of(h.files["model.safetensors"], r, CDN))), 0, files=big,
    wrap=lambda f: ["sh", "-c", 'for t in 0.02 0.05 0.1 0.2 0.15 0.08 0.3 0.12; do '
                    'timeout -s KILL $t "$@" >/dev/null 2>&1; done; exec "$@"', "sh"],
    memory=64 * MIB, seconds=20)

# --- HB15: a cache that cannot be written ---


def as_nobody(folder):
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def foreign(fill):
    def setup(folder):
        os.chmod(folder, 0o755)
        (folder / "home" / "hub").mkdir(parents=True)
        if fill:
            fill_cache(folder)
    return setup


if os.geteuid() == 0 and shutil.which("setpriv"):
    add("HB15", "another user's cache, model there", None, 0, setup=foreign(True), wrap=as_nobody)
    add("HB15", "another user's cache, model not there", None, 3, "cannot write",
        setup=foreign(False), wrap=as_nobody)
else:
    NOT_TRIED["HB15 another user"] = "needs to start as root"


def file_in_the_way(name):
    def setup(folder):
        path = folder / "home" / "hub" / name
        path.parent.mkdir(parents=True)
        path.write_text("")
    return setup


for name in ("models--org--name", "models--org--name/blobs", f"models--org--name/snapshots/{COMMIT}",
             ".locks"):
    add("HB15", f"a file in the place of {name.split('/')[-1][:12]}", None, 3, "cannot write",
        setup=file_in_the_way(name))
add("HB15", "the cache is a file", None, 3, "cannot write",
    setup=lambda f: ((f / "home").mkdir(), (f / "home" / "hub").write_text("")))


def hold_lock(folder):
    locks = folder / "home" / "hub" / ".locks" / "models--org--name"
    locks.mkdir(parents=True)
    (locks / (etag_of(WEIGHTS, True) + ".lock")).touch()


if shutil.which("flock"):
    add("HB15", "lock that is held for ever", None, 0, setup=hold_lock, seconds=20, logs=("without it",),
        wrap=lambda f: ["flock", f / "home/hub/.locks/models--org--name" /
                        (etag_of(WEIGHTS, True) + ".lock"), "sh", "-c", 'exec "$@" 9>&-', "sh"])
add("HB15", "lock that nobody holds", None, 0, setup=hold_lock)

# --- HB16: a damaged cache ---


def damaged(change):
    def setup(folder):
        fill_cache(folder)
        link = cache_of(folder) / "snapshots" / COMMIT / "model.safetensors"
        change(link, link.resolve())
    return setup


def loop(link, blob):
    blob.unlink()
    blob.symlink_to(blob.name)


VERIFY = ("verify", "org/name")
for variant, change, code, word in (
        ("edited", lambda l, b: b.write_bytes(FLIPPED), 4, "wrong content"),
        ("truncated", lambda l, b: b.write_bytes(WEIGHTS[:-1]), 4, "wrong content"),
        ("longer", lambda l, b: b.write_bytes(WEIGHTS + b"x"), 4, "wrong content"),
        ("empty", lambda l, b: b.write_bytes(b""), 4, "wrong content"),
        ("dangling", lambda l, b: b.unlink(), 4, "leads nowhere"),
        ("loop", loop, 3, "symbolic links"),
        ("folder", lambda l, b: (b.unlink(), b.mkdir()), 3, ""),
        ("FIFO", lambda l, b: (b.unlink(), os.mkfifo(b)), 3, "")):
    add("HB16", f"verify {variant}", None, code, word, args=VERIFY, setup=damaged(change), check=False)
add("HB16", "verify whole", None, 0, args=VERIFY, setup=fill_cache)
add("HB16", "dangling link, download", None, 0, setup=damaged(lambda l, b: b.unlink()))
add("HB16", "looping link, download", None, (0, 3), setup=damaged(lambda l, b: (
    l.unlink(), l.symlink_to(l.name))))
add("HB16", "ref that is no commit", None, 0, setup=lambda f: (
    fill_cache(f), (cache_of(f) / "refs" / "main").write_text("../../../etc/passwd")))
add("HB16", "ref that is no commit, offline", None, 4, "does not hold a commit",
    args=("download", "org/name", "--offline"), setup=lambda f: (
        fill_cache(f), (cache_of(f) / "refs" / "main").write_text("../../../etc/passwd")))
add("HB16", "shard missing, offline", None, 3, "interrupted download",
    args=("download", "org/name", "--offline"), setup=damaged(lambda l, b: l.unlink()))

# --- HB17: endpoints, ids, revisions, tokens ---

for text in ("huggingface.co", "http://huggingface.co", "ftp://h", "https://", "https://h:99999",
             "https://user:hunter2@host", "https://h?x=1", "https://h/#x", "https://h\n/", "file:///",
             "http://127.0.0.1.example.com", "https://" + "x" * 300):
    add("HB17", f"endpoint {text[:30]!r}", None, 2, "HF_ENDPOINT", endpoint=text,
        check=lambda h, d, f: "the password is shown" if b"hunter2" in d.stderr else None)
for id in ("a/../b", "a b", "x" * 300, "a/b/c", "a--b", "-a", "a\nb", "a%2fb", "\u00e9"):
    add("HB17", f"id {id[:20]!r}", None, 2, args=("download", id))
for revision in ("../main", "a b", "/etc", "a..b", ".x", "x" * 300, "a\nb", "a?b", "a#b"):
    add("HB17", f"revision {revision[:20]!r}", None, 2, "revision",
        args=("download", "org/name", "--revision", revision))
for token in ("two words", "a\r\nX: y", "x" * 5000, "\u00e9"):
    add("HB17", f"token {token[:12]!r}", None, 2, "token", args=("download", "org/name", "--token",
                                                                 token))


add("HB17", "slashes at the end", None, 0, change_url=lambda url: url + "///")

# --- HB18: offline, a branch that moves ---

OFFLINE = ("download", "org/name", "--offline")
if shutil.which("strace"):
    add("HB18", "offline, found, no socket", None, 0, args=OFFLINE, setup=fill_cache,
        wrap=lambda f: ["strace", "-f", "-e", "trace=socket,connect", "-o", f / "trace"],
        check=lambda h, d, f: "a socket" if "socket(" in (f / "trace").read_text() else None)
add("HB18", "offline, found", None, 0, args=OFFLINE, setup=fill_cache,
    check=lambda h, d, f: "a request" if h.requests else None)
add("HB18", "offline, not found", None, 3, "offline mode is on", args=OFFLINE,
    check=lambda h, d, f: "a request" if h.requests else None)


def moving(hub):
    """After the first answer main is another commit, whose files differ."""
    def answer(r):
        if "/resolve/main/" in r.path and r.count:
            return Reply(302, [("X-Repo-Commit", "f" * 40)])
        return None
    return answer


add("HB18", "branch moves", moving, 0, check=lambda h, d, f: None if sum(
    "/resolve/main/" in r.path for r in h.requests) == 1 else "asked by branch again")
add("HB18", "another commit than asked", on(f"/resolve/{COMMIT}/tokenizer.json", "HEAD", same(Reply(
    200, [("X-Repo-Commit", "f" * 40), ("ETag", '"' + "0" * 40 + '"')], b"{}"))), 7,
    "another commit")
