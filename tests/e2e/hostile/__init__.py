# SPDX-License-Identifier: MIT
"""The catalogue of hostile and broken inputs: one module per group, one entry per bad input.

An entry makes its input anew each time (no bad file is stored), says how the program is called on
it, and what the failure contract asks for: exit code and the words that must stand in the line."""
from . import bn, cf, cl, en, gg, hb, ix, jt, st, tk

GROUPS = {
    "ST": ("safetensors", st), "IX": ("index and file sets", ix), "CF": ("config.json", cf),
    "BN": ("bitsandbytes", bn), "TK": ("tokenizer.json", tk), "JT": ("chat template", jt),
    "GG": ("GGUF", gg), "HB": ("hub answers and the cache", hb),
    "CL": ("command line and output", cl), "EN": ("process and machine", en),
}

# What is not tried, and why.
NOT_TRIED = {
    "EP": "endpoints: this version calls no server",
}


def entries(group):
    return GROUPS[group][1].ENTRIES


def not_tried(group):
    """Identifier -> reason."""
    return getattr(GROUPS[group][1], "NOT_TRIED", {})
