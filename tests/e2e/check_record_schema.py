#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Validates records against docs/record.schema.json, and comparisons against
docs/comparison.schema.json: the snapshot of the tests, comparisons made of it by the program that
IB_BIN names, and any files named on the command line (.jsonl: a record a line). Exits with 77 (skipped) without the jsonschema package."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "report"


def records(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl" or path.name == "jsonl.txt":
        return [json.loads(line) for line in text.splitlines()]
    return [json.loads(text)]


def must_fail(validator, record):
    """The schema must be able to refuse: each of these breaks one promise."""
    def broken(change):
        copy = json.loads(json.dumps(record))
        change(copy)
        return not validator.is_valid(copy)

    run = lambda r: r["cells"][0]["runs"][0]
    return [name for name, change in {
        "missing stamps": lambda r: run(r).pop("stamps_ns"),
        "stamp as a real": lambda r: run(r)["stamps_ns"].__setitem__(0, 1.5),
        "negative id": lambda r: run(r)["output_ids"].__setitem__(0, -1),
        "short hash": lambda r: run(r).__setitem__("ids_sha256", "abc"),
        "unknown verdict": lambda r: r["cells"][0]["summary"]["verdict"].__setitem__("state", "fine"),
        "other version": lambda r: r.__setitem__("schema_version", "2.0"),
        "no environment": lambda r: r.pop("environment"),
    }.items() if not broken(change)]


def comparisons(jsonschema):
    """Problems of comparisons of the snapshot with itself: refused (its last cell measured nothing), and
    let pass."""
    schema = json.loads((ROOT / "docs" / "comparison.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    program, bad = os.environ.get("IB_BIN"), []
    if not program:
        print("comparisons not checked: IB_BIN names no program")
        return bad
    with tempfile.TemporaryDirectory() as folder:
        one = pathlib.Path(folder) / "one.json"
        record = records(GOLDEN / "jsonl.txt")[1]
        one.write_text(json.dumps(record))
        other = json.loads(json.dumps(record))
        other["cells"][0]["asked"]["n_depth"] = 5
        (pathlib.Path(folder) / "other.json").write_text(json.dumps(other))
        for name, options in (("one", ["--fail-if-slower", "2"]), ("other", []), ("other", ["--across"])):
            done = subprocess.run([program, "compare", one, pathlib.Path(folder) / f"{name}.json", "--format",
                                   "json", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            made = json.loads(done.stdout)
            bad += [f"comparison {name}: {e.json_path}: {e.message[:200]}" for e in validator.iter_errors(made)]
            if made["comparisons"][0]["refused"] != (name == "other" and not options):
                bad.append(f"comparison {name} {options}: refused is wrong")
            for change in (lambda o: o.pop("tool"), lambda o: o["comparisons"][0].update(verdict="FINE"),
                           lambda o: o["comparisons"][0].update(runs_needed=-1)):
                wrong = json.loads(json.dumps(made))
                change(wrong)
                if validator.is_valid(wrong):
                    bad.append("the schema of comparisons accepts what it should not")
    return bad


def main():
    try:
        import jsonschema
    except ImportError:
        print("skipped: the Python package jsonschema is not installed")
        return 77
    schema = json.loads((ROOT / "docs" / "record.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    bad = 0
    files = [GOLDEN / "json.txt", GOLDEN / "jsonl.txt"] + [pathlib.Path(a) for a in sys.argv[1:]]
    for path in files:
        for number, record in enumerate(records(path)):
            for error in validator.iter_errors(record):
                print(f"{path} record {number} at {error.json_path}: {error.message[:200]}")
                bad += 1
    for name in must_fail(validator, records(GOLDEN / "json.txt")[0]):
        print(f"the schema accepts a record with: {name}")
        bad += 1
    for problem in comparisons(jsonschema):
        print(problem)
        bad += 1
    print(f"{len(files)} files, {bad} problems")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
