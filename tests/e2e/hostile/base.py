# SPDX-License-Identifier: MIT
"""What the groups of the catalogue share: entries, good tiny files to spoil, and the judgement."""
import contextlib
import dataclasses
import json
import os
import pathlib
import pickle
import re
import resource
import shutil
import struct
import subprocess
import tempfile
import time
import traceback
import typing

from sanitizer import REASON, sanitizer

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODELS = ROOT / "tests" / "golden" / "models"
TOKENIZERS = ROOT / "tests" / "golden" / "tokenizers"
NAMES = {2: "USAGE", 3: "INPUT", 4: "FORMAT", 5: "UNSUPPORTED", 6: "RESOURCE", 7: "NETWORK",
         8: "OUTPUT", 9: "DEVICE", 10: "INVALID", 130: "INTERRUPTED", 143: "TERMINATED"}
LINE = re.compile(rb"inferbench: error: (?P<what>.+); fix: (?P<fix>.+) \[E-(?P<code>[A-Z]+)\]")
LOG = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+Z (error|warn|info|debug): .*")
MIB = 1 << 20


@dataclasses.dataclass
class Call:
    """One call of the program; paths in args may be pathlib objects."""
    args: list
    input: bytes = b""
    env: typing.Optional[dict] = None
    limits: tuple = ()                              # (resource, value) pairs
    wrap: typing.Optional[list] = None              # command in front of the program
    stdout: typing.Optional[str] = None             # a file to open in place of a pipe
    cwd: typing.Optional[str] = None


@dataclasses.dataclass
class Entry:
    id: str                                         # "ST04"
    variant: str
    make: typing.Callable                           # folder -> Call
    code: typing.Union[int, tuple]
    words: tuple                                    # each must stand in the error line
    check: typing.Optional[typing.Callable] = None  # (done, folder) -> complaint or None
    logs: tuple = ()                                # each must stand in the log
    slow: bool = False                              # only in the report
    seconds: float = 10
    memory: int = 0                                 # bytes beyond the general bound
    json_too: bool = True
    journal: bool = False                           # a journal of finished runs may be left
    # folder -> an object with env (for the program), check(done, folder) and close(); the folder
    # "home" is its cache, which it judges itself
    server: typing.Optional[typing.Callable] = None

    @property
    def name(self):
        return f"{self.id} {self.variant}"


@dataclasses.dataclass
class Done:
    code: int
    stdout: bytes
    stderr: bytes
    seconds: float
    peak: int                                       # bytes


class Group(list):
    """Collects entries: add(id, variant, make, code, *words, **more)."""

    def add(self, id, variant, make, code, *words, **more):
        self.append(Entry(id, variant, make, code, words, **more))


# --- calling ---

def binary():
    return os.path.abspath(os.environ.get("IB_BIN", ROOT / "build" / "inferbench"))


def wait(process, seconds):
    """Exit status as subprocess has it, and the process's own peak memory in bytes."""
    end = time.monotonic() + seconds
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_maxrss * 1024
        if time.monotonic() > end:
            process.kill()
            end += 3600
        time.sleep(0.002)


def run_call(call, extra=()):
    def limits():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for which, value in call.limits:
            resource.setrlimit(which, (value, value))

    args = [*(call.wrap or []), binary(), *call.args, *extra]
    args = [a if isinstance(a, bytes) else os.fsencode(str(a)) for a in args]
    nothing = dict(os.environ, HF_HUB_CACHE="/nonexistent", HF_HUB_OFFLINE="1")
    env = nothing if call.env is None else call.env
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr, \
            (open(call.stdout, "wb") if call.stdout else tempfile.TemporaryFile()) as stdout:
        stdin.write(call.input)
        stdin.seek(0)
        before = time.monotonic()
        process = subprocess.Popen(args, stdin=stdin, stdout=stdout, stderr=stderr, env=env,
                                   preexec_fn=limits, cwd=call.cwd)
        code, peak = wait(process, 60)
        seconds = time.monotonic() - before
        stderr.seek(0)
        if not call.stdout:
            stdout.seek(0)
        return Done(code, b"" if call.stdout else stdout.read(), stderr.read(), seconds, peak)


# --- judgement ---

def error_lines(stderr):
    """Lines of the contract, and lines that are neither one of them nor a log line."""
    errors, strange = [], []
    for line in stderr.split(b"\n")[:-1] if stderr.endswith(b"\n") else stderr.split(b"\n"):
        if line.startswith(b"inferbench: error: "):
            errors.append(line)
        elif line and not LOG.fullmatch(line):
            strange.append(line)
    return errors, strange


def judge_line(entry, done):
    errors, strange = error_lines(done.stderr)
    if strange:
        return f"strange lines on standard error: {strange[:3]}"
    if done.code == 0:
        return f"an error line with exit code 0: {errors}" if errors else None
    if len(errors) != 1:
        return f"{len(errors)} error lines: {done.stderr[:600]}"
    line = errors[0]
    match = LINE.fullmatch(line)
    if not match:
        return f"not of the form of the contract: {line}"
    if len(line) + 1 > 400:
        return f"{len(line) + 1} bytes"
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return f"not UTF-8: {line}"
    bad = [c for c in text if ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0
           or 0x202A <= ord(c) <= 0x202E or 0x2066 <= ord(c) <= 0x2069]
    if bad:
        return f"control characters {bad}: {line}"
    if match["code"].decode() != NAMES.get(done.code):
        return f"exit code {done.code} and {match['code']}"
    for word in entry.words:
        if word not in text:
            return f"'{word}' is not in: {text}"
    return None


def judge_json(entry, call, plain):
    """--errors json says the same as an object."""
    done = run_call(call, ["--errors", "json"])
    if done.code != plain.code:
        return f"--errors json: exit code {done.code}, not {plain.code}"
    objects = [x for x in done.stderr.split(b"\n") if x.startswith(b"{")]
    if len(objects) != 1:
        return f"--errors json: {len(objects)} objects: {done.stderr[:300]}"
    try:
        said = json.loads(objects[0])
    except ValueError as error:
        return f"--errors json: {error}: {objects[0][:300]}"
    match = LINE.fullmatch(error_lines(plain.stderr)[0][0])
    if said.get("code") != "E-" + match["code"].decode() or said.get("exit_code") != plain.code:
        return f"--errors json: another code: {said}"
    what, fix = match["what"].decode(), match["fix"].decode()
    if what.endswith("..."):
        what = what[:-3]
    if not said.get("error", "").startswith(what) or not said.get("fix", "").startswith(fix):
        return f"--errors json: other words: {said} | {what} | {fix}"
    return None


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def outside_cache(names):
    return [name for name in names if name.split("/")[0] != "home"]


def size_of(folder):
    return sum(p.lstat().st_size for p in folder.rglob("*") if not p.is_symlink() and p.is_file())


def made(entry, folder):
    """Makes the input in a process of its own: the memory that this takes would otherwise count
    as the program's, which starts as a copy of this process."""
    with tempfile.TemporaryFile() as answer:
        pid = os.fork()
        if pid == 0:
            try:
                answer.write(pickle.dumps(entry.make(folder)))
                answer.flush()
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        if os.waitpid(pid, 0)[1] != 0:
            raise RuntimeError(f"{entry.name} could not be made")
        answer.seek(0)
        return pickle.load(answer)


@contextlib.contextmanager
def prepared(entry, folder):
    """The call on the input that is made in folder, and the server that it talks to, or None."""
    call = made(entry, folder)
    server = entry.server(folder) if entry.server else None
    try:
        if server:
            call.env = {**server.env, **(call.env or {})}
        yield call, server
    finally:
        if server:
            server.close()


def cannot_ask(entry, call):
    """Why a build with a sanitizer cannot be asked this, or None."""
    limited = any(which == resource.RLIMIT_AS for which, _ in call.limits)
    return REASON if sanitizer(binary()) and limited else None


def judge(entry, folder):
    """None when the program does what the catalogue asks for, else what is wrong."""
    with prepared(entry, folder) as (call, server):
        return judge_call(entry, call, folder, server)


def judge_call(entry, call, folder, server):
    reason = cannot_ask(entry, call)
    if reason:
        print(f"skipped: {entry.name}: {reason}", flush=True)
        return None
    before = tree(folder)
    done = run_call(call)
    codes = entry.code if isinstance(entry.code, tuple) else (entry.code,)
    if done.code not in codes:
        return f"exit code {done.code}, expected {codes}: {done.stderr[-500:]}"
    slower = 10 if sanitizer(binary()) else 1
    if done.seconds > entry.seconds * slower:
        return f"{done.seconds:.1f} s"
    allowed = 64 * MIB + 8 * min(size_of(folder) + len(call.input), 100 * MIB) + entry.memory
    if done.peak > allowed and not sanitizer(binary()):
        return f"peak memory {done.peak // MIB} MiB, allowed {allowed // MIB}"
    complaint = judge_line(entry, done)
    if complaint:
        return complaint
    for words in entry.logs:
        if words.encode() not in done.stderr:
            return f"'{words}' is not in the log: {done.stderr[-500:]}"
    after = tree(folder)
    if entry.journal:
        after = [name for name in after if not name.endswith(".journal")]
    if server:
        before, after = outside_cache(before), outside_cache(after)
    # an invalid measurement has its record, and so has what was measured before a signal
    if done.code not in (0, 10, 130, 143) and after != before:
        return f"files left: {sorted(set(after) ^ set(before))}"
    if any(name.endswith(".tmp") for name in after):
        return f"temporary files left: {after}"
    if entry.check:
        complaint = entry.check(done, folder)
        if complaint:
            return complaint
    if server:
        complaint = server.check(done, folder)
        if complaint:
            return complaint
    if done.code != 0 and entry.json_too:
        for name in set(after) - set(before):
            (folder / name).unlink()
        return judge_json(entry, call, done)
    return None


# --- good files to spoil ---

def copy_model(folder, name="llama_gqa"):
    """A model of its own in folder/model."""
    to = folder / "model"
    to.mkdir()
    for path in (MODELS / name).iterdir():
        if path.name not in ("golden.json", "logits.npy"):
            shutil.copy(path, to / path.name)
    return to


def run_model(model, *more, ids="1,2,3"):
    """The main command on a model, with ids as the prompt unless more brings text."""
    prompt = ["--token-ids", ids] if ids else []
    return Call(["--model-id", model, "--device", "cpu", "--threads", "1", "-n", "2",
                 "--roofline", "off", "--log-level", "warn",
                 "--output", pathlib.Path(model).parent / "result.json", *prompt, *more])


def read_st(path):
    """Header (a dict) and data of a safetensors file."""
    raw = path.read_bytes()
    n, = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8:8 + n]), raw[8 + n:]


def st_bytes(header, data=b""):
    """header: text, bytes or an object."""
    if not isinstance(header, (bytes, str)):
        header = json.dumps(header, separators=(",", ":"))
    if isinstance(header, str):
        header = header.encode()
    return struct.pack("<Q", len(header)) + header + data


def st_tensors(path):
    """Name -> [dtype, shape, bytes], in the order of the data."""
    header, data = read_st(path)
    header.pop("__metadata__", None)
    items = sorted(header.items(), key=lambda kv: kv[1]["data_offsets"])
    return {name: [e["dtype"], e["shape"], data[slice(*e["data_offsets"])]] for name, e in items}


def st_pack(tensors):
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    return st_bytes(header, data)


def edit_json(path, change):
    """change(object) edits in place, or returns the new text."""
    value = json.loads(path.read_text())
    text = change(value)
    path.write_bytes(text if isinstance(text, bytes) else
                     (text if isinstance(text, str) else json.dumps(value)).encode(
                         "utf-8", "surrogatepass"))
