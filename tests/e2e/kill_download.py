# SPDX-License-Identifier: MIT
"""kill -9 at random moments of a download, N times: kill_download.py [--count N] [--seed S].

Each time the program starts on the cache that the last one left, and is killed after a random time.
After each kill every blob must be what its name says and no link may lead nowhere; when a download
ends by itself, the snapshot must be whole, and the cache is emptied. Prints kills, downloads that
ended, bad blobs. IB_BIN names the program. Exit code 1 for any bad blob."""
import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import binary  # noqa: E402
from hub_server import COMMIT, Hub, check_cache, part_of, small_model  # noqa: E402

MIB = 1 << 20


def environment(folder, url):
    away = ("HF_", "HUGGING", "TRANSFORMERS_")
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(away) and "proxy" not in k.lower()}
    return {**env, "HF_HOME": str(folder), "HF_ENDPOINT": url, "HF_HUB_DOWNLOAD_TIMEOUT": "5"}


def whole(cache, files):
    """None, or what a finished download lacks."""
    if list(cache.rglob("*.incomplete")):
        return "an incomplete file is left"
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        path = cache / "models--org--name" / "snapshots" / COMMIT / name
        if not path.exists() or path.read_bytes() != files[name]:
            return f"{name} is not what the hub has"
    return check_cache(cache)


class Loop:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.files = {**small_model(), "model.safetensors": self.rng.randbytes(36 * MIB + 5)}
        self.kills = self.ended = 0
        self.typical = 1.5  # seconds that a download takes here; learned
        self.bad = []

    def script(self, r):
        """Slow enough that a kill meets every phase, and cut now and then."""
        if r.server != "cdn" or r.method != "GET":
            return None
        reply = part_of(self.files["model.safetensors"], r, [("ETag", '"cdn-etag"')])
        reply.drip = (1 << 18, 0.0005)
        if self.rng.random() < 0.05:
            reply.cut = self.rng.randrange(len(reply.body) + 1) if reply.body else None
        return reply

    def once(self, env, cache):
        started = time.monotonic()
        process = subprocess.Popen([binary(), "download", "org/name"], env=env,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            process.wait(timeout=self.rng.random() * self.typical * 1.2)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        _, stderr = process.communicate()
        if process.returncode == -signal.SIGKILL:
            self.kills += 1
            complaint = check_cache(cache) if cache.exists() else None
            if complaint:
                self.bad.append(complaint)
            return
        self.ended += 1
        self.typical = 0.8 * self.typical + 0.2 * min(2, time.monotonic() - started)
        if process.returncode != 0:
            self.bad.append(f"exit code {process.returncode}: {stderr.decode()[-300:]}")
        complaint = whole(cache, self.files)
        if complaint:
            self.bad.append(complaint)
        shutil.rmtree(cache)

    def run(self, count):
        with tempfile.TemporaryDirectory() as folder, Hub(self.files, script=self.script) as hub:
            folder = pathlib.Path(folder)
            env = environment(folder, hub.url)
            while self.kills < count and len(self.bad) < 10:
                self.once(env, folder / "hub")
                with hub.log.lock:
                    hub.log.requests.clear()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    loop = Loop(args.seed)
    loop.run(args.count)
    for complaint in loop.bad:
        print(complaint, file=sys.stderr)
    print(f"killed {loop.kills}, ended by themselves {loop.ended}, bad {len(loop.bad)}")
    return 1 if loop.bad else 0


if __name__ == "__main__":
    sys.exit(main())
