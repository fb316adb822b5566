# SPDX-License-Identifier: MIT
"""A hub on 127.0.0.1 that misbehaves on demand: an endpoint with the hub's answers, and a second
server in the place of its CDN. Both log every request, the range asked for, whether a token came
with it and how many bytes of body went out, so that tests can say what was fetched and from whom.

A script is a function request -> Reply, or None for what a good hub answers."""
import dataclasses
import hashlib
import json
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
import typing
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_notATokenButLooksLikeOne"
REASONS = {200: "OK", 206: "Partial Content", 302: "Found", 404: "Not Found", 416: "Bad Range"}


@dataclasses.dataclass
class Request:
    server: str          # "hub" or "cdn"
    method: str
    path: str            # without the query
    query: str
    headers: dict        # lower-case names
    count: int           # how many requests with this method and path came before
    sent: int = 0        # bytes of body that went out

    @property
    def token(self):
        return "authorization" in self.headers

    @property
    def range(self):
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        return (int(match[1]), int(match[2])) if match else None


@dataclasses.dataclass
class Reply:
    status: int = 200
    headers: list = dataclasses.field(default_factory=list)
    body: bytes = b""
    raw: typing.Optional[bytes] = None       # sent as it stands in place of status and headers
    length: typing.Optional[str] = "auto"    # Content-Length: a text, None to leave it out
    cut: typing.Optional[int] = None         # after so many bytes of body the connection is reset
    stall: typing.Optional[int] = None       # after so many bytes nothing more comes
    stall_s: float = 60
    drip: typing.Optional[tuple] = None      # (bytes, seconds): so much at a time
    close: bool = False


def etag_of(data, lfs):
    if lfs:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def part_of(data, request, headers):
    """A good answer to a GET of data, ranges included."""
    if request.headers.get("range"):
        wanted = request.range
        if not wanted or wanted[0] >= len(data):
            return Reply(416, [("Content-Range", f"bytes */{len(data)}")])
        first, last = wanted[0], min(wanted[1], len(data) - 1)
        return Reply(206, [*headers, ("Content-Range", f"bytes {first}-{last}/{len(data)}")],
                     data[first:last + 1])
    return Reply(200, list(headers), data)


class Server:
    """One listening socket; answer(request) -> Reply."""

    def __init__(self, name, answer, log, context=None):
        self.name, self.answer, self.log, self.context = name, answer, log, context
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.open = True
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    def close(self):
        """The thread ends before the descriptor is free: it must never accept for another server."""
        if not self.open:
            return
        self.open = False
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()

    def accept(self):
        while self.open:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            connection.settimeout(120)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            while self.open and self.one(connection):
                pass
        except OSError:
            pass
        finally:
            connection.close()

    def read_head(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(65536)
            if not more or len(head) > 1 << 20:
                return None
            head += more
        return head.split(b"\r\n\r\n", 1)[0].decode("latin-1").split("\r\n")

    def one(self, connection):
        lines = self.read_head(connection)
        if not lines:
            return False
        method, target, _ = lines[0].split(" ", 2)
        path, _, query = target.partition("?")
        headers = {k.strip().lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}
        with self.log.lock:
            before = sum(r.server == self.name and r.method == method and r.path == path
                         for r in self.log.requests)
            request = Request(self.name, method, path, query, headers, before)
            self.log.requests.append(request)
        return self.send(connection, request, self.answer(request) or Reply(404))

    def send(self, connection, request, reply):
        body = b"" if request.method == "HEAD" else reply.body
        if reply.raw is not None:
            head = reply.raw
        else:
            fields = list(reply.headers)
            if reply.length == "auto":
                fields.append(("Content-Length", len(reply.body)))
            elif reply.length is not None:
                fields.append(("Content-Length", reply.length))
            head = f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, 'X')}\r\n".encode()
            head += b"".join(f"{k}: {v}\r\n".encode() for k, v in fields) + b"\r\n"
        connection.sendall(head)
        end = len(body)
        for limit in (reply.cut, reply.stall):
            end = end if limit is None else min(end, limit)
        step, pause = reply.drip or (1 << 18, 0)
        for at in range(0, end, step):
            piece = body[at:min(at + step, end)]
            request.sent += len(piece)  # before: a client that has read them may ask at once
            connection.sendall(piece)
            if pause:
                time.sleep(pause)
        if reply.cut is not None and request.method != "HEAD":
            # what was sent must arrive before the reset
            time.sleep(0.2)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if reply.stall is not None and request.method != "HEAD":
            connection.settimeout(reply.stall_s)
            try:
                connection.recv(1)  # until the client gives up
            except OSError:
                pass
            return False
        return not (reply.close or reply.length is None or reply.raw is not None)


class Log:
    def __init__(self):
        self.lock = threading.Lock()
        self.requests = []


class Hub:
    """Repositories behind an endpoint, large files behind a CDN. files: name -> bytes."""

    def __init__(self, files, id="org/name", revisions=("main",), commit=COMMIT, script=None,
                 private=False, gated=False, context=None, cdn=True, listing=True):
        self.files, self.id, self.commit = dict(files), id, commit
        self.revisions = {*revisions, commit}
        self.script, self.private, self.gated = script, private, gated
        self.has_cdn, self.listing = cdn, listing
        self.log = Log()
        self.hub = Server("hub", self.answer, self.log, context)
        self.cdn = Server("cdn", self.answer, self.log, context)
        self.url = self.hub.url

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.hub.close()
        self.cdn.close()

    @property
    def requests(self):
        with self.log.lock:
            return list(self.log.requests)

    def is_lfs(self, name):
        return name.endswith((".safetensors", ".bin", ".gguf"))

    def etag(self, name):
        return etag_of(self.files[name], self.is_lfs(name))

    # --- good answers ---

    def answer(self, request):
        reply = self.script(request) if self.script else None
        if reply is not None:
            return reply
        return self.good_cdn(request) if request.server == "cdn" else self.good_hub(request)

    def good_cdn(self, request):
        by_hash = {self.etag(n): n for n in self.files if self.is_lfs(n)}
        name = by_hash.get(request.path.rpartition("/")[2])
        return part_of(self.files[name], request, [("ETag", '"cdn-etag"')]) if name else Reply(403)

    def refusal(self, code, status, message="no"):
        return Reply(status, [("X-Error-Code", code), ("X-Error-Message", message)])

    def good_hub(self, request):
        if (self.private or self.gated) and request.headers.get("authorization") != f"Bearer {TOKEN}":
            return (self.refusal("GatedRepo", 401 if not request.token else 403) if self.gated
                    else self.refusal("RepoNotFound", 401))
        match = re.fullmatch(rf"/{re.escape(self.id)}/resolve/([^/]+)/(.+)", request.path)
        if match:
            return self.resolve(request, urllib.parse.unquote(match[1]),
                                urllib.parse.unquote(match[2]))
        match = re.fullmatch(rf"/api/models/{re.escape(self.id)}/tree/([^/]+)(?:/(.+))?",
                             request.path)
        if match and self.listing:
            return self.tree(match[2] or "", "recursive=true" in request.query.lower())
        match = re.fullmatch(rf"/api/models/{re.escape(self.id)}(?:/revision/([^/]+))?",
                             request.path)
        if match:
            body = {"id": self.id, "modelId": self.id, "sha": self.commit, "private": False,
                    "siblings": [{"rfilename": n} for n in sorted(self.files)]}
            return Reply(200, [("Content-Type", "application/json")], json.dumps(body).encode())
        return self.refusal("RepoNotFound", 401 if not request.token else 404)

    def resolve(self, request, revision, name):
        if revision not in self.revisions:
            return self.refusal("RevisionNotFound", 404)
        if name not in self.files:
            reply = self.refusal("EntryNotFound", 404)
            reply.headers.append(("X-Repo-Commit", self.commit))
            return reply
        data = self.files[name]
        common = [("X-Repo-Commit", self.commit), ("ETag", f'"{self.etag(name)}"'),
                  ("Accept-Ranges", "bytes")]
        if self.is_lfs(name) and self.has_cdn:
            where = f"{self.cdn.url}/blob/{self.etag(name)}?signature=secret"
            return Reply(302, [("X-Repo-Commit", self.commit), ("X-Linked-Size", len(data)),
                               ("X-Linked-Etag", f'"{self.etag(name)}"'), ("Location", where)])
        return part_of(data, request, common)

    def entry(self, name):
        data = self.files[name]
        out = {"type": "file", "path": name, "size": len(data), "oid": etag_of(data, False)}
        if self.is_lfs(name):
            out["lfs"] = {"oid": self.etag(name), "size": len(data), "pointerSize": 134}
        return out

    def tree(self, folder, deep):
        prefix, out, folders = folder + "/" if folder else "", [], set()
        for name in sorted(self.files):
            rest = name[len(prefix):]
            if not name.startswith(prefix):
                continue
            if "/" in rest and not deep:
                folders.add(prefix + rest.split("/")[0])
            else:
                out.append(self.entry(name))
        out += [{"type": "directory", "path": f, "oid": "0" * 40, "size": 0}
                for f in sorted(folders)]
        return Reply(200, [("Content-Type", "application/json")], json.dumps(out).encode())


# --- certificates, made anew for each test ---

def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_ca(folder):
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test ca",
            "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", folder / "ca.key",
            "-out", folder / "ca.pem")
    return folder / "ca.pem"


def make_context(folder, name="IP:127.0.0.1", days=2, self_signed=False):
    """A server's TLS context; its certificate is signed by folder/ca.pem unless self_signed."""
    key, request, cert, extra = (folder / f"server.{x}" for x in ("key", "csr", "pem", "ext"))
    extra.write_text(f"subjectAltName={name}\n")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test server", "-keyout", key,
            "-out", request)
    signer = ["-signkey", key] if self_signed else ["-CA", folder / "ca.pem", "-CAkey",
                                                    folder / "ca.key", "-CAcreateserial"]
    openssl("x509", "-req", "-in", request, "-out", cert, "-days", days, "-extfile", extra, *signer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


# --- the cache as the client leaves it ---

def check_cache(cache, partial=True):
    """None, or what is wrong: a blob whose content is not what its name says, a temporary file, a
    link that leads nowhere. partial: what a killed process leaves is no fault."""
    for path in sorted(cache.rglob("*")):
        if path.parent.name.startswith("models--") and path.name.startswith(".inferbench."):
            if partial:
                continue  # of a process that was killed: swept by a later one
        if path.is_symlink() and not path.exists():
            return f"dangling link {path}"
        if path.name.endswith(".tmp"):
            return f"temporary file {path}"
        if path.is_dir() or path.parent.name != "blobs":
            continue
        if path.name.endswith(".incomplete"):
            if not partial:
                return f"incomplete file {path}"
            continue
        data = path.read_bytes()
        if path.name != etag_of(data, len(path.name) == 64):
            return f"bad blob {path}"
    return None


def small_model(weights=b"weights " * 1000):
    """Files that make a model for the client (not for the engine)."""
    return {"config.json": b'{"model_type": "llama"}', "model.safetensors": weights,
            "tokenizer.json": b"{}", "tokenizer_config.json": b"{}", "README.md": b"hello",
            "pytorch_model.bin": b"\x80\x02never", "generation_config.json": b"{}"}
