# SPDX-License-Identifier: MIT
"""EN: the process and its machine, as far as no special machine or privilege is needed."""
import errno
import json
import os
import pathlib
import resource
import subprocess

from . import base
from .base import MIB, MODELS, Call, Group, copy_model

ENTRIES = Group()
add = ENTRIES.add
MODEL = MODELS / "llama_gqa"
NOT_TRIED = {
    "EN12 SIGSTOP": "tests/e2e/test_cli_run.py and the runner's own tests have it",
    "EN13": "needs a clock that can be set",
    "EN18": "needs a device library that fails",
    "EN19": "needs a broken kernel; NaN weights are ST39",
    "EN20": "a CPU that goes away; the tiers that are missing are tried",
}


def short(*more, **options):
    def make(folder):
        return Call(["--model-id", MODEL, "--device", "cpu", "--token-ids", "1,2,3", "-n", "3",
                     "--threads", "1", "--roofline", "off", "--log-level", "warn", "--output",
                     folder / "out.json", *more], **options)
    return make


def whole(done, folder):
    if done.code != 0:
        return None
    json.loads((folder / "out.json").read_text())["cells"][0]["runs"][0]["output_ids"]
    return None


def limited(which, value, **more):
    return short(limits=((which, value),), **more)


# The binary with its libraries and a thread takes about 100 MiB of addresses.
for mib in (100, 120, 150):
    add("EN02", f"{mib} MiB of addresses", limited(resource.RLIMIT_AS, mib * MIB), (0, 6),
        check=whole)


def large_prompt(folder):
    """A KV cache of 200,000 positions for 128 sequences, some 6 GB, under a limit."""
    call = short("--batch", "128", "-p", "200000")(folder)
    at = call.args.index("--token-ids")
    del call.args[at:at + 2]
    call.limits = ((resource.RLIMIT_AS, 4 << 30),)
    return call


add("EN02", "KV cache above the limit", large_prompt, 6, "bytes", memory=512 * MIB)
for n in (4, 5, 6, 8):
    add("EN05", f"{n} descriptors", limited(resource.RLIMIT_NOFILE, n), (0, 6), check=whole)
add("EN07", "stack of 256 KiB", limited(resource.RLIMIT_STACK, 256 << 10), 0, check=whole)


def old_file(folder):
    (folder / "out.json").write_text("old")
    return short("--force", "--quiet", limits=((resource.RLIMIT_FSIZE, 600),))(folder)


def untouched(done, folder):
    return None if (folder / "out.json").read_text() == "old" else "the old report was changed"


add("EN08", "file size limit", short("--quiet", limits=((resource.RLIMIT_FSIZE, 600),)), 8,
    "File too large")
add("EN08", "file size limit, old report", old_file, 8, check=untouched)


def long_run(folder, script, n=100000):
    """The program in the background of a shell script: $pid is it, $OUT the record."""
    model = copy_model(folder)
    config = json.loads((model / "config.json").read_text())
    config["max_position_embeddings"] = 1 << 20
    (model / "config.json").write_text(json.dumps(config))
    call = Call(["--model-id", model, "--device", "cpu", "--token-ids", "1,2,3", "-n", str(n),
                 "--ignore-eos", "--threads", "1", "--roofline", "off", "--log-level", "warn",
                 "--output", folder / "out.json"],
                wrap=["sh", "-c", f'"$0" "$@" & pid=$!; {script}; wait $pid; exit $?'])
    return call


def kept(done, folder):
    """What was measured is there, whole."""
    left = [p.name for p in folder.iterdir() if p.name.endswith((".tmp", ".journal"))]
    if left:
        return f"left: {left}"
    record = json.loads((folder / "out.json").read_text())
    runs = record["cells"][0]["runs"]
    return None if runs and runs[0]["output_ids"] else "no tokens in the record"


for name, code in (("INT", 130), ("TERM", 143)):
    add("EN11", f"SIG{name} in the run", lambda f, s=name: long_run(f, f"sleep 1; kill -{s} $pid"),
        code, check=kept, json_too=False, memory=256 * MIB)
    add("EN11", f"SIG{name} twice", lambda f, s=name: long_run(
        f, f"sleep 1; kill -{s} $pid; kill -{s} $pid"), code, json_too=False, memory=256 * MIB)
add("EN12", "SIGHUP in the run", lambda f: long_run(f, "sleep 1; kill -HUP $pid"), 143, check=kept,
    json_too=False, memory=256 * MIB)


def at_any_time(folder):
    """SIGTERM at 20 points of a run: 143 or done, and the file is whole or absent."""
    call = short("--force")(folder)
    points = " ".join(f"0.{2 * i:03}" for i in range(20))
    call.wrap = ["sh", "-c", f'exec 2>/dev/null; for s in {points}; do '
                 '"$0" "$@" >/dev/null 2>&1 & pid=$!; sleep $s; kill -TERM $pid 2>/dev/null; '
                 'wait $pid; c=$?; case $c in 0|143) ;; *) exit $c;; esac; done; exit 0']
    return call


def no_rubbish(done, folder):
    left = [p.name for p in folder.iterdir() if p.name != "out.json"]
    if left:
        return f"left: {left}"
    if (folder / "out.json").exists():
        json.loads((folder / "out.json").read_text())
    return None


add("EN11", "SIGTERM at 20 points", at_any_time, (0,), check=no_rubbish, seconds=20)


def no_home(folder):
    gone = folder / "gone"
    gone.mkdir()
    call = short(env={})(folder)
    call.wrap = ["/bin/sh", "-c", 'rmdir "$PWD"; exec "$0" "$@"']
    call.cwd = str(gone)
    return call


add("EN15", "no HOME, no folder, no environment", no_home, 0, check=whole)
add("EN15", "TMPDIR missing", short(env={"TMPDIR": "/nonexistent"}), 0, check=whole)
for closed in ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"):
    add("EN16", closed, short("--quiet", wrap=["sh", "-c", f'exec "$0" "$@" {closed}']), 0,
        check=whole)


def device(name, **more):
    def make(folder):
        call = short(**more)(folder)
        call.args[call.args.index("cpu")] = name
        return call
    return make


add("EN17", "CUDA device 99", device("cuda:99"), 9, "cuda", memory=256 * MIB)
add("EN17", "xpu device 99", device("xpu:99"), 9, "xpu", memory=256 * MIB)
add("EN17", "no CUDA library", device("cuda:99", env={"LD_LIBRARY_PATH": "/nonexistent"}), 9)
add("EN17", "no OpenCL platform", device("xpu", env={"OCL_ICD_VENDORS": "/nonexistent"}), 9, "xpu")
add("EN17", "unknown device", device("quantum"), 2, "quantum")
add("EN17", "device number", device("cpu:-1"), 2, "cpu:-1")


def truncated(folder):
    """The weights are cut while the program runs on the map of them."""
    return long_run(folder, f'sleep 1; truncate -s 1000 "{folder}/model/model.safetensors"')


# the journal stays for --resume: the program ends in a signal handler
add("EN10", "weights cut in the run", truncated, 3, "changed", json_too=False, memory=256 * MIB,
    journal=True)


# --- with the preloaded library of tests/fault ---

FAULTS = os.environ.get("IB_FAULT_LIB", str(pathlib.Path(base.binary()).parent / "tests" / "fault" / "ib_fault_preload.so"))


def with_fault(fault, path=None, threads="1"):
    def make(folder):
        call = short()(folder)
        call.args[call.args.index("--threads") + 1] = threads
        call.env = dict(os.environ, LD_PRELOAD=FAULTS, IB_FAULT=fault, HF_HUB_CACHE="/nonexistent",
                        OCL_ICD_VENDORS="/nonexistent")
        if path:
            call.env["IB_FAULT_PATH"] = path
        return call
    return make


if os.path.exists(FAULTS):
    for n in (1, 40, 400):                              # each of them: tests/e2e/faults.py
        add("EN01", f"allocation {n} and all behind it", with_fault(f"alloc:{n}+:{errno.ENOMEM}"), 6, "memory",
            check=whole, json_too=False)  # an object takes memory, a line does not
    add("EN06", "no thread to be had", with_fault(f"thread:1+:{errno.EAGAIN}", threads="2"), (0, 6), check=whole)
    for n in range(1, 4):
        add("EN09", f"EIO at read {n}", with_fault(f"read:{n}:{errno.EIO}"), (0, 3), check=whole)
    add("EN09", "EINTR at a read", with_fault(f"read:1:{errno.EINTR}"), 0, check=whole)
    add("EN09", "EINTR at a write", with_fault(f"write:1:{errno.EINTR}"), 0, check=whole)
    for folder_name in ("/proc", "/sys"):
        add("EN14", f"no {folder_name}", with_fault(f"open:1+:{errno.ENOENT}", folder_name), 0, check=whole)
        add("EN14", f"{folder_name} forbidden", with_fault(f"open:1+:{errno.EACCES}", folder_name), 0, check=whole)
else:
    for which in ("EN01", "EN06", "EN09", "EN14"):
        NOT_TRIED[which] = "the library of tests/fault is not built"

# a mount namespace without /proc and a control group, where this process may make them
if subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode == 0:
    add("EN14", "/proc unmounted", short(wrap=["unshare", "-m", "sh", "-c", 'umount -l /proc; exec "$0" "$@"']), 0, check=whole)
    add("EN08", "disk of 64 KiB", short("--quiet", "--format", "html", wrap=[
        "unshare", "-m", "sh", "-c", 'for a; do o=$last; last=$a; case $o in --output) d=${a%/*};; esac; done; '
        'mount -t tmpfs -o size=16k tmpfs "$d" && exec "$0" "$@"']), 8, "space", json_too=False)

GROUPS_V1, GROUPS_V2 = pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup")
GROUP_AT = GROUPS_V1 if (GROUPS_V1 / "memory.limit_in_bytes").exists() else GROUPS_V2
LIMIT = "memory.limit_in_bytes" if GROUP_AT == GROUPS_V1 else "memory.max"
if os.access(GROUP_AT, os.W_OK) and (GROUP_AT / "cgroup.procs").exists():
    def grouped(folder):
        """The KV cache of 128 sequences in a group of 1 GiB."""
        call = short("--batch", "128", "-p", "200000")(folder)
        at = call.args.index("--token-ids")
        del call.args[at:at + 2]
        call.wrap = ["sh", "-c", f'g={GROUP_AT}/ib-$$; mkdir "$g" && echo 1073741824 >"$g/{LIMIT}" && '
                     'echo $$ >"$g/cgroup.procs" || exit 77; "$0" "$@"; c=$?; '
                     f'echo $$ >{GROUP_AT}/cgroup.procs; rmdir "$g"; exit $c']
        return call
    add("EN03", "control group of 1 GiB", grouped, 6, "cgroup", memory=256 * MIB)
else:
    NOT_TRIED["EN03"] = "no control group can be made here"
NOT_TRIED["EN04"] = "the kernel's killer: as kill -9, tests/e2e/kill_loop.py"
for tier in ("scalar", "avx2", "avx512", "avx512vnni"):
    add("EN20", f"tier {tier}", short("--cpu-tier", tier), (0, 5, 9), check=whole)
