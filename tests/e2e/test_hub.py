# SPDX-License-Identifier: MIT
"""download, verify and hub ids against the scripted hub (hub_server.py): what is fetched, from whom
and how often, and what the cache holds afterwards."""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import MODELS, Case, binary, run  # noqa: E402
from hub_server import (COMMIT, TOKEN, Hub, Reply, check_cache, etag_of, make_ca,  # noqa: E402
                        make_context, part_of, small_model)

MIB = 1 << 20
FETCHED = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
           "tokenizer_config.json"]


class HubCase(Case):
    def hub(self, files=None, **more):
        hub = Hub(small_model() if files is None else files, **more)
        self.addCleanup(hub.close)
        self.server = hub
        return hub

    @property
    def cache(self):
        return self.tmp / "home" / "hub"

    @property
    def repo(self):
        return self.cache / "models--org--name"

    def env(self, **more):
        away = ("HF_", "HUGGING", "TRANSFORMERS_", "SSL_", "CURL_", "REQUESTS_", "XDG_")
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(away) and "proxy" not in k.lower()}
        env.update(HF_HOME=str(self.tmp / "home"), HF_ENDPOINT=self.server.url,
                   HF_HUB_DOWNLOAD_TIMEOUT="1", HF_HUB_ETAG_TIMEOUT="2")
        env.update({k: str(v) for k, v in more.items()})
        return env

    def download(self, *args, id="org/name", **more):
        return run("download", id, *args, env=self.env(**more))

    def good_download(self, *args, **more):
        done = self.download(*args, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIsNone(check_cache(self.cache, partial=False))
        self.assertEqual(done.stdout.decode(),
                         str(self.repo / "snapshots" / self.server.commit) + "\n")
        return done

    def snapshot(self):
        folder = self.repo / "snapshots" / self.server.commit
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*"))
                if not p.is_dir()}

    def expect_files(self, names):
        self.assertEqual(self.snapshot(), {n: self.server.files[n] for n in names})

    def gets(self, server=None):
        return [r for r in self.server.requests
                if r.method == "GET" and "/api/" not in r.path and server in (None, r.server)]


class Download(HubCase):
    def test_from_nothing(self):
        self.hub()
        self.good_download()
        self.expect_files(FETCHED)
        self.assertEqual((self.repo / "refs" / "main").read_text(), COMMIT)
        self.assertTrue((self.cache / "CACHEDIR.TAG").read_text().startswith(
            "Signature: 8a477f597d28d172789f06886806bc55"))
        link = self.repo / "snapshots" / COMMIT / "model.safetensors"
        self.assertEqual(os.readlink(link), f"../../blobs/{self.server.etag('model.safetensors')}")
        absent = {p.name for p in (self.repo / ".no_exist" / COMMIT).iterdir()}
        self.assertEqual(absent, {"special_tokens_map.json", "added_tokens.json",
                                  "chat_template.jinja", "additional_chat_templates"})
        self.assertFalse(any("bin" in r.path or "README" in r.path for r in self.server.requests))

    def test_again_is_one_request_and_a_commit_is_none(self):
        self.hub()
        self.good_download()
        n = len(self.server.requests)
        self.good_download()
        self.assertEqual([r.method for r in self.server.requests[n:]], ["HEAD"])
        n += 1
        self.good_download("--revision", COMMIT)
        self.assertEqual(self.server.requests[n:], [])

    def test_shards_templates_and_subfolders(self):
        index = {"weight_map": {"a": "model-00001-of-00002.safetensors",
                                "b": "model-00002-of-00002.safetensors"}}
        files = small_model()
        del files["model.safetensors"]
        files.update({"model.safetensors.index.json": json.dumps(index).encode(),
                      "model-00001-of-00002.safetensors": b"one",
                      "model-00002-of-00002.safetensors": b"two", "empty.safetensors": b"x",
                      "consolidated.safetensors": b"not wanted",
                      "added_tokens.json": b"", "original/params.json": b"{}",
                      "additional_chat_templates/tool.jinja": b"{{ x }}"})
        self.hub(files)
        self.good_download()
        got = set(self.snapshot())
        self.assertIn("model-00002-of-00002.safetensors", got)
        self.assertIn("additional_chat_templates/tool.jinja", got)
        self.assertFalse(got & {"consolidated.safetensors", "empty.safetensors",
                                "original/params.json", "pytorch_model.bin"})
        link = self.repo / "snapshots" / COMMIT / "additional_chat_templates" / "tool.jinja"
        self.assertTrue(os.readlink(link).startswith("../../../blobs/"))
        self.assertEqual((self.repo / "snapshots" / COMMIT / "added_tokens.json").read_bytes(), b"")

    def test_single_file_wins_over_an_index(self):
        files = small_model()
        files["model.safetensors.index.json"] = b'{"weight_map": {"a": "other.safetensors"}}'
        files["other.safetensors"] = b"other"
        self.hub(files)
        self.good_download()
        self.assertNotIn("other.safetensors", self.snapshot())

    def test_revisions(self):
        self.hub(revisions=("main", "refs/pr/1", "v1.0"))
        self.good_download("--revision", "refs/pr/1")
        self.assertEqual((self.repo / "refs" / "refs" / "pr" / "1").read_text(), COMMIT)
        self.assertTrue(any("/resolve/refs%2Fpr%2F1/" in r.path for r in self.server.requests))
        self.expect_error(self.download("--revision", "v2"), 7, "NETWORK", b"revision")

    def test_a_branch_that_moves(self):
        hub = self.hub()
        self.good_download()
        old = hub.commit
        hub.commit = "f" * 40
        hub.revisions.add(hub.commit)
        hub.files["tokenizer.json"] = b'{"new": 1}'
        n = len(hub.requests)
        self.good_download()
        self.assertEqual((self.repo / "refs" / "main").read_text(), "f" * 40)
        fetched = [r.path for r in hub.requests[n:] if r.method == "GET" and "api" not in r.path]
        self.assertEqual(len(fetched), 1, fetched)  # the rest is linked to blobs that are there
        self.assertTrue((self.repo / "snapshots" / old).is_dir())

    def test_without_a_list_of_files(self):
        self.hub(listing=False)
        self.good_download()
        self.expect_files(FETCHED)

    def test_without_links(self):
        self.hub()
        self.good_download(HF_HUB_DISABLE_SYMLINKS="1")
        self.expect_files(FETCHED)
        self.assertFalse((self.repo / "snapshots" / COMMIT / "config.json").is_symlink())

    def test_cache_dir_and_json(self):
        self.hub()
        done = run("download", "org/name", "--cache-dir", self.tmp / "other", "--format", "json",
                   env=self.env())
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual(said["revision"], COMMIT)
        self.assertTrue(said["path"].startswith(str(self.tmp / "other")))
        distinct = {self.server.files[n] for n in FETCHED}
        self.assertEqual(said["fetched_bytes"], sum(map(len, distinct)))

    def test_no_weights(self):
        files = small_model()
        del files["model.safetensors"]
        self.hub(files)
        self.expect_error(self.download(), 5, "UNSUPPORTED", b"pickle")
        del self.server.files["pytorch_model.bin"]
        self.server.files["x.gguf"] = b"GGUF"
        self.expect_error(self.download(), 5, "UNSUPPORTED", b"GGUF")

    def test_progress_on_a_terminal(self):
        self.hub({**small_model(), "model.safetensors": b"w" * MIB})
        self.server.script = lambda r: (
            Reply(200, [], b"w" * MIB, drip=(1 << 18, 0.3)) if r.server == "cdn" else None)
        try:
            master, slave = os.openpty()
        except OSError as error:
            self.skipTest(f"no terminal: {error}")
        process = subprocess.Popen([binary(), "download", "org/name"], stdout=subprocess.DEVNULL,
                                   stderr=slave, env=self.env())
        os.close(slave)
        text = b""
        while True:
            try:
                more = os.read(master, 4096)
            except OSError:
                break
            if not more:
                break
            text += more
        os.close(master)
        self.assertEqual(process.wait(), 0, text)
        self.assertRegex(text, rb"fetching model.safetensors: .* of 1.05 MB \(\d+ %\), "
                               rb"[\d.]+ [kM]?B/s, time left \d+:\d\d")

    def test_a_model_that_runs(self):
        folder = MODELS / "llama_gqa"
        files = {p.name: p.read_bytes() for p in folder.iterdir()
                 if p.name not in ("golden.json", "logits.npy")}
        self.hub(files)
        out = self.tmp / "record.json"
        done = run("--model-id", "org/name", "--device", "cpu", "--token-ids", "1,2,3", "-n", "3",
                   "--roofline", "off", "--output", out, "--token", TOKEN, env=self.env())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn(TOKEN.encode(), out.read_bytes() + done.stdout + done.stderr)
        model = json.loads(out.read_text())["cells"][0]["model"]
        self.assertEqual((model["repo_id"], model["revision"]), ("org/name", COMMIT))
        self.assertEqual(model["files"]["model.safetensors"]["hash"],
                         "sha256:" + self.server.etag("model.safetensors"))
        self.assertEqual(model["files"]["config.json"],
                         {"bytes": len(files["config.json"]),
                          "hash": "git-sha1:" + self.server.etag("config.json")})
        self.assertTrue(any("/resolve/main/config.json" in r.path for r in self.server.requests))
        done = run("--model-id", folder, "--device", "cpu", "--token-ids", "1,2,3", "-n", "3",
                   "--roofline", "off", "--output", out, "--force", env=self.env())
        self.assertEqual(done.returncode, 0, done.stderr)
        local = json.loads(out.read_text())["cells"][0]["model"]
        self.assertEqual(local["files"]["config.json"]["hash"],
                         "sha256:" + etag_of(files["config.json"], True))
        self.assertEqual(set(local["files"]), set(model["files"]))
        again = json.loads(run("report", out, "--format", "json").stdout)
        self.assertEqual(again["cells"][0]["model"]["files"], local["files"])


class Token(HubCase):
    """The token is needed, found and sent, and never leaves the endpoint's origin."""

    def check_log(self):
        for r in self.server.requests:
            self.assertEqual(r.token, r.server == "hub", r)
        self.assertTrue([r for r in self.server.requests if r.server == "cdn"])

    def test_sources(self):
        path = self.tmp / "token"
        path.write_text(f"  {TOKEN}\n")
        (self.tmp / "home").mkdir()
        for args, env in (((), {"HF_TOKEN": TOKEN}), (("--token", TOKEN), {}),
                          ((), {"HUGGING_FACE_HUB_TOKEN": TOKEN}), ((), {"HF_TOKEN_PATH": path}),
                          (("--token", TOKEN), {"HF_TOKEN": "hf_wrong"}),
                          (("--token", TOKEN), {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"})):
            with self.subTest(args=args, env=env):
                self.hub(private=True)
                self.good_download(*args, **env)
                self.check_log()
                shutil.rmtree(self.cache)
        shutil.copy(path, self.tmp / "home" / "token")
        self.hub(private=True)
        self.good_download()
        self.check_log()
        shutil.rmtree(self.cache)
        self.expect_error(self.download(HF_HUB_DISABLE_IMPLICIT_TOKEN="1"), 7, "NETWORK",
                          b"private")

    def test_refusals(self):
        self.hub(private=True)
        self.expect_error(self.download(), 7, "NETWORK", b"give --token")
        done = self.download(HF_TOKEN="hf_wrongwrongwrong")
        self.expect_error(done, 7, "NETWORK", b"the token")
        self.assertNotIn(b"wrongwrong", done.stderr)
        self.hub(gated=True)
        self.expect_error(self.download(), 7, "NETWORK", b"gated")
        self.expect_error(self.download(HF_TOKEN="hf_wrong"), 7, "NETWORK", b"ask for access")

    def test_malformed_tokens_are_not_sent(self):
        self.hub()
        for bad in ("two words", "a\r\nX-Evil: 1", "\u00e9", "x" * 5000):
            done = self.download("--token", bad)
            self.expect_error(done, 2, "USAGE", b"malformed token in --token")
            self.assertNotIn(b"Evil", done.stderr)
        self.assertEqual(self.server.requests, [])

    def test_redirects_leave_it_behind(self):
        """Across hosts, ports and through a chain, on GET and on HEAD."""
        hub = self.hub()

        def script(r):
            if r.server == "hub" and r.path.endswith("/tokenizer.json") and r.method == "GET":
                return Reply(302, [("Location", f"{hub.cdn.url}/first")])
            if r.path == "/first":
                return Reply(307, [("Location", "/second")])
            if r.path == "/second":
                return Reply(200, [], hub.files["tokenizer.json"])
            return None
        hub.script = script
        self.good_download(HF_TOKEN=TOKEN)
        self.assertTrue(any(r.path == "/second" for r in hub.requests))
        self.check_log()


class Resume(HubCase):
    """No byte is asked for twice."""
    data = random.Random(7).randbytes(40 * MIB + 12345)

    def ranges(self, since=0):
        """What the CDN sent: [first, behind the last) of each answer."""
        out = []
        for r in self.server.requests[since:]:
            if r.server == "cdn" and r.method == "GET":
                first = r.range[0] if r.range else 0
                out.append((first, first + r.sent))
        return sorted(out)

    def expect_once(self, size):
        at = 0
        for first, end in self.ranges():
            self.assertEqual(first, at, self.ranges())
            at = end
        self.assertEqual(at, size)

    def big_hub(self, script=None):
        return self.hub({**small_model(), "model.safetensors": self.data}, script=script)

    def test_parallel_ranges(self):
        self.big_hub()
        self.good_download()
        self.expect_files(FETCHED)
        self.assertEqual(len(self.ranges()), 3)
        self.expect_once(len(self.data))

    def test_connections_that_are_reset(self):
        def script(r):
            if r.server == "cdn" and r.count < 5:
                reply = part_of(self.data, r, [("ETag", '"cdn-etag"')])
                reply.cut = [0, 1, 4095, 3 * MIB + 17, 7][r.count]
                return reply
            return None
        self.big_hub(script)
        self.good_download(HF_TOKEN=TOKEN)
        self.expect_files(FETCHED)
        self.expect_once(len(self.data))

    def stalled_process(self, at):
        """A download whose every transfer stops after so many bytes; killed there."""
        def script(r):
            if r.server == "cdn":
                reply = part_of(self.data, r, [("ETag", '"cdn-etag"')])
                reply.stall = at
                return reply
            return None
        hub = self.big_hub(script)
        process = subprocess.Popen([binary(), "download", "org/name"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL,
                                   env=self.env(HF_HUB_DOWNLOAD_TIMEOUT="60"))
        self.addCleanup(process.kill)
        want = 3 * at
        end = time.monotonic() + 120
        while self.state_sum() != want and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(self.state_sum(), want)
        process.send_signal(signal.SIGKILL)
        process.wait()
        hub.script = None
        return hub

    def state_sum(self):
        """Bytes that the incomplete file says it has."""
        found = list((self.repo / "blobs").glob("*.incomplete")) if self.repo.exists() else []
        if len(found) != 1:
            return -1
        raw = found[0].read_bytes()
        at = (len(self.data) + 4095) // 4096 * 4096
        state = raw[at:]
        if not state.startswith(b"inferbench partial 1\n"):
            return -1
        return sum(int.from_bytes(state[len(state) - 24 + 8 * i:len(state) - 16 + 8 * i], "little")
                   for i in range(3))

    def test_another_process_goes_on_after_kill_9(self):
        hub = self.stalled_process(2 * MIB + 333)
        self.good_download()
        self.expect_files(FETCHED)
        self.expect_once(len(self.data))
        del hub

    def test_interrupt_keeps_what_came(self):
        def script(r):
            if r.server == "cdn" and r.count < 3:
                reply = part_of(self.data, r, [])
                reply.stall = MIB
                return reply
            return None
        hub = self.big_hub(script)
        process = subprocess.Popen([binary(), "download", "org/name"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE,
                                   env=self.env(HF_HUB_DOWNLOAD_TIMEOUT="60"))
        end = time.monotonic() + 120
        while self.state_sum() != 3 * MIB and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 130, stderr)
        self.assertIn(b"goes on where it was", stderr)
        self.good_download()
        self.expect_once(len(self.data))
        del hub

    def test_a_damaged_partial_file_is_fetched_anew(self):
        self.stalled_process(MIB)
        part = next((self.repo / "blobs").glob("*.incomplete"))
        with part.open("r+b") as f:
            f.seek(1000)
            f.write(b"\x00damaged\x00")
        self.good_download()
        self.expect_files(FETCHED)

    def test_partial_files_of_others_are_left_alone(self):
        self.big_hub()
        blobs = self.repo / "blobs"
        blobs.mkdir(parents=True)
        name = self.server.etag("model.safetensors")
        for other in (f"{name}.incomplete", f"{name}.0badcafe.incomplete", f"{name}.x.incomplete"):
            (blobs / other).write_bytes(b"somebody else's")
        done = self.download()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.expect_files(FETCHED)
        self.assertEqual(len(list(blobs.glob("*.incomplete"))), 3)
        self.expect_once(len(self.data))

    def test_a_whole_file_without_state_is_taken_by_its_hash(self):
        """What a process leaves that is killed between cutting the state off and renaming."""
        self.big_hub()
        blobs = self.repo / "blobs"
        blobs.mkdir(parents=True)
        (blobs / f"{self.server.etag('model.safetensors')}.0badcafe.incomplete").write_bytes(
            self.data)
        self.good_download()
        self.expect_files(FETCHED)
        self.assertEqual(self.ranges(), [])

    def test_expired_signature(self):
        """The CDN refuses after a while: another URL is asked for, and the rest comes."""
        seen = []

        def script(r):
            if r.server == "cdn":
                seen.append(r)
                if 1 < len(seen) < 4:
                    return Reply(403)
            return None
        self.big_hub(script)
        self.good_download(HF_TOKEN=TOKEN)
        self.expect_once(len(self.data))


class Cache(HubCase):
    def test_offline_opens_no_socket(self):
        self.hub()
        self.good_download()
        n = len(self.server.requests)
        for env in ({"HF_HUB_OFFLINE": "1"}, {"TRANSFORMERS_OFFLINE": "yes"}):
            self.good_download(**env)
        self.good_download("--offline")
        self.assertEqual(len(self.server.requests), n)
        strace = shutil.which("strace")
        if strace:
            done = subprocess.run([strace, "-f", "-e", "trace=network", "-o", self.tmp / "trace",
                                   binary(), "download", "org/name", "--offline"],
                                  env=self.env(), capture_output=True)
            if done.returncode == 0:
                self.assertNotIn("socket(", (self.tmp / "trace").read_text())
        self.expect_error(self.download("--offline", id="org/other"), 3, "INPUT", b"offline")

    def test_unreachable_hub_falls_back_to_the_cache(self):
        self.hub()
        self.good_download()
        self.server.close()
        done = self.good_download()
        self.assertIn(b"using the snapshot that the cache has", done.stderr)
        self.expect_error(self.download(id="org/other"), 7, "NETWORK", b"127.0.0.1")

    def test_a_definite_404_is_not_papered_over(self):
        self.hub()
        self.good_download()
        self.server.revisions.remove("main")
        self.expect_error(self.download(), 7, "NETWORK", b"revision")

    def test_verify(self):
        self.hub()
        self.good_download()
        done = run("verify", "org/name", env=self.env(HF_ENDPOINT="http://127.0.0.1:1"))
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(len(lines), len(FETCHED))
        self.assertTrue(all(x.startswith("ok ") for x in lines), lines)
        self.assertIn("sha256:" + self.server.etag("model.safetensors"), done.stdout.decode())
        blob = (self.repo / "snapshots" / COMMIT / "model.safetensors").resolve()
        good = blob.read_bytes()
        for bad in (good[:-1], good + b"x", b"X" + good[1:]):
            blob.write_bytes(bad)
            done = run("verify", "org/name", env=self.env())
            self.expect_error(done, 4, "FORMAT", b"wrong content in 'model.safetensors'")
            self.assertEqual(done.stdout.count(b"\nok ") + done.stdout.startswith(b"ok "), 4)
            said = json.loads(run("verify", "org/name", "--format", "json", env=self.env()).stdout)
            self.assertEqual([f["file"] for f in said["files"] if not f["good"]],
                             ["model.safetensors"])
        blob.unlink()
        self.expect_error(run("verify", "org/name", env=self.env()), 4, "FORMAT", b"leads nowhere")
        self.expect_error(run("verify", "org/other", env=self.env()), 3, "INPUT")

    def test_a_blob_of_another_length_is_fetched_again(self):
        self.hub()
        self.good_download()
        link = self.repo / "snapshots" / COMMIT / "tokenizer.json"
        blob = link.resolve()
        link.unlink()
        blob.write_bytes(b"{} ")
        self.good_download()
        self.expect_files(FETCHED)

    def test_two_processes_share_one_download(self):
        data = random.Random(3).randbytes(20 * MIB)

        def script(r):
            if r.server == "cdn" and r.method == "GET":
                reply = part_of(data, r, [])
                reply.drip = (1 << 18, 0.005)
                return reply
            return None
        self.hub({**small_model(), "model.safetensors": data}, script=script)
        processes = [subprocess.Popen([binary(), "download", "org/name"], env=self.env(),
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                     for _ in range(4)]
        for process in processes:
            _, stderr = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, stderr)
        self.assertIsNone(check_cache(self.cache, partial=False))
        self.assertEqual(sum(r.sent for r in self.gets("cdn")), len(data))

    def test_broken_flock(self):
        """flock that always says yes: more bytes go over the wire, and every blob is whole."""
        source, shim = self.tmp / "shim.c", self.tmp / "shim.so"
        source.write_text("int flock(int fd, int op) { (void)fd; (void)op; return 0; }\n")
        if subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source]).returncode:
            self.skipTest("no compiler for the preloaded library")
        data = random.Random(4).randbytes(20 * MIB)

        def script(r):
            if r.server == "cdn" and r.method == "GET":
                reply = part_of(data, r, [])
                reply.drip = (1 << 18, 0.003)
                if r.count % 3 == 0:
                    reply.cut = 5 * MIB
                return reply
            return None
        self.hub({**small_model(), "model.safetensors": data}, script=script)
        env = self.env()
        if not os.environ.get("IB_SANITIZED"):
            env["LD_PRELOAD"] = str(shim)
        processes = [subprocess.Popen([binary(), "download", "org/name"], env=env,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                     for _ in range(3)]
        for process in processes:
            _, stderr = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, stderr)
        self.assertIsNone(check_cache(self.cache, partial=False))
        self.expect_files(FETCHED)


class Kill(Case):
    def test_kill_9_at_random_moments(self):
        script = pathlib.Path(__file__).resolve().parent / "kill_download.py"
        done = subprocess.run([sys.executable, script, "--count", "6"], capture_output=True,
                              timeout=150)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(b"killed 6, ", done.stdout)


class Tls(HubCase):
    def setUp(self):
        super().setUp()
        if not shutil.which("openssl"):
            self.skipTest("no openssl program to make certificates with")
        self.ca = make_ca(self.tmp)

    def test_good(self):
        self.hub(context=make_context(self.tmp))
        for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
            self.good_download(HF_TOKEN=TOKEN, **{name: self.ca})
            shutil.rmtree(self.cache)
        for r in self.server.requests:
            self.assertEqual(r.token, r.server == "hub", r)

    def test_no_way_down_to_plain_http(self):
        plain = Hub(small_model())
        self.addCleanup(plain.close)
        hub = self.hub(context=make_context(self.tmp))
        for method in ("HEAD", "GET"):
            hub.script = lambda r, m=method: (
                Reply(302, [("Location", plain.url + r.path), ("X-Repo-Commit", COMMIT),
                            ("X-Linked-Etag", hub.etag("config.json")), ("X-Linked-Size", "23")])
                if r.method == m and r.path.endswith("/config.json") else None)
            self.expect_error(self.download(HF_TOKEN=TOKEN, SSL_CERT_FILE=self.ca), 7, "NETWORK",
                              b"not https")
        self.assertEqual(plain.requests, [])


class Proxy(HubCase):
    def test_proxy_is_used(self):
        """Plain http through a proxy: it sees the absolute URL."""
        hub = self.hub()
        seen = []
        hub.script = lambda r: seen.append(r.path) or (
            Reply(404) if r.path.startswith("http://") else None)
        self.expect_error(self.download(http_proxy=hub.cdn.url, no_proxy=""), 7, "NETWORK")
        self.assertTrue(seen[0].startswith(hub.url + "/org/name/resolve/main/config.json"), seen)


def python_with_huggingface_hub():
    for python in (os.environ.get("IB_HF_PYTHON"), sys.executable):
        if python and subprocess.run([python, "-c", "import huggingface_hub"],
                                     capture_output=True).returncode == 0:
            return python
    return None


class HuggingfaceHub(HubCase):
    """The cache is the same for Python's own client, both ways."""

    def setUp(self):
        super().setUp()
        self.python = python_with_huggingface_hub()
        if not self.python:
            self.skipTest("no huggingface_hub: IB_HF_PYTHON names a Python that has it")

    def ask(self, code, **env):
        done = subprocess.run([self.python, "-c", code], env=self.env(HF_HUB_DISABLE_XET="1",
                                                                      HF_HUB_DISABLE_TELEMETRY="1",
                                                                      **env),
                              capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr.decode()[-2000:])
        return done.stdout.decode()

    def test_it_reads_ours(self):
        self.hub()
        self.good_download()
        n = len(self.server.requests)
        said = json.loads(self.ask(
            "import json\n"
            "from huggingface_hub import hf_hub_download, scan_cache_dir, try_to_load_from_cache\n"
            "from huggingface_hub import _CACHED_NO_EXIST as gone\n"
            "info = scan_cache_dir()\n"
            f"files = {FETCHED!r}\n"
            "print(json.dumps({\n"
            " 'paths': [hf_hub_download('org/name', f, local_files_only=True) for f in files],\n"
            " 'warnings': [str(w) for w in info.warnings],\n"
            " 'repos': [[r.repo_id, sorted(x.file_name for v in r.revisions for x in v.files)]\n"
            "           for r in info.repos],\n"
            " 'gone': try_to_load_from_cache('org/name', 'added_tokens.json') is gone}))\n",
            HF_HUB_OFFLINE="1"))
        folder = self.repo / "snapshots" / COMMIT
        self.assertEqual(said, {"paths": [str(folder / f) for f in FETCHED], "warnings": [],
                                "repos": [["org/name", FETCHED]], "gone": True})
        # with the network it asks for the metadata and fetches nothing
        self.ask("from huggingface_hub import hf_hub_download\n"
                 f"for f in {FETCHED!r}: hf_hub_download('org/name', f)\n")
        self.assertEqual({r.method for r in self.server.requests[n:]}, {"HEAD"})

    def test_we_read_its(self):
        self.hub()
        self.ask("from huggingface_hub import hf_hub_download\n"
                 f"for f in {FETCHED!r}: hf_hub_download('org/name', f)\n")
        self.good_download("--offline")
        self.assertEqual(run("verify", "org/name", env=self.env()).returncode, 0)
        n = len(self.gets())
        self.good_download()
        self.expect_files(FETCHED)
        self.assertEqual(self.gets()[n:], [])  # nothing is fetched again

    def test_both_at_once(self):
        data = random.Random(5).randbytes(20 * MIB)

        def script(r):
            if r.server == "cdn" and r.method == "GET":
                reply = part_of(data, r, [])
                reply.drip = (1 << 18, 0.005)
                return reply
            return None
        self.hub({**small_model(), "model.safetensors": data}, script=script)
        env = self.env(HF_HUB_DISABLE_XET="1")
        code = ("from huggingface_hub import hf_hub_download\n"
                "hf_hub_download('org/name', 'model.safetensors')\n")
        both = [subprocess.Popen([self.python, "-c", code], env=env, stderr=subprocess.PIPE),
                subprocess.Popen([binary(), "download", "org/name"], env=env,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)]
        for process in both:
            _, stderr = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, stderr[-1000:])
        self.assertIsNone(check_cache(self.cache, partial=False))
        self.expect_files(FETCHED)


if __name__ == "__main__":
    unittest.main(verbosity=2)
