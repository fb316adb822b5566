# SPDX-License-Identifier: MIT
"""Whether the program under test was built with a sanitizer, and what then cannot be asked of it:
its shadow takes terabytes of addresses and several times the memory."""
import functools
import pathlib

REASON = "the sanitizer's own shadow memory exceeds any limit on addresses or memory"


@functools.lru_cache(None)
def sanitizer(path):
    """"address", "thread" or None."""
    raw = pathlib.Path(path).read_bytes()
    return "address" if b"__asan_init" in raw else "thread" if b"__tsan_init" in raw else None
