# SPDX-License-Identifier: MIT
"""The catalogue of hostile inputs from the command line.

  hostile.py --report [GROUP ...]   run all entries, slow ones too; print tried / as asserted
  hostile.py --list [GROUP ...]     the entries
  hostile.py --show [GROUP ...]     run them and print what each one prints (for reading)
IB_BIN names the program. Exit code 1 when an entry falls short."""
import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import hostile  # noqa: E402  (the package beside this file)
from hostile import base  # noqa: E402


def chosen(groups):
    """Whole groups ("ST") or single identifiers ("ST04")."""
    for group in hostile.GROUPS:
        wanted = [g for g in groups if g.startswith(group)]
        if not groups or wanted:
            yield group, [e for e in hostile.entries(group)
                          if not groups or group in wanted or e.id in wanted]


def run(entry):
    with tempfile.TemporaryDirectory() as folder:
        return base.judge(entry, pathlib.Path(folder))


def report(groups):
    lines, failed = [], []
    for group, entries in chosen(groups):
        good = set(e.id for e in entries)
        n_good = 0
        for entry in entries:
            complaint = run(entry)
            if complaint is None:
                n_good += 1
                continue
            good.discard(entry.id)
            failed.append(f"{entry.name}: {complaint}")
            print(failed[-1], file=sys.stderr, flush=True)
        lines.append((group, hostile.GROUPS[group][0], len(set(e.id for e in entries)), len(good),
                      len(entries), n_good, len(hostile.not_tried(group))))
    print(f"{'group':6}{'':24}{'entries':>9}{'as asserted':>13}{'inputs':>8}{'as asserted':>13}"
          f"{'not tried':>11}")
    totals = ["", "all"] + [sum(column) for column in list(zip(*lines))[2:]]
    for row in lines + [totals]:
        print(f"{row[0]:6}{row[1]:24}{row[2]:>9}{row[3]:>13}{row[4]:>8}{row[5]:>13}{row[6]:>11}")
    print()
    for group, _ in chosen(groups):
        for id, reason in hostile.not_tried(group).items():
            print(f"{id} not tried: {reason}")
    for group, reason in hostile.NOT_TRIED.items():
        print(f"{group} not tried: {reason}")
    return 1 if failed else 0


def show(groups):
    for _, entries in chosen(groups):
        for entry in entries:
            with tempfile.TemporaryDirectory() as folder:
                with base.prepared(entry, pathlib.Path(folder)) as (call, _):
                    done = base.run_call(call)
                text = done.stderr.decode("utf-8", "replace").rstrip("\n").replace(folder, "T")
                print(f"{entry.name} [{done.code}] {done.seconds:.2f} s "
                      f"{done.peak // base.MIB} MiB\n    {text}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", metavar="GROUP")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--show", action="store_true")
    args = parser.parse_args()
    if args.list:
        for _, entries in chosen(args.groups):
            for entry in entries:
                print(f"{entry.name}: {entry.code}")
        return 0
    return show(args.groups) if args.show else report(args.groups)


if __name__ == "__main__":
    sys.exit(main())
