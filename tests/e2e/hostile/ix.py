# SPDX-License-Identifier: MIT
"""IX: model.safetensors.index.json and sets of files."""
import json
import os
import shutil

from .base import Group, copy_model, edit_json, run_model, st_pack, st_tensors

ENTRIES = Group()
add = ENTRIES.add
NOT_TRIED = {"IX17": "needs a disk that is blind to case"}
INDEX = "model.safetensors.index.json"
NORM = "model.norm.weight"


def sharded(change):
    """The sharded model; change(model, index object) edits it."""
    def make(folder):
        model = copy_model(folder, "llama_sharded")
        edit_json(model / INDEX, lambda index: change(model, index))
        return run_model(model)
    return make


def renamed(name):
    def change(model, index):
        index["weight_map"][NORM] = name
    return sharded(change)


for id, names in (
        ("IX01", ["../x.safetensors", ".."]), ("IX02", ["/etc/passwd"]),
        ("IX03", ["a/../../x", "a/./x", "a//x"]),
        ("IX04", ["..\\x", "C:x", "\\\\host\\share", "a\\b"]),
        ("IX05", ["x\0.safetensors", "", ".", "x\x1b[31m", "n" * 300]),
        ("IX06", ["file:///etc/passwd", "%2e%2e/x", "%2e%2e%2fx", "https://host/x"])):
    for name in names:
        add(id, ascii(name)[:40], renamed(name), 4, "shard name", "/weight_map")


def nothing_opened(folder):
    """A readable file of the name outside: it must not be opened even so."""
    call = renamed("../outside.safetensors")(folder)
    shutil.copy(folder / "model" / "model-00001-of-00003.safetensors",
                folder / "outside.safetensors")
    os.utime(folder / "outside.safetensors", (1, 1 << 31))
    return call


def untouched(done, folder):
    state = (folder / "outside.safetensors").stat()
    return None if state.st_atime == 1 else "the file outside was opened"


add("IX01", "the file exists", nothing_opened, 4, "../outside", check=untouched, json_too=False)


def link_out(model, index):
    shard = model / index["weight_map"][NORM]
    shutil.move(shard, model.parent / "elsewhere")
    shard.symlink_to("../elsewhere")


add("IX07", "link out of the folder", sharded(link_out), 4, "link out of the model folder")


def hub_layout(folder, blobs="blobs", repo="models--a--b"):
    model = copy_model(folder, "llama_sharded")
    store = folder / "hub" / "models--a--b" / "snapshots" / ("0" * 40)
    blob = folder / "hub" / repo / blobs
    store.mkdir(parents=True)
    blob.mkdir(parents=True)
    for i, path in enumerate(sorted(model.iterdir())):
        shutil.move(path, blob / f"{i:040x}")
        (store / path.name).symlink_to(os.path.relpath(blob / f"{i:040x}", store))
    call = run_model(store)
    call.args[call.args.index("--output") + 1] = folder / "result.json"
    return call


add("IX07", "snapshot to blobs", hub_layout, 0)
add("IX07", "snapshot to another repository", lambda f: hub_layout(f, repo="models--a--c"), 4,
    "link out of the model folder")


def replaced(how):
    def change(model, index):
        shard = model / index["weight_map"][NORM]
        shard.unlink()
        how(shard)
    return sharded(change)


def socket_at(path):
    import socket
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path.name)
    finally:
        os.chdir(here)


add("IX08", "FIFO", replaced(os.mkfifo), 4, "not a regular file")
add("IX08", "socket", replaced(socket_at), 4, "not a regular file")
add("IX08", "folder", replaced(lambda p: p.mkdir()), 4, "not a regular file")
add("IX08", "device", replaced(lambda p: p.symlink_to("/dev/zero")), 4, "shard")


def single(how):
    def make(folder):
        model = copy_model(folder)
        path = model / "model.safetensors"
        path.unlink()
        how(path)
        return run_model(model)
    return make


add("IX08", "single file a FIFO", single(os.mkfifo), (3, 4), "not a regular file")
add("IX08", "single file a folder", single(lambda p: p.mkdir()), (3, 4), "not a regular file")
add("IX09", "missing shard", replaced(lambda p: None), 3, "1 of 3 shards", "model-0000")


def seven_missing(model, index):
    for i, name in enumerate(list(index["weight_map"])[:7]):
        index["weight_map"][name] = f"gone-{i}.safetensors"


add("IX09", "seven missing", sharded(seven_missing), 3, "7 of ", "gone-4", ", ...")
add("IX10", "unreadable shard", replaced(lambda p: p.symlink_to(p.name)), 3, "1 of 3 shards")


def unreadable(model, index):
    (model / index["weight_map"][NORM]).chmod(0)


if os.geteuid() != 0:
    add("IX10", "no permission", sharded(unreadable), 3, "1 of 3 shards")


def lacks(model, index):
    names = sorted(set(index["weight_map"].values()))
    index["weight_map"][NORM] = next(n for n in names if n != index["weight_map"][NORM])


def absent(model, index):
    index["weight_map"]["model.no.such.weight"] = index["weight_map"][NORM]


def unmapped(model, index):
    path = model / index["weight_map"][NORM]
    tensors = st_tensors(path)
    tensors["extra"] = ["U8", [1], b"x"]
    path.write_bytes(st_pack(tensors))


def twice(model, index):
    tensors = st_tensors(model / index["weight_map"][NORM])
    other = next(n for n in sorted(set(index["weight_map"].values()))
                 if n != index["weight_map"][NORM])
    more = st_tensors(model / other)
    more[NORM] = tensors[NORM]
    (model / other).write_bytes(st_pack(more))


add("IX11", "mapped to another shard", sharded(lacks), 4, NORM, "not in its shard")
add("IX11", "mapped, in no shard", sharded(absent), 4, "model.no.such.weight", "not in its shard")
add("IX12", "not mapped", sharded(unmapped), 0, logs=("not in the index",))
add("IX13", "in two shards", sharded(twice), 4, NORM)


def many_names(model, index):
    index["weight_map"] = {f"t{i}": f"s{i}.safetensors" for i in range(100_000)}


add("IX14", "100,000 shard names", sharded(many_names), 6, "shards")


def total(value):
    def change(model, index):
        if value is None:
            index.pop("metadata", None)
        else:
            index["metadata"] = value
    return sharded(change)


add("IX15", "total_size wrong", total({"total_size": 5}), 0, logs=("total_size",))
for what, value in (("absent", None), ("a string", {"total_size": "x"}),
                    ("huge", {"total_size": 10 ** 30}), ("metadata a list", [])):
    add("IX15", f"total_size {what}", total(value), 0)


def both(folder):
    model = copy_model(folder)
    (model / INDEX).write_text(json.dumps({"weight_map": {"a": "gone.safetensors"}}))
    call = run_model(model)
    call.args[call.args.index("warn")] = "info"
    return call


add("IX16", "index beside a single file", both, 0, logs=("the index is not used",))


def spellings(other):
    def change(model, index):
        index["weight_map"][NORM] = other(index["weight_map"][NORM])
    return sharded(change)


def hard_link(model, index):
    old = index["weight_map"][NORM]
    os.link(model / old, model / "again.safetensors")
    index["weight_map"][NORM] = "again.safetensors"


add("IX18", "./ in front", spellings(lambda n: "./" + n), 4, "shard name")
add("IX18", "two names of one file", sharded(hard_link), 4)
for what, text in (("no JSON", "{"), ("a list", "[]"), ("map a list", '{"weight_map":[]}'),
                   ("map empty", '{"weight_map":{}}'), ("a number", '{"weight_map":{"a":5}}'),
                   ("duplicate tensor", '{"weight_map":{"a":"b","a":"c"}}')):
    add("IX11", f"index: {what}", sharded(lambda model, index, t=text: t), 4, "index.json")
